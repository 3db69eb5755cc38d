"""(6) Whether faces of blocks have left a trace: what they cut or merge, against planes half way between them.

A plane parts two layers of voxels. On either side it cuts objects into sections; of an object that goes on, the two
sections are nearly alike, since the layers are neighbours. Where they are alike and carry different ids, an object was
cut; where there is nothing on the other side, it was lost; where objects that cross the plane are larger than those
that cross another one, some were merged. Objects do such things by themselves too, so the same is counted on planes
shifted by half a block, where no face is: faces must not differ from them by more than chance.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices
from ..data.store import LabelStore
from ..labels.overlap import overlap
from .job import Job

ALIKE = 0.5  # IoU from which two sections are one object's
LEAST = {1: 3, 2: 9}  # voxels of a section that counts, by the number of its axes
EXCESS = 0.01  # more of the sections than this must be cut, lost ...
GROWTH = 0.05  # ... or crossing objects larger by this part ...
SIGMA = 4.0  # ... beyond so many standard errors, before it counts as a seam
# Per axis and kind of plane: sections, and of these cut and lost; objects that cross, sums of the logarithm of their
# sizes and of its square; area of the plane.
FIELDS = ("sections", "cut", "lost", "crossing", "log", "square", "area")


def seams(job: Job, part: int, labels: LabelStore, number: int) -> NDArray[np.float64]:
    """The counts of one block: (axes, 2, FIELDS), its first face and then the plane in its middle, of each axis."""
    block = job.grid[number]
    out = np.zeros((len(job.plan.shape), 2, len(FIELDS)))
    path = job.folder / "merged" / f"{part}" / "sizes.bin"
    sizes = np.memmap(path, np.int64, "r") if path.stat().st_size else np.zeros(0, np.int64)
    for axis, write in enumerate(block.write):
        middle = write.start + job.plan.block[axis] // 2
        for kind, plane in enumerate((write.start, middle)):
            if 0 < plane < write.stop:
                out[axis, kind] = counts(*layers(labels, block.write, axis, plane), sizes)
    return out


def layers(
    labels: LabelStore, region: Slices, axis: int, plane: int
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """The two layers of voxels that a plane parts."""
    both = labels[(*region[:axis], slice(plane - 1, plane + 1), *region[axis + 1 :])]
    before, after = np.moveaxis(both, axis, 0)
    return np.ascontiguousarray(before), np.ascontiguousarray(after)


def counts(before: NDArray[np.generic], after: NDArray[np.generic], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """FIELDS of one plane. before, after: (*S) of one axis less than the volume; sizes: voxels of objects 1..N."""
    table = overlap(before, after)
    least = LEAST[before.ndim]
    pairs = table.pairs.at_least(ALIKE)
    ids = table.truth_ids[pairs.truth], table.pred_ids[pairs.pred]
    large = np.minimum(table.truth_sizes[pairs.truth], table.pred_sizes[pairs.pred]) >= least
    cut = int((large & (ids[0] != ids[1])).sum())
    sections = lost = 0
    for own, its, met in (
        (table.truth, table.truth_sizes, table.pred), (table.pred, table.pred_sizes, table.truth)
    ):  # fmt: skip
        numbers = np.unique(own[own > 0])
        empty = np.zeros(numbers.size, np.int64)
        alone = (own > 0) & (met == 0)
        empty[np.searchsorted(numbers, own[alone])] = table.count[alone]
        sections += int((its >= least).sum())
        lost += int(((its >= least) & (empty == its)).sum())
    crossing = np.intersect1d(table.truth_ids, table.pred_ids)
    log = np.log(sizes[crossing.astype(np.int64) - 1])
    return np.array([sections / 2, cut, lost / 2, crossing.size, log.sum(), (log**2).sum(), before.size])


@dataclass(frozen=True)
class Audit:
    """What was counted on faces and on planes between them, of all axes together, and what follows."""

    faces: dict[str, float]
    between: dict[str, float]
    excess: dict[str, float]  # of faces over planes between: cut and lost, of all sections; growth of crossing objects
    sigmas: dict[str, float]  # the same in standard errors
    seams: tuple[str, ...]  # which of them are no chance

    @property
    def passed(self) -> bool:
        return not self.seams

    def sentence(self) -> str:
        """For the console."""
        if not self.faces["sections"]:
            return "seam audit: passed, no object lies at a face of a block"
        rates = ", ".join(
            f"{word} {100 * self.faces[word] / self.faces['sections']:.2f} % "
            f"(between faces {100 * self.between[word] / max(self.between['sections'], 1):.2f} %)"
            for word in ("cut", "lost")
        )
        growth = f"crossing objects {100 * self.excess['growth']:+.1f} % in size"
        verdict = "passed" if self.passed else f"FAILED ({' and '.join(self.seams)} at faces)"
        return f"seam audit: {verdict}; of {self.faces['sections']:.0f} sections at faces {rates}, {growth}"

    def report(self) -> dict[str, Any]:
        """JSON."""
        return {
            "verdict": "passed" if self.passed else "failed", "seams": list(self.seams), "faces": self.faces,
            "between": self.between, "excess": self.excess, "sigmas": self.sigmas,
            "limits": {"excess": EXCESS, "growth": GROWTH, "sigmas": SIGMA},
        }  # fmt: skip


def judged(total: NDArray[np.float64]) -> Audit:
    """From the sum of `seams` over all blocks, (axes, 2, FIELDS)."""
    faces, between = (dict(zip(FIELDS, map(float, total[:, kind].sum(0)))) for kind in (0, 1))
    excess, sigmas = {}, {}
    for word in ("cut", "lost"):
        excess[word], sigmas[word] = rates(faces[word], faces["sections"], between[word], between["sections"])
    excess["growth"], sigmas["growth"] = grown(faces, between)
    limits = {"cut": EXCESS, "lost": EXCESS, "growth": GROWTH}
    names = {"cut": "objects cut", "lost": "objects lost", "growth": "objects merged"}
    found = tuple(names[w] for w in limits if excess[w] > limits[w] and sigmas[w] > SIGMA)
    return Audit(faces, between, excess, sigmas, found)


def rates(a: float, of: float, b: float, among: float) -> tuple[float, float]:
    """How much larger a / of is than b / among, and that in standard errors."""
    if not of or not among:
        return 0.0, 0.0
    pooled = (a + b + 1) / (of + among + 2)
    excess = a / of - b / among
    return excess, excess / sqrt(pooled * (1 - pooled) * (1 / of + 1 / among))


def grown(faces: dict[str, float], between: dict[str, float]) -> tuple[float, float]:
    """How much larger (in the geometric mean) objects are that cross a face, and that in standard errors."""
    if min(faces["crossing"], between["crossing"]) < 2:
        return 0.0, 0.0
    means, errors = [], 0.0
    for one in (faces, between):
        mean = one["log"] / one["crossing"]
        means.append(mean)
        errors += max(one["square"] / one["crossing"] - mean**2, 1e-6) / one["crossing"]
    excess = means[0] - means[1]
    return float(np.expm1(excess)), excess / sqrt(errors)
