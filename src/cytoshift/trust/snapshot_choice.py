"""The state of a training that is best on raw images, and the thresholds to decode it with; no label is read.

OUT/model          the chosen state, decoded as was chosen
OUT/select.json    every state with its score and criteria, and why the chosen one was chosen
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..data.volumes import Volume, crop_middle
from ..model import Segmenter
from ..model.folders import snapshots
from ..represent.threshold_search import search_thresholds
from .agree import agreement
from .judge import (
    WHOLE_VOXELS,
    ClassCriteria,
    Told,
    ViewPredictions,
    judge,
    predict_views,
    share_of_progress,
    silent,
)
from .score import Score, mean_score, score

LEAST_GAIN = 0.01  # of the score, or thresholds stay as they are


@dataclass(frozen=True, eq=False)
class Candidate:
    """One state: its score over all images, the mean criteria, and its agreement with all the other states."""

    name: str
    path: Path
    score: Score
    criteria: dict[str, float]
    found: list[dict[str, ClassCriteria]]  # of each image, by class
    others: float = 1.0

    def row(self) -> dict[str, Any]:
        return {
            "state": self.name, "model": str(self.path), "score": round(self.score.value, 4),
            "says": self.score.sentence(), "agrees_with_others": round(self.others, 4),
            "objects": [sum(len(one.objects["sure"]) for one in each.values()) for each in self.found],
            "criteria": {name: round(value, 4) for name, value in self.criteria.items()},
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Choice:
    """best: of `candidates`, which stand in the order of the training. model: it, with the thresholds chosen."""

    best: Candidate
    candidates: list[Candidate]
    model: Segmenter
    score: Score
    thresholds: dict[str, tuple[float, float]]  # before and after

    def sentence(self) -> str:
        last = self.candidates[-1]
        kept = ", ".join(f"{name} {a:g} -> {b:g}" for name, (a, b) in self.thresholds.items()) or "all kept"
        return (
            f"{self.best.name} of {len(self.candidates)} states, score {self.best.score.value:.2f} (the last: "
            f"{last.score.value:.2f}); thresholds: {kept}"
        )


def run_states(run: Path) -> dict[str, Path]:
    """The snapshots in a run's folder by name, in order; the last is its model. Raises UserError without any."""
    found = {f"step {step}": path for step, path in snapshots(run).items()}
    if not found:
        raise UserError(
            f"{run} holds no snapshots to choose from; train into another `out` with train.snapshots=10, or pass the "
            "folder of another run"
        )
    return found


def select(
    paths: dict[str, Path], volumes: Sequence[Volume], device: Any = "cpu", decode: bool = True,
    say: Callable[[str], None] = print, told: Told = silent,
) -> Choice:  # fmt: skip
    """Score every state on the images and take the best; where two are alike, the later one.

    Of an image with more than WHOLE_VOXELS its middle is looked at. decode: also choose thresholds. say: hears every
    state's score; told: what share of the states is done. Raises UserError where images and models do not fit.
    """
    volumes = [crop_middle(volume, WHOLE_VOXELS) for volume in volumes]
    candidates = []
    for number, (name, path) in enumerate(paths.items()):
        one = candidate(name, path, Segmenter.load(path, device), volumes, share_of_progress(told, number, len(paths)))
        candidates.append(one)
        say(f"{name}: {one.score.value:.3f}")
    candidates = [replace(one, others=agreement_with_others(i, candidates)) for i, one in enumerate(candidates)]
    best = max(reversed(candidates), key=lambda one: one.score.value)
    model = Segmenter.load(best.path, device)
    if not decode or not model.representation.tunable_thresholds:
        return Choice(best, candidates, model, best.score, {})
    return tune_thresholds(best, candidates, model, volumes)


def candidate(name: str, path: Path, model: Segmenter, volumes: Sequence[Volume], told: Told = silent) -> Candidate:
    found = [judge(model, volume, told=share_of_progress(told, i, len(volumes))) for i, volume in enumerate(volumes)]
    return Candidate(name, path, total_score(found), mean_criteria(found), found)


def total_score(found: Sequence[dict[str, ClassCriteria]]) -> Score:
    """Over images and classes."""
    return mean_score([score_of(one) for each in found for one in each.values()])


def score_of(found: ClassCriteria) -> Score:
    return score(found.criteria, len(found.objects["sure"]))


def mean_criteria(found: Sequence[dict[str, ClassCriteria]]) -> dict[str, float]:
    """Criteria averaged over the images and classes that have them."""
    rows = [one.criteria for each in found for one in each.values()]
    return {name: float(np.mean([row[name] for row in rows if name in row])) for row in rows[:1] for name in row}


def agreement_with_others(which: int, candidates: Sequence[Candidate]) -> float:
    """Mean F1 of a state's objects with those of every other state."""
    mine = candidates[which].found
    rest = [one.found for i, one in enumerate(candidates) if i != which]
    scores = [agreement(a[name].labels, b[name].labels).f1 for other in rest for a, b in zip(mine, other) for name in a]
    return float(np.mean(scores)) if scores else 1.0


def tune_thresholds(
    best: Candidate, candidates: list[Candidate], model: Segmenter, volumes: Sequence[Volume]
) -> Choice:
    """The best state with the thresholds that give it the best score; what the network draws is drawn once."""
    seen: list[ViewPredictions] = [predict_views(model, volume) for volume in volumes]

    def score_of(represent: Any) -> Score:
        decoder = replace(model, representation=represent)
        return total_score([judge(decoder, volume, seen=one, redraw=False) for volume, one in zip(volumes, seen)])

    chosen, _ = search_thresholds(model.representation, lambda represent: score_of(represent).value, LEAST_GAIN)
    before, after = model.representation.model_dump(), chosen.model_dump()
    moved = {name: (before[name], after[name]) for name in chosen.tunable_thresholds if before[name] != after[name]}
    return Choice(best, candidates, replace(model, representation=chosen), score_of(chosen), moved)


def write(choice: Choice, out: Path) -> Path:
    """The chosen model and why; returns the model's folder."""
    told = {
        "chosen": choice.best.name, "because": choice.sentence(), "score": round(choice.score.value, 4),
        "says": choice.score.sentence(), "thresholds": {k: list(v) for k, v in choice.thresholds.items()},
        "states": [one.row() for one in choice.candidates],
    }  # fmt: skip
    card = choice.model.card | {"selected": {"state": choice.best.name, "because": choice.sentence()}}
    with atomic_path(out / "select.json") as beside:  # before the model, which is known by it as one that was chosen
        beside.write_text(json.dumps(told, indent=1) + "\n")
    return replace(choice.model, card=card).save(out / "model")
