"""Foreground and depth: how deep a voxel lies in its object, 1 at the deepest. Between objects there is a valley."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.settings import parse
from ..core.voxel import Voxel
from ..labels.ids import relabel
from .base import Channels, Labels, Link, Representation, StoredChannels, label_components, to_floats
from .distance import distances, largest_depths
from .watershed import grow

if TYPE_CHECKING:
    from torch import Tensor


class Depth(Representation):
    """threshold: foreground above it. core: a connected piece that lies deeper than this is one object."""

    kind: Literal["depth"] = "depth"
    threshold: float = Field(0.5, gt=0, lt=1)
    core: float = Field(0.6, gt=0, lt=1)

    channels: ClassVar[tuple[str, ...]] = ("foreground", "depth")
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"threshold": (0.3, 0.5, 0.7), "core": (0.4, 0.6, 0.8)}
    link: ClassVar[Link] = "best"

    def encode(self, labels: NDArray[np.generic], voxel: Voxel) -> Channels:
        """(*S) -> (2, *S): 1 inside of objects; distance to the own surface over the largest one there."""
        numbered = relabel(labels)
        away = distances(numbered, voxel)
        most = largest_depths(numbered.ravel(), away.ravel(), int(numbered.max(initial=0)))[numbered]
        depth = np.divide(away, most, out=np.zeros_like(away), where=(numbered > 0) & np.isfinite(most))
        return np.stack([numbered > 0, depth]).astype(np.float32)

    def activate(self, logits: "Tensor") -> "Tensor":
        return logits.sigmoid()

    def loss(self, logits: "Tensor", target: "Tensor") -> "Tensor":
        """Cross-entropy of the foreground, squared error of the depth."""
        from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

        inside = binary_cross_entropy_with_logits(logits[:, 0], target[:, 0])
        return inside + 5 * mse_loss(logits[:, 1].sigmoid(), target[:, 1])

    def foreground(self, channels: StoredChannels) -> Channels:
        return np.asarray(to_floats(channels, self.ranges)[0])

    def decode(self, channels: StoredChannels, voxel: Voxel) -> Labels:
        """Deep pieces are seeds; they flood the foreground, the deepest first."""
        inside, depth = to_floats(channels, self.ranges)
        seeds, _ = label_components((depth > self.core) & (inside > self.threshold))
        shallow = np.rint(255 * (1 - np.clip(depth, 0, 1))).astype(np.int16)
        return grow(seeds, shallow, inside > self.threshold)

    def with_threshold(self, threshold: float) -> Self:
        return parse(type(self), self.model_dump() | {"threshold": threshold}, f"threshold {threshold:g}")
