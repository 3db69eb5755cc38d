"""Marker-controlled watershed on quantised heights: scikit-image's labels, ties included, at a fraction of its price.

    1 mark      seeds -> markers 1..N, connected over corners too; small ones are dropped
    2 spread    descend: a binary heap, as long as the order of the markers matters
                fill: one first-in-first-out queue per level for all that is left
    3 keep      objects that stayed small are dropped

Why two ways of queueing: scikit-image takes voxels by level and, within a level, by age, the moment they came in. All
voxels of markers have age 0, so which of them is first is decided by where it happens to stand in the binary heap, and
whoever wants the same labels needs the same heap, move by move. Once no marker that waits could still reach a voxel,
only ages count. No two are alike, so a queue per level keeps their order, in constant time and close in memory.

The kernels work on one flat array, `state`, with a frame of one voxel around the image: a label where it is positive,
minus the level of a voxel that waits for one where it is negative, 0 outside of the mask. Levels start at 1, the top.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from ..labels.dtypes import smallest_dtype
from .frame import Places, State, Steps, named, row_starts, steps_of
from .pieces import number, paint

CHUNK = 256  # places of a queue that lie together in memory, a power of two
FULL = CHUNK - 1  # of them hold voxels: the end of a full chunk must not read like the start of the next
PATIENCE = 1 << 12  # voxels that the heap gives before anyone looks whether it is still needed

Unsigned = NDArray[np.unsignedinteger]
Mask = NDArray[np.bool_]
Ties = Literal["heap", "raster"]


def split(
    height: Unsigned, seeds: Mask, mask: Mask, seed_size: int = 0, size: int = 0, ties: Ties = "heap"
) -> Unsigned:
    """The objects of a mask, one around each connected piece of the seeds, flooded from high to low.

    height (*S) uint8 or uint16; seeds and mask (*S). Pieces of `seeds` below `seed_size` voxels and objects below
    `size` are dropped. Returns (*S) of the smallest unsigned dtype: voxel by voxel the labels of this route through
    scikit-image 0.26, so ids have gaps where something was dropped:

        seeds = remove_small_objects(measure.label(seeds), max_size=seed_size - 1)
        labels = remove_small_objects(watershed(-height.astype(float), seeds, mask=mask), max_size=size - 1)

    With ties="raster", markers that are level come in the order of the image and not in that of a heap. A block of
    an image then floods like the whole away from its rim, and it takes less time.
    """
    state = mark(seeds, seed_size, height.dtype)
    spread(state, height, mask, ties)
    return keep(state, size)


def markers(seeds: Mask, seed_size: int = 0) -> Unsigned:
    """The connected pieces of `seeds` from `seed_size` voxels on, as `split` numbers them; (*S), smallest dtype."""
    return keep(mark(seeds, seed_size, np.dtype(np.uint8)), 0)


def watershed(height: Unsigned, markers: NDArray[np.integer], mask: Mask, ties: Ties = "heap") -> NDArray[np.int32]:
    """Every voxel of the mask that a marker reaches over faces gets the label of that marker, the highest first.

    height (*S) uint8 or uint16, markers (*S) from 0, mask (*S). Returns (*S) int32, voxel by voxel the labels of
    skimage.segmentation.watershed(-height.astype(float), markers, mask=mask) of scikit-image 0.26; `ties` as above.

    >>> flat = np.full((1, 5), 7, np.uint8)
    >>> watershed(flat, np.array([[1, 0, 0, 0, 2]]), flat > 0)
    array([[1, 1, 1, 2, 2]], dtype=int32)
    """
    state = np.zeros([n + 2 for n in mask.shape], dtype=np.int32)
    inside = (slice(1, -1),) * mask.ndim
    state[inside] = markers
    spread(state, height, mask, ties)
    return np.maximum(state[inside], 0)


def mark(seeds: Mask, seed_size: int, heights: np.dtype[Any]) -> State:
    """Step 1: the state with the connected pieces (over corners too) in the order of their first voxels.

    heights: the dtype of what the state will be flooded by.
    """
    stack = seeds if seeds.ndim == 3 else seeds[None]
    first, start, stop, piece = number(np.ascontiguousarray(stack), seed_size)
    highest = max(int(piece.max(initial=0)), int(np.iinfo(heights).max) + 1)
    kind = np.dtype(np.int16 if highest < 1 << 15 else np.int32)
    state: State = np.zeros([n + 2 for n in seeds.shape], dtype=kind)
    paint(state.ravel(), row_starts(state.shape), first, start, stop, piece)
    return state


def spread(state: State, height: Unsigned, mask: Mask, ties: Ties) -> None:
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
    active, level, now = active[:found], level[:found], np.int64(0)
    if ties == "heap":
        bits = inside.bit_length()  # of an age
        narrow = bits + lowest.bit_length() <= 32
        key: NDArray[np.integer] = np.empty(inside + 1, dtype=np.dtype(np.uint32 if narrow else np.int64))
        item: Places = np.empty(inside + 1, dtype=index)
        left, now = descend(flat, rows, starts, top, steps, (key, item, bits), active, level)
        order = np.argsort(key[:left])
        active, level = item[:left][order], (key[:left][order] >> bits).astype(np.int32)
        del key, item, order
    order = np.argsort((level - 1).astype(np.uint16), kind="stable")  # of 16 bits: by counting
    ends = np.cumsum(np.bincount(level, minlength=lowest + 1))
    fill(flat, steps, active[order], ends, now, lowest, inside)


def keep(state: State, size: int) -> Unsigned:
    """Step 3: the labels, (*S) of the smallest dtype, without objects below `size` voxels."""
    sizes = count(state.ravel(), int(state.max(initial=0)))
    ids = np.where(sizes >= size, np.arange(sizes.size), 0)
    return named(state, ids.astype(smallest_dtype(int(ids.max()))))


def dense(state: State, size: int) -> NDArray[np.int32]:
    """Step 3 with ids that leave no gaps: (*S), 1..N."""
    sizes = count(state.ravel(), int(state.max(initial=0)))
    stays = sizes >= max(size, 1)
    return named(state, np.where(stays, np.cumsum(stays), 0).astype(np.int32))


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
            if state[here] > 0 and reaches(state, steps, here):
                active[found], level[found] = here, top - np.int64(height[row, x])
                found += 1
    return found


@njit
def reaches(state: State, steps: Steps, here: int) -> bool:
    for step in steps:  # noqa: SIM110
        if state[here + step] < 0:
            return True
    return False


@njit
def descend(
    state: State,
    height: Unsigned,
    starts: Places,
    top: int,
    steps: Steps,
    heap: tuple[NDArray[np.integer], Places, int],
    active: Places,
    level: State,
) -> tuple[int, np.int64]:
    """Flood while markers matter; how many voxels wait in the heap then, and at which level the flood stands.

    heap: keys, voxels, and the bits of an age in a key; a key is level and age, and age 0 that of markers. A push puts
    its entry at the end and moves it up past strictly larger ones; a pop puts the last entry on top and moves it down
    past the strictly smaller of its two children, the left one of equals. The flood never turns back: what is above the
    level it stands at gets that level. Active markers that wait are watched until none of them reaches a voxel.
    """
    key, item, bits = heap
    ages = (1 << bits) - 1
    size = next_active = 0
    for row in range(starts.size):
        for x in range(height.shape[1]):
            here = starts[row] + x
            if state[here] > 0:
                silent = next_active == active.size or active[next_active] != here
                next_active += 0 if silent else 1
                waits = np.int64(top) - np.int64(height[row, x])
                push_up(key, item, size, waits << bits, -here if silent else here)
                size += 1
    age, now, watched, patience = np.int64(0), np.int64(0), 0, 0
    while size > 0:
        if np.int64(key[0]) & ages:  # no marker of this level waits any more
            patience -= 1
            if patience < 0 or np.int64(key[0]) >> bits > now:
                now, patience = np.int64(key[0]) >> bits, PATIENCE
                while watched < active.size and (level[watched] <= now or not reaches(state, steps, active[watched])):
                    watched += 1
                if watched == active.size:
                    break
        here, now = np.int64(item[0]), np.int64(key[0]) >> bits
        size -= 1
        last, place, child = np.uint64(size), np.uint64(0), np.uint64(1)
        moved, voxel = key[last], item[last]
        while child < last:
            child += np.uint64(key[child + np.uint64(1)] < key[child])  # where there is no second child stands the last
            if key[child] >= moved:
                break
            key[place], item[place] = key[child], item[child]
            place, child = child, np.uint64(2) * child + np.uint64(1)
        key[place], item[place] = moved, voxel
        if here < 0:
            continue
        label = state[np.uint64(here)]
        for step in steps:
            there = np.uint64(here + step)
            waits = np.int64(state[there])
            if waits < 0:
                age += 1
                new = max(-waits, now) << bits | age
                place = np.uint64(size)
                while place > np.uint64(0):
                    parent = (place - np.uint64(1)) >> np.uint64(1)
                    if np.int64(key[parent]) <= new:
                        break
                    key[place], item[place] = key[parent], item[parent]
                    place = parent
                key[place], item[place] = new, there
                size += 1
                state[there] = label
    left = 0
    for at in range(size):
        if np.int64(key[at]) & ages:
            key[left], item[left] = key[at], item[at]
            left += 1
    return left, now


@njit
def push_up(key: NDArray[np.integer], item: Places, place: int, new: np.int64, voxel: int | np.int64) -> None:
    """Heap push at `place`, the end."""
    while place > 0:
        parent = (place - 1) >> 1
        if key[parent] <= new:
            break
        key[place], item[place] = key[parent], item[parent]
        place = parent
    key[place], item[place] = new, voxel


@njit
def fill(state: State, steps: Steps, voxels: Places, ends: Places, now: np.int64, lowest: int, inside: int) -> None:
    """Flood all that is left from `voxels`, which wait from the start, the highest first; the flood stands at `now`.

    ends: of each level, how many voxels wait at it or above. A queue is a chain of chunks of one pool: the place of its
    first voxel and that behind its last one. Places to look at are unsigned: a signed one would be asked each time
    whether it counts from the end. All is in one piece, as in `descend`: functions of their own, with arrays to hand
    over, take twice as long.
    """
    chunks = inside // FULL + lowest + 3
    pool = np.empty(chunks * CHUNK, voxels.dtype)
    head, tail = np.zeros(lowest + 1, np.int64), np.zeros(lowest + 1, np.int64)
    after = np.zeros(chunks, np.int64)  # the next chunk of a queue, or of those that are free again
    freed, fresh, waited = 0, 1, 0  # a chunk that is free again or 0, the first never used; voxels taken from the start
    stand, end = np.uint64(now), np.uint64(lowest)
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
