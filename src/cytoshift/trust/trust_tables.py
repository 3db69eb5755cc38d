"""Writes the results of `trust` beside the labels: a table of objects for people and viewers, and the scores of images.

    cells.tif        cells.trust.csv    cells.trust.json       of one file
    OUT/*.tif        OUT/report/trust.csv    OUT/report/trust.json    of a folder as `cytoshift segment` writes it

The table has a row per object: image, label, confidence, and what it was made of. Labels in OME-Zarr that this program
wrote also get the confidence as properties of their ids, where NGFF keeps these (image-label/properties); of more than
PROPERTIES objects the table alone has it, as whoever opens the labels would read all of the metadata first.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path
from ..core.blocks import Block, extent
from ..core.provenance import SOFTWARE
from ..core.text import escape_cell
from ..data.volumes import Volume
from ..labels.objects import objects
from .judge import ClassCriteria
from .score import Score, confidence, mean_score, score

BLOCK_DIAMETERS = 8.0  # median diameters along each side of a block
PROPERTIES = 100_000  # objects: 4 MB of metadata


@dataclass(frozen=True, eq=False)
class JudgedLabels:
    """One class of one image, or of a box of it. N objects, by ascending id.

    criteria: empty without an object. objects: what confidence was made of. blocks: rows of the JSON. voxels: of
    the image that were looked at. boxes: how many were, 0 where the image was judged in one piece.
    """

    volume: Volume
    name: str  # of the class, "" of a single one
    criteria: dict[str, float]
    score: Score
    ids: NDArray[np.uint64]  # (N,)
    place: NDArray[np.int64]  # (N, D) voxel that the centre lies in
    confidence: NDArray[np.float64]  # (N,)
    objects: dict[str, NDArray[np.float64]]  # (N,) each
    blocks: list[dict[str, Any]]
    voxels: int
    boxes: int = 0

    @classmethod
    def of(cls, volume: Volume, name: str, found: ClassCriteria) -> "JudgedLabels":
        """An image that was judged in one piece."""
        sure = confidence(found.objects) if found.criteria else np.zeros(0)
        table = objects(found.labels, volume.voxel)
        place = np.round(table.centroid / np.array(volume.voxel.size)).astype(np.int64)
        side = BLOCK_DIAMETERS * float(np.median(table.diameter)) if len(sure) else 1.0
        rows = blocks(place, [max(round(n), 1) for n in volume.voxel.voxels(side)], found.labels.shape, sure)
        total = score(found.criteria, len(sure))
        voxels = found.labels.size
        return cls(volume, name, found.criteria, total, table.ids, place, sure, found.objects, rows, voxels)

    def with_confidence(
        self, confidence: NDArray[np.float64], column: str, values: NDArray[np.float64], criterion: str, score: Score
    ) -> "JudgedLabels":
        """The same labels with another confidence (N,) and score, from values (N,) of the objects: these are a column
        of the table, their mean is a criterion."""
        rows = []
        for row in self.blocks:
            inside = ((self.place.clip(0) >= row["start"]) & (self.place < row["stop"])).all(axis=1)
            rows.append(row | confidence_row(row["start"], row["stop"], confidence[inside]))
        return replace(
            self, confidence=confidence, objects={column: values} | self.objects, score=score, blocks=rows,
            criteria={criterion: float(values.mean())} | self.criteria,
        )  # fmt: skip

    @property
    def share(self) -> float:
        """Of the image that was looked at."""
        return self.voxels / prod(self.volume.shape)

    def crop(self, box: Block) -> "JudgedLabels":
        """What is of a box, from what was found where it reads: places are the image's, one row of blocks is it."""
        low, high = (np.array([getattr(side, end) for side in box.write]) for end in ("start", "stop"))
        place = self.place + [side.start for side in box.read]
        mine = ((place >= low) & (place < high)).all(axis=1)
        sure = self.confidence[mine]
        told = {"score": round(self.score.value, 4), "calibrated": not self.score.outside}
        return replace(
            self, ids=self.ids[mine], place=place[mine], confidence=sure,
            objects={name: values[mine] for name, values in self.objects.items()},
            blocks=[confidence_row(low.tolist(), high.tolist(), sure) | told] if mine.any() else [],
            voxels=prod(extent(box.write)), boxes=1,
        )  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        columns = {"confidence": self.confidence, **self.objects}
        first = {"image": self.volume.name} | ({"class": self.name} if self.name else {})
        return [
            first | {"label": int(number)} | {name: round(float(values[i]), 4) for name, values in columns.items()}
            for i, number in enumerate(self.ids)
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            "image": self.volume.name, **({"class": self.name} if self.name else {}),
            **score_entry(self.score), "objects": len(self.confidence),
            "boxes": self.boxes, "share": round(self.share, 4),
            "criteria": {name: round(value, 4) for name, value in self.criteria.items()},
            "blocks": self.blocks,
        }  # fmt: skip

    def sentence(self, words: str) -> str:
        """words: of the score."""
        name = f"{self.volume.name}{f', {self.name}' * bool(self.name)}"
        where = f" in {self.boxes} boxes, {100 * self.share:.3g} % of the image" * bool(self.boxes)
        return f"{name}: {len(self.confidence)} objects{where}, {words}"


