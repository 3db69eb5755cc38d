"""Which plane of a volume a flat picture shows, with its voxels made square."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel

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


def orthogonal_views(
    volume: NDArray[np.generic], voxel: Voxel, kind: Kind = "middle", gap: int = 2
) -> NDArray[np.generic]:
    """The (Y, X) view above, the (Z, X) view beneath it, as one 2D array with square pixels.

    The `gap` lines in between hold the highest value, a bright rule in an image (0 in integer labels would be
    taken for background; ids stay untouched). A 2D image comes back with square pixels only.
    """
    if volume.ndim == 2:
        return square_pixels(volume, voxel.size)
    z, y, x = voxel.size
    top, bottom = square_pixels(plane(volume, kind, 0), (y, x)), square_pixels(plane(volume, kind, 1), (z, x))
    if top.shape[1] != bottom.shape[1]:  # both start from the same X, but the finer axis decides
        width = max(top.shape[1], bottom.shape[1])
        top, bottom = (
            resize_nearest(view, (round(len(view) * width / view.shape[1]), width)) for view in (top, bottom)
        )
    rule = np.full((gap, top.shape[1]), max(top.max(), bottom.max()), dtype=top.dtype)
    return np.concatenate([top, rule, bottom])


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
