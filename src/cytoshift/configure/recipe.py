"""From raw images to the settings of a run: what a user of AD-GAN would otherwise find by hand."""

import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import yaml

from ..core.errors import UserError
from ..core.rng import stream
from ..core.settings import parse
from ..core.voxel import Voxel
from ..data.resample import working_shape
from ..data.volumes import ImageSource, Volume, load_small, open_volumes
from ..measure.estimate import estimate
from ..measure.measurement import Measurement
from ..methods import ADGAN, KNOWN, METHODS, TWO_STAGES
from ..synth import Groups, Lognormal, Prior, draw_labels
from ..train.run_settings import Run
from .preset_choice import fixed_settings

Polarity = Literal["auto", "bright", "dark"]
Told = Callable[[int, int], None]  # done, in all


@dataclass(frozen=True)
class Aim:
    """How many working voxels the median object shall be across: resampled to `best` if outside of least..most.

    deep: a coarse z stays as it is where the object is so many voxels deep; None: voxels are cubic.
    """

    least: float
    best: float
    most: float
    patch: tuple[int, ...]  # where the preset names none, for cubic voxels
    deep: float | None = None


# laptop: small networks see about 20 voxels around; several objects must fit into a patch that a CPU can take.
# paper: Table 9's longest semi-axes of 13 to 35 pixels in patches of 256 x 256 or 64 x 128 x 128.
AIMS = {
    "laptop-2d": Aim(10, 24, 32, (128, 128)),
    "laptop-3d": Aim(9, 18, 24, (24, 48, 48), deep=9),
    "paper-2d": Aim(18, 36, 70, (256, 256)),
    "paper-3d": Aim(15, 26, 70, (64, 128, 128)),
}
AIMS |= {f"stretched-{ndim}d": AIMS[f"laptop-{ndim}d"] for ndim in (2, 3)}  # another contrast, else the same
AIMS |= {f"zhu-{ndim}d": AIMS[f"paper-{ndim}d"] for ndim in (2, 3)}  # another paper's numbers
ROOM_BYTES = 400e6  # bytes of raw images that are kept in memory while they are measured
LOOKED_SHARE = 0.9  # share of the voxels below which it is said how many were looked at
ROUND_ELONGATION = 1.15  # objects stretched along z by less than this count as not stretched
SLENDEREST = 3.0  # times as long as wide, at most: beyond, two objects were taken for one
FEW_GROUPED, MOST_GROUPS = 4, 16  # images: fewer make no groups, of more some are chosen
DENSITY_ROUNDS, DRAWN_MASKS = 3, 64  # of masks drawn to find the density that covers what is covered
FINEST_STRETCH = 2.0  # an image is stretched at most by this: beyond, nothing is added but work
SHORTEST_SIDE = 24  # voxels: what the networks can take
SMALLEST = 2 / 3  # of the diameter that 95 % of the whole objects exceed: below, it is none
FEW_IMAGES, PATCH_PART = 8, 1 / 2  # of fewer images a patch is not more than this part along every axis
COARSEST_STRETCH = 3.0  # a coarse z is stretched at most by this


@dataclass(frozen=True, eq=False)
class Survey:
    """Measurements of a set of images, before any training."""

    source: ImageSource
    volumes: list[Volume]
    measured: Measurement
    declared: bool  # whether the user said the polarity
    words: str | None = None  # where its numbers are not what was measured

    @property
    def is_dark(self) -> bool:
        return self.measured.polarity == "dark"

    def sentence(self) -> str:
        """The measurement for a person."""
        if self.words is not None:
            return self.words
        seen, unit = self.measured, self.measured.unit
        low, middle, high = (f"{seen.whole_diameters[q]:.3g}" for q in (5, 50, 95))
        share = seen.evidence.get("looked_at", 1.0)
        part = f", {100 * share:.2g} % of their voxels looked at" if share < LOOKED_SHARE else ""
        return (
            f"{seen.objects} {seen.polarity} objects in {len(seen.images)} of {len(self.volumes)} images{part}: "
            f"diameter {middle} {unit} (90 % within {low} to {high}), {seen.density[50]:.3g} per {unit}^{seen.ndim}, "
            f"{100 * seen.foreground:.0f} % of the field; confidence {seen.confidence:.2f} of 1"
        )


def survey_images(source: ImageSource, polarity: Polarity = "auto", progress: Told | None = None) -> Survey:
    """Open the images and measure them; progress as of `estimate`.

    Raises UserError where nothing is found, or nothing that could be measured.
    """
    volumes = open_volumes(source)
    given, names = None if polarity == "auto" else polarity, [v.name for v in volumes]
    measured = estimate(load_small(volumes, ROOM_BYTES), [v.voxel for v in volumes], given, progress, names)
    return Survey(source, volumes, measured, polarity != "auto")


