"""What methods share that translate between images A and synthetic masks B by a generator for each way.

G_AB: A -> B    ab = G_AB(a)    aba = G_BA(ab)
G_BA: B -> A    ba = G_BA(b)    bab = G_AB(ba)

Both are ResNets of CycleGAN, each with a patch discriminator at its end. A mask has the channels of the representation,
stretched to [-1, 1]. G_AB is exported. A subclass adds its step, and what else learns.
"""

from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.batch import BiasFieldBatch, MaskBatch
from ..core.errors import UserError
from ..core.settings import Settings
from ..losses.basic import weighted_l1
from ..losses.pool import ImagePool
from ..nets.discriminator import DiscriminatorSpec
from ..nets.initialise import initialise_normal, zero_output
from ..nets.nd import stages
from ..nets.resnet import ResNetGenerator, ResNetSpec
from .base import (
    TRANSLATED,
    AdversarialPair,
    Method,
    MonitorSpec,
    Task,
    channel_weights,
    channels_picture,
    class_weights,
    stretch_channels,
)


class Batch(NamedTuple):
    images: BiasFieldBatch  # A
    masks: MaskBatch  # B


class Translators(Settings):
    """Settings of the generators and discriminators, and the weights that all these methods have.

    cycle, identity, adversarial: weights of L_cyc, L_idt and L_GAN. width: of the finest level of the generators.
    blocks, stem, up, residual: see nets.resnet.ResNetSpec. discriminator: widths of the
    discriminators. pool: fakes that each remembers.
    """

    cycle: float = Field(10.0, ge=0)
    identity: float = Field(5.0, ge=0)
    adversarial: float = Field(1.0, ge=0)
    width: int = 32
    blocks: int = 9
    stem: int = 7
    up: Literal[3, 4, "linear"] = 3
    residual: bool = False
    discriminator: tuple[int, ...] = (64, 128, 256, 512, 512)
    pool: int = 50


# CycleGAN's training (Zhu et al., section 4). The authors halve the discriminators' loss; Adam's steps are the same for
# any factor of a loss, so it is left out.
PAPER = {
    "lr": 2e-4, "betas": (0.5, 0.999), "weight_decay": 0.0, "steps": 100_000, "decay_from": 0.5, "batch": 1,
    "precision": "32", "ema": 0.0,
}  # fmt: skip
LAPTOP = {"lr": 4e-4, "betas": (0.5, 0.99), "steps": 2000, "precision": "auto"}
EVEN = 0.5  # threshold of masks, the middle between background and object
LEAN = {"blocks": 3, "stem": 3, "up": "linear", "residual": True, "discriminator": (16, 32, 64), "pool": 20}


def translation_presets(paper: dict[str, Any]) -> dict[str, Any]:
    """Presets with the generators and discriminators of CycleGAN; paper: how the paper trains them."""
    return {
        "paper-2d": {"options": {}, "patch": (256, 256), "threshold": EVEN, "train": paper},
        "paper-3d": {
            "options": {"width": 32, "discriminator": (32, 64, 128, 256)},
            "patch": (64, 128, 128),
            "threshold": EVEN,
            "train": paper,
        },
        "laptop-2d": {"options": LEAN | {"width": 16}, "threshold": EVEN, "train": LAPTOP | {"batch": 2}},
        "laptop-3d": {
            "options": LEAN | {"width": 12},
            "augment": {"bias_field": 0.7},
            "threshold": EVEN,
            "train": LAPTOP | {"batch": 1},
        },
    }


