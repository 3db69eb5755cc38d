"""The hot part of drawing masks: find a place for every object and fill its voxels. Always 3D; a 2D image is one plane.

An object is the image of a slightly dented unit ball under a linear map: x lies in it where q = inverse (x - centre)
has |q| <= 1 + sum_k bump_k(q / |q|). Any line from its centre leaves it once, so it is in one piece. Or it is the
image of a mask that somebody has cut out, which fills part of a ball. Positions are in the unit of the voxel, with
the array's corner at 0 and voxel centres half a voxel in.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import njit

CONTACT_PRECISION = 0.2  # of the finest side of a voxel: how exactly the distance of two touching objects is found
# Polynomials of the cosine, lowest power first, of unit rms: Chebyshev on the circle, Legendre on the sphere.
CIRCLE = np.sqrt(2) * np.array(
    [[-1, 0, 2, 0, 0, 0], [0, -3, 0, 4, 0, 0], [1, 0, -8, 0, 8, 0], [0, 5, 0, -20, 0, 16]], dtype=np.float64
)
SPHERE = np.sqrt([[5], [7], [9], [11]]) * np.array(
    [
        [-1 / 2, 0, 3 / 2, 0, 0, 0],
        [0, -3 / 2, 0, 5 / 2, 0, 0],
        [3 / 8, 0, -30 / 8, 0, 35 / 8, 0],
        [0, 15 / 8, 0, -70 / 8, 0, 63 / 8],
    ]
)


class Canvas(NamedTuple):
    """What is drawn on. Shapes of one plane: (1, Y, X)."""

    labels: NDArray[np.int32]  # (Z, Y, X), filled in place
    blocked: NDArray[np.uint8]  # (Z, Y, X), where no further object may be
    warp: NDArray[np.float32]  # (3, Z, Y, X) displacement of every voxel, or (3, 0, 0, 0)
    voxel: NDArray[np.float64]  # (3,)
    stencil: NDArray[np.int64]  # (M, 3) offsets within the minimum gap


class Objects(NamedTuple):
    """N objects without a place. Lengths in the unit of the voxel."""

    inverse: NDArray[np.float64]  # (N, 3, 3) to the unit ball
    reach: NDArray[np.float64]  # (N, 3) half extents of the bounding box
    ball: NDArray[np.float64]  # (N,) radius of the bounding ball
    bumps: NDArray[np.float64]  # (N, K, 4) amplitude and axis of each harmonic
    bounds: NDArray[np.float64]  # (N, 2) smallest and largest radius of the dented unit ball
    poly: NDArray[np.float64]  # CIRCLE or SPHERE
    fibre: NDArray[np.int64]  # (N,) which path it sits on
    grids: NDArray[np.float32]  # (L, G, G, G) masks instead of balls, in the cube around the unit ball, or (0, 0, 0, 0)
    which: NDArray[np.int64]  # (N,) its mask


class Rule(NamedTuple):
    """Where objects may go."""

    region: NDArray[np.float64]  # (2, 3) low and high corner for centres
    inside: bool  # whole objects only
    clustering: float
    gap: float
    tries: int
    paths: NDArray[np.float64]  # (F, T, 3) points along fibres, F may be 0
    spread: float  # of centres around their fibre


class Scene(NamedTuple):
    canvas: Canvas
    objects: Objects
    rule: Rule


@njit
def place_objects(scene: Scene, rng: Any) -> int:
    """Give every object a place, or give it up after `rule.tries` rejections. Returns the number of labels."""
    number = scene.objects.inverse.shape[0]
    found = np.empty(scene.canvas.labels.size, np.int64)
    centres, of, placed = np.empty((number, 3)), np.empty(number, np.int64), 0
    centre = np.empty(3)
    label = 0
    for i in range(number):
        for _ in range(scene.rule.tries):
            if placed > 0 and rng.random() < scene.rule.clustering:
                j = int(rng.random() * placed)
                size = touching_centre(scene, rng, i, of[j], centres[j], centre, found)
            else:
                random_centre(scene, rng, i, centre)
                size = trace(scene, i, centre, found)
            if size >= 0:
                centres[placed, 0], centres[placed, 1], centres[placed, 2] = centre[0], centre[1], centre[2]
                of[placed] = i
                placed += 1
                if size > 0:  # otherwise wholly outside of the patch
                    label += 1
                    write_object(scene.canvas, found[:size], label)
                break
    return label


@njit
def random_centre(scene: Scene, rng: Any, i: int, centre: Any) -> None:
    """A centre evenly in the region, or near a point of the object's fibre."""
    rule = scene.rule
    if rule.paths.shape[0] == 0:
        for axis in range(3):
            centre[axis] = rule.region[0, axis] + rng.random() * (rule.region[1, axis] - rule.region[0, axis])
    else:
        point = int(rng.random() * rule.paths.shape[1])
        for axis in range(3):
            centre[axis] = rule.paths[scene.objects.fibre[i], point, axis] + rule.spread * rng.standard_normal()
    if scene.canvas.labels.shape[0] == 1:
        centre[0] = 0.5 * scene.canvas.voxel[0]


