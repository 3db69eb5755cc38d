"""A model for objects of any size, made to fit some images: at which voxel size it works, and what it inverts.

Such a model (`Segmenter.diameter`) has learnt objects of so many voxels across. The diameter of the objects in the
images is measured without labels (measure.estimate), or given. Where the measurement is unsure, several diameters are
tried on a part of the images, and the one is taken whose result has the best label-free score.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import UserError
from ..core.normalise import Recipe, recipes
from ..core.voxel import Voxel
from ..data.volumes import Volume, at_hand
from ..measure.estimate import estimate
from ..measure.measured import Measured, Polarity
from ..measure.shapes import Expected, expectations
from ..model import Segmenter
from .judge import Told, judge, middle, part_of, silent
from .select import total

SURE = 0.6  # confidence of a measurement that needs no second one
AGREE = 1.35  # so much may the two ways to measure a diameter differ before both are plausible
AROUND = 1.6  # the other diameters that are tried are smaller and larger by this factor
FINER = 3.0  # voxels of the images are divided by so much at most: beyond, nothing is added but work
SAMPLE = {2: 512 * 512, 3: 80 * 80 * 80}  # voxels of the network that an image is tried on
IMAGES = 3  # that are tried
ROOM = 400e6  # bytes of raw images that are kept in memory while they are measured


@dataclass(frozen=True, eq=False)
class Fit:
    """segmenter: one that works on these images, like any other. sentence: how it was fitted, for a person.

    diameter: of the objects, in the images' unit; None where the model was for one size already. tried: the scores of
    the diameters that were tried, by diameter.
    """

    segmenter: Segmenter
    sentence: str = ""
    diameter: float | None = None
    polarity: Polarity | None = None
    tried: dict[float, float] | None = None

    def numbers(self) -> dict[str, Any]:
        """What decides about results, as JSON values."""
        return {} if self.diameter is None else {"diameter": self.diameter, "polarity": self.polarity}


def fit(
    segmenter: Segmenter, volumes: Sequence[Volume], diameter: float | None = None, polarity: Polarity | None = None,
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
        "bright" or "dark" objects; measured by default.
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
    if segmenter.diameter is None:
        if diameter is not None or polarity is not None:
            raise UserError(
                "diameter and polarity were given, and this model was trained for one size and polarity; leave them "
                "out, or take a model of the package"
            )
        return Fit(segmenter)
    refuse_others(segmenter, volumes)
    seen, polarity = None, polarity
    if diameter is None or polarity is None:
        seen = measured(volumes, diameter, polarity, told)
    polarity = polarity or (seen.polarity if seen else "bright")
    if diameter is not None:
        words = f"objects {diameter:.3g} {volumes[0].voxel.unit} across, as given"
        return Fit(fitted(segmenter, volumes, diameter, polarity), f"{words}; {polarity} ones", diameter, polarity)
    assert seen is not None, "what is not given was measured"
    return best(segmenter, volumes, seen, polarity, told)


def measured(
    volumes: Sequence[Volume], diameter: float | None, polarity: Polarity | None, told: Told
) -> Measured | None:  # fmt: skip
    """What the images show; None where that fails and the diameter is known."""
    step = lambda done, total: told(0.5 * done / total)
    try:
        return estimate(at_hand(volumes, ROOM), [one.voxel for one in volumes], polarity, step)
    except UserError as error:
        if diameter is None:
            raise UserError(f"{error}; or give the diameter of the objects") from None
        return None


def refuse_others(segmenter: Segmenter, volumes: Sequence[Volume]) -> None:
    """Raises UserError for images of other axes or of several channels."""
    for volume in volumes:
        if volume.axes != segmenter.axes or volume.channels != segmenter.spec.channels:
            raise UserError(
                f"the model works on '{segmenter.axes}' images of one channel, {volume.name} has the axes "
                f"'{volume.axes}' and {volume.channels} channels; choose a channel, or the model for these axes"
            )


def plausible(seen: Measured) -> list[float]:
    """Diameters that are worth a try, the most plausible first."""
    outlined, characteristic = seen.whole_diameters[50], seen.evidence["characteristic_diameter"]
    apart = max(outlined / characteristic, characteristic / outlined) if characteristic else 1.0
    if seen.confidence >= SURE and apart <= AGREE:
        return [outlined]
    return [outlined, outlined / AROUND, outlined * AROUND]


def best(segmenter: Segmenter, volumes: Sequence[Volume], seen: Measured, polarity: Polarity, told: Told) -> Fit:
    """The diameter with the best label-free score on a part of the images, where more than one is plausible."""
    sizes, unit = plausible(seen), seen.unit
    found = {size: fitted(segmenter, volumes, size, polarity) for size in sizes}
    said = f"{polarity} objects {sizes[0]:.3g} {unit} across, measured with a confidence of {seen.confidence:.2f}"
    if len(sizes) == 1:
        return Fit(found[sizes[0]], said, sizes[0], polarity)
    scores: dict[float, float] = {}
    for number, (size, model) in enumerate(found.items()):
        step = part_of(lambda done: told(0.5 + 0.5 * done), number, len(found))
        scores[size] = tried(model, volumes, step)
    chosen = max(scores, key=lambda size: scores[size])
    tries = ", ".join(f"{size:.3g} {unit}: {value:.2f}" for size, value in sorted(scores.items()))
    words = f"{said}; tried on a part of the images, scores {tries}; {chosen:.3g} {unit} is taken"
    return Fit(found[chosen], words, chosen, polarity, scores)


def tried(model: Segmenter, volumes: Sequence[Volume], told: Told) -> float:
    """The label-free score of a model on the middle of some images."""
    few = [volumes[i * len(volumes) // min(len(volumes), IMAGES)] for i in range(min(len(volumes), IMAGES))]
    ratio = float(min(own for own in few[0].voxel.size) / min(model.voxel.size))
    voxels = int(SAMPLE[len(model.axes)] / max(ratio, 1e-3) ** len(model.axes))
    parts = [middle(volume, voxels) for volume in few]
    return total([judge(model, part, told=part_of(told, i, len(parts))) for i, part in enumerate(parts)]).value


def fitted(segmenter: Segmenter, volumes: Sequence[Volume], diameter: float, polarity: Polarity) -> Segmenter:
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
        name: scaled(one, side, unit).model_dump(mode="json", exclude_none=True)
        for name, one in expectations(segmenter.card).items()
    }
    return replace(
        segmenter,
        voxel=Voxel((side,) * segmenter.voxel.ndim, unit),
        representation=represent,
        normalisation=inverted(segmenter.normalisation) if polarity == "dark" else segmenter.normalisation,
        card=segmenter.card | {"objects": objects, "fitted": {"diameter": diameter, "polarity": polarity}},
        diameter=None,
    )


def inverted(recipe: Recipe) -> Recipe:
    """Dark objects become bright ones."""
    first = recipes(recipe)[0]
    return first.model_copy(update={"invert": not first.invert})


def scaled(one: Expected, side: float, unit: str) -> Expected:
    """What a model expects of objects, where its voxels have this side."""

    def times(values: dict[str, float], factor: float) -> dict[str, float]:
        return {key: value * factor for key, value in values.items()}

    return one.model_copy(
        update={
            "unit": unit, "diameter": times(one.diameter, side), "density": times(one.density, side**-one.ndim),
        }
    )  # fmt: skip
