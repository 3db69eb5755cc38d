"""Parameters and a generator -> label images of objects; phantoms, pairs and stacks: images with exact truth."""

from .cells import CLASSES, CellBody, Gap, Layers, PairPrior, Shapes
from .ellipses import draw_labels
from .optics import Optics, render
from .organelles import count_pairs, draw_pairs, draw_shapes
from .pairs import PAIRS, Pair, pair
from .phantoms import PHANTOMS, Phantom, phantom
from .presets import PAIR_PRIORS, PRIORS, RESIZE
from .prior import Count, Eccentricity, Elastic, Fibres, Groups, Lognormal, Prior, SemiMajor
from .random_pairs import Randomised, draw_pair, repaint
from .stacks import STACKS, Stack, stack

__all__ = [
    "CLASSES",
    "PAIRS",
    "PAIR_PRIORS",
    "PHANTOMS",
    "PRIORS",
    "RESIZE",
    "STACKS",
    "CellBody",
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
    "count_pairs",
    "draw_labels",
    "draw_pair",
    "draw_pairs",
    "draw_shapes",
    "pair",
    "phantom",
    "render",
    "repaint",
    "stack",
]
