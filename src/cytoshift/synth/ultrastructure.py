"""A label image of nuclei as an electron microscope would show the tissue around them, section after section."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.errors import UserError
from ..core.settings import Settings
from ..core.voxel import PIXEL, Voxel
from .optics import Float, NotNegative, blob, grain
from .prior import Positive, Range, Share

RESIN_GREY = 0.93  # grey of what holds no tissue
FOLD_GREY = 0.12  # grey of tissue that lies on itself: twice as thick, half as light
ARTEFACTS = ("fold", "gap", "dirt", "unfocused")


class Chromatin(Settings):
    """Inside of the nuclei. Lengths in um, greys from 0 (black) to 1.

    grey: of the loose chromatin; variation: its standard deviation from nucleus to nucleus. clumps: how much darker
    dense chromatin is; grain: its scale; share: of the nucleus that it fills, more along the envelope, which it
    lines. nucleoli: how many, both ends included, of the diameter `nucleolus` in multiples of the nucleus's.
    envelope: how much darker the two membranes around the nucleus are.
    """

    grey: Share = 0.53
    variation: NotNegative = 0.035
    clumps: Share = 0.22
    grain: Positive = 0.45
    share: Share = 0.3
    nucleoli: tuple[int, int] = (0, 2)
    nucleolus: Range = (0.2, 0.35)
    envelope: Share = 0.26


class Neuropil(Settings):
    """What lies between the nuclei. Lengths in um, greys from 0 (black) to 1.

    soma: grey of the cytoplasm around a nucleus; rim: its mean thickness. process: grey of the neurites and glia
    that fill the rest, and its standard deviation among them; calibres: diameters of the thin and of the thick ones.
    membrane: how much darker a membrane is. organelles: mitochondria and the like, dark blobs per unit volume, of
    the diameters `organelle`; vacuoles: the same in bright, of `vacuole`.
    """

    soma: Share = 0.66
    rim: Positive = 0.5
    process: tuple[Share, Share] = (0.6, 0.05)
    calibres: Range = (0.5, 1.0)
    membrane: Share = 0.26
    organelles: NotNegative = 0.12
    organelle: Range = (0.3, 0.6)
    vacuoles: NotNegative = 0.04
    vacuole: Range = (0.3, 0.8)


class Sections(Settings):
    """What cutting and scanning do to each section. Lengths in um.

    brightness and contrast: standard deviations from section to section, as a grey and as a share. drift: standard
    deviation of a section's place in the plane (the truth stays where the tissue was). artefacts: chance that a
    section has one: a fold, a missing part, dirt or a lost focus. shading: standard deviation of a slow unevenness.
    """

    brightness: NotNegative = 0.02
    contrast: NotNegative = 0.06
    drift: NotNegative = 0.08
    artefacts: Share = 0.07
    shading: NotNegative = 0.025


class Ultrastructure(Settings):
    """Tissue and electron microscope: membranes and dense matter are dark. Lengths in um of tissue.

    blur: standard deviation of the spot, and of what is lost by shrinking the image, in the plane.
    noise: standard deviation of the grey.
    """

    chromatin: Chromatin = Chromatin()
    neuropil: Neuropil = Neuropil()
    sections: Sections = Sections()
    blur: Annotated[float, Field(gt=0)] = 0.11
    noise: NotNegative = 0.03

    def image(self, labels: NDArray[np.integer], voxel: Voxel, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Grey of the tissue around labelled nuclei, of the shape of `labels`: (Y, X) or (Z, Y, X), sections along z.

        The same labels, settings and state of `rng` give the same image.
        The order is the specimen's: processes, cell bodies, nuclei, membranes, then each section's fate, then the
        microscope. Raises UserError where labels and voxel do not fit, and for voxels of no declared size.
        """
        if labels.ndim != voxel.ndim:
            raise UserError(f"labels of shape {labels.shape} do not fit voxels of {voxel}; give one size per axis")
        if voxel.unit == PIXEL:
            raise UserError(f"ultrastructure has its sizes in um, but the voxels are {voxel}; declare the voxel size")
        flat = labels.ndim == 2
        size = np.array([1.0, *voxel.size] if flat else voxel.size, dtype=np.float64)
        solid = labels[None] if flat else labels
        grey = tissue(solid, size, self, rng)
        for z, section in enumerate(grey):
            grey[z] = cut_section(section, size[1:], self.sections, rng)
        grey = blur_plane(grey, self.blur, size)
        grey += np.float32(self.noise) * rng.standard_normal(grey.shape, dtype=np.float32)
        scanned = np.clip(np.rint(255 * grey), 0, 255).astype(np.uint8)
        return scanned[0] if flat else scanned


