"""SS-Seg CycleGAN (Rosa, Narotamo and Silveira): volumes A of several channels against synthetic masks B of several
classes, such as Golgi and nuclei. No label is read.

G_AB: A -> B    ab = G_AB(a)    aba = G_BA(ab)    bb = G_AB(b)
G_BA: B -> A    ba = G_BA(b)    bab = G_AB(ba)    aa = G_BA(a)

L_GAN   ab against B, ba against A      L_cyc   |aba - a|_w + |bab - b|_w      L_idt   |aa - a|_w + |bb - b|_w

|.|_w is the mean absolute error in which each channel counts with the weight of its class (`represent.weights`; the
paper: 3.5 for Golgi, 1 for nuclei). Images count like that too where they have one channel for each class. A mask
has the channels of the representation, stretched to [-1, 1]; an identity needs as many of them as the images have.

Ours: with `augment.bias_field`, a is read under an uneven light, and |aba - a| and |aa - a| lead to the image as it
was.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.batch import BiasFieldBatch, MaskBatch
from ..core.errors import UserError
from ..core.settings import Settings
from ..losses.adversarial import discriminator_loss, generator_loss
from ..losses.basic import weighted_l1
from ..losses.pool import ImagePool
from ..nets.discriminator import DiscriminatorSpec
from ..nets.nd import stages
from ..nets.resnet import ResNetGenerator, ResNetSpec
from .base import (
    AdversarialPair,
    Method,
    MonitorSpec,
    Task,
    Translation,
    Update,
    channel_weights,
    channels_picture,
    class_weights,
    stretch_channels,
)

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class Batch(NamedTuple):
    images: BiasFieldBatch  # A
    masks: MaskBatch  # B


class Options(Settings):
    """The paper's lambdas, those of CycleGAN: cycle 10, identity 5.

    cycle, identity, adversarial: weights of L_cyc, L_idt and L_GAN. width: of the finest level of the generators.
    blocks, stem, up, residual: see nets.resnet.ResNetSpec. discriminator: widths of the
    discriminators. pool: fakes that each remembers.
    """

    renamed: ClassVar[dict[str, str]] = {"critic": "discriminator"}

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


# The authors halve the discriminators' loss; Adam's steps are the same for any factor of a loss, so it is left out.
# 100 epochs of 216 batches; the learning rate does not fall. Their blocks concatenate, ours add.
PAPER = {
    "lr": 5e-4,
    "lr_multipliers": {"discriminators": 0.2},
    "betas": (0.5, 0.999),
    "weight_decay": 0.0,
    "steps": 21_600,
    "decay_from": 1.0,
    "batch": 2,
    "precision": "32",
    "ema": 0.0,
}
STRETCH = {"low": 95.0, "high": 98.0}  # percentiles of each channel; their code has 99.8 for Golgi
LAPTOP = {"lr": 4e-4, "betas": (0.5, 0.99), "steps": 2000, "precision": "auto"}
EVEN = 0.5  # threshold of masks (their code, after the tanh is brought to [0, 1]; 64 of 255 is AD-GAN's)
SMALLER = 3.5  # weight of the class that covers less, Golgi (section II-C); 1 of the other
LEAN = {"blocks": 3, "stem": 3, "up": "linear", "residual": True, "discriminator": (16, 32, 64), "pool": 20}
SMALL_2D = {"options": LEAN | {"width": 16}, "threshold": EVEN, "train": LAPTOP | {"batch": 2}}
# As of AD-GAN in 3D: an uneven light keeps the brightness of an object out of the size of its mask. A stronger game
# gives dim objects back (development phantoms, 800 steps, one seed: F1 of nuclei 0.93 for 0.85, of Golgi 0.72 for 0.70)
# and must end early: after 1500 steps it cuts bright nuclei in two (F1 0.68, 336 objects for 243).
SMALL_3D = {
    "options": LEAN | {"width": 12, "adversarial": 3.0},
    "augment": {"bias_field": 0.7},
    "threshold": EVEN,
    "train": LAPTOP | {"batch": 1, "steps": 800},
}


class MaskCycleGAN(Method):
    """CycleGAN between images of several channels and synthetic masks of several classes. No label is needed.

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
    Rosa, Narotamo and Silveira (SS-Seg-CycleGAN); Zhu et al. 2017 for the losses.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import Semantic
    >>> options = Options(width=4, blocks=1, discriminator=(4, 4))
    >>> method = MaskCycleGAN(Task(Voxel((1.0, 1.0)), Semantic()), options)
    >>> list(method.players())
    ['generators', 'discriminators']
    """

    name: ClassVar = "mask_cyclegan"
    title: ClassVar = "SS-Seg CycleGAN"
    papers: ClassVar = ("rosa_ssseg", "zhu2017cyclegan")
    least_patch: ClassVar = 24  # voxels that the discriminator needs along each axis
    batch, settings, supports_classes = Batch, Options, True
    presets: ClassVar = {
        "paper-2d": {
            "options": {"width": 64, "blocks": 6},
            "patch": (256, 256),
            "normalise": STRETCH,
            "threshold": EVEN,
            "smaller_class": SMALLER,
            "train": PAPER,
        },
        "paper-3d": {
            "options": {},
            "patch": (64, 64, 64),
            "normalise": STRETCH,
            "threshold": EVEN,
            "smaller_class": SMALLER,
            "train": PAPER,
        },
        "laptop-2d": SMALL_2D,
        "laptop-3d": SMALL_3D,
        # The same with the paper's contrast, which leaves nothing of a background that covers 95 % of the image.
        "stretched-2d": SMALL_2D | {"normalise": STRETCH},
        "stretched-3d": SMALL_3D | {"normalise": STRETCH},
    }

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.options, self.represent = options, task.represent
        volume, mask = task.channels, len(task.represent.channels)
        refuse_counts(options, volume, mask)
        self.to_mask, self.to_volume = self.exported_spec().build(), self.generator(mask, volume).build()
        self.discriminator_volumes, self.discriminator_masks = (
            self.discriminator(volume).build(),
            self.discriminator(mask).build(),
        )
        self.apply(initialise)
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

    def mask_of(self, x: Tensor) -> Tensor:
        """G_AB: (B, C, *S) -> the mask (B, K, *S) in [-1, 1]."""
        return stretch_channels(self.represent, self.represent.activate(self.to_mask(x)))

    def volume_of(self, x: Tensor) -> Tensor:
        """G_BA: (B, K, *S) -> the volume (B, C, *S) in [-1, 1]."""
        return self.to_volume(x).tanh()

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        lam, G_AB, G_BA = self.options, self.mask_of, self.volume_of
        (a, a_clean), (mask,) = batch
        b = stretch_channels(self.represent, mask)

        ab, ba = G_AB(a), G_BA(b)
        aba, bab = G_BA(ab), G_AB(ba)
        terms = {
            "fool": lam.adversarial
            * (generator_loss(self.discriminator_masks, ab) + generator_loss(self.discriminator_volumes, ba)),
            "cycle": lam.cycle * (self.apart_a(aba, a_clean) + self.apart_b(bab, b)),
        }
        if lam.identity:  # without it volumes and masks may have different numbers of channels
            terms["identity"] = lam.identity * (self.apart_a(G_BA(a), a_clean) + self.apart_b(G_AB(b), b))
        yield self.update("generators", **terms)
        yield self.update(
            "discriminators",
            volumes=discriminator_loss(self.discriminator_volumes, a_clean, self.pool_volumes(ba)),
            masks=discriminator_loss(self.discriminator_masks, b, self.pool_masks(ab)),
        )

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
                Translation("image to mask", of="image", like="mask", mask=True, names=names),
                Translation("mask to image", of="mask", like="image", names=names * (len(names) == self.task.channels)),
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


def refuse_counts(options: Options, volume: int, mask: int) -> None:
    """Raises UserError where options compare volumes and masks that have different numbers of channels."""
    if volume == mask:
        return
    for name, word, cure in (("identity", "an identity loss", "0"), ("residual", "a change of the image", "false")):
        if getattr(options, name):
            raise UserError(
                f"options.{name} sets {word}, which needs as many channels in masks as in images, but these have "
                f"{mask} and {volume}; set options.{name} to {cure}"
            )


def initialise(module: nn.Module) -> None:
    """N(0, 0.02) for every convolution (authors' code)."""
    if isinstance(module, CONVOLUTIONS):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def zero_output(module: nn.Module) -> None:
    """A residual generator starts at no change."""
    for weight in module.parameters(recurse=False):
        nn.init.zeros_(weight)
