"""Label images cleaned by size, holes and borders, in physical units. Ids stay; `relabel` closes the gaps."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.voxel import Voxel
from .boundaries import axis_index
from .holes import fill_runs
from .ids import CompactLabels, L, compact_labels, keep_objects

EXACT = 1 + 1e-9  # ten voxels of 0.1 are 1.0, whatever the last bit says


def filter_small(labels: NDArray[L], min_size: float, voxel: Voxel, min_cut: float | None = None) -> NDArray[L]:
    """Without the objects below `min_size`, an area (2D) or volume (3D) in unit ** ndim of the voxel size.

    An object counts with all voxels of its id, connected or not. An object of exactly `min_size` stays. Of objects
    that touch the edge of the image only a part is seen: with `min_cut` they stay from that size on.

    >>> filter_small(np.array([[1, 1, 0, 2]]), 0.5, Voxel((0.5, 0.5), "um"))
    array([[1, 1, 0, 0]])
    """
    refuse_other_axes(labels, voxel)
    numbered = compact_labels(labels)
    sizes = numbered.voxels * voxel.volume * EXACT
    if min_cut is None:
        return keep_objects(labels, numbered, sizes >= min_size)
    return keep_objects(
        labels, numbered, sizes >= np.where(touches_border(numbered, range(labels.ndim)), min_cut, min_size)
    )


def remove_border(labels: NDArray[L]) -> NDArray[L]:
    """Without the objects that touch the edge of the image."""
    numbered = compact_labels(labels)
    return keep_objects(labels, numbered, ~touches_border(numbered, range(labels.ndim)))


def touches_border(numbered: CompactLabels, axes: Iterable[int]) -> NDArray[np.bool_]:
    """Which of the N objects touch a face of the image across these axes: (N,)."""
    touch = np.zeros(numbered.ids.size + 1, bool)
    for axis in axes:
        for face in (slice(None, 1), slice(-1, None)):
            touch[numbered.labels[axis_index(axis, face)]] = True
    return touch[1:]


def fill_holes(labels: NDArray[L], voxel: Voxel, max_size: float = np.inf) -> NDArray[L]:
    """Fill the holes of every object with its id.

    A hole is a face-connected piece of background that touches one object only and not the edge of the image;
    a gap between two touching objects belongs to neither, and what lies around another object is left alone.
    Holes larger than `max_size` stay open (unit ** ndim of the voxel size).
    """
    refuse_other_axes(labels, voxel)
    return fill_up_to(labels, max_size * EXACT / voxel.volume)


def fill_holes_in_place(labels: NDArray[np.integer], voxel: Voxel, max_size: float = np.inf) -> NDArray[np.int32]:
    """`fill_holes` of labels that may be changed in place: in place, where they are of 32 bits and lie in C order."""
    refuse_other_axes(labels, voxel)
    own = np.ascontiguousarray(labels, dtype=np.int32)
    if own.size:
        limit = max_size * EXACT / voxel.volume
        fill_runs(own.reshape(-1).view(np.uint32), own.shape[-2], own.shape[-1], own.ndim == 2, limit)
    return own


def fill_up_to(labels: NDArray[L], limit: float) -> NDArray[L]:
    """`fill_holes` of one image with a limit in voxels."""
    filled = np.array(labels, order="C")  # a copy, in one row after the other
    row = filled.reshape(-1).view(np.uint8) if filled.dtype == bool else filled.reshape(-1)
    if row.dtype.isnative and row.size:
        fill_runs(row.view(f"u{row.itemsize}"), labels.shape[-2], labels.shape[-1], labels.ndim == 2, limit)
        return filled
    return fill_up_to(filled.astype(filled.dtype.newbyteorder("=")), limit).astype(labels.dtype) if row.size else filled


def refuse_other_axes(labels: NDArray[np.generic], voxel: Voxel) -> None:
    """Raises UserError where the voxel size has another number of axes than the image."""
    if labels.ndim != voxel.ndim:
        raise UserError(
            f"voxel size {voxel} has {voxel.ndim} axes, but the label image {labels.ndim}; give one per axis"
        )
