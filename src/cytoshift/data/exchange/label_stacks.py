"""Label TIFFs and OME-Zarr in the shape of the image, with an axis t where it has one. Frame by frame."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_path
from ...core.blocks import chunk_boxes
from ...labels.dtypes import smallest_dtype
from ..frames import Series
from ..multiscale import Ngff
from ..store import LabelStore
from ..write import is_ome_name, write_labels, write_tiff
from .label_series import LabelSeries

COPIED_VOXELS = 2**26  # voxels that are copied at once


def write_stack(path: Path, labels: Sequence[LabelSeries]) -> None:
    """A label image, or the label images of the frames of a file in one file."""
    (one,) = labels
    write_series(path, one.series)


def write_series(path: Path, series: Series, mark: str | None = None, ngff: Ngff = "0.5") -> Path:
    """Write labels in the shape of their image: T Y X or T Z Y X where that has frames.

    OME-Zarr is written box by box, TIFF frame by frame.

    mark, ngff: as of `write_labels`. Raises UserError where the place cannot be written.
    """
    first = series.frames[0]
    if ".zarr" in Path(str(path)).name.lower() or "::" in str(path):
        dtype = np.result_type(*(unsigned_dtype(frame.dtype) for frame in series.frames))
        shape = (len(series.frames),) * series.is_timed + first.shape
        store = LabelStore.create(path, shape, dtype, first.voxel, series.axes, ngff)
        for t, frame in enumerate(series.frames):
            for box in chunk_boxes(first.shape, store.chunks[-len(first.shape) :], COPIED_VOXELS):
                there = (slice(t, t + 1),) * series.is_timed + box
                labels = np.asarray(frame.array[box])
                store[there] = labels.astype(dtype).reshape((1,) * series.is_timed + labels.shape)
        return store.finish(map, notes={"request": mark} if mark else None)
    if not series.is_timed:
        return write_labels(path, first.load(), first.voxel, first.axes, mark=mark)
    largest = max(int(frame.load().max(initial=0)) for frame in series.frames)
    dtype, shape = smallest_dtype(largest), (len(series.frames), *first.shape)
    with atomic_path(path) as beside:
        write_tiff(beside, pages(series, dtype), shape, dtype, first.voxel, series.axes, is_ome_name(path), mark)
    return path


def unsigned_dtype(dtype: np.dtype) -> np.dtype:
    """What holds the same ids, none of which is negative: that is checked when they are read."""
    return np.dtype(f"uint{8 * dtype.itemsize}")


def pages(series: Series, dtype: np.dtype) -> Iterator[NDArray[np.generic]]:
    """Plane by plane, a frame in memory at a time."""
    for frame in series.frames:
        labels = frame.load().astype(dtype, copy=False)
        yield from labels.reshape(-1, *labels.shape[-2:])
