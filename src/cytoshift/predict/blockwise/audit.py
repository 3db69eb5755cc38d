"""(6) The seam audit: do faces of blocks cut or merge objects more often than planes inside of the blocks?

A plane lies between two layers of voxels, and cuts objects into sections. The two sections of an object that continues
are nearly alike, as the layers are neighbours. If they are alike and have different ids, the object was cut; if nothing
is on the other side, it was lost; if objects that cross the plane are larger than those that cross another plane, some
were merged. All this also happens without a face, so the same is counted on planes inside of blocks: faces must not
differ from these by more than these differ among themselves. Tissue is not alike at every depth, and all objects of one
plane share its depth: with two blocks along an axis a face is one draw, however many objects cross it. Cells that stand
in rows at the distance of the faces look like a seam: no count on planes tells the two apart.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from ...core.blocks import BlockGrid, Slices
from ...data.store import LabelStore
from ...labels.overlap import overlap
from .job import Job

INSIDE = 4  # planes of a block and axis without a face, evenly spread
SAME_OBJECT_IOU = 0.5  # IoU from which two sections are one object's
LEAST_SECTION_VOXELS = {1: 3, 2: 9}  # voxels of a section that counts, by the number of its axes
EXCESS_SHARE = 0.01  # more of the sections than this must be cut, lost ...
GROWTH_PART = 0.05  # ... or crossing objects larger by this part ...
CHANCE_ERRORS = 4.0  # ... as rarely by chance as a normal number beyond so many standard errors: then it is a seam
# Of a plane: sections, and of these cut and lost; objects that cross, sums of the logarithm of their sizes and of its
# square; area.
FIELDS = ("sections", "cut", "lost", "crossing", "log", "square", "area")


def seams(job: Job, part: int, labels: LabelStore, number: int) -> NDArray[np.float64]:
    """The counts of one block: (axes, 1 + INSIDE, FIELDS), of each axis its first face and then planes inside."""
    block = job.grid[number]
    out = np.zeros((len(job.plan.shape), 1 + INSIDE, len(FIELDS)))
    path = job.folder / "merged" / f"{part}" / "sizes.bin"
    sizes = np.memmap(path, np.int64, "r") if path.stat().st_size else np.zeros(0, np.int64)
    own = labels[block.write]
    for axis, write in enumerate(block.write):
        for place, plane in enumerate(cut_positions(write.start, job.plan.block[axis])):
            if 0 < plane < write.stop:
                before = own.take(plane - 1 - write.start, axis) if place else layer_before(labels, block.write, axis)
                out[axis, place] = count_plane(before, own.take(plane - write.start, axis), sizes)
    return out


def cut_positions(start: int, size: int) -> list[int]:
    """The face of a block along an axis and its planes inside, as many as its size has room for."""
    inside = sorted({start + (2 * i + 1) * size // (2 * INSIDE) for i in range(INSIDE)} - {start})
    return [start, *inside]


def layer_before(labels: LabelStore, region: Slices, axis: int) -> NDArray[np.generic]:
    """The layer of voxels before the first face of a region, (*S) of one axis less."""
    first = region[axis].start
    return labels[(*region[:axis], slice(first - 1, first), *region[axis + 1 :])].squeeze(axis)


def count_plane(
    before: NDArray[np.generic], after: NDArray[np.generic], sizes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """FIELDS of one plane. before, after: (*S) of one axis less than the volume; sizes: voxels of objects 1..N."""
    table = overlap(before, after)
    least = LEAST_SECTION_VOXELS[before.ndim]
    pairs = table.pairs.at_least(SAME_OBJECT_IOU)
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
    """What was counted on faces and on planes inside of blocks, of all axes together, and what follows."""

    faces: dict[str, float]
    between: dict[str, float]
    excess: dict[str, float]  # of faces over planes between: cut and lost, of all sections; growth of crossing objects
    sigmas: dict[str, float]  # the same in standard errors, where they are few objects' those of a normal number
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
            "limits": {"excess": EXCESS_SHARE, "growth": GROWTH_PART, "sigmas": CHANCE_ERRORS},
        }  # fmt: skip


def sum_planes(grid: BlockGrid, tables: Iterable[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Of each axis its planes (blocks along it, 1 + INSIDE, FIELDS): sums of `seams` over the blocks that share one."""
    out = [np.zeros((count, 1 + INSIDE, len(FIELDS))) for count in grid.counts]
    for block, table in zip(grid, tables):
        for axis, place in enumerate(block.index):
            out[axis][place] += table[axis]
    return out