def tissue(
    labels: NDArray[np.integer], size: NDArray[np.float64], look: Ultrastructure, rng: np.random.Generator
) -> Float:
    """Grey before cutting, (Z, Y, X)."""
    outside, soma = nearest_object(labels, size)
    nucleus = labels > 0
    thin, thick = look.neuropil.calibres
    # Bundles of thin processes beside thick dendrites and glia.
    process = np.where(
        grain(labels.shape, 2 * thick / size, rng) > 0,
        mosaic(labels.shape, thin, size, rng),
        mosaic(labels.shape, thick, size, rng),
    )
    rim = np.float32(look.neuropil.rim) * np.exp(0.4 * grain(labels.shape, 1.2 / size, rng))
    body = ~nucleus & (outside < rim)
    # One id per cell and process: membranes run wherever it changes. Processes count on below the cells' numbers.
    cells = np.where(nucleus | body, soma, -1 - process)
    mean, deviation = look.neuropil.process
    shade = rng.standard_normal(labels.size, dtype=np.float32)
    grey = np.float32(mean) + np.float32(deviation) * shade[process]
    grey[body] = look.neuropil.soma
    grey += np.float32(0.03) * grain(labels.shape, 0.3 / size, rng)
    scatter_organelles(grey, size, look.neuropil, rng)
    paint_nuclei(grey, labels, size, look.chromatin, rng)
    dark = np.float32(look.neuropil.membrane) * draw_walls(cells)
    dark = np.maximum(
        dark,
        np.float32(look.chromatin.envelope) * (draw_walls(labels) | draw_walls(labels[:, ::-1, ::-1])[:, ::-1, ::-1]),
    )
    return grey - blur_plane(dark, 0.5 * float(size[1:].min()), size)


def nearest_object(labels: NDArray[np.integer], size: NDArray[np.float64]) -> tuple[Float, NDArray[np.integer]]:
    """Distance to the nearest object and its label, (Z, Y, X) each; without any object infinitely far and 0."""
    from scipy.ndimage import distance_transform_edt

    if not labels.any():
        return np.full(labels.shape, np.inf, np.float32), labels
    distance, place = distance_transform_edt(labels == 0, sampling=size, return_indices=True)
    return distance.astype(np.float32), labels[tuple(place)]


