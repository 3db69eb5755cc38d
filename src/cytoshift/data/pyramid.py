"""Coarser copies of an image or of labels, each half as fine as the last along the axes that are still the finest."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

COARSEST_SIDE = 256  # an image that fits into this many voxels along every axis needs no coarser copy


@dataclass(frozen=True)
class Level:
    """One level of a pyramid."""

    shape: tuple[int, ...]
    steps: tuple[int, ...]  # voxels of the level before that become one of this
    factors: tuple[int, ...]  # extent of a voxel in multiples of the finest voxel's


def plan_levels(shape: tuple[int, ...], size: tuple[float, ...]) -> list[Level]:
    """The levels of an image of (Y, X) or (Z, Y, X) voxels, the image itself first.

    size: extent of its voxels; a coarse z axis is left alone until y and x are as coarse.
    """
    ones = (1,) * len(shape)
    levels = [Level(tuple(shape), ones, ones)]
    while max(levels[-1].shape) > COARSEST_SIDE:
        last = levels[-1]
        extents = [s * f for s, f in zip(size, last.factors)]
        finest = min(e for e, n in zip(extents, last.shape) if n > 1)
        # An axis is halved as long as that does not make its voxels longer than those of the finest axis will be.
        steps = tuple(2 if n > 1 and e < 1.5 * finest else 1 for e, n in zip(extents, last.shape))
        coarser = tuple(-(-n // s) for n, s in zip(last.shape, steps))
        levels.append(Level(coarser, steps, tuple(f * s for f, s in zip(last.factors, steps))))
    return levels


def build_pyramid(
    image: NDArray[np.generic], size: tuple[float, ...], labels: bool
) -> list[tuple[NDArray[np.generic], tuple[int, ...]]]:
    """The image and its coarser copies, with their voxels' extent in multiples of the finest voxel's.

    image: (Y, X) or (Z, Y, X). size: extent of its voxels. labels: ids are voted for and never averaged.
    """
    first, *rest = plan_levels(image.shape, size)
    levels = [(image, first.factors)]
    for level in rest:
        image = (block_mode if labels else block_mean)(image, level.steps)
        levels.append((image, level.factors))
    return levels


def block_mode(labels: NDArray[np.generic], steps: tuple[int, ...]) -> NDArray[np.generic]:
    """The most frequent id of every block of `steps` voxels; if several are equally frequent, the first one in C order.

    Steps along axes before the last three are 1.

    >>> block_mode(np.array([[1, 1, 0, 2], [1, 0, 0, 2]]), (2, 2))
    array([[1, 0]])
    """
    from ..labels.kernels import majority_vote

    out = np.empty([-(-n // s) for n, s in zip(labels.shape, steps)], labels.dtype)
    *_, z, y, x = (1, 1, *steps)
    before = (-1, *(1,) * (3 - labels.ndim))  # an image in 2D is one slice; of time and channels each is by itself
    majority_vote(labels.reshape(before + labels.shape[-3:]), out.reshape(before + out.shape[-3:]), (z, y, x))
    return out


def block_mean(image: NDArray[np.generic], steps: tuple[int, ...]) -> NDArray[np.generic]:
    """The mean of every block of `steps` voxels, rounded where the dtype is an integer."""
    members = block_voxels(image, steps)
    total = np.zeros(members[0].shape, dtype=np.float64)
    for member in members:
        total += member.astype(np.float64)
    total /= len(members)
    return (total if image.dtype.kind == "f" else np.rint(total)).astype(image.dtype)


def block_voxels(array: NDArray[np.generic], steps: tuple[int, ...]) -> list[NDArray[np.generic]]:
    """The voxels of every block, one strided array per place in the block; the last block repeats the border."""
    padding = [(0, -n % s) for n, s in zip(array.shape, steps)]
    padded = np.pad(array, padding, mode="edge") if any(after for _, after in padding) else array
    return [padded[tuple(slice(o, None, s) for o, s in zip(at, steps))] for at in product(*map(range, steps))]
