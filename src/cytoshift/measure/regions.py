"""Bright objects of about a known diameter, outlined without labels; every length follows from that diameter.

1. Background: a grey opening wider than any object, smoothed, is taken off (tissue, out-of-focus glow).
2. Objects: Otsu's threshold; and what lies below it but answers the Laplacian of the objects' own scale well.
3. Outline: in the territory of each object, its own threshold half-way between inside and outside, so that dim objects
   beside bright ones keep their size.
4. Split: watershed of the distance transform, seeded where the Laplacian is positive (valleys of intensity cut, as
   waists do) at maxima a tenth above their saddles; then pieces that are one ellipse together are merged.

Lengths are multiples of the diameter, so an image and its enlargement give the same objects. The fractions below are
geometry (an outline is smoothed at a sixteenth of an object), the same for every image.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import expand_labels, watershed

from ..core.voxel import Voxel
from ..labels.objects import equivalent_diameter
from .ellipse import merge_ellipses
from .light import background, gaussian_blur
from .saddle import join_shallow_maxima, touching_pairs
from .scale import ScaleSpace, robust_deviation

SMOOTH_PART = 1 / 16  # noise and texture finer than this much of a diameter do not move an outline
STEADY_CONTRAST = 2.5  # contrast over noise of the image that is thresholded, at least
SURROUNDINGS_REACH = 1 / 2  # how far an object's surroundings reach
SADDLE_DEPTH = 0.1  # two cores with a waist less than this below the slimmer one's (log) radius are one
SURE_ERRORS = 3.5  # standard errors of the noise that an object's answer must exceed
WEAKEST_ANSWER = 1 / 4  # of the typical object's answer: weaker ones are out of focus or debris
TEXTURE_ANSWERS = 6  # of the background's own answers that a weak object must exceed: texture
DEBRIS_DIAMETERS = 1 / 5  # of the diameter: debris


def regions(image: NDArray[np.float32], voxel: Voxel, seen: ScaleSpace) -> NDArray[np.int32]:
    """Labels 1..N (*S) of the objects in `image` (*S), bright on dark, given what its scale space has shown.

    The noisier the image, the more is smoothed.
    """
    diameter, matched = seen.diameter, seen.diameter / (2 * math.sqrt(voxel.ndim))
    # Noise falls as sigma ** (-n / 2): this sigma leaves one part of noise to STEADY_CONTRAST parts of contrast.
    needed = matched * (STEADY_CONTRAST / max(seen.power, 1e-6)) ** (2 / voxel.ndim)
    sigma = min(max(SMOOTH_PART * diameter, needed), matched / 2)
    flat = image - background(image, voxel, diameter)
    smooth = gaussian_blur(flat, voxel, sigma)
    if smooth.max() <= smooth.min():
        return np.zeros(image.shape, dtype=np.int32)
    curved = laplacian(flat, voxel, 2 * sigma)
    answer = laplacian(flat, voxel, matched)
    level = float(threshold_otsu(smooth))
    found = split_touching(smooth > level, curved, voxel, diameter)
    sure = label_maximum(answer, found) >= SURE_ERRORS * seen.noise
    found = add_weak_objects(renumber(found, sure), answer, voxel, diameter)
    if not found.any():
        return found
    mask = outline_regions(found, smooth, level, voxel, diameter)
    return split_touching(mask, curved, voxel, diameter)


def laplacian(image: NDArray[np.float32], voxel: Voxel, sigma: float) -> NDArray[np.float32]:
    """Scale-normalised Laplacian of Gaussian, positive on bright structures."""
    total = np.zeros(image.shape, dtype=np.float32)
    for axis in range(image.ndim):
        order = [2 if a == axis else 0 for a in range(image.ndim)]
        second = ndimage.gaussian_filter(image, voxel.voxels(sigma), order=order, mode="nearest")
        total -= second * np.float32((sigma / voxel.size[axis]) ** 2)
    return total


def split_touching(
    mask: NDArray[np.bool_], curved: NDArray[np.float32], voxel: Voxel, diameter: float
) -> NDArray[np.int32]:
    """Labels of the objects in a mask: step 4 above. `curved`: the Laplacian that is negative in valleys."""
    core = mask & (curved > 0)
    depth = ndimage.distance_transform_edt(core, sampling=voxel.size).astype(np.float32)
    depth = gaussian_blur(depth, voxel, SMOOTH_PART * diameter)
    # In the logarithm a fixed height is a fixed ratio of the core's radius to that of its waist.
    height = np.log(np.maximum(depth, 0.3 * min(voxel.size)))
    seeds, _ = ndimage.label(core & (depth == ndimage.maximum_filter(depth, 3)), np.ones((3,) * mask.ndim))
    pieces = watershed(-depth, seeds, mask=mask)
    peaks = label_maximum(height, seeds)
    pieces = join_shallow_maxima(peaks, *touching_pairs(pieces, height), SADDLE_DEPTH)[pieces]
    return drop_small(merge_ellipses(pieces, voxel), voxel, DEBRIS_DIAMETERS * diameter)


def label_maximum(values: NDArray[np.float32], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """(N + 1,) greatest value in each label 0..N, -inf for the background."""
    found = np.full(int(labels.max()) + 1, -np.inf)
    inside = labels > 0
    np.maximum.at(found, labels[inside], values[inside])
    return found


def drop_small(labels: NDArray[np.int32], voxel: Voxel, smallest: float) -> NDArray[np.int32]:
    """Labels with an equivalent diameter of at least `smallest`, numbered anew."""
    return renumber(labels, equivalent_diameter(np.bincount(labels.ravel()) * voxel.volume, voxel.ndim) >= smallest)


def renumber(labels: NDArray[np.int32], keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Labels (*S) of 0..N with `keep` (N + 1,), as 1..M; 0 stays the background."""
    keep = keep & (np.arange(len(keep)) > 0)
    return (np.cumsum(keep) * keep).astype(np.int32)[labels]


