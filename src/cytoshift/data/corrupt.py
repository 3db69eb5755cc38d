"""Artefacts of electron microscopy, and how often a network sees each of them.

A corruption is a frozen set of sampled numbers; called with an image it gives a new one, the same one every time. The
recipe is that of PyTorch Connectomics, which CySGAN was trained with (III-D2): parts are missing, moved, noisy or
blurred in the image that a network sees, and in nothing else.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..core.errors import UserError
from ..core.normalise import Normalisation
from ..core.settings import Settings

Chance = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(gt=0, le=1)]
Image = NDArray[np.float32]
Corruption = Callable[[Image], Image]


class Corrupt(Settings):
    """How often (0 to 1) and how strongly a patch is changed. Nothing is on unless it is asked for.

    Lengths are parts of the patch's shorter side in a section, numbers of sections parts of its depth: the paper's
    pixels over its 17 x 129 x 129. Intensities count in [0, 1].

    Image, clean twin and labels share
        rescale: y and x each by a factor from `rescale_range`.
        elastic: every section bent alike; displacements of standard deviation `elastic_amplitude` that change over a
            length of `elastic_wavelength`.
        misalign (3D): from one section on, or in that one alone, everything is moved by up to `misalign_distance`, with
            chance `misalign_rotation` by a rotation that moves the corners so far.
        missing_sections (3D): `missing_depth` of the sections are left out.
    Image and clean twin share
        gray: contrast times 1 +- `contrast`, brightness +- `brightness`, then raised to 2 ** +-`gamma`.
    The image alone suffers
        cut_noise: a box of `noise_size` along each axis with uniform noise of +-`noise`.
        cut_out: `cut_out_count` boxes, each half as large as `cut_out_size` along an axis up to as large, show the mean
            of the image.
        blur: a Gaussian with a standard deviation from `blur_width`.
        cut_blur: a box of `blur_size` with sections in coarse pixels, whose side is from `blur_range`.
        motion_blur: `motion_depth` of the sections smeared along y or x over `motion_length`.
        missing_parts: each section with chance `parts_chance`, never two in a row, loses a band of `parts_width`
            and shows its mean there.
    An image in 2D is one section: it may be smeared or lose a part, which then only itself can restore, so its presets
    take these less often and narrower.
    """

    renamed: ClassVar[dict[str, str]] = {
        "elastic_reach": "elastic_amplitude", "elastic_grain": "elastic_wavelength",
        "misalign_reach": "misalign_distance", "misalign_turn": "misalign_rotation", "motion_reach": "motion_length",
    }  # fmt: skip

    rescale: Chance = 0.0
    rescale_range: tuple[float, float] = (0.8, 1.25)
    elastic: Chance = 0.0
    elastic_amplitude: Part = 0.69 / 129
    elastic_wavelength: Part = 4 / 129
    misalign: Chance = 0.0
    misalign_distance: Part = 16 / 129
    misalign_rotation: Chance = 0.5
    missing_sections: Chance = 0.0
    missing_depth: Part = 2 / 17
    gray: Chance = 0.0
    contrast: float = Field(0.15, ge=0, lt=1)
    brightness: float = Field(0.15, ge=0)
    gamma: float = Field(1.0, ge=0)
    cut_noise: Chance = 0.0
    noise_size: Part = 0.4
    noise: float = Field(0.3, ge=0)
    cut_blur: Chance = 0.0
    blur_size: Part = 0.4
    blur_range: tuple[Part, Part] = (2 / 129, 8 / 129)
    motion_blur: Chance = 0.0
    motion_depth: Part = 2 / 17
    motion_length: Part = 11 / 129
    missing_parts: Chance = 0.0
    parts_chance: Chance = 0.9
    parts_width: Part = 97 / 129
    cut_out: Chance = 0.0
    cut_out_count: int = Field(3, ge=1)
    cut_out_size: Part = 0.25
    blur: Chance = 0.0
    blur_width: tuple[Part, Part] = (0.5 / 129, 1.5 / 129)

    @model_validator(mode="after")
    def check_order(self) -> Self:
        for low, high in (self.rescale_range, self.blur_range, self.blur_width):
            if not 0 < low <= high:
                raise ValueError(f"a range goes from a number above 0 up to another, {low:g} to {high:g} does not")
        return self

    def fits(self, ndim: int, normalise: Normalisation) -> Self:
        """Itself. Raises UserError for what images of so many axes, normalised like that, cannot be shown."""
        for name in ("misalign", "missing_sections"):
            if ndim == 2 and getattr(self, name) > 0:
                raise UserError(f"corrupt.{name} moves sections against each other, but the images are 2D; set it to 0")
        for name in ("gray", "cut_noise"):
            if normalise.kind == "zscore" and getattr(self, name) > 0:
                raise UserError(f"corrupt.{name} needs intensities between two ends, zscore has none; set it to 0 "
                                "or normalise by percentile or minmax")  # fmt: skip
        return self


# The configuration of the authors (PyTorch Connectomics 67799d8, config/defaults.py).
PAPER = Corrupt(
    rescale=0.5, elastic=0.75, misalign=0.5, missing_sections=0.5, gray=0.75, cut_noise=0.75, cut_blur=0.5,
    motion_blur=0.5, missing_parts=0.9,
)  # fmt: skip
# One section cannot borrow from its neighbours: what it loses must be narrow enough to be filled from around it.
PAPER_2D = PAPER.model_copy(
    update={"misalign": 0.0, "missing_sections": 0.0, "motion_blur": 0.25, "motion_length": 5 / 129,
            "missing_parts": 0.5, "parts_width": 16 / 129}
)  # fmt: skip
# Small networks and short trainings have no time to learn restoration from three quarters of every other section.
LAPTOP = Corrupt(
    rescale=0.5, elastic=0.5, misalign=0.25, misalign_distance=8 / 129, missing_sections=0.25, gray=0.5, contrast=0.1,
    brightness=0.05, gamma=0.5, cut_noise=0.5, noise=0.2, cut_blur=0.5, motion_blur=0.25, missing_parts=0.5,
    parts_chance=0.5, parts_width=32 / 129,
)  # fmt: skip
LAPTOP_2D = LAPTOP.model_copy(
    update={"misalign": 0.0, "missing_sections": 0.0, "motion_blur": 0.15, "motion_length": 5 / 129,
            "missing_parts": 0.25, "parts_width": 12 / 129}
)  # fmt: skip


@dataclass(frozen=True)
class Gray:
    """Another exposure: [0, 1] times `contrast` plus `brightness`, clipped, raised to `exponent`."""

    contrast: float
    brightness: float
    exponent: float

    def __call__(self, image: Image) -> Image:
        """image (*S) in [-1, 1] -> (*S) in [-1, 1]."""
        unit = (image + 1) * np.float32(self.contrast / 2) + np.float32(self.brightness)
        np.clip(unit, 0, 1, out=unit)
        np.power(unit, np.float32(self.exponent), out=unit)
        return unit * 2 - 1


@dataclass(frozen=True)
class CutNoise:
    """Uniform noise in a box; the noise itself is drawn from `seed`, so that it can be drawn again."""

    box: tuple[slice, ...]
    amplitude: float  # in [-1, 1]
    seed: int

    def __call__(self, image: Image) -> Image:
        """image (*S) in [-1, 1] -> (*S) in [-1, 1]."""
        out = image.copy()
        part = out[self.box]
        noise = np.random.default_rng(self.seed).random(part.shape, dtype=np.float32)
        out[self.box] = np.clip(part + (noise * 2 - 1) * np.float32(self.amplitude), -1, 1)
        return out


@dataclass(frozen=True)
class CutBlur:
    """Coarse pixels in a box: each `cell` x `cell` voxels of a section show their mean."""

    box: tuple[slice, ...]
    cell: int

    def __call__(self, image: Image) -> Image:
        out = image.copy()
        part = out[self.box]
        for axis in (-2, -1):
            n = part.shape[axis]
            starts = np.arange(0, n, self.cell)
            counts = np.diff(np.append(starts, n))
            weight = counts.astype(np.float32).reshape((-1,) + (1,) * (-axis - 1))
            part = np.repeat(np.add.reduceat(part, starts, axis=axis) / weight, counts, axis=axis)
        out[self.box] = part
        return out


@dataclass(frozen=True)
class CutOut:
    """Boxes that show the mean of the image and nothing else."""

    boxes: tuple[tuple[slice, ...], ...]

    def __call__(self, image: Image) -> Image:
        out = image.copy()
        for box in self.boxes:
            out[box] = image.mean()
        return out


@dataclass(frozen=True)
class Blur:
    """Out of focus, alike along all axes; `width` is the standard deviation in voxels."""

    width: float

    def __call__(self, image: Image) -> Image:
        from scipy.ndimage import gaussian_filter

        return np.asarray(gaussian_filter(image, self.width, mode="nearest"), np.float32)


@dataclass(frozen=True)
class MotionBlur:
    """Sections during whose exposure the stage moved by `length` voxels along y (-2) or x (-1)."""

    sections: tuple[int, ...]
    axis: int
    length: int

    def __call__(self, image: Image) -> Image:
        from scipy.ndimage import uniform_filter1d

        out = image.copy()
        stack = as_sections(out)
        for z in self.sections:
            stack[z] = uniform_filter1d(stack[z], self.length, axis=self.axis, mode="nearest")
        return out


@dataclass(frozen=True)
class Band:
    """What lies within `half` voxels of the line through two points (y, x) of a section."""

    section: int
    start: tuple[float, float]
    stop: tuple[float, float]
    half: float

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        (y0, x0), (y1, x1) = self.start, self.stop
        length = math.hypot(y1 - y0, x1 - x0)
        y = (np.arange(shape[0], dtype=np.float32) - np.float32(y0)) * np.float32((x1 - x0) / length)
        x = (np.arange(shape[1], dtype=np.float32) - np.float32(x0)) * np.float32((y1 - y0) / length)
        return np.abs(y[:, None] - x[None, :]) <= self.half


@dataclass(frozen=True)
class MissingParts:
    """Bands that show nothing but the mean of their section."""

    bands: tuple[Band, ...]

    def __call__(self, image: Image) -> Image:
        out = image.copy()
        stack = as_sections(out)
        for band in self.bands:
            section = stack[band.section]
            section[band.mask(section.shape)] = section.mean()
        return out


def as_sections(image: Image) -> Image:
    """A view (Z, Y, X); an image (Y, X) is one section."""
    return image if image.ndim == 3 else image[None]


def sample_gray(corrupt: Corrupt, rng: np.random.Generator) -> Gray:
    return Gray(
        1 + corrupt.contrast * rng.uniform(-1, 1),
        corrupt.brightness * rng.uniform(-1, 1),
        2.0 ** (corrupt.gamma * rng.uniform(-1, 1)),
    )


def sample_cut_noise(corrupt: Corrupt, patch: tuple[int, ...], rng: np.random.Generator) -> CutNoise:
    return CutNoise(sample_box(corrupt.noise_size, patch, rng), 2 * corrupt.noise, int(rng.integers(2**63)))


def sample_cut_blur(corrupt: Corrupt, patch: tuple[int, ...], rng: np.random.Generator) -> CutBlur:
    box = sample_box(corrupt.blur_size, patch, rng)
    return CutBlur(box, max(round(rng.uniform(*corrupt.blur_range) * min(patch[-2:])), 2))


def sample_cut_out(corrupt: Corrupt, patch: tuple[int, ...], rng: np.random.Generator) -> CutOut:
    sizes = corrupt.cut_out_size * rng.uniform(0.5, 1, corrupt.cut_out_count)
    return CutOut(tuple(sample_box(float(size), patch, rng) for size in sizes))


def sample_motion_blur(corrupt: Corrupt, patch: tuple[int, ...], rng: np.random.Generator) -> MotionBlur:
    depth = patch[0] if len(patch) == 3 else 1
    count = max(round(corrupt.motion_depth * depth), 1)
    hit = sorted(int(z) for z in rng.choice(depth, count, replace=False))
    return MotionBlur(tuple(hit), -1 - int(rng.integers(2)), max(round(corrupt.motion_length * min(patch[-2:])), 2))


def sample_missing_parts(corrupt: Corrupt, patch: tuple[int, ...], rng: np.random.Generator) -> MissingParts:
    """A line between two opposite sides per section. The walk over the sections starts as if it came from far off, so
    that the first one is hit no more often than any other."""
    chance, depth = corrupt.parts_chance, patch[0] if len(patch) == 3 else 1
    half, (height, width) = corrupt.parts_width * min(patch[-2:]) / 2, patch[-2:]
    bands: list[Band] = []
    rested = depth == 1 or rng.random() * (1 + chance) < 1
    for z in range(depth):
        hit = rested and rng.random() < (chance if depth > 1 else 1)
        rested = not hit
        if hit:
            a, b = rng.random(2)
            upright = rng.random() < 0.5
            start, stop = (
                ((0.0, a * width), (height, b * width)) if upright else ((a * height, 0.0), (b * height, width))
            )
            bands.append(Band(z, start, stop, half))
    return MissingParts(tuple(bands))


def sample_box(size: float, patch: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, ...]:
    """A box of so much of the patch along each axis, one voxel at least."""
    lengths = [max(round(size * n), 1) for n in patch]
    starts = [int(rng.integers(n - length + 1)) for n, length in zip(patch, lengths)]
    return tuple(slice(start, start + length) for start, length in zip(starts, lengths))


def sample_corruptions(corrupt: Corrupt, patch: tuple[int, ...], rng: np.random.Generator) -> tuple[Corruption, ...]:
    """Numbers of all that befalls one image (*patch), in the order of the reference."""
    drawn: list[Corruption] = []
    if rng.random() < corrupt.cut_noise:
        drawn.append(sample_cut_noise(corrupt, patch, rng))
    if rng.random() < corrupt.cut_blur:
        drawn.append(sample_cut_blur(corrupt, patch, rng))
    if rng.random() < corrupt.motion_blur:
        drawn.append(sample_motion_blur(corrupt, patch, rng))
    if rng.random() < corrupt.missing_parts:
        drawn.append(sample_missing_parts(corrupt, patch, rng))
    if rng.random() < corrupt.cut_out:
        drawn.append(sample_cut_out(corrupt, patch, rng))
    if rng.random() < corrupt.blur:
        drawn.append(Blur(float(rng.uniform(*corrupt.blur_width) * min(patch[-2:]))))
    return tuple(drawn)