@njit
def touching_centre(scene: Scene, rng: Any, i: int, j: int, host: Any, centre: Any, found: Any) -> int:
    """Put object i in contact with object j at `host`, in a random direction. As `trace`; sets `centre`."""
    region, voxel = scene.rule.region, scene.canvas.voxel
    flat = scene.canvas.labels.shape[0] == 1
    exact = CONTACT_PRECISION * (min(voxel[1], voxel[2]) if flat else min(voxel[0], voxel[1], voxel[2]))
    w = 0.0 if flat else rng.standard_normal()
    v, u = rng.standard_normal(), rng.standard_normal()
    length = np.sqrt(w * w + v * v + u * u)
    near, best = 0.0, -1.0
    far = 2 * exact + scene.rule.gap + scene.objects.ball[i] + scene.objects.ball[j]
    while far - near > exact:
        middle = (near + far) / 2
        step = middle / length
        centre[0], centre[1], centre[2] = host[0] + step * w, host[1] + step * v, host[2] + step * u
        if trace(scene, i, centre, found) >= 0:
            far = best = middle
        else:
            near = middle
    if best < 0:
        return -1
    step = best / length
    centre[0], centre[1], centre[2] = host[0] + step * w, host[1] + step * v, host[2] + step * u
    for axis in range(3):
        if not region[0, axis] <= centre[axis] <= region[1, axis]:
            return -1
    return trace(scene, i, centre, found)


@njit
def trace(scene: Scene, i: int, centre: Any, found: Any) -> int:
    """Write the flat indices of object i's voxels to `found`. Returns their number, -1 if it may not be here."""
    voxel, blocked, warp = scene.canvas.voxel, scene.canvas.blocked, scene.canvas.warp
    m = scene.objects.inverse[i]
    inner, outer = scene.objects.bounds[i, 0] ** 2, scene.objects.bounds[i, 1] ** 2
    shape, warped = blocked.shape, warp.shape[1] > 0
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for axis in range(3):
        start, stop = centre[axis] - scene.objects.reach[i, axis], centre[axis] + scene.objects.reach[i, axis]
        if scene.rule.inside and shape[axis] > 1 and (start < 0 or stop > shape[axis] * voxel[axis]):
            return -1
        low[axis] = max(int(np.floor(start / voxel[axis] - 0.5)), 0)
        high[axis] = min(int(np.ceil(stop / voxel[axis] + 0.5)), shape[axis])
    if not warped and centre_blocked(scene.canvas, centre):
        return -1
    count = 0
    for z in range(low[0], high[0]):
        for y in range(low[1], high[1]):
            for x in range(low[2], high[2]):
                dz = (z + 0.5) * voxel[0] - centre[0]
                dy = (y + 0.5) * voxel[1] - centre[1]
                dx = (x + 0.5) * voxel[2] - centre[2]
                if warped:
                    dz += warp[0, z, y, x]
                    dy += warp[1, z, y, x]
                    dx += warp[2, z, y, x]
                p = m[0, 0] * dz + m[0, 1] * dy + m[0, 2] * dx
                q = m[1, 0] * dz + m[1, 1] * dy + m[1, 2] * dx
                r = m[2, 0] * dz + m[2, 1] * dy + m[2, 2] * dx
                square = p * p + q * q + r * r
                if square > outer or (square > inner and is_outside(scene.objects, i, p, q, r)):
                    continue
                if blocked[z, y, x]:
                    return -1
                found[count] = (z * shape[1] + y) * shape[2] + x
                count += 1
    return count


@njit
def centre_blocked(canvas: Canvas, centre: Any) -> bool:
    """A quick no: most places that are taken are taken at the centre."""
    z, y, x = (
        int(np.floor(centre[0] / canvas.voxel[0])),
        int(np.floor(centre[1] / canvas.voxel[1])),
        int(np.floor(centre[2] / canvas.voxel[2])),
    )
    n = canvas.labels.shape
    return 0 <= z < n[0] and 0 <= y < n[1] and 0 <= x < n[2] and canvas.blocked[z, y, x] != 0


@njit
def is_outside(objects: Objects, i: int, p: float, q: float, r: float) -> bool:
    """Whether a place near the unit ball is no part of object i."""
    if objects.grids.shape[0] > 0:
        return mask_at(objects.grids[objects.which[i]], p, q, r) < 0.5
    return np.sqrt(p * p + q * q + r * r) > radius(objects.bumps[i], objects.poly, p, q, r)


@njit
def mask_at(grid: Any, p: float, q: float, r: float) -> float:
    """A mask (G, G, G), linear between the centres of its voxels; its cube goes from -1 to 1, without its outermost
    half voxel, where the mask is empty."""
    half = grid.shape[0] / 2
    z, y, x = (p + 1) * half - 0.5, (q + 1) * half - 0.5, (r + 1) * half - 0.5
    k, j, i = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
    last = grid.shape[0] - 2
    if not (0 <= k <= last and 0 <= j <= last and 0 <= i <= last):
        return 0.0
    z, y, x = z - k, y - j, x - i
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (z if a else 1 - z) * (y if b else 1 - y) * (x if c else 1 - x)
                total += weight * grid[k + a, j + b, i + c]
    return total


