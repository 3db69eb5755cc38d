"""Where objects end."""

import numpy as np
from numpy.typing import NDArray


def boundaries(labels: NDArray[np.generic], per_slice: bool = False) -> NDArray[np.bool_]:
    """The inner rim of every object, one voxel thin: its voxels with a face neighbour of another id or background.

    labels (*S), 2D or 3D; `per_slice` looks along the last two axes only. The edge of the image is no boundary: an
    object that is cut there has no rim along the cut. Returns (*S) bool.

    >>> boundaries(np.array([[0, 1, 1, 2, 2, 2]])).astype(int)
    array([[0, 1, 1, 1, 0, 0]])
    """
    rim = np.zeros(labels.shape, bool)
    for axis in range(max(0, labels.ndim - 2) if per_slice else 0, labels.ndim):
        ahead, behind = axis_index(axis, slice(1, None)), axis_index(axis, slice(None, -1))
        differ = labels[ahead] != labels[behind]
        rim[ahead] |= differ
        rim[behind] |= differ
    rim &= labels != 0
    return rim


def axis_index(axis: int, piece: slice) -> tuple[slice, ...]:
    """Index that cuts one axis and leaves the others whole."""
    return (*(slice(None),) * axis, piece)
