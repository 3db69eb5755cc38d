"""From images with a channel for each class to the settings of a run, class by class."""

from typing import Any, Literal, NamedTuple

import numpy as np

from ..core.errors import UserError
from ..core.normalise import recipes
from ..core.rng import stream
from ..core.settings import parse
from ..core.voxel import Voxel
from ..data.volumes import ImageSource, open_volumes
from ..labels.filters import remove_border
from ..labels.objects import objects
from ..measure.measurement import Measurement, quantiles
from ..measure.notes import DOUBTFUL_CONFIDENCE
from ..methods import METHODS, MaskCycleGAN, Supervised
from ..synth import CLASSES, PAIR_PRIORS, PairPrior, draw_pairs
from ..train.run_settings import Run
from . import recipe
from .recipe import SMALLEST, Polarity, Survey, commented_yaml, round_digits
from .source_labels import SourceSurvey, assume_same_size, settings_from_source, survey_source

BLACK_COVER, WHITE_COVER = 4.0, 0.5  # of the share that objects cover: what is darker is black, what is lighter white
LEAST_ACROSS = 6  # voxels across the smaller objects
HEAVIEST = 3.5  # the paper's weight of Golgi, found by experiments
DRAWN_VOLUMES, GOLGI_ACROSS, DRAWN_SHAPE = 16, 6, (64, 96, 96)  # to know a prior: volumes, voxels across a Golgi, size

Labels = dict[str, ImageSource]  # files of each class


def look(
    source: ImageSource, channels: dict[str, int | str], polarity: Polarity = "auto", cells: str | None = None,
    progress: recipe.Told | None = None,
) -> dict[str, Survey]:  # fmt: skip
    """Measure the channel of every class by itself.

    cells: name of a prior of synth.PAIR_PRIORS, whose objects are taken for those of the images: nothing is measured,
    and objects are bright unless `polarity` says that they are dark.
    Raises UserError where what stands out in a channel is no more than noise.
    """
    sources = {name: source.model_copy(update={"channel": number}) for name, number in channels.items()}
    if cells is not None:
        return replace_by_prior(sources, cells, polarity)
    surveys = {name: recipe.survey_images(one, polarity, progress) for name, one in sources.items()}
    for name, survey in surveys.items():
        refuse_noise(name, survey, channels[name])
    return surveys


def refuse_noise(name: str, survey: Survey, channel: int | str) -> None:
    """Raises UserError where what was measured is no more than noise."""
    seen = survey.measured
    if seen.objects and seen.evidence["separation"] < DOUBTFUL_CONFIDENCE:
        raise UserError(
            f"{name} cannot be measured in channel {channel}: the {seen.objects} {seen.polarity} structures that stand "
            f"out are {seen.evidence['contrast_to_background']:.2g} standard deviations of the background above it, as "
            "noise would be; pass `cells=retina` or ss-seg-cyclegan, which draw Golgi and nuclei of known sizes"
        )


def replace_by_prior(sources: dict[str, ImageSource], cells: str, polarity: Polarity) -> dict[str, Survey]:
    """The images as if their objects were what the prior draws."""
    prior = classes_of_prior(cells, tuple(sources))
    side: Literal["bright", "dark"] = "dark" if polarity == "dark" else "bright"
    volumes = {name: open_volumes(source) for name, source in sources.items()}
    known = sample_diameters(prior, tuple(sources), next(iter(volumes.values()))[0].voxel)
    surveys = {}
    for name, source in sources.items():
        sizes, share = known[name]
        measured = Measurement(
            unit=volumes[name][0].voxel.unit, ndim=3, polarity=side, polarity_confidence=1.0, objects=sizes.size,
            diameters=quantiles(sizes), whole_diameters=quantiles(sizes), density={}, foreground=share, elongation={},
            axial_elongation=None, confidence=1.0, evidence={}, images=(), notes=(),
        )  # fmt: skip
        words = f"{side} objects of {np.median(sizes):.3g} {measured.unit}, as {cells} draws them; nothing was measured"
        surveys[name] = Survey(source, volumes[name], measured, declared=True, words=words)
    return surveys


