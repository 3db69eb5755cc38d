"""CellProfiler's IdentifyPrimaryObjects: threshold, declumping by intensity or shape, watershed, sizes.

Source: CellProfiler 4.2.8, cellprofiler/modules/identifyprimaryobjects.py (BSD-3-Clause), which is 2D. In 3D each step
is the same in one dimension more: discs become balls, areas volumes, and lengths count by the size of a voxel.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..core.voxel import Voxel
from ..labels.boundaries import axis_index
from ..labels.enclosed import fill_enclosed
from ..labels.filters import remove_border
from ..labels.ids import relabel
from .cellprofiler_threshold import CellProfilerThreshold, threshold_image

FWHM = 2.35  # width of a Gaussian at half its height, in sigmas
HALF_WITHIN = 0.6744  # of a Gaussian lies within so many sigmas
COARSE_DIAMETER = 10.0  # pixels of the smallest diameter in the image in which maxima are looked for
COARSE_REACH = 7.0  # pixels there between two maxima
JITTER = 0.001  # pixels: makes plateaus of the distance map have one peak


class CellProfiler(CellProfilerThreshold):
    """Settings of IdentifyPrimaryObjects, with its defaults. Lengths in pixels, the finest side of a voxel.

    diameter: smallest and largest equivalent diameter of an object.
    discard_sizes: objects outside of `diameter` are dropped. discard_border: those that touch the border are.
    declump: touching objects are told apart by peaks of intensity, by the shape of the mask, or not at all.
    dividing_lines: a watershed of the intensity or of the distance to the outline.
    declump_smoothing: size of the Gaussian before peaks are looked for; None: 2.35 / 3.5 of the smallest diameter.
    suppression: distance within which a lower peak does not count; None: smallest diameter / 1.5, or 0.7 of it where it
        is above 10 and `coarse_maxima` is set.
    coarse_maxima: peaks are looked for in an image in which the smallest diameter has 10 pixels.
    fill_holes: before and after declumping ("thresholding"), after it only, or never.
    """

    diameter: tuple[float, float] = (10.0, 40.0)
    discard_sizes: bool = True
    discard_border: bool = True
    declump: Literal["intensity", "shape", "none"] = "intensity"
    dividing_lines: Literal["intensity", "shape"] = "intensity"
    declump_smoothing: float | None = Field(None, ge=0)
    suppression: float | None = Field(None, gt=0)
    coarse_maxima: bool = True
    fill_holes: Literal["thresholding", "declumping", "never"] = "thresholding"

    @model_validator(mode="after")
    def diameters_are_a_range(self) -> "CellProfiler":
        if not 0 < self.diameter[0] <= self.diameter[1]:
            raise ValueError(f"diameter={self.diameter} is no range; give the smallest above 0, then the largest")
        return self


def identify_primary_objects(
    image: NDArray[np.generic], voxel: Voxel, options: CellProfiler | None = None, dark: bool = False
) -> NDArray[np.int32]:
    """Find objects as CellProfiler's IdentifyPrimaryObjects does.

    Parameters
    ----------
    image : (*S) of any real dtype, 2D or 3D. Whole numbers are divided by the largest of their type, floats outside of
        0 to 1 are brought there. NaN is no data.
    voxel : size of a voxel. Lengths are in multiples of its finest side.
    options : settings; None: CellProfiler's defaults.
    dark : objects are darker than what is around them; the image is inverted, as by CellProfiler's ImageMath.

    Returns
    -------
    (*S) int32, labels 1..N.

    Raises
    ------
    UserError
        The window of an adaptive threshold is larger than half of the image.

    Examples
    --------
    >>> y, x = np.indices((40, 60))
    >>> image = np.maximum(np.hypot(y - 20, x - 18) < 9, np.hypot(y - 20, x - 40) < 9).astype(np.uint8) * 200
    >>> int(identify_primary_objects(image, Voxel((1.0, 1.0))).max())
    2
    """
    options = options or CellProfiler()
    scale = np.array(voxel.size) / min(voxel.size)
    intensity, known = unit_intensity(np.asarray(image), dark)
    if not known.any():
        return np.zeros(image.shape, np.int32)
    threshold = threshold_image(intensity, known, options)
    sigma = options.smoothing / HALF_WITHIN / 2
    mask = (smooth_known(intensity, known, gaussian(sigma / scale)) >= threshold) & known
    smallest, largest = options.diameter
    if options.fill_holes == "thresholding":
        mask = fill_enclosed(mask.astype(np.int32), below=largest**image.ndim / float(np.prod(scale))) > 0
    clumps = connected_parts(mask)
    labels = clumps if options.declump == "none" else separate(intensity, known, clumps, scale, options)
    if options.discard_border:
        labels = remove_known_border(labels, known)
    if options.discard_sizes:
        unit = (np.pi / 4 if image.ndim == 2 else np.pi / 6) / float(np.prod(scale))
        voxels = np.bincount(labels.ravel())
        fits = (voxels >= unit * smallest**image.ndim) & (voxels <= unit * largest**image.ndim)
        labels = np.where(fits[labels], labels, 0)
    if options.fill_holes != "never":
        labels = fill_enclosed(labels)
    return relabel(labels.astype(np.int32))


def unit_intensity(image: NDArray[np.generic], dark: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Intensities (*S) of 0 to 1, with 0 where there is no data, and where there is some."""
    known = np.isfinite(image) if image.dtype.kind == "f" else np.ones(image.shape, bool)
    values = np.where(known, image, 0).astype(np.float64)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 1.0)
    if image.dtype.kind == "u":
        values /= 2 ** (8 * image.itemsize) - 1
    elif low < 0 or high > 1:
        values = (values - low) / max(high - low, np.finfo(np.float64).tiny)
    return np.where(known, 1 - values if dark else values, 0), known


