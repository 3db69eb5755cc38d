"""Augmentation = sampled numbers, then a pure transform, so that it can be replayed and tested.

A deformation changes the positions from which the voxels of a patch are taken. Image, clean image and labels are then
taken from the same positions: they fit each other exactly, and each is interpolated once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.compiled import njit
from ..core.settings import Settings
from ..core.voxel import Voxel
from .corrupt import Corrupt

GROUND_SHARE = 0.2  # so much of a patch is not brighter than its ground
SHADED_RANGE = (-1.2, 3.0)  # the range of a normalised image under another light
LIGHT_REGIONS = 4  # of a light along an axis: about as large as an object, of which a patch shows several
STEEPEST_LIGHT = 1.5  # standard deviations at most


class Augment(Settings):
    """flips: mirror every axis; rotations: quarter turns in planes of equal voxel sizes; gamma: contrast of an image,
    its intensities in [0, 1] raised to 2 ** U(-gamma, gamma); bias_field: standard deviation, in octaves, of a
    slowly varying brightness that a method learns to remove, see `BiasField`.
    """

    renamed: ClassVar[dict[str, str]] = {"shade": "bias_field", "turns": "rotations"}

    flips: bool = True
    rotations: bool = True
    gamma: float = 0.0
    bias_field: float = Field(0.0, ge=0)


@dataclass(frozen=True)
class Pose:
    """One orientation: quarter turns in the plane `plane`, then mirrored axes."""

    plane: tuple[int, int]
    turns: int
    mirrored: tuple[int, ...]

    def __call__(self, array: NDArray) -> NDArray:
        """array (..., *S), the same number of spatial axes as `plane` was chosen for."""
        turned = np.rot90(array, self.turns, self.plane) if self.turns else array
        return np.ascontiguousarray(np.flip(turned, self.mirrored))


def sample_pose(augment: Augment, patch: tuple[int, ...], voxel: Voxel, rng: np.random.Generator) -> Pose:
    """Numbers of one pose. Axes are swapped only where patch and voxel have equal extents along both."""
    ndim = len(patch)
    equal = patch[-1] == patch[-2] and np.isclose(voxel.size[-1], voxel.size[-2])
    turns = int(rng.integers(4)) if augment.rotations and equal else 0
    mirrored = tuple(axis for axis in range(-ndim, 0) if augment.flips and rng.random() < 0.5)
    return Pose((-2, -1), turns, mirrored)


def change_gamma(image: NDArray[np.float32], exponent: float) -> NDArray[np.float32]:
    """Intensities in [-1, 1], as [0, 1] raised to `exponent`."""
    return (2 * ((image + 1) / 2).clip(0, 1) ** np.float32(exponent) - 1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class BiasField:
    """An uneven light: what rises above the ground of the image is multiplied, region by region.

    A translator that has to draw the image as it was cannot know how bright an object is. Without this it hides the
    brightness of an object in the size of its mask, to find it again on the way back.
    """

    gain: NDArray[np.float32]  # (*S)

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """image (*S), normalised."""
        ground = np.quantile(image, GROUND_SHARE)
        return np.clip(ground + (image - ground) * self.gain, *SHADED_RANGE).astype(np.float32)


def sample_bias_field(octaves: float, patch: tuple[int, ...], rng: np.random.Generator) -> BiasField:
    """A field with LIGHT_REGIONS hills or valleys along each axis of the patch."""
    from scipy.ndimage import zoom

    heights = rng.standard_normal([LIGHT_REGIONS] * len(patch)).astype(np.float32)
    field = zoom(heights, [n / LIGHT_REGIONS for n in patch], order=3, mode="nearest", grid_mode=True)
    field /= max(float(field.std()), 1e-6)
    return BiasField(np.exp2(octaves * np.clip(field, -STEEPEST_LIGHT, STEEPEST_LIGHT)).astype(np.float32))


@dataclass(frozen=True, eq=False)
class SamplingGrid:
    """Where each voxel of a patch is taken from; an image in 2D is one section.

    Voxel (z, y, x) of the grid shows section `sections[z]` at the place `motions[z] @ (plane[:, y, x], 1)`, in voxels
    from the corner of the plain patch. The grid may reach over the patch by a halo, the same on both sides.
    """

    sections: NDArray[np.int64]  # (Z,)
    motions: NDArray[np.float32]  # (Z, 2, 3), rows y and x
    plane: NDArray[np.float32]  # (2, Y, X), places y and x before the section moves
    centre: tuple[float, float]  # of the patch, what it turns and scales about
    ndim: int

    @classmethod
    def identity(cls, patch: tuple[int, ...], halo: tuple[int, ...] | None = None) -> "SamplingGrid":
        """The patch as it is, wider by `halo` voxels along each axis and side."""
        deep, wide = (1, 1, 1)[len(patch) :] + patch, (0,) * (3 - len(patch)) + (halo or (0,) * len(patch))
        z, y, x = (np.arange(-h, n + h) for n, h in zip(deep, wide))
        plane = np.stack(np.meshgrid(y, x, indexing="ij")).astype(np.float32)
        motions = np.zeros((len(z), 2, 3), np.float32)
        motions[:, 0, 0] = motions[:, 1, 1] = 1
        return cls(z, motions, plane, ((deep[1] - 1) / 2, (deep[2] - 1) / 2), len(patch))

    def without_halo(self, halo: tuple[int, ...]) -> "SamplingGrid":
        """Without so many voxels along each axis and side."""
        z, y, x = (slice(h, -h or None) for h in (0,) * (3 - self.ndim) + halo)
        return replace(self, sections=self.sections[z], motions=self.motions[z], plane=self.plane[:, y, x])

    def reach(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """First and last-but-one voxel along each axis, from the patch's corner, of a window that holds all places."""
        ends = [(p.min(), p.max()) for p in self.plane]
        corners = np.array([(y, x, 1) for y in ends[0] for x in ends[1]], np.float32).T
        places = self.motions @ corners  # (Z, 2, 4)
        low = [int(self.sections.min()), *(math.floor(places[:, a].min() + ROUNDING_VOXELS) for a in (0, 1))]
        high = [int(self.sections.max()) + 1, *(math.ceil(places[:, a].max() - ROUNDING_VOXELS) + 1 for a in (0, 1))]
        return tuple(low[-self.ndim :]), tuple(high[-self.ndim :])

    def take(self, window: NDArray[np.float32], first: tuple[int, ...]) -> NDArray[np.float32]:
        """The patch from a window (*W) whose first voxel lies `first` from the patch's corner; linear in a section."""
        return self.interpolate_with(interpolate_sections, np.ascontiguousarray(window, np.float32), first)

    def take_labels(self, window: NDArray[np.generic], first: tuple[int, ...]) -> NDArray[np.generic]:
        """The same of labels: the nearest voxel, ids and dtype as they are."""
        return self.interpolate_with(nearest_sections, np.ascontiguousarray(window), first)

    def interpolate_with(self, how: Callable[..., None], window: NDArray, first: tuple[int, ...]) -> NDArray:
        stack, start = (window, first) if self.ndim == 3 else (window[None], (0, *first))
        out = np.empty((len(self.sections), *self.plane.shape[1:]), window.dtype)
        how(stack, self.sections - start[0], self.motions, self.plane, float(start[1]), float(start[2]), out)
        return out if self.ndim == 3 else out[0]


