"""From raw images with a channel for each class to the settings of a run, class by class."""

from typing import Any, Literal, NamedTuple

import numpy as np

from ..core.errors import UserError
from ..core.rng import stream
from ..core.settings import parse
from ..core.voxel import Voxel
from ..data.volumes import ImageSource
from ..labels.filters import remove_border
from ..labels.objects import objects
from ..synth import CLASSES, PAIR_PRIORS, PairPrior, draw_pairs
from . import recipe
from .loop import working_voxel
from .recipe import SMALLEST, Polarity, Survey, as_text, comment, rounded
from .settings import Run

HEAVIEST = 3.5  # the paper's weight of Golgi, found by experiments
DRAWN = 16  # volumes that tell what a prior draws


def look(
    source: ImageSource, channels: dict[str, int], polarity: Polarity = "auto", progress: recipe.Told | None = None
) -> dict[str, Survey]:
    """Measure the channel of every class by itself."""
    return {
        name: recipe.look(source.model_copy(update={"channel": number}), polarity, progress)
        for name, number in channels.items()
    }


class Known(NamedTuple):
    """Of the objects of one class: median and 5th percentile of their diameters, and the share of the field."""

    median: float
    small: float
    share: float


def settings(
    surveys: dict[str, Survey], preset: str = "laptop", *, method: str = "mask_cyclegan",
    represent: Literal["ternary", "semantic"] = "semantic", cells: str | None = None, seed: int = 0,
) -> Run:  # fmt: skip
    """Settings of a run from the surveys of its classes. Voxel size and patch are those of the largest objects.

    cells: name of a prior of synth.PAIR_PRIORS for Golgi and their nuclei: sizes and weights are then those of what it
    draws and not those measured. Two classes become pairs, in which the smaller objects belong to the larger ones.
    """
    runs = {name: alone(name, survey, preset, method, represent, seed) for name, survey in surveys.items()}
    largest = max(surveys, key=lambda name: surveys[name].measured.whole_diameters[50])
    data: dict[str, Any] = runs[largest].model_dump(mode="json", exclude_unset=True)
    data["data"]["images"]["channel"] = [survey.source.channel for survey in surveys.values()]
    data["data"]["normalise"] = [run.model_dump(mode="json")["data"]["normalise"] for run in runs.values()]
    del data["prior"]
    if cells is None:
        data["priors"] = {name: run.model_dump(mode="json", exclude_unset=True)["prior"] for name, run in runs.items()}
        known = {name: measured(survey) for name, survey in surveys.items()}
    else:
        prior = one_of(cells, tuple(surveys))
        data["cells"] = prior.model_dump(mode="json", exclude_defaults=True) | {"kind": "pairs"}
        voxel = working_voxel(runs[largest], surveys[largest].volumes)
        known = drawn(prior, tuple(surveys), tuple(2 * n for n in runs[largest].patch), voxel)
    ways = {name: run.model_dump(mode="json", exclude_unset=True)["represent"] for name, run in runs.items()}
    data["represent"] = {
        "kind": "classes",
        "classes": {name: way | {"smallest": rounded(SMALLEST * known[name].small)} for name, way in ways.items()},
        "weights": weights(known),
    }
    if len(known) == 2:
        small, large = sorted(known, key=lambda name: known[name].median)
        data["represent"] |= {"belongs": {small: large}, "reach": rounded(known[small].median)}
    return parse(Run, data, "the measured settings")


def one_of(cells: str, names: tuple[str, ...]) -> PairPrior:
    if cells not in PAIR_PRIORS:
        raise UserError(f"cells '{cells}' asked for, there are {', '.join(PAIR_PRIORS)}; pass one of them")
    if not set(names) <= set(CLASSES):
        raise UserError(f"cells '{cells}' draws {' and '.join(CLASSES)}, not {', '.join(names)}; name channels so")
    return PAIR_PRIORS[cells]


