"""Truth and prediction drawn over a few images, one column per method."""

from pathlib import Path
from statistics import fmean
from typing import Any

from ..data.volumes import open_labels
from ..draw import chart, outline, save_png, sheet, thumbnail
from .cell import Cell
from .data import Material
from .spec import Finetuned

SIZE = 320  # pixels of a picture's longer side


def draw(material: Material, cells: list[tuple[Cell, dict[str, Any]]], out: Path) -> Path | None:
    """One sheet of a data set: images evenly over the set, the first seed of each method. Returns its path.

    Prediction amber, truth sky blue, white where both run. None where the spec wants no pictures.
    """
    wanted = min(material.dataset.pictures, len(material.pairs))
    if not wanted or not cells:
        return None
    first = {cell.contender.name: (cell, numbers) for cell, numbers in reversed(cells)}
    columns = [first[name] for name in dict.fromkeys(cell.contender.name for cell, _ in cells)]
    rows, captions = [], []
    for index in [round((i + 0.5) * len(material.pairs) / wanted - 0.5) for i in range(wanted)]:
        pair = material.pairs[index]
        image, truth = pair.image.load(), pair.truth()
        row, words = [thumbnail(image, pair.image.voxel, size=SIZE)], [pair.image.name]
        for cell, numbers in columns:
            (found,) = open_labels(cell.folder(out, material.files) / "labels" / f"{pair.image.name}.tif")
            row.append(outline(image, found.load(), truth, pair.image.voxel, size=SIZE))
            one = numbers["images"][index]
            words.append(f"Dice {one['dice']:.3f}, F1@0.5 {one['f1_50']:.3f}")
        rows.append(row)
        captions.append(words)
    titles = ["image", *(cell.contender.name for cell, _ in columns)]
    heading = f"{material.dataset.name}: prediction amber, truth blue, both white"
    path = out / "pictures" / f"{material.dataset.name}.png"
    return save_png(path, sheet(rows, titles=titles, captions=captions, heading=heading))


def draw_parts(material: Material, cells: list[tuple[Cell, dict[str, Any]]], out: Path) -> Path | None:
    """IoU, mean over the seeds, against the part of the target's labels that a method was finetuned with.

    One line for each method that others go on from; without any label it stands at 0. None where there is no such.
    """
    begun = {cell.contender.after for cell, _ in cells if isinstance(cell.contender, Finetuned)}
    scores: dict[str, dict[float, list[float]]] = {}
    for cell, numbers in cells:
        entry = cell.contender
        name, part = (entry.after, entry.part) if isinstance(entry, Finetuned) else (entry.name, 0.0)
        if name in begun:
            scores.setdefault(name, {}).setdefault(part, []).append(numbers["mean"]["iou"])
    if not scores:
        return None
    lines = {name: [(part, fmean(values)) for part, values in line.items()] for name, line in scores.items()}
    title = f"{material.dataset.name}: IoU (%) with some labels of the target"
    return save_png(
        out / "pictures" / f"{material.dataset.name}-parts.png", chart(lines, title, "labels of the target")
    )
