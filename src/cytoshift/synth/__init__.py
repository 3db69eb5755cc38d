"""Parameters and a generator -> label images of objects; phantoms and pairs: images of them with exact truth."""

from .objects import draw_labels
from .optics import Optics, render
from .pairs import PAIRS, Pair, pair
from .phantoms import PHANTOMS, Phantom, phantom
from .presets import PRIORS, RESIZE
from .prior import Count, Eccentricity, Elastic, Fibres, Groups, Lognormal, Prior, SemiMajor

__all__ = [
    "PAIRS",
    "PHANTOMS",
    "PRIORS",
    "RESIZE",
    "Count",
    "Eccentricity",
    "Elastic",
    "Fibres",
    "Groups",
    "Lognormal",
    "Optics",
    "Pair",
    "Phantom",
    "Prior",
    "SemiMajor",
    "draw_labels",
    "pair",
    "phantom",
    "render",
]
