"""The scale space of an image: how large its structures are, and whether the compact ones are bright or dark.

Scale-normalised Laplacian of Gaussian (Lindeberg, Int. J. Comput. Vis. 30, 1998): a ball of diameter D in n dimensions
answers most where sigma = D / (2 sqrt(n)), so the scale of the greatest energy is the size of what carries the
contrast. Pixel noise is known from the finest scale and falls as sigma ** -n (in variance); it is taken off.
Objects are the compact minority of an image, so the answer at their scale is skewed to their side; noise, whatever its
correlation, is not.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.voxel import Voxel
from .grid import bin_image, binned_voxel

# A structure that fills more than this share of the image cannot be told from uneven light.
LARGEST_SHARE = 1 / 1.5
# Of several peaks of energy the finest counts that has this share of the greatest (half its contrast): objects come
# in tissues, clusters and glow, and those are coarser than what is looked for.
PEAK_SHARE = 1 / 4
LOUDEST = 1000.0  # contrast over noise of an image without noise


@dataclass(frozen=True)
class ScaleSpace:
    """What the scale space of one image (or of boxes of it) says.

    diameter: in the voxel's unit, of the structures that carry most contrast. power: contrast over pixel noise at
    their scale, root mean square over the field; signal: the same where the structures are, however few (both at most
    LOUDEST). noise: standard deviation that pixel noise alone gives the Laplacian there. asymmetry: > 0 where bright,
    < 0 where dark structures are the compact ones, in standard errors (how many fit in the image sets the error).
    """

    diameter: float
    power: float
    signal: float
    noise: float
    asymmetry: float


def analyse_scale_space(boxes: list[NDArray[np.float32]], voxel: Voxel) -> ScaleSpace:
    """Size, strength and polarity of the structures in `boxes` (each (*S), of one image)."""
    largest = max(boxes, key=lambda box: box.size)
    levels: dict[float, list[tuple[float, float, float, float]]] = {}
    for box in boxes:
        for diameter, response in responses(box, voxel):
            levels.setdefault(diameter, []).append((*central_moments(response), robust_deviation(response)))
    if len(levels) < 3:
        return ScaleSpace(visible_extent(largest.shape, voxel) / 2, 0.0, 0.0, 0.0, 0.0)
    diameters = np.array(list(levels))
    # Mean over the boxes; a box too small for a level is not heard there.
    square, cube, fourth, robust = (np.array([np.mean([m[i] for m in levels[d]]) for d in levels]) for i in range(4))
    noise = robust[0] ** 2 * (diameters[0] / diameters) ** voxel.ndim
    energy = np.maximum(square - noise, 0)
    peak = finest_peak(energy)
    if energy[peak] <= 0:
        return ScaleSpace(float(diameters[peak]), 0.0, 0.0, math.sqrt(noise[peak]), 0.0)
    diameter = refine_peak(np.log(diameters), energy, peak)
    # The skewness of so many independent normal numbers has this error. Answers half a diameter apart count as
    # independent: on correlated noise in 2D and 3D the score then has a standard deviation of 0.9 to 1.0.
    count = sum(box.size for box in boxes) * voxel.volume / (diameter / 2) ** voxel.ndim
    skewness = cube[peak] / square[peak] ** 1.5
    least = max(noise[peak], square[peak] / LOUDEST**2)
    power = math.sqrt(energy[peak] / least)
    # The answer where the energy is: the fourth over the second moment, of which normal noise has three.
    signal = min(math.sqrt(max(fourth[peak] / (3 * square[peak] * least) - 1, 0)), LOUDEST)
    return ScaleSpace(diameter, power, signal, math.sqrt(noise[peak]), float(skewness / math.sqrt(6 / max(count, 1.0))))


def visible_extent(shape: tuple[int, ...], voxel: Voxel) -> float:
    """The length that bounds the diameter of what can be seen: the shorter side, in 3D the middle one (thin stacks)."""
    return sorted(n * s for n, s in zip(shape, voxel.size))[-2]


def responses(image: NDArray[np.float32], voxel: Voxel) -> list[tuple[float, NDArray[np.float32]]]:
    """Diameter and answer (positive on bright structures) of every level, two per octave, the grid binned on the way.

    Between sigma and sqrt(2) sigma the difference of Gaussians is the scale-normalised Laplacian, averaged over the
    logarithm of that range, times -ln(2) / 2.
    """
    n, limit = voxel.ndim, LARGEST_SHARE * visible_extent(image.shape, voxel)
    sigma = max(min(voxel.size), max(voxel.size) / 2)
    smooth = ndimage.gaussian_filter(image, voxel.voxels(sigma), mode="nearest")
    levels = []
    while (diameter := 2 * math.sqrt(n) * sigma * 2**0.25) < limit:
        factors = tuple(
            max(1, min(int(sigma / 3 / s), 3, size // 2)) for s, size in zip(voxel.size, smooth.shape)
        )  # three samples per sigma remain: nothing is aliased
        smooth, voxel = bin_image(smooth, factors), binned_voxel(voxel, factors)
        wider = ndimage.gaussian_filter(smooth, voxel.voxels(sigma), mode="nearest")
        levels.append((diameter, (smooth - wider) * np.float32(2 / math.log(2))))
        smooth, sigma = wider, sigma * math.sqrt(2)
    return levels


def central_moments(response: NDArray[np.float32]) -> tuple[float, float, float]:
    """Second, third and fourth central moment."""
    centred = response - response.mean(dtype=np.float64)
    square = centred**2
    return float(square.mean()), float((square * centred).mean()), float((square**2).mean())


def robust_deviation(values: NDArray[np.float32]) -> float:
    """Standard deviation of the normal distribution with the same median deviation: objects are outliers to it."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def finest_peak(energy: NDArray[np.float64]) -> int:
    """Index of the finest local maximum that is worth it; an end of the range only where there is no other.

    >>> finest_peak(np.array([0.0, 1.0, 4.0, 2.0, 9.0, 3.0]))
    2
    """
    inner = energy[1:-1]
    peaks = np.flatnonzero((inner >= energy[:-2]) & (inner > energy[2:]) & (inner >= PEAK_SHARE * energy.max())) + 1
    return int(peaks[0]) if len(peaks) else int(np.argmax(energy))


def refine_peak(position: NDArray[np.float64], energy: NDArray[np.float64], peak: int) -> float:
    """exp of the place of the maximum of the parabola through the peak (in log energy) and its neighbours."""
    if 0 < peak < len(energy) - 1 and energy[peak - 1] > 0 and energy[peak + 1] > 0:
        below, here, above = np.log(energy[peak - 1 : peak + 2])
        bend = below - 2 * here + above
        if bend < 0:
            return float(np.exp(position[peak] + 0.5 * (below - above) / bend * (position[1] - position[0])))
    return float(np.exp(position[peak]))