def settings(
    survey: Survey, preset: str = "laptop", *, method: str = ADGAN.name,
    represent: str = "semantic", seed: int = 0, drawn: bool = True,
) -> Run:  # fmt: skip
    """Settings of a run from a survey; drawn: with a prior of masks that are drawn like the objects seen.

    Raises UserError where method and preset do not fit the images.
    """
    if not survey.measured.objects:
        raise UserError(
            f"no {survey.measured.polarity} objects stand out in {survey.volumes[0].origin} and the "
            f"{len(survey.volumes) - 1} other images; look at the images, or declare the other `polarity`"
        )
    ndim = survey.volumes[0].voxel.ndim
    name = preset_name(method, preset, ndim)
    fixed, aim = fixed_settings(method, name), AIMS[name]
    working = resolution(survey, aim)
    own = {volume.voxel for volume in survey.volumes}
    sizes = patch(survey, working, fixed.get("patch", aim.patch))
    masks: dict[str, Any] = {"ternary": {"edge": "half"}, "semantic": {"split": "distance"}}.get(represent, {})
    if "threshold" in fixed and represent == "semantic":
        masks["threshold"] = fixed["threshold"]
    found = {"prior": prior(survey, working, sizes).model_dump(mode="json", exclude_unset=True)} if drawn else {}
    return parse(
        Run,
        {
            "method": method,
            "seed": seed,
            "data": {
                "images": survey.source.model_dump(mode="json", exclude_defaults=True),
                "normalise": {
                    "kind": "percentile",
                    "low": 0.5,
                    "high": 99.8,
                    "gamma": 1.0,
                    "invert": survey.is_dark,
                    **fixed.get("normalise", {}),
                },
                "voxel": None if own == {working} else working.size,
                "augment": {"flips": True, "rotations": True, "gamma": 0.0, **fixed.get("augment", {})},
            },
            "patch": sizes,
            **found,
            "represent": {
                "kind": represent,
                **masks,
                "smallest": round_digits(SMALLEST * survey.measured.whole_diameters[5]),
            },
            "options": dict(fixed["options"]),
            "train": dict(fixed["train"]),
            **({"translator_train": fixed["translator_train"]} if "translator_train" in fixed else {}),
        },
        "the measured settings",
    )


def preset_name(method: str, wish: str, ndim: int) -> str:
    """The preset for images of so many dimensions: "laptop" is "laptop-2d" or "laptop-3d"."""
    if method not in KNOWN:
        raise UserError(f"there is no method '{method}', there are {', '.join(KNOWN)}; pass one of them")
    known = METHODS[method] if method in METHODS else TWO_STAGES[method].segmenter
    fitting = [name for name in known.presets if name in AIMS and name.endswith(f"-{ndim}d")]
    found = next((name for name in fitting if wish in (name, name.removesuffix(f"-{ndim}d"))), None)
    if found is None:
        there = ", ".join(fitting)
        raise UserError(
            f"{method} has no preset '{wish}' for {ndim}D images, it has {there}; pass one of them as `preset`"
        )
    return found


def resolution(survey: Survey, aim: Aim) -> Voxel:
    """The voxel size to learn at: the median object is `aim` voxels across.

    Images are resampled only if necessary: a size between `least` and `most` is not changed, nor is a z step if objects
    are `deep` enough. A coarser z step is stretched to cubic voxels, as all are in the paper ("normalised to the same
    spacing"), up to COARSEST_STRETCH.
    """
    voxels = [volume.voxel for volume in survey.volumes]
    unit, median = voxels[0].unit, survey.measured.whole_diameters[50]
    own = float(np.median([min(voxel.size) for voxel in voxels]))
    across = median / own
    fine = own if aim.least <= across <= aim.most else max(median / aim.best, own / FINEST_STRETCH)
    z = float(np.median([voxel.size[0] for voxel in voxels]))
    stays = aim.deep is not None and median / z >= aim.deep
    if fine == own and len(set(voxels)) == 1 and (stays or len(set(voxels[0].size)) == 1):
        return voxels[0]
    fine = round_digits(fine)
    if len(voxels[0].size) == 2:
        return Voxel((fine, fine), unit)
    return Voxel((max(fine, round_digits(z if stays else z / COARSEST_STRETCH)), fine, fine), unit)


