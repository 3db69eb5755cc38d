"""What verbs that write labels share: where results go, a picture of them, and what there is to say of them."""

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..core.text import count_of
from .console import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..core.voxel import Voxel
    from ..data.volumes import Volume
    from ..model import Segmenter
    from ..predict.calibration import Mismatch
    from ..predict.outputs import Outputs, Table

SHOWN = 8  # images in the overview
SIZE = 320  # pixels of a picture's longer side


def open_outputs(
    out: "Path", volumes: "Sequence[Volume]", request: dict[str, Any], also: "Sequence[str] | None", **more: Any
) -> "Outputs":  # fmt: skip
    """Where everything goes; the frames of a file come out in one file. more: as `Outputs` has it.

    Raises UserError for what does not fit, and for other formats that are not known or cannot hold the labels.
    """
    from ..predict.also import parse_also, refuse_also
    from ..predict.outputs import Outputs, whole_files

    outputs = Outputs(out, volumes, request, join=whole_files(volumes), also=parse_also(also or ()), **more)
    refuse_also(outputs)
    return outputs


@contextmanager
def claim_outputs(overwrite: bool, *outputs: "Outputs") -> "Iterator[None]":
    """Within, results are locked and claimed. A command that is stopped says how many images of the first are finished.

    Raises UserError where another command works on them, and where they are of another request.
    """
    from ..core.lock import lock_outputs
    from ..core.signals import explain_stop

    places = [place for one in outputs for place in one.locks]
    with lock_outputs(*places), explain_stop(lambda: describe_kept(outputs[0])):
        for one in outputs:
            one.claim(overwrite)
        yield


def describe_kept(outputs: "Outputs") -> str:
    """Says how many images are finished when the command is stopped."""
    count, every = sum(map(outputs.is_finished, outputs.volumes)), len(outputs.volumes)
    return f"{count} of {every} images {'is' if count == 1 else 'are'} finished, the same command goes on"


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


def picture(outputs: "Outputs", table: "Table | None" = None) -> None:
    """Images beside their outlines and their objects in colours; of many images, some from first to last.

    Of several classes a row for each. table: the objects, which captions count. Without it, images may be larger than
    memory: of their middle planes, pixels are read at equal distances.
    """
    import numpy as np

    from ..core.evenly import first_of_parts
    from ..draw import colour_labels, composite, image_grid, outline, save_png

    rows, captions = [], []
    for volume in first_of_parts(outputs.volumes, SHOWN):
        part, voxel = thinned_plane(volume) if table is None else (..., volume.voxel)
        image = np.asarray(volume.array[part])
        image = image.reshape(-1, *image.shape[-voxel.ndim :])
        for number, name in enumerate(outputs.classes):
            labels = np.asarray(outputs.open(volume, name).array[part])
            shown = image[number if len(image) == len(outputs.classes) else 0]
            rows.append([
                composite(image, voxel, size=SIZE),
                outline(shown, labels, voxel=voxel, size=SIZE),
                colour_labels(labels, voxel, size=SIZE),
            ])  # fmt: skip
            words = f"{volume.name}{f', {name}' * bool(name)}"
            if table is not None:
                found = table.of(volume.name)
                words += f": {describe_objects(found.where('class', name) if name else found, volume.voxel.unit)}"
            captions.append(words)
    flat = len(outputs.volumes[0].axes) == 2
    save_png(outputs.picture, image_grid(rows, ["image" if flat else "middle plane", "outlines", "objects"], captions))


def thinned_plane(volume: "Volume") -> "tuple[Any, Voxel]":
    """The middle plane of an image, with pixels at equal distances, as an index; and its pixel size, up to a factor."""
    from ..core.voxel import Voxel

    step = max(max(volume.shape[-2:]) // (2 * SIZE), 1)
    plane = (*(n // 2 for n in volume.shape[:-2]), slice(None, None, step), slice(None, None, step))
    return (..., *plane), Voxel(volume.voxel.size[-2:], volume.voxel.unit)


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

    words = f"{count_of(len(volumes), 'image')}: {describe_objects(table, volumes[0].voxel.unit)}"
    if len(todo) < len(volumes):
        words += f"; {len(volumes) - len(todo)} had been finished before"
    if not todo:
        return words
    rate = sum(math.prod(volume.shape) for volume in todo) / 1e6 / seconds
    memory = peak_memory()
    return f"{words}; {seconds:.1f} s, {rate:.3g} Mvoxel/s" + (f", peak memory {memory:.2f} GB" if memory else "")


def describe_others(outputs: "Outputs", places: "Sequence[Path]") -> str:
    """What there is in other formats, as the end of a sentence: files by name; of many the folders that they lie in."""
    if not places:
        return ""
    shown = places if len(places) < 4 else dict.fromkeys(place.parent for place in places)
    return f", {', '.join(outputs.also)} in {', '.join(map(str, shown))}"
