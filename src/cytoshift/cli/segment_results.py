"""What `cytoshift segment` shows and says of its results: a picture, counts, and what may be wrong with them."""

import math
from typing import TYPE_CHECKING

from .console import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..data.volumes import Volume
    from ..model import Segmenter
    from ..predict.calibration import Mismatch
    from ..predict.outputs import Outputs, Table

SHOWN = 8  # images in the overview
SIZE = 320  # pixels of a picture's longer side


def mismatches(segmenter: "Segmenter", outputs: "Outputs", table: "Table") -> "list[Mismatch]":
    """Classes whose objects are of another size than those that the model learnt from."""
    import numpy as np

    from ..predict.calibration import mismatch_of_objects

    out = []
    for name in outputs.classes:
        found = table.where("class", name) if name else table
        diameter = float(np.median(found.numbers("equivalent_diameter_area"))) if found.rows else 0.0
        if one := mismatch_of_objects(segmenter.card, name, diameter, segmenter.voxel.unit):
            out.append(one)
    return out


def factor_of(found: "list[Mismatch]") -> float:
    """The largest factor between sizes of objects; says the messages, and is 1 where there are none."""
    for one in found:
        say(f"warning: {one.message}", err=True)
    return max((one.factor for one in found), default=1.0)


def picture(outputs: "Outputs", table: "Table") -> None:
    """Images beside their outlines and their objects in colours; of many images, some from first to last.

    Of several classes a row for each.
    """
    from ..draw import colour_labels, composite, image_grid, outline, save_png

    count = min(SHOWN, len(outputs.volumes))
    rows, captions = [], []
    for volume in (outputs.volumes[i * len(outputs.volumes) // count] for i in range(count)):
        image = volume.load().reshape(-1, *volume.shape)
        for number, name in enumerate(outputs.classes):
            labels = outputs.open(volume, name).load()
            shown = image[number if len(image) == len(outputs.classes) else 0]
            rows.append([
                composite(image, volume.voxel, size=SIZE),
                outline(shown, labels, voxel=volume.voxel, size=SIZE),
                colour_labels(labels, volume.voxel, size=SIZE),
            ])  # fmt: skip
            found = table.of(volume.name)
            words = describe_objects(found.where("class", name) if name else found, volume.voxel.unit)
            captions.append(f"{volume.name}{f', {name}' * bool(name)}: {words}")
    flat = len(outputs.volumes[0].axes) == 2
    save_png(outputs.picture, image_grid(rows, ["image" if flat else "middle plane", "outlines", "objects"], captions))


def count_pairs(pairs: "Table", objects: "Table") -> list[str]:
    """How many objects belong to another, and how many of these others have none, one or more, in a line per kind."""
    from collections import Counter

    lines = []
    for name, other in dict.fromkeys((row[1], row[3]) for row in pairs.rows):
        rows = pairs.where("class", name).rows
        owners = Counter((row[0], row[4]) for row in rows if row[4] != "0")
        total, single = len(objects.where("class", other).rows), sum(n == 1 for n in owners.values())
        lines.append(
            f"{owners.total()} of {len(rows)} {name} belong to one of {total} {other}: {total - len(owners)} {other} "
            f"with none, {single} with one, {len(owners) - single} with more"
        )
    return lines


def describe_objects(table: "Table", unit: str) -> str:
    """How many objects, how large, how sure; of several classes, one after the other."""
    import numpy as np

    if "class" in table.names and len(names := dict.fromkeys(row[1] for row in table.rows)) > 1:
        return "; ".join(f"{name}: {describe_objects(table.where('class', name), unit)}" for name in names)
    if not table.rows:
        return "0 objects"
    diameter, confidence = np.median(table.numbers("equivalent_diameter_area")), table.numbers("confidence").mean()
    return f"{len(table.rows)} objects, median diameter {diameter:.3g} {unit}, mean confidence {confidence:.2f}"


def summary(volumes: "Sequence[Volume]", todo: list["Volume"], table: "Table", seconds: float) -> str:
    """The last line: what was found, and what it took."""
    from ..core.machine import peak_memory

    words = f"{len(volumes)} image{'s' * (len(volumes) > 1)}: {describe_objects(table, volumes[0].voxel.unit)}"
    if len(todo) < len(volumes):
        words += f"; {len(volumes) - len(todo)} had been finished before"
    if not todo:
        return words
    rate = sum(math.prod(volume.shape) for volume in todo) / 1e6 / seconds
    memory = peak_memory()
    return f"{words}; {seconds:.1f} s, {rate:.3g} Mvoxel/s" + (f", peak memory {memory:.2f} GB" if memory else "")


def describe_places(places: "Sequence[Path]") -> str:
    """Files by name; of many the folders that they lie in."""
    shown = places if len(places) < 4 else dict.fromkeys(place.parent for place in places)
    return ", ".join(map(str, shown))
