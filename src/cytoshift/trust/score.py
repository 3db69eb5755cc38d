"""Criteria to one number with a meaning: the F1@0.5 that such results had on phantoms, where the truth is known.

The map is logistic, rises with every criterion, and was fitted by benchmarks/trust_calibration.py to the runs of
phantoms in benchmarks/trust_calibration.csv; calibration.json holds its coefficients. A result that is worse by some
criterion than all of these is outside of what was calibrated: then the number orders results, and means nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.settings import Settings, parse, read_yaml
from ..core.text import count_of

JSON = Path(__file__).with_name("calibration.json")
RIDGE = 0.02  # per criterion: of two that say the same, both get half
BEYOND_CALIBRATED = 0.03  # a criterion may be so much lower than all that was calibrated
FEWEST_OBJECTS = 5  # objects; of less there is no telling
WEAK_CRITERION = 0.7  # a criterion below it is worth a word
# What a low criterion means.
AGAINST = {
    "flips": "other objects are found in the mirrored image",
    "light": "other objects are found in another light",
    "scale": "other objects are found at another scale",
    "overlap": "outlines move where the image changes a little",
    "sure": "the network is unsure in much of the foreground",
    "size": "objects are of other sizes than those learnt from",
    "elongation": "objects are longer or rounder than those learnt from",
    "solidity": "objects are more ragged than those learnt from, or grown together",
    "cover": "objects cover another share of the field than where it was learnt",
    "contrast": "objects hardly stand out from what lies around them",
    "voted": "other ways to label the images, which look for nuclei, find other objects",
    "explained": "much that is bright in the image is in no object, or the other way round",
}
MIDDLE = (10, 90)  # percentages of the residuals that the interval leaves out on either side


class Map(Settings):
    """value = sigmoid(offset + sum of weight * criterion), for criteria from `low` up; above `high` they count as that.

    spread: from the value to where four of five true ones began and ended, on data sets that were left out of the fit.
    """

    criteria: tuple[str, ...]
    weights: tuple[float, ...]
    offset: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    spread: tuple[float, float] = (0.0, 0.0)

    def __call__(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K) criteria -> (N,)"""
        inside = np.clip(given, 0, self.high)
        return np.asarray(1 / (1 + np.exp(-(self.offset + inside @ np.array(self.weights)))))

    def out_of_range(self, given: Mapping[str, float]) -> tuple[str, ...]:
        """The criteria that are lower than anything calibrated, in words."""
        return tuple(
            f"{name} {given[name]:.2f} below {low:.2f}"
            for name, low in zip(self.criteria, self.low)
            if given[name] < low - BEYOND_CALIBRATED
        )


class Calibration(Settings):
    """images: maps of an image's criteria to its F1, the first of which all criteria are there is used. objects: of an
    object's to the chance that it is a true one. origin: what it was fitted to."""

    origin: str
    images: tuple[Map, ...]
    objects: Map


@dataclass(frozen=True)
class Score:
    """value: expected F1@0.5, or only an order where `outside` names reasons. low, high: four of five lie between.
    basis: what had such an F1."""

    value: float
    low: float
    high: float
    outside: tuple[str, ...] = ()
    basis: str = "phantoms with such results"

    def short_sentence(self) -> str:
        """For a line of a list."""
        if self.outside:
            return f"no statement ({', '.join(self.outside)})"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"

    def sentence(self) -> str:
        if self.outside:
            why = ", ".join(self.outside)
            return f"no statement, as nothing like it was calibrated: {why} (to compare: {self.value:.2f})"
        return (
            f"{self.value:.2f}: {self.basis} had an F1@0.5 of about that, four of five between {self.low:.2f} and "
            f"{self.high:.2f}"
        )


@cache
def load_calibration() -> Calibration:
    return parse(Calibration, read_yaml(JSON), str(JSON))


