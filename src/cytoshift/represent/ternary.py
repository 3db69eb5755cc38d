"""AD-GAN-INS: background, gray edge and core in one channel, so that objects which touch stay apart."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..core.settings import parse
from ..core.voxel import Voxel
from ..labels.boundaries import axis_index
from ..labels.filters import filter_small
from ..labels.ids import relabel
from .base import (
    LONGEST,
    Channels,
    Labels,
    Link,
    Representation,
    StoredChannels,
    ball,
    fill_enclosed,
    hysteresis,
    label_components,
    smooth_channel,
    to_floats,
)  # fmt: skip
from .distance import distances, largest_depths
from .watershed import grow

if TYPE_CHECKING:
    from torch import Tensor

EDGE_GREY, CORE_GREY = 127 / 255, 1.0  # the gray levels of the authors' code (synthesisPatch.py:36)
PROBABILITY_LEVELS = 255  # the flood tells so many levels of probability apart
MARKER_CORE_PART = 1 / 4  # part of the smallest object's core that a marker must have


class Ternary(Representation):
    """One channel with three levels: 0 background, 127/255 edge, 1 core (AD-GAN 4.5, "AD-GAN-INS").

    edge: "half" as the authors' code draws it, gray where the depth below the surface is less than half of the
        object's largest; or the width of a thin edge in the unit of the voxel size, half depth at most. An object
        cut by the border of the image has no edge along the cut. Cores of two objects never share a face.
    thresholds: above the first is foreground, above the second core. The paper names none; these lie half way
        between the levels (64 and 191 of 255).
    sure: a connected piece of foreground without a voxel above it is no object.
    smallest: equivalent diameter of the smallest object, in the unit of the voxel size. Holes smaller than that
        object are filled; a marker below a quarter of its core's size is noise, and so is a coreless piece of
        less than half its diameter. Without it none is dropped for its size.
    """

    kind: Literal["ternary"] = "ternary"
    edge: Literal["half"] | Annotated[float, Field(gt=0)] = "half"
    thresholds: tuple[float, float] = (64 / 255, 191 / 255)
    sure: float = Field(0.5, gt=0, lt=1)
    smallest: float | None = Field(None, gt=0, le=LONGEST)

    channels: ClassVar[tuple[str, ...]] = ("core and edge",)
    link: ClassVar[Link] = "best"
    decode_bytes: ClassVar[int] = 90
    tunable_thresholds: ClassVar[Mapping[str, tuple[float, ...]]] = {"sure": (0.35, 0.5, 0.65)}

    @model_validator(mode="after")
    def check_order(self) -> Self:
        low, high = self.thresholds
        if not 0 < low < high < 1:
            raise ValueError(f"thresholds {low:g} and {high:g} must rise and lie between 0 and 1")
        if self.sure < low:
            raise ValueError(f"sure = {self.sure:g} must not be below the first threshold, {low:g}")
        return self

    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """(*S) -> (1, *S): 0, 127/255 and 1."""
        numbered = relabel(labels)
        depth = distances(numbered, voxel)
        largest = largest_depths(numbered.ravel(), depth.ravel(), int(numbered.max(initial=0)))
        limit = largest / 2
        if self.edge != "half":  # depths are taken to voxel centres, the surface is half a voxel nearer
            limit = np.minimum(limit, np.float32(self.edge + min(voxel.size) / 2))
        gray = depth < limit[numbered]
        # Along a coarse axis one slice may be deeper than the limit; where objects touch there, it parts them.
        gray |= touching_voxels(numbered) & (depth < largest[numbered])
        out = np.where(gray, np.float32(EDGE_GREY), np.float32(CORE_GREY))
        out[numbered == 0] = 0
        return out[None]

    def activate(self, logits: "Tensor") -> "Tensor":
        return logits.sigmoid()

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Binary cross-entropy with the gray level as a soft target; least where the level is met."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(logits, target)

    def foreground(self, channels: StoredChannels) -> Channels:
        """An edge voxel is as much a part of its object as a core voxel: its level counts as 1."""
        return np.asarray(np.minimum(to_floats(channels, self.ranges)[0] / np.float32(EDGE_GREY), 1), dtype=np.float32)

    def decode(self, channels: StoredChannels, voxel: Voxel) -> Labels:
        """Three levels by two thresholds; the cores are markers, and a watershed spreads them over the foreground.

        The flood runs over the falling gray level, smoothed: between two cores the level dips at the contact if
        the edges are thin or blurred, and where it is flat, as between wide edges, all markers advance alike. On
        blurred and noisy masks the distance to the background did worse for both edges, growth weighted by the
        cores' radii a little better for "half" and a little worse for thin ones.
        """
        low, high = self.thresholds
        (gray,) = to_floats(channels, self.ranges)
        if not (above := gray > low).any():  # most blocks of a sparse volume
            return np.zeros(gray.shape, np.int32)
        level = smooth_channel(gray, voxel)
        mask = hysteresis(above, level > self.sure)
        if not mask.any():
            return np.zeros(gray.shape, np.int32)
        mask = fill_enclosed(mask, self.smallest, voxel)
        markers = self.markers(mask, level > high, voxel)
        falling = np.rint((1 - np.clip(level, 0, 1)) * PROBABILITY_LEVELS).astype(np.int16)
        return relabel(grow(markers, falling, mask))

    def markers(self, mask: NDArray[np.bool_], core: NDArray[np.bool_], voxel: Voxel) -> Labels:
        """One marker per core, and one for every piece of foreground that has no core; (*S) int32, gaps allowed."""
        markers, count = label_components(mask & core)
        pieces, _ = label_components(mask)
        if self.smallest is not None:
            # A core has half the diameter of its object, so a quarter of it is ball(smallest / 2) / 4.
            markers = is_large(markers, MARKER_CORE_PART * ball(self.smallest / 2, voxel.ndim), voxel)
        has_core = np.zeros(int(pieces.max(initial=0)) + 1, dtype=bool)
        has_core[pieces[markers > 0]] = True
        coreless = np.where(has_core[pieces], 0, pieces)
        if self.smallest is not None:
            coreless = is_large(coreless, ball(self.smallest / 2, voxel.ndim), voxel)
        return np.where(coreless > 0, coreless + count, markers).astype(np.int32)

    def with_threshold(self, threshold: float) -> Self:
        changed = {"thresholds": (threshold, self.thresholds[1]), "sure": max(self.sure, threshold)}
        return parse(type(self), self.model_dump() | changed, f"threshold {threshold:g}")

    def describe(self) -> str:
        low, high = self.thresholds
        return (
            f"Masks of core and edge were thresholded at {low:.3g} and {high:.3g}, and cores grown into the foreground"
        )


def is_large(labels: Labels, size: float, voxel: Voxel) -> Labels:
    return np.asarray(filter_small(labels, size, voxel), dtype=np.int32)


def touching_voxels(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Voxels of an object that share a face with another object; (*S)."""
    out = np.zeros(labels.shape, dtype=bool)
    for axis in range(labels.ndim):
        ahead, behind = axis_index(axis, slice(1, None)), axis_index(axis, slice(None, -1))
        meets = (labels[ahead] != labels[behind]) & (labels[ahead] > 0) & (labels[behind] > 0)
        out[ahead] |= meets
        out[behind] |= meets
    return out
