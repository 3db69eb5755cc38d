"""The criteria of one result: of a whole image, and of each of its objects.

Each criterion is a number in [0, 1], 1 is best. None asks for a label of a person:

    flips, light, scale     F1@0.5 between the result and what the model finds in small changes of the image (`VIEWS`)
    overlap                 mean IoU of the partners in these
    sure                    share of the foreground that the network draws without hesitation
    size, elongation, solidity, cover     likeness to the objects learnt from (`likeness`), if the model's card has them
    contrast, outline       objects against their surroundings in the image (measure/contrast.py), polarity as sign
    explained               share of the image's variance that the labels explain, of what two levels could explain
    redrawn                 AD-GAN: correlation of the image with the one it draws of the labels (its cycle)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import centre_box
from ..core.errors import UserError
from ..core.no_data import missing_voxels
from ..core.normalise import Scale, Scales, sample_voxels
from ..core.voxel import Voxel
from ..data.volumes import Volume
from ..measure.contrast import Contrast, contrast
from ..measure.measurement import quantiles
from ..measure.shapes import ExpectedObjects, ObjectShapes, expectations, shapes
from ..metrics.confidence import mean_over_objects
from ..model import Segmenter
from ..nets.translator import Translator
from ..predict.pipeline import Options, Pipeline, clip_ranges, decode, measure_scale, refuse_mismatch
from ..predict.translate import draw_styles
from .agree import stability

HESITANT_RANGE = (0.2, 0.8)  # foreground probabilities in between are no answer
WHOLE_VOXELS = 2**24  # voxels of an image that is judged in one piece, in some 3 GB
TAIL_PERCENTAGE = 25  # percentage: merged and torn objects show in the less solid ones
REDRAWN_VOXELS = 2**19  # voxels of an image that are drawn again from its labels, without tiles

Image = NDArray[np.float32]
Labels = NDArray[np.generic]
Told = Callable[[float], None]  # share of the way that is done, in [0, 1]
silent: Told = lambda done: None


class UnreadImage(Protocol):
    """An array, or an image of which nothing has been read."""

    @property
    def shape(self) -> tuple[int, ...]: ...


def share_of_progress(told: Told, number: int, count: int) -> Told:
    """The share of the whole, as one of `count` parts hears of its own."""
    return lambda done: told((number + done) / count)


@dataclass(frozen=True, eq=False)
class ClassCriteria:
    """Criteria of one class in one image, and per object, (N,) by ascending id."""

    labels: Labels
    criteria: dict[str, float]
    objects: dict[str, NDArray[np.float64]]  # stable, sure, contrast


@dataclass(frozen=True, eq=False)
class ViewPredictions:
    """The channels of an image and of its views, before they are decoded."""

    image: Image  # normalised, (*S) or (C, *S)
    channels: Image  # (K, *S)
    views: dict[str, list[Image]]


def predict_views(
    segmenter: Segmenter, volume: Volume, options: Options | None = None, scale: Scale | Scales | None = None,
    told: Told = silent,
) -> ViewPredictions:  # fmt: skip
    """Seven passes of the network in place of one. scale: the numbers of the whole that this volume is a part of.

    Raises UserError where volume and model do not fit.
    """
    options = options or Options(any_voxel_size=True)  # whoever made the labels was asked
    segmenter = segmenter.for_image(volume.name)
    refuse_mismatch(segmenter, volume, options)
    raw = volume.load()
    scale = scale or measure_scale(segmenter, volume, raw)
    image, clip = scale(raw), clip_ranges(scale)[0]
    views = [View(), *(view for group in VIEWS.values() for view in group)]

    def view_channels(number: int, view: View) -> Image:
        seen = view.image(image, len(volume.axes), clip)
        step = lambda done, total: told((number + done / total) / len(views))
        pipeline = Pipeline.of_image(segmenter, seen, view.voxel(volume.voxel), options)
        return view.undo(pipeline.channels(progress=step))

    first, *others = (view_channels(number, view) for number, view in enumerate(views))
    rest = iter(others)
    return ViewPredictions(image, first, {name: [next(rest) for _ in group] for name, group in VIEWS.items()})


def judge(
    segmenter: Segmenter, volume: Volume, labels: dict[str, Labels] | None = None, seen: ViewPredictions | None = None,
    redraw: bool = True, told: Told = silent,
) -> dict[str, ClassCriteria]:  # fmt: skip
    """Criteria of each class ("" of a single one).

    labels: of each class, (*S), that are to be judged; without them, those that the model finds. seen: what
    `predict_views` gave, where that was done before. redraw: with the criterion of that name, another pass of the
    network. told: hears what share of the way is done.
    Raises UserError where labels, volume and model do not fit.
    """
    options, segmenter = Options(), segmenter.for_image(volume.name)
    if labels is not None:
        refuse_other_labels(segmenter, volume, labels)
    seen = seen or predict_views(segmenter, volume, options, told=told)
    out = {}
    raw = volume.load() if volume.dtype.kind == "f" else np.empty(0)
    missing = missing_voxels(raw, len(volume.axes), volume.name)
    for number, (name, represent, place, _) in enumerate(segmenter.representation.parts()):
        found = partial(decode, represent, voxel=volume.voxel, options=options, missing=missing)
        mine = found(seen.channels[place]) if labels is None else labels[name]
        views = {group: [found(c[place]) for c in drawn] for group, drawn in seen.views.items()}
        image = seen.image if seen.image.ndim == mine.ndim else seen.image[min(number, len(seen.image) - 1)]
        probability = represent.foreground(seen.channels[place])
        out[name] = criteria(segmenter, volume, name, mine, views, image, probability)
        network = segmenter.network
        if redraw and out[name].criteria and isinstance(network, Translator) and network.goes_both_ways:
            out[name].criteria["redrawn"] = redraw_correlation(segmenter, volume, image, mine)
    return out


def refuse_other_labels(segmenter: Segmenter, volume: Volume, labels: Mapping[str, UnreadImage]) -> None:
    """Raises UserError where one class has no labels, or labels of another shape."""
    for name, *_ in segmenter.representation.parts():
        shape = labels[name].shape if name in labels else None
        if shape != volume.shape:
            there = "none" if shape is None else f"of the shape {shape}"
            raise UserError(
                f"{volume.name} has the shape {volume.shape}, but its labels{f' of {name}' * bool(name)} are {there}; "
                f"pass labels of this very image"
            )


def criteria(
    segmenter: Segmenter, volume: Volume, name: str, labels: Labels, views: dict[str, list[Any]], image: Image,
    probability: Image,
) -> ClassCriteria:  # fmt: skip
    """All that can be said of one class. Without an object, that alone."""
    if not labels.any():
        none = np.zeros(0)
        return ClassCriteria(labels, {}, {"stable": none, "sure": none, "contrast": none})
    agreed = {group: stability(labels, others) for group, others in views.items()}
    stands = contrast(image, labels, volume.voxel)
    found = {group: f1 for group, (f1, _, _) in agreed.items()}
    found["overlap"] = float(np.mean([iou for _, iou, _ in agreed.values()]))
    found["sure"] = decided_share(probability)
    expected = expectations(segmenter.card).get(name)
    if expected is not None:
        same_unit(expected, volume.voxel.unit)
        found |= likeness(shapes(labels, volume.voxel), expected)
    found |= median_criteria(stands) | {"explained": explained_variance(image, labels)}
    rows = {
        "stable": np.mean([best for _, _, best in agreed.values()], axis=0),
        "sure": mean_over_objects(probability, labels),
        "contrast": np.where(np.isnan(stands.inside), 0.5, stands.inside),
    }
    return ClassCriteria(labels, found, rows)


def decided_share(probability: Image) -> float:
    """Share of what may be foreground that is: voxels above HESITANT_RANGE, among these and those in between."""
    low, high = HESITANT_RANGE
    sure, between = int((probability > high).sum()), int(((probability > low) & (probability <= high)).sum())
    return sure / (sure + between) if sure + between else 0.0


def median_criteria(stands: Contrast) -> dict[str, float]:
    """Medians over objects."""
    told = stands.inside[~np.isnan(stands.inside)]
    inside = float(np.median(told)) if told.size else 0.5
    return {"contrast": inside, "outline": float(np.median(stands.outline))}


def explained_variance(image: Image, labels: Labels) -> float:
    """Variance between objects' and background's means over that between the two sides of Otsu's threshold."""
    from skimage.filters import threshold_otsu

    if image.min() == image.max():
        return 0.0
    by_light = image > float(threshold_otsu(sample_voxels(image)))  # type: ignore[no-untyped-call]
    best = variance_between(image, by_light)
    return min(variance_between(image, labels != 0) / best, 1.0) if best > 0 else 0.0


