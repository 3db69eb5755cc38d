"""Arrays with a frame of one voxel around the image, taken flat: every voxel has all of its neighbours."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit

State = NDArray[np.signedinteger]
Places = NDArray[np.signedinteger]
Steps = tuple[int, ...]  # to the face neighbours; a loop over a tuple is unrolled by the compiler
Ids = TypeVar("Ids", bound=np.integer)


def steps_of(shape: tuple[int, ...]) -> Steps:
    """Steps to the face neighbours in a flat array of this shape, ascending.

    >>> steps_of((4, 5))
    (-5, -1, 1, 5)
    """
    ahead = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    return tuple([-a for a in ahead] + ahead[::-1])


def row_starts(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Where the rows of the image begin in the flat array; shape: with the frame."""
    starts = np.ones(1, dtype=np.int64)
    for n, step in zip(shape[:-1], steps_of(shape)[len(shape) :][::-1]):
        starts = (starts[:, None] + step * np.arange(1, n - 1)).ravel()
    return starts


def ids_of_state(state: State, ids: NDArray[Ids]) -> NDArray[Ids]:
    """ids[state], 0 where the state is not positive, without the frame: (*S)."""
    out = np.empty([n - 2 for n in state.shape], dtype=ids.dtype)
    copy_ids(out.ravel(), state.ravel(), row_starts(state.shape), ids)
    return out


@njit
def copy_ids(out: NDArray[np.integer], state: State, starts: Places, ids: NDArray[np.integer]) -> None:
    """`ids_of_state` of flat arrays."""
    width = out.size // starts.size
    for row in range(starts.size):
        line, drawn = state[starts[row] : starts[row] + width], out[row * width : (row + 1) * width]
        for x in range(width):
            drawn[x] = ids[np.uint64(line[x])] if line[x] > 0 else 0
