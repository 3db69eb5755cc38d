"""Shapes that somebody has cut out of images, as objects to be laid like any other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .solids import PosedSolids, frames, to_placeable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cutouts:
    """Shapes of one class, each centred in a cube of G voxels. Lengths in the unit of the volumes drawn.

    grids: (L, G, G, G) in [0, 1]. bounds: (L, 2) radii of the balls about the centre that are full and that hold all,
    in multiples of G / 2 voxels. axes, radii: (L, 3, 3) and (L, 3) principal axes in columns and semi-axes, longest
    first, of the ellipsoid with the same second moments. scale: by how much objects are enlarged.
    """

    grids: NDArray[np.float32]
    bounds: Array
    axes: Array
    radii: Array
    voxel: Array
    scale: tuple[float, float]

    @property
    def longest(self) -> float:
        """How far from its centre the largest of them reaches."""
        return float(self.bounds[:, 1].max()) * self.grids.shape[1] / 2 * float(self.voxel.max()) * self.scale[1]

    @property
    def middle(self) -> float:
        """The radius of the ball about as large as a typical one."""
        return float(np.median(self.radii.prod(axis=1)) ** (1 / 3)) * sum(self.scale) / 2

    def draw(self, first: Array, bent: float, rng: np.random.Generator) -> PosedSolids:
        """Shapes by chance, largest first, with their long axes along `first` (N, 3), mirrored or not.

        bent: as for `solids.placeable`.
        """
        number = len(first)
        which = rng.integers(0, len(self.grids), number)
        scale = rng.uniform(*self.scale, number)
        order = np.argsort(-self.radii[which].prod(axis=1) * scale**3)
        which, scale = which[order], scale[order]
        frame = frames(first, False, rng)
        frame[:, :, 2] *= rng.choice([-1.0, 1.0], (number, 1))
        turn = frame @ self.axes[which].transpose(0, 2, 1) * scale[:, None, None]
        matrix = turn * self.voxel * (self.grids.shape[1] / 2)
        objects = to_placeable(matrix, np.zeros((number, 0, 4)), self.bounds[which], bent)
        ellipsoid = frame * (scale[:, None] * self.radii[which])[:, None, :]
        return PosedSolids(
            objects._replace(grids=self.grids, which=which), frame, np.linalg.inv(ellipsoid).astype(np.float64)
        )


@dataclass(frozen=True)
class Library:
    """Golgi and nuclei to draw from."""

    golgi: Cutouts
    nuclei: Cutouts


def cutouts(masks: Sequence[NDArray[np.bool_]], voxel: tuple[float, ...], scale: tuple[float, float]) -> Cutouts:
    """Shapes (Z, Y, X) of any sizes, none of them empty, of voxels of size `voxel`."""
    size = np.array(voxel, dtype=np.float64)
    points = [np.argwhere(mask) for mask in masks]
    middles = [(p.min(axis=0) + p.max(axis=0)) / 2 for p in points]
    reach = [np.linalg.norm(np.abs(p - m) + 0.5, axis=1).max() for p, m in zip(points, middles)]
    side = 2 * int(np.ceil(max(reach))) + 2
    grids = np.zeros((len(masks), side, side, side), np.float32)
    axes, radii = np.empty((len(masks), 3, 3)), np.empty((len(masks), 3))
    for k, (p, m) in enumerate(zip(points, middles)):
        inside = p - np.floor(m).astype(int) + side // 2 - 1  # half a voxel off the middle at the most
        grids[k][tuple(inside.T)] = 1
        spread = np.cov((p * size).T, bias=True) + np.diag(size**2 / 12)
        moments, ways = np.linalg.eigh(spread)
        axes[k], radii[k] = ways[:, ::-1], np.sqrt(5 * moments[::-1])
    bounds = np.stack([np.zeros(len(masks)), (np.array(reach) + 0.5 * 3**0.5) / (side / 2)], axis=1)
    return Cutouts(grids, np.minimum(bounds, 1.0), axes, radii, size, scale)