def connected_parts(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Parts of a mask that touch by a face, an edge or a corner."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask, np.ones((3,) * mask.ndim, bool))
    return np.asarray(labels, np.int32)


def gaussian(sigmas: NDArray[np.floating]) -> list[NDArray[np.float64]]:
    """Kernels of a Gaussian along each axis, as scipy cuts them off."""
    reach = [int(4 * sigma + 0.5) for sigma in sigmas]
    return [bell(sigma, far) for sigma, far in zip(sigmas, reach)]


def bell(sigma: float, reach: int) -> NDArray[np.float64]:
    """A kernel (2 reach + 1,) that sums to 1; of no width where sigma is 0."""
    values = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    return np.asarray(values / values.sum(), np.float64)


def smooth_known(
    image: NDArray[np.floating], known: NDArray[np.bool_], kernels: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Convolved along each axis; what lies outside, or has no data, has no say."""
    from scipy import ndimage

    def smooth(values: NDArray[np.floating]) -> NDArray[np.float64]:
        for axis, kernel in enumerate(kernels):
            values = ndimage.convolve1d(values, kernel, axis=axis, mode="constant")
        return np.asarray(values, np.float64)

    return smooth(image) / np.maximum(smooth(known.astype(np.float64)), np.finfo(np.float64).eps)


def separate(
    intensity: NDArray[np.float64],
    known: NDArray[np.bool_],
    clumps: NDArray[np.int32],
    scale: NDArray[np.floating],
    options: CellProfiler,
) -> NDArray[np.int32]:
    """Cut clumps (*S) in as many parts as they have peaks. A clump in which no peak is seen is left out."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    distance: NDArray[np.float64] = np.zeros(0)
    if "shape" in (options.declump, options.dividing_lines):
        # Far from the outline may be near a hole: where holes are kept, they do not count here.
        solid = fill_enclosed(clumps) > 0 if options.fill_holes == "never" else clumps > 0
        distance = ndimage.distance_transform_edt(solid, sampling=scale)
    if options.declump == "shape":
        # The very numbers that CellProfiler adds
        jitter = np.random.RandomState(0).uniform(0, JITTER, clumps.shape)
        distance = distance + jitter
        seen = find_maxima(distance, clumps, scale, options)
    else:
        width = FWHM * options.diameter[0] / 3.5 if options.declump_smoothing is None else options.declump_smoothing
        blurred = intensity
        if width:
            # Cut off at half the width, so that a bright neighbour does not reach in
            reach = [max(int(width / side / 2), 1) for side in scale]
            blurred = smooth_known(intensity, known, [bell(width / FWHM / s, r) for s, r in zip(scale, reach)])
        seen = find_maxima(blurred, clumps, scale, options)
    height = intensity if options.dividing_lines == "intensity" else distance
    whole = np.ones((3,) * clumps.ndim, bool)
    parts = watershed(-height, shrink_to_points(seen), connectivity=whole, mask=clumps > 0)  # type: ignore[no-untyped-call]
    return np.asarray(parts, np.int32)


def find_maxima(
    height: NDArray[np.float64], clumps: NDArray[np.int32], scale: NDArray[np.floating], options: CellProfiler
) -> NDArray[np.bool_]:
    """Voxels that no voxel of their clump is above, within the suppression distance: (*S) of bool."""
    from scipy import ndimage

    smallest = options.diameter[0]
    coarse = options.coarse_maxima and smallest > COARSE_DIAMETER
    if not coarse:
        reach = smallest / 1.5 if options.suppression is None else options.suppression
        return local_maxima(height, clumps, max(1.0, reach - 0.5), scale)
    shrink = COARSE_DIAMETER / smallest
    reach = COARSE_REACH if options.suppression is None else options.suppression * shrink + 0.5
    factors = np.minimum(shrink * scale, 1.0)  # an axis with voxels as long as that has none to spare
    places = np.meshgrid(*(np.arange(0, n * f) / f for n, f in zip(height.shape, factors)), indexing="ij")
    small = ndimage.map_coordinates(height, places)
    inside = ndimage.map_coordinates(clumps, places, order=0)
    found = local_maxima(small, inside, max(1.0, reach - 0.5), scale * shrink / factors)
    back = np.meshgrid(*(np.arange(n) * m / n for n, m in zip(height.shape, found.shape)), indexing="ij")
    return np.asarray(ndimage.map_coordinates(found.astype(np.float64), back) > 0.5)


def local_maxima(
    height: NDArray[np.float64], clumps: NDArray[np.int32], reach: float, scale: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Voxels of a clump, above 0, that no other one of it within `reach` is above; scale: sides of a voxel."""
    border = [int(reach / side) for side in scale]
    grid = np.stack(np.meshgrid(*(np.arange(-b, b + 1) for b in border), indexing="ij")).reshape(len(border), -1)
    far = ((grid * scale[:, None]) ** 2).sum(axis=0)
    order = np.argsort(far, kind="stable")
    offsets = grid[:, order[(far[order] > 0) & (far[order] <= reach**2)]]  # near ones first: most fail there
    labels = np.pad(clumps, [(b, b) for b in border])
    padded = np.pad(height, [(b, b) for b in border])
    steps = np.array(labels.strides) // labels.itemsize
    here = np.flatnonzero((labels > 0) & (padded > 0))
    flat, values = labels.ravel(), padded.ravel()
    for step in (steps[:, None] * offsets).sum(axis=0):
        there = here + step
        here = here[(flat[there] != flat[here]) | (values[there] <= values[here])]
    found = np.zeros(labels.shape, bool)
    found.ravel()[here] = True
    return found[tuple(slice(b, n - b) for b, n in zip(border, labels.shape))]


def shrink_to_points(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Each connected part as one voxel of it, the nearest to its centre: markers (*S), 1..N."""
    parts = connected_parts(mask)
    where = np.argwhere(parts)
    number = parts[tuple(where.T)]
    count = np.maximum(np.bincount(number), 1)
    centres = np.stack([np.bincount(number, axis) / count for axis in where.T], axis=1)
    off = ((where - centres[number]) ** 2).sum(axis=1)
    nearest = np.lexsort((off, number))
    first = nearest[np.unique(number[nearest], return_index=True)[1]]
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(where[first].T)] = number[first]
    return markers


def remove_known_border(labels: NDArray[np.int32], known: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Without the objects that touch the border of the image or voxels without data."""
    labels = remove_border(labels)
    if known.all():
        return labels
    touch = np.zeros(int(labels.max(initial=0)) + 1, bool)
    for axis in range(labels.ndim):
        low, high = axis_index(axis, slice(None, -1)), axis_index(axis, slice(1, None))
        touch[labels[low][~known[high]]] = True
        touch[labels[high][~known[low]]] = True
    touch[0] = False
    return np.where(touch[labels], 0, labels).astype(np.int32)