class ClassSizes(NamedTuple):
    """Of the objects of one class: median and 5th percentile of their diameters, and the share of the field."""

    median: float
    small: float
    share: float


def settings(
    surveys: dict[str, Survey], preset: str = "laptop", *, method: str = MaskCycleGAN.name,
    represent: Literal["ternary", "semantic"] = "semantic", cells: str | None = None, seed: int = 0,
) -> Run:  # fmt: skip
    """Settings of a run from the surveys of its classes. Voxel size and patch: see `base`.

    cells: the prior that the surveys are of, see `look`. Two classes become pairs, in which the smaller objects belong
    to the larger ones.
    """
    runs = {
        name: single_class_settings(name, survey, preset, method, represent, seed, cells)
        for name, survey in surveys.items()
    }
    if cells is None:
        each = {name: run.model_dump(mode="json", exclude_unset=True)["prior"] for name, run in runs.items()}
        masks = {"priors": each}
    else:
        prior = classes_of_prior(cells, tuple(surveys))
        masks = {"cells": prior.model_dump(mode="json", exclude_defaults=True) | {"kind": "pairs"}}
    first = next(iter(surveys.values()))
    fixed = METHODS[method].presets[recipe.preset_name(method, preset, first.volumes[0].voxel.ndim)]
    known = {name: to_class_sizes(survey) for name, survey in surveys.items()}
    return join_runs(runs, known, fixed.get("smaller_class"), **masks)


def survey_source_classes(
    images: ImageSource,
    labels: Labels,
    channels: dict[str, int | str],
    mask_above: float | None = None,
    ignore_id: int | None = None,
) -> dict[str, SourceSurvey]:
    """Labelled images of several classes and what the labels of each say; see borrow.lent."""
    return {
        name: survey_source(images.model_copy(update={"channel": number}), labels[name], mask_above, ignore_id)
        for name, number in channels.items()
    }


def settings_from_class_source(
    target: ImageSource, channels: dict[str, int | str], stock: dict[str, SourceSurvey], preset: str = "laptop", *,
    method: str = Supervised.name, represent: str = "bcd", seed: int = 0,
) -> Run:  # fmt: skip
    """Settings of a run that learns from labels of several classes; the target's objects are taken to be like theirs.

    channels: of the target, by class; those of the source are in `stock`. Voxel size and patch: see `base`.
    """
    runs = {}
    for name, number in channels.items():
        seen = assume_same_size(target.model_copy(update={"channel": number}), stock[name])
        runs[name] = settings_from_source(seen, stock[name], preset, method=method, represent=represent, seed=seed)
    known = {name: ClassSizes(one.diameters[50], one.diameters[5], one.share) for name, one in stock.items()}
    plain = [run.model_dump(mode="json", exclude_unset=True)["source"] for run in runs.values()]
    lender = plain[0] | {
        "voxel": base(runs, known).model_dump(mode="json")["source"]["voxel"],
        "images": plain[0]["images"] | {"channel": [one.images.channel for one in stock.values()]},
        "labels": {name: one["labels"] for name, one in zip(runs, plain)},
        "normalise": [one["normalise"] for one in plain],
    }
    return join_runs(runs, known, source=lender, tune=False)


def base(runs: dict[str, Run], known: dict[str, ClassSizes]) -> Run:
    """The run whose voxel size and patch are taken for all: of the largest objects, unless the smallest ones are lost.

    Networks are to see as much as they can around large objects; but those with less than LEAST_ACROSS voxels
    across, as Golgi have beside nuclei, would come out as dots.
    """
    *_, large = order = sorted(known, key=lambda name: known[name].median)
    small = order[0]
    voxel = runs[large].data.voxel
    return runs[large] if voxel is None or known[small].median >= LEAST_ACROSS * min(voxel) else runs[small]