def variance_between(image: Image, inside: NDArray[np.bool_]) -> float:
    """Variance that two levels explain, 0 where objects are the darker side: networks see bright ones."""
    share = float(inside.mean())
    if not 0 < share < 1:
        return 0.0
    step = float(image[inside].mean(dtype=np.float64) - image[~inside].mean(dtype=np.float64))
    return share * (1 - share) * max(step, 0.0) ** 2


def redraw_correlation(segmenter: Segmenter, volume: Volume, image: Image, labels: Labels) -> float:
    """Correlation of the image with what the model draws of its labels, at least 0; in the middle of a large image."""
    region = centre_box(labels.shape, REDRAWN_VOXELS)
    image = image[region]
    drawn = draw_styles(segmenter, replace(volume, array=np.asarray(labels)[region]), 2)[-1]
    if drawn.std() == 0 or image.std() == 0:
        return 0.0
    return max(float(np.corrcoef(drawn.ravel(), image.ravel())[0, 1]), 0.0)


@dataclass(frozen=True)
class View:
    """flip: axes, counted from the last, that are mirrored. gain: of intensities about the image's median.

    zoom: objects are drawn so many times as large.
    """

    flip: tuple[int, ...] = ()
    gain: float = 1.0
    zoom: float = 1.0

    def image(self, image: Image, ndim: int, clip: tuple[float, float]) -> Image:
        """A normalised image (*S) or (C, *S) as this view shows it, on the same grid; zoom is done by `voxel`."""
        seen = np.flip(image, self.flip)
        if self.gain != 1:
            middle = np.median(seen, axis=tuple(range(-ndim, 0)), keepdims=True)
            seen = np.clip(middle + np.float32(self.gain) * (seen - middle), *clip)
        return np.ascontiguousarray(seen, dtype=np.float32)

    def voxel(self, voxel: Voxel) -> Voxel:
        """The voxel size that makes objects look so many times as large to the network."""
        return Voxel(tuple(s * self.zoom for s in voxel.size), voxel.unit)

    def undo(self, channels: Image) -> Image:
        """Channels (K, *S) drawn of the view, as of the image itself."""
        return np.ascontiguousarray(np.flip(channels, self.flip))


