"""Holes of a label image, and pieces of a mask, as runs of zeros: no array but the one that is asked for."""

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from .kernels import find_root, join_runs

Runs = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]


@njit
def background_runs(labels: NDArray[np.unsignedinteger], height: int, width: int) -> Runs:
    """Background runs of flat (Z, Y, X) labels: per row the first one, starts, stops, and the root of each piece.

    A piece is what face neighbours join; its root is its first run.
    """
    rows = labels.size // width
    first = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        line = labels[row * width : (row + 1) * width]
        first[row + 1] = first[row]
        before = True
        for x in range(width):
            here = line[x] != 0
            first[row + 1] += before and not here
            before = here
    start, stop = np.empty(first[-1], np.int32), np.empty(first[-1], np.int32)
    run = -1
    for row in range(rows):
        line = labels[row * width : (row + 1) * width]
        before = True
        for x in range(width):
            here = line[x] != 0
            if not here:
                if before:
                    run += 1
                    start[run] = x
                stop[run] = x + 1
            before = here
    root = np.arange(first[-1])
    for row in range(rows):
        if row % height > 0:
            join_runs(root, first, start, stop, row, row - 1, 0)
        if row >= height:
            join_runs(root, first, start, stop, row, row - height, 0)
    return first, start, stop, root


@njit
def fill_runs(labels: NDArray[np.unsignedinteger], height: int, width: int, flat: bool, limit: float) -> None:
    """Fill the holes of flat (Z, Y, X) labels, in place.

    A hole is a piece of at most `limit` voxels that touches one object and no face of the image. flat: an image in 2D,
    whose only slice is no face.
    """
    first, start, stop, root = background_runs(labels, height, width)
    rows = labels.size // width
    depth = rows // height
    size = np.zeros(root.size, np.int64)  # -1 of a piece that is no hole
    owner = np.full(root.size, -1, np.int64)  # a voxel of the one object that a piece touches
    for row in range(rows):
        z, y = row // height, row % height
        outer = y == 0 or y == height - 1 or (not flat and (z == 0 or z == depth - 1))
        for run in range(first[row], first[row + 1]):
            top = find_root(root, run)
            if outer or start[run] == 0 or stop[run] == width:
                size[top] = -1
            elif size[top] >= 0:
                size[top] += stop[run] - start[run]
                if size[top] > limit:
                    size[top] = -1
    for row in range(rows):
        for run in range(first[row], first[row + 1]):
            top = find_root(root, run)
            if size[top] < 0:
                continue
            here = row * width
            note_neighbour(labels, size, owner, top, here + start[run] - 1)
            note_neighbour(labels, size, owner, top, here + stop[run])
            for x in range(here + start[run], here + stop[run]):
                note_neighbour(labels, size, owner, top, x - width)
                note_neighbour(labels, size, owner, top, x + width)
                if not flat:
                    note_neighbour(labels, size, owner, top, x - width * height)
                    note_neighbour(labels, size, owner, top, x + width * height)
    for row in range(rows):
        for run in range(first[row], first[row + 1]):
            top = find_root(root, run)
            if size[top] >= 0 and owner[top] >= 0:
                labels[row * width + start[run] : row * width + stop[run]] = labels[owner[top]]


@njit
def note_neighbour(
    labels: NDArray[np.unsignedinteger], size: NDArray[np.int64], owner: NDArray[np.int64], piece: int, voxel: int
) -> None:
    """Note that a piece touches a voxel: of its object, of a second one, or of the background."""
    if labels[voxel] == 0:
        return
    if owner[piece] < 0:
        owner[piece] = voxel
    elif labels[owner[piece]] != labels[voxel]:
        size[piece] = -1


@njit
def drop_unsure(outside: NDArray[np.unsignedinteger], sure: NDArray[np.bool_], height: int, width: int) -> None:
    """Of flat (Z, Y, X) zeros keep the pieces that hold a voxel of `sure`; the others become 1, in place."""
    first, start, stop, root = background_runs(outside, height, width)
    stays = np.zeros(root.size, np.bool_)
    rows = outside.size // width
    for row in range(rows):
        for run in range(first[row], first[row + 1]):
            top = find_root(root, run)
            for x in range(row * width + start[run], row * width + stop[run]):
                if stays[top]:
                    break
                stays[top] = sure[x]
    for row in range(rows):
        for run in range(first[row], first[row + 1]):
            if not stays[find_root(root, run)]:
                outside[row * width + start[run] : row * width + stop[run]] = 1
