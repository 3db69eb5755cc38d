"""From raw images with a channel for each class to the settings of a run, class by class."""

from typing import Any, Literal

from ..core.errors import UserError
from ..core.settings import parse
from ..data.volumes import ImageSource
from ..synth import PAIR_PRIORS
from . import recipe
from .recipe import Polarity, Survey, as_text, comment, rounded
from .settings import Run

HEAVIEST = 3.5  # the paper's weight of Golgi, found by experiments


def look(source: ImageSource, channels: dict[str, int], polarity: Polarity = "auto") -> dict[str, Survey]:
    """Measure the channel of every class by itself."""
    return {
        name: recipe.look(source.model_copy(update={"channel": number}), polarity) for name, number in channels.items()
    }


def settings(
    surveys: dict[str, Survey], preset: str = "laptop", *, method: str = "mask_cyclegan",
    represent: Literal["ternary", "semantic"] = "semantic", cells: str | None = None, seed: int = 0,
) -> Run:  # fmt: skip
    """Settings of a run from the surveys of its classes. Voxel size and patch are those of the largest objects.

    cells: name of a prior of synth.PAIR_PRIORS for Golgi and their nuclei, in the place of what was measured. Two
    classes become pairs, in which the smaller objects belong to the larger ones.
    """
    runs = {name: alone(name, survey, preset, method, represent, seed) for name, survey in surveys.items()}
    medians = {name: survey.measured.whole_diameters[50] for name, survey in surveys.items()}
    small, large = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    data: dict[str, Any] = runs[large].model_dump(mode="json", exclude_unset=True)
    data["data"]["images"]["channel"] = [survey.source.channel for survey in surveys.values()]
    data["data"]["normalise"] = [run.model_dump(mode="json")["data"]["normalise"] for run in runs.values()]
    del data["prior"]
    if cells is None:
        data["priors"] = {name: run.model_dump(mode="json", exclude_unset=True)["prior"] for name, run in runs.items()}
    elif cells in PAIR_PRIORS:
        data["cells"] = PAIR_PRIORS[cells].model_dump(mode="json", exclude_defaults=True) | {"kind": "pairs"}
    else:
        raise UserError(f"cells '{cells}' asked for, there are {', '.join(PAIR_PRIORS)}; pass one of them")
    data["represent"] = {
        "kind": "classes",
        "classes": {name: run.model_dump(mode="json", exclude_unset=True)["represent"] for name, run in runs.items()},
        "weights": weights(surveys),
    }
    if len(surveys) == 2:
        data["represent"] |= {"belongs": {small: large}, "reach": rounded(medians[small])}
    return parse(Run, data, "the measured settings")


def alone(name: str, survey: Survey, preset: str, method: str, represent: Any, seed: int) -> Run:
    """Settings as if there were this class alone."""
    if not survey.measured.objects:
        raise UserError(
            f"no {survey.measured.polarity} objects stand out in channel {survey.source.channel}, {name}; look at it, "
            "or declare the other --polarity"
        )
    return recipe.settings(survey, preset, method=method, represent=represent, seed=seed)


def weights(surveys: dict[str, Survey]) -> dict[str, float]:
    """More for what covers less: the root of how many times less than the class that covers most, HEAVIEST at most."""
    shares = {name: max(survey.measured.foreground, 1e-4) for name, survey in surveys.items()}
    most = max(shares.values())
    return {name: min(rounded((most / share) ** 0.5, 2), HEAVIEST) for name, share in shares.items()}


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
