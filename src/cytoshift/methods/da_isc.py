"""DA-ISC (Huang et al. 2022): in a stack, what changes from one section to the next is learnt as well, and the sections
of the unlabelled stack have to agree on it.

s: logits of the sections of a stack    r: logits of the residuals, r_k between sections k and k + 1
o = s > 0, d = r > 0: hard predictions, without gradient    xor: the objects that only one of two sections has

    L_seg = l(s_x, s) + B(r_x, s_k xor s_k+1)
    L_cross = B(s_y,k+1, o_y,k xor d_y,k) + B(s_y,k, o_y,k+1 xor d_y,k)
    L_adv = A(D_s(s_y)) + A(D_r(r_y))
    L = L_seg + lambda_cross w(p) L_cross + lambda_adv L_adv

B is the binary cross-entropy of the first channel, which in every representation tells objects from background. A is
that of a discriminator's score against "source", and each discriminator learns to tell the domains of single
sections apart. w rises as in the mean teacher: at first the residuals know nothing.

The paper takes pairs of sections, as far apart in both domains (`source.section_step`). Here a patch has two or more.
Its residuals come from a decoder of their own; here two convolutions read the last features of both sections. Its
discriminators have kernels of 4, here of 5 and 3.
"""

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ..core.voxel import Voxel
from ..losses.reversal import domain_entropy
from ..nets.discriminator import DiscriminatorSpec
from ..nets.nd import conv
from ..nets.unet import ConvNorm, UNetSpec
from .adapting import LAPTOP, Adapting, Batch
from .backbone import LEAN, Backbone
from .base import SEGMENTED, AdversarialPair, MonitorSpec, Task, Update
from .mean_teacher import ramp

SURE_ENTROPY = 4.0  # of a generator whose discriminator gives it one chance in fifty


class Options(Backbone):
    """cross: weight of the pseudo-labels of neighbouring sections. ramp: fraction of the training over which it rises.
    adversarial: weight of both games. discriminator: widths of the discriminators."""

    cross: float = Field(0.1, ge=0)
    ramp: float = Field(0.25, ge=0, le=1)
    adversarial: float = Field(0.001, ge=0)
    discriminator: tuple[int, ...] = (64, 128, 256, 512)


# The authors' code (vnc2lucchi1.yaml). Their rate falls with the power 0.9, ours linearly; they clip gradients.
PAPER = {
    "optimizer": "adam", "lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0, "steps": 200_000, "decay_from": 0.0,
    "batch": 1, "precision": "32", "ema": 0.0,
}  # fmt: skip


class DAISC(Adapting):
    """A U-Net for stacks whose neighbouring sections have to agree. It needs labels of the source domain.

    Parameters
    ----------
    task
        Voxel size (3D), representation, channels of the images.
    options
        Weights and sizes; see `Options`.
    seed
        Of the random choices in a step. Default: 0.

    References
    ----------
    Huang et al. 2022, section 2.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import Semantic
    >>> options = Options(widths=(8, 16), discriminator=(4, 4))
    >>> method = DAISC(Task(Voxel((2.0, 1.0, 1.0)), Semantic()), options)
    >>> list(method.players())
    ['net', 'discriminators']
    """

    name: ClassVar = "da_isc"
    title: ClassVar = "DA-ISC"
    papers: ClassVar = ("huang2022daisc",)
    settings, ndims, compares_sections = Options, (3,), True
    presets: ClassVar = {
        "paper-3d": {
            "options": LEAN | {"widths": (64, 128, 256, 512, 512), "norm": "instance"},
            "patch": (2, 512, 512),
            "train": PAPER,
        },
        "laptop-3d": {
            "options": LEAN | {"widths": (8, 16, 32), "discriminator": (8, 16, 32)},
            "train": LAPTOP | {"batch": 1},
        },
    }

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.residual = Residual(self.net.spec)
        self.discriminator_s = section_discriminator(len(task.represent.channels), options.discriminator)
        self.discriminator_r = section_discriminator(1, options.discriminator)

    def players(self) -> dict[str, nn.Module]:
        return {
            "net": nn.ModuleList([self.net, self.residual]),
            "discriminators": nn.ModuleList([self.discriminator_s, self.discriminator_r]),
        }

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s), (y, _) = batch
        lam, D_s, D_r = self.options, self.discriminator_s, self.discriminator_r

        (h_x, s_x), (h_y, s_y) = (self.net.decode(list(f)) for f in self.encode(x, y))
        r_x, r_y = self.residual(h_x), self.residual(h_y)
        o_y, d_y = s_y[:, :1].detach() > 0, r_y.detach() > 0
        p_x, p_y = (sections(self.represent.activate(one)) for one in (s_x, s_y))
        q_x, q_y = sections(r_x.sigmoid()), sections(r_y.sigmoid())
        yield self.update(
            "net",
            segment=self.represent.loss(s_x, s),
            residual=entropy(r_x, first(s[:, :1] > 0.5) ^ second(s[:, :1] > 0.5)),
            cross=lam.cross
            * ramp(progress, lam.ramp)
            * (entropy(second(s_y[:, :1]), first(o_y) ^ d_y) + entropy(first(s_y[:, :1]), second(o_y) ^ d_y)),
            fool_s=lam.adversarial * softplus(D_s(p_y)).mean(),
            fool_r=lam.adversarial * softplus(D_r(q_y)).mean(),
        )
        yield self.update(
            "discriminators",
            s=domain_entropy(D_s(p_x.detach()), D_s(p_y.detach())),
            r=domain_entropy(D_r(q_x.detach()), D_r(q_y.detach())),
        )

    def monitor_spec(self) -> MonitorSpec:
        lost = self.options.adversarial * SURE_ENTROPY
        games = [
            AdversarialPair((f"discriminators/{k}",), (f"net/fool_{k}",), lost, saturation_level=math.log(2))
            for k in ("s", "r")
        ]
        return MonitorSpec(SEGMENTED, tuple(games))


class Residual(nn.Module):
    """Last features (B, W, Z, Y, X) of a U-Net -> logits (B, 1, Z - 1, Y, X): what neighbouring sections differ in."""

    def __init__(self, spec: UNetSpec):
        super().__init__()
        width, kernel = spec.widths[0], spec.kernels[0]
        self.mix = ConvNorm(spec, 2 * width, width, kernel)
        self.head = conv(width, 1, kernel, padding=spec.padding, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.mix(torch.cat([first(features), second(features)], 1)))


def first(stack: Tensor) -> Tensor:
    """Of each pair of neighbouring sections of (B, C, Z, Y, X) the first one."""
    return stack[:, :, :-1]


def second(stack: Tensor) -> Tensor:
    """Of each pair of neighbouring sections of (B, C, Z, Y, X) the second one."""
    return stack[:, :, 1:]


def sections(stack: Tensor) -> Tensor:
    """(B, C, Z, Y, X) -> (B Z, C, Y, X)."""
    return stack.transpose(1, 2).flatten(0, 1)


def entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of logits and a truth of True and False, in 32 bits."""
    return binary_cross_entropy_with_logits(logits.float(), truth.float())


def section_discriminator(channels: int, widths: tuple[int, ...]) -> nn.Module:
    """Of single sections, without a norm."""
    return DiscriminatorSpec.for_voxel(Voxel((1.0, 1.0)), channels, widths, norm=False).build()
