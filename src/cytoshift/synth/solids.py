"""From semi-axes to what the rasteriser takes: turned, stretched and dented solids, fibres, bent space."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .prior import Elastic, Fibres, Prior
from .raster import CIRCLE, SPHERE, Objects

Array = NDArray[np.float64]

ROLL_OFF = np.array([1.0, 0.7, 0.5, 0.35])  # harmonics of orders 2..5: the higher, the weaker; 1 would only shift
ROLL_OFF /= np.sqrt((ROLL_OFF**2).sum())
DEEPEST_DENT = 0.5  # no radius leaves half to one and a half of the ellipsoid's
DIRECTIONS = 128  # directions in which the radius is looked at
RADIUS_MARGIN = 1.15  # radii between the directions that are looked at may be longer
POINTS = 256  # along a fibre
NO_GRIDS = np.zeros((0, 0, 0, 0), np.float32)
FIBRE_TILT = 0.25  # an object's long axis and its fibre: about 20 degrees


class PosedSolids(NamedTuple):
    """N objects turned but without a place, and the ellipsoids about as large."""

    objects: Objects
    frame: Array  # (N, 3, 3) axes in columns, the longest first
    inverse: Array  # (N, 3, 3) from the ellipsoid to the unit ball


def solids(prior: Prior, axes: Array, ways: Array, flat: bool, rng: np.random.Generator) -> Objects:
    """Everything about N objects but their place. axes: (N, 3) semi-axes; ways: (F, 3) directions of fibres."""
    number = len(axes)
    fibre = rng.integers(0, max(len(ways), 1), number)
    first = rng.standard_normal((number, 3))
    if len(ways):
        first = ways[fibre] + FIBRE_TILT * first
    frame = frames(first, flat, rng)
    stretch = np.ones(3) if flat else prior.axial ** np.array([2 / 3, -1 / 3, -1 / 3])
    matrix = stretch[:, None] * frame * axes[:, None, :]  # unit ball -> object
    bumps, bounds = dents(prior.irregularity, number, flat, rng)
    made = to_placeable(matrix, bumps, bounds, prior.elastic.amplitude if prior.elastic else 0.0)
    return made._replace(poly=CIRCLE if flat else SPHERE, fibre=fibre)


def to_placeable(matrix: Array, bumps: Array, bounds: Array, bent: float) -> Objects:
    """Images of dented unit balls under `matrix` (N, 3, 3), in 3D. bumps, bounds: as `dents` gives them.

    bent: the largest displacement along an axis of the space that they will lie in.
    """
    reach = np.linalg.norm(matrix, axis=2) * bounds[:, 1:] + bent
    ball = np.linalg.norm(reach, axis=1) if bent else np.linalg.norm(matrix, 2, axis=(1, 2)) * bounds[:, 1]
    none = np.zeros(len(matrix), np.int64)
    inverse = np.linalg.inv(matrix).astype(np.float64)
    return Objects(inverse, reach, ball, bumps, bounds, SPHERE, none, NO_GRIDS, none)


def frames(first: Array, flat: bool, rng: np.random.Generator) -> Array:
    """(N, 3, 3) orthonormal axes in columns, the first one along `first` (N, 3).

    Gram-Schmidt of Gaussian vectors: uniform over all rotations if `first` is Gaussian. In the plane, the third
    axis is z.
    """
    if flat:
        v = first * [0, 1, 1]
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        w = np.stack([v[:, 0], -v[:, 2], v[:, 1]], axis=1)
        return np.stack([v, w, np.broadcast_to([1.0, 0.0, 0.0], v.shape)], axis=2)
    u = first / np.linalg.norm(first, axis=1, keepdims=True)
    v = rng.standard_normal(first.shape)
    v -= (u * v).sum(axis=1, keepdims=True) * u
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    return np.stack([u, v, np.cross(u, v)], axis=2)


def dents(irregularity: float, number: int, flat: bool, rng: np.random.Generator) -> tuple[Array, Array]:
    """Harmonics of the radius: (N, K, 4) amplitudes and axes, and (N, 2) the smallest and the largest radius.

    K is 0 without any. The bounds are those of DIRECTIONS directions, and a margin for what lies between them.
    """
    if irregularity == 0:
        return np.zeros((number, 0, 4)), np.ones((number, 2))
    amplitude = irregularity * ROLL_OFF * rng.standard_normal((number, len(ROLL_OFF)))
    way = rng.standard_normal((number, len(ROLL_OFF), 3))
    around = even_directions(flat)
    if flat:  # the unit ball's third axis is the image's z, see `frames`
        way[..., 2] = 0
    way /= np.linalg.norm(way, axis=2, keepdims=True)
    cosine = way @ around.T  # (N, K, DIRECTIONS)
    value = np.zeros_like(cosine)
    for power in (CIRCLE if flat else SPHERE).T[::-1]:
        value = value * cosine + power[:, None]
    total = RADIUS_MARGIN * (amplitude[..., None] * value).sum(axis=1)
    scale = DEEPEST_DENT / np.maximum(np.abs(total).max(axis=1), DEEPEST_DENT)
    bounds = 1 + scale[:, None] * np.stack([total.min(axis=1), total.max(axis=1)], axis=1)
    return np.concatenate([scale[:, None, None] * amplitude[..., None], way], axis=2), bounds


@lru_cache
def even_directions(flat: bool) -> Array:
    """(DIRECTIONS, 3) directions, evenly on the circle of the first two axes or (Fibonacci's spiral) on the sphere."""
    step = np.arange(DIRECTIONS)
    height = np.zeros(DIRECTIONS) if flat else 1 - (2 * step + 1) / DIRECTIONS
    angle = step * (2 * np.pi / DIRECTIONS if flat else np.pi * (3 - np.sqrt(5)))
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def fibres(law: Fibres | None, extent: Array, flat: bool, rng: np.random.Generator) -> tuple[Array, Array]:
    """Gently curved lines through the image: points (F, POINTS, 3) and mean directions (F, 3); F is 0 without a law."""
    if law is None:
        return np.zeros((0, POINTS, 3)), np.zeros((0, 3))
    real = np.array([not flat, True, True])
    ndim = real.sum()
    number = max(round((extent[real] / law.spacing).prod() ** ((ndim - 1) / ndim)), 1)
    way = rng.standard_normal((number, 3)) * real
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    through = rng.random((number, 3)) * extent
    side = frames(way, flat, rng)[:, :, 1]
    # Where each line enters and leaves the image.
    with np.errstate(divide="ignore"):
        ends = np.stack([-through / way, (extent - through) / way])  # (2, F, 3)
    enter = np.where(real, ends.min(axis=0), -np.inf).max(axis=1)
    leave = np.where(real, ends.max(axis=0), np.inf).min(axis=1)
    t = enter[:, None] + np.linspace(0, 1, POINTS) * (leave - enter)[:, None]  # (F, POINTS)
    wave = np.sin(2 * np.pi * (t / (5 * law.spacing) + rng.random((number, 1)))) * law.spacing / 4
    return through[:, None] + t[..., None] * way[:, None] + wave[..., None] * side[:, None], way


def bend_space(
    law: Elastic | None, shape: tuple[int, ...], size: Array, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(3, Z, Y, X) displacement of every voxel in the unit of the voxel, or (3, 0, 0, 0) without a law."""
    if law is None or law.amplitude == 0:
        return np.zeros((3, 0, 0, 0), np.float32)
    bases = [spline((np.arange(n) + 0.5) * s / law.wavelength) for n, s in zip(shape, size)]
    nodes = rng.uniform(-law.amplitude, law.amplitude, (3, *(b.shape[1] for b in bases))).astype(np.float32)
    if shape[0] == 1:
        nodes[0] = 0
    field = nodes @ bases[2].T  # (3, z, y, X)
    field = np.swapaxes(np.swapaxes(field, 2, 3) @ bases[1].T, 2, 3)  # (3, z, Y, X)
    depth, height, width = shape
    field = np.ascontiguousarray(field).reshape(3, -1, height * width)
    return np.ascontiguousarray((bases[0] @ field).reshape(3, depth, height, width), dtype=np.float32)


def spline(position: Array) -> NDArray[np.float32]:
    """(N, nodes) weights of uniform cubic B-splines at positions >= 0 in units of their spacing; rows sum to 1."""
    first = np.floor(position).astype(int)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    basis = np.zeros((len(position), first.max() + 4), np.float32)
    for node in range(4):
        basis[np.arange(len(position)), first + node] = weights[:, node]
    return basis
