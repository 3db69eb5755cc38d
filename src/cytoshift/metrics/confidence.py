"""How sure we are of each predicted object. The order of the scores decides average precision."""

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
    """The larger the surer: what the CySGAN paper was scored with, and all one has from a label image alone. (M,)"""
    return table.pred_sizes


def mean_over_objects(values: NDArray[np.generic], labels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Mean of a map over each object, (M,) by ascending id, the order of `Overlap.pred_ids`.

    values, labels: same shape (*S). With the channels b, c, d of a prediction in [0, 1], the other two scores in use
    are `mean_over_objects(b, labels)` and `mean_over_objects(b * (1 - c) * d, labels)`.
    Raises UserError where the shapes differ.
    """
    found = sum_over_objects(values, labels)
    return found.total / found.voxels


def mean_over_objects_by_blocks(
    values: SliceableLabels, labels: SliceableLabels, memory: float = np.inf
) -> NDArray[np.float64]:
    """`mean_over_objects` of images that need not fit into memory, up to the rounding of sums; `memory` in bytes."""
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
        raise UserError(f"the confidence map has shape {values}, the labels {labels}; they must be alike")
