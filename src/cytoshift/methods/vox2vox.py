"""Vox2Vox (Cirillo et al. 2020): supervised segmentation with a discriminator that sees image and mask together.

s = G(x)        L_G = (D(x, s) - 1)^2 + 5 Dice(s, t)        L_D = (D(x, t) - 1)^2 + D(x, s)^2

Rosa et al. compare their SS-Seg CycleGAN with it. Ours: G is the U-Net that all methods with labels share, in the place
of one with dense blocks at its bottleneck, so that a table compares losses; masks have the channels of the
representation, each with its Dice on the range from 0 to 1.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.batch import LabelledBatch
from ..losses.adversarial import discriminator_loss, generator_loss
from ..losses.basic import dice_loss
from ..nets.discriminator import DiscriminatorSpec
from .backbone import LEAN, Backbone, UNetMethod
from .base import (
    SEGMENTED,
    AdversarialPair,
    MonitorSpec,
    Task,
    Update,
    stretch_channels,
)


class Batch(NamedTuple):
    source: LabelledBatch


class Options(Backbone):
    """Those of the network; dice, adversarial: the paper's weights. discriminator: widths of its layers."""

    renamed: ClassVar[dict[str, str]] = {"critic": "discriminator"}

    dice: float = Field(5.0, ge=0)
    adversarial: float = Field(1.0, ge=0)
    discriminator: tuple[int, ...] = (64, 128, 256, 512)


# The authors halve the discriminator's loss; Adam's steps are the same for any factor of a loss, so it is left out.
PAPER = {
    "lr": 2e-4, "betas": (0.5, 0.999), "weight_decay": 0.0, "steps": 20_000, "decay_from": 1.0, "batch": 4,
    "precision": "32", "ema": 0.0,
}  # fmt: skip
LAPTOP = {"lr": 1e-3, "betas": (0.5, 0.99), "steps": 1000, "batch": 2, "precision": "auto"}


class Vox2Vox(UNetMethod):
    """Supervised segmentation with a discriminator of image and mask together. It needs labels.

    Parameters
    ----------
    task
        Voxel size, representation, channels of the images.
    options
        Weights and sizes; see `Options`.
    seed
        Of the random choices in a step. Default: 0.

    References
    ----------
    Cirillo et al. 2020 (Vox2Vox), eqs. 1 and 2.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16), discriminator=(4, 4))
    >>> method = Vox2Vox(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net', 'discriminator']
    """

    name: ClassVar = "vox2vox"
    title: ClassVar = "Vox2Vox"
    papers: ClassVar = ("cirillo2020vox2vox",)
    batch, settings, supports_classes = Batch, Options, True
    presets: ClassVar = {
        "paper-2d": {"options": {}, "patch": (256, 256), "train": PAPER},
        "paper-3d": {"options": {}, "patch": (64, 64, 64), "train": PAPER},
        "laptop-2d": {"options": LEAN | {"widths": (16, 32, 64), "discriminator": (16, 32, 64)}, "train": LAPTOP},
        "laptop-3d": {
            "options": LEAN | {"widths": (8, 16, 32), "discriminator": (8, 16, 32)},
            "train": LAPTOP | {"batch": 1},
        },
    }

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        pair = task.channels + len(task.represent.channels)
        self.discriminator = DiscriminatorSpec.for_voxel(task.voxel, pair, options.discriminator).build()

    def players(self) -> dict[str, nn.Module]:
        return {"net": self.net, "discriminator": self.discriminator}

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        lam, (x, target) = self.options, batch.source
        t = stretch_channels(self.represent, target)
        s = stretch_channels(self.represent, self.represent.activate(self.net(x)))
        with_image = lambda mask: torch.cat([x.to(mask.dtype), mask], 1)
        yield self.update(
            "net",
            fool=lam.adversarial * generator_loss(self.discriminator, with_image(s)),
            dice=lam.dice * dice_loss((s + 1) / 2, (t + 1) / 2),
        )
        yield self.update("discriminator", pairs=discriminator_loss(self.discriminator, with_image(t), with_image(s)))

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        return self.labelled_pictures("source", *batch.source)

    def monitor_spec(self) -> MonitorSpec:
        names = self.represent.names
        return MonitorSpec(
            tuple(replace(drawing, names=names) for drawing in SEGMENTED),
            (AdversarialPair(("discriminator/pairs",), ("net/fool",), self.options.adversarial),),
        )
