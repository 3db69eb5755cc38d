"""What there is to measure of objects, as `skimage.measure.regionprops` defines and names it, for any number of them.

A box of an image is walked once for its runs (labels.runs) and once for its neighbours; all else is a function of the
runs of an object and the intensities in them. Sums are of whole numbers, relative to the bounding box. So an object has
the same numbers to the last bit whatever box it was measured in, as long as it lies in there with `MARGIN` around it.
"""

from functools import lru_cache
from math import pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit
from ..core.voxel import Voxel
from .convex import count_in_hull
from .kernels import FIRST_CAPACITY, find_slot, grow_table
from .runs import Runs, runs_of

RING = (2, 4)  # steps in its slice from an object to the first and the last of its background
MARGIN = (1, 2 * RING[1], 2 * RING[1])  # voxels around an object (z, y, x) that its numbers depend on
# The steps to a neighbour, one of each opposite pair: (z, y, x).
STEPS = np.array(
    [(0, 0, 1), (0, 1, -1), (0, 1, 0), (0, 1, 1), *((1, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1))], np.int64
)
FLAT_STEPS = 4  # of these lie in a slice

Columns = dict[str, NDArray[np.generic]]


class Moments(NamedTuple):
    """Sums of N objects over their voxels; places relative to `low`."""

    voxels: NDArray[np.int64]  # (N,)
    low: NDArray[np.int64]  # (N, 3)
    high: NDArray[np.int64]  # (N, 3), last index + 1
    first: NDArray[np.int64]  # (N, 3)
    second: NDArray[np.int64]  # (N, 3, 3)


def shape_columns(stack: NDArray[np.int32], every: int, runs: Runs, voxel: Voxel) -> Columns:
    """Shape and neighbours of the first N of `every` object of a dense label image (Z, Y, X), as scikit-image names it.

    axis_major_length, axis_minor_length, orientation; in 2D eccentricity and perimeter_crofton, in 3D surface_area,
    both by Crofton's formula over the 4 or 13 directions to the neighbours of a voxel; solidity; neighbours, the number
    of objects that are touched by a side, edge or corner. In 3D the orientation is the direction (z, y, x) of the
    longest axis. Lengths are in the unit of the voxel size. What lies beyond the image is no object.
    """
    objects = runs.start.size - 1
    found = moments_of_runs(runs.place, runs.start)
    flat = voxel.ndim == 2
    crossings, touching = walk_neighbours(stack, every, STEPS[:FLAT_STEPS] if flat else STEPS)
    out = axes_2d(found, voxel) if flat else axes_3d(found, voxel)
    # a product of matrices would round by how many objects there are
    out["perimeter_crofton" if flat else "surface_area"] = (crossings[:objects] * crofton_weights(voxel)).sum(1)
    out["solidity"] = found.voxels / count_in_hull(runs, found.low, found.high, flat)
    out["neighbours"] = touching[:objects]
    return out


def intensity_columns(stack: NDArray[np.int32], every: int, runs: Runs, channels: NDArray[np.generic]) -> Columns:
    """Intensities of the first N of `every` object of a dense label image (Z, Y, X) in an image (C, Z, Y, X).

    intensity_mean, intensity_median, intensity_sum, and intensity_contrast: the mean less that of the background
    around, which is what lies 2 to 4 steps from the object in its slice, in no object and not as near to another one;
    NaN where there is none. Of several channels, -0, -1 ... is added to the names.
    """
    objects = runs.start.size - 1
    lengths = (runs.place[:, 3] - runs.place[:, 2]).astype(np.int64)
    voxels = np.add.reduceat(lengths, runs.start[:-1]) if objects else lengths
    images = plain_numbers(channels)
    around, count = background_around(stack, every, images, RING[0], RING[1])
    out: Columns = {}
    for number, image in enumerate(images):
        end = f"-{number}" if len(images) > 1 else ""
        values, total = values_of_runs(runs.place, runs.start, image)
        mean = total / voxels
        out[f"intensity_mean{end}"], out[f"intensity_median{end}"] = mean, medians_of(values, np.cumsum(voxels))
        out[f"intensity_sum{end}"] = total
        with np.errstate(invalid="ignore"):
            out[f"intensity_contrast{end}"] = mean - around[number, :objects] / count[number, :objects]
    return out