def add_weak_objects(
    found: NDArray[np.int32], answer: NDArray[np.float32], voxel: Voxel, diameter: float
) -> NDArray[np.int32]:
    """Add the objects that a threshold set by bright ones has missed: step 2, second half.

    answer: the Laplacian at the objects' own scale.
    """
    far = ndimage.distance_transform_edt(found == 0, sampling=voxel.size) > diameter / 4
    if not found.any() or not far.any():
        return found
    typical = float(np.median(label_maximum(answer, found)[1:]))
    noise = robust_deviation(answer[far])
    islands, _ = ndimage.label(far & (answer > 0))
    weak = (label_maximum(answer, islands) >= max(WEAKEST_ANSWER * typical, TEXTURE_ANSWERS * noise))[islands]
    seeds, _ = ndimage.label(weak & (answer == ndimage.maximum_filter(answer, 3)))
    more = watershed(-answer, seeds, mask=weak)
    return np.where(more > 0, more + found.max(), found).astype(np.int32)


def outline_regions(
    labels: NDArray[np.int32], smooth: NDArray[np.float32], level: float, voxel: Voxel, diameter: float
) -> NDArray[np.bool_]:
    """Mask of all objects, each by the threshold of its own territory: step 3. `level`: the threshold of all."""
    territory = expand_labels(labels, distance=SURROUNDINGS_REACH * diameter, spacing=voxel.size)
    count = int(labels.max()) + 1
    inside, outside = labels.ravel(), np.where(labels > 0, 0, territory).ravel()
    sizes = [np.bincount(where, minlength=count) for where in (inside, outside)]
    means = [
        np.bincount(where, smooth.ravel(), minlength=count) / np.maximum(size, 1)
        for where, size in zip((inside, outside), sizes)
    ]
    # An object hemmed in by others has no outside of its own: it keeps the threshold of all.
    threshold = np.where(sizes[1] > sizes[0] / 10, (means[0] + means[1]) / 2, np.minimum(level, means[0]))
    mask = (territory > 0) & (smooth > threshold[territory])
    mask = ndimage.gaussian_filter(mask.astype(np.float32), voxel.voxels(SMOOTH_PART * diameter), mode="nearest") > 0.5
    holes, _ = ndimage.label(~mask)
    small = equivalent_diameter(np.bincount(holes.ravel()) * voxel.volume, voxel.ndim) < diameter / 2
    return mask | small[holes]
