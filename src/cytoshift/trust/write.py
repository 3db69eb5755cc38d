"""What was judged, beside the labels: a table of objects for people and viewers, and the score of every image.

    cells.tif        cells.trust.csv    cells.trust.json       of one file
    OUT/*.tif        OUT/report/trust.csv    OUT/report/trust.json    of a folder as `cytoshift segment` writes it

The table has a row per object: image, label, confidence, and what it was made of. Labels in OME-Zarr also get the
confidence as properties of their ids, where NGFF keeps these (image-label/properties).
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import replacing
from ..core.voxel import Voxel
from ..data.volumes import Volume
from ..labels.ids import sizes
from ..labels.objects import objects
from .judge import Found
from .score import Score, confidence, score

BLOCK = 8.0  # median diameters along each side of a block


@dataclass(frozen=True, eq=False)
class Judged:
    """One class of one image."""

    volume: Volume
    name: str  # of the class, "" of a single one
    found: Found
    score: Score
    confidence: NDArray[np.float64]  # (N,)

    @classmethod
    def of(cls, volume: Volume, name: str, found: Found) -> "Judged":
        sure = confidence(found.objects) if found.criteria else np.zeros(0)
        return cls(volume, name, found, score(found.criteria, len(sure)), sure)

    @property
    def ids(self) -> NDArray[np.uint64]:
        return sizes(self.found.labels)[0]

    def rows(self) -> list[dict[str, Any]]:
        columns = {"confidence": self.confidence, **self.found.objects}
        first = {"image": self.volume.name} | ({"class": self.name} if self.name else {})
        return [
            first | {"label": int(number)} | {name: round(float(values[i]), 4) for name, values in columns.items()}
            for i, number in enumerate(self.ids)
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            "image": self.volume.name, **({"class": self.name} if self.name else {}),
            "score": round(self.score.value, 4), "low": round(self.score.low, 4), "high": round(self.score.high, 4),
            "calibrated": not self.score.outside, "says": self.score.sentence(), "objects": len(self.confidence),
            "criteria": {name: round(value, 4) for name, value in self.found.criteria.items()},
            "blocks": blocks(self.found.labels, self.volume.voxel, self.confidence),
        }  # fmt: skip


def blocks(labels: NDArray[np.generic], voxel: Voxel, sure: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Mean confidence of the objects whose centre lies in each block of the image, where there is any.

    `start` and `stop` are in voxels, in the order of the axes.
    """
    table = objects(labels, voxel)
    if not table.ids.size:
        return []
    side = BLOCK * float(np.median(table.diameter))
    steps = np.array([max(round(n), 1) for n in voxel.voxels(side)])
    place = (np.round(table.centroid / np.array(voxel.size)).astype(int) // steps).clip(0)
    out = []
    for here in np.unique(place, axis=0):
        mine = (place == here).all(axis=1)
        stop = np.minimum((here + 1) * steps, labels.shape)
        mean = round(float(sure[mine].mean()), 4)
        out.append({"start": (here * steps).tolist(), "stop": stop.tolist(), "objects": int(mine.sum()),
                    "confidence": mean})  # fmt: skip
    return out


def places(labels: Path) -> tuple[Path, Path]:
    """Where the table and the scores of labels go."""
    head = Path(str(labels).partition("::")[0])
    if head.is_dir() and head.suffix.lower() != ".zarr":
        return head / "report" / "trust.csv", head / "report" / "trust.json"
    stem = head.stem.removesuffix(".ome")
    return head.with_name(f"{stem}.trust.csv"), head.with_name(f"{stem}.trust.json")


def write(judged: Sequence[Judged], labels: Path, model: str) -> tuple[Path, Path]:
    """Both files, and properties where the labels are OME-Zarr; returns the files."""
    table, scores = places(labels)
    rows = [row for one in judged for row in one.rows()]
    names = list(rows[0]) if rows else ["image", "label", "confidence", "stable", "sure", "contrast"]
    with replacing(table) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with replacing(scores) as beside:
        beside.write_text(json.dumps({"model": model, "images": [one.as_dict() for one in judged]}, indent=1) + "\n")
    head, _, inside = str(labels).partition("::")
    if Path(head).suffix.lower() == ".zarr" and len(judged) == 1:
        set_properties(Path(head) / inside, judged[0])
    return table, scores


def set_properties(group: Path, judged: Judged) -> None:
    """Write the confidence of each id into the metadata of an OME-Zarr label image, of version 0.4 or 0.5."""
    import zarr

    opened = zarr.open_group(group, mode="r+")
    attributes = dict(opened.attrs)
    ome: Any = attributes.get("ome")
    holder: dict[str, Any] = dict(ome) if isinstance(ome, dict) else attributes
    image_label: Any = holder.get("image-label")
    rows = [
        {"label-value": int(number), "confidence": round(float(sure), 4)}
        for number, sure in zip(judged.ids, judged.confidence)
    ]
    holder["image-label"] = (dict(image_label) if isinstance(image_label, dict) else {}) | {"properties": rows}
    opened.attrs.update({"ome": holder} if isinstance(ome, dict) else {"image-label": holder["image-label"]})
