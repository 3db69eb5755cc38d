"""Grids to measure on: binned to what the objects need, and sampled where a volume is too large to see whole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel


def bin_image(image: NDArray[np.generic], factors: Sequence[int]) -> NDArray[np.float32]:
    """Means of blocks of `factors` voxels, (*S) -> (*S // factors); what does not fill a block is left out.

    >>> bin_image(np.array([[1, 3, 5], [1, 3, 5]]), (2, 2))
    array([[2.]], dtype=float32)
    """
    shape: list[int] = []
    for n, f in zip(image.shape, factors):
        shape += [n // f, f]
    whole = image[tuple(slice(0, n // f * f) for n, f in zip(image.shape, factors))]
    if all(f == 1 for f in factors):
        return whole.astype(np.float32)
    return whole.reshape(shape).mean(axis=tuple(range(1, 2 * image.ndim, 2)), dtype=np.float32)


def factors_for(voxel: Voxel, spacing: float, shape: Sequence[int]) -> tuple[int, ...]:
    """Whole binning factors that bring each axis close to `spacing` (in the voxel's unit), never beyond it."""
    return tuple(max(1, min(int(spacing / s), n)) for s, n in zip(voxel.size, shape))


def binned_voxel(voxel: Voxel, factors: Sequence[int]) -> Voxel:
    """The voxel of a grid binned by `factors`."""
    return Voxel(tuple(s * f for s, f in zip(voxel.size, factors)), voxel.unit)


def sample_boxes(shape: Sequence[int], voxel: Voxel, budget: int) -> list[tuple[slice, ...]]:
    """The whole image where it fits the budget (in voxels), else four boxes of it, spread over its two longest axes.

    A box is as close to a physical cube as the image allows: objects are cut least by it.
    """
    if np.prod(shape, dtype=np.int64) <= budget:
        return [tuple(slice(0, n) for n in shape)]
    extent = np.array(shape) * voxel.size
    low, high = 0.0, float(extent.max())
    for _ in range(50):  # bisection for the edge of the box
        edge = (low + high) / 2
        box = np.minimum(extent, edge) / voxel.size
        low, high = (edge, high) if np.prod(box) < budget / 4 else (low, edge)
    box = np.maximum(np.minimum(extent, low) / voxel.size, 1).astype(int)
    slack = [n - b for n, b in zip(shape, box)]
    first, second = sorted(np.argsort(-np.array(slack) * np.array(voxel.size), kind="stable")[:2])
    boxes = []
    for i in (1, 3):
        for j in (1, 3):
            start = [s // 2 for s in slack]
            start[first], start[second] = slack[first] * i // 4, slack[second] * j // 4
            boxes.append(tuple(slice(int(o), int(o + b)) for o, b in zip(start, box)))
    return boxes
