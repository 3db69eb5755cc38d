"""How much a region is one ellipse (ellipsoid), from its moments, and the merging of regions that are one together.

A solid ellipsoid of n dimensions with covariance C has the volume omega_n (n + 2)^(n/2) sqrt(det C), omega_n that of
the unit ball, and no other solid of that covariance has more. The ratio of a region's volume to it is 1 for every
ellipse, whatever its axes; 0.90 for two touching disks, 0.82 for two touching balls, 0.95 for half a disk. Moments add
up, so the ratio of a union costs nothing.
"""

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel
from .saddle import touching_pairs


@dataclass(frozen=True)
class Moments:
    """Of regions 0..N-1 (0 is the background and left empty), lengths in the voxel's unit.

    volume (N,), first (N, n) and second (N, n, n): integrals of 1, x and x x^T over the region.
    """

    volume: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.volume + other.volume, self.first + other.first, self.second + other.second)

    def __getitem__(self, index: NDArray[np.intp]) -> "Moments":
        return Moments(self.volume[index], self.first[index], self.second[index])

    def covariance(self) -> NDArray[np.float64]:
        """(N, n, n), zero where a region is empty."""
        volume = np.maximum(self.volume, np.finfo(float).tiny)[:, None]
        mean = self.first / volume
        return self.second / volume[..., None] - mean[:, :, None] * mean[:, None, :]

    def ellipticity(self) -> NDArray[np.float64]:
        """(N,) volume over that of the ellipsoid with the same covariance, at most 1."""
        n = self.first.shape[1]
        ball = math.pi ** (n / 2) / math.gamma(n / 2 + 1) * (n + 2) ** (n / 2)
        determinant = np.linalg.det(self.covariance())
        return self.volume / (ball * np.sqrt(np.maximum(determinant, np.finfo(float).tiny)))


def moments(labels: NDArray[np.integer], voxel: Voxel) -> Moments:
    """Moments of every label of a label image (*S); a voxel counts as a box, so that flat regions have a width."""
    at = np.nonzero(labels)
    name, count = labels[at], int(labels.max()) + 1
    n = labels.ndim
    # Relative to the image's middle, so that large coordinates do not eat the digits of the covariance.
    x = [(c - size / 2) * s for c, size, s in zip(at, labels.shape, voxel.size)]
    first, second = np.empty((count, n)), np.empty((count, n, n))
    volume = np.bincount(name, minlength=count).astype(float)
    for i in range(n):
        first[:, i] = np.bincount(name, x[i], minlength=count)
        for j in range(i, n):
            second[:, i, j] = second[:, j, i] = np.bincount(name, x[i] * x[j], minlength=count)
        second[:, i, i] += volume * voxel.size[i] ** 2 / 12
    return Moments(volume * voxel.volume, first * voxel.volume, second * voxel.volume)


def merge_ellipses(labels: NDArray[np.integer], voxel: Voxel) -> NDArray[np.int32]:
    """Merge touching regions while the union is more of an ellipse than its parts are, the surest first.

    labels: (*S), 0 background, every label of 1..N in use. Returns (*S) with labels 1..M. The gain is the
    ellipticity of the union less the volume-weighted mean of the parts'. Splits from texture inside an object are
    undone, touching objects stay apart. There is no threshold. Unions are of two regions, or of three that touch each
    other: two of the three slices of a round object are not an ellipse yet.
    """
    pairs = touching_pairs(labels)[0]
    if not len(pairs):
        return labels.astype(np.int32)
    names = EllipseMerger(moments(labels, voxel), pairs).apply_unions()
    return np.unique(names, return_inverse=True)[1].astype(np.int32)[labels]


class EllipseMerger:
    """Regions, who touches whom, and a queue of unions worth making. A union is a region younger than its parts."""

    def __init__(self, start: Moments, pairs: NDArray[np.int64]) -> None:
        """start: moments of regions 0..N-1; pairs: (P, 2) that touch."""
        self.count = len(start.volume)
        parts = (start.volume, start.first, start.second)
        self.known = Moments(*(np.concatenate([part, np.zeros_like(part)]) for part in parts))  # at most N unions
        self.ratio = np.concatenate([start.ellipticity(), np.zeros(self.count)])
        self.into = np.arange(2 * self.count)
        self.touching: dict[int, set[int]] = {}
        for a, b in pairs.tolist():
            self.touching.setdefault(a, set()).add(b)
            self.touching.setdefault(b, set()).add(a)
        self.queue: list[tuple[float, tuple[int, ...]]] = []
        self.consider([(a, b) for a, b in pairs.tolist()])
        self.consider([(a, b, c) for a, b in pairs.tolist() for c in self.common_neighbours(a, b) if c > b])

    def common_neighbours(self, a: int, b: int) -> list[int]:
        """Regions that touch both, in order."""
        return sorted(self.touching[a] & self.touching[b])

    def union(self, groups: NDArray[np.intp]) -> Moments:
        """Moments of the unions of `groups` (G, k)."""
        total = self.known[groups[:, 0]]
        for column in groups.T[1:]:
            total = total + self.known[column]
        return total

    def consider(self, candidates: list[tuple[int, ...]]) -> None:
        """Queue those of `candidates` (all of one length) that would gain."""
        if not candidates:
            return
        groups = np.array(candidates, dtype=np.intp)
        union = self.union(groups)
        parts = (self.known.volume[groups] * self.ratio[groups]).sum(axis=1) / union.volume
        for gain, group in zip((union.ellipticity() - parts).tolist(), candidates):
            if gain > 0:
                heapq.heappush(self.queue, (-gain, group))

    def apply_unions(self) -> NDArray[np.intp]:
        """Make the unions; returns (N,) the last union that each region is part of."""
        new = self.count
        while self.queue:
            _, group = heapq.heappop(self.queue)
            if all(self.into[part] == part for part in group):  # none of them has been merged since
                self.merge(group, new)
                new += 1
        for region in range(new - 1, -1, -1):  # unions are younger: one pass from the youngest
            self.into[region] = self.into[self.into[region]]
        return self.into[: self.count]

    def merge(self, group: tuple[int, ...], new: int) -> None:
        """Replace the regions of `group` by their union `new`, and consider what it could join."""
        union = self.union(np.array([group], dtype=np.intp))
        known = self.known
        known.volume[new], known.first[new], known.second[new] = union.volume[0], union.first[0], union.second[0]
        self.ratio[new] = union.ellipticity()[0]
        self.into[list(group)] = new
        around = set().union(*(self.touching[part] for part in group)) - set(group)
        self.touching[new] = around
        for other in around:
            self.touching[other] -= set(group)
            self.touching[other].add(new)
        self.consider([(other, new) for other in sorted(around)])
        self.consider([(a, b, new) for a in sorted(around) for b in self.common_neighbours(a, new) if b > a])
