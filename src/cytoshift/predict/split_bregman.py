"""A piecewise constant image behind a blur: the convex energy of two regions, by split Bregman (ADMM), in 2D and 3D."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class EnergySettings(Protocol):
    """What the energy needs of the settings of a pipeline."""

    @property
    def regularisation(self) -> float: ...

    @property
    def noise(self) -> str: ...

    @property
    def iterations(self) -> int: ...

    @property
    def tolerance(self) -> float: ...


def two_regions(
    image: Array,
    known: NDArray[np.bool_],
    psf: NDArray[np.float64],
    scale: NDArray[np.floating],
    levels: tuple[float, float],
    options: EnergySettings,
) -> Array:
    """How much of each voxel belongs to the brighter region, 0 to 1: (*S) float32.

    Minimises  sum_known D(image, low + (high - low) K u) + regularisation * TV(u)  over 0 <= u <= 1. K is a Gaussian, D
    squared differences ("gauss") or Kullback and Leibler's divergence ("poisson"). Splits w = K u, g = grad u, v = u;
    the step in u is exact in the basis of cosines, in which Gaussian and gradient are diagonal (edges are mirrored).

    Parameters
    ----------
    image : (*S), known : (*S), voxels that have a say.
    psf : sigma of the Gaussian along each axis, in voxels. scale : sides of a voxel, the finest 1.
    levels : intensities of the two regions, low and high.
    """
    from scipy.fft import dctn, idctn

    low, high = levels
    shape, step = image.shape, np.float32(high - low)
    blur, curved = operators(shape, psf, scale)
    inverse = (1 / (blur * blur + curved + 1)).astype(np.float32)
    wave: Callable[[Array], Array] = partial(dctn, norm="ortho")
    back: Callable[[Array], Array] = partial(idctn, norm="ortho")
    v = np.clip((image - low) / step, 0, 1).astype(np.float32)
    waves = wave(v)
    u, seen, slope = v, back(waves * blur), gradient(v, scale)
    w, g = seen.copy(), slope.copy()
    off_w, off_g, off_v = np.zeros_like(w), np.zeros_like(g), np.zeros_like(v)
    for _ in range(options.iterations):
        before = v
        waves = inverse * (blur * wave(w - off_w) + wave(divergence(g - off_g, scale) + v - off_v))
        u, seen = back(waves), back(waves * blur)
        slope = gradient(u, scale)
        w = fit_data(seen + off_w, image, known, (low, high), options.noise)
        g = shrink(slope + off_g, options.regularisation)
        v = np.clip(u + off_v, 0, 1).astype(np.float32)
        off_w += seen - w
        off_g += slope - g
        off_v += u - v
        # Nothing moves any more, and the copies agree with what they are copies of
        gaps = np.abs(v - before).max(), np.abs(u - v).max(), np.abs(seen - w).max(), np.abs(slope - g).max()
        if max(gaps) < options.tolerance:
            break
    return np.asarray(v, np.float32)


def operators(shape: tuple[int, ...], psf: NDArray[np.float64], scale: NDArray[np.floating]) -> tuple[Array, Array]:
    """A Gaussian and minus the Laplacian as factors of cosines: (*S) each."""
    blur, curved = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    for axis, (length, sigma, side) in enumerate(zip(shape, psf, scale)):
        angle = np.pi * np.arange(length) / length
        along = [1] * len(shape)
        along[axis] = length
        blur *= np.exp(-0.5 * (sigma * angle) ** 2).reshape(along).astype(np.float32)
        curved += ((2 - 2 * np.cos(angle)) / side**2).reshape(along).astype(np.float32)
    return blur, curved


def gradient(u: Array, scale: NDArray[np.floating]) -> Array:
    """Forward differences (D, *S), 0 at the last voxel of each axis."""
    out = np.zeros((u.ndim, *u.shape), np.float32)
    for axis, side in enumerate(scale):
        inner = (slice(None),) * axis + (slice(None, -1),)
        out[axis][inner] = np.diff(u, axis=axis) / np.float32(side)
    return out


def divergence(g: Array, scale: NDArray[np.floating]) -> Array:
    """The adjoint of `gradient`: (D, *S) -> (*S)."""
    out = np.zeros(g.shape[1:], np.float32)
    for axis, side in enumerate(scale):
        front, rear = ((slice(None),) * axis + (cut,) for cut in (slice(None, -1), slice(1, None)))
        part = g[axis][front] / np.float32(side)
        out[front] -= part
        out[rear] += part
    return out


def shrink(g: Array, by: float) -> Array:
    """Vectors (D, *S) shorter by `by`, at least of no length."""
    length = np.sqrt((g * g).sum(axis=0))
    factor = np.maximum(length - np.float32(by), 0) / np.maximum(length, np.float32(1e-12))
    return np.asarray(g * factor, np.float32)


def fit_data(w: Array, image: Array, known: NDArray[np.bool_], levels: tuple[float, float], noise: str) -> Array:
    """The step of the data: what is near to w and, where something is known, explains the image."""
    low, step = np.float32(levels[0]), np.float32(levels[1] - levels[0])
    if noise == "gauss":  # 1/2 (step w + low - image)^2 + 1/2 (w - w0)^2
        found = (w + step * (image - low)) / (1 + step * step)
    else:  # mu - image log mu + 1/2 (w - w0)^2 with mu = step w + low: the root of a square in mu above 0
        mu = step * w + low - step * step
        mu = (mu + np.sqrt(mu * mu + 4 * step * step * image)) / 2
        found = (mu - low) / step
    return np.where(known, found, w).astype(np.float32)