class MaskTranslation(Method):
    """A method with a generator from images to masks, one back, and a discriminator of each domain.

    Parameters
    ----------
    task
        Voxel size, representation, channels of the images.
    options
        `Translators`, or settings that extend it.
    seed
        Of the random choices in a step. Default: 0.
    """

    least_patch: ClassVar = 24  # voxels that the discriminator needs along each axis
    batch = Batch

    def __init__(self, task: Task, options: Any, seed: int = 0):
        super().__init__(task, options, seed)
        self.options, self.represent = options, task.represent
        volume, mask = task.channels, len(task.represent.channels)
        refuse_counts(options, volume, mask)
        self.to_mask, self.to_volume = self.exported_spec().build(), self.generator(mask, volume).build()
        self.discriminator_volumes, self.discriminator_masks = (
            self.discriminator(volume).build(),
            self.discriminator(mask).build(),
        )
        self.apply(initialise_normal)
        if options.residual:
            for generator in (self.to_mask, self.to_volume):
                generator.net.get_submodule("head").apply(zero_output)
        self.pool_volumes, self.pool_masks = ImagePool(options.pool, seed), ImagePool(options.pool, seed + 1)
        by_class = class_weights(task.represent)
        self.weights_a: Tensor
        self.weights_b: Tensor
        self.register_buffer("weights_a", torch.tensor(by_class if len(by_class) == volume else (1.0,) * volume), False)
        self.register_buffer("weights_b", torch.tensor(channel_weights(task.represent)), False)

    def generator(self, channels: int, out: int, mask: bool = False) -> ResNetSpec:
        o = self.options
        return ResNetSpec.for_voxel(
            self.task.voxel, channels, out, width=o.width, blocks=o.blocks, stem=o.stem, up=o.up,
            residual_image=o.residual, mask=mask,
        )  # fmt: skip

    def discriminator(self, channels: int) -> DiscriminatorSpec:
        """CycleGAN's (kernels of 4, all layers but the last one stride), flat while an axis is coarse."""
        widths, ndim = self.options.discriminator, self.task.voxel.ndim
        kernels, strides = stages(self.task.voxel, len(widths))
        fours = tuple(tuple(4 if k > 1 else 1 for k in kernel) for kernel in kernels)
        return DiscriminatorSpec(
            ndim=ndim, channels=channels, widths=widths, kernels=fours, strides=(*strides[1:], (1,) * ndim),
            last=fours[-1], padding="zeros",
        )  # fmt: skip

    def exported_spec(self) -> ResNetSpec:
        return self.generator(self.task.channels, len(self.task.represent.channels), mask=True)

    def players(self) -> dict[str, nn.Module]:
        return {
            "generators": nn.ModuleList([self.to_mask, self.to_volume]),
            "discriminators": nn.ModuleList([self.discriminator_volumes, self.discriminator_masks]),
        }

    def network(self) -> ResNetGenerator:
        return self.to_mask

    def drawing_network(self) -> ResNetGenerator:
        return self.to_volume

    def mask_of(self, x: Tensor) -> Tensor:
        """G_AB: (B, C, *S) -> the mask (B, K, *S) in [-1, 1]."""
        return self.stretched_mask(self.to_mask, x)

    def stretched_mask(self, network: nn.Module, x: Tensor) -> Tensor:
        """What a network that ends in logits makes of images (B, C, *S): the mask (B, K, *S) in [-1, 1]."""
        return stretch_channels(self.represent, self.represent.activate(network(x)))

    def volume_of(self, x: Tensor) -> Tensor:
        """G_BA: (B, K, *S) -> the volume (B, C, *S) in [-1, 1]."""
        return self.to_volume(x).tanh()

    def apart_a(self, drawn: Tensor, wished: Tensor) -> Tensor:
        return weighted_l1(drawn, wished, self.weights_a)

    def apart_b(self, drawn: Tensor, wished: Tensor) -> Tensor:
        return weighted_l1(drawn, wished, self.weights_b)

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        (a, _), (mask,) = batch
        ab, ba = self.mask_of(a), self.volume_of(stretch_channels(self.represent, mask))
        segmented = lambda x: channels_picture(self.represent, self.represent.activate(self.to_mask(x)))
        return {
            "image": a, "image to mask": segmented(a), "image again": self.volume_of(ab),
            "mask": channels_picture(self.represent, mask), "mask to image": ba, "mask again": segmented(ba),
        }  # fmt: skip

    def monitor_spec(self) -> MonitorSpec:
        names = self.represent.names
        return MonitorSpec(
            (
                replace(TRANSLATED[0], names=names),
                replace(TRANSLATED[1], names=names * (len(names) == self.task.channels)),
            ),
            (
                AdversarialPair(
                    ("discriminators/volumes", "discriminators/masks"),
                    ("generators/fool",),
                    2 * self.options.adversarial,
                    1.0,
                ),
            ),
        )


def refuse_counts(options: Any, volume: int, mask: int) -> None:
    """Raises UserError where options compare volumes and masks that have different numbers of channels."""
    if volume == mask:
        return
    for name, word, cure in (("identity", "an identity loss", "0"), ("residual", "a change of the image", "false")):
        if getattr(options, name):
            raise UserError(
                f"options.{name} sets {word}, which needs as many channels in masks as in images, but these have "
                f"{mask} and {volume}; set options.{name} to {cure}"
            )
