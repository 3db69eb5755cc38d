"""A model for objects of any size, made to fit some images: at which voxel size it works, and what it inverts.

Such a model (`Segmenter.diameter`) has learnt objects of so many voxels across. The diameter of the objects in the
images is measured without labels (measure.estimate), or given. Where the measurement is unsure, several diameters are
tried on a part of the images; what the model finds there is measured again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any

import numpy as np

from ..core.errors import UserError
from ..core.evenly import first_of_parts, take_evenly
from ..core.normalise import Recipe, recipes
from ..core.text import count_of
from ..core.voxel import Voxel
from ..data.volumes import Volume, crop_middle, load_small
from ..labels.stitching import BY_SECTION
from ..measure.estimate import MOST_IMAGES, UnmeasurableObjects, estimate
from ..measure.measurement import Measurement, Polarity, quantiles
from ..measure.outlined_objects import OutlinedObjects, objects
from ..measure.shapes import ExpectedObjects, expectations
from ..model import Segmenter
from ..predict.pipeline import predict
from .judge import Told, judge, share_of_progress, silent
from .snapshot_choice import total_score

POLARITIES = ("auto", "bright", "dark")
SURE = 0.6  # confidence of a measurement that needs no second one
CERTAIN = 0.9  # confidence from which on volumes need no closer look: it takes dim, noisy objects apart
AGREE = 1.35  # so much may the two ways to measure a diameter differ before both are plausible
FLAT = 1.7  # median elongation in 3D from which on outlined objects may be pieces of walls between cells
AROUND = 1.6  # the other diameters that are tried are smaller and larger by this factor
FINER = 3.0  # voxels of the images are divided by so much at most: beyond, nothing is added but work
NEAR = 1.25  # diameters that differ by less are one; networks have learnt objects of many sizes
SAME, MOST_APART = 1.1, 2.0  # factors between the diameters of an image and of all: below, above what is believed
ROUNDS, FEW = 2, 5  # of measuring what is found, and objects that make a median
LEAST_CHANCE = 1 / 8  # of an object to be seen whole; one that nearly fills a part must not stand for a thousand
# Seen 1 / AROUND as large, objects are 0.8 to 1.05 of those before as a rule, and 0.56 to 0.68 where those had been
# several in one (14 synthetic volumes with walls of benchmarks/bench_estimate_walls.py).
MERGED = 0.72
SAMPLE = {2: 384 * 384, 3: 64 * 64 * 64}  # voxels of the network that an image is tried on; fewer images show more
IMAGES, MANY = 3, 12  # that are tried at least, if there are so many, and at most
ROOM = 400e6  # bytes of raw images that are kept in memory while they are measured


@dataclass(frozen=True, eq=False)
class Fit:
    """segmenter: one that works on these images, like any other. sentence: how it was fitted, for a person.

    diameter: of the objects, in the images' unit; None where the model was for one size already. tried: the scores of
    the diameters that were tried, by diameter. found: median diameter of the objects that the model finds in a part of
    the images; the best estimate of their size. Where images have objects of different sizes, `segmenter.sides` has the
    voxel size of each image.
    """

    segmenter: Segmenter
    sentence: str = ""
    diameter: float | None = None
    polarity: Polarity | None = None
    tried: dict[float, float] | None = None
    found: float | None = None

    def numbers(self) -> dict[str, Any]:
        """What decides about results, as JSON values."""
        if self.diameter is None:
            return {}
        sides = {"sides": dict(self.segmenter.sides)} if self.segmenter.sides else {}
        return {"diameter": self.diameter, "polarity": self.polarity, **sides}


def fit(
    segmenter: Segmenter, volumes: Sequence[Volume], diameter: float | None = None, polarity: str = "auto",
    told: Told = silent,
) -> Fit:  # fmt: skip
    """Fit a model to images.

    Parameters
    ----------
    segmenter
        Any model; one that was trained for a size is given back as it is.
    volumes
        Images with the same axes and unit.
    diameter
        Median equivalent diameter of the objects in the images' unit; measured by default.
    polarity
        "bright" or "dark" objects; "auto" measures it.
    told
        Hears which share of the work is done.

    Returns
    -------
    Fit
        The model with its voxel size and polarity set.

    Raises
    ------
    UserError
        Where the model is for one size and a diameter or polarity is given, where axes or channels do not fit, and
        where nothing in the images can be measured.
    """
    if diameter is not None and not 0 < diameter < inf:
        raise UserError(
            f"`diameter={diameter:g}` given; it is the median diameter of the objects, a positive number in the unit "
            "of the voxel size"
        )
    if segmenter.diameter is None:
        if diameter is not None or polarity != "auto":
            raise UserError(
                "this model was trained for one size and polarity; leave `diameter` and `polarity` out, or take one of "
                "the package"
            )
        return Fit(segmenter)
    if polarity not in POLARITIES:
        raise UserError(f"`polarity={polarity}` does not exist, there are {', '.join(POLARITIES)}; pass one of them")
    refuse_others(segmenter, volumes)
    given: Polarity | None = "bright" if polarity == "bright" else "dark" if polarity == "dark" else None
    seen = None if diameter is not None and given else measure_objects(volumes, diameter, given, told)
    side: Polarity = given or (seen.polarity if seen else "bright")
    if diameter is not None:
        words = f"{side} objects {diameter:.3g} {volumes[0].voxel.unit} across, as given"
        return Fit(fit_segmenter(segmenter, volumes, diameter, side), words, diameter, side)
    assert seen is not None, "what is not given was measured"
    return choose_size(segmenter, volumes, seen, side, told)


def measure_objects(
    volumes: Sequence[Volume], diameter: float | None, polarity: Polarity | None, told: Told
) -> Measurement | None:  # fmt: skip
    """What the images show; None where nothing can be measured and the diameter is known."""
    step = lambda done, total: told(0.5 * done / total)
    few = take_evenly(volumes, MOST_IMAGES)  # more of them would be read for nothing
    try:
        voxels, names = [one.voxel for one in few], [one.name for one in few]
        seen = estimate(load_small(few, ROOM), voxels, polarity, step, names)
        # A network would find objects in the noise, and voters would agree on them.
        if diameter is None and seen.evidence["silent_images"] == 1:
            raise UnmeasurableObjects(
                f"objects are to be measured, but nothing stands out from the noise in {count_of(len(few), 'image')}; "
                "check the channel"
            )
        return seen
    except UnmeasurableObjects as error:
        if diameter is None:
            raise UserError(f"{error}; or pass `diameter` of the objects") from None
        return None


def refuse_others(segmenter: Segmenter, volumes: Sequence[Volume]) -> None:
    """Raises UserError for images of other axes or of several channels."""
    for volume in volumes:
        if volume.axes != segmenter.axes or volume.channels != segmenter.spec.channels:
            flat = len(volume.axes) > len(segmenter.axes)
            cure = f"choose the model for these axes, or {BY_SECTION}" if flat else "choose the model for these axes"
            raise UserError(
                f"the model works on '{segmenter.axes}' images of one channel, {volume.name} has the axes "
                f"'{volume.axes}' and {count_of(volume.channels, 'channel')}; "
                + ("choose one of them" if volume.axes == segmenter.axes else cure)
            )


def plausible_sizes(seen: Measurement) -> list[float]:
    """Diameters that are worth a try, the most plausible first."""
    outlined, characteristic = seen.whole_diameters[50], seen.evidence["characteristic_diameter"]
    apart = max(outlined / characteristic, characteristic / outlined) if characteristic else 1.0
    flat = seen.ndim == 3 and seen.elongation[50] > FLAT
    if seen.confidence >= SURE and apart <= AGREE and not flat:
        return [outlined]
    return [outlined, outlined / AROUND, outlined * AROUND]


def choose_size(
    segmenter: Segmenter, volumes: Sequence[Volume], seen: Measurement, polarity: Polarity, told: Told
) -> Fit:
    """The model at the diameter that images and results agree on.

    The objects that the model finds on a part of the images are measured: the network tells nuclei from walls and
    texture, which the measurement of raw images does not. Where they have the size that was measured, that is it.
    Otherwise, and where more than one diameter is plausible, the one with the best label-free score is taken, and the
    objects that are found with it are measured again. Last, in volumes, the model looks more closely: where it then
    finds much smaller objects, those before had been several in one.
    """
    sizes, unit = plausible_sizes(seen), seen.unit
    parts = sample(volumes, sizes[0] / float(segmenter.diameter or 1))
    words = f"{polarity} objects {sizes[0]:.3g} {unit} across, measured with a confidence of {seen.confidence:.2f}"
    scores: dict[float, float] = {}
    if len(sizes) > 1 and agrees(
        found_diameter(fit_segmenter(segmenter, volumes, sizes[0], polarity), parts), sizes[0]
    ):
        sizes = sizes[:1]
        words += ", and the model finds objects of this size"
    for number, size in enumerate(sizes if len(sizes) > 1 else []):
        step = share_of_progress(lambda done: told(0.5 + 0.4 * done), number, len(sizes))
        model = fit_segmenter(segmenter, volumes, size, polarity)
        found = [judge(model, part, told=share_of_progress(step, i, len(parts))) for i, part in enumerate(parts)]
        scores[size] = total_score(found).value
    size = max(scores, key=lambda one: scores[one]) if scores else sizes[0]
    if scores:
        tries = ", ".join(f"{one:.3g} {unit}: {value:.2f}" for one, value in sorted(scores.items()))
        words += f"; tried on a part of the images, scores {tries}"
    first, rounds = size, 0
    again = before = found_diameter(fit_segmenter(segmenter, volumes, size, polarity), parts)
    while again is not None and not agrees(again, size) and rounds < ROUNDS:
        words += f"; at {size:.3g} {unit} the objects found are {again:.3g} {unit} across"
        size, rounds = again, rounds + 1
        again = found_diameter(fit_segmenter(segmenter, volumes, size, polarity), parts)
    settled = again is None or agrees(again, size)
    if not settled:  # of dim objects each size shows a smaller core
        words += f"; at {size:.3g} {unit} they are {again:.3g} {unit} across, so this leads nowhere"
        size, again = first, before
    # In 2D nothing is gained by it.
    doubtful = seen.ndim == 3 and settled and seen.confidence < CERTAIN
    closer = found_diameter(fit_segmenter(segmenter, volumes, size / AROUND, polarity), parts) if doubtful else None
    if again is not None and closer is not None and closer < MERGED * again:
        words += f"; a closer look finds objects {closer:.3g} {unit} across"
        size = closer
        again = found_diameter(fit_segmenter(segmenter, volumes, size, polarity), parts)
    if size != sizes[0]:
        words += f"; {size:.3g} {unit} is taken"
    each = image_diameters(volumes, seen, size)
    if each:
        low, high = min(each.values()), max(each.values())
        words += f"; from {low:.3g} to {high:.3g} {unit} from image to image"
    model = fit_segmenter(segmenter, volumes, size, polarity)
    sides = {name: fit_segmenter(segmenter, volumes, one, polarity).voxel.size[-1] for name, one in each.items()}
    if again is not None:
        words += f"; the objects found are {again:.3g} {unit} across"
    return Fit(replace(model, sides=sides), words, size, polarity, scores or None, again)


def agrees(found: float | None, size: float) -> bool:
    """Whether the objects that were found have the size that the model was fitted to; False where there are few."""
    return found is not None and max(found / size, size / found) <= NEAR


def image_diameters(volumes: Sequence[Volume], seen: Measurement, size: float) -> dict[str, float]:
    """The diameters that a model is fitted to, by name of the image, where they differ from image to image.

    Half of what one image differs from all of them is believed (the geometric mean): a single image has few objects,
    and the images of a folder are mostly of one kind. Images with few objects, or not measured, have none.
    """
    if len(volumes) == 1:
        return {}
    median = seen.whole_diameters[50]
    each = {
        volume.name: size * min(max(float(one.diameter / median) ** 0.5, 1 / MOST_APART), MOST_APART)
        for volume, one in zip(take_evenly(volumes, MOST_IMAGES), seen.images)
        if one.diameter and one.objects >= FEW
    }  # fmt: skip
    alike = all(max(one / size, size / one) <= SAME for one in each.values())
    return {} if alike else each


def sample(volumes: Sequence[Volume], side: float) -> list[Volume]:
    """The middle of some images, as large as SAMPLE where the network's voxels have this side.

    Of small images there are more. IMAGES times SAMPLE are tried if there is so much: a part with few whole objects
    says little of their size.
    """
    room = IMAGES * SAMPLE[len(volumes[0].axes)] * side ** len(volumes[0].axes)
    least = min(prod(one.shape) * one.voxel.volume for one in volumes)
    few = first_of_parts(volumes, max(IMAGES, min(int(room / least), MANY)))
    each = room / min(len(few), IMAGES)
    return [crop_middle(one, max(int(each / one.voxel.volume), 1)) for one in few]


def found_diameter(model: Segmenter, parts: Sequence[Volume]) -> float | None:
    """Median diameter of the objects that a model finds; None of too few.

    Each whole object stands for those of its size that the edge of a part cuts (Miles and Lantuejoul): a small part
    shows whole small objects and cut large ones. Where few are whole, the visible parts of cut ones count as well.
    """
    seen = OutlinedObjects.join(
        objects(predict(model, part).labels, part.voxel, ((True, True),) * part.voxel.ndim) for part in parts
    )
    whole = seen.whole if seen.whole.sum() >= FEW else np.ones_like(seen.whole)
    weight = 1 / np.maximum(seen.chance[whole], LEAST_CHANCE)
    return quantiles(seen.diameter[whole], weight)[50] if whole.sum() >= FEW else None


def fit_segmenter(segmenter: Segmenter, volumes: Sequence[Volume], diameter: float, polarity: Polarity) -> Segmenter:
    """The model at the voxel size at which objects of this diameter are as many voxels across as it asks for.

    The network's voxels are cubes; those of the images are not made finer than FINER times.
    """
    assert segmenter.diameter is not None, "a model for one size needs no fit"
    unit, finest = volumes[0].voxel.unit, min(min(one.voxel.size) for one in volumes)
    side = max(diameter / segmenter.diameter, finest / FINER)
    represent: Any = segmenter.representation
    if represent.smallest is not None:
        represent = represent.model_copy(update={"smallest": represent.smallest * side})
    objects = {
        name: scale_expectations(one, diameter, side, unit).model_dump(mode="json", exclude_none=True)
        for name, one in expectations(segmenter.card).items()
    }
    return replace(
        segmenter,
        voxel=Voxel((side,) * segmenter.voxel.ndim, unit),
        representation=represent,
        normalisation=invert_recipe(segmenter.normalisation) if polarity == "dark" else segmenter.normalisation,
        card=segmenter.card | {"objects": objects, "fitted": {"diameter": diameter, "polarity": polarity}},
        diameter=None,
    )


def invert_recipe(recipe: Recipe) -> Recipe:
    """Dark objects become bright ones."""
    first = recipes(recipe)[0]
    return first.model_copy(update={"invert": not first.invert})


def scale_expectations(one: ExpectedObjects, diameter: float, side: float, unit: str) -> ExpectedObjects:
    """The objects that a model expects if its voxels have this side and it was fitted to this median diameter."""

    def times(values: dict[str, float], factor: float) -> dict[str, float]:
        return {key: value * factor for key, value in values.items()}

    return one.model_copy(
        update={
            "unit": unit,
            "diameter": times(one.diameter, diameter / one.diameter["50"]),
            "density": times(one.density, side**-one.ndim),
        }
    )
