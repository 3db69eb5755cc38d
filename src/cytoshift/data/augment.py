"""Augmentation = sampled numbers, then a pure transform, so that it can be replayed and tested."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.settings import Settings
from ..core.voxel import Voxel


class Augment(Settings):
    """flips: mirror every axis; turns: quarter turns in planes of equal voxel sizes; gamma: contrast of an image,
    its intensities in [0, 1] raised to 2 ** U(-gamma, gamma).
    """

    flips: bool = True
    turns: bool = True
    gamma: float = 0.0


@dataclass(frozen=True)
class Pose:
    """One orientation: quarter turns in the plane `plane`, then mirrored axes."""

    plane: tuple[int, int]
    turns: int
    mirrored: tuple[int, ...]

    def __call__(self, array: NDArray) -> NDArray:
        """array (..., *S), the same number of spatial axes as `plane` was chosen for."""
        turned = np.rot90(array, self.turns, self.plane) if self.turns else array
        return np.ascontiguousarray(np.flip(turned, self.mirrored))


def sample_pose(augment: Augment, patch: tuple[int, ...], voxel: Voxel, rng: np.random.Generator) -> Pose:
    """Numbers of one pose. Axes are swapped only where patch and voxel have equal extents along both."""
    ndim = len(patch)
    equal = patch[-1] == patch[-2] and np.isclose(voxel.size[-1], voxel.size[-2])
    turns = int(rng.integers(4)) if augment.turns and equal else 0
    mirrored = tuple(axis for axis in range(-ndim, 0) if augment.flips and rng.random() < 0.5)
    return Pose((-2, -1), turns, mirrored)


def change_gamma(image: NDArray[np.float32], exponent: float) -> NDArray[np.float32]:
    """Intensities in [-1, 1], as [0, 1] raised to `exponent`."""
    return (2 * ((image + 1) / 2).clip(0, 1) ** np.float32(exponent) - 1).astype(np.float32)