def plain_numbers(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """An image of one of the few types that the loops are compiled for."""
    wanted = next((one for one in (np.uint8, np.uint16, np.float32) if np.can_cast(image.dtype, one)), np.float64)
    return np.ascontiguousarray(image, dtype=wanted)


def axes_2d(found: Moments, voxel: Voxel) -> Columns:
    """Axes of the ellipse with the same second moments, its eccentricity, and the angle of its long axis to y."""
    yy, yx, xx = np.moveaxis(covariances(found, voxel), 0, -1)[([1, 1, 2], [1, 2, 2])]
    half, apart = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    major, minor = half + apart, np.maximum(half - apart, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        eccentricity = np.where(major > 0, np.sqrt(1 - minor / major), 0.0)
    # scikit-image's inertia tensor has (xx, -yx; -yx, yy), and this case by itself
    round_ones = np.where(yx > 0, pi / 4, -pi / 4)
    angle = np.where(xx == yy, round_ones, 0.5 * np.arctan2(2 * yx, yy - xx))
    return {
        "axis_major_length": 4 * np.sqrt(major), "axis_minor_length": 4 * np.sqrt(minor),
        "eccentricity": eccentricity, "orientation": angle,
    }  # fmt: skip


def axes_3d(found: Moments, voxel: Voxel) -> Columns:
    """Longest and shortest axis of the ellipsoid with the same second moments, and the direction of the longest."""
    values, vectors = np.linalg.eigh(covariances(found, voxel))
    values = np.maximum(values, 0)
    longest = vectors[:, :, 2]
    lead = np.take_along_axis(longest, np.abs(longest).argmax(1)[:, None], 1)
    longest = longest * np.where(lead < 0, -1, 1)  # of the two opposite directions
    return {
        "axis_major_length": np.sqrt(20 * values[:, 2]), "axis_minor_length": np.sqrt(20 * values[:, 0]),
        **{f"orientation-{axis}": longest[:, axis] for axis in range(3)},
    }  # fmt: skip


def covariances(found: Moments, voxel: Voxel) -> NDArray[np.float64]:
    """Covariances of places (N, 3, 3) in the unit of the voxel size; the voxels are points."""
    n = found.voxels[:, None]
    middle = found.first // n  # whole numbers near the centroid, so that nothing cancels
    first = found.first - n * middle
    cross = found.first[:, :, None] * middle[:, None, :]
    second = found.second - cross - cross.transpose(0, 2, 1) + n[..., None] * middle[:, :, None] * middle[:, None, :]
    mean = first / n
    size = np.array((1.0, *voxel.size)[-3:])
    spread = second / n[..., None] - mean[:, :, None] * mean[:, None, :]
    return np.asarray(spread * size[:, None] * size)


@lru_cache(maxsize=64)
def crofton_weights(voxel: Voxel) -> NDArray[np.float64]:
    """What a crossing along each of the steps counts, in length (2D) or area (3D).

    Lines along a step lie `voxel.volume / length` apart. Each direction stands for the part of the half sphere that is
    nearest to it; the mean projection of a surface is a half of it, that of a curve 2 / pi.
    """
    steps = (STEPS[:FLAT_STEPS, 1:] if voxel.ndim == 2 else STEPS) * np.array(voxel.size)
    length = np.linalg.norm(steps, axis=1)
    every = np.concatenate([steps, -steps]) / np.concatenate([length, length])[:, None]
    if voxel.ndim == 2:
        angle = np.arctan2(every[:, 0], every[:, 1])
        order = np.argsort(angle)
        turns = np.diff(np.append(angle[order], angle[order[0]] + 2 * pi))
        share = np.empty(len(every))
        share[order] = (turns + np.roll(turns, 1)) / 2
        return np.asarray(2 * share[: len(steps)] / (2 * pi) * voxel.volume / length * (pi / 2))
    from scipy.spatial import SphericalVoronoi

    share = SphericalVoronoi(every).calculate_areas() / (4 * pi)
    return np.asarray(2 * share[: len(steps)] * voxel.volume / length * 2)


@njit
def moments_of_runs(place: NDArray[np.int32], start: NDArray[np.int64]) -> Moments:
    """Sums over the voxels of each object, in whole numbers."""
    objects = start.size - 1
    voxels = np.zeros(objects, np.int64)
    low, high = np.full((objects, 3), np.iinfo(np.int64).max), np.zeros((objects, 3), np.int64)
    first, second = np.zeros((objects, 3), np.int64), np.zeros((objects, 3, 3), np.int64)
    for i in range(objects):
        for r in range(start[i], start[i + 1]):
            for axis in range(3):
                end = place[r, 3] if axis == 2 else place[r, axis] + 1
                low[i, axis], high[i, axis] = min(low[i, axis], place[r, axis]), max(high[i, axis], end)
        for r in range(start[i], start[i + 1]):
            z, y = place[r, 0] - low[i, 0], place[r, 1] - low[i, 1]
            a, b = place[r, 2] - low[i, 2], place[r, 3] - low[i, 2]
            n, x = b - a, (a + b - 1) * (b - a) // 2
            voxels[i] += n
            first[i, 0] += n * z
            first[i, 1] += n * y
            first[i, 2] += x
            second[i, 0, 0] += n * z * z
            second[i, 0, 1] += n * z * y
            second[i, 0, 2] += z * x
            second[i, 1, 1] += n * y * y
            second[i, 1, 2] += y * x
            second[i, 2, 2] += ((b - 1) * b * (2 * b - 1) - (a - 1) * a * (2 * a - 1)) // 6
        second[i, 1, 0], second[i, 2, 0], second[i, 2, 1] = second[i, 0, 1], second[i, 0, 2], second[i, 1, 2]
    return Moments(voxels, low, high, first, second)


@njit
def walk_neighbours(
    stack: NDArray[np.int32], objects: int, steps: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often the surface of each object is crossed along each step (N, S), and how many others it touches (N,)."""
    crossed = np.zeros((objects, len(steps)), np.int64)
    one, other = np.empty(FIRST_CAPACITY, np.uint64), np.empty(FIRST_CAPACITY, np.uint64)
    met, used = np.zeros(FIRST_CAPACITY, np.int64), 0
    before = np.zeros(2, np.uint64)  # the last pair that touched
    depth, height, width = stack.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                here = stack[z, y, x]
                for s in range(len(steps)):
                    dz, dy, dx = steps[s, 0], steps[s, 1], steps[s, 2]
                    there = 0
                    if z + dz < depth and 0 <= y + dy < height and 0 <= x + dx < width:
                        there = stack[z + dz, y + dy, x + dx]
                    if here > 0 and (z < dz or not 0 <= y - dy < height or not 0 <= x - dx < width):
                        crossed[here - 1, s] += 1
                    if there == here:
                        continue
                    if here > 0:
                        crossed[here - 1, s] += 1
                    if there > 0:
                        crossed[there - 1, s] += 1
                    if here > 0 and there > 0:
                        a, b = np.uint64(min(here, there)), np.uint64(max(here, there))
                        if a == before[0] and b == before[1]:
                            continue
                        before[0], before[1] = a, b
                        slot = find_slot(one, other, met, a, b)
                        if met[slot] == 0:
                            one[slot], other[slot] = a, b
                            met[slot] = 1
                            used += 1
                            if 2 * used > met.size:
                                one, other, met = grow_table(one, other, met)
    touching = np.zeros(objects, np.int64)
    for pair in np.flatnonzero(met):
        touching[np.int64(one[pair]) - 1] += 1
        touching[np.int64(other[pair]) - 1] += 1
    return crossed, touching


def medians_of(values: NDArray[np.generic], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """The median of each object (N,), whose intensities end there; sorted by numpy, as a compiled sort takes seconds to
    compile."""
    out, start = np.empty(ends.size), 0
    for number, end in enumerate(ends.tolist()):
        middle = (end - start) // 2
        mine = np.partition(values[start:end], middle)
        out[number] = mine[middle]
        if (end - start) % 2 == 0:
            out[number] = (out[number] + float(mine[:middle].max())) / 2
        start = end
    return out


@njit
def values_of_runs(
    place: NDArray[np.int32], start: NDArray[np.int64], image: NDArray[np.generic]
) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """The intensities of all objects, one object behind the other, and their sum for each (N,)."""
    total, count = np.zeros(start.size - 1), 0
    for r in range(len(place)):
        count += place[r, 3] - place[r, 2]
    values, filled = np.empty(count, image.dtype), 0
    for i in range(start.size - 1):
        for r in range(start[i], start[i + 1]):
            for x in range(place[r, 2], place[r, 3]):
                value = image[place[r, 0], place[r, 1], x]
                values[filled] = value
                total[i] += value
                filled += 1
    return values, total


@njit
def background_around(
    stack: NDArray[np.int32], objects: int, images: NDArray[np.generic], nearest: int, farthest: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Intensities (C, Z, Y, X) in the background voxels that are so many steps from an object, and nearer to no other:
    their sum (C, N) and their number (C, N) for each object. NaN is no data.

    Steps go to the four neighbours in a slice, through background alone. A voxel that two objects reach in the same
    step belongs to neither, and nothing is reached through it.
    """
    depth, height, width = stack.shape
    total, count = np.zeros((len(images), objects)), np.zeros((len(images), objects), np.int64)
    owner, when = np.empty((height, width), np.int32), np.empty((height, width), np.uint8)
    now, after = np.empty(FIRST_CAPACITY, np.int64), np.empty(FIRST_CAPACITY, np.int64)
    for z in range(depth):
        filled = 0
        for y in range(height):
            for x in range(width):
                owner[y, x], when[y, x] = stack[z, y, x], 0
                if stack[z, y, x] > 0 and (
                    (y > 0 and stack[z, y - 1, x] == 0) or (y + 1 < height and stack[z, y + 1, x] == 0)
                    or (x > 0 and stack[z, y, x - 1] == 0) or (x + 1 < width and stack[z, y, x + 1] == 0)
                ):  # fmt: skip
                    if filled == now.size:
                        now = np.concatenate((now, np.empty(filled, np.int64)))
                    now[filled] = y * width + x
                    filled += 1
        for step in range(1, farthest + 1):
            reached = 0
            for n in range(filled):
                y, x = now[n] // width, now[n] % width
                mine = owner[y, x]
                if mine < 0:
                    continue
                for side in range(4):
                    j, i = y + (side == 0) - (side == 1), x + (side == 2) - (side == 3)
                    if j < 0 or i < 0 or j == height or i == width:
                        continue
                    if owner[j, i] == 0:
                        owner[j, i], when[j, i] = mine, step
                        if reached == after.size:
                            after = np.concatenate((after, np.empty(reached, np.int64)))
                        after[reached] = j * width + i
                        reached += 1
                    elif when[j, i] == step and owner[j, i] != mine:
                        owner[j, i] = -1
            for n in range(reached):
                y, x = after[n] // width, after[n] % width
                mine = owner[y, x]
                if step < nearest or mine < 0:
                    continue
                for channel in range(len(images)):
                    value = images[channel, z, y, x]
                    if value == value:
                        total[channel, mine - 1] += value
                        count[channel, mine - 1] += 1
            now, after, filled = after, now, reached
    return total, count


def columns_of(
    stack: NDArray[np.int32], every: int, voxel: Voxel, channels: NDArray[np.generic] | None, wanted: int | None = None
) -> Columns:
    """All columns of objects of a dense label image (Z, Y, X), with intensities where an image (C, Z, Y, X) is given.

    every: highest number. wanted: so many objects are measured, the first ones; all by default.
    """
    runs = runs_of(stack, every if wanted is None else wanted)
    out = shape_columns(stack, every, runs, voxel)
    return out if channels is None else out | intensity_columns(stack, every, runs, channels)
