"""Transparent pictures to lay over an image: outlines, and a value per object in colours."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel
from .paint import AGREED, PREDICTED, TRUE, outline_mask
from .plane import resize_nearest, square_pixels

RGBA = NDArray[np.uint8]
# From doubtful to sure: vermilion, yellow, blue of Okabe and Ito, told apart by colour-blind readers too.
SCALE = ((213, 94, 0), (240, 228, 66), (0, 114, 178))
LEVELS = 24  # colours of a scale: few make a small file
VEIL = 170  # opacity of a colour


def outline_layer(
    labels: NDArray[np.generic], voxel: Voxel, shape: tuple[int, int], truth: NDArray[np.generic] | None = None
) -> RGBA:
    """Outlines of a plane of labels (Y, X) in a picture of `shape`, (h, w, 4) uint8: amber, of a truth sky blue, white
    where both run."""
    layer = np.zeros((*shape, 4), np.uint8)
    mine = outline_mask(fit_to_picture(labels, voxel, shape))
    layer[mine] = (*PREDICTED, 255)
    if truth is not None:
        other = outline_mask(fit_to_picture(truth, voxel, shape))
        layer[other] = (*TRUE, 255)
        layer[mine & other] = (*AGREED, 255)
    return layer


def value_layer(
    labels: NDArray[np.generic], values: Mapping[int, float], voxel: Voxel, shape: tuple[int, int],
    ends: tuple[float, float] = (0.5, 1.0),
) -> RGBA:  # fmt: skip
    """Every object of a plane of labels (Y, X) in the colour of its value, from `ends[0]` and below to `ends[1]`;
    objects without one stay clear. (h, w, 4) uint8."""
    view = fit_to_picture(labels, voxel, shape)
    ids = np.unique(view)
    table = np.zeros((len(ids), 4), np.uint8)
    for row, one in zip(table, ids.tolist()):
        if one and one in values:
            row[:] = (*colour_at((values[one] - ends[0]) / (ends[1] - ends[0])), VEIL)
    return np.asarray(table[np.searchsorted(ids, view)])


def colour_at(part: float) -> tuple[int, int, int]:
    """Colour at a place from 0 to 1 of the scale, one of LEVELS."""
    place = round(min(max(part, 0.0), 1.0) * (LEVELS - 1)) / (LEVELS - 1) * (len(SCALE) - 1)
    first = min(int(place), len(SCALE) - 2)
    r, g, b = (round(a + (z - a) * (place - first)) for a, z in zip(SCALE[first], SCALE[first + 1]))
    return r, g, b


def fit_to_picture(labels: NDArray[np.generic], voxel: Voxel, shape: tuple[int, int]) -> NDArray[np.generic]:
    """With square pixels, on the grid of a picture."""
    return resize_nearest(square_pixels(labels, voxel.size[-2:]), shape)
