"""Planes of volumes that may be larger than memory, for pictures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.evenly import first_of_parts
from ..core.voxel import Voxel
from ..draw import composite, image_grid
from .volumes import Volume

LONGEST_SIDE = 2048  # voxels read along each axis of a plane


def plane_of(volume: Volume, z: int | None = None) -> tuple[NDArray[np.generic], Voxel]:
    """One plane (Y, X), or (C, Y, X) of several channels, and the size of its pixels; nothing else is read.

    z: its number; None: the middle one. In an image longer than LONGEST_SIDE, voxels are read at equal distances.
    """
    step = max(-(-max(volume.shape[-2:]) // LONGEST_SIDE), 1)
    here = () if volume.axes == "yx" else (volume.shape[0] // 2 if z is None else z,)
    plane = volume.array[(..., *here, slice(None, None, step), slice(None, None, step))]
    return np.asarray(plane), Voxel(tuple(s * step for s in volume.voxel.size[-2:]), volume.voxel.unit)


def middle_planes(volumes: Sequence[Volume], most: int, size: int) -> NDArray[np.uint8]:
    """A sheet of the middle planes of at most so many images, evenly over all of them; channels in colours."""
    chosen = first_of_parts(volumes, most)
    pictures = []
    for volume in chosen:
        plane, pixel = plane_of(volume)
        pictures.append(composite(plane.reshape(-1, *plane.shape[-2:]), pixel, size=size))
    names = [volume.name for volume in chosen]
    return image_grid([pictures[i : i + 4] for i in range(0, len(pictures), 4)],
                 captions=[names[i : i + 4] for i in range(0, len(names), 4)])  # fmt: skip
