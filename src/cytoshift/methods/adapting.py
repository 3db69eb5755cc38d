"""The common part of methods that align the features of two domains: the network, Eq. 1's lambdas, the batch.

    L = L_seg(s_x, s) + sum_i lambda_i L_d(f_i(x), f_i(y))          Eq. 1 of Roels et al. (2019)

f_i are the features of level i of the encoder, the finest first. Unlike in the authors' code, L_d sees those of the
encoder, all of them or the bottleneck alone, and not the last ones of the decoder, which nearly are the segmentation.
Both domains get the same augmentation, or the augmentation would tell the domains apart. Batch norm, which
the presets in 2D have, takes the statistics of each domain apart, and ships with those of the target; other norms take
those of each sample.
"""

from typing import Any, ClassVar, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..core.batch import LabelledBatch, UnlabelledPair
from .backbone import LEAN, PAPER, Backbone, UNetMethod
from .base import logits_picture

Features = tuple[Tensor, ...]  # (B, widths[i], *S / stride) of every level, finest first


class Batch(NamedTuple):
    source: LabelledBatch  # X
    target: UnlabelledPair  # Y


class Levels(Backbone):
    """How much the features of each level of the encoder are aligned.

    lambdas: a weight per level, finest first; a zero switches a level off, (0, 0, 1) leaves the bottleneck alone. None:
    `bottleneck` at the bottleneck, half as much with every level towards the image.
    """

    renamed: ClassVar[dict[str, str]] = {"deepest": "bottleneck"}

    bottleneck: float = Field(1.0, ge=0)
    lambdas: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def one_for_each_level(self) -> Self:
        if self.lambdas is not None and len(self.lambdas) != len(self.widths):
            raise ValueError(f"lambdas {self.lambdas} need one weight for each of {len(self.widths)} levels")
        if min(self.ladder()) < 0:
            raise ValueError(f"lambdas {self.lambdas} must not be negative")
        return self

    def ladder(self) -> tuple[float, ...]:
        last = len(self.widths) - 1
        return self.lambdas or tuple(self.bottleneck / 2 ** (last - i) for i in range(last + 1))

    def weights(self) -> dict[int, float]:
        """Of the levels that are switched on."""
        return {level: weight for level, weight in enumerate(self.ladder()) if weight}


LAPTOP = {"lr": 1e-3, "betas": (0.9, 0.99), "steps": 1000, "batch": 2, "precision": "auto"}
# As the authors' networks have it. Measured in 2D alone: benchmarks/specs/what-adapts-mito.yaml.
BATCH_NORM = {"norm": "batch"}


def presets(**laptop: Any) -> dict[str, dict[str, Any]]:
    """Settings of a run by name; `laptop` are options that small networks get beside their widths."""
    return {
        "paper-2d": {"options": BATCH_NORM, "patch": (256, 256), "train": PAPER},
        "paper-3d": {"options": {}, "patch": (16, 128, 128), "train": PAPER},
        "laptop-2d": {"options": LEAN | BATCH_NORM | {"widths": (16, 32, 64)} | laptop, "train": LAPTOP},
        "laptop-3d": {"options": LEAN | {"widths": (8, 16, 32)} | laptop, "train": LAPTOP | {"batch": 1}},
    }


class Adapting(UNetMethod):
    """A U-Net `net` that learns from the labels of X and is shipped; a subclass adds its step, and what else learns."""

    batch: ClassVar[type] = Batch

    def encode(self, x: Tensor, y: Tensor) -> tuple[Features, Features]:
        """f(x) and f(y)."""
        return self.net.encode_domains(x, y)

    def segment(self, features: Features) -> Tensor:
        """Logits (B, K, *S)."""
        return self.net.decode(list(features))[1]

    @torch.no_grad()
    def sample_images(self, batch: Any) -> dict[str, Tensor]:
        (x, s), (y, _) = batch
        pictures = {"target": y, "target segmented": logits_picture(self.represent, self.net(y))}
        return self.labelled_pictures("source", x, s) | pictures
