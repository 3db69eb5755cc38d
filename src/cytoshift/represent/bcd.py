"""Foreground, contour and signed distance: what CySGAN and PyTorch Connectomics draw of instances, and its decoder."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..core.errors import UserError
from ..core.settings import parse
from ..core.voxel import Voxel
from ..labels.boundaries import axis_index
from ..labels.dtypes import smallest_dtype
from ..labels.ids import relabel
from .base import (
    LONGEST,
    WATERSHED,
    Channels,
    Labels,
    Link,
    Ranges,
    Representation,
    StoredChannels,
    minimum_voxels,
    to_eight_bits,
    to_floats,
)  # fmt: skip
from .distance import distances, largest_depths, signed_distance
from .frame import State
from .quantised_watershed import Mask, Unsigned, compact_ids, flood_levels, mark_seeds

if TYPE_CHECKING:
    from torch import Tensor

Eight = NDArray[np.uint8]  # channels (K, *S)

TUNABLE = {
    "threshold": (0.3, 0.5, 0.7), "seed_foreground": (0.5, 0.7, 0.8, 0.9), "seed_contour": (0.7, 0.5, 0.35, 0.2),
}  # fmt: skip
FOREGROUND_SHARES = (0.05, 0.95)  # the share of the foreground that decides the weights is taken to lie in this range
DICE_SMOOTHING = 100.0  # of the Dice loss
RANGES: Ranges = ((0, 1), (0, 1), (-1, 1))  # of foreground, contour and signed distance


class ContourRepresentation(Representation):
    """What the two representations share: foreground and contour.

    contour: "slice" outlines each (y, x) slice as the target '4-1-1' of PyTorch Connectomics does: a voxel whose two
        neighbours along an axis differ in label, background included. "volume" looks along z too, for stacks whose
        slices are coarse enough that objects on top of each other would share a seed; the deepest voxels of an object
        are never contour then.
    dilate: the contour is made wider by so many voxels of the finest axis, and by fewer along coarser ones.
    threshold: foreground above it (thres3 of the authors' decoder).
    seed_foreground, seed_contour: a seed has more foreground (thres1) and less contour (thres2).
    seed_voxels, voxels: smaller seeds and objects are dropped. smallest: equivalent diameter of the smallest object
        in the unit of the voxel size; with it both counts are replaced: an object needs half of that diameter, since
        the border may cut it, a seed a quarter of the core that such an object has.
    dice: weight of the Dice loss beside the cross-entropy.
    """

    contour: Literal["slice", "volume"] = "slice"
    dilate: int = Field(1, ge=0)
    threshold: float = Field(0.7, gt=0, lt=1)
    seed_foreground: float = Field(0.9, gt=0, lt=1)
    seed_contour: float = Field(0.2, gt=0, lt=1)
    seed_voxels: int = Field(32, ge=0)
    voxels: int = Field(256, ge=0)
    smallest: float | None = Field(None, gt=0, le=LONGEST)
    dice: float = Field(0.5, ge=0)

    link: ClassVar[Link] = "best"
    decode_bytes: ClassVar[int] = 40
    papers: ClassVar[tuple[str, ...]] = ("lin2021nucmm",)

    @model_validator(mode="after")
    def check_order(self) -> Self:
        if self.seed_foreground < self.threshold:
            low, high = f"seed_foreground = {self.seed_foreground:g}", f"threshold = {self.threshold:g}"
            raise ValueError(f"{low} must not be below {high}")
        return self

    def foreground(self, channels: StoredChannels) -> Channels:
        mask: Channels = to_floats(channels[:1], self.ranges)[0]
        return mask

    def with_threshold(self, threshold: float) -> Self:
        changed = {"threshold": threshold, "seed_foreground": max(self.seed_foreground, threshold)}
        return parse(type(self), self.model_dump() | changed, f"threshold {threshold:g}")

    def cuts(self) -> "Cuts":
        return Cuts(self.seed_foreground, self.seed_contour, self.threshold)

    def sizes(self, voxel: Voxel) -> tuple[int, int]:
        """The voxels that a seed and an object need at least."""
        return minimum_voxels(self.smallest, (self.seed_voxels, self.voxels), voxel)

    def outline(self, labels: Labels, voxel: Voxel, depth: NDArray[np.float32] | None = None) -> Mask:
        """Contour of a dense label image (*S); `depth` below the surface if it is known already."""
        found = outlines(labels, voxel, self.contour == "volume", self.dilate)
        if self.contour == "volume":
            depth = distances(labels, voxel) if depth is None else depth
            found &= (labels == 0) | (
                depth < largest_depths(labels.ravel(), depth.ravel(), int(labels.max(initial=0)))[labels]
            )
        return found


class BC(ContourRepresentation):
    """Two channels, foreground and contour: CySGAN's ablation without the distance."""

    kind: Literal["bc"] = "bc"

    channels: ClassVar[tuple[str, ...]] = ("foreground", "contour")
    tunable_thresholds: ClassVar[Mapping[str, tuple[float, ...]]] = TUNABLE

    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """(*S) -> (2, *S): 1 inside of objects; 1 where they end."""
        numbered = relabel(labels)
        return np.stack([numbered > 0, self.outline(numbered, voxel)]).astype(np.float32)

    def activate(self, logits: "Tensor") -> "Tensor":
        return logits.sigmoid()

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Balanced cross-entropy and Dice of both channels."""
        return mask_loss(logits, target, self.dice)

    def decode(self, channels: StoredChannels, voxel: Voxel) -> Labels:
        """Seeds are sure foreground without contour; they flood the foreground, the likeliest first."""
        eight = to_eight_bits(channels, self.ranges)
        seed, smallest = self.sizes(voxel)
        return compact_ids(watershed_eight_bits(eight, eight[0], self.cuts(), seed), smallest)

    def describe(self) -> str:
        return (
            f"Instances were represented by foreground and contour {WATERSHED} a foreground above "
            f"{self.seed_foreground:.3g} and a contour below {self.seed_contour:.3g}, foreground above "
            f"{self.threshold:.3g}"
        )


class BCD(ContourRepresentation):
    """Three channels: foreground, contour and signed distance (CySGAN, section II-B).

    The distance lies in (0, 1] inside of objects, each by its own depth, and in [-1, 0) outside; see `signed_distance`.
    distance: foreground has more of it (thres5), seed_distance: seeds have more (thres4).
    flood: by which channel seeds spread, the foreground as in the authors' code, or the distance.
    regression: weight of the squared error of the distance.
    """

    kind: Literal["bcd"] = "bcd"
    distance: float = Field(-0.1, ge=-1, le=1)
    seed_distance: float = Field(0.5, ge=-1, le=1)
    flood: Literal["foreground", "distance"] = "foreground"
    regression: float = Field(5.0, ge=0)

    channels: ClassVar[tuple[str, ...]] = ("foreground", "contour", "distance")
    ranges: ClassVar[Ranges] = RANGES
    tunable_thresholds: ClassVar[Mapping[str, tuple[float, ...]]] = TUNABLE | {
        "distance": (-0.1, 0.0), "seed_distance": (0.1, 0.2, 0.35, 0.5),
    }  # fmt: skip

    @model_validator(mode="after")
    def distances_ordered(self) -> Self:
        if self.seed_distance < self.distance:
            low, high = f"seed_distance = {self.seed_distance:g}", f"distance = {self.distance:g}"
            raise ValueError(f"{low} must not be below {high}")
        return self

    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """(*S) -> (3, *S): 1 inside of objects; 1 where they end; signed distance in [-1, 1]."""
        numbered = relabel(labels)
        out = np.empty((3, *numbered.shape), dtype=np.float32)
        out[0] = numbered > 0
        out[1] = self.outline(numbered, voxel)
        out[2] = signed_distance(numbered, voxel)
        return out

    def activate(self, logits: "Tensor") -> "Tensor":
        import torch

        return torch.cat([logits[:, :2].sigmoid(), logits[:, 2:].tanh()], dim=1)

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Balanced cross-entropy and Dice of foreground and contour, and the squared error of the distance."""
        from torch.nn.functional import mse_loss

        off = mse_loss(logits[:, 2:].tanh(), target[:, 2:])
        return mask_loss(logits[:, :2], target[:, :2], self.dice) + self.regression * off

    def decode(self, channels: StoredChannels, voxel: Voxel) -> Labels:
        """`bcd_watershed` with these thresholds, on channels rounded to 8 bits.

        But for the order of ties: voxels that are level are flooded in the order of the image, which a block
        shares with the whole; scikit-image's order depends on all that is in the image.
        """
        eight = to_eight_bits(channels, self.ranges)
        height = eight[0] if self.flood == "foreground" else eight[2]
        cuts = self.cuts()._replace(seed_distance=self.seed_distance, distance=self.distance)
        seed, smallest = self.sizes(voxel)
        return compact_ids(watershed_eight_bits(eight, height, cuts, seed), smallest)

    def rankings(self, channels: StoredChannels) -> Mapping[str, Channels]:
        """shape: B (1 - C) D, where D counts inside of objects, where it is positive."""
        eight = to_eight_bits(channels, self.ranges)
        mask, contour, distance = (channel / np.float32(255) for channel in eight)
        return {"shape": mask * (1 - contour) * np.maximum(2 * distance - 1, 0)}

    def describe(self) -> str:
        return (
            f"Instances were represented by foreground, contour and signed distance {WATERSHED} a foreground above "
            f"{self.seed_foreground:.3g}, a contour below {self.seed_contour:.3g} and a distance above "
            f"{self.seed_distance:.3g}, foreground above {self.threshold:.3g} with a distance above {self.distance:.3g}"
        )


def bcd_watershed(
    pred: NDArray[np.generic],
    thres1: float = 0.9,
    thres2: float = 0.2,
    thres3: float = 0.7,
    thres4: float = 0.5,
    thres5: float = -0.1,
    return_seed: bool = False,
    seed_thres: int = 32,
    thres_small: int = 256,
) -> Unsigned | tuple[Unsigned, Unsigned]:
    """Instances from predicted foreground, contour and distance maps: the post-processing of CySGAN.

    Foreground is B > thres3 and D > thres5. Seeds are B > thres1, C < thres2 and D > thres4, connected over corners
    too; seeds below `seed_thres` voxels are dropped. A watershed grows them over faces, high B first. Objects below
    `thres_small` voxels are dropped. scikit-image takes these steps, so ties are resolved as there. `BCD.decode` does
    the same several times as fast.

    Parameters
    ----------
    pred
        (3, *S): foreground B, contour C and signed distance D; or (4, *S), whose first channel is not used. uint8
        stands for 0 to 1, and for -1 to 1 of D. Floats have these ranges and are rounded to 8 bits.
    thres1, thres2, thres3, thres4, thres5
        Thresholds as above. Defaults: 0.9, 0.2, 0.7, 0.5, -0.1.
    return_seed
        Whether the seeds are returned too. Default: False.
    seed_thres, thres_small
        Least voxels of a seed and of an object. Defaults: 32, 256.

    Returns
    -------
    segm
        (*S) with the smallest unsigned type. Ids have gaps where an object was dropped.
    seed
        With `return_seed`: the seeds with the same ids.

    Raises
    ------
    UserError
        Where `pred` has other channels or values.

    References
    ----------
    Lin et al. 2021 (NucMM), section 4; Lauenburg et al. 2022 (CySGAN), section III-C.

    Examples
    --------
    >>> pred = np.zeros((3, 8, 8), np.uint8)
    >>> pred[0, 2:6, 2:6], pred[2], pred[2, 2:6, 2:6] = 255, 0, 255
    >>> segm, seed = bcd_watershed(pred, return_seed=True, seed_thres=1, thres_small=1)
    >>> int((segm > 0).sum()), int(segm.max())
    (16, 1)
    """
    from skimage.measure import label
    from skimage.segmentation import watershed

    if pred.ndim not in (3, 4) or len(pred) not in (3, 4):
        shape = ", ".join(map(str, pred.shape))
        raise UserError(
            f"bcd_watershed takes foreground, contour and distance, (3, Z, Y, X) or (3, Y, X), or four channels with "
            f"the translated image first; this array has the shape ({shape})"
        )
    eight = to_eight_bits(pred[-3:], RANGES)
    cuts = Cuts(thres1, thres2, thres3, thres4, thres5)
    seed = without_small(label(seeds(eight, cuts)), seed_thres)  # type: ignore[no-untyped-call]
    labels = watershed(-eight[0].astype(np.float64), seed, mask=foreground(eight, cuts))  # type: ignore[no-untyped-call]
    labels = without_small(labels, thres_small)
    return (labels, seed) if return_seed else labels


def without_small(labels: NDArray[np.integer], size: int) -> Unsigned:
    """Labels from 0 without objects below `size` voxels, in the smallest unsigned dtype; ids may have gaps then."""
    ids = np.where(np.bincount(labels.ravel()) >= size, np.arange(int(labels.max(initial=0)) + 1), 0)
    return np.asarray(ids.astype(smallest_dtype(int(ids.max())))[labels])


class Cuts(NamedTuple):
    """Thresholds in the order of `bcd_watershed`; those of the distance are not looked at where there is none."""

    seed_foreground: float
    seed_contour: float
    foreground: float
    seed_distance: float = -1
    distance: float = -1


def watershed_eight_bits(eight: Eight, height: Unsigned, cuts: Cuts, seed_voxels: int) -> State:
    """The first steps of `flood.split` on channels of 8 bits, with no mask in memory for longer than it is needed."""
    state = mark_seeds(seeds(eight, cuts), seed_voxels, height.dtype)
    flood_levels(state, height, foreground(eight, cuts))
    return state


def seeds(eight: Eight, cuts: Cuts) -> Mask:
    """Thresholds of 0 to 1 are rounded down to 8 bits, those of the distance are not, as in the authors' code."""
    out: Mask = eight[0] > int(255 * cuts.seed_foreground)
    out &= eight[1] < int(255 * cuts.seed_contour)
    for distance in eight[2:]:
        out &= distance >= quantise_distance(cuts.seed_distance)
    return out


def foreground(eight: Eight, cuts: Cuts) -> Mask:
    out: Mask = eight[0] > int(255 * cuts.foreground)
    for distance in eight[2:]:
        out &= distance >= quantise_distance(cuts.distance)
    return out


def quantise_distance(distance: float) -> int:
    """The least 8-bit value that stands for more than this distance; 256 where none does."""
    return int(np.count_nonzero(np.arange(256) / 255.0 * 2.0 - 1.0 <= distance))


def outlines(labels: NDArray[np.integer], voxel: Voxel, across: bool, dilate: int) -> Mask:
    """Voxels whose two neighbours along an axis have different labels, dilated by a box; (*S) bool.

    `across` looks along z too. Beyond the border of the array the last label goes on.
    """
    out = np.zeros(labels.shape, dtype=bool)
    axes = range(0 if across else max(0, labels.ndim - 2), labels.ndim)
    for axis in axes:
        n = labels.shape[axis]
        if n < 2:
            continue
        for low, here, high in ((slice(2, None), slice(1, -1), slice(None, -2)),
                                (slice(1, 2), slice(0, 1), slice(0, 1)),
                                (slice(n - 1, n), slice(n - 1, n), slice(n - 2, n - 1))):  # fmt: skip
            out[axis_index(axis, here)] |= labels[axis_index(axis, low)] != labels[axis_index(axis, high)]
    for axis in axes:
        for _ in range(int(dilate / voxel.anisotropy[axis])):
            wider = out.copy()
            wider[axis_index(axis, slice(1, None))] |= out[axis_index(axis, slice(None, -1))]
            wider[axis_index(axis, slice(None, -1))] |= out[axis_index(axis, slice(1, None))]
            out = wider
    return out


def mask_loss(logits: "Tensor", target: "Tensor", dice: float) -> "Tensor":
    """Sum over channels of balanced cross-entropy and `dice` times the Dice loss; logits and target (B, K, *S).

    The rarer of foreground and background weighs as much more as it is rarer, in each sample and channel, at most 19
    times. Dice: 1 - (2 overlap + 100) / (sum + sum + 100), of probabilities.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    space = tuple(range(2, logits.ndim))
    share = target.mean(space, keepdim=True).clamp(*FOREGROUND_SHARES)
    one, other = (1 - share) / share, share / (1 - share)
    weight = torch.where(target > 0.5, one.clamp(min=1), other.clamp(min=1))
    entropy = binary_cross_entropy_with_logits(logits, target, weight, reduction="none").mean(space)
    drawn = logits.sigmoid()
    overlap, total = (drawn * target).sum(space), (drawn + target).sum(space)
    unlike = 1 - (2 * overlap + DICE_SMOOTHING) / (total + DICE_SMOOTHING)
    return (entropy + dice * unlike).mean(0).sum()
