"""Parameters and a generator -> label images of synthetic objects, and phantoms: images of them with exact truth."""

from .objects import draw_labels
from .optics import Optics, render
from .phantoms import PHANTOMS, Phantom, phantom
from .presets import PRIORS, RESIZE
from .prior import Count, Eccentricity, Elastic, Fibres, Groups, Lognormal, Prior, SemiMajor

__all__ = [
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
    "Phantom",
    "Prior",
    "SemiMajor",
    "draw_labels",
    "phantom",
    "render",
]
