"""One row per object: size, place, shape, intensities."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices, grow_region
from ..core.voxel import Voxel
from .filters import refuse_other_axes
from .ids import compact_labels
from .kernels import moments
from .regionprops import MARGIN, Columns, columns_of

LARGEST_BOX = 2**25  # voxels of the box of an object that is measured by itself


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one label image, by ascending id; N objects, D axes, lengths in `voxel.unit`.

    Place 0 is the centre of the first voxel, as in napari and in scikit-image with `spacing`.
    """

    ids: NDArray[np.uint64]  # (N,)
    voxels: NDArray[np.int64]  # (N,)
    centroid: NDArray[np.float64]  # (N, D), in array order
    low: NDArray[np.int64]  # (N, D), first index of the bounding box, in voxels
    high: NDArray[np.int64]  # (N, D), last index + 1
    voxel: Voxel
    shape: tuple[int, ...] = ()  # (D,) of the image, where it is known
    measured: Columns = field(default_factory=dict)  # more of them, each (N,); see `measure_objects`

    @property
    def size(self) -> NDArray[np.float64]:
        """Area (2D) or volume (3D) in unit ** D, (N,)."""
        return self.voxels.astype(np.float64) * self.voxel.volume

    @property
    def diameter(self) -> NDArray[np.float64]:
        """Equivalent diameters, (N,)."""
        return equivalent_diameter(self.size, self.voxel.ndim)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The table as columns for a file, by the names of `skimage.measure.regionprops_table`.

        label, unit (of all lengths), area (in 3D the volume), equivalent_diameter_area, centroid-0 ..., bbox-0 ... in
        voxels, first all lower and then all upper ends, and what was measured besides.
        """
        table: dict[str, NDArray[np.generic]] = {"label": self.ids}
        table["unit"] = np.full(self.ids.size, self.voxel.unit)
        table["area"], table["equivalent_diameter_area"] = self.size, self.diameter
        table |= {f"centroid-{axis}": self.centroid[:, axis] for axis in range(self.voxel.ndim)}
        table |= {f"bbox-{i}": end for i, end in enumerate((*self.low.T, *self.high.T))}
        if self.shape:
            table["touches_border"] = ((self.low == 0) | (self.high == self.shape)).any(1).astype(np.uint8)
        return table | self.measured


def objects(labels: NDArray[np.generic], voxel: Voxel) -> Objects:
    """Size and place of every object of a label image (*S), 2D or 3D.

    Raises UserError where the voxel size does not fit it.

    >>> found = objects(np.array([[0, 5, 5], [0, 5, 5]]), Voxel((0.5, 0.5), "um"))
    >>> found.ids, found.size, found.centroid
    (array([5], dtype=uint64), array([1.]), array([[0.25, 0.75]]))
    """
    return number_and_locate(labels, voxel)[1]


def number_and_locate(labels: NDArray[np.generic], voxel: Voxel) -> tuple[NDArray[np.int32], Objects]:
    """The same objects as 1..N in (Z, Y, X), and their sizes and places."""
    refuse_other_axes(labels, voxel)
    numbered, ids, count = compact_labels(labels)
    stack = to_stack(numbered)
    _, total, low, high = moments(stack, ids.size)
    here = slice(3 - labels.ndim, 3)
    centroid = total[:, here] / count[:, None] * np.array(voxel.size)
    return stack, Objects(ids, count, centroid, low[:, here], high[:, here], voxel, labels.shape)


def to_stack(array: NDArray[Any]) -> NDArray[Any]:
    """(Y, X) or (Z, Y, X) as (Z, Y, X)."""
    return array if array.ndim == 3 else array[None]


def to_channels(image: NDArray[np.generic] | None, ndim: int) -> NDArray[np.generic] | None:
    """An image (*S) or (C, *S) as (C, Z, Y, X)."""
    if image is None:
        return None
    shape = image.shape[-ndim:]
    return image.reshape((-1,) + (1,) * (3 - ndim) + shape)


def measure_objects(labels: NDArray[np.generic], voxel: Voxel, image: NDArray[np.generic] | None = None) -> Objects:
    """Size, place, shape, neighbours and intensities of every object.

    Parameters
    ----------
    labels
        (*S), 2D or 3D.
    voxel
        Voxel size.
    image
        (*S) or (C, *S), where intensities are wanted.

    Returns
    -------
    Objects
        With the columns that `labels.regionprops` describes.

    Raises
    ------
    UserError
        Where the voxel size does not fit the labels.

    Examples
    --------
    >>> labels = np.array([[0, 5, 5], [0, 5, 5]])
    >>> columns = measure_objects(labels, Voxel((1.0, 1.0)), labels * 10.0).columns()
    >>> columns["solidity"], columns["intensity_median"], columns["touches_border"]
    (array([1.]), array([50.]), array([1], dtype=uint8))
    """
    stack, found = number_and_locate(labels, voxel)
    measured = columns_of(stack, found.ids.size, voxel, to_channels(image, voxel.ndim))
    return replace(found, measured=measured)


def measure_parts(labels: Any, image: Any, found: Objects, region: Slices) -> Columns:
    """What `measure_objects` measures besides size and place, for objects of an image that is read box by box.

    Parameters
    ----------
    labels
        (*S), to be sliced.
    image
        (*S) or (C, *S), to be sliced; None where no intensities are wanted.
    found
        Some objects with their bounding boxes in the image, and the shape of the image.
    region
        A box; objects that lie in it with their margin are measured together, each other one in a box of its own. One
        whose box has more than LARGEST_BOX voxels is not measured: its columns are NaN.

    Returns
    -------
    dict
        Columns, (N,) each, the same as of the whole image; of an image of floats but for rounding.
    """
    ndim = found.voxel.ndim
    margin = np.array(MARGIN[-ndim:])
    low = np.maximum(found.low - margin, 0)
    high = np.minimum(found.high + margin, found.shape)
    room = grow_region(region, margin.tolist(), found.shape)
    start, stop = np.array([side.start for side in room]), np.array([side.stop for side in room])
    inside = ((low >= start) & (high <= stop)).all(1)
    out: Columns = {}
    groups = [(room, np.flatnonzero(inside))]  # of no object, too: it has the names of the columns
    alone = np.flatnonzero(~inside & ((high - low).prod(1) <= LARGEST_BOX))
    groups += [(tuple(map(slice, low[one].tolist(), high[one].tolist())), np.array([one])) for one in alone]
    for box, which in groups:
        for name, values in measure_box(labels, image, found, box, which).items():
            out.setdefault(name, np.full(found.ids.size, np.nan))[which] = values
    return out


def measure_box(labels: Any, image: Any, found: Objects, box: Slices, which: NDArray[np.int64]) -> Columns:
    """Columns of the objects `which`, which lie in a box with their margin."""
    if not which.size:  # nothing is read
        box = (slice(0, 1),) * len(box)
    part = np.asarray(labels[box])
    seen = None if image is None else to_channels(np.asarray(image[(..., *box)]), found.voxel.ndim)
    numbered, ids, _ = compact_labels(part)
    order = np.argsort(~np.isin(ids, found.ids[which]), kind="stable")  # those that are wanted come first
    number = np.zeros(ids.size + 1, np.int32)
    number[order + 1] = np.arange(1, ids.size + 1)
    stack = to_stack(number[numbered])
    return columns_of(stack, ids.size, found.voxel, seen, which.size)


def join_objects(parts: Sequence[tuple[Objects, tuple[int, ...]]], voxel: Voxel) -> Objects:
    """The objects of an image from those of its boxes, each with the corner of its box; an id is one object in all.

    >>> image = np.array([[0, 5, 5, 5]])
    >>> parts = [(objects(image[:, :2], Voxel((1.0, 1.0))), (0, 0)), (objects(image[:, 2:], Voxel((1.0, 1.0))), (0, 2))]
    >>> join_objects(parts, Voxel((1.0, 1.0))).centroid
    array([[0., 2.]])
    """
    every = np.concatenate([one.ids for one, _ in parts])
    voxels = np.concatenate([one.voxels for one, _ in parts])
    centroid = np.concatenate([one.centroid + np.array(corner) * voxel.size for one, corner in parts])
    low = np.concatenate([one.low + np.array(corner) for one, corner in parts])
    high = np.concatenate([one.high + np.array(corner) for one, corner in parts])
    ids, place = np.unique(every, return_inverse=True)
    total, middle = np.zeros(ids.size, np.int64), np.zeros((ids.size, voxel.ndim))
    first, last = np.full((ids.size, voxel.ndim), np.iinfo(np.int64).max), np.zeros((ids.size, voxel.ndim), np.int64)
    np.add.at(total, place, voxels)
    np.add.at(middle, place, centroid * voxels[:, None])
    np.minimum.at(first, place, low)
    np.maximum.at(last, place, high)
    shape = tuple(np.max([np.add(one.shape, corner) for one, corner in parts], axis=0).tolist())
    return Objects(ids, total, middle / total[:, None], first, last, voxel, shape)


def equivalent_diameter(size: NDArray[np.floating], ndim: int) -> NDArray[np.float64]:
    """Diameter of the disc (2D) or ball (3D) of that area or volume, in the same unit.

    >>> equivalent_diameter(np.array([np.pi]), 2)
    array([2.])
    """
    diameter: NDArray[np.float64] = np.sqrt(4 * size / np.pi) if ndim == 2 else np.cbrt(6 * size / np.pi)
    return diameter
