"""Ids of label images: which there are, how large, numbered afresh."""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .dtypes import flatten_unsigned, refuse_negative
from .kernels import count_pairs, positions

L = TypeVar("L", bound=np.generic)  # the dtype of a label image


class CompactLabels(NamedTuple):
    """Objects numbered 1..N in the order of their ids."""

    labels: NDArray[np.int32]  # (*S); object i + 1 was ids[i]
    ids: NDArray[np.uint64]  # (N,), ascending
    voxels: NDArray[np.int64]  # (N,)


def sizes(labels: NDArray[np.generic]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Ids of the objects, ascending and without the background, and the voxels of each; both (N,).

    Any shape, any integer dtype, ids as large as they like. Raises UserError on floats and negative ids.

    >>> sizes(np.array([[0, 9, 9], [7, 9, 0]]))
    (array([7, 9], dtype=uint64), array([1, 3]))
    """
    row = flatten_unsigned(labels)
    ids, _, count = count_pairs(row, row)
    refuse_negative(ids, labels.dtype)
    order = np.argsort(ids)
    order = order[ids[order] > 0]
    return ids[order], count[order]


def relabel(labels: NDArray[np.generic]) -> NDArray[np.int32]:
    """The same objects with the ids 1..N in the order of the old ids; same shape, int32.

    >>> relabel(np.array([[0, 900, 900], [70, 900, 0]]))
    array([[0, 2, 2],
           [1, 2, 0]], dtype=int32)
    """
    return compact_labels(labels).labels


def compact_labels(labels: NDArray[np.generic]) -> CompactLabels:
    """`relabel` and `sizes` at once."""
    ids, count = sizes(labels)
    if ids.size > np.iinfo(np.int32).max:
        raise OverflowError(f"{ids.size} objects do not fit into int32")
    return CompactLabels(positions(flatten_unsigned(labels), ids).reshape(labels.shape), ids, count)


def keep_objects(labels: NDArray[L], numbered: CompactLabels, stays: NDArray[np.bool_]) -> NDArray[L]:
    """A copy of the labels with the objects for which `stays` (N,) holds; ids, shape and dtype as they were."""
    return np.where(np.append(False, stays)[numbered.labels], labels, labels.dtype.type(0))
