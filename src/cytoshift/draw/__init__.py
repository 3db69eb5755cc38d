"""Arrays -> RGB pictures (Y, X, 3) uint8: planes of volumes, outlines, coloured labels, captioned sheets."""

from .chart import chart
from .files import save_jpeg, save_layer
from .image_grid import image_grid, png_path, save_png, stack_pictures
from .overlays import colour_at, outline_layer, value_layer
from .paint import colour_labels, composite, outline, thumbnail
from .plane import Kind, plane

__all__ = [
    "Kind",
    "chart",
    "colour_at",
    "colour_labels",
    "composite",
    "image_grid",
    "outline",
    "outline_layer",
    "plane",
    "png_path",
    "save_jpeg",
    "save_layer",
    "save_png",
    "stack_pictures",
    "thumbnail",
    "value_layer",
]
