"""CySGAN (Lauenburg et al. 2022): two networks, each of which translates and segments at once.

X is labelled, Y is not. x, y are images, x*, y* the same before they were corrupted, s represents the labels of x.

    F: X -> Y     xy, s_x = F(x)      xyx, s_xy = G(xy)
    G: Y -> X     yx, s_y = G(y)      yxy, s_yx = F(yx)

    L_GAN   xy against Y, yx against X                          Eq. 4
    L_cyc   |xyx - x*| + |yxy - y*|                             Eq. 3, restoring (III-D.2)
    L_seg   s_x and s_xy against s                              Eq. 5
    L_sc    |s_y - s_yx|                                        Eq. 6
    L_GAN   s_y and s_yx against s                              Eq. 7, segmentation-based

L is their sum, L_cyc included: Eq. 7 omits it, text and code have it. Real is 1 and fake 0 as in the code, not +-1.
A synthesised image is a constant for the segmentation of it (III-D.3): s_xy teaches G and not F, s_yx F and not G.
"""

import copy
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core.batch import LabelledPair, UnlabelledPair
from ..losses.adversarial import discriminator_loss, generator_loss
from ..losses.basic import l1
from ..losses.pool import ImagePool
from ..nets.discriminator import DiscriminatorSpec
from ..nets.nd import add_residual_image
from ..nets.unet import UNet, UNetSpec
from .backbone import LEAN, PAPER, Backbone
from .base import (
    SEGMENTED,
    AdversarialPair,
    Method,
    MonitorSpec,
    Task,
    Translation,
    Update,
    channels_picture,
    logits_picture,
    parameters_of,
)


class Batch(NamedTuple):
    source: LabelledPair  # X
    target: UnlabelledPair  # Y


class Options(Backbone):
    """Eq. 7 with its uniform weights, and the ablations of Table III. (BC only is a choice of the representation.)

    adversarial: of both games of images. cycle: 1 in the paper, 10 in CycleGAN. segment: supervised losses. agree,
        shape: structural consistency and the segmentation-based game; both 0 is "no semi-supervised losses".
    restore: False leads the cycle back to the image that was read, corruptions included, and shows those to
    discriminators. identity: |G(x) - x*| + |F(y) - y*| in the image, of the precursor; two more passes unless 0.
    residual: translation predicts a change of the image and starts at none.
    warm_up: part of the training before which only the cycle and the labels teach the generators.
    discriminator: widths of the discriminators. norm_first: see nets.discriminator.DiscriminatorSpec. pool: fakes that
    each remembers.
    """

    renamed: ClassVar[dict[str, str]] = {"critic": "discriminator", "warm": "warm_up"}

    adversarial: float = 1.0
    cycle: float = 1.0
    segment: float = 1.0
    agree: float = 1.0
    shape: float = 1.0
    restore: bool = True
    identity: float = 0.0
    residual: bool = False
    warm_up: float = 0.0
    discriminator: tuple[int, ...] = (64, 64, 128, 128, 256)
    norm_first: bool = True
    pool: int = 40  # 20 batches of 2


# The authors' precursor. It weighs mask 2, contour 3 and distance 2 (absolute error): here 2 before the
# representation's own weights. Half the discriminators' loss, as it has, is the same to Adam.
TUNED = {"cycle": 10.0, "identity": 5.0, "segment": 2.0, "agree": 2.0, "pool": 50}
TUNED_TRAIN = {
    "lr": 2e-4, "betas": (0.5, 0.999), "weight_decay": 0.0, "steps": 100_000, "decay_from": 0.5, "batch": 4,
    "precision": "32", "ema": 0.0,
}  # fmt: skip

LAPTOP = {"lr": 1e-3, "betas": (0.5, 0.99), "steps": 1000, "precision": "auto"}
# Where brightness alone tells objects on both sides, little has to change, and a strong game takes pale objects away.
GENTLE = LEAN | {
    "adversarial": 0.2, "cycle": 10.0, "agree": 2.0, "shape": 0.3, "residual": True, "warm_up": 0.15,
    "norm_first": False, "pool": 20,
}  # fmt: skip


