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

    @property
    def area(self) -> int:
        """Pixels."""
        return sum(ring_area(ring) for part in self.parts for ring in part)


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
    >>> found.label, found.parts[0][0].tolist(), found.area
    (7, [[1, 1], [1, 4], [3, 4], [3, 1]], 6)
    """
    numbered, ids, _ = compact_labels(plane)
    if not ids.size:
        return
    points, starts, owner, pinched = trace_rings(np.ascontiguousarray(numbered))
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(1, ids.size + 2))
    touching = set(np.flatnonzero(pinched).tolist())
    for number, label in enumerate(ids.tolist()):
        rings = list[Ring]()
        for ring in order[bounds[number] : bounds[number + 1]].tolist():
            corners = points[starts[ring] : starts[ring + 1]]
            rings += split_at_pinches(corners) if ring in touching else [corners]
        yield Outline(label, group_rings(rings))


def ring_area(ring: Ring) -> int:
    """Pixels that a ring encloses; negative for a hole.

    >>> ring_area(np.array([[0, 0], [0, 2], [2, 2], [2, 0]], np.int32))
    4
    """
    y, x = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) // 2


def split_at_pinches(ring: Ring) -> list[Ring]:
    """A ring that passes corners twice as rings that pass none twice."""
    out, path, place = list[Ring](), list[tuple[int, int]](), dict[tuple[int, int], int]()
    for y, x in ring.tolist():
        if (y, x) in place:
            first = place[y, x]
            out.append(np.array(path[first:], np.int32))
            for corner in path[first + 1 :]:
                del place[corner]
            del path[first + 1 :]
        else:
            place[y, x] = len(path)
            path.append((y, x))
    return [*out, np.array(path, np.int32)]


def group_rings(rings: list[Ring]) -> list[list[Ring]]:
    """Parts of an object: each outer ring with the holes that lie directly in it."""
    if len(rings) == 1:
        return [rings]
    areas = [ring_area(ring) for ring in rings]
    outer = [(area, ring) for area, ring in zip(areas, rings) if area > 0]
    parts = [[ring] for _, ring in outer]
    for area, hole in zip(areas, rings):
        if area > 0:
            continue
        if len(parts) == 1:
            parts[0].append(hole)
            continue
        holds = [n for n, (size, ring) in enumerate(outer) if size > -area and encloses(ring, border_pixel(hole))]
        parts[min(holds, key=lambda n: outer[n][0])].append(hole)
    return parts


def border_pixel(hole: Ring) -> tuple[int, int]:
    """A pixel of the object at the border of a hole."""
    (y, x), (there, across) = hole[0].tolist(), hole[1].tolist()
    if y == there:  # eastwards the object lies below the edge, westwards above
        return (y, x) if across > x else (y - 1, x - 1)
    return (y, x - 1) if there > y else (y - 1, x)


def encloses(ring: Ring, pixel: tuple[int, int]) -> bool:
    """Whether a pixel lies within a ring: an odd number of its upright edges is to the right."""
    here, there = ring, np.roll(ring, -1, axis=0)
    low, high = np.minimum(here[:, 0], there[:, 0]), np.maximum(here[:, 0], there[:, 0])
    return bool(((low <= pixel[0]) & (pixel[0] < high) & (here[:, 1] > pixel[1])).sum() % 2)


@njit
def pixel_at(labels: NDArray[np.int32], y: int, x: int) -> int:
    """The label there; 0 beyond the edge."""
    if y < 0 or x < 0 or y >= labels.shape[0] or x >= labels.shape[1]:
        return 0
    return labels[y, x]


@njit
def trace_rings(
    labels: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_]]:
    """All rings of a dense label image (Y, X), each with its object on the right hand.

    Returns corners (P, 2), the first corner of each ring and P at the end (R + 1,), the object of each ring (R,), and
    whether it passes a corner where two pixels of the object touch (R,): it may pass that twice.

    Pixels that touch in a corner alone are not connected. Every ring has an edge with its object below, so those edges
    are where rings are looked for.
    """
    height, width = labels.shape
    seen = np.zeros((height, width), np.bool_)  # pixels whose upper edge is in a ring
    points, used = np.empty((FIRST_CAPACITY, 2), np.int32), 0
    starts, owner = np.zeros(FIRST_CAPACITY, np.int64), np.zeros(FIRST_CAPACITY, np.int32)
    pinched, rings = np.zeros(FIRST_CAPACITY, np.bool_), 0
    for row in range(height):
        for column in range(width):
            k = labels[row, column]
            if k == 0 or seen[row, column] or (row > 0 and labels[row - 1, column] == k):
                continue
            if rings + 1 == starts.size:
                starts = np.concatenate((starts, np.zeros(starts.size, np.int64)))
                owner = np.concatenate((owner, np.zeros(owner.size, np.int32)))
                pinched = np.concatenate((pinched, np.zeros(pinched.size, np.bool_)))
            starts[rings], owner[rings] = used, k
            y, x, towards = row, column, 0
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
                if right != k:
                    pinched[rings] |= left == k
                    towards = (towards + 1) % 4
                else:
                    towards = (towards + 3) % 4
                if y == row and x == column and towards == 0:
                    break
            rings += 1
            starts[rings] = used
    return points[:used], starts[: rings + 1], owner[:rings], pinched[:rings]