def join_runs(
    runs: dict[str, Run], known: dict[str, ClassSizes], smaller_class: float | None = None, **given: Any
) -> Run:
    """One run of those of its classes; what is given stands in the place of each one's own. smaller_class: see
    `weights`."""
    data: dict[str, Any] = base(runs, known).model_dump(mode="json", exclude_unset=True)
    data["data"]["images"]["channel"] = [run.data.images.channel for run in runs.values()]
    data["data"]["normalise"] = [run.model_dump(mode="json")["data"]["normalise"] for run in runs.values()]
    data.pop("prior", None)
    ways = {name: run.model_dump(mode="json", exclude_unset=True)["represent"] for name, run in runs.items()}
    data |= given
    data["represent"] = {
        "kind": "classes",
        "classes": {name: way | {"smallest": round_digits(SMALLEST * known[name].small)} for name, way in ways.items()},
        "weights": weights(known, smaller_class),
    }
    if len(known) == 2:
        small, large = sorted(known, key=lambda name: known[name].median)
        data["represent"] |= {"belongs": {small: large}, "reach": round_digits(known[small].median)}
    return parse(Run, data, "the measured settings")


def classes_of_prior(cells: str, names: tuple[str, ...]) -> PairPrior:
    if cells not in PAIR_PRIORS:
        raise UserError(f"there are no cells '{cells}', only {', '.join(PAIR_PRIORS)}; pass one of them")
    if not set(names) <= set(CLASSES):
        raise UserError(
            f"cells '{cells}' draws {' and '.join(CLASSES)}, not {', '.join(names)}; use these names for the channels"
        )
    return PAIR_PRIORS[cells]


def to_class_sizes(survey: Survey) -> ClassSizes:
    sizes = survey.measured.whole_diameters
    return ClassSizes(sizes[50], sizes[5], survey.measured.foreground)


def sample_diameters(prior: PairPrior, names: tuple[str, ...], voxel: Voxel) -> dict[str, tuple[np.ndarray, float]]:
    """Diameters of the whole objects that a prior draws, (N,), and the share of the field that they cover.

    voxel: of the images, whose unit the prior is in.
    """
    grid = Voxel((2 * prior.golgi.middle / GOLGI_ACROSS,) * 3, voxel.unit)
    volumes = [draw_pairs(prior, DRAWN_SHAPE, grid, stream(0, "known", i)) for i in range(DRAWN_VOLUMES)]
    known = {}
    for name in names:
        each = [labels[CLASSES.index(name)] for labels in volumes]
        sizes = np.concatenate([objects(remove_border(one), grid).diameter for one in each])
        if not sizes.size:
            raise UserError(f"the prior draws no whole {name} in {DRAWN_SHAPE} voxels of {grid}; take another `cells`")
        known[name] = sizes, float(np.mean([one > 0 for one in each]))
    return known


def single_class_settings(
    name: str, survey: Survey, preset: str, method: str, represent: Any, seed: int, cells: str | None
) -> Run:
    """Settings as if there were this class alone."""
    if not survey.measured.objects:
        raise UserError(
            f"no {survey.measured.polarity} objects stand out in channel {survey.source.channel}, {name}; look at it, "
            "or declare the other `polarity`"
        )
    run = recipe.settings(survey, preset, method=method, represent=represent, seed=seed, drawn=cells is None)
    fixed = METHODS[method].presets[recipe.preset_name(method, preset, survey.volumes[0].voxel.ndim)]
    return run if cells is None or "normalise" in fixed else stretch_contrast(run, survey.measured.foreground)


def stretch_contrast(run: Run, share: float) -> Run:
    """With a contrast that leaves little of what objects do not cover; share: of the field that they do.

    The paper's 95 to 98 does so where they cover a few per cent. Without it a generator has to hand all of the noise
    on to its mask, or else the image could not come back from it.
    """
    low, high = max(100 * (1 - BLACK_COVER * share), 0.5), 100 * (1 - WHITE_COVER * share)
    (plain,) = recipes(run.data.normalise)
    ends = (100 - high, 100 - low) if plain.invert else (low, high)
    normalise = plain.model_copy(update=dict(zip(("low", "high"), (round_digits(end, 4) for end in ends))))
    return run.model_copy(update={"data": run.data.model_copy(update={"normalise": normalise})})