def patch(survey: Survey, working: Voxel, wish: tuple[int, ...], least: int = SHORTEST_SIDE) -> tuple[int, ...]:
    """Voxels of a patch: `wish` for cubic voxels, shorter along a coarse axis and where every image is shorter.

    Of a few small images a patch takes a part: always shown whole, they are soon known by heart. No axis has fewer
    than `least` voxels.
    """
    room = np.maximum(np.max([working_shape(v.shape, v.voxel, working) for v in survey.volumes], axis=0), least)
    fits = np.minimum([n * min(working.size) / step for n, step in zip(wish, working.size)], room)
    if len(survey.volumes) < FEW_IMAGES and (fits >= PATCH_PART * room).all():
        fits = np.maximum(PATCH_PART * room, least)
    return tuple(max(int(n) // 4 * 4, least) for n in fits)


def prior(survey: Survey, working: Voxel, patch: tuple[int, ...]) -> Prior:
    """Synthetic objects as large, as many and as long as those that were seen.

    Diameters are those of whole objects, since masks are cut at the border like images. Densities are scaled until
    drawn masks cover as much of their field as the objects of the images do.
    """
    seen = survey.measured
    sizes, law = seen.whole_diameters, density(seen)
    median = sizes[50]
    axial = min(max(seen.axial_elongation or 1.0, 0.5), 2.0)
    if max(axial, 1 / axial) < ROUND_ELONGATION:
        axial = 1.0
    # the quartiles of a normal law lie 1.349 standard deviations apart
    variance = (math.log(sizes[75] / sizes[25]) / 1.349) ** 2
    if isinstance(law, Groups):  # part of the spread is between the groups
        variance -= float(np.var(np.log([diameter for diameter, _ in law.groups])))
    guess = Prior(
        diameter=Lognormal(
            median=round_digits(median),
            sigma=round_digits(min(max(variance, 0.05**2) ** 0.5, 0.6)),
            clip=(round_digits(min(0.9 * sizes[5] / median, 1.0)), round_digits(max(1.1 * sizes[95] / median, 1.0))),
        ),
        elongation=elongation(seen, axial),
        axial=round_digits(axial),
        irregularity=0.03,
        density=law,
        clustering=0.3,
        min_gap=0.0,
        border="window",
        unit=working.unit,
    )  # fmt: skip
    return scale_to_cover(guess, seen.foreground, working, patch)


def elongation(seen: Measurement, axial: float) -> tuple[float, float]:
    """Range of long over short axis that gives the ratios seen."""
    if seen.ndim == 2:
        low, high = seen.elongation[5], seen.elongation[95]
    else:  # the longest over the shortest of three axes: of two uniform draws, the larger has its median at 0.707
        low = 1.0
        high = 1 + (seen.elongation[50] / max(axial, 1 / axial) - 1) / 0.707
    low = min(max(low, 1.0), SLENDEREST)
    return round_digits(low), round_digits(min(max(high, low, 1.1), SLENDEREST))


def density(seen: Measurement) -> Groups | tuple[float, float]:
    """How many objects: groups of diameter and density as the images show them; of few images, half to one and a half
    times what was seen."""
    shown = [(image.diameter, image.density) for image in seen.images if image.diameter]
    if len(shown) < FEW_GROUPED:
        middle = seen.density[50]
        return round_digits(min(seen.density[5], 0.5 * middle)), round_digits(max(seen.density[95], 1.5 * middle))
    shown.sort(key=lambda pair: pair[1])
    count = min(len(shown), MOST_GROUPS)
    chosen = [shown[int((i + 0.5) * len(shown) / count)] for i in range(count)]
    return Groups(groups=tuple((round_digits(d), round_digits(n)) for d, n in chosen))


def scale_to_cover(guess: Prior, share: float, working: Voxel, patch: tuple[int, ...]) -> Prior:
    """`guess` with its density scaled so that masks are covered to `share` on average.

    Objects that reach in from outside, give way to others or are clipped in size make any formula wrong; a few
    dozen drawn masks do not. A crowd in which no more find room is left as it is.
    """
    total, law = 1.0, guess.density
    for round_ in range(DENSITY_ROUNDS):
        drawn = [draw_labels(guess, patch, working, stream(0, "cover", round_, i)) > 0 for i in range(DRAWN_MASKS)]
        total *= min(max(share / max(float(np.mean(drawn)), 1e-6), 0.5), 2.0)
        guess = guess.model_copy(update={"density": scale_density(law, total)})
    return guess


def scale_density(law: Any, factor: float) -> Groups | tuple[float, float]:
    """A range or groups of densities, `factor` times as dense."""
    if isinstance(law, Groups):
        pairs = tuple((diameter, round_digits(density * factor)) for diameter, density in law.groups)
        return Groups(groups=pairs, jitter=law.jitter)
    return round_digits(law[0] * factor), round_digits(law[1] * factor)


def round_digits(value: float, digits: int = 3) -> float:
    """To significant digits: a person reads the file.

    >>> round_digits(0.00123456)
    0.00123
    """
    return float(f"{value:.{digits}g}")


def overlay_settings(data: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with `extra` over it: groups go into groups, and "train.steps" is steps of the group train.

    >>> overlay_settings({"train": {"lr": 1, "steps": 2}}, {"train.steps": 3})
    {'train': {'lr': 1, 'steps': 3}}
    """
    out = dict(data)
    for key, value in extra.items():
        first, dot, rest = key.partition(".")
        inner = {rest: value} if dot else value
        whole = isinstance(inner, Mapping) and isinstance(out.get(first), dict)
        out[first] = overlay_settings(out[first], inner) if whole else inner
    return out


def to_commented_yaml(run: Run, survey: Survey) -> str:
    """run.yaml: what was set, group by group, each with what it is and where its numbers come from."""
    notes = (f"Note: {note}." for note in survey.measured.notes)
    return commented_yaml(run, comments(run, survey), f"{survey.sentence()}.", *notes)


def commented_yaml(run: Run, words: Mapping[str, tuple[str, ...]], *heading: str) -> str:
    """Paragraphs, and then every group of what was set, under its words."""
    parts = [comment(*heading)]
    for key, value in run.model_dump(mode="json", exclude_unset=True).items():
        parts.append(comment(*words.get(key, ())) + as_text(key, value))
    return "\n".join(parts)


def as_text(key: str, value: Any) -> str:
    """One group of settings as YAML, its lists in a line each."""
    if not isinstance(value, dict | list):
        return f"{key}: {value}\n"
    return yaml.safe_dump({key: value}, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)


def comments(run: Run, survey: Survey) -> dict[str, tuple[str, ...]]:
    """Words on each group of settings, a paragraph per line."""
    seen, own = survey.measured, survey.volumes[0].voxel
    unit, median = seen.unit, seen.whole_diameters[50]
    working = run.data.voxel or own.size
    step, shortest = min(working), min(n * size for n, size in zip(run.patch, working)) / median
    at = f"as they are, at {own}" if run.data.voxel is None else f"at this size in {unit}, not at their own {own}"
    polarity = "declared" if survey.declared else f"measured, confidence {seen.polarity_confidence:.2f}"
    ternary = run.represent.kind == "ternary"
    return {
        "seed": ("Another number gives another training.",),
        "data": (
            "The images, and how they are read.",
            f"normalise: these percentiles of each image become -1 and 1; objects are {seen.polarity} ({polarity}); "
            "gamma below 1 lifts dim objects beside bright ones.",
            f"voxel: the training takes the images {at}: the median object is {median / step:.0f} voxels across.",
            "augment: patches are mirrored and turned; gamma: their contrast varies by 2 to the power of +- so much; "
            "bias_field: a slowly varying brightness, in octaves, so that brightness does not end up as size.",
        ),
        "patch": (
            f"Size of what the networks see at once, in voxels: {shortest:.1f} median objects along the shortest.",
        ),
        "prior": (
            "How synthetic masks are drawn; the preview beside this file shows some.",
            f"diameter: median ({unit}) and sigma (standard deviation of the logarithm) of the whole objects seen; "
            "clip: smallest and largest, in multiples of the median.",
            f"density: objects per {unit}^{seen.ndim}, least and most, or groups of (diameter, density) as images show "
            f"them; scaled until masks are covered like the images ({100 * seen.foreground:.1f} %).",
            "elongation: long over short axis, as seen; axial: stretch along z, as seen.",
            "irregularity (of the outline), clustering (chance to touch another): usual values, not measured.",
        ),
        "represent": (
            "How the networks see a mask.",
            *(["edge: half: gray to half of each object's depth (the authors' code); or a width."] * ternary),
            f"smallest: equivalent diameter of the smallest object, in {unit}: two thirds of what 95 % of the whole "
            "ones seen exceed.",
        ),
        "options": (
            "Of the method: sizes of its networks. To add: the weights of its paper and its ablations; the page of the "
            "method has them all.",
        ),
        "train": ("Number of steps and learning rate, which falls until the last step.",),
    }


def comment(*paragraphs: str) -> str:
    lines = [line for text in paragraphs for line in textwrap.wrap(text, 106, break_on_hyphens=False)]
    return "".join(f"# {line}\n" for line in lines)
