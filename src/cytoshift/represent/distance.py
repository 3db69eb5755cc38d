"""Distance of every object voxel to its object's surface, for all objects of a label image at once; and the signed one,
in multiples of how deep each object is."""

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from ..core.voxel import Voxel


def distances(labels: NDArray[np.integer] | NDArray[np.bool_], voxel: Voxel) -> NDArray[np.float32]:
    """Distance from each object voxel to the nearest voxel that is not of the same object.

    labels: (*S) integers or a mask, 0 is background; objects may touch and are not confused. Returns (*S) float32
    in the unit of `voxel`, 0 in the background. Beyond the border of the array nothing is known, so the border is no
    edge: an object cut by the border is deepest there, and one that fills the array is infinitely deep.

    Exact: one pass of lower envelopes of parabolas per axis (Felzenszwalb and Huttenlocher 2012), within runs of
    one label. Voxel centres are measured, as in scipy.ndimage, so a voxel on a face is one voxel size deep.
    """
    compact = np.ascontiguousarray(labels if labels.dtype != bool else labels.view(np.uint8))
    squared = np.full(compact.shape, np.inf, dtype=np.float32)
    for axis in reversed(range(compact.ndim)):
        shape = (int(np.prod(compact.shape[:axis])), compact.shape[axis], int(np.prod(compact.shape[axis + 1 :])))
        envelope(compact.reshape(shape), squared.reshape(shape), float(voxel.size[axis]))
    return np.sqrt(squared, out=squared)


@njit
def envelope(labels: NDArray[np.integer], squared: NDArray[np.float32], step: float) -> None:
    """One axis: squared[o, i, k] = min over j of the same run of squared[o, j, k] + (step (i - j))^2, in place.

    labels, squared: (outer, n, inner) views with the axis in the middle. The voxels at both ends of a run are
    foreign and count with distance 0, unless the array ends there.
    """
    outer, n, inner = labels.shape
    height = np.empty(n)  # parabola heights of one run
    vertex = np.empty(n, np.int64)  # parabolas of the lower envelope ...
    start = np.empty(n + 1)  # ... and where each begins to be the lowest
    for o in range(outer):
        for k in range(inner):
            first = 0
            while first < n:
                label = labels[o, first, k]
                last = first + 1
                while last < n and labels[o, last, k] == label:
                    last += 1
                if label == 0:
                    for i in range(first, last):
                        squared[o, i, k] = 0.0
                else:
                    for i in range(first, last):
                        height[i] = squared[o, i, k]
                    count = lower_envelope(height, vertex, start, first, last, step)
                    lowest = 0
                    for i in range(first, last):
                        best = np.inf
                        if count > 0:
                            while lowest + 1 < count and start[lowest + 1] <= i:
                                lowest += 1
                            j = vertex[lowest]
                            best = height[j] + (step * (i - j)) ** 2
                        if first > 0:
                            best = min(best, (step * (i - first + 1)) ** 2)
                        if last < n:
                            best = min(best, (step * (last - i)) ** 2)
                        squared[o, i, k] = best
                first = last


@njit
def lower_envelope(
    height: NDArray[np.float64],
    vertex: NDArray[np.int64],
    start: NDArray[np.float64],
    first: int,
    last: int,
    step: float,
) -> int:
    """Lower envelope of the parabolas over first..last-1 with finite height; returns how many it is made of."""
    count = 0
    for i in range(first, last):
        if not height[i] < np.inf:
            continue
        cross = -np.inf
        while count > 0:
            j = vertex[count - 1]
            cross = ((height[i] - height[j]) / (step * step) + (i * i - j * j)) / (2.0 * (i - j))
            if cross > start[count - 1]:
                break
            count -= 1
            cross = -np.inf
        vertex[count] = i
        start[count] = cross
        count += 1
    return count


@njit
def largest_depths(labels: NDArray[np.integer], depth: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Largest depth of each object: (count + 1,) float32, index = label; labels and depth are flat."""
    out = np.zeros(count + 1, np.float32)
    for i in range(labels.size):
        label = labels[i]
        if label > 0 and depth[i] > out[label]:
            out[label] = depth[i]
    return out


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
    squared[o, j, k] + (step (i - j))^2 is taken at the voxels i outside of objects (as in `envelope`).
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
