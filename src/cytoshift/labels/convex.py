"""Convex hulls of objects: how many voxels they have, as `skimage.morphology.convex_hull_image` counts them."""

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from .runs import Runs

TOLERANCE = 1e-10  # a voxel lies in a hull up to so far from a face, as scikit-image has it
ROUNDING = 1e-9  # of a quotient of such numbers
HALVES = 0.5 * np.concatenate([np.eye(3), -np.eye(3)])  # from the centre of a voxel to those of its sides


def count_in_hull(runs: Runs, low: NDArray[np.int64], high: NDArray[np.int64], flat: bool) -> NDArray[np.int64]:
    """Voxels whose centre lies in the convex hull of each object (N,).

    The hull is that of the centres of the sides of all voxels. low, high: (N, 3), bounding boxes. flat: in 2D, where
    the corners are whole numbers once they are doubled, and no library is needed.
    """
    if flat:
        return count_flat(runs.place, runs.start, low, high)
    count = np.empty(len(low), np.int64)
    for number in range(len(low)):
        place = runs.place[runs.start[number] : runs.start[number + 1]]
        count[number] = count_deep(place, low[number], high[number])
    return count


def count_deep(place: NDArray[np.int32], low: NDArray[np.int64], high: NDArray[np.int64]) -> int:
    """`count_in_hull` of one object in 3D."""
    from scipy.spatial import ConvexHull

    size = high - low
    if size.min() == 1 and np.count_nonzero(size > 1) <= 1:  # a row of voxels is its own hull
        return int(size.max())
    corners = extreme_voxels(place, low, size[0], size[1])
    hull = ConvexHull((corners[:, None, :] + HALVES).reshape(-1, 3))
    return int(count_below(np.ascontiguousarray(hull.equations), size))


@njit
def chain(ends: NDArray[np.int64], sign: int, kept: NDArray[np.int64]) -> int:
    """The rows that a convex chain along `ends` keeps: their number, and themselves in `kept`.

    ends: one coordinate for each row; a row without any has the largest number, or the smallest. sign: 1 where the hull
    lies at larger coordinates, -1 where at smaller ones.
    """
    count = 0
    for row in range(ends.size):
        if abs(ends[row]) > 2**60:
            continue
        while count > 1:
            a, b = kept[count - 2], kept[count - 1]
            turn = (ends[b] - ends[a]) * (row - b) - (ends[row] - ends[b]) * (b - a)
            if sign * turn < 0:
                break
            count -= 1
        kept[count] = row
        count += 1
    return count


@njit
def count_flat(
    place: NDArray[np.int32], start: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> NDArray[np.int64]:
    """`count_in_hull` in 2D. Rows and columns are doubled, and row 0 is half a voxel above the object."""
    found = np.zeros(len(low), np.int64)
    far = np.int64(2**61)
    for i in range(len(low)):
        rows = 2 * (high[i, 1] - low[i, 1]) + 1
        left, right = np.full(rows, far), np.full(rows, -far)
        for r in range(start[i], start[i + 1]):
            y = 2 * (place[r, 1] - low[i, 1]) + 1
            a, b = 2 * (place[r, 2] - low[i, 2]), 2 * (place[r, 3] - 1 - low[i, 2])
            for row in range(y - 1, y + 2):
                out = 1 if row == y else 0
                left[row], right[row] = min(left[row], a - out), max(right[row], b + out)
        kept = np.empty(rows, np.int64)
        first = np.full(rows, far)
        bound_rows(left, kept, chain(left, 1, kept), 1, first)
        last = np.full(rows, -far)
        bound_rows(right, kept, chain(right, -1, kept), -1, last)
        for row in range(1, rows, 2):
            found[i] += last[row] - first[row] + 1
    return found


@njit
def bound_rows(ends: NDArray[np.int64], kept: NDArray[np.int64], count: int, sign: int, out: NDArray[np.int64]) -> None:
    """The first (sign 1) or last (sign -1) voxel within a chain in every row of voxels."""
    for n in range(count - 1):
        a, b = kept[n], kept[n + 1]
        for row in range(a, b + 1):
            if row % 2:
                upper, lower = ends[a] * (b - row) + ends[b] * (row - a), 2 * (b - a)
                out[row] = -((-upper) // lower) if sign > 0 else upper // lower


@njit
def extreme_voxels(place: NDArray[np.int32], low: NDArray[np.int64], depth: int, height: int) -> NDArray[np.float64]:
    """Voxels (P, 3) of an object, relative to its box, whose hull is that of all: those of the hull of each slice."""
    out, count = np.empty((2 * len(place), 3)), 0
    far = np.int64(2**61)
    left, right = np.full((depth, height), far), np.full((depth, height), -far)
    for r in range(len(place)):
        z, y = place[r, 0] - low[0], place[r, 1] - low[1]
        left[z, y] = min(left[z, y], place[r, 2] - low[2])
        right[z, y] = max(right[z, y], place[r, 3] - 1 - low[2])
    kept = np.empty(height, np.int64)
    for z in range(depth):
        for n in range(chain(left[z], 1, kept)):
            out[count, 0], out[count, 1], out[count, 2] = z, kept[n], left[z, kept[n]]
            count += 1
        for n in range(chain(right[z], -1, kept)):
            if right[z, kept[n]] != left[z, kept[n]]:
                out[count, 0], out[count, 1], out[count, 2] = z, kept[n], right[z, kept[n]]
                count += 1
    return out[:count]


@njit
def count_below(faces: NDArray[np.float64], size: NDArray[np.int64]) -> int:
    """Whole places of a box (z, y, x) from 0 that lie below all faces (F, 4): normal and offset."""
    count = 0
    for z in range(size[0]):
        for y in range(size[1]):
            first, last = 0, size[2] - 1
            for f in range(len(faces)):
                rest = TOLERANCE - (faces[f, 0] * z + faces[f, 1] * y + faces[f, 3])
                slope = faces[f, 2]
                if slope > TOLERANCE:
                    last = min(last, int(np.floor(rest / slope + ROUNDING)))
                elif slope < -TOLERANCE:
                    first = max(first, int(np.ceil(rest / slope - ROUNDING)))
                elif rest <= 0:
                    last = -1
                if last < first:
                    break
            count += max(last - first + 1, 0)
    return count
