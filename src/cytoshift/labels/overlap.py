"""The overlap table of two label images: everything that metrics need to know of them.

Sparse, because a volume of ten thousand nuclei has ten thousand overlaps and not a hundred million. Tables of
blocks add up to the table of the whole:

    overlap(truth, pred)  ==  overlap(truth[:9], pred[:9]) + overlap(truth[9:], pred[9:])
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import chunk_boxes
from ..core.errors import UserError
from .dtypes import flatten_unsigned, refuse_negative
from .kernels import count_pairs

READ_VOXELS = 1 << 24  # voxels read at once at most: 0.13 GB for two images of 32 bits
ROW_BYTES = 250  # bytes that a row of a table takes while tables are added up, or turned into a report; measured
FEW_ROWS = 1 << 20  # rows of which several tables are kept apart


class SliceableLabels(Protocol):
    """What can be read piece by piece: an array, a zarr array, a volume of the data room."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, region: tuple[slice, ...], /) -> NDArray[np.generic]: ...


@dataclass(frozen=True, eq=False)
class Pairs:
    """Overlaps of an object with an object (no background), in ascending order of truth, then prediction. All (P,)."""

    truth: NDArray[np.int64]  # index into truth_ids
    pred: NDArray[np.int64]  # index into pred_ids
    count: NDArray[np.int64]  # voxels they share
    iou: NDArray[np.float64]

    def at_least(self, threshold: float) -> "Pairs":
        """Those with IoU >= threshold."""
        good = self.iou >= threshold
        return Pairs(self.truth[good], self.pred[good], self.count[good], self.iou[good])


@dataclass(frozen=True, eq=False)
class Overlap:
    """Which ids meet and in how many voxels; 0 is background. Sorted by truth, then prediction; all (P,)."""

    truth: NDArray[np.uint64]
    pred: NDArray[np.uint64]
    count: NDArray[np.int64]

    def __add__(self, other: "Overlap") -> "Overlap":
        """The table of two parts of one image (whose ids mean the same objects in both)."""
        return sum_tables((self, other))

    @cached_property
    def voxels(self) -> int:
        return int(self.count.sum())

    @cached_property
    def truth_ids(self) -> NDArray[np.uint64]:
        """Ids of the true objects (N,), ascending."""
        return np.unique(self.truth[self.truth > 0])

    @cached_property
    def pred_ids(self) -> NDArray[np.uint64]:
        """Ids of the predicted objects (M,), ascending: the order of every array of scores."""
        return np.unique(self.pred[self.pred > 0])

    @cached_property
    def truth_sizes(self) -> NDArray[np.int64]:
        """Voxels of each true object (N,)."""
        return sum_by_id(self.truth, self.truth_ids, self.count)

    @cached_property
    def pred_sizes(self) -> NDArray[np.int64]:
        """Voxels of each predicted object (M,)."""
        return sum_by_id(self.pred, self.pred_ids, self.count)

    @cached_property
    def pairs(self) -> Pairs:
        both = (self.truth > 0) & (self.pred > 0)
        row = np.searchsorted(self.truth_ids, self.truth[both])
        column = np.searchsorted(self.pred_ids, self.pred[both])
        count = self.count[both]
        # One rounding of a ratio of integers: an IoU of exactly 1/2 or 11/20 compares equal to 0.5 or 0.55.
        iou = count / (self.truth_sizes[row] + self.pred_sizes[column] - count)
        return Pairs(row, column, count, iou)


def overlap(truth: NDArray[np.generic], pred: NDArray[np.generic]) -> Overlap:
    """Table of two label images of the same shape, in one pass over the voxels.

    Any integer dtypes (they may differ), any ids from 0 up. Raises UserError on shapes that differ, on floats and on
    negative ids.
    """
    refuse_shapes(truth.shape, pred.shape)
    found_truth, found_pred, count = count_pairs(flatten_unsigned(truth, "truth"), flatten_unsigned(pred, "prediction"))
    refuse_negative(found_truth, truth.dtype, "truth")
    refuse_negative(found_pred, pred.dtype, "prediction")
    order = np.lexsort((found_pred, found_truth))
    return Overlap(found_truth[order], found_pred[order], count[order])