ROUNDING_VOXELS = 1e-3  # places computed in 32 bits that lie so little beyond a voxel are that voxel
Step = Callable[[SamplingGrid], SamplingGrid]


@dataclass(frozen=True)
class Rescale:
    """Objects become larger by these factors along y and x."""

    factors: tuple[float, float]

    def __call__(self, grid: SamplingGrid) -> SamplingGrid:
        plane = np.stack([(p - c) / f + c for p, c, f in zip(grid.plane, grid.centre, self.factors)])
        return replace(grid, plane=plane.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Elastic:
    """Each place of a section moves by a smooth field, the same in all sections."""

    displacement: NDArray[np.float32]  # (2, Y, X) voxels along y and x, of the grid with its halo

    def __call__(self, grid: SamplingGrid) -> SamplingGrid:
        return replace(grid, plane=grid.plane + self.displacement)


@dataclass(frozen=True)
class Misalign:
    """Section `section` alone, or all from there on, is shifted (y, x) or turned about the centre of the patch."""

    section: int
    alone: bool
    shift: tuple[float, float]
    angle: float  # radians

    def __call__(self, grid: SamplingGrid) -> SamplingGrid:
        hit = grid.sections == self.section if self.alone else grid.sections >= self.section
        (cy, cx), cos, sin = grid.centre, math.cos(self.angle), math.sin(self.angle)
        move = np.eye(3)
        move[0] = cos, -sin, cy - cos * cy + sin * cx + self.shift[0]
        move[1] = sin, cos, cx - sin * cy - cos * cx + self.shift[1]
        motions = grid.motions.copy()
        whole = np.concatenate(
            [motions[hit], np.broadcast_to(np.array((0, 0, 1), np.float32), (int(hit.sum()), 1, 3))], axis=1
        )
        motions[hit] = (move @ whole)[:, :2]
        return replace(grid, motions=motions)


@dataclass(frozen=True)
class MissingSections:
    """These sections, counted from the patch's first, were lost; those behind them move up."""

    lost: tuple[int, ...]  # rising

    def __call__(self, grid: SamplingGrid) -> SamplingGrid:
        """Sections move up from behind, so that what lies before the patch stays where it is."""
        sections = grid.sections.copy()
        for lost in self.lost:
            sections[sections >= lost] += 1
        return replace(grid, sections=sections)


def sample_rescale(corrupt: Corrupt, rng: np.random.Generator) -> Rescale:
    """Factors whose logarithms are uniform: half and double are equally likely."""
    low, high = np.log(corrupt.rescale_range)
    y, x = np.exp(rng.uniform(low, high, 2))
    return Rescale((float(y), float(x)))


def sample_elastic(corrupt: Corrupt, grid: SamplingGrid, side: int, rng: np.random.Generator) -> Elastic:
    """White noise smoothed by a Gaussian, scaled to the wanted standard deviation; `side` of the patch in voxels."""
    from scipy.ndimage import gaussian_filter

    grain, reach = max(corrupt.elastic_wavelength * side, 1.0), corrupt.elastic_amplitude * side
    noise = rng.standard_normal(grid.plane.shape, dtype=np.float32)
    smooth = gaussian_filter(noise, (0, grain, grain), mode="wrap", truncate=3.0)
    return Elastic(smooth * np.float32(reach * 2 * math.sqrt(math.pi) * grain))


def sample_misalign(corrupt: Corrupt, patch: tuple[int, ...], voxel: Voxel, rng: np.random.Generator) -> Misalign:
    """A turn needs voxels of equal sides, or it would shear; a patch of less than three sections slips at its last."""
    reach = corrupt.misalign_distance * min(patch[-2:])
    section = int(rng.integers(1, max(patch[0] - 1, 2)))
    alone = bool(rng.random() < 0.5)
    if rng.random() < corrupt.misalign_rotation and np.isclose(voxel.size[-1], voxel.size[-2]):
        return Misalign(section, alone, (0.0, 0.0), reach / (math.hypot(*patch[-2:]) / 2) * float(rng.uniform(-1, 1)))
    y, x = (float(round(s)) for s in rng.uniform(-reach, reach, 2))  # whole voxels: nothing is blurred
    return Misalign(section, alone, (y, x), 0.0)


def sample_missing_sections(corrupt: Corrupt, patch: tuple[int, ...], rng: np.random.Generator) -> MissingSections:
    """Sections inside the patch, never its first or last; a patch of one section has none to lose."""
    count = max(round(corrupt.missing_depth * patch[0]), 1) if patch[0] > 1 else 0
    inside = np.arange(1, patch[0] - 1 + count)
    return MissingSections(tuple(sorted(int(s) for s in rng.choice(inside, count, replace=False))))


def sample_warp(
    corrupt: Corrupt, patch: tuple[int, ...], halo: tuple[int, ...], voxel: Voxel, rng: np.random.Generator
) -> tuple[Step, ...]:
    """Numbers of all that bends one patch (*patch) and its halo, to be laid over `SamplingGrid.identity(patch,
    halo)`.
    """
    drawn: list[Step] = []
    if rng.random() < corrupt.elastic:
        drawn.append(sample_elastic(corrupt, SamplingGrid.identity(patch, halo), min(patch[-2:]), rng))
    if rng.random() < corrupt.rescale:
        drawn.append(sample_rescale(corrupt, rng))
    if rng.random() < corrupt.misalign:
        drawn.append(sample_misalign(corrupt, patch, voxel, rng))
    if rng.random() < corrupt.missing_sections:
        drawn.append(sample_missing_sections(corrupt, patch, rng))
    return tuple(drawn)


def lay_steps(steps: tuple[Step, ...], grid: SamplingGrid) -> SamplingGrid:
    """The steps over a plain grid, the one nearest to the network's eye first."""
    for step in steps:
        grid = step(grid)
    return grid


@njit
def interpolate_sections(
    window: NDArray[np.float32], sections: NDArray[np.int64], motions: NDArray[np.float32],
    plane: NDArray[np.float32], y0: float, x0: float, out: NDArray[np.float32],
) -> None:  # fmt: skip
    """out (Z, Y, X) = window (sections, y, x), linear in y and x; y0 and x0 are the places of the window's corner."""
    height, width = window.shape[1:]
    for z in range(out.shape[0]):
        section, m = window[sections[z]], motions[z]
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                y = m[0, 0] * plane[0, i, j] + m[0, 1] * plane[1, i, j] + m[0, 2] - y0
                x = m[1, 0] * plane[0, i, j] + m[1, 1] * plane[1, i, j] + m[1, 2] - x0
                y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
                top, left = int(y), int(x)
                below, right = min(top + 1, height - 1), min(left + 1, width - 1)
                b, r = y - top, x - left
                upper = (1 - r) * section[top, left] + r * section[top, right]
                lower = (1 - r) * section[below, left] + r * section[below, right]
                out[z, i, j] = (1 - b) * upper + b * lower


@njit
def nearest_sections(
    window: NDArray[np.generic], sections: NDArray[np.int64], motions: NDArray[np.float32],
    plane: NDArray[np.float32], y0: float, x0: float, out: NDArray[np.generic],
) -> None:  # fmt: skip
    """The same of labels: the voxel that the place lies in."""
    height, width = window.shape[1:]
    for z in range(out.shape[0]):
        section, m = window[sections[z]], motions[z]
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                y = m[0, 0] * plane[0, i, j] + m[0, 1] * plane[1, i, j] + m[0, 2] - y0
                x = m[1, 0] * plane[0, i, j] + m[1, 1] * plane[1, i, j] + m[1, 2] - x0
                top = int(min(max(y, 0.0), height - 1.0) + 0.5)
                left = int(min(max(x, 0.0), width - 1.0) + 0.5)
                out[z, i, j] = section[top, left]