VIEWS: dict[str, tuple[View, ...]] = {
    "flips": (View(flip=(-1,)), View(flip=(-2,))),
    "light": (View(gain=0.8), View(gain=1.25)),
    "scale": (View(zoom=0.87), View(zoom=1.15)),
}


def likeness(found: ObjectShapes, expected: ExpectedObjects) -> dict[str, float]:
    """Size, elongation, solidity and cover of the objects against what was expected, each in (0, 1], 1 is alike.

    size, elongation: exp of minus the mean distance of the logarithms of quantiles: 0.5 where they are twice as
    large, or half. solidity: exp of minus what the less solid quarter lacks, in tenths. cover: by what factor the share
    of the field that objects cover lies outside of the images learnt from.
    Raises UserError where the two are not in one unit.
    """
    settled = found.whole_objects()
    if not len(settled.diameter):
        return {}
    lacking = expected.solidity[str(TAIL_PERCENTAGE)] - float(np.percentile(settled.solidity, TAIL_PERCENTAGE))
    return {
        "size": float(np.exp(-quantile_distance(quantiles(settled.diameter), expected.diameter))),
        "elongation": float(np.exp(-quantile_distance(quantiles(settled.elongation), expected.elongation))),
        "solidity": float(np.exp(-10 * max(lacking, 0.0))),
        "cover": outside_factor(found.foreground, expected.foreground),
    }


def same_unit(expected: ExpectedObjects, unit: str) -> None:
    """Raises UserError where lengths cannot be compared."""
    if expected.unit != unit:
        raise UserError(
            f"the model expects objects in {expected.unit}, but the image is in {unit}; declare its voxel size "
            f"(`voxel`, `unit`)"
        )


def quantile_distance(found: Mapping[int, float], expected: Mapping[str, float]) -> float:
    """Mean distance of the logarithms of quantiles."""
    return float(np.mean([abs(np.log(found[q] / expected[str(q)])) for q in found]))


def outside_factor(value: float, expected: Mapping[str, float]) -> float:
    """1 between the lowest and the highest quantile; beyond them the factor between the value and the nearer one."""
    low, high = expected["5"], expected["95"]
    if low <= value <= high:
        return 1.0
    return float(value / low if value < low else high / value)
