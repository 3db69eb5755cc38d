"""Confidence of each predicted object. Average precision depends on the order of these scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import chunk_boxes
from ..core.errors import UserError
from ..labels.ids import compact_labels
from ..labels.kernels import sums
from ..labels.overlap import Overlap, SliceableLabels, common_chunks, sum_by_id, voxels_in_memory

VOXEL_COUNT = "voxel_count"


def voxel_count(table: Overlap) -> NDArray[np.int64]:
    """Number of voxels of each predicted object, as a score: larger objects first.

    The CySGAN paper was scored with it. It is all that a label image alone can give.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.

    Returns
    -------
    array
        (M,) by ascending id.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> voxel_count(table).tolist()
    [2, 2]
    """
    return table.pred_sizes


def mean_over_objects(values: NDArray[np.generic], labels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Mean of a map over each object.

    With the channels b, c, d of a BCD prediction in [0, 1], the two usual scores are `mean_over_objects(b, labels)` and
    `mean_over_objects(b * (1 - c) * d, labels)`.

    Parameters
    ----------
    values
        Map of confidence (*S).
    labels
        Label image (*S).

    Returns
    -------
    array
        (M,) by ascending id, the order of `Overlap.pred_ids`.

    Raises
    ------
    UserError
        Where the shapes differ.

    Examples
    --------
    >>> mean_over_objects(np.array([0.5, 1.0, 0.0]), np.array([3, 3, 0])).tolist()
    [0.75]
    """
    found = sum_over_objects(values, labels)
    return found.total / found.voxels


def mean_over_objects_by_blocks(
    values: SliceableLabels, labels: SliceableLabels, memory: float = np.inf
) -> NDArray[np.float64]:
    """`mean_over_objects` of images that do not fit into memory, equal up to the rounding of sums.

    Parameters
    ----------
    values, labels
        Arrays, Zarr arrays or volumes (*S).
    memory
        Bytes for the voxels that are read at once. Default: no limit.

    Returns
    -------
    array
        (M,) by ascending id.

    Raises
    ------
    UserError
        Where the shapes differ.

    Examples
    --------
    >>> mean_over_objects_by_blocks(np.array([0.5, 1.0, 0.0]), np.array([3, 3, 0])).tolist()
    [0.75]
    """
    total = ObjectSums(np.empty(0, np.uint64), np.empty(0), np.empty(0, np.int64))
    refuse_shapes(values.shape, labels.shape)
    for region in chunk_boxes(
        labels.shape, common_chunks(values, labels), voxels_in_memory(memory / 2, values, labels)
    ):
        total += sum_over_objects(np.asarray(values[region]), np.asarray(labels[region]))
    return total.total / total.voxels


@dataclass(frozen=True, eq=False)
class ObjectSums:
    """Sums of a map over objects, ascending ids without the background; all (M,). Parts of one image add up."""

    ids: NDArray[np.uint64]
    total: NDArray[np.float64]
    voxels: NDArray[np.int64]

    def __add__(self, other: "ObjectSums") -> "ObjectSums":
        both = np.concatenate([self.ids, other.ids])
        ids, place = np.unique(both, return_inverse=True)
        total = np.zeros(ids.size)
        np.add.at(total, place, np.concatenate([self.total, other.total]))
        return ObjectSums(ids, total, sum_by_id(both, ids, np.concatenate([self.voxels, other.voxels])))


def sum_over_objects(values: NDArray[np.generic], labels: NDArray[np.generic]) -> ObjectSums:
    refuse_shapes(values.shape, labels.shape)
    numbered = compact_labels(labels)
    real = values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)
    row = np.ascontiguousarray(real).reshape(-1)
    return ObjectSums(numbered.ids, sums(numbered.labels.reshape(-1), row, numbered.ids.size), numbered.voxels)


def refuse_shapes(values: tuple[int, ...], labels: tuple[int, ...]) -> None:
    if tuple(values) != tuple(labels):
        raise UserError(f"the confidence map has the shape {values}, but the labels {labels}; both must be equal")
