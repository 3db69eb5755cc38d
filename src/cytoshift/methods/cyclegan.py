"""CycleGAN (Zhu et al. 2017): images of X drawn in the look of Y and back. No label is read.

F: X -> Y      xy = F(x)     xyx = G(xy)     yy = F(y)
G: Y -> X      yx = G(y)     yxy = F(yx)     xx = G(x)

L_GAN   xy against Y, yx against X      L_cyc   |xyx - x| + |yxy - y|      L_idt   |xx - x| + |yy - y|
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..core.batch import UnlabelledBatch
from ..core.settings import Settings
from ..core.voxel import Voxel
from ..losses.adversarial import discriminator_loss, generator_loss
from ..losses.basic import l1
from ..losses.pool import ImagePool
from ..nets.discriminator import DiscriminatorSpec
from ..nets.initialise import initialise_normal, zero_output
from ..nets.nd import stages
from ..nets.resnet import ResNetSpec
from .base import AdversarialPair, Method, MonitorSpec, Task, Translation, Update


class Batch(NamedTuple):
    source: UnlabelledBatch  # X
    target: UnlabelledBatch  # Y


class Options(Settings):
    """The paper's lambdas: cycle 10, identity half of that. Half the widths in 3D, 6 blocks for patches below 256.

    cycle, identity: weights of L_cyc and L_idt. width, blocks, stem, up, residual: see nets.resnet.ResNetSpec.
    discriminator: widths of the discriminators. pool: fakes that each remembers.
    """

    renamed: ClassVar[dict[str, str]] = {"critic": "discriminator"}

    cycle: float = 10.0
    identity: float = 5.0
    width: int = 64
    blocks: int = 9
    stem: int = 7
    up: Literal[3, 4, "linear"] = 3
    residual: bool = False
    discriminator: tuple[int, ...] = (64, 128, 256, 512)
    pool: int = 50


# The authors halve the discriminators' loss; Adam's steps are the same for any factor of a loss, so it is left out.
PAPER = {
    "lr": 2e-4, "betas": (0.5, 0.999), "weight_decay": 0.0, "steps": 100_000, "decay_from": 0.5, "batch": 1,
    "precision": "32", "ema": 0.0,
}  # fmt: skip
LAPTOP = {"lr": 4e-4, "betas": (0.5, 0.99), "steps": 1000, "precision": "auto"}
GENTLE = {"blocks": 3, "stem": 5, "up": "linear", "residual": True, "pool": 20}


class CycleGAN(Method):
    """Unpaired translation between two domains of images. The first stage of the recipes cyclegan-xy and cyclegan-yx.

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
    Zhu et al. 2017 (CycleGAN), eqs. 1 to 3.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(width=4, blocks=1, discriminator=(4, 4))
    >>> method = CycleGAN(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['generators', 'discriminators']
    """

    name: ClassVar = "cyclegan"
    title: ClassVar = "CycleGAN"
    papers: ClassVar = ("zhu2017cyclegan",)
    translates: ClassVar = True
    segments: ClassVar = False
    batch, settings = Batch, Options
    modality_gap: ClassVar = {"laptop-3d": {"cycle": 2.0, "identity": 1.0}}
    presets: ClassVar = {
        "paper-2d": {"options": {}, "patch": (256, 256), "train": PAPER},
        "paper-3d": {
            "options": {"width": 32, "discriminator": (32, 64, 128, 256)},
            "patch": (64, 128, 128),
            "train": PAPER,
        },
        "laptop-2d": {"options": GENTLE | {"width": 16, "discriminator": (16, 32, 64)}, "train": LAPTOP | {"batch": 2}},
        "laptop-3d": {"options": GENTLE | {"width": 8, "discriminator": (8, 16, 32)}, "train": LAPTOP | {"batch": 1}},
    }

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.options = options
        self.both = Translators(self.exported_spec())
        discriminator = patchgan(task.voxel, options.discriminator)
        self.discriminator_source, self.discriminator_target = discriminator.build(), discriminator.build()
        self.apply(initialise_normal)
        if options.residual:
            for translator in (self.both.to_target, self.both.to_source):
                translator.net.get_submodule("head").apply(zero_output)
        self.pool_source, self.pool_target = ImagePool(options.pool, seed), ImagePool(options.pool, seed + 1)

    def exported_spec(self) -> ResNetSpec:
        """Of either translator: `network().to_target` and `network().to_source`."""
        o = self.options
        return ResNetSpec.for_voxel(
            self.task.voxel, width=o.width, blocks=o.blocks, stem=o.stem, up=o.up, residual_image=o.residual
        )

    def players(self) -> dict[str, nn.Module]:
        return {
            "generators": self.both,
            "discriminators": nn.ModuleList([self.discriminator_source, self.discriminator_target]),
        }

    def network(self) -> "Translators":
        """Both, as recipes use one or the other, and a running mean is to hold both."""
        return self.both

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        lam, F, G = self.options, self.both.to_target, self.both.to_source
        (x,), (y,) = batch

        xy, yy = F(torch.cat([x, y])).tanh().split([len(x), len(y)])
        yx, xx = G(torch.cat([y, x])).tanh().split([len(y), len(x)])
        xyx, yxy = G(xy).tanh(), F(yx).tanh()
        yield self.update(
            "generators",
            fool=generator_loss(self.discriminator_target, xy) + generator_loss(self.discriminator_source, yx),
            cycle=lam.cycle * (l1(xyx, x) + l1(yxy, y)),
            identity=lam.identity * (l1(xx, x) + l1(yy, y)),
        )
        yield self.update(
            "discriminators",
            source=discriminator_loss(self.discriminator_source, x, self.pool_source(yx)),
            target=discriminator_loss(self.discriminator_target, y, self.pool_target(xy)),
        )

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        F, G = (lambda image: self.both.to_target(image).tanh()), (lambda image: self.both.to_source(image).tanh())
        (x,), (y,) = batch
        xy, yx = F(x), G(y)
        return {
            "source": x, "source to target": xy, "source back": G(xy),
            "target": y, "target to source": yx, "target back": F(yx),
        }  # fmt: skip

    def monitor_spec(self) -> MonitorSpec:
        return MonitorSpec(
            (
                Translation("source to target", of="source", like="target"),
                Translation("target to source", of="target", like="source"),
            ),
            (
                AdversarialPair(
                    ("discriminators/source", "discriminators/target"),
                    ("generators/fool",),
                    lost=2.0,
                    saturation_level=1.0,
                ),
            ),
        )


class Translators(nn.Module):
    """F and G, each (B, 1, *S) -> (B, 1, *S) before the tanh; called, they draw in the look of the target."""

    def __init__(self, spec: ResNetSpec):
        super().__init__()
        self.to_target, self.to_source = spec.build(), spec.build()

    def forward(self, x: Tensor) -> Tensor:
        return self.to_target(x)


def patchgan(voxel: Voxel, widths: tuple[int, ...]) -> DiscriminatorSpec:
    """CycleGAN's discriminator (kernels of 4, all layers but the last one stride), flat while an axis is coarse."""
    kernels, strides = stages(voxel, len(widths))
    fours = tuple(tuple(4 if k > 1 else 1 for k in kernel) for kernel in kernels)
    return DiscriminatorSpec(
        ndim=voxel.ndim, widths=widths, kernels=fours, strides=(*strides[1:], (1,) * voxel.ndim), last=fours[-1],
        padding="zeros",
    )  # fmt: skip
