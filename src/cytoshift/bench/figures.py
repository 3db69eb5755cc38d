"""Truth and prediction drawn over a few images, one column per method."""

import math
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from ..data.volumes import open_labels
from ..draw import chart, image_grid, outline, save_png, stack_pictures, thumbnail
from .cell import Cell
from .datasets import Material, Pair
from .method_spec import FinetunedMethod
from .scoring import label_path

SIZE = 320  # pixels of a picture's longer side
METHODS_BESIDE = 8  # methods side by side on a sheet: with more, pictures are too small to be read on a screen


def draw_comparison(
    material: Material, cells: list[tuple[Cell, dict[str, Any]]], out: Path, judged_by: str | None = None
) -> Path | None:
    """One sheet of a data set: images evenly over the set, or those with the highest and the lowest F1@0.5 of the
    method `judged_by`; the first seed of each method. Many methods go on below, beside the images once more. Returns
    its path.

    Prediction amber, truth sky blue, white where both run. Of several classes each has a row, in its channel. None
    where the spec wants no pictures.
    """
    wanted = min(material.dataset.pictures, len(material.pairs))
    if not wanted or not cells:
        return None
    names = list(dict.fromkeys(cell.contender.name for cell, _ in cells))
    rows, captions = [], []
    for index in extreme_images(material, cells, judged_by, wanted) if judged_by else even_images(material, wanted):
        pair = material.pairs[index]
        image = pair.image.load().reshape(-1, *pair.image.shape)
        for number, label in enumerate(material.classes):
            shown, truth = image[min(number, len(image) - 1)], pair.truths[label]()
            row: list[Any] = [thumbnail(shown, pair.image.voxel, size=SIZE)]
            words = [f"{pair.image.name}{f', {label}' * bool(label)}"]
            for name in names:
                found, one = picture_row(name, pair, label, cells, material, out)
                drawn = None if found is None else outline(shown, found, truth, pair.image.voxel, size=SIZE)
                row.append(drawn)
                words.append(f"Dice {one['dice']:.3f}, F1@0.5 {one['f1_50']:.3f}" if one else "")
            rows.append(row)
            captions.append(words)
    heading = f"{material.dataset.name}: prediction amber, truth blue, both white"
    path = out / "pictures" / f"{material.dataset.name}.png"
    titles, lines = ["image", *names], math.ceil(len(names) / METHODS_BESIDE)
    ends = [1 + round(line * len(names) / lines) for line in range(lines + 1)]
    grids = [
        image_grid(
            [row[:1] + row[start:stop] for row in rows],
            titles=titles[:1] + titles[start:stop],
            captions=[words[:1] + words[start:stop] for words in captions],
            heading=None if start > 1 else heading,
        )
        for start, stop in pairwise(ends)
    ]
    return save_png(path, stack_pictures(grids))


def even_images(material: Material, wanted: int) -> list[int]:
    """Places of images evenly over the set."""
    return [round((i + 0.5) * len(material.pairs) / wanted - 0.5) for i in range(wanted)]


def extreme_images(material: Material, cells: list[tuple[Cell, dict[str, Any]]], method: str, wanted: int) -> list[int]:
    """Places of the best images and, after them, of the worst; evenly where the method has labelled none of them."""
    scores = dict[str, float]()
    for cell, numbers in cells:
        for image in numbers["images"] if cell.contender.name == method else ():
            scores.setdefault(image["name"], image["f1_50"])
    there = [i for i, pair in enumerate(material.pairs) if pair.image.name in scores]
    order = sorted(there, key=lambda i: -scores[material.pairs[i].image.name])
    if not order:
        return even_images(material, wanted)
    best = order[: (wanted + 1) // 2]
    return best + [i for i in order[-(wanted // 2) :] if i not in best] if wanted > 1 else best


def picture_row(
    name: str, pair: Pair, label: str, cells: list[tuple[Cell, dict[str, Any]]], material: Material, out: Path
) -> tuple[Any, dict[str, Any]]:
    """Labels of one class in one image and their numbers, by the first cell of a method that has segmented it."""
    for cell, numbers in cells:
        images = (numbers["classes"][label] if label else numbers)["images"]
        one = next((one for one in images if one["name"] == pair.image.name), None)
        if cell.contender.name == name and one is not None:
            (found,) = open_labels(label_path(cell.folder(out, material.files), pair, label))
            return found.load(), one
    return None, {}


def draw_label_curve(material: Material, cells: list[tuple[Cell, dict[str, Any]]], out: Path) -> Path | None:
    """IoU of all images as one, mean over the seeds, against the part of the target's labels that finetuned a method.

    One line for each method that others go on from; without any label it stands at 0. None where there is no such.
    """
    begun = {cell.contender.after for cell, _ in cells if isinstance(cell.contender, FinetunedMethod)}
    scores: dict[str, dict[float, list[float]]] = {}
    for cell, numbers in cells:
        entry = cell.contender
        name, part = (entry.after, entry.fraction) if isinstance(entry, FinetunedMethod) else (entry.name, 0.0)
        if name in begun:
            scores.setdefault(name, {}).setdefault(part, []).append(numbers["pooled"]["iou"])
    if not scores:
        return None
    lines = {name: [(part, fmean(values)) for part, values in line.items()] for name, line in scores.items()}
    title = f"{material.dataset.name}: IoU (%) with some labels of the target"
    return save_png(
        out / "pictures" / f"{material.dataset.name}-parts.png", chart(lines, title, "labels of the target")
    )
