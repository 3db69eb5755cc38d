"""A label image as a fluorescence microscope would show it."""

from functools import reduce
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ..core.errors import UserError
from ..core.settings import Settings
from ..core.voxel import Voxel
from .prior import Positive, Range, Share, refuse_descending

Float = NDArray[np.float32]
NotNegative = Annotated[float, Field(ge=0)]
DEBRIS_SIGMAS = 3.0  # debris is painted within this many standard deviations


class Stain(Settings):
    """What the nuclei themselves look like, before any optics. Lengths in the unit of the voxel.

    variation: spread of the logarithm of the nuclei's brightness, one number per nucleus.
    chromatin: contrast of the texture; grain: its scale. Bright spots come out stronger than dark ones.
    nucleoli: how many dark balls per nucleus, both ends included; nucleolus: their diameter in multiples of the
    nucleus's. dome: 0 is flat up to the rim (a section), 1 falls off towards it as the thickness of a lens does
    (widefield).
    """

    variation: NotNegative = 0.25
    chromatin: Annotated[float, Field(ge=0, le=1)] = 0.25
    grain: Positive = 0.8
    nucleoli: tuple[int, int] = (0, 3)
    nucleolus: Range = (0.15, 0.3)
    dome: Share = 0.3


class Debris(Settings):
    """What else glows. Densities per unit area or volume.

    specks: bright dots of `size` (diameter); ghosts: objects out of focus, blurred blobs of `ghost` (diameter).
    brightness: both, in multiples of a nucleus's (ghosts a third of it).
    """

    specks: NotNegative = 0.0
    size: Range = (0.5, 1.5)
    ghosts: NotNegative = 0.0
    ghost: Range = (10.0, 25.0)
    brightness: Range = (0.4, 1.5)


class Camera(Settings):
    """From light to numbers.

    photons: of a nucleus of mean brightness, per voxel; few make noise. read: standard deviation of the read noise
    in photons. full: photons at the top of the range (beyond it the camera saturates); offset: grey level without
    light, as a share of the range. bits: 8 gives uint8, 12 and 16 give uint16.
    """

    photons: Positive = 200.0
    read: NotNegative = 3.0
    full: Positive = 800.0
    offset: Share = 0.02
    bits: Literal[8, 12, 16] = 16


class Optics(Settings):
    """Microscope and specimen. Lengths in the unit of the voxel, brightness in multiples of a mean nucleus.

    psf: standard deviation of the Gaussian point spread, in the plane and along z (2D uses the first).
    haze: light from out of focus: this share of the image blurred by `haze_reach` on top.
    attenuation: depth over which light falls to 1/e (None: none). background: evenly everywhere; gradient: how much
    it rises and falls across the image, as a share of it; mottle: smooth random unevenness, likewise.
    """

    psf: tuple[Positive, Positive] = (0.25, 0.7)
    haze: NotNegative = 0.15
    haze_reach: Positive = 6.0
    attenuation: Positive | None = None
    background: NotNegative = 0.08
    gradient: Annotated[float, Field(ge=0, le=2)] = 0.3
    mottle: NotNegative = 0.15
    stain: Stain = Stain()
    debris: Debris = Debris()
    camera: Camera = Camera()

    @field_validator("psf")
    @classmethod
    def longer_along_z(cls, value: tuple[float, float]) -> tuple[float, float]:
        return refuse_descending(value, above=0)


