"""Images and labels to RGB. Colours are told apart by the colour-blind: amber, sky blue, white."""

import math

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import MICROMETRE, Voxel
from .caption import draw_text
from .plane import Kind, plane, resize_nearest, square_pixels

RGB = NDArray[np.uint8]
PREDICTED = (255, 176, 0)  # amber
TRUE = (64, 190, 255)  # sky blue
AGREED = (255, 255, 255)  # where both outlines are
GOLDEN = 0.6180339887  # neighbouring ids land far apart on the colour circle
CHANNELS = ((1, 0, 1), (0, 1, 0), (1, 0.7, 0), (0.25, 0.75, 1))  # magenta, green, amber, sky blue
SIZE = 256  # pixels of the longer side of a cell


def thumbnail(
    image: NDArray[np.generic],
    voxel: Voxel | None = None,
    *,
    size: int = SIZE,
    kind: Kind = "middle",
    limits: tuple[float, float] | None = None,
    bar: bool = True,
) -> RGB:
    """Gray picture of an image with stretched contrast and, where the voxel is in micrometres, a scale bar.

    image: (Y, X) or (Z, Y, X), any real dtype; of a volume the plane `kind` is shown.
    size: pixels of the longer side. limits: intensities shown as black and white; without them the 0.5 and
    99.8 percentile of what is shown. Returns (h, w, 3) uint8.
    """
    view = square_plane(image, voxel, kind)
    gray = stretch_contrast(view, limits)
    picture = np.repeat(fit_to_size(gray, size)[..., None], 3, axis=2)
    if bar and voxel is not None and voxel.unit == MICROMETRE:
        scale_bar(picture, min(voxel.size[-2:]) * max(view.shape) / size)
    return picture


def composite(
    channels: NDArray[np.generic],
    voxel: Voxel | None = None,
    *,
    size: int = SIZE,
    limits: tuple[float, float] | None = None,
) -> RGB:
    """`thumbnail` of an image of several channels (C, Y, X) or (C, Z, Y, X): each in a colour, added up, one in gray.

    Magenta, green, amber and sky blue, and again from the first. limits: of all channels.
    """
    if len(channels) == 1:
        return thumbnail(channels[0], voxel, size=size, limits=limits)
    total = np.zeros(1)
    for number, channel in enumerate(channels):
        shade = thumbnail(channel, voxel, size=size, limits=limits, bar=number == 0)
        total = total + shade * np.array(CHANNELS[number % len(CHANNELS)])
    return np.minimum(total, 255).astype(np.uint8)


def outline(
    image: NDArray[np.generic],
    labels: NDArray[np.generic],
    truth: NDArray[np.generic] | None = None,
    voxel: Voxel | None = None,
    *,
    size: int = SIZE,
) -> RGB:
    """`thumbnail` with the objects' outlines: `labels` amber, `truth` sky blue, white where both run.

    image, labels, truth: one shape, (Y, X) or (Z, Y, X). Returns (h, w, 3) uint8.
    """
    picture = thumbnail(image, voxel, size=size, bar=False)
    shape = picture.shape[:2]
    mine = outline_mask(resize_nearest(square_plane(labels, voxel), shape))
    picture[mine] = PREDICTED
    if truth is not None:
        other = outline_mask(resize_nearest(square_plane(truth, voxel), shape))
        picture[other] = TRUE
        picture[mine & other] = AGREED
    if voxel is not None and voxel.unit == MICROMETRE:
        scale_bar(picture, min(voxel.size[-2:]) * max(square_plane(image, voxel).shape) / size)
    return picture


def colour_labels(labels: NDArray[np.generic], voxel: Voxel | None = None, *, size: int = SIZE) -> RGB:
    """Every object in a colour of its own (a function of its id alone), background black. Returns (h, w, 3) uint8."""
    view = fit_to_size(square_plane(labels, voxel), size, smooth=False).astype(np.int64)
    ids, inverse = np.unique(view, return_inverse=True)
    table = np.array([(0, 0, 0) if i == 0 else label_colour(int(i)) for i in ids], dtype=np.uint8)
    return np.asarray(table[inverse.reshape(view.shape)])


def label_colour(index: int) -> tuple[int, int, int]:
    """RGB of one id: hue by the golden ratio, three brightnesses in turn."""
    import colorsys

    value, saturation = ((1.0, 0.65), (0.85, 0.85), (0.95, 0.45))[index % 3]
    r, g, b = colorsys.hsv_to_rgb(index * GOLDEN % 1.0, saturation, value)
    return round(255 * r), round(255 * g), round(255 * b)


def square_plane(volume: NDArray[np.generic], voxel: Voxel | None, kind: Kind = "middle") -> NDArray[np.generic]:
    """The shown plane with square pixels."""
    view = plane(volume, kind)
    return view if voxel is None else square_pixels(view, voxel.size[-2:])


def stretch_contrast(view: NDArray[np.generic], limits: tuple[float, float] | None = None) -> RGB:
    """Intensities to 0..255; a constant image is black, values that are no numbers too."""
    values = view.astype(np.float32)
    known = values[np.isfinite(values)]
    if not known.size:
        return np.zeros(view.shape, dtype=np.uint8)
    low, high = limits or (float(q) for q in np.percentile(known, (0.5, 99.8)))
    if high <= low:
        low, high = float(known.min()), float(known.max())
    if high <= low:
        return np.zeros(view.shape, dtype=np.uint8)
    values = np.nan_to_num(values, nan=low, posinf=low, neginf=low)
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def fit_to_size(view: NDArray[np.generic], size: int, smooth: bool = True) -> NDArray[np.generic]:
    """Resized so that the longer side has `size` pixels; gray images are smoothed, labels are not."""
    shape = tuple(max(round(n * size / max(view.shape)), 1) for n in view.shape)
    if not smooth or shape == view.shape:
        return resize_nearest(view, shape)
    from PIL import Image

    way = Image.Resampling.LANCZOS if shape < view.shape else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(view.astype(np.uint8)).resize(shape[::-1], way))


def outline_mask(labels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Pixels of an object with a 4-neighbour outside of it; the edge of the picture is no outline."""
    edge = np.zeros(labels.shape, dtype=bool)
    for axis in (0, 1):
        a, b = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        differ = a != b
        view = np.moveaxis(edge, axis, 0)
        view[:-1] |= differ & (a != 0)
        view[1:] |= differ & (b != 0)
    return edge


def scale_bar(picture: RGB, um_per_pixel: float) -> None:
    """Draw a bar of a round length (1, 2 or 5 times a power of ten, about a fifth of the width) into a corner."""
    height, width = picture.shape[:2]
    wish = width * um_per_pixel / 5
    power = 10.0 ** math.floor(math.log10(wish))
    length = max(step * power for step in (1, 2, 5) if step * power <= wish)
    pixels = max(round(length / um_per_pixel), 1)
    thick, margin = max(height // 80, 2), max(height // 32, 4)
    y, x = height - margin - thick, width - margin - pixels
    if y < 24 or x < 0:
        return  # too small a picture to carry one
    picture[y - 1 : y + thick + 1, x - 1 : x + pixels + 1] = 0
    picture[y : y + thick, x : x + pixels] = 255
    draw_text(picture, f"{length:g} um", (x + pixels / 2, y - 3), anchor="ms", size=12, halo=True)
