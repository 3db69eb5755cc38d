"""Arrays -> RGB pictures (Y, X, 3) uint8: planes of volumes, outlines, coloured labels, captioned sheets."""

from .chart import chart
from .files import save_jpeg, save_layer
from .layers import colour_of, outline_layer, value_layer
from .paint import colour_labels, composite, outline, thumbnail
from .plane import Kind, orthogonal, plane
from .sheet import png, save_png, sheet

__all__ = [
    "Kind",
    "chart",
    "colour_labels",
    "colour_of",
    "composite",
    "orthogonal",
    "outline",
    "outline_layer",
    "plane",
    "png",
    "save_jpeg",
    "save_layer",
    "save_png",
    "sheet",
    "thumbnail",
    "value_layer",
]