def render(
    labels: NDArray[np.integer], voxel: Voxel, optics: Optics, rng: np.random.Generator
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Microscope image of a label image.

    The steps follow the light: stain, debris, attenuation with depth, point spread function and haze, background,
    camera.

    Parameters
    ----------
    labels
        (Y, X) or (Z, Y, X), 0 is background.
    voxel
        Voxel size, in the unit of `optics`.
    optics
        Stain, blur, noise and camera.
    rng
        Random generator. The same state gives the same image.

    Returns
    -------
    array
        Image of the same shape, uint8 or uint16 by `optics.camera.bits`.

    Examples
    --------
    >>> labels = np.zeros((32, 32), np.int32)
    >>> labels[8:24, 8:24] = 1
    >>> image = render(labels, Voxel((1.0, 1.0)), Optics(), np.random.default_rng(0))
    >>> image.shape, bool(image[16, 16] > image[1, 1])
    ((32, 32), True)
    """
    return record_photons(expose(labels, voxel, optics, rng), optics.camera, rng)


def expose(labels: NDArray[np.integer], voxel: Voxel, optics: Optics, rng: np.random.Generator) -> Float:
    """The light that arrives at the camera, a nucleus of mean brightness at about 1."""
    from scipy.ndimage import gaussian_filter

    if labels.ndim != voxel.ndim:
        raise UserError(f"labels of shape {labels.shape} do not fit voxels of {voxel}; give one size per axis")
    size = np.array(voxel.size, dtype=np.float64)
    light = stain_nuclei(labels, size, optics.stain, rng)
    light += draw_debris(labels.shape, size, optics.debris, rng)
    if optics.attenuation and labels.ndim == 3:
        depth = (np.arange(labels.shape[0], dtype=np.float32) + 0.5) * np.float32(size[0] / optics.attenuation)
        light *= np.exp(-depth)[:, None, None]
    lateral, axial = optics.psf
    spread = np.array([axial, lateral, lateral][-labels.ndim :])
    sharp = gaussian_filter(light, spread / size, mode="nearest", truncate=3)
    if optics.haze:
        sharp += np.float32(optics.haze) * gaussian_filter(light, optics.haze_reach / size, mode="nearest", truncate=2)
    sharp += background_light(labels.shape, optics, rng)
    return sharp


def stain_nuclei(
    labels: NDArray[np.integer], size: NDArray[np.float64], stain: Stain, rng: np.random.Generator
) -> Float:
    """Nuclei alone, a mean one at about 1."""
    count = int(labels.max(initial=0))
    level = np.exp(stain.variation * rng.standard_normal(count + 1)).astype(np.float32)
    level[0] = 0
    light = level[labels]
    if stain.chromatin:
        light *= np.exp(np.float32(stain.chromatin) * grain(labels.shape, stain.grain / size, rng))
    carve_nucleoli(light, labels, size, stain, rng)
    if stain.dome:
        light *= domes(labels, size) ** np.float32(stain.dome)
    return light


def grain(shape: tuple[int, ...], scale: NDArray[np.float64], rng: np.random.Generator) -> Float:
    """Band-passed noise of unit variance. scale: (ndim,) grain in voxels."""
    from scipy.ndimage import gaussian_filter

    noise = rng.standard_normal(shape, dtype=np.float32)
    noise = gaussian_filter(noise, scale / 2, mode="wrap", truncate=3) - gaussian_filter(
        noise, scale * 1.5, mode="wrap", truncate=2
    )
    return noise / max(noise.std(), np.float32(1e-6))


def domes(labels: NDArray[np.integer], size: NDArray[np.float64]) -> Float:
    """Thickness of each object as a lens: sqrt(1 - (1 - d / D)^2) with d the depth below the rim and D its largest."""
    from scipy.ndimage import distance_transform_edt, maximum

    differ = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        moved, view = np.moveaxis(labels, axis, 0), np.moveaxis(differ, axis, 0)
        step = moved[:-1] != moved[1:]
        view[:-1] |= step
        view[1:] |= step
    if not differ.any():
        return np.ones(labels.shape, np.float32)
    depth = distance_transform_edt(~differ, sampling=size).astype(np.float32) + np.float32(size.min() / 2)
    deepest = np.asarray(maximum(depth, labels, index=np.arange(int(labels.max()) + 1)), dtype=np.float32)
    rest = 1 - depth / np.maximum(deepest[labels], depth)
    return np.sqrt(np.maximum(1 - rest**2, 0)).astype(np.float32)


def carve_nucleoli(
    light: Float, labels: NDArray[np.integer], size: NDArray[np.float64], stain: Stain, rng: np.random.Generator
) -> None:
    """Nucleoli: soft dark balls at random voxels of each nucleus, in place."""
    from scipy.ndimage import find_objects

    for own, box in enumerate(find_objects(labels), start=1):
        number = int(rng.integers(stain.nucleoli[0], stain.nucleoli[1] + 1))
        if box is None or number == 0:
            continue
        inside = np.argwhere(labels[box] == own)
        diameter = (len(inside) * size.prod()) ** (1 / labels.ndim)
        for centre in inside[rng.integers(0, len(inside), number)]:
            radius = diameter * rng.uniform(*stain.nucleolus) / 2
            darkness = rng.uniform(0.3, 0.7)
            grid = np.ogrid[tuple(slice(0, s.stop - s.start) for s in box)]
            square = sum(((g - c) * s) ** 2 for g, c, s in zip(grid, centre, size))
            hole = 1 - darkness / (1 + np.exp(np.minimum((np.sqrt(square) - radius) / (0.15 * radius), 50.0)))
            part = light[box]
            part *= np.where(labels[box] == own, hole, 1).astype(np.float32)


def draw_debris(shape: tuple[int, ...], size: NDArray[np.float64], debris: Debris, rng: np.random.Generator) -> Float:
    """Specks and ghosts, each a Gaussian blob, on black."""
    light = np.zeros(shape, np.float32)
    extent = float((size * shape).prod())
    for density, diameters, share in ((debris.specks, debris.size, 1.0), (debris.ghosts, debris.ghost, 1 / 3)):
        for _ in range(rng.poisson(density * extent)):
            sigma = rng.uniform(*diameters) / 2
            stretch = np.exp(0.3 * rng.standard_normal(len(shape)))
            blob(light, rng.random(len(shape)) * shape, sigma * stretch / size, share * rng.uniform(*debris.brightness))
    return light


def blob(light: Float, centre: NDArray[np.float64], sigma: NDArray[np.float64], peak: float) -> None:
    """Add one Gaussian, in place. centre, sigma: in voxels."""
    box, profiles = [], []
    for c, s, n in zip(centre, sigma, light.shape):
        part = slice(max(int(c - DEBRIS_SIGMAS * s), 0), min(int(c + DEBRIS_SIGMAS * s) + 1, n))
        box.append(part)
        profiles.append(np.exp(-0.5 * ((np.arange(part.start, part.stop) + 0.5 - c) / s) ** 2).astype(np.float32))
    light[tuple(box)] += np.float32(peak) * reduce(np.multiply.outer, profiles)


def background_light(shape: tuple[int, ...], optics: Optics, rng: np.random.Generator) -> Float:
    """Uneven background: a slope in a random direction of the plane and smooth mottle."""
    from scipy.ndimage import zoom

    plane = shape[-2:]
    way = rng.uniform(0, 2 * np.pi)
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in plane)
    slope = np.float32(optics.gradient / 2) * (np.sin(way) * y[:, None] + np.cos(way) * x[None, :])
    coarse = rng.standard_normal((6, 6)).astype(np.float32)
    mottle = zoom(coarse, [n / 6 for n in plane], order=3, mode="nearest", grid_mode=True)[: plane[0], : plane[1]]
    even = np.float32(optics.background) * np.maximum(1 + slope + np.float32(optics.mottle) * mottle, 0)
    return np.broadcast_to(even.astype(np.float32), shape)


def record_photons(light: Float, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Poisson and read noise, offset, saturation, rounding."""
    photons = rng.poisson(np.maximum(light, 0) * camera.photons).astype(np.float32)
    if camera.read:
        photons += np.float32(camera.read) * rng.standard_normal(light.shape, dtype=np.float32)
    top = 2**camera.bits - 1
    grey = np.float32(top) * (np.float32(camera.offset) + photons / np.float32(camera.full))
    return np.clip(np.rint(grey), 0, top).astype(np.uint8 if camera.bits == 8 else np.uint16)
