"""Floods: from peaks that are told apart by their saddles, and from given markers. Deterministic, face-connected."""

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from ..labels.kernels import find_root
from .frame import Places, Steps, ids_of_state, steps_of


def peaks(height: NDArray[np.float32], mask: NDArray[np.bool_], saddle: float, lowest: float) -> NDArray[np.int32]:
    """Split a mask into the hills of `height`: label image (*S) int32, 1..N in the order of falling peaks.

    Voxels are taken from the highest down; each joins the highest neighbour that is in already. Where two hills
    meet, at height s, the lower one with peak p is a part of the other if s >= saddle * p or p < lowest;
    otherwise a border stays between them (persistence by ratio: two equal discs meet at
    s / p = sqrt(1 - (centre distance / diameter)^2), whatever their size).

    height (*S), in units of `lowest`; mask (*S), the voxels to label.
    """
    shape = [n + 2 for n in mask.shape]
    inside = (slice(1, -1),) * mask.ndim
    padded = np.full(shape, -1, np.float32)
    np.copyto(padded[inside], height, where=mask)
    index = np.int32 if padded.size <= np.iinfo(np.int32).max else np.int64
    flat, steps = padded.ravel(), steps_of(tuple(shape))
    hills: Places = np.zeros(flat.size, index)
    tops = np.flatnonzero(steepest_neighbour(flat, steps, hills))
    tops = tops[np.argsort(-flat[tops], kind="stable")]
    name_basins(hills, tops)
    meeting = basin_borders(flat, steps, hills, int(np.count_nonzero(mask)))
    np.negative(hills, out=hills)
    meeting = meeting[np.argsort(-flat[meeting], kind="stable")]
    names = merge_basins(flat, steps, hills, flat[tops], meeting, saddle, lowest)
    return ids_of_state(hills.reshape(shape), names)


def grow(markers: NDArray[np.integer], priority: NDArray[np.integer], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Marker-controlled watershed: every voxel of the mask that a marker reaches gets that marker's label.

    markers (*S), 0 where there is none; priority (*S) integers 0 to 32767, low ones are flooded first; ties in order
    of arrival, so a plateau is shared evenly. Parts of the mask without any marker stay 0. Returns (*S) int32.
    The labels are those of skimage.segmentation.watershed but for ties; a queue per level stands for its heap.
    """
    shape = [n + 2 for n in mask.shape]
    level = np.pad(np.where(mask | (markers > 0), priority, -1).astype(np.int16), 1, constant_values=-1).ravel()
    labels = np.pad(markers.astype(np.int32), 1).ravel()
    flood_queues(labels, level, steps_of(tuple(shape)), int(level.max(initial=0)) + 1)
    return np.ascontiguousarray(labels.reshape(shape)[(slice(1, -1),) * mask.ndim])


# A voxel comes in before a neighbour that is lower, or as high and behind it in the image. So the one that each joins
# is known without any order of all voxels, and only where hills meet one has to go from the highest down.


@njit
def steepest_neighbour(height: NDArray[np.float32], steps: Steps, ahead: Places) -> NDArray[np.bool_]:
    """Of each voxel inside the neighbour that it joins, the highest, into `ahead`; returns the peaks, which join none.

    height: flat, with a rim of one voxel, -1 outside of the mask.
    """
    peak = np.zeros(height.size, np.bool_)
    for here in range(height.size):
        if height[here] < 0:
            continue
        best, high = here, height[here]
        for step in steps:
            there = here + step
            if height[there] > high or (height[there] == high and there < best):
                best, high = there, height[there]
        ahead[here] = best
        peak[here] = best == here
    return peak


@njit
def name_basins(hills: Places, tops: NDArray[np.int64]) -> None:
    """From the neighbour that each voxel joins to minus its hill's place among the tops, 1..N; 0 stays 0.

    A rim of one voxel in front of the first one inside keeps 0 from being any voxel's neighbour.
    """
    for number in range(tops.size):
        hills[tops[number]] = -number - 1
    for here in range(hills.size):
        top = here
        while hills[top] > 0:
            top = hills[top]
        named, there = hills[top], here
        while hills[there] > 0:
            hills[there], there = named, hills[there]


@njit
def basin_borders(height: NDArray[np.float32], steps: Steps, hills: Places, inside: int) -> NDArray[np.int64]:
    """The voxels that have a neighbour of another hill that comes in first; inside: voxels of the mask."""
    out, found = np.empty(inside, np.int64), 0  # what is not needed of it is never touched
    for here in range(hills.size):
        own, high = hills[here], height[here]
        if own == 0:
            continue
        for step in steps:
            there = np.uint64(here + step)
            if hills[there] != own and (height[there] > high or (height[there] == high and step < 0)):
                out[found] = here
                found += 1
                break
    return out[:found].copy()


@njit
def merge_basins(
    height: NDArray[np.float32],
    steps: Steps,
    hills: Places,
    peak: NDArray[np.float32],
    meeting: NDArray[np.int64],
    saddle: float,
    lowest: float,
) -> NDArray[np.int32]:
    """The final number of each basin, (N + 1,): `meeting` lists the voxels where hills meet, highest first.

    peak: heights of the tops. Of two hills that become one the higher one's number stays.
    """
    root = np.arange(peak.size + 1).astype(np.int32)
    for here in meeting:
        for step in steps:
            there = here + step
            if not (height[there] > height[here] or (height[there] == height[here] and step < 0)):
                continue
            mine, other = find_root(root, hills[here]), find_root(root, hills[there])
            high, low = min(mine, other), max(mine, other)
            if high != low and (height[here] >= saddle * peak[low - 1] or peak[low - 1] < lowest):
                root[low] = high
    names, count = np.zeros(root.size, np.int32), 0
    for number in range(1, root.size):
        top = find_root(root, number)
        if top == number:
            count += 1
            names[number] = count
        else:
            names[number] = names[top]
    return names


@njit
def flood_queues(labels: NDArray[np.int32], level: NDArray[np.int16], steps: Steps, levels: int) -> None:
    """Label the voxels with level >= 0 from the labelled ones, in place: one first-in-first-out queue per level."""
    head = np.full(levels, -1, np.int64)
    tail = np.full(levels, -1, np.int64)
    after = np.full(labels.size, -1, np.int64)
    for here in range(labels.size):
        if labels[here] > 0:
            for step in steps:
                if level[here + step] >= 0 and labels[here + step] == 0:
                    push_queue(head, tail, after, level[here], here)
                    break
    now = 0
    while now < levels:
        here = head[now]
        if here < 0:
            now += 1
            continue
        head[now] = after[here]
        for step in steps:
            there = here + step
            if level[there] >= 0 and labels[there] == 0:
                labels[there] = labels[here]
                push_queue(head, tail, after, level[there], there)
                now = min(now, level[there])


@njit
def push_queue(
    head: NDArray[np.int64], tail: NDArray[np.int64], after: NDArray[np.integer], queue: int, item: int
) -> None:
    """Append a voxel to the queue of a level; `after` chains the voxels of a queue."""
    after[item] = -1
    if head[queue] < 0:
        head[queue] = item
    else:
        after[tail[queue]] = item
    tail[queue] = item
