"""Labels in files against the truth in files: which belong together, and every number, in so much memory.

A pair is (prediction, truth) everywhere in here.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from math import prod
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.progress import Progress
from ..core.text import unescape_cell
from ..data.bad_files import list_names
from ..data.find import find_files, is_image
from ..data.label_pairs import connected_objects, pair_by_convention, suffix_hint
from ..data.volumes import ImageSource, Volume
from ..labels.overlap import overlap_by_blocks
from ..metrics.confidence import VOXEL_COUNT, mean_over_objects_by_blocks
from ..metrics.evaluation import Report, mean_report, pool_tables, report
from ..metrics.pairing import Pairing, pairing, sum_pairings

PARTS_BYTES = 10  # bytes of a voxel while the parts of a mask are found
COLUMNS = {"image", "class", "id", "belongs_to", "other_id"}  # of the table of pairs that segment writes
READING = {
    "images": "one entry per image",
    "mean": "mean of the images' numbers: each image weighs the same",
    "pooled": "all images as if they lay side by side in one: each object, or voxel, weighs the same",
}

Pairs = Sequence[tuple[Volume, Volume]]


def classes(pred: Path, truth: Path) -> list[str]:
    """Names of the classes that both folders hold folders of; none where these are labels themselves.

    Raises UserError where the truth has a class that was not predicted.
    """
    if not pred.is_dir() or not truth.is_dir() or any(is_image(one) for one in (pred, truth)):
        return []
    if any(is_image(inside) for folder in (pred, truth) for inside in folder.iterdir()):
        return []
    mine, wanted = ({p.name for p in folder.iterdir() if p.is_dir()} - {"report"} for folder in (pred, truth))
    if mine & wanted and (missing := sorted(wanted - mine)):
        there = ", ".join(sorted(mine & wanted))
        raise UserError(
            f"{truth} has labels of the class '{missing[0]}', but {pred} has only {there}; evaluate these one by one"
        )
    return sorted(mine & wanted)


def open_any(how: Callable[[ImageSource], list[Volume]], source: ImageSource) -> list[Volume]:
    """Voxel sizes play no part in a comparison of voxels, so a file that does not say its own gets any."""
    errors = []
    for extents in (None, (1.0, 1.0, 1.0), (1.0, 1.0)):
        unit = None if extents is None else "px"
        try:
            return how(source.model_copy(update={"voxel": extents, "unit": unit}))
        except UserError as error:
            errors.append(error)
    raise errors[0]


def pair_files(preds: list[Volume], truths: list[Volume], pred: str, truth: str) -> Pairs:
    """Two files belong together whatever their names (frame by frame); in folders, images of the same name do, or of
    names as nnU-Net and the Cell Tracking Challenge give them.

    Raises UserError where one has no partner, or another shape than its partner.
    """
    if find_files(pred, True).name is None and find_files(truth, True).name is None:
        if len(preds) != len(truths):
            raise UserError(
                f"{pred} holds {len(preds)} images, but {truth} holds {len(truths)}; give files of the same frames"
            )
        pairs = list(zip(preds, truths))
    else:
        mine, partners = ({volume.name: volume for volume in volumes} for volumes in (preds, truths))
        named = pair_by_convention(list(mine), list(partners))
        if named is None:
            refuse_lonely(set(mine), set(partners), pred, truth)
        pairs = [(mine[one], partners[other]) for one, other in named or ((name, name) for name in mine)]
    for one, other in pairs:
        if tuple(one.array.shape) != tuple(other.array.shape):
            raise UserError(
                f"{one.origin} has the shape {tuple(one.array.shape)}, but {other.origin} has the shape "
                f"{tuple(other.array.shape)}; compare images of one grid of voxels"
            )
    return pairs


def refuse_lonely(preds: set[str], truths: set[str], pred: str, truth: str) -> None:
    """Raises UserError where a name stands on one side only."""
    for names, here, there in ((preds - truths, pred, truth), (truths - preds, truth, pred)):
        if names:
            listed = list_names([f"'{name}'" for name in sorted(names)])
            cure = suffix_hint(list(preds), list(truths)) or "rename them or give one file each"
            raise UserError(
                f"{len(names)} of the images in {here} have no partner of the same name in {there} ({listed}); {cure}"
            )


def name_maps(confidence: Sequence[str]) -> dict[str, str]:
    """Score name -> path; the name is the file's or folder's."""
    names = [Path(path.split("::")[0].rstrip("/")).name.split(".")[0] for path in confidence]
    for name in names:
        if names.count(name) > 1 or name == VOXEL_COUNT:
            raise UserError(
                f"the score name '{name}' of `confidence` is used already; rename the file or folder that it comes from"
            )
    return dict(zip(names, confidence))


def connected_parts(mask: Volume, above: float | None, memory: float) -> Volume:
    """The objects of a mask, which are its connected parts above a value; labels as they are where that is None.

    Raises UserError where it is too large to find its parts.
    """
    if above is not None and (need := prod(mask.array.shape) * PARTS_BYTES) > memory:
        raise UserError(
            f"finding the connected parts of {mask.origin} needs {need / 1e9:.3g} GB; pass a larger `memory`, or "
            "labels with a number for each object"
        )
    return connected_objects(mask, above)


def compare(
    pairs: Pairs, maps: Mapping[str, Pairs], iou: float, memory: float, quiet: bool = True
) -> tuple[dict[str, Report], Report]:
    """Numbers of every image and of all together.

    Parameters
    ----------
    pairs
        Prediction and truth of each image.
    maps
        Confidences by the name of the score: prediction and image of confidence, in the order of `pairs`.
    iou
        From which on an object counts as found.
    memory
        Bytes for images and tables.

    Returns
    -------
    reports
        By the name of the prediction.
    together
        Of all images as if they lay side by side.
    """
    tables, scores = [], []
    with Progress("compare", len(pairs), "image", quiet) as progress:
        for index, (one, other) in enumerate(pairs):
            progress.advance(0, f"compare {one.name}")
            tables.append(overlap_by_blocks(other.array, one.array, memory))
            ranked = {name: found[index][1].array for name, found in maps.items()}
            scores.append({n: mean_over_objects_by_blocks(values, one.array, memory) for n, values in ranked.items()})
            progress.advance()
    reports = {p.name: report(table, score, iou) for (p, _), table, score in zip(pairs, tables, scores)}
    return reports, pool_tables(tables, scores, iou)


def summary(pred: str, truth: str, reports: dict[str, Report], together: Report) -> dict[str, Any]:
    """What goes into a JSON file."""
    return {
        "pred": pred,
        "truth": truth,
        "iou": together.threshold,
        "reading": READING,
        "mean": mean_report(list(reports.values())),
        "pooled": together.as_dict(),
        "images": [{"name": name, **one.as_dict()} for name, one in reports.items()],
    }


def pairings(pred: Path, found: dict[str, Pairs], iou: float, memory: float) -> dict[tuple[str, str], Pairing]:
    """Pairs of every two classes of which the table says that one belongs to the other, all images as one.

    Raises UserError where there is no such table, or none of the classes is in it.
    """
    table = read_pairs(pred / "report" / "pairs.csv")
    out = {}
    for member, owner in permutations(found, 2):
        mine = [row for row in table if (row["class"], row["belongs_to"]) == (member, owner)]
        if not mine:
            continue
        each = []
        for (one, true), (other, theirs) in zip(found[member], found[owner]):
            rows = (row for row in mine if row["image"] == one.name and row["other_id"] != "0")
            said = [(int(row["id"]), int(row["other_id"])) for row in rows]
            members, owners = (overlap_by_blocks(t.array, p.array, memory) for t, p in ((true, one), (theirs, other)))
            each.append(pairing(members, owners, said, iou))
        out[member, owner] = sum_pairings(each)
    if not out:
        raise UserError(f"the pairs in {pred / 'report'} are of other classes than the labels; leave `pairs` out")
    return out


def read_pairs(path: Path) -> list[dict[str, str]]:
    """Rows of the table that `cytoshift segment` has written. Raises UserError where it is not there, or damaged."""
    if not path.exists():
        raise UserError(
            f"`pairs` needs {path}, which does not exist; pass the folder that 'cytoshift segment' wrote, or leave "
            "`pairs` out"
        )
    with path.open(newline="", encoding="utf-8") as file:
        table = [
            {name: unescape_cell(word or "") for name, word in row.items() if name} for row in csv.DictReader(file)
        ]
    ids = [row.get(name) or "" for row in table for name in ("id", "other_id")]
    if any(not row.keys() >= COLUMNS for row in table) or not all(word.isdigit() for word in ids):
        raise UserError(f"{path} is not a table of pairs that 'cytoshift segment' wrote; segment again")
    return table