class CySGAN(Method):
    """Two networks that each translate and segment at once. They need labels of the source domain.

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
    Lauenburg et al. 2022 (CySGAN), eqs. 3 to 7. The equations stand at the top of this file.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16), discriminator=(4, 4))
    >>> method = CySGAN(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['generators', 'discriminators']
    """

    name: ClassVar = "cysgan"
    title: ClassVar = "CySGAN"
    papers: ClassVar = ("lauenburg2023cysgan",)
    translates: ClassVar = True
    batch, settings = Batch, Options
    # In a gentle game nothing is translated, and where texture told objects the ground between them became objects.
    modality_gap: ClassVar = {
        "laptop-2d": {"adversarial": 1.0, "shape": 1.0},
        "laptop-3d": {"adversarial": 1.0, "cycle": 2.0, "shape": 1.0},
    }
    presets: ClassVar = {
        "paper-2d": {"options": {}, "patch": (256, 256), "train": PAPER},
        "paper-3d": {"options": {}, "patch": (16, 128, 128), "train": PAPER},
        "tuned-2d": {"options": TUNED, "patch": (256, 256), "train": TUNED_TRAIN},
        "tuned-3d": {"options": TUNED, "patch": (16, 96, 96), "train": TUNED_TRAIN},
        "laptop-2d": {
            "options": GENTLE | {"widths": (16, 32, 64), "discriminator": (16, 32, 64)},
            "train": LAPTOP | {"batch": 2},
        },
        "laptop-3d": {
            "options": GENTLE | {"widths": (8, 16, 32), "discriminator": (8, 16, 32)},
            "train": LAPTOP | {"batch": 1},
        },
    }

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.options, self.represent = options, task.represent
        channels = len(task.represent.channels)
        self.F = Generator(options.unet(task.voxel, 1 + channels, options.residual))
        self.G = copy.deepcopy(self.F)  # they start alike (authors' code)
        discriminator = lambda channels: DiscriminatorSpec.for_voxel(
            task.voxel, channels, options.discriminator, norm_first=options.norm_first
        ).build()
        self.discriminator_x, self.discriminator_y, self.discriminator_s = (
            discriminator(1),
            discriminator(1),
            discriminator(channels),
        )
        self.pool_x, self.pool_y, self.pool_s = (ImagePool(options.pool, seed + i) for i in range(3))

    def exported_spec(self) -> UNetSpec:
        return self.G.segment.spec

    def players(self) -> dict[str, nn.Module]:
        return {
            "generators": nn.ModuleList([self.F, self.G]),
            # One optimiser moves all three; the authors' stepped D_s with that of D_y, and D_s never learnt.
            "discriminators": nn.ModuleList([self.discriminator_x, self.discriminator_y, self.discriminator_s]),
        }

    def network(self) -> UNet:
        return self.G.segment

    def source_domain_network(self) -> nn.Module:
        return SourceDomainNetwork(self.F, self.G.segment)

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s, x_clean), (y, y_clean) = batch
        lam, F, G, seg = self.options, self.F, self.G, self.represent.loss
        if not lam.restore:
            x_clean, y_clean = x, y
        game = float(progress >= lam.warm_up)

        xy, s_x = F(x)
        yx, s_y = G(y)
        xyx, s_xy = G(xy)
        yxy, s_yx = F(yx)
        s_y, s_yx = self.represent.activate(s_y), self.represent.activate(s_yx)

        # Each generator has its objective, so that one pass over xy gives it both the gradient of the cycle, which
        # goes on into xy, and that of s_xy, which does not: no parameter of G lies behind xy, none of F behind yx.
        # (F could take x and yx in one call; gradients of zeros would then be led through it for G's sake.)
        cycle = {"cycle_x": lam.cycle * l1(xyx, x_clean), "cycle_y": lam.cycle * l1(yxy, y_clean)}
        yield self.update(
            "generators",
            parameters_of(
                F,
                **cycle,
                fool_y=game * lam.adversarial * generator_loss(self.discriminator_y, xy),
                segment_x=lam.segment * seg(s_x, s),
                # Both sides move, as in the code; Eq. 6 names no constant.
                agree=game * lam.agree * l1(s_yx, s_y.detach()),
                shape_yx=game * lam.shape * generator_loss(self.discriminator_s, s_yx),
                **self.identity("identity_y", F, y, y_clean),
            ),
            parameters_of(
                G,
                **cycle,
                fool_x=game * lam.adversarial * generator_loss(self.discriminator_x, yx),
                segment_xy=lam.segment * seg(s_xy, s),
                agree=game * lam.agree * l1(s_y, s_yx.detach()),
                shape_y=game * lam.shape * generator_loss(self.discriminator_s, s_y),
                **self.identity("identity_x", G, x, x_clean),
            ),
        )
        yield self.update(
            "discriminators",
            x=discriminator_loss(self.discriminator_x, x_clean, self.pool_x(yx)),
            y=discriminator_loss(self.discriminator_y, y_clean, self.pool_y(xy)),
            # both segmentations, of which the code shows one by the toss of a coin
            s=discriminator_loss(self.discriminator_s, s, self.pool_s(torch.cat([s_y, s_yx]))),
        )

    def identity(self, name: str, generator: nn.Module, image: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """An image that has the look already stays as it is; without a weight it costs no pass."""
        lam = self.options.identity
        return {name: lam * l1(generator(image)[0], clean)} if lam else {}

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        (x, s, _), (y, _) = batch
        xy, s_x = self.F(x)
        yx, s_y = self.G(y)
        (xyx, s_xy), (yxy, s_yx) = self.G(xy), self.F(yx)
        mask = lambda logits: logits_picture(self.represent, logits)
        return {
            "source": x, "source to target": xy, "source back": xyx, "source segmented": mask(s_x),
            "segmented as target": mask(s_xy), "source truth": channels_picture(self.represent, s),
            "target": y, "target to source": yx, "target back": yxy, "target segmented": mask(s_y),
            "segmented as source": mask(s_yx),
        }  # fmt: skip

    def monitor_spec(self) -> MonitorSpec:
        lam = self.options
        return MonitorSpec(
            (
                *SEGMENTED,
                Translation("source to target", of="source", like="target"),
                Translation("target to source", of="target", like="source"),
            ),
            (
                AdversarialPair(("discriminators/x",), ("generators/fool_x",), lam.adversarial),
                AdversarialPair(("discriminators/y",), ("generators/fool_y",), lam.adversarial),
                AdversarialPair(("discriminators/s",), ("generators/shape_y", "generators/shape_yx"), 2 * lam.shape),
            ),
        )


class Generator(nn.Module):
    """Image (B, 1, *S) -> the image in the look of the other domain (B, 1, *S) in [-1, 1], logits (B, K, *S).

    `segment` is the network that is exported, a U-Net without translation. Here its last convolution gets one more
    output, so that both come from one pass.
    """

    def __init__(self, spec: UNetSpec):
        super().__init__()
        both = spec.build()
        self.residual = spec.residual_image
        self.segment = both.keep_channels(range(1, spec.out))
        self.draw = nn.ParameterList(p.detach()[:1].clone() for p in both.head.parameters())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        head = self.segment.head.named_parameters()
        wider = {f"head.{name}": torch.cat([draw, rest]) for draw, (name, rest) in zip(self.draw, head)}
        out = functional_call(self.segment, wider, (x,))
        if self.residual:
            out = add_residual_image(x, out)
        return out[:, :1].tanh(), out[:, 1:]


class SourceDomainNetwork(nn.Module):
    """The source drawn in the look of the target, then segmented."""

    def __init__(self, draw: Generator, segment: UNet):
        super().__init__()
        self.draw, self.segment, self.multiple = draw, segment, segment.multiple

    def forward(self, x: Tensor) -> Tensor:
        return self.segment(self.draw(x)[0])
