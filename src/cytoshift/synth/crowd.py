"""Objects of random size, shape and company, drawn on one grid: the label images of domain-randomised synthesis.

Objects compete for voxels. Each has a shape function q(x), 1 on its surface and 0 at its centre; a voxel belongs to
the object with the smallest q below 1. So objects touch without a gap along smooth borders, however closely they are
packed. Always 3D; a 2D image is one plane.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from .fields import noise

Float = NDArray[np.float32]
HARMONICS = 2  # harmonics of each object
SPINDLE_SHARE, TWO_SIZES_SHARE = 0.25, 0.25  # share of images with spindles, and with small and large objects
DENT = 0.3  # of the radius: how far roughness moves the surface outwards at most


class Kinds(NamedTuple):
    """Ranges that the objects of one image are drawn from; the image draws its own narrower law from each.

    spread: standard deviation of the logarithm of the diameter. elongation: standard deviation of the logarithm of an
    axis. spindle: how much longer the long axis of spindles is, as a logarithm, where objects are spindles. lobes:
    amplitude of the harmonics, relative to the radius. bend: displacement of space, and rough: change of the surface,
    relative to the diameter and the radius. cover: share of the image that the objects would cover if they did not
    overlap. overlap: share of an object that may lie on others.
    """

    spread: tuple[float, float] = (0.03, 0.35)
    elongation: tuple[float, float] = (0.03, 0.4)
    spindle: tuple[float, float] = (0.15, 0.6)
    lobes: tuple[float, float] = (0.0, 0.22)
    bend: tuple[float, float] = (0.0, 0.1)
    rough: tuple[float, float] = (0.0, 0.12)
    cover: tuple[float, float] = (0.03, 1.3)
    overlap: tuple[float, float] = (0.0, 0.35)


class Crowd(NamedTuple):
    """Objects on a grid. Shape (Z, Y, X), (1, Y, X) of one plane.

    labels: 1..N, each face-connected. depth: the shape function of the object that a voxel belongs to, from 0 at its
    centre to 1 at its surface; infinite outside. centres: (N', 3) of all objects that were placed, in voxels.
    diameter: median of the image, in voxels of the finest axis.
    """

    labels: NDArray[np.int32]
    depth: Float
    centres: NDArray[np.float64]
    diameter: float


def crowd(
    kinds: Kinds, diameter: float, shape: tuple[int, int, int], size: NDArray[np.float64], rng: np.random.Generator
) -> Crowd:
    """Draw the objects of one image.

    Parameters
    ----------
    kinds
        What the laws of the image are drawn from.
    diameter
        Median equivalent diameter, in sides of the finest voxel.
    shape, size
        Of the grid, (Z, Y, X), and its voxels relative to the finest side.
    """
    flat, ndim = shape[0] == 1, 3 - (shape[0] == 1)
    extent = size * shape
    volume = diameter**2 * np.pi / 4 if flat else diameter**3 * np.pi / 6
    margin = diameter * 0.6 * np.array([not flat, 1, 1])
    cover = float(np.exp(rng.uniform(*np.log(kinds.cover))))
    room = float(np.prod((extent + 2 * margin)[3 - ndim :]))
    count = int(cover * room / volume + rng.random())
    centres = positions(count, diameter, extent, margin, flat, rng)
    count = len(centres)
    radii = diameter / 2 * np.exp(np.clip(logarithms(rng.uniform(*kinds.spread), count, rng), -1, 1))
    spindle = rng.uniform(*kinds.spindle) if rng.random() < SPINDLE_SHARE else 0.0
    inverse, reach = frames(radii, rng.uniform(*kinds.elongation), spindle, flat, rng)
    bumps = harmonics(count, rng.uniform(*kinds.lobes) if rng.random() < 0.5 else 0.0, flat, rng)
    bend = diameter * rng.uniform(*kinds.bend)
    warp = np.zeros((3, *shape), np.float32)
    for axis in range(3 - ndim, 3):
        warp[axis] = bend * noise(shape, diameter * rng.uniform(0.5, 1.5) / size, rng)
    grain = max(diameter * rng.uniform(0.15, 0.4), 2.0)
    rough = np.maximum(noise(shape, grain / size, rng) * np.float32(rng.uniform(*kinds.rough)), np.float32(-DENT))
    labels, depth = np.zeros(shape, np.int32), np.full(shape, np.inf, np.float32)
    overlap = rng.uniform(*kinds.overlap)
    stretch = (1 + DENT) / (1 - np.abs(bumps[:, :, 0]).sum(axis=1))
    farthest = outer_radii(np.abs(warp).max(axis=(1, 2, 3)), inverse, bumps)
    objects = (centres, inverse, reach * stretch + 2 * bend, bumps)
    settle((labels, depth), (warp, rough), objects, size, farthest, overlap)
    return Crowd(remove_cut(labels, max(8, int(0.08 * volume / np.prod(size)))), depth, centres / size - 0.5, diameter)


def positions(
    count: int, diameter: float, extent: NDArray[np.float64], margin: NDArray[np.float64], flat: bool,
    rng: np.random.Generator,
) -> NDArray[np.float64]:  # fmt: skip
    """Centres (N, 3): scattered evenly, in clusters, or on a jittered grid; some lie around the image."""
    low, high = -margin, extent + margin
    way = rng.choice(3, p=(0.45, 0.3, 0.25))
    if way == 2:  # rows in which each object has its cell
        room = float(np.prod((high - low)[flat * 1 :]))
        pitch = max((room / max(count, 1)) ** (1 / (3 - flat)), 0.7 * diameter)
        lines = [np.arange(a + pitch * rng.random(), b, pitch) for a, b in zip(low, high)]
        lines[0] = np.zeros(1) if flat else lines[0]
        points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
        points += pitch * rng.uniform(0, 0.35) * rng.standard_normal(points.shape)
        points = points[rng.random(len(points)) < rng.uniform(0.6, 1)]
    elif way == 1:
        hosts = rng.uniform(low, high, (max(1, count // int(rng.integers(3, 12))), 3))
        points = hosts[rng.integers(len(hosts), size=count)]
        points = points + diameter * rng.uniform(0.5, 1.6) * rng.standard_normal((count, 3))
    else:
        points = rng.uniform(low, high, (count, 3))
    if flat:
        points[:, 0] = 0.5
    return np.ascontiguousarray(points[rng.permutation(len(points))])


def logarithms(spread: float, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(N,) logarithms of sizes relative to their median: of one population, or of small and large objects together."""
    values = rng.normal(0, spread, count)
    if rng.random() < TWO_SIZES_SHARE:
        apart, share = rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.8)
        values += np.where(rng.random(count) < share, -apart * (1 - share), apart * share)
    return values


