"""Real labels -> a synthetic image of them, by random contrast: shapes are learnt, intensities are not.

After SynthSeg (Billot et al., Med. Image Anal. 86, 2023), which draws its images from real label maps.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.voxel import Voxel
from .crowd import Crowd
from .random_contrast import Chances, paint_objects

FLUORESCENCE = Chances(tissue=0.15, walls=0.1, fibres=0.1, dim=0.6, faintest=0.07, coarse=0.3, noise=1.2)
TYPICAL = 10.0  # voxels of the finest axis: the diameter of an object where the patch shows none


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
    return Crowd(numbered, depth, centres, float(np.median(widths)) if count else TYPICAL)


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
