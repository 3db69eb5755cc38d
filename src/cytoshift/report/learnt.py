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
        """The part of the objects with a smaller diameter."""
        points = ((0.0, self.points[0][1]), *self.points, (1.0, self.points[-1][1]))
        if x <= points[0][1]:
            return 0.0
        for (p, a), (q, b) in pairwise(points):
            if x < b:
                return p + (q - p) * (x - a) / (b - a)
        return 1.0

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
    for name, one in card.get("expected", {}).items():
        values = one["diameters"]
        points = tuple((i / max(len(values) - 1, 1), float(value)) for i, value in enumerate(values))
        found[name] = Learnt(one["of"], one["objects"], one["unit"], points)
    return found
