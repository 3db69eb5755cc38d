"""The thresholds of CellProfiler's Threshold module, over the whole image and in a window, as its source has them.

Source: CellProfiler 4.2.8, cellprofiler/modules/threshold.py (BSD-3-Clause). Intensities are 0 to 1.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..core.errors import UserError
from ..core.settings import Settings

Kind = Literal["minimum_cross_entropy", "otsu", "otsu_three_classes", "robust_background"]
LEAST_STEP = 0.5 / 65536  # of Li's iteration: half a step of 16 bits
BINS = 128  # of the histogram for three classes
LOCAL_LIMITS = (0.7, 1.5)  # of the threshold of the whole image: a window without objects finds none in its noise


class CellProfilerThreshold(Settings):
    """Threshold of an image with intensities of 0 to 1, and how it is applied.

    threshold: minimum cross-entropy (Li), Otsu of two classes, Otsu of three, or the robust mean of the background plus
        `deviations` of its spread.
    window: side in pixels of the blocks that have a threshold of their own (CellProfiler's "adaptive"), blended by a
        spline and held to 0.7 to 1.5 of that of the whole image; None: one for the whole image. In 3D plane by plane.
    middle: of three classes, what the middle one is.
    lower_outliers, upper_outliers: shares of the darkest and brightest pixels that the robust background leaves out.
    correction: factor on the threshold; at_least, at_most: its bounds.
    smoothing: diameter in pixels that holds half of the Gaussian before the threshold is applied; 0: none.
    """

    threshold: Kind = "minimum_cross_entropy"
    window: int | None = Field(None, ge=4)
    middle: Literal["foreground", "background"] = "background"
    lower_outliers: float = Field(0.05, ge=0, lt=1)
    upper_outliers: float = Field(0.05, ge=0, lt=1)
    average: Literal["mean", "median"] = "mean"
    spread: Literal["standard_deviation", "median_absolute_deviation"] = "standard_deviation"
    deviations: float = 2.0
    correction: float = Field(1.0, gt=0)
    at_least: float = Field(0.0, ge=0, le=1)
    at_most: float = Field(1.0, ge=0, le=1)
    smoothing: float = Field(1.3488, ge=0)

    @model_validator(mode="after")
    def bounds_have_room(self) -> "CellProfilerThreshold":
        if self.at_least > self.at_most:
            raise ValueError(f"at_least={self.at_least} is above at_most={self.at_most}; swap them")
        if self.lower_outliers + self.upper_outliers >= 1:
            raise ValueError("lower_outliers and upper_outliers leave no pixel; take smaller ones")
        return self


def threshold_image(
    image: NDArray[np.floating], known: NDArray[np.bool_], options: CellProfilerThreshold
) -> float | NDArray[np.float64]:
    """The corrected threshold: a number, or with a window one for each voxel (*S).

    image (*S) of 0 to 1; known (*S): voxels that have an intensity.
    """
    step = smallest_step(image[known])
    whole = within_bounds(threshold_values(image[known], options, step) * options.correction, options)
    if options.window is None:
        return whole
    planes = image[None] if image.ndim == 2 else image
    local = np.stack([
        threshold_blocks(plane, there, options, step)
        for plane, there in zip(planes, known[None] if image.ndim == 2 else known)
    ]).reshape(image.shape)  # fmt: skip
    low, high = (factor * whole for factor in LOCAL_LIMITS)
    bounds = max(options.at_least, low), min(options.at_most, high)
    return np.minimum(np.maximum(local * options.correction, bounds[0]), bounds[1])


def within_bounds(threshold: float, options: CellProfilerThreshold) -> float:
    return min(max(threshold, options.at_least), options.at_most)


def smallest_step(values: NDArray[np.floating]) -> float:
    """What Li's iteration may stop at: half of the smallest difference of two intensities."""
    levels = np.unique(values)
    return max(float(np.diff(levels).min()) / 2, LEAST_STEP) if levels.size > 1 else LEAST_STEP


def threshold_values(values: NDArray[np.floating], options: CellProfilerThreshold, step: float) -> float:
    """The threshold of some intensities (N,), uncorrected."""
    from skimage import filters

    if values.size == 0:
        return 0.0
    if values.min() == values.max():
        return float(values[0])
    if options.threshold == "minimum_cross_entropy":
        return float(filters.threshold_li(values, tolerance=step))  # type: ignore[no-untyped-call]
    if options.threshold == "robust_background":
        return robust_background(values, options)
    if options.threshold == "otsu" or np.unique(values).size < 3:
        return float(filters.threshold_otsu(values))  # type: ignore[no-untyped-call]
    try:
        levels = filters.threshold_multiotsu(values, nbins=BINS)  # type: ignore[no-untyped-call]
    except ValueError:  # fewer than three of the bins are filled
        levels = filters.threshold_multiotsu(values)  # type: ignore[no-untyped-call]
    return float(levels[0 if options.middle == "foreground" else 1])


def robust_background(values: NDArray[np.floating], options: CellProfilerThreshold) -> float:
    """Mean and spread of the intensities without the outliers: most of an image is background."""
    if values.size < 3:
        return 0.0
    ordered = np.sort(values)
    low, high = (round(values.size * share) for share in (options.lower_outliers, options.upper_outliers))
    # As in CellProfiler: where nothing is cut off below, nothing is above.
    kept = ordered if low == 0 else ordered[low : values.size - high]
    middle = float(np.mean(kept) if options.average == "mean" else np.median(kept))
    absolute = options.spread == "median_absolute_deviation"
    return middle + options.deviations * float(np.median(np.abs(kept - np.median(kept))) if absolute else np.std(kept))


def threshold_blocks(
    plane: NDArray[np.floating], known: NDArray[np.bool_], options: CellProfilerThreshold, step: float
) -> NDArray[np.float64]:
    """The thresholds of the blocks of a plane (Y, X), blended by a spline through their centres.

    Raises UserError where the window is larger than half of the plane.
    """
    from scipy.interpolate import RectBivariateSpline

    assert options.window is not None
    counts = [side // options.window for side in plane.shape]
    if min(counts) < 2:
        raise UserError(
            f"`window={options.window}` is more than half of a plane of {plane.shape[0]} x {plane.shape[1]} pixels; "
            f"pass one of {min(plane.shape) // 2} or less, or leave it out"
        )
    sides = [length / count for length, count in zip(plane.shape, counts)]
    found = np.zeros(counts)
    for i, j in np.ndindex(*counts):
        rows, columns = (slice(int(n * side), int((n + 1) * side)) for n, side in zip((i, j), sides))
        found[i, j] = threshold_values(plane[rows, columns][known[rows, columns]], options, step)
    centres = [np.linspace(int(side / 2), int((n - 0.5) * side), n) for n, side in zip(counts, sides)]
    (height, width), degree = plane.shape, min(3, min(counts) - 1)
    blend = RectBivariateSpline(*centres, found, bbox=[0.5, height - 0.5, 0.5, width - 0.5], kx=degree, ky=degree)
    places = [np.linspace(0.5, int(n * side) - 0.5, length) for n, side, length in zip(counts, sides, plane.shape)]
    return np.asarray(blend(*places), np.float64)
