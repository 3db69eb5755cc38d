"""A way to segment, over the images of a data set: its labels on disk, and its numbers class by class."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..data.volumes import Volume
from ..data.write import write_labels
from ..labels.overlap import Overlap, overlap
from ..labels.owners import Owners
from ..metrics.confidence import mean_over_objects
from ..metrics.evaluation import Scores, mean_report, pool_tables, report
from ..metrics.pairing import Pairing, owned_pairs, pairing, sum_pairings
from ..predict.pipeline import Prediction
from ..represent import Representation
from .datasets import Material, Pair

COUNTS = ("truth_objects", "pred_objects")  # these add up over classes, all else is averaged


@dataclass(frozen=True)
class FoundObjects:
    """What was found in an image: labels by class, "" of a single one, what belongs to what, and for each class how
    sure its objects are, which ranks them for AP beside their size."""

    labels: Mapping[str, NDArray[np.integer]]
    belongs: Mapping[tuple[str, str], Owners] = field(default_factory=dict)
    sure: Mapping[str, Scores] = field(default_factory=dict)


Segment = Callable[[Volume], FoundObjects]


def score_dataset(segment: Segment, material: Material, folder: Path | None = None) -> dict[str, Any]:
    """Numbers of all images of a data set; labels are written under `folder` where one is given.

    mean, pooled, images: as `metrics.evaluation` has them; of several classes their means over the classes, and each of
    its own in `classes`. pairs: of objects that belong together, all images as one, where truth and method know any.
    """
    classes, seconds = material.classes, list[float]()
    tables: dict[str, list[Overlap]] = {name: [] for name in classes}
    sure: dict[str, list[Scores]] = {name: [] for name in classes}
    pairs: dict[str, list[Pairing]] = {}
    for pair in material.pairs:
        start = time.perf_counter()
        found = segment(pair.image)
        seconds.append(time.perf_counter() - start)
        refuse_missing_classes(found, classes, material)
        for name in classes:
            labels = found.labels[name]
            if folder is not None:
                write_labels(label_path(folder, pair, name), labels, pair.image.voxel, pair.image.axes)
            tables[name].append(overlap(pair.truths[name](), labels))
            sure[name].append(found.sure.get(name, {}))
        for member, owner in material.where.pairs.items():
            if belonging := found.belongs.get((member, owner)):
                one = pairing(tables[member][-1], tables[owner][-1], owned_pairs(belonging))
                pairs.setdefault(f"{member} to {owner}", []).append(one)
    names = [pair.image.name for pair in material.pairs]
    each = {name: class_numbers(tables[name], names, sure[name]) for name in classes}
    together = each[""] if classes == ("",) else {**average_classes(list(each.values())), "classes": each}
    for image, took in zip(together["images"], seconds):
        image["seconds"] = took
    found_pairs = {name: sum_pairings(parts).as_dict() for name, parts in pairs.items()}
    return {"segment_seconds": median(seconds), **together, **({"pairs": found_pairs} if found_pairs else {})}


def refuse_missing_classes(found: FoundObjects, classes: tuple[str, ...], material: Material) -> None:
    """Raises UserError where the method segments other classes than the data set has."""
    if missing := next((name for name in classes if name not in found.labels), None):
        there = ", ".join(filter(None, found.labels)) or "a single one"
        raise UserError(
            f"data set '{material.dataset.name}' needs the class {missing}, but the method segments {there}; give it "
            "settings or a model of these classes"
        )
    if classes == ("",) and "" not in found.labels:
        raise UserError(
            f"the method segments {', '.join(found.labels)}, data set '{material.dataset.name}' has labels of a single "
            "class; give it labels of each"
        )


def label_path(folder: Path, pair: Pair, name: str) -> Path:
    """Where the labels of a class lie."""
    return folder / "labels" / name / f"{pair.image.name}.tif"


def object_scores(prediction: Prediction, represent: Representation) -> dict[str, Scores]:
    """How sure objects are, by class: the mean confidence over each, and means of what else ranks objects.

    The prediction was made with `keep`, and by that representation.
    """
    out: dict[str, Scores] = {name: {"mask": one.confidence} for name, one in prediction.classes.items()}
    if prediction.raw is not None and "" in out:
        ranked = represent.rankings(prediction.raw.channels[-len(represent.channels) :])
        out[""] = {**out[""], **{name: mean_over_objects(one, prediction.labels) for name, one in ranked.items()}}
    return out


def class_numbers(tables: Sequence[Overlap], names: Sequence[str], sure: Sequence[Scores]) -> dict[str, Any]:
    """Of one class; sure: of the objects of each image."""
    reports = [report(table, scores) for table, scores in zip(tables, sure)]
    images = [{"name": name, **one.as_dict()} for name, one in zip(names, reports)]
    return {"mean": mean_report(reports), "pooled": pool_tables(tables, sure).as_dict(), "images": images}


def average_classes(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over classes of all their numbers; objects are counted together."""
    images = [average_rows(list(image)) for image in zip(*(one["images"] for one in each))]
    return {
        "mean": average_rows([one["mean"] for one in each]),
        "pooled": average_rows([one["pooled"] for one in each]),
        "images": images,
    }


def average_rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    kept = {name: value for name, value in rows[0].items() if isinstance(value, str)}
    return kept | {
        name: sum(row[name] for row in rows) if name in COUNTS else fmean(row[name] for row in rows)
        for name in rows[0] if name not in kept
    }  # fmt: skip
