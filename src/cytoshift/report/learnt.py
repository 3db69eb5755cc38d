"""The sizes that a model has learnt from, as its card tells them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Learnt:
    """Equivalent diameters of objects. of: whose; points: quantiles, (part of the objects, diameter), rising."""

    of: str
    objects: int
    unit: str
    points: tuple[tuple[float, float], ...]

    def below(self, x: float) -> float:
        """The part of the objects with a smaller diameter; beyond the first and last quantile it goes on as before."""
        ends = [self.beyond(self.points[0], self.points[1], 0.0), self.beyond(self.points[-1], self.points[-2], 1.0)]
        points = [ends[0], *self.points, ends[1]]
        if x <= points[0][1]:
            return 0.0
        for (p, a), (q, b) in pairwise(points):
            if x < b:
                return p + (q - p) * (x - a) / (b - a)
        return 1.0

    @staticmethod
    def beyond(edge: tuple[float, float], inner: tuple[float, float], part: float) -> tuple[float, float]:
        """Where the least or the largest object is, by the distance of two quantiles."""
        slope = (edge[1] - inner[1]) / (edge[0] - inner[0])
        return part, max(edge[1] + slope * (part - edge[0]), 0.0)

    def binned(self, edges: list[float]) -> list[float]:
        """The part of the objects in each bin."""
        return [self.below(b) - self.below(a) for a, b in pairwise(edges)]

    def quantile(self, part: float) -> float:
        """The diameter that so many have at most."""
        if part <= self.points[0][0]:
            return self.points[0][1]
        for (p, a), (q, b) in pairwise(self.points):
            if part <= q:
                return a + (b - a) * (part - p) / (q - p)
        return self.points[-1][1]

    @property
    def most(self) -> float:
        """The largest that is told of."""
        return self.points[-1][1]


def learnt(card: Mapping[str, Any]) -> dict[str, Learnt]:
    """By class, "" of a single one; nothing for models that do not tell."""
    found = {}
    for name, one in card.get("objects", {}).items():
        points = sorted((float(percent) / 100, float(value)) for percent, value in one["diameter"].items())
        if len(points) > 1:
            found[name] = Learnt(one["origin"], one["objects"], one["unit"], tuple(points))
    return found