def measured(survey: Survey) -> Known:
    sizes = survey.measured.whole_diameters
    return Known(sizes[50], sizes[5], survey.measured.foreground)


def drawn(prior: PairPrior, names: tuple[str, ...], shape: tuple[int, ...], voxel: Voxel) -> dict[str, Known]:
    """The same of what a prior draws, of whole objects."""
    volumes = [draw_pairs(prior, shape, voxel, stream(0, "known", i)) for i in range(DRAWN)]
    known = {}
    for name in names:
        each = [labels[CLASSES.index(name)] for labels in volumes]
        sizes = np.concatenate([objects(remove_border(one), voxel).diameter for one in each])
        if not sizes.size:
            raise UserError(f"the prior draws no whole {name} in {shape} voxels of {voxel}; take another --cells")
        small, median = np.percentile(sizes, (5, 50))
        known[name] = Known(float(median), float(small), float(np.mean([one > 0 for one in each])))
    return known


def alone(name: str, survey: Survey, preset: str, method: str, represent: Any, seed: int) -> Run:
    """Settings as if there were this class alone."""
    if not survey.measured.objects:
        raise UserError(
            f"no {survey.measured.polarity} objects stand out in channel {survey.source.channel}, {name}; look at it, "
            "or declare the other --polarity"
        )
    return recipe.settings(survey, preset, method=method, represent=represent, seed=seed)


def weights(known: dict[str, Known]) -> dict[str, float]:
    """More for what covers less: the root of how many times less than the class that covers most, HEAVIEST at most."""
    most = max(one.share for one in known.values())
    return {name: min(rounded((most / max(one.share, 1e-6)) ** 0.5, 2), HEAVIEST) for name, one in known.items()}


def commented(run: Run, surveys: dict[str, Survey]) -> str:
    """run.yaml, group by group, each with what it is and where its numbers come from."""
    words = comments(run, surveys)
    seen = [f"{name}: {survey.sentence()}." for name, survey in surveys.items()]
    notes = [f"Note on {name}: {note}." for name, survey in surveys.items() for note in survey.measured.notes]
    parts = [comment(*seen, *notes)]
    for key, value in run.model_dump(mode="json", exclude_unset=True).items():
        parts.append(comment(*words.get(key, ())) + as_text(key, value))
    return "\n".join(parts)


def comments(run: Run, surveys: dict[str, Survey]) -> dict[str, tuple[str, ...]]:
    names = list(surveys)
    dark = ", ".join(name for name, survey in surveys.items() if survey.dark) or "of no class"
    return {
        "seed": ("Another number is another training.",),
        "data": (
            f"The images, and how they are read. channel: of {', '.join(names)}, in this order.",
            f"normalise: of each channel; these percentiles of each image become -1 and 1; objects are dark: {dark}.",
            "voxel: the size that is learnt at, where it is not that of the images.",
            "augment: patches are mirrored and turned; shade: an uneven light, in octaves.",
        ),
        "patch": ("What the networks see at once, in voxels.",),
        "priors": (
            "How synthetic masks of each class are drawn, measured in its channel; the preview beside this file shows "
            "some. Objects of one class know nothing of those of another.",
        ),
        "cells": ("How synthetic Golgi and nuclei are drawn; the preview beside this file shows some. Not measured.",),
        "represent": (
            "How the networks see a mask, class by class. smallest: equivalent diameter of the smallest object.",
            "weights: of the classes in the losses, more for what covers less; the paper has 3.5 for Golgi.",
            *(
                ["belongs: each of the one to the nearest of the other, surfaces not further apart than reach."]
                if run.represent.kind == "classes" and run.represent.belongs
                else []
            ),
        ),
        "options": (
            "Of the method: widths of the networks. To add: the paper's weights (cycle, identity, adversarial).",
        ),
        "train": ("How long and how fast. 'max_minutes: 30' stops there, the learning rate then falls with the time.",),
    }
