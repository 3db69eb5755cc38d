"""The hot part of drawing cells: a place for every nucleus together with its Golgi. The voxels are `raster`'s work."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from .raster import Canvas, Scene, trace, write_object


class Bond(NamedTuple):
    """How the Golgi of N cells lie to their nuclei. Lengths in the unit of the voxel."""

    has: NDArray[np.bool_]  # (N, 2) whether there is a Golgi, a nucleus
    frame: NDArray[np.float64]  # (N, 3, 3) axes of the nucleus in columns, the longest first
    golgi: NDArray[np.float64]  # (N, 3, 3) to the unit ball, of the ellipsoid as large as the Golgi
    nucleus: NDArray[np.float64]  # (N, 3, 3)
    distance: NDArray[np.float64]  # (2,) lowest and highest
    gap: bool  # between the surfaces; otherwise between the centres
    cosine: NDArray[np.float64]  # (2,) of the angle between the nucleus's long axis and the way to the Golgi
    overlap: float  # largest share of the Golgi in its own nucleus
    mingle: bool  # whether it may lie in other nuclei


@njit
def pack(golgi: Scene, nuclei: Scene, bond: Bond, heights: Any, rng: Any) -> int:
    """Give every cell a place, or give it up after `rule.tries` rejections. Returns the number of those to be seen.

    A cell has one label in both canvases. heights: (K,) quantiles of the cells' y, evenly from 0 to 1.
    """
    size = golgi.canvas.labels.size
    inner, outer = np.empty(size, np.int64), np.empty(size, np.int64)  # voxels of the nucleus, of the Golgi
    seen = np.zeros(size, np.int64)
    here, there = np.empty(3), np.empty(3)
    label, attempt = 0, 0
    for i in range(bond.has.shape[0]):
        for _ in range(nuclei.rule.tries):
            attempt += 1
            random_place(nuclei.rule.region, heights, rng, here)
            there[:] = here
            n, g = 0, 0
            if bond.has[i, 1]:
                place_golgi(bond, i, rng, there)
                n = trace(nuclei, i, here, inner)
            if n >= 0 and bond.has[i, 0]:
                g = trace(golgi, i, there, outer)
            if n < 0 or g < 0:
                continue
            if g > 0 and bond.overlap < 1 and count_common(seen, attempt, inner[:n], outer[:g]) > bond.overlap * g:
                continue
            if n + g > 0:  # otherwise wholly outside of the patch
                label += 1
                write_pair(nuclei.canvas, golgi.canvas, inner[:n], label, bond.mingle)
                write_pair(golgi.canvas, nuclei.canvas, outer[:g], label, bond.mingle)
            break
    return label


@njit
def random_place(region: Any, heights: Any, rng: Any, centre: Any) -> None:
    """A place in the region, along y as the quantiles have it."""
    for axis in (0, 2):
        centre[axis] = region[0, axis] + rng.random() * (region[1, axis] - region[0, axis])
    position = rng.random() * (heights.shape[0] - 1)
    low = int(position)
    centre[1] = heights[low] + (position - low) * (heights[low + 1] - heights[low])


@njit
def place_golgi(bond: Bond, i: int, rng: Any, centre: Any) -> None:
    """From the centre of nucleus i to that of its Golgi, in place."""
    along = bond.cosine[0] + rng.random() * (bond.cosine[1] - bond.cosine[0])
    if rng.random() < 0.5:
        along = -along
    across, turn = np.sqrt(1 - along * along), 2 * np.pi * rng.random()
    v, w = across * np.cos(turn), across * np.sin(turn)
    length = bond.distance[0] + rng.random() * (bond.distance[1] - bond.distance[0])
    way = np.empty(3)
    for axis in range(3):
        way[axis] = bond.frame[i, axis, 0] * along + bond.frame[i, axis, 1] * v + bond.frame[i, axis, 2] * w
    if bond.gap:
        length = max(length + surface_distance(bond.nucleus[i], way) + surface_distance(bond.golgi[i], way), 0.0)
    for axis in range(3):
        centre[axis] += length * way[axis]


@njit
def surface_distance(inverse: Any, way: Any) -> float:
    """Distance from an ellipsoid's centre to its surface in a direction of length 1."""
    square = 0.0
    for row in range(3):
        q = inverse[row, 0] * way[0] + inverse[row, 1] * way[1] + inverse[row, 2] * way[2]
        square += q * q
    return 1 / np.sqrt(square)


@njit
def count_common(seen: Any, mark: int, a: Any, b: Any) -> int:
    """How many indices are in both. seen: scratch in which no index carries this mark yet."""
    for index in a:
        seen[index] = mark
    count = 0
    for index in b:
        count += seen[index] == mark
    return count


@njit
def write_pair(own: Canvas, other: Canvas, found: Any, label: int, mingle: bool) -> None:
    """Write an accepted object and keep others off it, those of the other class too unless they may mingle."""
    write_object(own, found, label)
    if mingle:
        return
    blocked = other.blocked.ravel()
    for index in found:
        blocked[index] = 1
