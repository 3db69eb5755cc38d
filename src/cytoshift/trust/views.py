"""Small changes of an image after which the same objects are there: what a network finds should not change either."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel

Image = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """flip: axes, counted from the last, that are mirrored. gain: of intensities about the image's median.

    zoom: objects are drawn so many times as large.
    """

    flip: tuple[int, ...] = ()
    gain: float = 1.0
    zoom: float = 1.0

    def image(self, image: Image, ndim: int, clip: tuple[float, float]) -> Image:
        """A normalised image (*S) or (C, *S) as this view shows it, on the same grid; zoom is done by `voxel`."""
        seen = np.flip(image, self.flip)
        if self.gain != 1:
            middle = np.median(seen, axis=tuple(range(-ndim, 0)), keepdims=True)
            seen = np.clip(middle + np.float32(self.gain) * (seen - middle), *clip)
        return np.ascontiguousarray(seen, dtype=np.float32)

    def voxel(self, voxel: Voxel) -> Voxel:
        """The voxel size that makes objects look so many times as large to the network."""
        return Voxel(tuple(s * self.zoom for s in voxel.size), voxel.unit)

    def undo(self, channels: Image) -> Image:
        """Channels (K, *S) drawn of the view, as of the image itself."""
        return np.ascontiguousarray(np.flip(channels, self.flip))


VIEWS: dict[str, tuple[View, ...]] = {
    "flips": (View(flip=(-1,)), View(flip=(-2,))),
    "light": (View(gain=0.8), View(gain=1.25)),
    "scale": (View(zoom=0.87), View(zoom=1.15)),
}
