"""Affinities: for pairs of voxels at fixed offsets, whether they are of one object."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..core.errors import UserError
from ..core.settings import parse
from ..core.voxel import Voxel
from ..labels.ids import relabel
from .base import LONGEST, WATERSHED, Channels, Labels, Link, Representation, StoredChannels, minimum_voxels, to_floats
from .bcd import mask_loss
from .quantised_watershed import split_by_seeds

if TYPE_CHECKING:
    from torch import Tensor


class Affinity(Representation):
    """One channel per offset: 1 where a voxel and the one at `place - offset` are of the same object, else 0.

    offsets: in voxels, (z, y, x) or (y, x), among them the face neighbours (1 along one axis); longer ones make the
        network look farther (Lee et al. 2017), the decoder takes the faces. Where the partner lies beyond the border
        nothing is known, and an object is taken to go on.
    threshold: a voxel is foreground with one such affinity to a face neighbour, seed: part of a seed where all are.
    seed_voxels, voxels, smallest: as in `BCD`. dice: weight of the Dice loss beside the cross-entropy.
    """

    kind: Literal["affinity"] = "affinity"
    offsets: tuple[tuple[int, ...], ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    threshold: float = Field(0.5, gt=0, lt=1)
    seed: float = Field(0.7, gt=0, lt=1)
    seed_voxels: int = Field(32, ge=0)
    voxels: int = Field(256, ge=0)
    smallest: float | None = Field(None, gt=0, le=LONGEST)
    dice: float = Field(0.5, ge=0)

    link: ClassVar[Link] = "best"
    decode_bytes: ClassVar[int] = 60
    papers: ClassVar[tuple[str, ...]] = ("lee2017affinities",)
    tunable_thresholds: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "threshold": (0.3, 0.5),
        "seed": (0.6, 0.7, 0.8, 0.9),
    }

    @model_validator(mode="after")
    def fits(self) -> Self:
        axes = {len(offset) for offset in self.offsets}
        if len(axes) != 1 or not axes <= {2, 3} or any(not any(offset) for offset in self.offsets):
            raise ValueError("offsets need two or three whole numbers each, (y, x) or (z, y, x), not all of them 0")
        if len(set(self.offsets)) < len(self.offsets) or not set(unit(axes.pop())) <= set(self.offsets):
            raise ValueError("offsets need every face neighbour, such as (0, 0, 1), and each offset once")
        if self.seed < self.threshold:
            raise ValueError(f"seed = {self.seed:g} must not be below threshold = {self.threshold:g}")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(",".join(f"{step:+d}" if step else "0" for step in offset) for offset in self.offsets)

    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """(*S) -> (K, *S) of 0 and 1."""
        self.refuse_axes(labels.ndim)
        numbered = relabel(labels)
        out = np.empty((len(self.offsets), *labels.shape), dtype=np.float32)
        for channel, offset in zip(out, self.offsets):
            channel[...] = numbered > 0
            here, there = pair(offset)
            channel[here] *= numbered[here] == numbered[there]
        return out

    def activate(self, logits: "Tensor") -> "Tensor":
        return logits.sigmoid()

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Mean over the offsets of balanced cross-entropy and Dice."""
        return mask_loss(logits, target, self.dice) / len(self.offsets)

    def foreground(self, channels: StoredChannels) -> Channels:
        """The strongest tie to a face neighbour."""
        return ties(self.faces(channels), np.maximum, 0)

    def decode(self, channels: StoredChannels, voxel: Voxel) -> Labels:
        """Seeds are voxels with strong ties to all of their face neighbours; they flood the rest, strong ties first.

        Two voxels of different objects that touch have a weak tie, so that both are outside of seeds: seeds stay apart
        by two voxels and one wrong tie joins nothing, unlike with components of ties above a threshold.
        """
        self.refuse_axes(voxel.ndim)
        channels = to_floats(channels, self.ranges)
        weakest = ties(self.faces(channels), np.minimum, 1)
        height = np.rint(np.clip(weakest, 0, 1) * 255).astype(np.uint8)
        mask = self.foreground(channels) > self.threshold
        sizes = minimum_voxels(self.smallest, (self.seed_voxels, self.voxels), voxel)
        return split_by_seeds(height, weakest > self.seed, mask, *sizes)

    def faces(self, channels: StoredChannels) -> list[Channels]:
        """The channels of the face neighbours along each axis."""
        found = to_floats(channels, self.ranges)
        return [found[self.offsets.index(offset)] for offset in unit(len(self.offsets[0]))]

    def with_threshold(self, threshold: float) -> Self:
        changed = {"threshold": threshold, "seed": max(self.seed, threshold)}
        return parse(type(self), self.model_dump() | changed, f"threshold {threshold:g}")

    def describe(self) -> str:
        return (
            f"Instances were represented by {len(self.offsets)} affinities {WATERSHED} affinities above "
            f"{self.seed:.3g}, foreground above {self.threshold:.3g}"
        )

    def refuse_axes(self, ndim: int) -> None:
        if len(self.offsets[0]) != ndim:
            raise UserError(
                f"affinity offsets {self.channels} have {len(self.offsets[0])} axes, the image {ndim}; give offsets "
                f"such as {unit(ndim)}"
            )


def unit(ndim: int) -> tuple[tuple[int, ...], ...]:
    """The offsets of the face neighbours.

    >>> unit(2)
    ((1, 0), (0, 1))
    """
    return tuple(tuple(int(axis == a) for a in range(ndim)) for axis in range(ndim))


def pair(offset: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of an image whose partners lie inside of it, and these partners.

    >>> pair((0, 2))
    ((slice(0, None, None), slice(2, None, None)), (slice(0, None, None), slice(0, -2, None)))
    """
    here = tuple(slice(max(step, 0), step if step < 0 else None) for step in offset)
    there = tuple(slice(max(-step, 0), -step if step > 0 else None) for step in offset)
    return here, there


def ties(faces: list[Channels], choose: np.ufunc, start: float) -> Channels:
    """`choose` among the ties of each voxel to its face neighbours on both sides; (*S)."""
    out = np.full(faces[0].shape, start, dtype=np.float32)
    for tie, offset in zip(faces, unit(len(faces))):
        ahead, behind = pair(offset)
        choose(out, tie, out=out)
        choose(out[behind], tie[ahead], out=out[behind])
    return out