@njit
def radius(bumps: Any, poly: Any, p: float, q: float, r: float) -> float:
    """Radius of the dented unit ball in the direction (p, q, r)."""
    length = np.sqrt(p * p + q * q + r * r)
    if length == 0:
        return 1.0
    total = 1.0
    for k in range(bumps.shape[0]):
        cosine = (bumps[k, 1] * p + bumps[k, 2] * q + bumps[k, 3] * r) / length
        value = 0.0
        for power in range(poly.shape[1] - 1, -1, -1):
            value = value * cosine + poly[k, power]
        total += bumps[k, 0] * value
    return total


@njit
def write_object(canvas: Canvas, found: Any, label: int) -> None:
    """Write an accepted object, and block it and its surroundings up to the minimum gap."""
    depth, height, width = canvas.labels.shape
    labels, blocked = canvas.labels.ravel(), canvas.blocked.ravel()
    for index in found:
        labels[index] = label
        blocked[index] = 1
    if canvas.stencil.shape[0] == 0:
        return
    for index in found:
        x, y, z = index % width, index // width % height, index // (width * height)
        if not is_surface(canvas.labels, z, y, x):
            continue
        for m in range(canvas.stencil.shape[0]):
            v, u, w = z + canvas.stencil[m, 0], y + canvas.stencil[m, 1], x + canvas.stencil[m, 2]
            if 0 <= v < depth and 0 <= u < height and 0 <= w < width:
                canvas.blocked[v, u, w] = 1


@njit
def is_surface(labels: Any, z: int, y: int, x: int) -> bool:
    """Whether a voxel has a face neighbour of another label."""
    depth, height, width = labels.shape
    own = labels[z, y, x]
    return (
        (z > 0 and labels[z - 1, y, x] != own)
        or (z + 1 < depth and labels[z + 1, y, x] != own)
        or (y > 0 and labels[z, y - 1, x] != own)
        or (y + 1 < height and labels[z, y + 1, x] != own)
        or (x > 0 and labels[z, y, x - 1] != own)
        or (x + 1 < width and labels[z, y, x + 1] != own)
    )


@njit
def keep_largest(labels: Any, count: int) -> None:
    """Of every label keep the largest face-connected piece, in place; the rest becomes background.

    Objects are in one piece in space, but thin ones need not be on the grid, nor ones that a border cuts.
    """
    depth, height, width = labels.shape
    flat = labels.ravel()
    part = np.zeros(flat.size, np.int32)  # 0: not visited
    stack = np.empty(flat.size, np.int64)
    size_of, best_of = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int32)
    parts = 0
    for start in range(flat.size):
        if flat[start] == 0 or part[start] != 0:
            continue
        own = flat[start]
        parts += 1
        part[start] = parts
        stack[0] = start
        top, size = 1, 0
        while top > 0:
            top -= 1
            index = stack[top]
            size += 1
            x, y, z = index % width, index // width % height, index // (width * height)
            for axis in range(3):
                for step in (-1, 1):
                    v, u, w = z + step * (axis == 0), y + step * (axis == 1), x + step * (axis == 2)
                    if 0 <= v < depth and 0 <= u < height and 0 <= w < width:
                        other = (v * height + u) * width + w
                        if flat[other] == own and part[other] == 0:
                            part[other] = parts
                            stack[top] = other
                            top += 1
        if size > size_of[own]:
            size_of[own], best_of[own] = size, parts
    for index in range(flat.size):
        if flat[index] != 0 and part[index] != best_of[flat[index]]:
            flat[index] = 0


@njit
def clear_of_others(labels: Any, stencil: Any, z: int, y: int, x: int, own: int) -> bool:
    """Whether no other object lies within the stencil around a voxel."""
    depth, height, width = labels.shape
    for m in range(stencil.shape[0]):
        v, u, w = z + stencil[m, 0], y + stencil[m, 1], x + stencil[m, 2]
        if 0 <= v < depth and 0 <= u < height and 0 <= w < width and labels[v, u, w] not in (0, own):
            return False
    return True


@njit
def reshape_object(labels: Any, stencil: Any, low: Any, rounded: Any, own: int) -> None:
    """Replace one object by `rounded` (bool, a box of the image at corner `low`), in place.

    It takes background only, and none within the minimum gap of another object.
    """
    for z in range(rounded.shape[0]):
        for y in range(rounded.shape[1]):
            for x in range(rounded.shape[2]):
                v, u, w = z + low[0], y + low[1], x + low[2]
                if labels[v, u, w] == own and not rounded[z, y, x]:
                    labels[v, u, w] = 0
                elif labels[v, u, w] == 0 and rounded[z, y, x] and clear_of_others(labels, stencil, v, u, w, own):
                    labels[v, u, w] = own
