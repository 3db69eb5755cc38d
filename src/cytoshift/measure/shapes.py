"""Size and shape of objects that are segmented, and what of it a model expects: the objects it has learnt from."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.settings import Settings, parse
from ..core.voxel import Voxel
from ..labels.filters import touches_border
from ..labels.ids import compact_labels
from ..labels.objects import equivalent_diameter
from .ellipse import moments
from .measurement import QUANTILES, quantiles

FEW_OBJECTS = 5  # whole objects that make a distribution


@dataclass(frozen=True, eq=False)
class ObjectShapes:
    """Of the N objects of a label image, by ascending id; lengths in the voxel's unit.

    elongation: longest over shortest axis of the ellipsoid with an object's moments. solidity: volume over that
    ellipsoid's, 1 of an ellipsoid, 0.9 of two discs that touch (see ellipse.py). whole: not cut by the edge.
    density: objects per unit ** ndim. foreground: share of the field that they cover.
    """

    diameter: NDArray[np.float64]
    elongation: NDArray[np.float64]
    solidity: NDArray[np.float64]
    whole: NDArray[np.bool_]
    density: float
    foreground: float

    @classmethod
    def join(cls, parts: "Sequence[ObjectShapes]") -> "ObjectShapes":
        """Of several images; density and foreground are the means."""
        pooled = lambda name: np.concatenate([getattr(part, name) for part in parts])
        mean = lambda name: float(np.mean([getattr(part, name) for part in parts]))
        return cls(
            pooled("diameter"), pooled("elongation"), pooled("solidity"), pooled("whole"),
            mean("density"), mean("foreground"),
        )  # fmt: skip

    def whole_objects(self) -> "ObjectShapes":
        """Whole objects alone, where they are enough to tell a distribution."""
        stays = self.whole if self.whole.sum() >= FEW_OBJECTS else np.ones_like(self.whole)
        return ObjectShapes(
            self.diameter[stays], self.elongation[stays], self.solidity[stays], self.whole[stays],
            self.density, self.foreground,
        )  # fmt: skip


def shapes(labels: NDArray[np.generic], voxel: Voxel) -> ObjectShapes:
    """Measure the objects of a label image (*S), 2D or 3D, of any ids.

    >>> float(shapes(np.ones((4, 8), int), Voxel((1.0, 1.0))).elongation[0])
    2.0
    """
    numbered = compact_labels(labels)
    field = labels.size * voxel.volume
    if not numbered.ids.size:
        none = np.zeros(0)
        return ObjectShapes(none, none, none, none.astype(bool), 0.0, 0.0)
    known = moments(numbered.labels, voxel)
    axes = np.sqrt(np.maximum(np.linalg.eigvalsh(known.covariance()[1:]), np.finfo(float).tiny))
    return ObjectShapes(
        diameter=equivalent_diameter(known.volume[1:], labels.ndim),
        elongation=axes[:, -1] / axes[:, 0],
        solidity=known.ellipticity()[1:],
        whole=~touches_border(numbered, range(labels.ndim)),
        density=numbered.ids.size / field,
        foreground=float(known.volume[1:].sum()) / field,
    )


class ExpectedObjects(Settings):
    """The objects that a model has learnt from, in its card. Quantiles by their percentage, lengths in `unit`.

    origin: "synthetic masks" or "labels of the source". density and foreground: over images. contrast: of the objects
    of a labelled source, see contrast.py; None of masks, which come without an image.
    """

    origin: str
    unit: str
    ndim: int
    objects: int
    diameter: dict[str, float]
    elongation: dict[str, float]
    solidity: dict[str, float]
    density: dict[str, float]
    foreground: dict[str, float]
    contrast: dict[str, float] | None = None

    @classmethod
    def of(
        cls, origin: str, voxel: Voxel, seen: Sequence[ObjectShapes], contrast: NDArray[np.float64] | None = None
    ) -> Self | None:
        """None where there is no object."""
        if not sum(len(one.diameter) for one in seen):
            return None
        known = ObjectShapes.join(seen).whole_objects()
        return cls(
            origin=origin,
            unit=voxel.unit,
            ndim=voxel.ndim,
            objects=sum(len(one.diameter) for one in seen),
            diameter=to_json_keys(known.diameter),
            elongation=to_json_keys(known.elongation),
            solidity=to_json_keys(known.solidity),
            density=to_json_keys(np.array([one.density for one in seen])),
            foreground=to_json_keys(np.array([one.foreground for one in seen])),
            contrast=None if contrast is None or not contrast.size else to_json_keys(contrast),
        )


def to_json_keys(values: NDArray[np.float64]) -> dict[str, float]:
    """Quantiles with the keys that JSON has."""
    return {str(q): float(f"{v:.4g}") for q, v in quantiles(values).items()}


def expectations(card: Mapping[str, Any]) -> dict[str, ExpectedObjects]:
    """By class ("" of a single one) what a model's card says of its objects; empty for models that say nothing.

    What is not as Cytoshift writes it is nothing said: a card is for people, who may change it.
    """
    objects = card.get("objects")
    found = {}
    for name, said in objects.items() if isinstance(objects, Mapping) else ():
        with suppress(UserError):
            found[name] = parse(ExpectedObjects, said, "the model's card")
    return {name: one for name, one in found.items() if is_complete(one)}


def is_complete(said: ExpectedObjects) -> bool:
    """Whether every quantile is there, and is a size or a share."""
    known = (said.diameter, said.elongation, said.solidity, said.density, said.foreground)
    return all(one.get(str(q), 0.0) > 0 for one in known for q in QUANTILES)
