"""Labels beside their truth, for a report: which true objects were found, and how well."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.json_files import FACTS, now, write_json
from ..core.machine import machine, peak_memory, versions
from ..data.describe import describe_images
from ..data.volumes import Volume
from ..labels.objects import objects
from ..labels.overlap import overlap
from .evidence import EvidenceImage, EvidenceObject, evidence, statistics

Triple = tuple[Volume, Volume, Volume | None]  # prediction, truth and, where there is one, the image


class AgreementMap:
    """Where there is an object: 0 nowhere, 1 in one of two label images, 2 in both; read as it is asked for."""

    dtype = np.dtype(np.uint8)

    def __init__(self, one: Volume, other: Volume) -> None:
        self.one, self.other, self.shape = one.array, other.array, one.array.shape

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        return (np.asarray(self.one[index]) > 0).astype(np.uint8) + (np.asarray(self.other[index]) > 0)


def write_comparison(triples: Sequence[Triple], result: dict[str, Any], seconds: float, folder: Path) -> Path:
    """Write facts.json and evidence of a comparison; result: its numbers, as `evaluate --json` writes them."""
    shown, found, sizes = [], {}, list[EvidenceObject]()
    for pred, truth, image in triples:
        axes: Literal["yx", "zyx"] = pred.axes
        base = image or Volume(pred.name, AgreementMap(pred, truth), axes, pred.voxel, pred.origin)  # type: ignore[arg-type]
        shown.append(EvidenceImage(base, pred, truth=truth))
        one, other = truth.load(), pred.load()
        found[base.name, ""] = object_rows(one, truth, best_iou(one, other), base.name)
        sizes += object_rows(other, pred, {}, base.name)
    evidence(shown, found, folder / "evidence", (0.0, 1.0))
    every = [o for rows in found.values() for o in rows]
    content = {
        "kind": "evaluate", "result": result, "versions": versions(), "machine": machine(), "finished": now(),
        "images": describe_images([pred for pred, _, _ in triples]), "all_seconds": seconds, "memory_gb": peak_memory(),
        "raw": all(image is not None for _, _, image in triples),
        "truth": statistics(every), "found": {"": statistics(sizes)},
    }  # fmt: skip
    return write_json(folder / FACTS, content)


def best_iou(truth: NDArray[np.generic], pred: NDArray[np.generic]) -> dict[int, float]:
    """The highest IoU of each true object with any prediction, by its id; 0 where it meets none."""
    meeting = overlap(truth, pred)
    highest = np.zeros(meeting.truth_ids.size)
    np.maximum.at(highest, meeting.pairs.truth, meeting.pairs.iou)
    return dict(zip(meeting.truth_ids.tolist(), highest.tolist()))


def object_rows(
    labels: NDArray[np.generic], volume: Volume, scores: dict[int, float], image: str
) -> list[EvidenceObject]:
    """The objects of a label image; their confidence is the score, 1 where there is none."""
    rows = objects(labels, volume.voxel)
    return [
        EvidenceObject(image, "", one, float(d), scores.get(one, 1.0), tuple(low), tuple(high))
        for one, d, low, high in zip(rows.ids.tolist(), rows.diameter, rows.low.tolist(), rows.high.tolist())
    ]
