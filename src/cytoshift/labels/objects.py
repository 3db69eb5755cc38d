"""One row per object: size, diameter, place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel
from .filters import refuse_other_axes
from .ids import compact_labels
from .kernels import moments


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

    @property
    def size(self) -> NDArray[np.float64]:
        """Area (2D) or volume (3D) in unit ** D, (N,)."""
        return self.voxels.astype(np.float64) * self.voxel.volume

    @property
    def diameter(self) -> NDArray[np.float64]:
        """Equivalent diameters, (N,)."""
        return equivalent_diameter(self.size, self.voxel.ndim)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The table as columns for a CSV file, with units in their names.

        In 2D: id, area_um2, diameter_um, y_um, x_um, y_min, y_max, x_min, x_max; the bounding box is in voxels,
        its end excluded. In 3D: volume_um3 and z before y.
        """
        unit, axes = self.voxel.unit, "zyx"[-self.voxel.ndim :]
        table: dict[str, NDArray[np.generic]] = {"id": self.ids}
        table[f"{'area' if len(axes) == 2 else 'volume'}_{unit}{len(axes)}"] = self.size
        table[f"diameter_{unit}"] = self.diameter
        table |= {f"{axis}_{unit}": self.centroid[:, i] for i, axis in enumerate(axes)}
        for i, axis in enumerate(axes):
            table |= {f"{axis}_min": self.low[:, i], f"{axis}_max": self.high[:, i]}
        return table


def objects(labels: NDArray[np.generic], voxel: Voxel) -> Objects:
    """Measure every object of a label image (*S), 2D or 3D. Raises UserError where the voxel size does not fit it.

    >>> found = objects(np.array([[0, 5, 5], [0, 5, 5]]), Voxel((0.5, 0.5), "um"))
    >>> found.ids, found.size, found.centroid
    (array([5], dtype=uint64), array([1.]), array([[0.25, 0.75]]))
    """
    refuse_other_axes(labels, voxel)
    numbered, ids, count = compact_labels(labels)
    stack = numbered if labels.ndim == 3 else numbered[None]
    _, total, low, high = moments(stack, ids.size)
    here = slice(3 - labels.ndim, 3)
    centroid = total[:, here] / count[:, None] * np.array(voxel.size)
    return Objects(ids, count, centroid, low[:, here], high[:, here], voxel)


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
    return Objects(ids, total, middle / total[:, None], first, last, voxel)


def equivalent_diameter(size: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Diameter of the disc (2D) or ball (3D) of that area or volume, in the same unit.

    >>> equivalent_diameter(np.array([np.pi]), 2)
    array([2.])
    """
    diameter: NDArray[np.float64] = np.sqrt(4 * size / np.pi) if ndim == 2 else np.cbrt(6 * size / np.pi)
    return diameter
