"""What is not objects: hot pixels, trends of the light across the field, and whatever is wider than any object."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.voxel import Voxel
from .grid import bin_image, binned_voxel, factors_for

SURFACE_SAMPLES = 48  # samples per axis that a quadratic surface is fitted to
FIT_ROUNDS = 6  # of reweighting; the fit has settled by then
TUKEY = 4.685  # of the biweight, for 95 % efficiency on normal residuals
HOT_SPREADS = 10  # spreads above all neighbours
WIDEST_DIAMETERS = 4  # nothing wider than this many diameters is an object; it is background


def remove_hot_pixels(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """`image` (*S) with single hot pixels (far above all their direct neighbours) brought down to the highest of them.

    A handful of them would stretch the histogram and own the finest scales.
    """
    around = np.full(image.shape, -np.inf, dtype=np.float32)
    for axis in range(image.ndim):
        here, there = np.moveaxis(image, axis, 0), np.moveaxis(around, axis, 0)
        np.maximum(there[1:], here[:-1], out=there[1:])
        np.maximum(there[:-1], here[1:], out=there[:-1])
    excess = image - around
    middle = np.median(excess)
    hot = excess > max(HOT_SPREADS * 1.4826 * float(np.median(np.abs(excess - middle))), 0)
    return np.where(hot, around, image)


def remove_trend(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """`image` (*S) less the quadratic surface through most of it.

    Fitted with Tukey's biweight (Beaton and Tukey, Technometrics 16, 1974), so that the minority, objects of either
    polarity, does not pull at it: the polarity need not be known yet. A constant gives zeros.
    """
    if image.max() == image.min():  # what rounding leaves of it is not to be measured
        return np.zeros(image.shape, dtype=np.float32)
    factors = [max(1, n // SURFACE_SAMPLES) for n in image.shape]
    coarse = bin_image(image, factors)
    axes = [((np.arange(n // f) + 0.5) * f) / n * 2 - 1 for n, f in zip(image.shape, factors)]
    terms = quadratic_terms(axes)
    matrix = np.stack([np.broadcast_to(term, coarse.shape).ravel() for term in terms], axis=1)
    values = coarse.ravel().astype(float)
    weight = np.ones(len(values))
    factor = np.zeros(len(terms))
    for _ in range(FIT_ROUNDS):
        root = np.sqrt(weight)
        factor = np.linalg.lstsq(matrix * root[:, None], values * root, rcond=None)[0]
        residual = values - matrix @ factor
        scale = TUKEY * 1.4826 * float(np.median(np.abs(residual)))
        if scale <= 1e-6 * float(np.ptp(values)):
            break  # most of the image is the surface already
        weight = np.maximum(1 - (residual / scale) ** 2, 0) ** 2
    surface = image.astype(np.float32)
    for term, k in zip(quadratic_terms([(np.arange(n) + 0.5) / n * 2 - 1 for n in image.shape]), factor):
        surface -= (k * term).astype(np.float32)
    return surface


def quadratic_terms(axes: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """The monomials 1, x_i, x_i x_j of the coordinates, each ready to broadcast to the whole grid."""
    x = list(np.meshgrid(*axes, indexing="ij", sparse=True))
    pairs = [x[i] * x[j] for i in range(len(x)) for j in range(i, len(x))]
    return [np.ones((1,) * len(x)), *x, *pairs]


def gaussian_blur(image: NDArray[np.float32], voxel: Voxel, sigma: float) -> NDArray[np.float32]:
    """Gaussian of `sigma` in the voxel's unit; along a fine axis never less than 0.7 voxels (shot noise)."""
    least = 0.7 * min(voxel.size)
    return ndimage.gaussian_filter(image, voxel.voxels(max(sigma, least)), mode="nearest")


def background(image: NDArray[np.float32], voxel: Voxel, diameter: float) -> NDArray[np.float32]:
    """Grey opening by a box of WIDEST_DIAMETERS diameters on a coarse grid, smoothed and interpolated back to (*S)."""
    factors = factors_for(voxel, diameter / 6, image.shape)
    grid = binned_voxel(voxel, factors)
    coarse = bin_image(gaussian_blur(image, voxel, diameter / 12), factors)
    box = [max(1, round(WIDEST_DIAMETERS * s)) for s in grid.voxels(diameter)]
    opened = ndimage.grey_opening(coarse, size=box, mode="nearest")
    opened = ndimage.gaussian_filter(opened, [b / 4 for b in box], mode="nearest")
    for axis, (n, f) in enumerate(zip(image.shape, factors)):
        opened = interpolate_axis(opened, axis, n, f)
    return opened


def interpolate_axis(coarse: NDArray[np.float32], axis: int, size: int, factor: int) -> NDArray[np.float32]:
    """Linear interpolation of one binned axis back to `size` samples; the ends are held."""
    at = np.clip((np.arange(size) + 0.5) / factor - 0.5, 0, coarse.shape[axis] - 1)
    below = np.minimum(at.astype(int), max(coarse.shape[axis] - 2, 0))
    above = np.minimum(below + 1, coarse.shape[axis] - 1)
    weight = (at - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(coarse.ndim)])
    return np.take(coarse, below, axis) * (1 - weight) + np.take(coarse, above, axis) * weight
