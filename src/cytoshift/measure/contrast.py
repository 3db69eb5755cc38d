"""How objects stand out from what is around them: inside against a ring, and the outline against the inside."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from ..core.voxel import Voxel
from ..labels.ids import compact_labels
from ..labels.objects import equivalent_diameter

RING_DIAMETERS = 0.2  # of the median diameter: how far the ring around an object reaches, at least two voxels
SLAB_VOXELS = 2**22  # voxels of a large image in which nearest objects are looked for at once
SMOOTH_VOXELS = 1.0  # voxels of the finest axis, before slopes are taken


@dataclass(frozen=True, eq=False)
class Contrast:
    """Of the N objects of a label image, by ascending id; all in [0, 1], 0.5 says nothing.

    inside: chance that a voxel of the object is brighter than one of the background within reach around it, were both
        normally distributed: 1 bright, 0 dark. NaN of an object that others surround altogether.
    outline: slope at the outline over the sum of it and the slope inside; texture or a missed boundary lower it.
    """

    inside: NDArray[np.float64]
    outline: NDArray[np.float64]


def contrast(image: NDArray[np.floating], labels: NDArray[np.generic], voxel: Voxel) -> Contrast:
    """image, labels (*S): of any intensities and ids. A light that changes slowly over the field does not matter."""
    numbered = compact_labels(labels)
    count = numbered.ids.size
    if not count:
        return Contrast(np.zeros(0), np.zeros(0))
    names = numbered.labels
    size = equivalent_diameter(numbered.voxels.astype(np.float64) * voxel.volume, labels.ndim)
    reach = max(RING_DIAMETERS * float(np.median(size)), 2 * min(voxel.size))
    owner = nearest_object(names, voxel, reach)
    parts = [region_statistics(image, side, count) for side in (names, owner)]
    (inside, one), (around, other) = parts
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = (inside - around) / np.sqrt(one + other)
    apart = np.where((one + other == 0) & (inside == around), 0.0, apart)
    return Contrast(np.asarray(special.ndtr(apart)), outline_slope(image, names, count, voxel))


def nearest_object(names: NDArray[np.int32], voxel: Voxel, reach: float) -> NDArray[np.int32]:
    """Background (*S) within reach of an object carries the number of the nearest one; 0 elsewhere and inside.

    A large image is taken in slabs, between which a signal is heard.
    """
    owner = np.zeros_like(names)
    halo = int(reach / voxel.size[0]) + 1
    rows = max(SLAB_VOXELS // prod(names.shape[1:]), halo)
    for start in range(0, len(names), rows):
        first = max(start - halo, 0)
        part = names[first : start + rows + halo]
        if not part.any():
            continue
        away, places = ndimage.distance_transform_edt(part == 0, sampling=voxel.size, return_indices=True)
        found = part[tuple(places)]
        found[(away > reach) | (part > 0)] = 0
        owner[start : start + rows] = found[start - first :][:rows]
    return owner


def region_statistics(
    image: NDArray[np.floating], names: NDArray[np.int32], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the image over each of the regions 1..count; NaN of an empty one."""
    flat, values = names.ravel(), image.ravel().astype(np.float64)
    number = np.bincount(flat, minlength=count + 1)[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(flat, values, count + 1)[1:] / number
        square = np.bincount(flat, values**2, count + 1)[1:] / number
    return mean, np.maximum(square - mean**2, 0)


def outline_slope(
    image: NDArray[np.floating], names: NDArray[np.int32], count: int, voxel: Voxel
) -> NDArray[np.float64]:
    """Per object: slope within a voxel of its outline over the sum of it and the slope further inside."""
    sigma = [SMOOTH_VOXELS / a for a in voxel.anisotropy]
    steps = np.gradient(ndimage.gaussian_filter(image.astype(np.float32), sigma), *voxel.size)
    slope = np.sqrt(sum(np.square(step) for step in steps))
    rim = np.zeros(names.shape, bool)
    for axis in range(names.ndim):
        ahead = np.moveaxis(names, axis, 0)
        differs = ahead[1:] != ahead[:-1]
        edge = np.moveaxis(rim, axis, 0)
        edge[1:] |= differs
        edge[:-1] |= differs
    at, deep = (region_statistics(slope, np.where(side, names, 0), count)[0] for side in (rim, ~rim))
    deep = np.where(np.isnan(deep), 0, deep)  # an object of its rim alone
    at = np.where(np.isnan(at), 0, at)  # one that fills the field
    total = at + deep
    return np.where(total > 0, at / np.where(total > 0, total, 1), 0.5)
