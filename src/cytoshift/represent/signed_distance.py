"""Signed distance to the surface, in multiples of how deep each object is."""

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from ..core.voxel import Voxel
from .distance import distances, largest_depths, lower_envelope


def signed_distance(labels: NDArray[np.int32], voxel: Voxel) -> NDArray[np.float32]:
    """Objects in (0, 1], 1 where they are deepest, background in [-1, 0); (*S) float32.

    labels (*S), 0 is background, objects 1..N may touch. Inside stands the distance to the nearest voxel that is not of
    the same object, outside the distance to the nearest object, both in space and not in voxels; each is divided by the
    depth of that object, so that the surface is equally steep on both sides and no length needs to be chosen. Farther
    away than an object is deep the background is -1. Nothing is known beyond the border of the array: it is no surface.
    """
    inside = distances(labels, voxel)
    depth = largest_depths(labels.ravel(), inside.ravel(), int(labels.max(initial=0)))
    owner = labels.copy()
    squared = np.where(labels > 0, np.float32(0), np.float32(np.inf))
    for axis in reversed(range(labels.ndim)):
        shape = (int(np.prod(labels.shape[:axis])), labels.shape[axis], int(np.prod(labels.shape[axis + 1 :])))
        nearest_object(owner.reshape(shape), squared.reshape(shape), float(voxel.size[axis]))
    out = np.empty(labels.shape, dtype=np.float32)
    normalise_depth(inside.ravel(), squared.ravel(), owner.ravel(), depth, out.ravel())
    return out


@njit
def nearest_object(owner: NDArray[np.int32], squared: NDArray[np.float32], step: float) -> None:
    """One axis of the distance to the nearest object, and which it is; in place.

    owner, squared: (outer, n, inner) with the axis in the middle. The lower envelope of the parabolas
    squared[o, j, k] + (step (i - j))^2 is taken at the voxels i outside of objects (as in `distance.envelope`).
    """
    outer, n, inner = owner.shape
    height = np.empty(n)
    whose = np.empty(n, np.int32)
    vertex = np.empty(n, np.int64)
    start = np.empty(n + 1)
    for o in range(outer):
        for k in range(inner):
            for i in range(n):
                height[i] = squared[o, i, k]
                whose[i] = owner[o, i, k]
            count = lower_envelope(height, vertex, start, 0, n, step)
            place = 0
            for i in range(n if count > 0 else 0):
                if height[i] == 0.0:
                    continue
                while place + 1 < count and start[place + 1] <= i:
                    place += 1
                j = vertex[place]
                squared[o, i, k] = height[j] + (step * (i - j)) ** 2
                owner[o, i, k] = whose[j]


@njit
def normalise_depth(
    inside: NDArray[np.float32],
    squared: NDArray[np.float32],
    owner: NDArray[np.int32],
    depth: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Distances over the depths of their objects; all flat. An object without any surface in sight is 1 all over."""
    for i in range(out.size):
        if owner[i] == 0:
            out[i] = -1.0
        elif squared[i] > 0:
            out[i] = -min(np.sqrt(squared[i]) / depth[owner[i]], 1.0)
        elif inside[i] < np.inf:
            out[i] = inside[i] / depth[owner[i]]
        else:
            out[i] = 1.0
