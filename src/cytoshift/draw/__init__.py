"""Arrays -> RGB pictures (Y, X, 3) uint8: planes of volumes, outlines, coloured labels, captioned sheets."""

from .chart import chart
from .paint import colour_labels, composite, outline, thumbnail
from .plane import Kind, orthogonal, plane
from .sheet import save_png, sheet

__all__ = [
    "Kind",
    "chart",
    "colour_labels",
    "composite",
    "orthogonal",
    "outline",
    "plane",
    "save_png",
    "sheet",
    "thumbnail",
]
