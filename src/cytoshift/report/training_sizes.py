"""The sizes that a model has learnt from, as its card tells them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

LARGEST_DIAMETER = 1e12  # diameter of any object, in whatever unit
CARD_TYPES: Mapping[str, tuple[type, ...]] = {
    "method": (str,), "title": (str,), "papers": (list,), "step": (int,), "images": (int,), "settings": (dict,),
    "objects": (dict,), "ended": (str,),
}  # fmt: skip


@dataclass(frozen=True)
class TrainingSizes:
    """Equivalent diameters of objects. of: whose; points: quantiles, (part of the objects, diameter), rising."""

    of: str
    objects: int
    unit: str
    points: tuple[tuple[float, float], ...]

    def share_below(self, x: float) -> float:
        """The part of the objects with a smaller diameter; beyond the first and last quantile it goes on as before."""
        ends = [
            self.extrapolate(self.points[0], self.points[1], 0.0),
            self.extrapolate(self.points[-1], self.points[-2], 1.0),
        ]
        points = [ends[0], *self.points, ends[1]]
        if x <= points[0][1]:
            return 0.0
        for (p, a), (q, b) in pairwise(points):
            if x < b:
                return p + (q - p) * (x - a) / (b - a)
        return 1.0

    @staticmethod
    def extrapolate(edge: tuple[float, float], inner: tuple[float, float], part: float) -> tuple[float, float]:
        """Where the least or the largest object is, by the distance of two quantiles."""
        slope = (edge[1] - inner[1]) / (edge[0] - inner[0])
        return part, max(edge[1] + slope * (part - edge[0]), 0.0)

    def share_per_bin(self, edges: list[float]) -> list[float]:
        """The part of the objects in each bin."""
        return [self.share_below(b) - self.share_below(a) for a, b in pairwise(edges)]

    def quantile(self, part: float) -> float:
        """The diameter that so many have at most."""
        if part <= self.points[0][0]:
            return self.points[0][1]
        for (p, a), (q, b) in pairwise(self.points):
            if part <= q:
                return a + (b - a) * (part - p) / (q - p)
        return self.points[-1][1]

    @property
    def largest(self) -> float:
        """The largest known diameter."""
        return self.points[-1][1]


def training_sizes(card: Mapping[str, Any]) -> dict[str, TrainingSizes]:
    """By class, "" of a single one; nothing for models that do not tell."""
    found = {}
    for name, one in drop_unreadable(card).get("objects", {}).items():
        try:
            points = sorted((float(percent) / 100, float(value)) for percent, value in one["diameter"].items())
            said = TrainingSizes(str(one["origin"]), int(one["objects"]), str(one["unit"]), tuple(points))
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
            continue
        parts, sizes = zip(*points) if points else ((), ())
        if len(set(parts)) > 1 and list(sizes) == sorted(sizes) and 0 < sizes[0] <= sizes[-1] < LARGEST_DIAMETER:
            found[name] = said
    return found


def drop_unreadable(card: Any) -> dict[str, Any]:
    """A model's card without what is not as Cytoshift writes it: people may change cards."""
    if not isinstance(card, Mapping):
        return {}
    return {name: value for name, value in card.items() if name not in CARD_TYPES or type(value) in CARD_TYPES[name]}
