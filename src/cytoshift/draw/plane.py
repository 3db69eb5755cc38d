"""Which plane of a volume a flat picture shows, with its voxels made square."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["middle", "max"]


def plane(volume: NDArray[np.generic], kind: Kind = "middle", axis: int = 0) -> NDArray[np.generic]:
    """One 2D view of an image, a label image or a channel.

    volume: (Y, X), returned as it is, or (Z, Y, X).
    kind: "middle" cuts the volume half way along `axis`, "max" projects along it (of labels, the highest id wins).
    Returns (Y, X) for axis 0, (Z, X) for axis 1, (Z, Y) for axis 2.
    """
    if volume.ndim == 2:
        return volume
    if volume.ndim != 3:
        raise ValueError(f"a picture is made of (Y, X) or (Z, Y, X), not of shape {volume.shape}")
    return np.asarray(volume.max(axis=axis) if kind == "max" else volume.take(volume.shape[axis] // 2, axis=axis))


def square_pixels(view: NDArray[np.generic], size: tuple[float, ...]) -> NDArray[np.generic]:
    """Repeat pixels until they are square; the finer axis keeps its pixels. size: extent of a pixel, (y, x)."""
    finest = min(size)
    return resize_nearest(view, tuple(max(round(n * s / finest), 1) for n, s in zip(view.shape, size)))


def resize_nearest(view: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Resize by repeating or dropping pixels, so that a label stays a label. view: (Y, X) or (Y, X, 3)."""
    if view.shape[:2] == tuple(shape[:2]):
        return view
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, view.shape))
    return np.asarray(view[rows][:, columns])
