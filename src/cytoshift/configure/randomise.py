"""Settings of a run on synthetic images of random contrast, whose objects are as large as those of raw images."""

from typing import Any, Literal

from ..core.batch import SyntheticBatch
from ..core.settings import parse
from ..methods import METHODS
from ..methods.randomised import Randomised
from ..train.run_settings import Run
from .recipe import (
    AIMS,
    SLENDEREST,
    SMALLEST,
    Survey,
    commented_yaml,
    comments,
    patch,
    preset_name,
    resolution,
    round_digits,
)  # fmt: skip

METHOD = Randomised.name
WIDER = 1.3  # the medians that are drawn reach so far beyond the quartiles seen, for images of other sizes
COVERED = (0.3, 2.5)  # times the share of the field that objects cover, least and most that is drawn
FULLEST = 1.3  # of that share

Written = Literal["bcd", "bc", "semantic", "ternary"]


def synthesises(method: str) -> bool:
    """Whether a method learns from synthetic images."""
    known = METHODS.get(method)
    return known is not None and SyntheticBatch in known.batch.__annotations__.values()


def settings(survey: Survey, preset: str = "laptop", *, represent: Written = "bcd", seed: int = 0) -> Run:
    """Settings of a training on synthetic images whose objects have the size, shape and density of those seen.

    Raises
    ------
    UserError
        Where the preset does not fit the images.
    """
    seen, ndim = survey.measured, survey.volumes[0].voxel.ndim
    name = preset_name(METHOD, preset, ndim)
    fixed, aim = METHODS[METHOD].presets[name], AIMS[name]
    working = resolution(survey, aim)
    own = {volume.voxel for volume in survey.volumes}
    low, high = (seen.whole_diameters[q] for q in (25, 75))
    share = max(seen.foreground, 0.02)
    writing: dict[str, Any] = {"kind": represent, "smallest": round_digits(SMALLEST * seen.whole_diameters[5])}
    if represent in ("bcd", "bc"):
        writing |= {"contour": "volume" if ndim == 3 else "slice", "threshold": 0.5, "seed_foreground": 0.6,
                    "seed_contour": 0.5}  # fmt: skip
        writing |= {"seed_distance": 0.3, "flood": "distance"} if represent == "bcd" else {}
    return parse(
        Run,
        {
            "method": METHOD,
            "seed": seed,
            "data": {
                "images": survey.source.model_dump(mode="json", exclude_defaults=True),
                "normalise": {"kind": "percentile", "low": 0.5, "high": 99.8, "invert": survey.is_dark},
                "voxel": None if own == {working} else working.size,
                "augment": {"flips": True, "rotations": True},
            },
            "patch": patch(survey, working, fixed.get("patch", aim.patch)),
            Randomised.name: {
                "diameter": (round_digits(max(low / WIDER, 3 * min(working.size))), round_digits(high * WIDER)),
                "cover": (round_digits(COVERED[0] * share), round_digits(min(COVERED[1] * share, FULLEST))),
                "elongation": round_digits(min(max((seen.elongation[75] - 1) / 2, 0.15), (SLENDEREST - 1) / 4), 2),
            },
            "represent": writing,
            "tune": True,
            "options": dict(fixed["options"]),
            "train": dict(fixed["train"]),
        },
        "the measured settings",
    )


def to_commented_yaml(run: Run, survey: Survey) -> str:
    """run.yaml with words on each group of settings."""
    unit = survey.measured.unit
    words = comments(run, survey) | {
        Randomised.name: (
            "How synthetic images are drawn; the preview beside this file shows some.",
            f"diameter: range of the median diameter of an image ({unit}), the measured quartiles and a little more; "
            "cover: share of the field that is covered, around the measured one; elongation: as measured.",
            "To add: the share of images with objects in tissue, with walls and streaks brighter than objects, with "
            "coarse sampling, with objects darker than their surroundings (tissue, walls, coarse, dark).",
        ),
        "tune": ("Thresholds of `represent` are chosen on synthetic images after the training.",),
        "options": ("Of the method: widths of the network.",),
    }
    return commented_yaml(run, words, f"{survey.sentence()}.", *(f"Note: {note}." for note in survey.measured.notes))
