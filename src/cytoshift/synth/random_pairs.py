"""Domain-randomised synthesis: labels and an image of them, neither like any one microscope's.

A network that has seen enough of such images takes a real one for one more of them. After SynthSeg (Billot et al.,
Med. Image Anal. 86, 2023) and AnyStar (Dey et al., WACV 2024); this is a generator of our own. Real labels become an
image in the same way (`repaint`): shapes are learnt, intensities are not.
"""

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from scipy import ndimage

from ..core.errors import UserError
from ..core.settings import Settings
from ..core.voxel import Voxel
from .crowd import Crowd, Kinds, crowd
from .prior import Positive, Range, Share, refuse_descending
from .random_contrast import Chances, paint_objects

FLUORESCENCE = Chances(tissue=0.15, walls=0.1, fibres=0.1, dim=0.6, faintest=0.07, coarse=0.3, noise=1.2)
TYPICAL_DIAMETER = 10.0  # voxels of the finest axis: the diameter of an object where the patch shows none


class Randomised(Settings):
    """Settings of synthetic images with labels.

    diameter: smallest and largest median equivalent diameter of an image's objects, in the unit of the voxels.
    tissue, walls, dark, coarse: share of the images with objects in tissue of the same order of intensity, with walls
        and streaks brighter than objects, with objects darker than their surroundings, and sampled more coarsely than
        shown. cover: share of an image that objects would cover if none overlapped, smallest and largest.
    elongation: how much longer than wide objects of an image typically are at most, as a logarithm (0.4: 1 : 1.8, and
        one of twenty 1 : 3).
    dim: share of the images whose objects differ in intensity by an order of magnitude. faintest: intensity of the
        faintest object relative to the brightest one. noise: factor of the camera's noise.
    """

    diameter: Range
    tissue: Share = 0.4
    walls: Share = 0.25
    dark: Share = 0.0
    coarse: Share = 0.5
    cover: tuple[Positive, Positive] = (0.03, 1.3)
    elongation: float = Field(0.4, ge=0.05, le=0.8)
    dim: Share = 0.3
    faintest: float = Field(0.1, ge=0.02, le=0.5)
    noise: float = Field(1.0, ge=0, le=4)

    @field_validator("diameter")
    @classmethod
    def check_size(cls, value: Range) -> Range:
        return refuse_descending(value, above=0)

    @model_validator(mode="after")
    def check_order(self) -> "Randomised":
        if self.cover[0] > self.cover[1]:
            raise ValueError("cover needs low <= high")
        return self


def draw_pair(
    law: Randomised, shape: tuple[int, ...], voxel: Voxel, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """An image with its labels.

    Parameters
    ----------
    law
        What it is drawn from.
    shape
        (Y, X) or (Z, Y, X), in voxels of size `voxel`.
    rng
        The same state gives the same pair.

    Returns
    -------
    image, labels
        (*S) float32 in [-1, 1], as networks see images; (*S) int32, 1..N, each object face-connected.

    Raises
    ------
    UserError
        Where objects would be smaller than two voxels.

    Examples
    --------
    >>> law = Randomised(diameter=(10, 30))
    >>> image, labels = draw_pair(law, (64, 64), Voxel((1.0, 1.0), "px"), np.random.default_rng(0))
    >>> image.shape, image.dtype, labels.dtype
    ((64, 64), dtype('float32'), dtype('int32'))
    """
    if len(shape) != voxel.ndim:
        raise UserError(f"images of shape {shape} do not fit voxels of {voxel}; give one size per axis")
    finest = min(voxel.size)
    if law.diameter[0] < 2 * finest:
        raise UserError(
            f"objects of {law.diameter[0]:g} {voxel.unit} are less than two voxels of {voxel} wide; set a larger "
            "randomised.diameter"
        )
    flat = voxel.ndim == 2
    size = np.array([1.0] * flat + [side / finest for side in voxel.size])
    grid: tuple[int, int, int] = (1, shape[0], shape[1]) if flat else (shape[0], shape[1], shape[2])
    diameter = math.exp(rng.uniform(*np.log(law.diameter))) / finest
    kinds = Kinds(elongation=(0.03, law.elongation), cover=law.cover)
    objects = crowd(kinds, diameter, grid, size, rng)
    chances = Chances(
        tissue=law.tissue, walls=law.walls, dark=law.dark, coarse=law.coarse,
        dim=law.dim, faintest=law.faintest, noise=law.noise,
    )  # fmt: skip
    image = paint_objects(objects, size, chances, rng)
    return image.reshape(shape), objects.labels.reshape(shape)


def repaint(
    labels: NDArray[np.integer], voxel: Voxel, rng: np.random.Generator, dark: float = 0.0
) -> NDArray[np.float32]:
    """An image of these objects that no microscope has taken.

    Parameters
    ----------
    labels
        (Y, X) or (Z, Y, X), 0 is background.
    voxel
        Of the labels.
    rng
        The same state gives the same image.
    dark
        Chance that objects are darker than what is around them.

    Returns
    -------
    ndarray
        (*S) float32 in [-1, 1], as networks see images.

    Examples
    --------
    >>> labels = np.zeros((32, 32), np.int32)
    >>> labels[8:20, 8:20] = 5
    >>> repaint(labels, Voxel((1.0, 1.0), "px"), np.random.default_rng(0)).shape
    (32, 32)
    """
    finest = min(voxel.size)
    size = np.array([1.0] * (3 - voxel.ndim) + [side / finest for side in voxel.size])
    grid = labels if labels.ndim == 3 else labels[None]
    return paint_objects(as_crowd(grid, size), size, FLUORESCENCE._replace(dark=dark), rng).reshape(labels.shape)


def as_crowd(labels: NDArray[np.integer], size: NDArray[np.float64]) -> Crowd:
    """Labels (Z, Y, X) with what the painting asks for: how deep a voxel lies, centres, a diameter."""
    ids, numbered = np.unique(labels, return_inverse=True)
    numbered = numbered.reshape(labels.shape).astype(np.int32) + (0 if 0 in ids else 1)
    count = int(numbered.max(initial=0))
    apart = inner_distance(numbered, size)
    places = np.arange(1, count + 1)
    deepest = np.concatenate([[1], ndimage.maximum(apart, numbered, places)]) if count else np.ones(1)
    depth = np.where(numbered > 0, 1 - apart / np.maximum(deepest[numbered], 1e-6), np.inf).astype(np.float32)
    centres = np.array(ndimage.center_of_mass(numbered > 0, numbered, places)).reshape(-1, 3)
    volumes = np.bincount(numbered.ravel())[1:] * float(np.prod(size))
    flat = labels.shape[0] == 1
    widths = 2 * (volumes / np.pi) ** 0.5 if flat else (6 * volumes / np.pi) ** (1 / 3)
    return Crowd(numbered, depth, centres, float(np.median(widths)) if count else TYPICAL_DIAMETER)


def inner_distance(labels: NDArray[np.int32], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each voxel to the surface of its own object, touching neighbours included."""
    edge = labels == 0
    for axis in range(3):
        step = np.diff(labels, axis=axis) != 0
        before, after = [slice(None)] * 3, [slice(None)] * 3
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= step
        edge[tuple(after)] |= step
    return np.asarray(ndimage.distance_transform_edt(~edge, sampling=size)) + 0.5 * (labels > 0)
