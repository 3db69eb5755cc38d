"""Parameters and a generator -> label images of objects; phantoms, pairs and stacks: images with exact truth."""

from .cells import CLASSES, Body, Gap, Layers, PairPrior, Shapes
from .objects import draw_labels
from .optics import Optics, render
from .organelles import draw_pairs, draw_shapes, paired
from .pairs import PAIRS, Pair, pair
from .phantoms import PHANTOMS, Phantom, phantom
from .presets import PAIR_PRIORS, PRIORS, RESIZE
from .prior import Count, Eccentricity, Elastic, Fibres, Groups, Lognormal, Prior, SemiMajor
from .randomised import Randomised, draw_pair
from .stacks import STACKS, Stack, stack

__all__ = [
    "CLASSES",
    "PAIRS",
    "PAIR_PRIORS",
    "PHANTOMS",
    "PRIORS",
    "RESIZE",
    "STACKS",
    "Body",
    "Count",
    "Eccentricity",
    "Elastic",
    "Fibres",
    "Gap",
    "Groups",
    "Layers",
    "Lognormal",
    "Optics",
    "Pair",
    "PairPrior",
    "Phantom",
    "Prior",
    "Randomised",
    "SemiMajor",
    "Shapes",
    "Stack",
    "draw_labels",
    "draw_pair",
    "draw_pairs",
    "draw_shapes",
    "pair",
    "paired",
    "phantom",
    "render",
    "stack",
]
