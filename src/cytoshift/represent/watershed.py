"""Floods: from peaks that are told apart by their saddles, and from given markers. Deterministic, face-connected."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def peaks(height: NDArray[np.float32], mask: NDArray[np.bool_], saddle: float, lowest: float) -> NDArray[np.int32]:
    """Split a mask into the hills of `height`: label image (*S) int32, 1..N in the order of falling peaks.

    Voxels are taken from the highest down; each joins the highest neighbour that is in already. Where two hills
    meet, at height s, the lower one with peak p is a part of the other if s >= saddle * p or p < lowest;
    otherwise a border stays between them (persistence by ratio: two equal discs meet at
    s / p = sqrt(1 - (centre distance / diameter)^2), whatever their size).

    height (*S), in units of `lowest`; mask (*S), the voxels to label.
    """
    padded = np.pad(np.where(mask, height, -1).astype(np.float32), 1, constant_values=-1).ravel()
    inside = np.flatnonzero(padded >= 0)
    order = inside[np.argsort(-padded[inside], kind="stable")]
    steps = strides([n + 2 for n in mask.shape])
    labels = climb(padded, order, steps, saddle, lowest)
    full = labels.reshape([n + 2 for n in mask.shape])
    return np.ascontiguousarray(full[(slice(1, -1),) * mask.ndim])


def grow(markers: NDArray[np.integer], priority: NDArray[np.integer], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Marker-controlled watershed: every voxel of the mask that a marker reaches gets that marker's label.

    markers (*S), 0 where there is none; priority (*S) integers 0 to 32767, low ones are flooded first; ties in order
    of arrival, so a plateau is shared evenly. Parts of the mask without any marker stay 0. Returns (*S) int32.
    The labels are those of skimage.segmentation.watershed but for ties; a queue per level stands for its heap.
    """
    shape = [n + 2 for n in mask.shape]
    level = np.pad(np.where(mask | (markers > 0), priority, -1).astype(np.int16), 1, constant_values=-1).ravel()
    labels = np.pad(markers.astype(np.int32), 1).ravel()
    flood(labels, level, strides(shape), int(level.max(initial=0)) + 1)
    return np.ascontiguousarray(labels.reshape(shape)[(slice(1, -1),) * mask.ndim])


def strides(shape: list[int]) -> NDArray[np.int64]:
    """Steps to the face neighbours in a flat array of this shape."""
    ahead = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    return np.array([-a for a in ahead] + ahead[::-1], dtype=np.int64)


@njit(cache=True, nogil=True)
def climb(
    height: NDArray[np.float32], order: NDArray[np.int64], steps: NDArray[np.int64], saddle: float, lowest: float
) -> NDArray[np.int32]:
    """The labels of `peaks` on flat arrays with a rim of one voxel; `order` lists the voxels, highest first.

    A hill is named by the rank (place in `order`) of its peak; `hill` is a union-find forest over ranks.
    """
    rank_of = np.full(height.size, -1, np.int32)
    hill = np.empty(order.size, np.int32)
    for rank in range(order.size):
        here = order[rank]
        rank_of[here] = rank
        hill[rank] = rank
        best = -1
        for step in steps:  # of equally high neighbours the first to come in
            other = rank_of[here + step]
            if other >= 0 and (best < 0 or height[here + step] > height[order[best]]):
                best = other
        if best < 0:
            continue
        hill[rank] = find(hill, best)
        for step in steps:
            if rank_of[here + step] < 0:
                continue
            mine, other = find(hill, rank), find(hill, rank_of[here + step])
            high, low = min(mine, other), max(mine, other)
            peak = height[order[low]]
            if high != low and (height[here] >= saddle * peak or peak < lowest):
                hill[low] = high
    labels = np.zeros(height.size, np.int32)
    number = np.zeros(order.size, np.int32)
    count = 0
    for rank in range(order.size):
        top = find(hill, rank)
        if number[top] == 0:
            count += 1
            number[top] = count
        labels[order[rank]] = number[top]
    return labels


@njit(cache=True, nogil=True)
def find(root: NDArray[np.int32], i: int) -> int:
    """The root that `i` hangs from; the way there is halved."""
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


@njit(cache=True, nogil=True)
def flood(labels: NDArray[np.int32], level: NDArray[np.int16], steps: NDArray[np.int64], levels: int) -> None:
    """Label the voxels with level >= 0 from the labelled ones, in place: one first-in-first-out queue per level."""
    head = np.full(levels, -1, np.int64)
    tail = np.full(levels, -1, np.int64)
    after = np.full(labels.size, -1, np.int64)
    for here in range(labels.size):
        if labels[here] > 0:
            for step in steps:
                if level[here + step] >= 0 and labels[here + step] == 0:
                    push(head, tail, after, level[here], here)
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
                push(head, tail, after, level[there], there)
                now = min(now, level[there])


@njit(cache=True, nogil=True)
def push(head: NDArray[np.int64], tail: NDArray[np.int64], after: NDArray[np.integer], queue: int, item: int) -> None:
    """Append a voxel to the queue of a level; `after` chains the voxels of a queue."""
    after[item] = -1
    if head[queue] < 0:
        head[queue] = item
    else:
        after[tail[queue]] = item
    tail[queue] = item