def weights(known: dict[str, ClassSizes], smaller_class: float | None = None) -> dict[str, float]:
    """More for what covers less: the root of how many times less than the class that covers most, HEAVIEST at most.

    smaller_class: the weight that a preset gives to the class that covers least, whatever it covers; the others have 1.
    """
    if smaller_class is not None and len(known) > 1:
        least = min(known, key=lambda name: known[name].share)
        return {name: smaller_class if name == least else 1.0 for name in known}
    most = max(one.share for one in known.values())
    return {name: min(round_digits((most / max(one.share, 1e-6)) ** 0.5, 2), HEAVIEST) for name, one in known.items()}


def to_commented_yaml(run: Run, surveys: dict[str, Survey]) -> str:
    """run.yaml, group by group, each with what it is and where its numbers come from."""
    seen = [f"{name}: {survey.sentence()}." for name, survey in surveys.items()]
    notes = [f"Note on {name}: {note}." for name, survey in surveys.items() for note in survey.measured.notes]
    return commented_yaml(run, comments(run, surveys), *seen, *notes)


def comments(run: Run, surveys: dict[str, Survey]) -> dict[str, tuple[str, ...]]:
    names = list(surveys)
    dark, drawn = (
        ", ".join(name for name, survey in surveys.items() if survey.is_dark) or "of no class",
        run.cells is not None,
    )
    return {
        "seed": ("Another number gives another training.",),
        "data": (
            f"The images, and how they are read. channel: of {', '.join(names)}, in this order.",
            f"normalise: of each channel; these percentiles of each image become -1 and 1; objects are dark: {dark}."
            + (" They follow from the share that the cells cover: little remains of what lies between." * drawn),
            "voxel: the voxel size of the training, where it is not that of the images.",
            "augment: patches are mirrored and turned; bias_field: a slowly varying brightness, in octaves.",
        ),
        "patch": ("Size of what the networks see at once, in voxels.",),
        "priors": (
            "How synthetic masks of each class are drawn, measured in its channel; the preview beside this file shows "
            "some. Each class is drawn without regard to the others.",
        ),
        "cells": ("How synthetic Golgi and nuclei are drawn; the preview beside this file shows some. Not measured.",),
        "represent": (
            "How the networks see a mask, class by class. smallest: equivalent diameter of the smallest object.",
            "weights: of the classes in the losses, more for what covers less; the paper has 3.5 for Golgi.",
            *(
                ["belongs: each object to the nearest of the other class, within reach from surface to surface."]
                if run.represent.pairs
                else []
            ),
        ),
        "options": (
            "Of the method: widths of the networks. To add: the paper's weights (cycle, identity, adversarial).",
        ),
        "train": ("Number of steps and learning rate, which falls until the last step.",),
    }


def to_commented_source_yaml(run: Run, stock: dict[str, SourceSurvey]) -> str:
    """The same for a run that learns from labels."""
    dark = ", ".join(name for name, one in stock.items() if one.dark) or "of no class"
    words = {
        "data": (
            "The images that the model is for. Objects are taken to be as large and as dark as in the source.",
            f"channel: of {', '.join(stock)}, in this order. normalise: of each; objects are dark: {dark}.",
        ),
        "source": ("Images and the labels of each class.", "voxel: the size that becomes one voxel of the networks."),
        "represent": (
            "How the networks see a mask, class by class. smallest: equivalent diameter of the smallest object.",
            "weights: of the classes in the losses, more for what covers less.",
        ),
        "train": ("Number of steps and learning rate, which falls until the last step.",),
    }
    return commented_yaml(run, words, *(f"{name}: {one.sentence()}." for name, one in stock.items()))
