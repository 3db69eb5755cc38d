"""The result of a measurement: numbers with their unit, how far to trust them, and what a person should know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Polarity = Literal["bright", "dark"]
QUANTILES = (5, 25, 50, 75, 95)  # per cent; the ends bound the sizes that masks are drawn with
Quantiles = dict[int, float]  # percentage -> value


def quantiles(values: Sequence[float] | NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> Quantiles:
    """The QUANTILES of `values`, weighted where weights are given; empty for no values.

    >>> quantiles([1.0, 2.0, 3.0])[50]
    2.0
    """
    array = np.asarray(values, dtype=float)
    if not len(array):
        return {}
    if weights is None:
        return {q: float(v) for q, v in zip(QUANTILES, np.percentile(array, QUANTILES))}
    order = np.argsort(array, kind="stable")
    weight = np.asarray(weights, dtype=float)[order]
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()  # a value stands for the middle of its weight
    return {q: float(v) for q, v in zip(QUANTILES, np.interp(np.array(QUANTILES) / 100, middle, array[order]))}


@dataclass(frozen=True)
class ImageMeasurement:
    """One image: objects seen (a half where the edge of a sampled box cuts one), their median equivalent diameter (None
    without objects), objects per unit**ndim, share of the field they cover."""

    objects: float
    diameter: float | None
    density: float
    foreground: float


@dataclass(frozen=True)
class Measurement:
    """What raw images tell about their objects. Lengths in `unit`, densities per unit**ndim.

    diameters: equivalent diameters of all that is seen, pooled over images, objects cut by the border included, as in
        a label image of the same field.
    whole_diameters: of the objects that no border cuts, each weighted by the inverse of its chance to be seen whole
        (the Miles-Lantuejoul correction; Miles 1974): what a synthetic object should measure before it is clipped.
        Equal to `diameters` where too few objects are whole (a note says so).
    density: of objects seen, quantiles over images. foreground: mean share of the field covered by objects.
    elongation: longest over shortest axis of the objects. axial_elongation (3D): median extent along z over that in
        the plane.
    confidence: 0..1, the least of its reasons in `evidence`: polarity, signal, agreement (of the scale space with the
        outlined objects), number, separation (of the objects from what lies between them), shape (in 3D long outlines
        may be pieces of walls between cells). evidence also has the raw figures behind them.
    """

    unit: str
    ndim: int
    polarity: Polarity
    polarity_confidence: float
    objects: int
    diameters: Quantiles
    whole_diameters: Quantiles
    density: Quantiles
    foreground: float
    elongation: Quantiles
    axial_elongation: float | None
    confidence: float
    evidence: dict[str, float]
    images: tuple[ImageMeasurement, ...]
    notes: tuple[str, ...]
