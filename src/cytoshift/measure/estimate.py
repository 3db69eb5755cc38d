"""Objects measured in raw images that nobody has labelled.

1. Scale space of every image: size and strength of its structures, and which side of the histogram is the compact one.
2. Polarity: the images' votes together.
3. Outlines of the objects at the scale of each image, their sizes, shapes and number.
4. How far to trust it: signal over noise, polarity, agreement of 1 with 3, number of objects.

Nothing is set per data set: all lengths follow from step 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.evenly import take_evenly
from ..core.no_data import fill_by_median
from ..core.text import count_of
from ..core.voxel import Voxel
from .grid import bin_image, binned_voxel, factors_for, sample_boxes
from .light import gaussian_blur, remove_hot_pixels, remove_trend
from .measurement import ImageMeasurement, Measurement, Polarity, quantiles
from .notes import notes_on
from .outlined_objects import OutlinedObjects, objects
from .regions import SMOOTH_PART, regions
from .scale import ScaleSpace, analyse_scale_space

RAW_VOXELS = 2**28  # voxels read of one image at most, where so many are binned that fewer are looked at
SLAB_VOXELS = 2**25  # of these are in memory at once
LOOKED_AT_VOXELS = 6_000_000  # voxels looked at in one image; more of them sharpen no quantile, they only cost time
LARGEST_VALUE = 1.9e19  # the square of more is no float32; uint64 ends below
SMALLEST_SIDE = 16  # voxels; less shows no object with surroundings
RESOLVED_SAMPLES = 24  # samples across an object are enough to outline it; finer images are binned
SILENT_CONTRAST = 1.0  # contrast over noise at the best scale, below which an image is said to show nothing
# Contrast of the outlined objects in deviations of what lies between them: noise that a threshold has cut comes to 0.9
# to 1.6, stained tissue and dense ovules to 2.7 to 5, cells in culture to 10 and more.
SEPARATE = (1.5, 3.0)  # not at all, and surely
# Median elongation of the outlines in 3D: long ones may be pieces of walls between cells. Measured on 87 volumes drawn
# with walls and without, not those of benchmarks/bench_estimate_walls.py; a quarter is of the right size nevertheless.
COMPACT, WALL_LIKE, RIGHT_BY_CHANCE = 1.7, 2.6, 0.25
MOST_IMAGES = 200  # more images than this are thinned out evenly
ENOUGH_WHOLE = 5  # uncut objects that make a distribution
REASONS = ("polarity", "signal", "agreement", "number", "separation", "shape")  # of the confidence


@dataclass(frozen=True)
class ImageObservation:
    """One image at the end of step 3: outlines, on the boxes that were looked at."""

    look: ScaleSpace
    objects: OutlinedObjects
    separation: float | None = None


class UnmeasurableObjects(UserError):
    """The images are in order, but their objects cannot be measured: who knows the diameter can give it."""


def estimate(
    images: Sequence[NDArray[np.generic]], voxels: Sequence[Voxel], polarity: Polarity | None = None,
    progress: Callable[[int, int], None] | None = None, names: Sequence[str] | None = None,
) -> Measurement:  # fmt: skip
    """Measure the objects in raw images without labels: polarity, sizes, density and shape.

    Noise that looks like objects is measured too; then the confidence is near 0, and the reason is given.

    Parameters
    ----------
    images
        Raw images (*S) of any real type.
    voxels
        Voxel size of each image, all in one unit.
    polarity
        "bright" or "dark" where it is known. Default: measured.
    progress
        Function of the looks that are done and of all looks, two for each image.
    names
        Of the images, for errors. Default: their numbers.

    Returns
    -------
    Measurement
        polarity, diameters, density, elongation; confidence in [0, 1] and its evidence.

    Raises
    ------
    UserError
        For images that cannot be measured (no image, infinite or too large values, too small, different axes), and
        where no object is found.

    Examples
    --------
    >>> from cytoshift.synth import phantom
    >>> image, _, voxel = phantom("sparse-2d", seed=0)
    >>> estimate([image], [voxel]).polarity
    'bright'
    """
    names = names or [f"image {number}" for number in range(len(images))]
    check_images(images, voxels, polarity, names)
    chosen = take_evenly(range(len(images)), MOST_IMAGES)
    filled = {i: fill_by_median(images[i], names[i]) for i in chosen}
    told = progress or (lambda done, total: None)
    looks = []
    for number, i in enumerate(chosen):
        looks.append(analyse_image(filled[i], voxels[i], names[i]))
        told(number + 1, 2 * len(chosen))
    vote, trust = decide_polarity(looks)
    polarity = polarity or vote
    silent = [one.signal < SILENT_CONTRAST for one in looks]
    if all(silent):  # then the best effort, and a confidence that says so
        silent = [False] * len(looks)
    seen = []
    for i, one, quiet in zip(chosen, looks, silent):
        here = filled[i], voxels[i], one
        seen.append(blank_observation(*here) if quiet else outline_image(*here, polarity))
        told(len(chosen) + len(seen), 2 * len(chosen))
    if not any(len(one.objects.diameter) for one in seen):
        raise UnmeasurableObjects(
            f"objects are to be measured, but none stands out from the noise in "
            f"{count_of(len(chosen), 'image')}; check the channel, or give their diameter and density by hand"
        )
    measured = pool_observations(seen, voxels[0], polarity, vote, trust, len(images))
    field = sum(math.prod(images[i].shape) * voxels[i].volume for i in chosen)
    share = min(sum(one.objects.field for one in seen) / field, 1.0)
    return replace(measured, evidence=measured.evidence | {"looked_at": share})


def check_images(
    images: Sequence[NDArray[np.generic]], voxels: Sequence[Voxel], polarity: str | None, names: Sequence[str]
) -> None:
    """Refuse what cannot be measured, each with its own sentence."""
    if polarity not in (None, "bright", "dark"):
        raise UserError(f"polarity '{polarity}' is not known; use bright or dark, or leave it out to have it measured")
    if not len(images):
        raise UserError("objects are to be measured, but there is no image; give at least one")
    if len(images) != len(voxels):
        raise UserError(f"{len(images)} images but {len(voxels)} voxel sizes; give one voxel size for each image")
    for name, voxel in zip(names, voxels):
        if (voxel.ndim, voxel.unit) != (voxels[0].ndim, voxels[0].unit):
            raise UserError(
                f"the images differ in dimensions or unit of length: {names[0]} has {voxels[0].ndim} in "
                f"{voxels[0].unit}, {name} {voxel.ndim} in {voxel.unit}; measure 2D and 3D, um and px apart"
            )
    for name, image, voxel in zip(names, images, voxels):
        if image.ndim != voxel.ndim:
            raise UserError(
                f"{name} has the shape {image.shape}, but its voxel size has {voxel.ndim} axes; pick one "
                f"channel and one frame"
            )
        if min(image.shape[-2:]) < SMALLEST_SIDE:
            raise UnmeasurableObjects(
                f"{name} is {' x '.join(map(str, image.shape))} voxels, too small to hold objects and their "
                f"surroundings; give at least {SMALLEST_SIDE} in the plane"
            )
        if np.iscomplexobj(image):
            raise UserError(f"{name} is complex; take its magnitude first")


def analyse_image(image: NDArray[np.generic], voxel: Voxel, name: str) -> ScaleSpace:
    """Step 1 for one image, at its full resolution, on boxes where it is large."""
    found = [np.asarray(image[box]) for box in sample_boxes(image.shape, voxel, LOOKED_AT_VOXELS)]
    if not all(np.isfinite(box).all() for box in found):
        raise UserError(f"{name} holds infinite values; replace them (by NaN, which is read as no data)")
    if (largest := max(float(np.abs(box).max()) for box in found)) > LARGEST_VALUE:
        raise UserError(f"{name} holds {largest:.3g}, too large to compute with; divide the image by a constant")
    boxes = [box.astype(np.float32, copy=False) for box in found]
    if all(box.max() == box.min() for box in boxes):
        return ScaleSpace(
            diameter=min(n * s for n, s in zip(image.shape, voxel.size)),
            power=0.0,
            signal=0.0,
            noise=0.0,
            asymmetry=0.0,
        )
    return analyse_scale_space([remove_trend(remove_hot_pixels(box)) for box in boxes], voxel)


def decide_polarity(looks: Sequence[ScaleSpace]) -> tuple[Polarity, float]:
    """Step 2: polarity and how sure (0..1), from all images together (Stouffer's sum of standard scores).

    A score counts for five standard errors at most, so that no single image outvotes the others. The sureness is what
    Sellke, Bayarri and Berger (Am. Stat. 55, 2001) leave at most to chance with a p value, from even odds (0) on.
    """
    scores = np.clip([one.asymmetry for one in looks if one.signal >= SILENT_CONTRAST] or [0.0], -5, 5)
    together = float(scores.sum() / math.sqrt(len(scores)))
    agreeing = float(np.abs(scores[np.sign(scores) == np.sign(together)]).sum() / max(np.abs(scores).sum(), 1e-12))
    p = max(math.erfc(abs(together) / math.sqrt(2)), 1e-300)
    odds = -math.e * p * math.log(p) if p < 1 / math.e else 1.0
    trust = (1 - odds) / (1 + odds) * max(2 * agreeing - 1, 0)
    return ("dark" if together < 0 else "bright"), trust


def outline_image(image: NDArray[np.generic], voxel: Voxel, seen: ScaleSpace, polarity: Polarity) -> ImageObservation:
    """Step 3 for one image."""
    parts, apart = [], []
    for box, array, labels, grid in outlines(image, voxel, seen, polarity):
        inner = tuple((where.start > 0, where.stop < size) for where, size in zip(box, image.shape))
        parts.append(objects(labels, grid, inner))
        smooth = gaussian_blur(array, grid, SMOOTH_PART * seen.diameter)
        apart.append(separation(smooth, labels))
    return ImageObservation(seen, OutlinedObjects.join(parts), known_median(apart))


def separation(image: NDArray[np.float32], labels: NDArray[np.int32]) -> float | None:
    """How many (robust) standard deviations of the background the median voxel of an object is above its median."""
    inside, outside = image[labels > 0], image[labels == 0]
    if not inside.size or not outside.size:
        return None
    level = np.median(outside)
    spread = 1.4826 * float(np.median(np.abs(outside - level)))
    return float(np.median(inside) - level) / max(spread, 1e-6 * float(np.ptp(image)), 1e-12)


def known_median(values: Sequence[float | None]) -> float | None:
    """Median of those that are known."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


Outline = tuple[tuple[slice, ...], NDArray[np.float32], NDArray[np.int32], Voxel]


def outlines(image: NDArray[np.generic], voxel: Voxel, seen: ScaleSpace, polarity: Polarity) -> list[Outline]:
    """(where in the image, the levelled image there on its working grid, labels on that grid, its voxel), per box."""
    factors = factors_for(voxel, seen.diameter / RESOLVED_SAMPLES, image.shape)
    grid = binned_voxel(voxel, factors)
    found = []
    for box in sample_boxes(image.shape, voxel, min(LOOKED_AT_VOXELS * math.prod(factors), RAW_VOXELS)):
        array = remove_trend(by_slabs(image, box, factors))
        array = -array if polarity == "dark" else array
        found.append((box, array, regions(array, grid, seen), grid))
    return found


def by_slabs(image: NDArray[np.generic], box: tuple[slice, ...], factors: Sequence[int]) -> NDArray[np.float32]:
    """A box of the image without hot pixels, binned; of more than SLAB_VOXELS one slab after the other.

    What does not fill a bin is left out, of an axis shorter than a bin all of it is one.
    """
    first, rest = box[0], box[1:]
    row = math.prod(s.stop - s.start for s in rest)
    step = max(SLAB_VOXELS // max(row, 1) // factors[0], 1) * factors[0]
    edges = range(first.start, first.stop, step)
    slabs = (slice(start, min(start + step, first.stop)) for start in edges)
    parts = [
        bin_image(remove_hot_pixels(np.asarray(image[(slab, *rest)], dtype=np.float32)), factors)
        for slab in slabs
        if slab.stop - slab.start >= factors[0]
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def blank_observation(image: NDArray[np.generic], voxel: Voxel, seen: ScaleSpace) -> ImageObservation:
    """An image that shows nothing: no objects in all its field."""
    none = np.zeros(0)
    field = math.prod(image.shape) * voxel.volume
    return ImageObservation(seen, OutlinedObjects(none, none, none, none, none.astype(bool), none, 0.0, field))


def pool_observations(
    seen: Sequence[ImageObservation], voxel: Voxel, polarity: Polarity, vote: Polarity, trust: float, given: int
) -> Measurement:
    """Step 4: all images in one result."""
    every = OutlinedObjects.join(one.objects for one in seen)
    count = round(float(every.share.sum()))
    diameters = quantiles(every.diameter)
    enough = int(every.whole.sum()) >= ENOUGH_WHOLE
    whole = quantiles(every.diameter[every.whole], 1 / every.chance[every.whole]) if enough else diameters
    shaped = every.whole if enough else np.ones(len(every.whole), dtype=bool)
    heard = [one for one in seen if len(one.objects.diameter)]
    signal = float(np.median([one.look.signal for one in heard or seen]))
    ratio = median_of(heard, lambda one: scale_ratio(one, voxel.ndim))
    apart = median_of(heard, lambda one: one.separation) or 0.0
    evidence = {
        "polarity": trust,
        # 0 for noise alone, 0.9 from a contrast of four times the noise
        "signal": 1 - math.exp(-((signal / 2.6) ** 2)),
        "agreement": math.exp(-abs(math.log(ratio))) if ratio else 0.0,
        "number": count / (count + 3),
        "separation": float(np.clip((apart - SEPARATE[0]) / (SEPARATE[1] - SEPARATE[0]), 0, 1)),
        "shape": shape_evidence(every.elongation[shaped]) if voxel.ndim == 3 else 1.0,
        "contrast_to_noise": signal,
        "contrast_to_background": apart,
        "characteristic_diameter": median_of(heard, lambda one: one.look.diameter) or 0.0,
        "silent_images": float(sum(one.look.signal < SILENT_CONTRAST for one in seen)),
    }
    measured = Measurement(
        unit=voxel.unit,
        ndim=voxel.ndim,
        polarity=polarity,
        polarity_confidence=trust if polarity == vote else 0.0,
        objects=count,
        diameters=diameters,
        whole_diameters=whole,
        density=quantiles([float(one.objects.share.sum()) / one.objects.field for one in seen]),
        foreground=float(np.mean([one.objects.covered / one.objects.field for one in seen])),
        elongation=quantiles(every.elongation[shaped]),
        axial_elongation=float(np.median(every.axial[shaped])) if voxel.ndim == 3 and count else None,
        confidence=min(evidence[name] for name in REASONS),
        evidence=evidence,
        images=tuple(summarise_image(one) for one in seen),
        notes=(),
    )
    return replace(measured, notes=notes_on(measured, voxel, vote, given, enough))


def shape_evidence(elongation: NDArray[np.float64]) -> float:
    """How surely outlines in 3D are objects and no pieces of walls, by their median elongation.

    >>> shape_evidence(np.array([1.2, 1.5, 3.0])), shape_evidence(np.array([4.0]))
    (1.0, 0.25)
    """
    if not len(elongation):
        return 0.0
    return float(np.clip((WALL_LIKE - np.median(elongation)) / (WALL_LIKE - COMPACT), RIGHT_BY_CHANCE, 1))


def scale_ratio(one: ImageObservation, ndim: int) -> float:
    """Diameter in the scale space over that of the outlined objects, both as the volume weighs them."""
    return one.look.diameter / quantiles(one.objects.diameter, one.objects.diameter**ndim)[50]


def median_of(seen: Sequence[ImageObservation], what: Callable[[ImageObservation], float | None]) -> float | None:
    """Median over the images that have it."""
    return known_median([what(one) for one in seen])


def summarise_image(one: ImageObservation) -> ImageMeasurement:
    """The numbers of one image."""
    found = one.objects
    return ImageMeasurement(
        objects=float(found.share.sum()),
        diameter=float(np.median(found.diameter)) if len(found.diameter) else None,
        density=float(found.share.sum()) / found.field,
        foreground=found.covered / found.field,
    )
