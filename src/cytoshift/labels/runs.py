"""Objects as runs: stretches of voxels along the last axis, sorted by object, in the order of rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit


class Runs(NamedTuple):
    """The runs of the objects 1..N of a dense label image; R runs."""

    place: NDArray[np.int32]  # (R, 4): z, y, first x, last x + 1
    start: NDArray[np.int64]  # (N + 1,): object i + 1 has the runs start[i] to start[i + 1]


def runs_of(stack: NDArray[np.int32], objects: int) -> Runs:
    """The runs of the objects 1..N of a dense label image (Z, Y, X); those with higher numbers are left out.

    >>> runs_of(np.array([[[0, 2, 2, 1], [0, 0, 0, 1]]], np.int32), 2).place.tolist()
    [[0, 0, 3, 4], [0, 1, 3, 4], [0, 0, 1, 3]]
    """
    start = np.zeros(objects + 1, np.int64)
    np.cumsum(count_runs(stack, objects), out=start[1:])
    return Runs(list_runs(stack, start), start)


@njit
def count_runs(stack: NDArray[np.int32], objects: int) -> NDArray[np.int64]:
    """Runs of each object (N,)."""
    count = np.zeros(objects, np.int64)
    for z in range(stack.shape[0]):
        for y in range(stack.shape[1]):
            before = 0
            for x in range(stack.shape[2]):
                here = stack[z, y, x]
                if here != before and 0 < here <= objects:
                    count[here - 1] += 1
                before = here
    return count


@njit
def list_runs(stack: NDArray[np.int32], start: NDArray[np.int64]) -> NDArray[np.int32]:
    """All runs (R, 4), where `start` says that those of each object begin."""
    place, free, objects = np.empty((start[-1], 4), np.int32), start.copy(), start.size - 1
    for z in range(stack.shape[0]):
        for y in range(stack.shape[1]):
            first = 0
            while first < stack.shape[2]:
                here, last = stack[z, y, first], first + 1
                while last < stack.shape[2] and stack[z, y, last] == here:
                    last += 1
                if 0 < here <= objects:
                    at = free[here - 1]
                    place[at, 0], place[at, 1], place[at, 2], place[at, 3] = z, y, first, last
                    free[here - 1] += 1
                first = last
    return place