def summary(criteria: Mapping[str, float]) -> dict[str, float]:
    """The inputs of the calibration, from the criteria of `judge`: stable, overlap, sure, contrast, explained, and
    alike if the expected objects are known."""
    out = {name: criteria[name] for name in ("overlap", "sure", "contrast", "explained")}
    out["stable"] = float(np.mean([criteria[name] for name in ("flips", "light", "scale")]))
    if "size" in criteria:
        out["alike"] = float(np.prod([criteria[n] for n in ("size", "elongation", "solidity", "cover")]) ** 0.25)
    return out


def score(criteria: Mapping[str, float], objects: int, calibration: Calibration | None = None) -> Score:
    """Of one image. criteria: as `judge` gives them, empty without objects."""
    if not objects:
        return Score(0.0, 0.0, 0.0, ("no object",))
    given = summary(criteria)
    way = next(one for one in (calibration or load_calibration()).images if set(one.criteria) <= set(given))
    value = float(way(np.array([[given[name] for name in way.criteria]]))[0])
    low, high = (float(np.clip(value + shift, 0, 1)) for shift in way.spread)
    return Score(value, low, high, too_few(objects) + way.out_of_range(given))


def too_few(objects: int) -> tuple[str, ...]:
    """Why a score of so many objects says little; nothing where they are enough."""
    return (f"only {count_of(objects, 'object')}",) if objects < FEWEST_OBJECTS else ()


def weakest_criterion(images: Sequence[Mapping[str, float]]) -> str | None:
    """What weighs most against a result, from the criteria of its images; None where nothing is weak.

    >>> weakest_criterion([{"sure": 0.9, "solidity": 0.3}, {"sure": 0.8, "solidity": 0.4}, {}])
    'objects are more ragged than those learnt from, or grown together (solidity 0.35)'
    """
    means = {name: float(np.mean(found)) for name in AGAINST if (found := [one[name] for one in images if name in one])}
    name = min(means, key=lambda name: means[name], default=None)
    return None if name is None or means[name] >= WEAK_CRITERION else f"{AGAINST[name]} ({name} {means[name]:.2f})"


def mean_score(scores: Sequence[Score]) -> Score:
    """Of several images: the mean; outside where more than half of them are."""
    value, low, high = (float(np.mean([getattr(one, name) for one in scores])) for name in ("value", "low", "high"))
    odd = [one for one in scores if one.outside]
    return Score(value, low, high, odd[0].outside if 2 * len(odd) > len(scores) else (), scores[0].basis)


def confidence(
    objects: Mapping[str, NDArray[np.float64]], calibration: Calibration | None = None
) -> NDArray[np.float64]:
    """(N,) of each object: the share of such objects that were true ones on phantoms (IoU of at least 0.5)."""
    way = (calibration or load_calibration()).objects
    return way(np.stack([objects[name] for name in way.criteria], axis=1))


def fit_map(
    criteria: Sequence[str], given: NDArray[np.float64], truth: NDArray[np.float64], counts: NDArray[np.float64]
) -> Map:
    """The map of `given` (N, K) to `truth` (N,) in [0, 1] with the least cross entropy, no weight below zero.

    counts (N,): what each row counts for.
    """
    from scipy.optimize import minimize

    share = counts / counts.sum()
    centre = np.average(given, axis=0, weights=share)

    def cost(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit: NDArray[np.float64] = x[0] + (given - centre) @ x[1:]
        value = 1 / (1 + np.exp(-logit))
        entropy = np.logaddexp(0, logit) - truth * logit
        slope = share * (value - truth)
        # The ridge is in units of criteria that vary by a tenth, as most do.
        ridge = RIDGE * (x[1:] / 10) ** 2
        gradient = np.concatenate([[slope.sum()], slope @ (given - centre) + 2 * RIDGE * x[1:] / 100])
        return float(share @ entropy + ridge.sum()), gradient

    bounds = [(None, None), *[(0, None)] * len(criteria)]
    found = minimize(cost, np.zeros(1 + len(criteria)), jac=True, bounds=bounds, method="L-BFGS-B").x
    return Map(
        criteria=tuple(criteria), weights=four_digits(found[1:]), offset=float(f"{found[0] - centre @ found[1:]:.4g}"),
        low=four_digits(given.min(axis=0)), high=four_digits(given.max(axis=0)),
    )  # fmt: skip


def four_digits(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in values)