def judge_seams(planes: Sequence[NDArray[np.float64]]) -> Audit:
    """From the planes of each axis, (blocks along it, 1 + INSIDE, FIELDS)."""
    faces = [one[:, 0] for one in planes]
    inside = [one[:, 1:].reshape(-1, len(FIELDS)) for one in planes]
    at, between = (dict(zip(FIELDS, map(float, sum(one.sum(0) for one in kind)))) for kind in (faces, inside))
    excess, sigmas = {}, {}
    for word, measure in (("cut", rate("cut")), ("lost", rate("lost")), ("growth", logarithm)):
        difference, sigmas[word] = compare_faces([measure(one) for one in faces], [measure(one) for one in inside])
        excess[word] = float(np.expm1(difference)) if word == "growth" else difference
    limits = {"cut": EXCESS_SHARE, "lost": EXCESS_SHARE, "growth": GROWTH_PART}
    names = {"cut": "objects cut", "lost": "objects lost", "growth": "objects merged"}
    found = tuple(names[w] for w in limits if excess[w] > limits[w] and sigmas[w] > CHANCE_ERRORS)
    return Audit(at, between, excess, sigmas, found)


@dataclass(frozen=True)
class Means:
    """Of some planes (P,): how many things were counted, their mean, and the variance of one of them."""

    number: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: float

    @property
    def total(self) -> float:
        return float(self.number @ self.mean)


def rate(word: str) -> Callable[[NDArray[np.float64]], Means]:
    """The part of sections that are cut or lost."""

    def of(planes: NDArray[np.float64]) -> Means:
        number, found = planes[:, FIELDS.index("sections")], planes[:, FIELDS.index(word)]
        pooled = (found.sum() + 1) / (number.sum() + 2)
        return Means(number, found / np.maximum(number, 1), float(pooled * (1 - pooled)))

    return of


def logarithm(planes: NDArray[np.float64]) -> Means:
    """The logarithm of the sizes of objects that cross."""
    number, log, square = (planes[:, FIELDS.index(word)] for word in ("crossing", "log", "square"))
    mean = log.sum() / max(number.sum(), 1)
    return Means(number, log / np.maximum(number, 1), float(max(square.sum() / max(number.sum(), 1) - mean**2, 1e-6)))


def compare_faces(faces: Sequence[Means], inside: Sequence[Means]) -> tuple[float, float]:
    """How much larger the mean on faces is than that inside, and that in standard errors.

    faces, inside: of each axis. A plane's mean varies by chance and by its depth (random effects). The latter's
    variance is that of planes inside about the mean of their axis, less what chance explains (DerSimonian and Laird,
    Controlled Clinical Trials 7, 1986); a seam, which they do not have, cannot excuse itself by it. Both variances are
    estimates, of a few planes or objects at times: the difference follows Student's t, its freedom by Satterthwaite
    (Biometrics Bulletin 2, 1946), and is given as the normal number that is as rare.
    """
    spread, freedom, room = 0.0, 0, 0.0
    for one in inside:
        weight = one.number / one.variance
        if (seen := weight[weight > 0]).size > 1:
            mean = one.total / one.number.sum()
            spread += float(weight @ (one.mean - mean) ** 2)
            freedom += seen.size - 1
            room += float(seen.sum() - seen @ seen / seen.sum())
    depth = max(spread - freedom, 0.0) / room if room else 0.0
    means, numbers, deep, chance = [], [], 0.0, 0.0
    for kind in (faces, inside):
        number = sum(float(one.number.sum()) for one in kind)
        if number < 2:
            return 0.0, 0.0
        means.append(sum(one.total for one in kind) / number)
        numbers.append(number)
        for one in kind:
            part = one.number / number
            deep += float(part @ part) * depth
            chance += float(part.sum()) / number * one.variance
    difference, error = means[0] - means[1], deep + chance
    score = difference / sqrt(error)
    free = error**2 / (deep**2 / max(freedom, 1) + chance**2 / (min(numbers) - 1))
    return difference, float(min(score, -ndtri(stdtr(free, -score)))) if score > 0 else score