def score_entry(score: Score) -> dict[str, Any]:
    return {
        "score": round(score.value, 4), "low": round(score.low, 4), "high": round(score.high, 4),
        "calibrated": not score.outside, "says": score.sentence(),
    }  # fmt: skip


def join_boxes(volume: Volume, name: str, parts: Sequence[JudgedLabels]) -> JudgedLabels:
    """A class of an image from its boxes: criteria are means over objects, each that of its box.

    An object that reaches through more than a halo may have its centre in two boxes; the first one tells of it.
    """
    full = [part for part in parts if part.criteria and len(part.ids)]
    criteria = {}
    for key in dict.fromkeys(key for part in full for key in part.criteria):
        known = [part for part in full if key in part.criteria]
        weights = [len(part.ids) for part in known]
        criteria[key] = float(np.average([part.criteria[key] for part in known], weights=weights))
    ids, first = np.unique(np.concatenate([part.ids for part in parts]), return_index=True)
    columns = {key: np.concatenate([p.objects[key] for p in parts])[first] for key in parts[0].objects}
    return JudgedLabels(
        volume, name, criteria, score(criteria, len(ids)), ids,
        np.concatenate([part.place for part in parts])[first],
        np.concatenate([part.confidence for part in parts])[first],
        columns, [row for part in parts for row in part.blocks],
        sum(part.voxels for part in parts), len(parts),
    )  # fmt: skip


def blocks(
    place: NDArray[np.int64], steps: Sequence[int], shape: tuple[int, ...], sure: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Mean confidence of the objects whose centre lies in each block of an image, where there is any.

    place: (N, D) of the centres; steps: sides of a block; `start` and `stop` are in voxels, in the order of the axes.
    """
    index = place.clip(0) // np.array(steps)
    out = []
    for here in np.unique(index, axis=0):
        stop = np.minimum((here + 1) * steps, shape)
        out.append(confidence_row((here * steps).tolist(), stop.tolist(), sure[(index == here).all(axis=1)]))
    return out


def confidence_row(start: list[int], stop: list[int], sure: NDArray[np.float64]) -> dict[str, Any]:
    return {"start": start, "stop": stop, "objects": len(sure), "confidence": round(float(sure.mean()), 4)}


def places(labels: Path) -> tuple[Path, Path]:
    """Where the table and the scores of labels go."""
    head = Path(str(labels).partition("::")[0])
    if head.is_dir() and head.suffix.lower() != ".zarr":
        return head / "report" / "trust.csv", head / "report" / "trust.json"
    stem = head.stem.removesuffix(".ome")
    return head.with_name(f"{stem}.trust.csv"), head.with_name(f"{stem}.trust.json")


def write(judged: Sequence[JudgedLabels], labels: Path, model: str) -> tuple[Path, Path]:
    """Both files, and properties where the labels are OME-Zarr; returns the files."""
    table, scores = places(labels)
    rows = [row for one in judged for row in one.rows()]
    names = list(rows[0]) if rows else ["image", "label", "confidence", "stable", "sure", "contrast"]
    with atomic_path(table) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: escape_cell(v) if isinstance(v, str) else v for name, v in row.items()} for row in rows)
    total = mean_score([one.score for one in judged])
    told = {"model": model, **score_entry(total), "images": [one.as_dict() for one in judged]}
    with atomic_path(scores) as beside:
        beside.write_text(json.dumps(told, indent=1) + "\n")
    head, _, inside = str(labels).partition("::")
    if Path(head).suffix.lower() == ".zarr" and len(judged) == 1 and len(rows) <= PROPERTIES:
        set_properties(Path(head) / inside, judged[0])
    return table, scores


def set_properties(group: Path, judged: JudgedLabels) -> None:
    """Write the confidence of each id into the metadata of an OME-Zarr label image, of version 0.4 or 0.5, if this
    program wrote it: those of others stay as they are."""
    import zarr

    attributes = dict(zarr.open_group(group, mode="r").attrs)
    if attributes.get("software") != SOFTWARE:
        return
    opened = zarr.open_group(group, mode="r+")
    ome: Any = attributes.get("ome")
    holder: dict[str, Any] = dict(ome) if isinstance(ome, dict) else attributes
    image_label: Any = holder.get("image-label")
    rows = [
        {"label-value": int(number), "confidence": round(float(sure), 4)}
        for number, sure in zip(judged.ids, judged.confidence)
    ]
    holder["image-label"] = (dict(image_label) if isinstance(image_label, dict) else {}) | {"properties": rows}
    opened.attrs.update({"ome": holder} if isinstance(ome, dict) else {"image-label": holder["image-label"]})
