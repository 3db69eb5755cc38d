"""Objects -> an image of them by random contrast: intensities, surroundings, light, optics, camera.

Each function changes one thing, by numbers that it draws, and takes and gives an image (Z, Y, X) of one plane or
many. Intensities are those of an arbitrary light; `expose` brings them to [-1, 1] as a normalised image has them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.fft import dctn, idctn

from .crowd import Crowd, Kinds, crowd
from .fields import apply_along, blob, linear, noise, octaves, pool_weights

Float = NDArray[np.float32]
JPEG_BLOCK = 8  # pixels of a side of a JPEG block


class Chances(NamedTuple):
    """How often each of these is seen in an image, 0 to 1.

    tissue: objects on a strong background of the same order of intensity; else bright objects on an even one. walls:
    thin sheets and membranes brighter than objects. dark: objects are darker than what is around them. dim: intensities
    of objects are spread over an order of magnitude. `faintest` and `noise` are no chances: the lowest intensity of an
    object relative to the brightest, and a factor of the camera's noise.
    """

    tissue: float = 0.4
    walls: float = 0.25
    fibres: float = 0.25
    dark: float = 0.0
    debris: float = 0.4
    ghosts: float = 0.3
    halo: float = 0.5
    nucleoli: float = 0.3
    profile: float = 0.35
    stain: float = 0.5
    blocks: float = 0.1
    coarse: float = 0.5
    dim: float = 0.3
    faintest: float = 0.1
    noise: float = 1.0


class Scene(NamedTuple):
    """What an image is made of: objects, the voxel relative to its finest side, the generator of all draws."""

    objects: Crowd
    size: NDArray[np.float64]
    rng: np.random.Generator

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.objects.labels.shape
        return z, y, x

    @property
    def object_mask(self) -> NDArray[np.bool_]:
        return self.objects.labels > 0

    def width(self, low: float, high: float) -> NDArray[np.float64]:
        """(3,) a length between these shares of the median diameter, in voxels of each axis."""
        return self.objects.diameter * self.rng.uniform(low, high) / self.size

    def grain(self, power: float | None = None) -> Float:
        """A texture of one to three scales."""
        count = int(self.rng.integers(1, 4))
        scales = self.objects.diameter * self.rng.choice((0.1, 0.2, 0.4, 0.8), count, replace=False)
        power = self.rng.uniform(0.2, 1) if power is None else power
        return octaves(self.shape, [max(float(one), 1.0) for one in scales], power, self.size, self.rng)


def paint_objects(objects: Crowd, size: NDArray[np.float64], chances: Chances, rng: np.random.Generator) -> Float:
    """An image of these objects in [-1, 1], by random contrast.

    Parameters
    ----------
    objects
        What is to be seen, on the grid of the image.
    size
        (3,) sides of a voxel relative to the finest one.
    chances
        Of what else is to be seen.

    Returns
    -------
    ndarray
        (Z, Y, X) float32.
    """
    scene = Scene(objects, size, rng)
    tissue = rng.random() < chances.tissue
    light, top = (tissue_light if tissue else culture_light)(scene, chances)
    steps: list[tuple[float, Callable[[Scene, Float, float], Float]]] = [
        (chances.fibres, fibres), (chances.walls, walls), (chances.debris, debris), (chances.ghosts, ghosts),
        (chances.halo, halo),
    ]  # fmt: skip
    for chance, step in steps:
        if rng.random() < chance:
            light = step(scene, light, top)
    if tissue and rng.random() < chances.stain:
        light, top = add_stain(scene, light)
    light = np.maximum(light, 0)
    if rng.random() < chances.dark:
        light, top = float(light.max()) * np.float32(1.05) - light, float(light.max())
    light = shade_light(scene, light)
    light = record_photons(scene, light, top, chances)
    image = expose(scene, light, top)
    return jpeg(scene, image) if rng.random() < chances.blocks else image


def levels(scene: Scene, base: float, top: float, dimmest: float, chances: Chances) -> NDArray[np.float32]:
    """Intensities of all objects, (N,), between `dimmest` of `top` and `top` above `base`: of one kind, of two or
    three, or spread over an order of magnitude, as dim objects lie beside bright ones."""
    rng, count = scene.rng, int(scene.objects.labels.max(initial=0))
    rest = (1 - chances.dim) / 0.7
    way = rng.choice(3, p=(0.4 * rest, 0.3 * rest, chances.dim))
    if way == 0:
        part = 1 - rng.uniform(0, 0.5) * rng.random(count)
    elif way == 1:
        modes = np.exp(-rng.uniform(0, 1.6, 3))
        part = modes[rng.integers(rng.integers(2, 4), size=count)] * np.exp(rng.normal(0, 0.12, count))
    else:
        part = np.exp(-rng.uniform(0.7, 2.2 + np.log(0.1 / chances.faintest)) * rng.random(count))
    return (base + top * np.clip(part, dimmest, 1.3)).astype(np.float32)


def interior(scene: Scene, chances: Chances) -> Float:
    """What the inside of objects multiplies the light by: texture, a bright centre or rim, dark nucleoli."""
    rng, depth = scene.rng, scene.objects.depth
    factor = 1 + np.float32(rng.uniform(0, 0.35)) * scene.grain()
    centre = np.where(scene.object_mask, 1 - depth, np.float32(0))
    if rng.random() < chances.profile:
        factor = factor * (1 + np.float32(rng.uniform(-0.7, 0.7)) * (centre - np.float32(0.4)))
    if rng.random() < chances.nucleoli:
        spots = noise(scene.shape, np.maximum(scene.width(0.12, 0.3), 1.5), rng) > rng.uniform(0.9, 1.8)
        factor = np.where(spots & (centre > 0.15), factor * np.float32(rng.uniform(0.1, 0.8)), factor)
    return np.asarray(np.maximum(factor, 0.15), np.float32)


def rarely_large(rng: np.random.Generator, most: float) -> float:
    """A number up to `most` that is small as a rule: its median is an eighth of that."""
    return float(most * rng.random() ** 3)


def culture_light(scene: Scene, chances: Chances) -> tuple[Float, float]:
    """Bright objects on a darker, smooth background; returns the light, and how far objects reach above it."""
    rng = scene.rng
    base, top = rng.uniform(0.0, 0.3), float(np.exp(rng.uniform(np.log(0.15), np.log(1.5))))
    table = np.concatenate([[0], levels(scene, 0, top, chances.faintest, chances)]).astype(np.float32)
    light = np.float32(base) + table[scene.objects.labels] * interior(scene, chances)
    rough = rarely_large(rng, 0.15) * min(top, 0.6)
    return light + ~scene.object_mask * np.float32(rough) * scene.grain(), top


def tissue_light(scene: Scene, chances: Chances) -> tuple[Float, float]:
    """Objects in tissue: regions of several levels, a texture as strong as objects, cytoplasm around them, holes."""
    rng, inside = scene.rng, scene.object_mask
    base, top = rng.uniform(0.15, 0.5), rng.uniform(0.1, 0.6)
    ground = np.full(scene.shape, base, np.float32)
    for _ in range(int(rng.integers(0, 4))):
        region = noise(scene.shape, scene.width(1.0, 5.0), rng) > rng.uniform(-0.5, 1.2)
        ground = np.where(region, np.float32(base + rng.uniform(-0.6, 0.4) * top), ground)
    if rng.random() < 0.5:
        ring = ndimage.gaussian_filter(inside.astype(np.float32), scene.width(0.1, 0.35), truncate=2.5)
        ground = ground + np.float32(rng.uniform(-0.3, 0.5) * top) * np.minimum(ring / rng.uniform(0.15, 0.6), 1)
    ground = ground + np.float32((0.02 + rarely_large(rng, 0.3)) * top) * scene.grain()
    if rng.random() < 0.35:
        lumen = noise(scene.shape, scene.width(1.0, 4.0), rng) > rng.uniform(0.7, 1.8)
        ground = np.where(lumen, np.float32(base * rng.uniform(0, 0.6)), ground)
    table = np.concatenate([[0], levels(scene, base, top, 0.4, chances)]).astype(np.float32)
    return np.where(inside, table[scene.objects.labels] * interior(scene, chances), ground), top


def fibres(scene: Scene, light: Float, top: float) -> Float:
    """Ridges of a smooth field: curved lines in the plane, sheets in space; of several heights, they lie in bundles."""
    rng = scene.rng
    field = noise(scene.shape, scene.width(0.4, 2.0), rng)
    if rng.random() < 0.3:
        ridge = np.square(np.cos(field * np.float32(rng.uniform(4, 12)))) * np.float32(0.5)
    else:
        ridge = np.exp(-np.square(field / np.float32(rng.uniform(0.04, 0.2))))
    gate = np.clip(noise(scene.shape, scene.width(1.0, 4.0), rng) + np.float32(rng.uniform(-0.5, 1.5)), 0, 1)
    return light + np.where(scene.object_mask, np.float32(0), ridge * gate * np.float32(top * rng.uniform(0.1, 1.0)))


def walls(scene: Scene, light: Float, top: float) -> Float:
    """Thin, broken walls, brighter than objects or dimmer: between neighbouring cells, or straight through."""
    rng, outside = scene.rng, ~scene.object_mask
    width = rng.uniform(0.6, max(0.9, 0.08 * scene.objects.diameter))
    if rng.random() < 0.6 and len(scene.objects.centres) > 2:
        gap = boundary_distance(scene)
        sheet = np.exp(-np.square(gap / np.float32(2 * width)))
    else:
        sheet = np.zeros(scene.shape, np.float32)
        places = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in scene.shape), indexing="ij"), axis=-1)
        bent = noise(scene.shape, scene.width(1.0, 3.0), rng) * np.float32(rng.uniform(0, 0.3) * scene.objects.diameter)
        for _ in range(int(rng.integers(1, 6))):
            normal = rng.standard_normal(3) * [scene.shape[0] > 1, 1, 1]
            normal = normal / np.linalg.norm(normal)
            distance = (places - rng.random(3) * scene.shape).astype(np.float32) @ (normal * scene.size).astype("f4")
            sheet = np.maximum(sheet, np.exp(-np.square((distance + bent) / np.float32(width))))
    gate = np.clip(noise(scene.shape, scene.width(0.7, 2.5), rng) * 2 + np.float32(rng.uniform(-1, 3)), 0, 1)
    added = np.where(outside, sheet * gate, np.float32(0)) * np.float32(top * rng.uniform(0.2, 2.0))
    return np.asarray(light + added, np.float32)


def boundary_distance(scene: Scene) -> Float:
    """How much further the second nearest centre of an object is than the nearest one, in sides of a voxel."""
    from scipy.spatial import cKDTree

    step = [1 if n == 1 else 3 for n in scene.shape]
    lines = [np.arange(0, n, s) * one for n, s, one in zip(scene.shape, step, scene.size)]
    places = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
    centres = scene.objects.centres * scene.size
    near = cKDTree(centres).query(places, k=2)[0]
    gap = (near[..., 1] - near[..., 0]).astype(np.float32)
    for axis, n in enumerate(scene.shape):
        if n > 1:
            gap = apply_along(gap, linear(n, gap.shape[axis]), axis)
    return gap


def debris(scene: Scene, light: Float, top: float) -> Float:
    """Small bright blobs, inside of objects too."""
    rng, light = scene.rng, light.copy()
    for _ in range(int(rng.integers(1, 16))):
        sigma = np.maximum(scene.width(0.02, 0.2) * rng.uniform(0.6, 1.6, 3), 0.6)
        box, values = blob(scene.shape, rng.random(3) * scene.shape, np.where(np.array(scene.shape) > 1, sigma, 1))
        light[box] += values * np.float32(top * rng.uniform(0.1, 1.5))
    return light


def ghosts(scene: Scene, light: Float, top: float) -> Float:
    """Neighbours out of focus, of a thick section."""
    rng = scene.rng
    far = crowd(Kinds(cover=(0.05, 0.5)), scene.objects.diameter, scene.shape, scene.size, rng)
    blurred = ndimage.gaussian_filter((far.labels > 0).astype(np.float32), scene.width(0.3, 0.6), truncate=2.5)
    return light + blurred * np.float32(top * rng.uniform(0.05, 0.5))


def halo(scene: Scene, light: Float, top: float) -> Float:
    """Light that is spread far, longer along z."""
    wide = scene.width(0.15, 0.7) * [scene.rng.uniform(1, 2), 1, 1]
    return light + np.float32(scene.rng.uniform(0, 0.5)) * ndimage.gaussian_filter(light, wide, truncate=2.5)


def add_stain(scene: Scene, light: Float) -> tuple[Float, float]:
    """The light taken for the density of a nuclear stain beside another one, and what a camera sees of both: the
    luminance of the light that three colours let through, inverted."""
    rng = scene.rng
    density = light * np.float32(rng.uniform(0.8, 2.5) / max(float(light.max()), 1e-6))
    other = np.clip(scene.grain(1.0) * np.float32(0.2) + np.float32(0.5), 0, 2) * np.float32(rng.uniform(0, 0.8))
    other = other * ~scene.object_mask
    through = np.zeros_like(light)
    for share, nuclear, second in zip((0.3, 0.59, 0.11), rng.uniform(0.2, 1.2, 3), rng.uniform(0, 0.5, 3)):
        through += np.float32(share) * np.exp(-(density * np.float32(nuclear) + other * np.float32(second)))
    return 1 - through, float(np.ptp(through))


def shade_light(scene: Scene, light: Float) -> Float:
    """Uneven light: a smooth factor, a smooth addition, and less of it with depth."""
    rng, extent = scene.rng, np.array(scene.shape)
    if rng.random() < 0.5:
        light = light * np.exp(noise(scene.shape, np.maximum(extent * rng.uniform(0.4, 1.2), 2), rng) * np.float32(0.3))
    if rng.random() < 0.4:
        added = noise(scene.shape, np.maximum(extent * rng.uniform(0.3, 1), 2), rng)
        light = np.maximum(light + added * np.float32(rarely_large(rng, 0.3) * light.mean()), 0)
    if scene.shape[0] > 1 and rng.random() < 0.5:
        fall = np.exp(-np.linspace(0, rng.uniform(0, 1.5), scene.shape[0], dtype=np.float32))
        light = light * (fall if rng.random() < 0.5 else fall[::-1])[:, None, None]
    return light


def record_photons(scene: Scene, light: Float, top: float, chances: Chances) -> Float:
    """Blurred by a random point spread function that is longer along z, sampled more coarsely, with Poisson and read
    noise, and brought back to the grid."""
    rng, deep = scene.rng, scene.shape[0] > 1
    widest = max(2.2, 0.15 * scene.objects.diameter) if not deep else max(1.6, 0.1 * scene.objects.diameter)
    fine = float(np.exp(rng.uniform(np.log(0.25), np.log(widest))))
    sigma = np.array([fine * rng.uniform(1, 3.5) * deep, fine, fine]) / scene.size
    light = ndimage.gaussian_filter(light, sigma, truncate=2.5)
    factors = np.ones(3)
    if rng.random() < chances.coarse:
        plane = rng.uniform(1, 2) if rng.random() < (0.3 if deep else 0.6) else 1.0
        factors[1:] = plane
        factors[0] = max(plane, rng.uniform(1, 5) / scene.size[0]) if deep else 1.0
    for axis, factor in enumerate(factors):
        if factor > 1:
            nodes = max(round(scene.shape[axis] / factor), 1)
            light = apply_along(light, pool_weights(scene.shape[axis], nodes), axis)
    shot, read = rarely_large(rng, 0.2 * chances.noise), rarely_large(rng, 0.15 * chances.noise)
    bright = np.clip(light, 0, np.float32(1.5 * top))  # on a strong background noise would hide every object
    sigma_of = np.sqrt(np.float32(shot**2 * top) * bright + np.float32((read * top) ** 2))
    light = light + sigma_of * rng.standard_normal(light.shape, dtype=np.float32)
    for axis, n in enumerate(scene.shape):
        if light.shape[axis] != n:
            light = apply_along(light, linear(n, light.shape[axis]), axis)
    if rng.random() < 0.25:  # as after somebody's filter, or a resampling
        light = ndimage.gaussian_filter(light, rng.uniform(0.3, 1.0) / scene.size * [deep, 1, 1], truncate=2.5)
    return np.asarray(light, np.float32)


def expose(scene: Scene, light: Float, top: float) -> Float:
    """To [-1, 1], as percentiles of a larger image do: what is brightest in it need not lie in this part."""
    rng = scene.rng
    low, high = np.percentile(light, (rng.uniform(0, 2), rng.uniform(98.5, 100)))
    high = max(high, low + top * rng.uniform(0.1, 1.0))
    high = low + (high - low) * np.exp(max(rng.normal(0, 0.4), -0.25))
    unit = np.clip((light - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)
    if rng.random() < 0.7:
        unit = unit ** np.float32(np.exp(rng.normal(0, 0.4)))
    if rng.random() < 0.1:  # few gray levels
        steps = np.float32(rng.integers(12, 64))
        unit = np.round(unit * steps) / steps
    return np.asarray(2 * unit - 1, np.float32)


def jpeg(scene: Scene, image: Float) -> Float:
    """Planes in blocks whose cosine transforms are rounded, the finer waves more coarsely."""
    z, y, x = image.shape
    wide = np.pad(image, ((0, 0), (0, -y % JPEG_BLOCK), (0, -x % JPEG_BLOCK)), mode="edge")
    blocks = wide.reshape(z, wide.shape[1] // JPEG_BLOCK, JPEG_BLOCK, wide.shape[2] // JPEG_BLOCK, JPEG_BLOCK)
    waves = dctn(blocks, axes=(2, 4), norm="ortho")
    order = np.arange(JPEG_BLOCK, dtype=np.float32)
    step = np.float32(scene.rng.uniform(0.01, 0.06)) * (1 + order[:, None, None] + order)
    rounded = idctn(np.round(waves / step) * step, axes=(2, 4), norm="ortho")
    return np.clip(rounded.reshape(wide.shape)[:, :y, :x], -1, 1).astype(np.float32)