def overlap_by_blocks(truth: SliceableLabels, pred: SliceableLabels, memory: float = np.inf) -> Overlap:
    """`overlap` of images that need not fit into memory: the same table, from block after block of both.

    memory: bytes for all of it. Raises UserError like `overlap`, and where the table itself needs more.
    """
    refuse_shapes(truth.shape, pred.shape)
    total, parts, rows = sum_tables(()), list[Overlap](), 0
    for region in chunk_boxes(truth.shape, common_chunks(truth, pred), voxels_in_memory(memory, truth, pred)):
        part = overlap(np.asarray(truth[region]), np.asarray(pred[region]))
        parts.append(part)
        rows += part.count.size
        if rows > max(total.count.size, FEW_ROWS):
            total, parts, rows = sum_tables((total, *parts)), [], 0
            if total.count.size * ROW_BYTES > memory:
                raise UserError(
                    f"the table of overlaps of these images needs more than {memory / 1e9:.3g} GB, for it has "
                    f"{total.count.size} rows already; pass a larger `memory`, or compare them in parts"
                )
    return sum_tables((total, *parts))


def voxels_in_memory(memory: float, *images: SliceableLabels) -> int:
    """How many voxels of all images together a quarter of the memory holds; reading takes about as much again."""
    each = sum(np.dtype(image.dtype).itemsize for image in images)
    return int(min(READ_VOXELS, max(memory / 4 / each, 1)))


def common_chunks(*images: SliceableLabels) -> tuple[int, ...] | None:
    """Boxes of this size, or multiples of it, cut few chunks of any of the images."""
    known = [chunks for image in images if (chunks := getattr(image, "chunks", None))]
    return tuple(map(max, *known)) if len(known) > 1 else known[0] if known else None


def refuse_shapes(truth: tuple[int, ...], pred: tuple[int, ...]) -> None:
    """Raises UserError where they differ."""
    if tuple(truth) != tuple(pred):
        raise UserError(
            f"the prediction has the shape {pred}, but the truth {truth}; compare labels on one grid of voxels"
        )


def sum_tables(tables: Iterable[Overlap]) -> Overlap:
    """The table of all parts of one image; of none, the empty table."""
    parts = list(tables)
    if not parts:
        return Overlap(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64))
    truth, pred, count = (np.concatenate([getattr(p, name) for p in parts]) for name in ("truth", "pred", "count"))
    order = np.lexsort((pred, truth))
    truth, pred, count = truth[order], pred[order], count[order]
    fresh = np.ones(truth.size, bool)
    fresh[1:] = (truth[1:] != truth[:-1]) | (pred[1:] != pred[:-1])
    starts = np.flatnonzero(fresh)
    return Overlap(truth[starts], pred[starts], np.add.reduceat(count, starts) if starts.size else count)


def concatenate_tables(tables: Iterable[Overlap]) -> Overlap:
    """The table of several images laid side by side in one: objects stay apart, the background is shared.

    New ids are 1, 2, ... image after image, ascending within each: concatenated arrays of scores fit them.
    """
    moved, truths, preds = [], 0, 0
    for table in tables:
        truth = offset_ids(table.truth, table.truth_ids, truths)
        pred = offset_ids(table.pred, table.pred_ids, preds)
        moved.append(Overlap(truth, pred, table.count))
        truths, preds = truths + table.truth_ids.size, preds + table.pred_ids.size
    return sum_tables(moved)


def offset_ids(values: NDArray[np.uint64], ids: NDArray[np.uint64], before: int) -> NDArray[np.uint64]:
    """Ids -> before + 1, before + 2, ...; 0 stays 0."""
    place = np.searchsorted(ids, values) + before + 1
    return np.where(values > 0, place, 0).astype(np.uint64)


def sum_by_id(values: NDArray[np.uint64], ids: NDArray[np.uint64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of `count` for each of the ascending `ids`."""
    inside = values > 0
    out = np.zeros(ids.size, np.int64)
    np.add.at(out, np.searchsorted(ids, values[inside]), count[inside])
    return out