def frames(
    radii: NDArray[np.float64], elongation: float, spindle: float, flat: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linear maps to the unit ball (N, 3, 3), and the longest semi-axes (N,); volumes are those of the radii.

    Spindles of a plane lie along a common direction, more or less.
    """
    count = len(radii)
    logs = rng.normal(0, elongation, (count, 3))
    logs += spindle * rng.uniform(0.4, 1.3, (count, 1)) * [-1, -1, 1]
    axes = np.exp(np.clip(logs, -0.9, 0.9))
    turn = np.zeros((count, 3, 3))
    if flat:
        axes[:, 0] = 1
        angle = rng.uniform(0, np.pi, count)
        if spindle:
            angle = rng.uniform(0, np.pi) + rng.normal(0, rng.uniform(0.1, 1), count)
        turn[:, 0, 0] = 1
        turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
        turn[:, 1, 2], turn[:, 2, 1] = np.sin(angle), -np.sin(angle)
    else:
        turn = np.linalg.qr(rng.standard_normal((count, 3, 3)))[0] if count else turn
    axes[:, flat * 1 :] /= axes[:, flat * 1 :].prod(axis=1, keepdims=True) ** (1 / (3 - flat))
    axes[:, flat * 1 :] *= radii[:, None]
    return turn / axes[:, :, None], axes[:, flat * 1 :].max(axis=1, initial=0.0)


def harmonics(count: int, amplitude: float, flat: bool, rng: np.random.Generator) -> NDArray[np.float64]:
    """(N, HARMONICS, 5) amplitude, order (2, 3 or 4) and axis of each."""
    bumps = np.zeros((count, HARMONICS, 5))
    bumps[..., 1] = rng.integers(2, 5, (count, HARMONICS))
    bumps[..., 0] = amplitude * rng.uniform(-1, 1, (count, HARMONICS)) * 2 / bumps[..., 1]
    axes = rng.standard_normal((count, HARMONICS, 3))
    axes[..., 0] *= not flat
    bumps[..., 2:] = axes / np.linalg.norm(axes, axis=-1, keepdims=True)
    return bumps


def outer_radii(
    moved: NDArray[np.float64], inverse: NDArray[np.float64], bumps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """|M d| beyond which no voxel is inside of an object (N,), whatever its bumps, its roughness and the warp.

    M maps the object to the unit ball, d is the way from its centre to the voxel before the warp. moved: what the warp
    moves a voxel by at most, along each axis.
    """
    radius = (1 + DENT) / (1 - np.abs(bumps[:, :, 0]).sum(axis=1)) * (1 + 1e-6)
    return np.asarray(radius + np.linalg.norm(np.abs(inverse) @ moved, axis=1))


@njit
def settle(grids: Any, space: Any, objects: Any, size: Any, farthest: Any, overlap: float) -> None:
    """Lay objects on the grid, one after the other; `grids` are labels and depth, changed in place.

    farthest: as `outer_radii` has it; most voxels of an object's box are passed over by it.
    """
    labels, depth = grids
    centres, _, reach, _ = objects
    shape = labels.shape
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for i in range(centres.shape[0]):
        for axis in range(3):
            low[axis] = max(int((centres[i, axis] - reach[i]) / size[axis] - 0.5), 0)
            high[axis] = min(int((centres[i, axis] + reach[i]) / size[axis] + 1.5), shape[axis])
        room = max(high[0] - low[0], 0) * max(high[1] - low[1], 0) * max(high[2] - low[2], 0)
        places, values = np.empty((room, 3), np.int64), np.empty(room)
        total, taken = 0, 0
        for z in range(low[0], high[0]):
            for y in range(low[1], high[1]):
                first, last = row_inside(objects, size, i, z, y, farthest[i], shape[0] == 1)
                for x in range(max(first, low[2]), min(last, high[2])):
                    q = shape_function(space, objects, size, i, z, y, x)
                    if q < 1:
                        places[total, 0], places[total, 1], places[total, 2] = z, y, x
                        values[total] = q
                        total += 1
                        taken += labels[z, y, x] > 0
        if taken > overlap * total:
            continue
        for n in range(total):
            z, y, x = places[n]
            if values[n] < depth[z, y, x]:
                depth[z, y, x] = values[n]
                labels[z, y, x] = i + 1


@njit
def row_inside(objects: Any, size: Any, i: int, z: int, y: int, farthest: float, flat: bool) -> tuple[int, int]:
    """First voxel of a row along x that may lie inside of object i, and the one after the last; (0, 0) where none does.

    |a + b dx| <= farthest is solved for dx, one voxel wider at both ends.
    """
    centres, inverse, _, _ = objects
    dz = 0.0 if flat else (z + 0.5) * size[0] - centres[i, 0]  # as `shape_function`
    dy = (y + 0.5) * size[1] - centres[i, 1]
    square, mixed, rest = 0.0, 0.0, -farthest * farthest
    for row in range(3):
        a = inverse[i, row, 0] * dz + inverse[i, row, 1] * dy
        b = inverse[i, row, 2]
        square, mixed, rest = square + b * b, mixed + a * b, rest + a * a
    under = mixed * mixed - square * rest
    if under < 0:
        return 0, 0
    middle, half = centres[i, 2] - mixed / square, np.sqrt(under) / square
    return int(np.floor((middle - half) / size[2] - 1.5)), int(np.ceil((middle + half) / size[2] + 1.5))


@njit
def shape_function(space: Any, objects: Any, size: Any, i: int, z: int, y: int, x: int) -> float:
    """q of object i at a voxel: below 1 inside."""
    warp, rough = space
    centres, inverse, _, bumps = objects
    dz = (z + 0.5) * size[0] - centres[i, 0] + warp[0, z, y, x]
    dy = (y + 0.5) * size[1] - centres[i, 1] + warp[1, z, y, x]
    dx = (x + 0.5) * size[2] - centres[i, 2] + warp[2, z, y, x]
    if rough.shape[0] == 1:
        dz = 0.0
    p = inverse[i, 0, 0] * dz + inverse[i, 0, 1] * dy + inverse[i, 0, 2] * dx
    q = inverse[i, 1, 0] * dz + inverse[i, 1, 1] * dy + inverse[i, 1, 2] * dx
    r = inverse[i, 2, 0] * dz + inverse[i, 2, 1] * dy + inverse[i, 2, 2] * dx
    radius = np.sqrt(p * p + q * q + r * r)
    factor = 1.0
    if radius > 1e-6:
        for k in range(bumps.shape[1]):
            if bumps[i, k, 0] == 0:
                continue
            t = (p * bumps[i, k, 2] + q * bumps[i, k, 3] + r * bumps[i, k, 4]) / radius
            if bumps[i, k, 1] == 2:
                wave = 2 * t * t - 1
            elif bumps[i, k, 1] == 3:
                wave = 4 * t * t * t - 3 * t
            else:
                wave = 8 * t * t * t * t - 8 * t * t + 1
            factor += bumps[i, k, 0] * wave
    return radius * factor + rough[z, y, x]


def remove_cut(labels: NDArray[np.int32], least: int) -> NDArray[np.int32]:
    """The largest piece of each object, numbered 1..N; objects of fewer than `least` voxels are left out."""
    from scipy.ndimage import find_objects, label

    out, number = np.zeros_like(labels), 0
    for own, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == own
        pieces, count = label(mask)
        if count > 1:
            mask = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
        if np.count_nonzero(mask) >= least or touches(box, labels.shape):
            number += 1
            out[box][mask] = number
    return out


def touches(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether the box reaches the border of the grid along an axis of more than one voxel."""
    return any(n > 1 and (s.start == 0 or s.stop == n) for s, n in zip(box, shape))
