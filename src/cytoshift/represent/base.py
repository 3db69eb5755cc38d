"""What every representation offers, and the steps that their decoders share."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel
from ..labels.filters import fill_holes
from ..labels.holes import without_unsure

if TYPE_CHECKING:  # a settings file is checked without torch
    from torch import Tensor

LONGEST = 1e9  # diameter of any object, in whatever unit
Labels = NDArray[np.int32]
Channels = NDArray[np.float32]
# How two blocks tell that they see one object. "best": each other's best match by IoU where both look, as objects that
# a watershed parts may touch. "contact": one voxel that both count in, as it is with connected components.
Link = Literal["best", "contact"]


class Representation(Protocol):
    """A way to write instances as channels that a network can draw. Shapes: K channels, *S spatial axes.

    Its settings, thresholds included, are plain data that go into run.yaml and model.json. Lengths are in the unit
    of the voxel size that the methods are handed.
    """

    @property
    def channels(self) -> tuple[str, ...]:
        """What each of them shows; K names."""
        ...

    @property
    def link(self) -> Link:
        """The rule by which objects of neighbouring blocks are one."""
        ...

    @property
    def knobs(self) -> Mapping[str, tuple[float, ...]]:
        """Thresholds of the decoder that are worth tuning, and the values to try, the most lenient first."""
        ...

    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """Label image (*S), 0 is background, objects may touch -> target channels (K, *S) in [0, 1].

        A signed distance lies in [-1, 1], see `lowest`. Of several classes, labels are (classes, *S) here and in
        `decode`, and so is `foreground`.
        """
        ...

    def activate(self, logits: "Tensor") -> "Tensor":
        """What a network gives, (B, K, *S), to the range of `encode`."""
        ...

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Supervised loss of (B, K, *S) logits against encoded targets; a scalar."""
        ...

    def foreground(self, channels: Channels) -> Channels:
        """Channels (K, *S) -> how likely each voxel is part of some object, (*S) in [0, 1]."""
        ...

    def decode(self, channels: Channels, voxel: Voxel) -> Labels:
        """Channels (K, *S) in the range of `encode` -> instances (*S), 1..N, each face-connected.

        A function of each neighbourhood alone: no statistics of the array enter, so a block decodes like the
        whole, away from its rim.
        """
        ...

    def with_threshold(self, threshold: float) -> Self:
        """The same decoder with another foreground threshold. Raises UserError where it does not fit the rest."""
        ...


def lowest(channel: str) -> int:
    """The end of the range of a channel of this name, whose other end is 1: -1 of a signed distance, 0 of all others.

    >>> lowest("distance"), lowest("nuclei distance"), lowest("nuclei contour")
    (-1, -1, 0)
    """
    return -1 if channel.rpartition(" ")[2] == "distance" else 0


def smoothed(values: Channels, voxel: Voxel) -> Channels:
    """values (*S) with a Gaussian of one voxel of the finest axis, as wide in space along the others.

    The grain of a network and the steps of a voxel lattice have that size, whatever the objects'.
    """
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, [1 / a for a in voxel.anisotropy], mode="nearest"), dtype=np.float32)


def components(mask: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Face-connected components 1..N of (*S), and N."""
    from scipy.ndimage import label

    out = np.empty(mask.shape, dtype=np.int32)
    return out, int(label(mask, output=out))


def hysteresis(low: NDArray[np.bool_], sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The face-connected components of `low` that hold a voxel of `sure`; both (*S)."""
    outside = np.ascontiguousarray(~low)
    without_unsure(outside.reshape(-1).view(np.uint8), np.ascontiguousarray(sure).ravel(), *outside.shape[-2:])
    return ~outside


def without_holes(mask: NDArray[np.bool_], smallest: float | None, voxel: Voxel) -> NDArray[np.bool_]:
    """Background that the mask encloses and that is too small for an object is no background.

    Without a `smallest` diameter nobody knows what too small is, and the mask stays as it is.
    """
    if smallest is None:
        return mask
    filled = fill_holes(mask.astype(np.uint8), voxel, ball(smallest, voxel.ndim))
    return filled.astype(bool)


def least(smallest: float | None, counts: tuple[int, int], voxel: Voxel) -> tuple[int, int]:
    """The voxels that a seed and an object need at least: `counts`, or what the smallest object's diameter asks for.

    An object needs half of the diameter, since the border may cut it, and a seed a quarter of the core of such size.
    """
    if smallest is None:
        return counts
    core = ball(smallest / 2, voxel.ndim) / voxel.volume
    return math.ceil(core / 4), math.ceil(core)


def ball(diameter: float, ndim: int) -> float:
    """Area (2D) or volume (3D) of the disc or ball of that diameter.

    >>> round(ball(2.0, 2), 5)
    3.14159
    """
    return math.pi * diameter**2 / 4 if ndim == 2 else math.pi * diameter**3 / 6
