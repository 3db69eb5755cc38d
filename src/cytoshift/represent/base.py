"""What every representation offers, and the steps that their decoders share."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.settings import Settings
from ..core.voxel import Voxel
from ..labels.filters import fill_holes
from ..labels.holes import drop_unsure

if TYPE_CHECKING:  # a settings file is checked without torch
    from torch import Tensor

LONGEST = 1e9  # diameter of any object, in whatever unit
Labels = NDArray[np.int32]
Channels = NDArray[np.float32]
StoredChannels = NDArray[np.float32] | NDArray[np.uint8]  # floats in their ranges, or 0 to 255 for these
Ranges = tuple[tuple[float, float], ...]
WATERSHED = "and decoded by a marker-controlled watershed: seeds with"  # of methods sections
SLACK = 1e-3  # blending of tiles and resampling leave a range by so much at most
# How two blocks tell that they see one object. "best": each other's best match by IoU where both look, as objects that
# a watershed parts may touch. "contact": one voxel that both count in, as it is with connected components.
Link = Literal["best", "contact"]


class Part(NamedTuple):
    """One class of objects: its name, how its objects are written, where its channels lie among all, its weight."""

    name: str  # "" where there is one class alone
    represent: "Representation"
    channels: slice
    weight: float = 1.0


class Pair(NamedTuple):
    """Objects of `member` belong to objects of `owner` whose surface is not farther away than `reach`."""

    member: str
    owner: str
    reach: float


class Representation(Settings):
    """A way to write instances as channels that a network predicts. Shapes: K channels, *S spatial axes.

    Everything that another part of the program has to know about a representation is a member of this class. The
    settings, thresholds included, are plain data that go into run.yaml and model.json. Lengths are in the unit of the
    voxel size that the methods are handed. A subclass adds `kind`, a literal by which settings files name it.
    """

    @property
    @abstractmethod
    def channels(self) -> tuple[str, ...]:
        """What each channel shows; K names."""

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """The least and the largest value of each channel."""
        return ((0, 1),) * len(self.channels)

    @property
    def eight_bits(self) -> bool:
        """Whether channels that are rounded to 256 levels of their ranges give the same objects."""
        return True

    @property
    def decode_bytes(self) -> int:
        """Memory that `decode` needs per voxel, input and output included."""
        return 110

    @property
    def papers(self) -> tuple[str, ...]:
        """BibTeX keys of what to cite."""
        return ()

    @property
    @abstractmethod
    def link(self) -> Link:
        """The rule by which objects of neighbouring blocks are one."""

    @property
    def tunable(self) -> Mapping[str, tuple[float, ...]]:
        """Thresholds of the decoder that are worth tuning, and the values to try, the most lenient first."""
        return {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, in the order of the labels (classes, *S); none where there is one class alone."""
        return ()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Classes whose objects belong to objects of another class."""
        return ()

    @property
    def smallest_object(self) -> float | None:
        """Equivalent diameter of the smallest object, the setting `smallest`; None where nothing is known."""
        found: float | None = getattr(self, "smallest", None)
        return found

    def parts(self) -> Iterator[Part]:
        """The classes."""
        yield Part("", self, slice(0, len(self.channels)))

    @abstractmethod
    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """Label image (*S), 0 is background, objects may touch -> target channels (K, *S) in `ranges`.

        Of several classes, labels are (classes, *S) here and in `decode`, and so is `foreground`.
        """

    @abstractmethod
    def activate(self, logits: "Tensor") -> "Tensor":
        """What a network gives, (B, K, *S), to `ranges`."""

    @abstractmethod
    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Supervised loss of (B, K, *S) logits against encoded targets; a scalar."""

    @abstractmethod
    def foreground(self, channels: StoredChannels) -> Channels:
        """Channels (K, *S) -> how likely each voxel is part of some object, (*S) in [0, 1]."""

    def confidence(self, channels: StoredChannels) -> Channels:
        """Channels (K, *S) -> how sure the network is of what `decode` finds at each voxel, (*S) in [0, 1].

        The mean over an object's voxels is the object's confidence. By default the probability of the foreground.
        """
        return self.foreground(channels)

    def rankings(self, channels: StoredChannels) -> Mapping[str, Channels]:
        """Other maps (*S), by name, whose means over objects rank these for an average precision."""
        return {}

    @abstractmethod
    def decode(self, channels: StoredChannels, voxel: Voxel) -> Labels:
        """Channels (K, *S), floats in `ranges` or as `stored` -> instances (*S), 1..N, each face-connected.

        A function of each neighbourhood alone: no statistics of the array enter, so a block decodes like the
        whole, away from its rim.
        """

    @abstractmethod
    def with_threshold(self, threshold: float) -> Self:
        """The same decoder with another foreground threshold. Raises UserError where it does not fit the rest."""

    def describe(self) -> str:
        """How instances are written and read back, in the past tense, for the methods section of a paper."""
        return ""

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Of channels between the network and the decoder."""
        return np.dtype(np.uint8 if self.eight_bits else np.float32)

    def stored(self, channels: NDArray[np.generic]) -> StoredChannels:
        """Activated channels (K, *S) as they are kept between the network and the decoder."""
        return to_eight_bits(channels, self.ranges) if self.eight_bits else np.asarray(channels, np.float32)


def to_eight_bits(channels: NDArray[np.generic], ranges: Ranges) -> NDArray[np.uint8]:
    """Channels (K, *S) as uint8: as they are where they have this type, else rounded, 0 to 255 for their ranges.

    Raises UserError for channels of other types, and for values out of their range.
    """
    if channels.dtype == np.uint8:
        return channels.view(np.uint8)
    if channels.dtype.kind != "f":
        raise UserError(f"channels must be uint8 or floats, not {channels.dtype}; scale them to 0 to 255")
    out = np.empty(channels.shape, np.uint8)
    for place, channel, (low, high) in zip(out, channels, ranges):
        least, most = float(channel.min(initial=low)), float(channel.max(initial=high))
        if not (least >= low - SLACK and most <= high + SLACK):  # NaN is out of range, too
            raise UserError(
                f"this channel of floats lies between {low:g} and {high:g}, not {least:g} and {most:g}; activate it "
                f"first, or pass uint8"
            )
        scaled = np.multiply(channel, np.float32(255 / (high - low)), dtype=np.float32)
        scaled += np.float32(-255 * low / (high - low))
        place[...] = np.clip(np.rint(scaled, out=scaled), 0, 255)
    return out


def to_floats(channels: StoredChannels, ranges: Ranges) -> Channels:
    """Channels (K, *S) of 8 bits in their ranges; floats as they are."""
    if channels.dtype != np.uint8:
        return channels  # type: ignore[return-value]
    out = channels.astype(np.float32)
    for channel, (low, high) in zip(out, ranges):
        channel *= np.float32((high - low) / 255)
        channel += np.float32(low)
    return out


def smooth_channel(values: Channels, voxel: Voxel) -> Channels:
    """values (*S) with a Gaussian of one voxel of the finest axis, as wide in space along the others.

    The grain of a network and the steps of a voxel lattice have that size, whatever the objects'.
    """
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, [1 / a for a in voxel.anisotropy], mode="nearest"), dtype=np.float32)


def label_components(mask: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Face-connected components 1..N of (*S), and N."""
    from scipy.ndimage import label

    out = np.empty(mask.shape, dtype=np.int32)
    return out, int(label(mask, output=out))


def hysteresis(low: NDArray[np.bool_], sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The face-connected components of `low` that hold a voxel of `sure`; both (*S)."""
    outside = np.ascontiguousarray(~low)
    drop_unsure(outside.reshape(-1).view(np.uint8), np.ascontiguousarray(sure).ravel(), *outside.shape[-2:])
    return ~outside


def fill_enclosed(mask: NDArray[np.bool_], smallest: float | None, voxel: Voxel) -> NDArray[np.bool_]:
    """Background that the mask encloses and that is too small for an object is no background.

    Without a `smallest` diameter nobody knows what too small is, and the mask stays as it is.
    """
    if smallest is None:
        return mask
    filled = fill_holes(mask.astype(np.uint8), voxel, ball(smallest, voxel.ndim))
    return filled.astype(bool)


def minimum_voxels(smallest: float | None, counts: tuple[int, int], voxel: Voxel) -> tuple[int, int]:
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
