"""Outlines of objects along the edges of their pixels: polygons that enclose the exact area, with holes and parts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from .ids import compact_labels

Ring = NDArray[np.int32]  # (P, 2), the corners (y, x) in turn; the last is not the first again
FIRST_CAPACITY = 1 << 12  # corners of the first array of a trace
# One step along each direction: east, south, west, north.
DOWN, RIGHT = (0, 1, 0, -1), (1, 0, -1, 0)


@dataclass(frozen=True, eq=False)
class Outline:
    """One object of a plane.

    Corners are corners of pixels: pixel (y, x) spans (y, x) to (y + 1, x + 1).

    Attributes
    ----------
    label
        Its id.
    parts
        Pieces that are connected by the sides of pixels. The first ring of a part encloses it, clockwise on the screen;
        the others are its holes, the other way round. A ring passes no point twice; rings may touch in a corner.
    """

    label: int
    parts: list[list[Ring]]


def outlines(plane: NDArray[np.generic]) -> Iterator[Outline]:
    """The outline of every object of a label image, by ascending id.

    Parameters
    ----------
    plane
        (Y, X) ids, 0 is background.

    Yields
    ------
    Outline
        One for each id; objects may have several parts and holes.

    Raises
    ------
    UserError
        For floats and negative ids.

    Examples
    --------
    >>> square = np.zeros((4, 5), np.uint8)
    >>> square[1:3, 1:4] = 7
    >>> [found] = outlines(square)
    >>> found.label, found.parts[0][0].tolist()
    (7, [[1, 1], [1, 4], [3, 4], [3, 1]])
    """
    numbered, ids, _ = compact_labels(plane)
    if not ids.size:
        return
    points, starts, owner = trace_rings(np.ascontiguousarray(numbered))
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(1, ids.size + 2))
    outer = outer_rings(points, starts, order, bounds).tolist()
    rings, bounds, starts = order.tolist(), bounds.tolist(), starts.tolist()
    for number, label in enumerate(ids.tolist()):
        parts: dict[int, list[Ring]] = {}
        mine = rings[bounds[number] : bounds[number + 1]]
        for ring in mine:
            if outer[ring] == ring:
                parts[ring] = [points[starts[ring] : starts[ring + 1]]]
        for ring in mine:
            if outer[ring] != ring:
                parts[outer[ring]].append(points[starts[ring] : starts[ring + 1]])
        yield Outline(label, list(parts.values()))


@njit
def pixel_at(labels: NDArray[np.int32], y: int, x: int) -> int:
    """The label there; 0 beyond the edge."""
    if y < 0 or x < 0 or y >= labels.shape[0] or x >= labels.shape[1]:
        return 0
    return int(labels[y, x])


@njit
def trace_rings(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
    """All rings of a dense label image (Y, X), each with its object on the right hand.

    Returns corners (P, 2), the first corner of each ring and P at the end (R + 1,), and the object of each ring (R,).

    Pixels that touch in a corner alone are not connected. Every ring has an edge with its object below, so those edges
    are where rings are looked for. A ring that passes corners twice, where two pixels of the object touch, becomes
    several.
    """
    height, width = labels.shape
    seen = np.zeros((height, width), np.bool_)  # pixels whose upper edge is in a ring
    points, used = np.empty((FIRST_CAPACITY, 2), np.int32), 0
    starts, owner, rings = np.zeros(FIRST_CAPACITY, np.int64), np.zeros(FIRST_CAPACITY, np.int32), 0
    for row in range(height):
        for column in range(width):
            k = labels[row, column]
            if k == 0 or seen[row, column] or (row > 0 and labels[row - 1, column] == k):
                continue
            y, x, towards, first, pinched = row, column, 0, used, False
            while True:
                if used == len(points):
                    points = np.concatenate((points, np.empty((used, 2), np.int32)))
                points[used, 0], points[used, 1] = y, x
                used += 1
                while True:  # along a straight line, to where it turns
                    if towards == 0:
                        seen[y, x] = True
                    y, x = y + DOWN[towards], x + RIGHT[towards]
                    if towards == 0:
                        right, left = pixel_at(labels, y, x), pixel_at(labels, y - 1, x)
                    elif towards == 1:
                        right, left = pixel_at(labels, y, x - 1), pixel_at(labels, y, x)
                    elif towards == 2:
                        right, left = pixel_at(labels, y - 1, x - 1), pixel_at(labels, y, x - 1)
                    else:
                        right, left = pixel_at(labels, y - 1, x), pixel_at(labels, y - 1, x - 1)
                    if right != k or left == k:
                        break
                pinched |= right != k and left == k
                towards = (towards + (1 if right != k else 3)) % 4
                if y == row and x == column and towards == 0:
                    break
            ends = split_ring(points[first:used]) if pinched else np.full(1, used - first, np.int64)
            if rings + ends.size >= starts.size:
                starts = np.concatenate((starts, np.zeros(starts.size + ends.size, np.int64)))
                owner = np.concatenate((owner, np.zeros(owner.size + ends.size, np.int32)))
            for end in ends:
                owner[rings] = k
                rings += 1
                starts[rings] = first + end
    return points[:used], starts[: rings + 1], owner[:rings]


@njit
def split_ring(ring: NDArray[np.int32]) -> NDArray[np.int64]:
    """Arrange the corners of a ring (P, 2) as rings that pass none twice, one behind the other: where each ends."""
    count = len(ring)
    key = ring[:, 0].astype(np.int64) * np.int64(2**32) + ring[:, 1]
    order = np.argsort(key)
    corner, corners = np.zeros(count, np.int64), 0  # equal corners have one number
    for n in range(count):
        corners += n > 0 and key[order[n]] != key[order[n - 1]]
        corner[order[n]] = corners
    if corners + 1 == count:
        return np.full(1, count, np.int64)
    path, length, place = np.empty(count, np.int64), 0, np.full(corners + 1, -1)
    out, used = np.empty_like(ring), 0
    ends, rings = np.empty(count, np.int64), 0
    for n in range(count + 1):
        first = 0 if n == count else place[corner[n]]
        if first < 0:
            place[corner[n]], path[length] = length, n
            length += 1
            continue
        for step in range(first, length):
            out[used] = ring[path[step]]
            used += 1
            if step > first:
                place[corner[path[step]]] = -1
        ends[rings] = used
        rings += 1
        length = first + 1
    ring[:] = out
    return ends[:rings]


@njit
def outer_rings(
    points: NDArray[np.int32], starts: NDArray[np.int64], order: NDArray[np.int64], bounds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of each ring (R,) the one that encloses it most closely, of the same object; of rings that are no holes,
    themselves.

    order, bounds: the rings by object, and where those of each object begin.
    """
    rings = starts.size - 1
    area, outer = np.zeros(rings, np.int64), np.arange(rings)
    for ring in range(rings):
        before = starts[ring + 1] - 1
        for n in range(starts[ring], starts[ring + 1]):
            area[ring] += np.int64(points[before, 1]) * points[n, 0] - np.int64(points[n, 1]) * points[before, 0]
            before = n
    for number in range(bounds.size - 1):
        mine = order[bounds[number] : bounds[number + 1]]
        for hole in mine:
            if area[hole] > 0:
                continue
            y, x = border_pixel(points[starts[hole]], points[starts[hole] + 1])
            outer[hole] = -1
            for ring in mine:
                if area[ring] > -area[hole] and (outer[hole] < 0 or area[ring] < area[outer[hole]]):  # noqa: SIM102
                    if encloses(points[starts[ring] : starts[ring + 1]], y, x):
                        outer[hole] = ring
    return outer


@njit
def border_pixel(corner: NDArray[np.int32], following: NDArray[np.int32]) -> tuple[int, int]:
    """The pixel on the right hand of an edge."""
    y, x = int(corner[0]), int(corner[1])
    if y == following[0]:
        return (y, x) if following[1] > x else (y - 1, x - 1)
    return (y, x - 1) if following[0] > y else (y - 1, x)


@njit
def encloses(ring: NDArray[np.int32], y: int, x: int) -> bool:
    """Whether a pixel lies within a ring: an odd number of its upright edges is to the right."""
    odd, before = False, len(ring) - 1
    for n in range(len(ring)):
        low, high = min(ring[before, 0], ring[n, 0]), max(ring[before, 0], ring[n, 0])
        odd ^= low <= y < high and ring[n, 1] > x
        before = n
    return odd
