"""All levels of a pyramid, as a viewer wants them: those of the file, and where it has none every so manieth voxel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.lazy_array import LazyArray
from .channel_axis import split_channels
from .lazy import StackedArray, StridedArray
from .pyramid import plan_levels
from .volumes import ImageSource, Volume, open_source

MOST_READ_PER_SHOWN = 64  # voxels that are read for one which is shown, where a file has no coarser copy of itself


@dataclass(frozen=True, eq=False)
class CoarseLevel:
    """One level. factors: extent of its voxels in multiples of the finest level's."""

    array: LazyArray | NDArray[np.generic]
    factors: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class PyramidVolume:
    """A volume with its coarser copies, the finest first: level 0 is `volume.array`."""

    volume: Volume
    levels: tuple[CoarseLevel, ...]


def open_pyramid(source: ImageSource, labels: bool = False) -> list[PyramidVolume]:
    """What `open_volumes` (or `open_labels`) opens, with all levels that its files have.

    A declared voxel size is that of the finest level; `source.level` is not looked at.
    """
    found = [[volume] for volume in open_source(source.model_copy(update={"level": 0}), labels)]
    for level in range(1, 64):
        try:
            coarser = open_source(source.model_copy(update={"level": level, "skip_bad": False}), labels)
        except UserError:  # no such level; what else can be wrong was wrong with level 0
            break
        if len(coarser) != len(found):
            break
        for levels, volume in zip(found, coarser):
            levels.append(volume)
    return [pyramid_volume(levels[0], [volume.array for volume in levels]) for levels in found]


def pyramid_volume(volume: Volume, arrays: Sequence[LazyArray | NDArray[np.generic]] = ()) -> PyramidVolume:
    """A volume with the arrays of its levels, the finest of which is its own."""
    coarser = [CoarseLevel(array, level_factors(volume.array.shape, array.shape)) for array in arrays[1:]]
    return PyramidVolume(volume, (CoarseLevel(volume.array, (1.0,) * len(volume.array.shape)), *coarser))


def add_strided_levels(image: PyramidVolume) -> PyramidVolume:
    """An image that has no coarser copies with views of every so manieth voxel in their place."""
    first, *rest = image.levels
    if rest:
        return image
    front = len(first.array.shape) - len(image.volume.axes)
    levels = [first]
    for level in plan_levels(first.array.shape[front:], image.volume.voxel.size)[1:]:
        if prod(level.factors) > MOST_READ_PER_SHOWN:
            break
        steps = (1,) * front + level.factors
        levels.append(CoarseLevel(StridedArray(first.array, steps), tuple(map(float, steps))))
    return replace(image, levels=tuple(levels))


def level_factors(fine: tuple[int, ...], coarse: tuple[int, ...]) -> tuple[float, ...]:
    """Extents of coarse voxels in multiples of fine ones: a whole number wherever one explains the sizes.

    >>> level_factors((100, 513, 513), (100, 257, 256))
    (1.0, 2.0, 2.0)
    """
    out = []
    for n, m in zip(fine, coarse):
        whole = max(round(n / m), 1)
        out.append(float(whole) if m in (n // whole, ceil(n / whole)) else n / m)
    return tuple(out)


def split_image(image: PyramidVolume) -> list[PyramidVolume]:
    """Each channel of an image by itself; of an image of one channel the image."""
    ndim = len(image.volume.axes)
    count = image.volume.channels
    if count == 1:
        return [image]
    arrays = [split_channels(level.array, ndim) for level in image.levels]
    return [
        PyramidVolume(
            replace(image.volume, array=arrays[0][c]),
            tuple(CoarseLevel(each[c], level.factors[-ndim:]) for each, level in zip(arrays, image.levels)),
        )
        for c in range(count)
    ]


def stack_frames(images: Sequence[PyramidVolume]) -> PyramidVolume:
    """Images of one grid as frames behind each other, (T, *S) on each level. Raises UserError where they differ."""
    first = images[0]
    if len(images) == 1:
        return first
    grids = [tuple(level.array.shape for level in image.levels) for image in images]
    if odd := next((i for i, grid in enumerate(grids) if grid != grids[0]), None):
        raise UserError(
            f"{len(images)} images are shown as frames of one, but {first.volume.name} has the shape "
            f"{first.volume.shape} and {images[odd].volume.name} {images[odd].volume.shape}; name one of them"
        )
    levels = [
        CoarseLevel(StackedArray(tuple(image.levels[i].array for image in images)), (1.0, *level.factors))
        for i, level in enumerate(first.levels)
    ]
    return PyramidVolume(replace(first.volume, array=levels[0].array), tuple(levels))
