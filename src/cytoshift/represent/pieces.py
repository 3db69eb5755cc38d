"""Connected pieces of a mask, corners included, as runs of voxels: no array of labels but the one that is asked for."""

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from .frame import Places
from .watershed import find_root


@njit
def number_pieces(seeds: NDArray[np.bool_], seed_size: int) -> tuple[Places, Places, Places, Places]:
    """Connected pieces of (Z, Y, X), as runs of voxels along x.

    Returns for each row, Z * Y and one more, its first run; for each run its start, its stop and its piece, 1..N, or
    0 where that has less than `seed_size` voxels.
    """
    depth, height, width = seeds.shape
    first = np.zeros(depth * height + 1, np.int64)
    for row in range(depth * height):
        line = seeds[row // height, row % height]
        first[row + 1] = first[row]
        for x in range(width):
            first[row + 1] += line[x] and not (x > 0 and line[x - 1])
    runs = first[-1]
    start, stop = np.empty(runs, np.int32), np.empty(runs, np.int32)
    run = -1
    for row in range(depth * height):
        line = seeds[row // height, row % height]
        for x in range(width):
            if line[x]:
                if x == 0 or not line[x - 1]:
                    run += 1
                    start[run] = x
                stop[run] = x + 1
    root = np.arange(runs).astype(np.int32)
    for row in range(depth * height):
        z, y = row // height, row % height
        if y > 0:
            join_touching(root, first, start, stop, row, row - 1)
        for side in range(max(y - 1, 0), min(y + 2, height) if z > 0 else 0):
            join_touching(root, first, start, stop, row, (z - 1) * height + side)
    size, piece = np.zeros(runs, np.int64), np.zeros(runs, np.int32)
    pieces = 0
    for run in range(runs):  # the root of a piece is its first run
        size[find_root(root, run)] += stop[run] - start[run]
        if root[run] == run:
            pieces += 1
            piece[run] = pieces
    for run in range(runs):
        top = find_root(root, run)
        piece[run] = piece[top] if size[top] >= seed_size else 0
    return first, start, stop, piece


@njit
def join_touching(root: Places, first: Places, start: Places, stop: Places, row: int, other: int) -> None:
    """Make runs of two neighbouring rows one piece where they touch; the earlier run becomes the root."""
    i, j = first[row], first[other]
    while i < first[row + 1] and j < first[other + 1]:
        if start[i] <= stop[j] and start[j] <= stop[i]:
            a, b = find_root(root, i), find_root(root, j)
            root[max(a, b)] = min(a, b)
        if stop[i] < stop[j]:
            i += 1
        else:
            j += 1


@njit
def paint_runs(state: Places, starts: Places, first: Places, start: Places, stop: Places, piece: Places) -> None:
    """Write the runs into a flat array, in which row i begins at starts[i]."""
    for row in range(starts.size):
        for run in range(first[row], first[row + 1]):
            state[starts[row] + start[run] : starts[row] + stop[run]] = piece[run]
