"""Loops over voxels. All walk flat arrays run by run: neighbours along a row mostly carry the same label, so the
price of a look-up is paid once per run and not once per voxel."""

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit

FIRST_CAPACITY = 1 << 12  # entries of an empty hash table, a power of two


@njit
def count_pairs(
    first: NDArray[np.unsignedinteger], second: NDArray[np.unsignedinteger]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """How often each pair of ids stands at the same place of two flat arrays: ids, ids, counts, in no order."""
    a, b = np.empty(FIRST_CAPACITY, np.uint64), np.empty(FIRST_CAPACITY, np.uint64)
    n = np.zeros(FIRST_CAPACITY, np.int64)  # 0: the slot is free
    if first.size == 0:
        return a[:0], b[:0], n[:0]
    used = start = 0
    x, y = first[0], second[0]
    for stop in range(1, first.size + 1):
        if stop < first.size and first[stop] == x and second[stop] == y:
            continue
        slot = find_slot(a, b, n, np.uint64(x), np.uint64(y))
        if n[slot] == 0:
            a[slot], b[slot] = x, y
            used += 1
        n[slot] += stop - start
        if stop < first.size:
            start, x, y = stop, first[stop], second[stop]
        if 2 * used > n.size:
            a, b, n = grow_table(a, b, n)
    filled = np.flatnonzero(n)
    return a[filled], b[filled], n[filled]


@njit
def find_slot(
    a: NDArray[np.uint64], b: NDArray[np.uint64], n: NDArray[np.int64], x: np.uint64, y: np.uint64
) -> np.uint64:
    """The slot of the pair (x, y), or the free one where it belongs: open addressing, linear steps."""
    mask = np.uint64(n.size - 1)
    mixed = (x * np.uint64(0x9E3779B97F4A7C15)) ^ (y * np.uint64(0xC2B2AE3D27D4EB4F))
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while n[slot] != 0 and (a[slot] != x or b[slot] != y):
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit
def grow_table(
    a: NDArray[np.uint64], b: NDArray[np.uint64], n: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """The same table with four times the slots."""
    wide_a, wide_b = np.empty(4 * n.size, np.uint64), np.empty(4 * n.size, np.uint64)
    wide_n = np.zeros(4 * n.size, np.int64)
    for old in range(n.size):
        if n[old] > 0:
            slot = find_slot(wide_a, wide_b, wide_n, a[old], b[old])
            wide_a[slot], wide_b[slot], wide_n[slot] = a[old], b[old], n[old]
    return wide_a, wide_b, wide_n


@njit
def positions(labels: NDArray[np.unsignedinteger], ids: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Where each voxel's id stands in the ascending `ids`, counted from 1; 0 for background."""
    out = np.empty(labels.size, np.int32)
    last, place = np.uint64(0), np.int64(0)
    for voxel in range(labels.size):
        x = np.uint64(labels[voxel])
        if x != last:
            last, place = x, np.int64(0) if x == 0 else rank(ids, x) + 1
        out[voxel] = place
    return out


@njit
def rank(ids: NDArray[np.uint64], x: np.uint64) -> np.int64:
    """Index of `x` in the ascending `ids`, which hold it. Ids that are 1..N already are found at once."""
    low, high = np.int64(0), np.int64(ids.size)
    guess = np.int64(min(x, np.uint64(ids.size))) - 1
    if ids[guess] == x:
        return guess
    while high - low > 1:
        middle = (low + high) // 2
        if ids[middle] > x:
            high = middle
        else:
            low = middle
    return low


@njit
def moments(
    labels: NDArray[np.int32], objects: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Voxels (N,) of the objects 1..N, and their sums of coordinates, lowest index and highest index + 1, all (N, 3).

    labels (Z, Y, X), dense.
    """
    voxels, total = np.zeros(objects, np.int64), np.zeros((objects, 3))
    low, high = np.full((objects, 3), np.iinfo(np.int64).max), np.zeros((objects, 3), np.int64)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            start = 0
            while start < labels.shape[2]:
                x = labels[z, y, start]
                stop = start + 1
                while stop < labels.shape[2] and labels[z, y, stop] == x:
                    stop += 1
                if x > 0:
                    i, run = x - 1, stop - start
                    voxels[i] += run
                    total[i, 0] += run * z
                    total[i, 1] += run * y
                    total[i, 2] += run * (start + stop - 1) / 2
                    low[i, 0], high[i, 0] = min(low[i, 0], z), max(high[i, 0], z + 1)
                    low[i, 1], high[i, 1] = min(low[i, 1], y), max(high[i, 1], y + 1)
                    low[i, 2], high[i, 2] = min(low[i, 2], start), max(high[i, 2], stop)
                start = stop
    return voxels, total, low, high


@njit
def sums(labels: NDArray[np.int32], values: NDArray[np.floating], objects: int) -> NDArray[np.float64]:
    """Sum of `values` over each of the objects 1..N of a dense label image, both flat."""
    total = np.zeros(objects)
    for voxel in range(labels.size):
        if labels[voxel] > 0:
            total[labels[voxel] - 1] += values[voxel]
    return total


@njit
def majority_vote(labels: NDArray[np.generic], out: NDArray[np.generic], steps: tuple[int, int, int]) -> None:
    """The most frequent id of every block of `steps` voxels, of equals the first; (N, Z, Y, X).

    The last block repeats the border.
    """
    block = np.empty(steps[0] * steps[1] * steps[2], labels.dtype)
    last = labels.shape[1] - 1, labels.shape[2] - 1, labels.shape[3] - 1
    for n, z, y, x in np.ndindex(out.shape):
        member = 0
        for i in range(steps[0]):
            for j in range(steps[1]):
                row = labels[n, min(z * steps[0] + i, last[0]), min(y * steps[1] + j, last[1])]
                for k in range(steps[2]):
                    block[member] = row[min(x * steps[2] + k, last[2])]
                    member += 1
        most = 0
        for one in block:
            votes = 0
            for other in block:
                votes += one == other
            if votes > most:
                most, out[n, z, y, x] = votes, one
            if 2 * most >= block.size:  # none of the rest has more
                break


@njit
def find_root(root: NDArray[np.signedinteger], i: int) -> int:
    """The root that `i` hangs from; the way there is halved."""
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


@njit
def join_runs(
    root: NDArray[np.signedinteger], first: NDArray[np.integer], start: NDArray[np.integer],
    stop: NDArray[np.integer], row: int, other: int, reach: int,
) -> None:  # fmt: skip
    """Make runs of two neighbouring rows one piece where they share a face, or by a reach of 1 an edge; the earlier run
    becomes the root."""
    i, j = first[row], first[other]
    while i < first[row + 1] and j < first[other + 1]:
        if start[i] < stop[j] + reach and start[j] < stop[i] + reach:
            a, b = find_root(root, i), find_root(root, j)
            root[max(a, b)] = min(a, b)
        if stop[i] < stop[j]:
            i += 1
        else:
            j += 1
