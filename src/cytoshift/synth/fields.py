"""Smooth random fields, in any number of dimensions."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
# Mean square of a cubic B-spline's weights: the variance that one axis leaves of normal nodes.
SPLINE_VARIANCE = 0.4793


def noise(shape: Sequence[int], cell: NDArray[np.float64], rng: np.random.Generator) -> Float:
    """A normal random field with about unit variance, a cubic B-spline with nodes every `cell` voxels.

    Parameters
    ----------
    shape
        Of the field, (*S).
    cell
        (S,) distance of the nodes along each axis, in voxels; of less than a voxel and a half the field is white.
    """
    cells = np.broadcast_to(np.asarray(cell, np.float64), (len(shape),))
    weights = [None if n == 1 or c < 1.5 else spline(n, c, rng.random()) for n, c in zip(shape, cells)]
    nodes = [n if w is None else w.shape[1] for n, w in zip(shape, weights)]
    field = rng.standard_normal(nodes, dtype=np.float32)
    gain = 1.0
    for axis, one in enumerate(weights):
        if one is not None:
            field = apply_along(field, one, axis)
            gain /= SPLINE_VARIANCE**0.5
    return field * np.float32(gain)


def octaves(
    shape: Sequence[int], scales: Sequence[float], power: float, size: NDArray[np.float64], rng: np.random.Generator
) -> Float:
    """A sum of fields at several scales with about unit variance; coarser ones weigh more by (scale ratio)^power.

    scales: distances of nodes, in sides of the finest voxel. size: (S,) voxel, relative to its finest side.
    """
    weights = [(scale / max(scales)) ** power for scale in scales]
    total = sum(np.float32(w) * noise(shape, scale / size, rng) for w, scale in zip(weights, scales))
    return np.asarray(total / np.float32(np.sqrt(np.sum(np.square(weights)))), np.float32)


def apply_along(field: Float, matrix: Float, axis: int) -> Float:
    """A matrix (n, m) applied along an axis of m nodes."""
    return np.ascontiguousarray(np.moveaxis(np.tensordot(matrix, field, axes=(1, axis)), 0, axis))


def spline(count: int, cell: float, offset: float) -> Float:
    """Weights (count, nodes) of a cubic B-spline whose nodes lie `cell` samples apart, shifted by a part of a cell."""
    place = np.arange(count) / cell + offset
    first = np.floor(place).astype(int)
    t = (place - first).astype(np.float32)
    parts = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    weights = np.zeros((count, int(first[-1]) + 4), np.float32)
    rows = np.arange(count)
    for k, part in enumerate(parts):
        weights[rows, first + k] = part
    return weights


def linear(count: int, nodes: int) -> Float:
    """Weights (count, nodes) of the line through `nodes` samples that cover the same length; ends are continued."""
    place = np.clip((np.arange(count) + 0.5) * nodes / count - 0.5, 0, nodes - 1)
    first = np.minimum(np.floor(place).astype(int), max(nodes - 2, 0))
    weights = np.zeros((count, nodes), np.float32)
    rows, t = np.arange(count), (place - first).astype(np.float32)
    weights[rows, first] = 1 - t
    if nodes > 1:
        weights[rows, first + 1] += t
    return weights


def pool_weights(count: int, nodes: int) -> Float:
    """Weights (nodes, count) of the mean of so many neighbouring samples each."""
    edges = np.linspace(0, count, nodes + 1)
    start, stop = edges[:-1, None], edges[1:, None]
    at = np.arange(count)[None]
    share = np.clip(np.minimum(stop, at + 1) - np.maximum(start, at), 0, 1)
    return (share / share.sum(axis=1, keepdims=True)).astype(np.float32)


def blob(
    shape: Sequence[int], centre: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[tuple[slice, ...], Float]:
    """A Gaussian of height 1 within three standard deviations: where it lies, and its values there."""
    box = tuple(slice(max(int(c - 3 * s), 0), min(int(c + 3 * s) + 2, n)) for c, s, n in zip(centre, sigma, shape))
    lines = [np.exp(-0.5 * ((np.arange(b.start, b.stop) - c) / s) ** 2) for b, c, s in zip(box, centre, sigma)]
    return box, reduce(np.multiply.outer, lines).astype(np.float32)
