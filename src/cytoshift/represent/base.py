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
RANGE_SLACK = 1e-3  # blending of tiles and resampling leave a range by so much at most
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
    """A way to write instances as channels that a network predicts, and to read them back.

    Everything that another part of the program has to know about a representation is a member of this class. Its
    settings, thresholds included, are plain data in run.yaml and model.json. Lengths are in the unit of the voxel size.
    A subclass adds `kind`, a literal by which settings files name it. Shapes: K channels, *S spatial axes.

    Parameters
    ----------
    **settings
        Those of the subclass, such as thresholds. They are frozen.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.represent import Semantic
    >>> represent, voxel = Semantic(), Voxel((1.0, 1.0))
    >>> labels = np.zeros((12, 12), np.int32)
    >>> labels[3:9, 3:9] = 1
    >>> channels = represent.encode(labels, voxel)
    >>> channels.shape, bool((represent.decode(channels, voxel) == labels).all())
    ((1, 12, 12), True)
    """

    @property
    @abstractmethod
    def channels(self) -> tuple[str, ...]:
        """What each channel shows; K names."""

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Least and largest value of each channel."""
        return ((0, 1),) * len(self.channels)

    @property
    def eight_bits(self) -> bool:
        """Whether channels rounded to 256 levels of their ranges give the same objects."""
        return True

    @property
    def decode_bytes(self) -> int:
        """Bytes that `decode` needs per voxel, input and output included."""
        return 110

    @property
    def papers(self) -> tuple[str, ...]:
        """BibTeX keys of the papers to cite."""
        return ()

    @property
    @abstractmethod
    def link(self) -> Link:
        """Rule that joins the objects of neighbouring blocks."""

    @property
    def tunable_thresholds(self) -> Mapping[str, tuple[float, ...]]:
        """Tunable thresholds of the decoder with the values to try, the most lenient first."""
        return {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels (classes, *S). Empty for a single class."""
        return ()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Classes whose objects belong to objects of another class."""
        return ()

    @property
    def smallest_object(self) -> float | None:
        """Equivalent diameter of the smallest object, the setting `smallest`. None: not known."""
        found: float | None = getattr(self, "smallest", None)
        return found

    def parts(self) -> Iterator[Part]:
        """The classes, one `Part` each."""
        yield Part("", self, slice(0, len(self.channels)))

    @abstractmethod
    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """Target channels of a label image.

        Parameters
        ----------
        labels
            (*S), 0 is background, objects may touch. With several classes (classes, *S), here and in `decode`.
        voxel
            Voxel size.

        Returns
        -------
        array
            (K, *S) float32 in `ranges`.
        """

    @abstractmethod
    def activate(self, logits: "Tensor") -> "Tensor":
        """Output of a network, brought to `ranges`.

        Parameters
        ----------
        logits
            (B, K, *S).

        Returns
        -------
        Tensor
            (B, K, *S).
        """

    @abstractmethod
    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Supervised loss. It looks at each voxel by itself, so that it can be taken of some of them (`known_loss`).

        Parameters
        ----------
        logits
            (B, K, *S), of one axis or more.
        target
            Encoded labels (B, K, *S).

        Returns
        -------
        Tensor
            A scalar.
        """

    @abstractmethod
    def foreground(self, channels: StoredChannels) -> Channels:
        """Probability that a voxel belongs to an object.

        Parameters
        ----------
        channels
            (K, *S), floats in `ranges` or as `to_stored`.

        Returns
        -------
        array
            (*S) in [0, 1]; (classes, *S) with several classes.
        """

    def confidence(self, channels: StoredChannels) -> Channels:
        """Confidence of the network in what `decode` finds at each voxel. Default: the probability of foreground.

        The mean over the voxels of an object is the confidence of the object.

        Parameters
        ----------
        channels
            (K, *S), floats in `ranges` or as `to_stored`.

        Returns
        -------
        array
            (*S) in [0, 1].
        """
        return self.foreground(channels)

    def rankings(self, channels: StoredChannels) -> Mapping[str, Channels]:
        """Further maps that rank objects for average precision, by their means over objects.

        Parameters
        ----------
        channels
            (K, *S), floats in `ranges` or as `to_stored`.

        Returns
        -------
        dict
            Maps (*S) by name. Default: none.
        """
        return {}

    @abstractmethod
    def decode(self, channels: StoredChannels, voxel: Voxel) -> Labels:
        """Instances of predicted channels.

        Each voxel depends on its neighbourhood alone: no statistics of the array enter. So a block decodes like the
        whole image, away from its border.

        Parameters
        ----------
        channels
            (K, *S), floats in `ranges` or as `to_stored`.
        voxel
            Voxel size.

        Returns
        -------
        array
            (*S) int32, ids 1..N, each object face-connected.
        """

    @abstractmethod
    def with_threshold(self, threshold: float) -> Self:
        """The same decoder with another foreground threshold.

        Parameters
        ----------
        threshold
            In (0, 1).

        Returns
        -------
        Representation
            A changed copy.

        Raises
        ------
        UserError
            Where the threshold does not fit the other settings.
        """

    def describe(self) -> str:
        """How instances are encoded and decoded, in the past tense, for the methods section of a paper."""
        return ""

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Type of the channels between network and decoder."""
        return np.dtype(np.uint8 if self.eight_bits else np.float32)

    def to_stored(self, channels: NDArray[np.generic]) -> StoredChannels:
        """Channels as they are stored between network and decoder.

        Parameters
        ----------
        channels
            Activated channels (K, *S).

        Returns
        -------
        array
            (K, *S) uint8 where `eight_bits`, else float32.
        """
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
        if not (least >= low - RANGE_SLACK and most <= high + RANGE_SLACK):  # NaN is out of range, too
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
