"""Marker-controlled watershed on quantised heights, in blocks as in the whole, at a fraction of the usual price.

    1 mark      seeds -> markers 1..N, connected over corners too; small ones are dropped
    2 spread    one first-in-first-out queue per level
    3 dense     objects that stayed small are dropped, the others are numbered anew

Voxels are taken by level and, within a level, in the order in which they came in; markers that are level come in the
order of the image. A block of an image so floods like the whole away from its rim. scikit-image takes level markers in
the order of its heap, which depends on all that is in the image; apart from such ties the labels are the same.

The kernels work on one flat array, `state`, with a frame of one voxel around the image: a label where it is positive,
minus the level of a voxel that waits for one where it is negative, 0 outside of the mask. Levels start at 1, the top.
Markers are found as runs of voxels: no array of labels is made but the one that is asked for.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from ..labels.kernels import find_root, join_runs
from .frame import Places, State, Steps, ids_of_state, row_starts, steps_of

CHUNK = 256  # places of a queue that lie together in memory, a power of two
FULL = CHUNK - 1  # of them hold voxels: the end of a full chunk must not read like the start of the next

Unsigned = NDArray[np.unsignedinteger]
Mask = NDArray[np.bool_]


def split_by_seeds(height: Unsigned, seeds: Mask, mask: Mask, seed_size: int = 0, size: int = 0) -> NDArray[np.int32]:
    """The objects of a mask, one around each connected piece of the seeds, flooded from high to low.

    height (*S) uint8 or uint16; seeds and mask (*S). Pieces of `seeds` below `seed_size` voxels and objects below
    `size` are dropped. Returns (*S), 1..N. But for the order of ties, these are the objects of

        seeds = remove_small_objects(measure.label(seeds), max_size=seed_size - 1)
        labels = remove_small_objects(watershed(-height.astype(float), seeds, mask=mask), max_size=size - 1)

    >>> flat = np.full((1, 5), 7, np.uint8)
    >>> split_by_seeds(flat, np.array([[True, False, False, False, True]]), flat > 0)
    array([[1, 1, 1, 2, 2]], dtype=int32)
    """
    state = mark_seeds(seeds, seed_size, height.dtype)
    flood_levels(state, height, mask)
    return compact_ids(state, size)


def mark_seeds(seeds: Mask, seed_size: int, heights: np.dtype[Any]) -> State:
    """Step 1: the state with the connected pieces (over corners too) in the order of their first voxels.

    heights: the dtype of what the state will be flooded by.
    """
    stack = seeds if seeds.ndim == 3 else seeds[None]
    first, start, stop, piece = number_pieces(np.ascontiguousarray(stack), seed_size)
    highest = max(int(piece.max(initial=0)), int(np.iinfo(heights).max) + 1)
    kind = np.dtype(np.int16 if highest < 1 << 15 else np.int32)
    state: State = np.zeros([n + 2 for n in seeds.shape], dtype=kind)
    paint_runs(state.ravel(), row_starts(state.shape), first, start, stop, piece)
    return state


def flood_levels(state: State, height: Unsigned, mask: Mask) -> None:
    """Step 2, in place; what no marker reaches stays negative."""
    top = int(np.iinfo(height.dtype).max) + 1  # level = top - height
    steps, starts, flat = steps_of(state.shape), row_starts(state.shape), state.ravel()
    rows = height.reshape(-1, height.shape[-1])
    inside, marked, lowest = (int(n) for n in prepare(flat, rows, mask.reshape(rows.shape), starts, top))
    index = np.dtype(np.int32 if state.size <= np.iinfo(np.int32).max else np.int64)
    # Memory is taken for the worst case; what a flood does not need of it is never touched.
    active: Places = np.empty(marked, dtype=index)
    level = np.empty(marked, dtype=np.int32)
    found = find_active(flat, rows, starts, top, steps, active, level)
    active, level = active[:found], level[:found]
    order = np.argsort((level - 1).astype(np.uint16), kind="stable")  # of 16 bits: by counting
    ends = np.cumsum(np.bincount(level, minlength=lowest + 1))
    fill(flat, steps, active[order], ends, lowest, inside)


def compact_ids(state: State, size: int) -> NDArray[np.int32]:
    """Step 3: the labels without objects below `size` voxels, (*S), 1..N."""
    sizes = count(state.ravel(), int(state.max(initial=0)))
    stays = sizes >= max(size, 1)
    return ids_of_state(state, np.where(stays, np.cumsum(stays), 0).astype(np.int32))


@njit
def count(state: State, largest: int) -> NDArray[np.int64]:
    """Voxels of each label: (largest + 1,), the background not counted."""
    sizes = np.zeros(largest + 1, np.int64)
    for label in state:
        if label > 0:
            sizes[label] += 1
    return sizes


@njit
def prepare(state: State, height: Unsigned, mask: Mask, starts: Places, top: int) -> tuple[int, int, np.int64]:
    """Markers -> state; returns how many voxels the mask has, how many of them are marked, and the lowest level.

    height, mask: (rows, width); the flat index of the first voxel of each row is in `starts`.
    """
    inside, marked, lowest = 0, 0, np.int64(0)
    for row in range(starts.size):
        line = state[starts[row] : starts[row] + height.shape[1]]
        for x in range(height.shape[1]):
            if mask[row, x]:
                level = np.int64(top) - np.int64(height[row, x])
                inside += 1
                lowest = max(lowest, level)
                if line[x] > 0:
                    marked += 1
                else:
                    line[x] = -level
            else:
                line[x] = 0
    return inside, marked, lowest


@njit
def find_active(
    state: State, height: Unsigned, starts: Places, top: int, steps: Steps, active: Places, level: State
) -> int:
    """The marked voxels that have a neighbour to reach, and their levels, in the order of the image; how many."""
    found = 0
    for row in range(starts.size):
        for x in range(height.shape[1]):
            here = starts[row] + x
            if state[here] > 0 and reaches_unlabelled(state, steps, here):
                active[found], level[found] = here, top - np.int64(height[row, x])
                found += 1
    return found


@njit
def reaches_unlabelled(state: State, steps: Steps, here: int) -> bool:
    for step in steps:  # noqa: SIM110
        if state[here + step] < 0:
            return True
    return False


@njit
def fill(state: State, steps: Steps, voxels: Places, ends: Places, lowest: int, inside: int) -> None:
    """Flood from `voxels`, which wait from the start, the highest first.

    ends: of each level, how many voxels wait at it or above. A queue is a chain of chunks of one pool: the place of its
    first voxel and that behind its last one. Places to look at are unsigned: a signed one would be asked each time
    whether it counts from the end. All is in one piece: functions of their own, with arrays to hand over, take
    twice as long.
    """
    chunks = inside // FULL + lowest + 3
    pool = np.empty(chunks * CHUNK, voxels.dtype)
    head, tail = np.zeros(lowest + 1, np.int64), np.zeros(lowest + 1, np.int64)
    after = np.zeros(chunks, np.int64)  # the next chunk of a queue, or of those that are free again
    freed, fresh, waited = 0, 1, 0  # a chunk that is free again or 0, the first never used; voxels taken from the start
    stand, end = np.uint64(0), np.uint64(lowest)
    while stand <= end:
        first = head[stand]
        if waited < ends[stand]:
            here = np.int64(voxels[waited])
            waited += 1
        elif first != tail[stand]:
            here = np.int64(pool[np.uint64(first)])
            first += 1
            if first & FULL == FULL:
                chunk = first // CHUNK
                if first == tail[stand]:
                    first = tail[stand] = 0
                else:
                    first = after[chunk] * CHUNK
                after[chunk], freed = freed, chunk
            head[stand] = first
        else:
            stand += np.uint64(1)
            continue
        label = state[np.uint64(here)]
        for step in steps:
            there = np.uint64(here + step)
            waits = state[there]
            if waits < 0:
                level = max(np.uint64(-waits), stand)
                place = tail[level]
                if place == 0 or place & FULL == FULL:  # without any chunk, or full
                    if freed > 0:
                        chunk = freed
                        freed = after[chunk]
                    else:
                        chunk = fresh
                        fresh += 1
                    if place == 0:
                        head[level] = chunk * CHUNK
                    else:
                        after[place // CHUNK] = chunk
                    place = chunk * CHUNK
                pool[np.uint64(place)] = there
                tail[level] = place + 1
                state[there] = label


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
            join_runs(root, first, start, stop, row, row - 1, 1)
        for side in range(max(y - 1, 0), min(y + 2, height) if z > 0 else 0):
            join_runs(root, first, start, stop, row, (z - 1) * height + side, 1)
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
def paint_runs(state: Places, starts: Places, first: Places, start: Places, stop: Places, piece: Places) -> None:
    """Write the runs into a flat array, in which row i begins at starts[i]."""
    for row in range(starts.size):
        for run in range(first[row], first[row + 1]):
            state[starts[row] + start[run] : starts[row] + stop[run]] = piece[run]
