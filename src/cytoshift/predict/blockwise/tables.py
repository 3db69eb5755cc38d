"""What blockwise work writes beside the labels: a row per object, and the report on its seams. A block at a time."""

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_path
from ...core.text import escape_cell
from ...labels.objects import Objects
from ...labels.regionprops import Columns
from ..outputs import column_titles
from .audit import Audit
from .job import Job, load
from .merge import objects_of_rows, rows_of
from .plan import shape_text


@dataclass(frozen=True)
class FoundStatistics:
    """The objects of one class in numbers."""

    name: str
    objects: int
    diameter: float  # median, in the unit of the voxel size
    confidence: float  # mean
    larger: int  # objects that are longer than the halo along some axis
    extent: tuple[int, ...]  # of the longest ones, along each axis in voxels
    unmeasured: int = 0  # too large for shapes and intensities

    def words(self, unit: str) -> str:
        if not self.objects:
            return "0 objects"
        words = (
            f"{self.objects} objects, median diameter {self.diameter:.3g} {unit}, mean confidence {self.confidence:.2f}"
        )
        too_large = "; {} of them are too large for the memory of a block: their shapes and intensities are nan"
        return words + (too_large.format(self.unmeasured) if self.unmeasured else "")

    def warning(self, halo: tuple[int, ...]) -> str | None:
        """Where the halo was too small for what was found."""
        if not self.larger:
            return None
        wide = ",".join(map(str, self.extent))
        return (
            f"warning: {self.larger} objects are longer than the halo of {shape_text(halo)} voxels, up to "
            f"{shape_text(self.extent)}; look at the seam audit, and pass `halo` {wide} to have all of them drawn in "
            "one "
            f"piece"
        )


def write_objects(path: Path, job: Job) -> list[FoundStatistics]:
    """The table of all objects, as the whole-image way writes it; and what there is to say about each class."""
    found = []
    with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        for place, part in enumerate(job.parts):
            before: list[NDArray[np.float32]] = []
            sums, larger, extent, unmeasured = 0.0, 0, np.zeros(len(job.plan.shape), np.int64), 0
            count = 0
            for number, rows in enumerate(rows_of(job, place)):
                table, confidence = measured_rows(job, place, number, rows, count)
                columns = table.columns() | {"confidence": confidence}
                if number == 0 and place == 0:
                    out.writerow(["image", *(["class"] if part.name else []), *columns])
                named = [escape_cell(job.volume.name), *([escape_cell(part.name)] if part.name else [])]
                out.writerows([*named, *row] for row in column_titles(columns))
                long = table.high - table.low
                larger += int((long > np.array(job.plan.halo)).any(1).sum())
                extent = np.maximum(extent, long.max(0, initial=0))
                unmeasured += int(np.isnan(table.measured["solidity"]).sum())
                before.append(table.diameter.astype(np.float32))
                sums, count = sums + float(confidence.sum()), count + len(rows)
            middle = float(np.median(np.concatenate(before))) if count else 0.0
            blocks = len(job.grid) > 1
            found.append(
                FoundStatistics(
                    part.name,
                    count,
                    middle,
                    sums / max(count, 1),
                    larger * blocks,
                    tuple(map(int, extent)),
                    unmeasured,
                )
            )
    return found


def measured_rows(
    job: Job, place: int, number: int, rows: NDArray[np.void], before: int
) -> tuple[Objects, NDArray[np.float64]]:
    """The rows of one block as a table, and confidences; `before` objects have lower ids."""
    table = objects_of_rows(job, rows, np.arange(before + 1, before + 1 + len(rows), dtype=np.uint64))
    seen = load(job.file("measured", place, number))
    measured: Columns = {name: seen[name] for name in seen.dtype.names or ()}
    return replace(table, measured=measured), rows["sure"] / rows["voxels"]


def write_seams(path: Path, job: Job, audits: Sequence[Audit], found: Sequence[FoundStatistics]) -> None:
    """The verdicts, the numbers behind them, and the geometry, as JSON."""
    plan = job.plan
    content = {
        "verdict": "passed" if all(audit.passed for audit in audits) else "failed",
        "classes": {
            one.name or "objects": audit.report() | {"objects": one.objects, "largest": one.extent}
            for one, audit in zip(found, audits)
        },
        "blocks": {"count": len(job.grid), "size": plan.block, "halo": plan.halo, "tile": plan.cover.extent},
    }
    with atomic_path(path) as beside:
        beside.write_text(json.dumps(content, indent=1))


def join_tables(parts: Sequence[Path], whole: Path) -> None:
    """Tables with the same columns behind each other, however long."""
    with atomic_path(whole) as beside, beside.open("wb") as out:
        for number, path in enumerate(parts):
            with path.open("rb") as file:
                if number:
                    file.readline()
                shutil.copyfileobj(file, out)