def mosaic(
    shape: tuple[int, ...], calibre: float, size: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Space filled by cells of about `calibre`: the voxel (flat index) of the random seed that is nearest."""
    from scipy.ndimage import distance_transform_edt

    seeds = rng.random(shape, dtype=np.float32) < size.prod() / calibre**3
    seeds[0, 0, 0] = True
    place = distance_transform_edt(~seeds, sampling=size, return_distances=False, return_indices=True)
    return np.ravel_multi_index(tuple(place), shape)


def draw_walls(ids: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Voxels whose next neighbour in the plane is another's: walls of one voxel, as thin as the grid has them."""
    wall = np.zeros(ids.shape, bool)
    wall[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    wall[:, :, :-1] |= ids[:, :, :-1] != ids[:, :, 1:]
    return wall


def blur_plane(light: Float, sigma: float, size: NDArray[np.float64]) -> Float:
    """Blur in the plane."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(light, (0, sigma / size[1], sigma / size[2]), mode="nearest", truncate=3)


def scatter_organelles(grey: Float, size: NDArray[np.float64], law: Neuropil, rng: np.random.Generator) -> None:
    """Organelles and vacuoles, elongated blobs, in place."""
    extent = float((size * grey.shape).prod())
    for density, diameters, depth in ((law.organelles, law.organelle, -0.38), (law.vacuoles, law.vacuole, 0.25)):
        for _ in range(rng.poisson(density * extent)):
            sigma = rng.uniform(*diameters) / 2.2 * np.exp(0.3 * rng.standard_normal(3))
            blob(grey, rng.random(3) * grey.shape, sigma / size, depth * rng.uniform(0.6, 1.0))


def paint_nuclei(
    grey: Float, labels: NDArray[np.integer], size: NDArray[np.float64], law: Chromatin, rng: np.random.Generator
) -> None:
    """Chromatin and nucleoli over what was there, in place."""
    from scipy.ndimage import distance_transform_edt, find_objects

    inside = labels > 0
    if not inside.any():
        return
    level = np.float32(law.grey) + np.float32(law.variation) * rng.standard_normal(
        int(labels.max()) + 1, dtype=np.float32
    )
    depth = distance_transform_edt(inside & ~draw_walls(labels), sampling=size).astype(np.float32)
    # Dense chromatin is where a texture is highest; it is lifted along the envelope. The quantile makes its share.
    texture = grain(labels.shape, law.grain / size, rng) + 0.8 * np.exp(-depth / np.float32(law.grain))
    edge = np.quantile(texture[inside], 1 - law.share)
    dense = 1 / (1 + np.exp(np.clip(-6 * (texture - edge), -30, 30)))
    chromatin = level[labels] - np.float32(law.clumps) * dense + 0.02 * grain(labels.shape, 0.25 / size, rng)
    grey[inside] = chromatin[inside]
    for own, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        voxels = np.argwhere(labels[box] == own)
        diameter = (len(voxels) * size.prod()) ** (1 / 3)
        for _ in range(int(rng.integers(law.nucleoli[0], law.nucleoli[1] + 1))):
            centre = voxels[rng.integers(len(voxels))]
            sigma = diameter * rng.uniform(*law.nucleolus) / 2.2
            stain = np.zeros(labels[box].shape, np.float32)
            blob(stain, centre + 0.5, sigma / size, rng.uniform(0.7, 1.2) * law.clumps)
            grey[box] -= np.where(labels[box] == own, stain, 0)


def cut_section(section: Float, size: NDArray[np.float64], law: Sections, rng: np.random.Generator) -> Float:
    """One section (Y, X) as it comes from the knife: moved, shaded, damaged, with a brightness of its own."""
    from scipy.ndimage import shift, zoom

    moved = shift(section, law.drift * rng.standard_normal(2).clip(-2, 2) / size, order=1, mode="nearest")
    coarse = rng.standard_normal((5, 5)).astype(np.float32)
    uneven = zoom(coarse, [n / 5 for n in section.shape], order=3, mode="nearest", grid_mode=True)
    moved += np.float32(law.shading) * uneven[: section.shape[0], : section.shape[1]]
    gain, offset = 1 + law.contrast * rng.standard_normal(), law.brightness * rng.standard_normal()
    damaged = rng.random() < law.artefacts
    kind = ARTEFACTS[rng.integers(len(ARTEFACTS))]
    moved = np.float32(0.55 + offset) + np.float32(max(gain, 0.3)) * (moved - np.float32(0.55))
    return damage_section(moved, kind, size, rng) if damaged else moved


def damage_section(section: Float, kind: str, size: NDArray[np.float64], rng: np.random.Generator) -> Float:
    """A section (Y, X) with one of ARTEFACTS, on the scale of a few nuclei of tissue in um."""
    from scipy.ndimage import gaussian_filter

    extent = size * section.shape
    if kind == "unfocused":
        mean = section.mean()
        return mean + np.float32(0.9) * (gaussian_filter(section, 0.22 / size) - mean)
    if kind == "dirt":
        spots = np.zeros_like(section)
        for _ in range(rng.integers(2, 7)):
            sigma = rng.uniform(0.2, 0.8) * np.exp(0.3 * rng.standard_normal(2))
            blob(spots, rng.random(2) * section.shape, sigma / size, 1.5)
        return section * (1 - np.float32(0.8) * np.minimum(spots, 1))
    # How far each pixel is from a bent line through the section.
    way = rng.uniform(0, 2 * np.pi)
    y, x = (((np.arange(n, dtype=np.float32) + 0.5) * float(s)) for n, s in zip(section.shape, size))
    sin, cos = float(np.sin(way)), float(np.cos(way))
    across = sin * y[:, None] + cos * x[None, :]
    along = cos * y[:, None] - sin * x[None, :]
    across += 0.6 * np.sin(along / rng.uniform(2.0, 5.0) + rng.uniform(0, 6))
    low, high = float(across.min()), float(across.max())
    if kind == "fold":
        away = np.abs(across - rng.uniform(low + 0.2 * (high - low), high - 0.2 * (high - low)))
        covered = 1 / (1 + np.exp(np.clip((away - rng.uniform(0.2, 0.5)) / 0.05, -30, 30)))
        return section + covered * (FOLD_GREY - section)
    edge = high - rng.uniform(0.1, 0.3) * (high - low)
    edge = max(edge, high - float(extent.max()) / 3)
    lost = 1 / (1 + np.exp(np.clip((edge - across) / 0.1, -30, 30)))
    return section + lost * (RESIN_GREY - section)
