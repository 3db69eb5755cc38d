"""MUNIT (Huang et al. 2018): an image is a content c and a style s. a are images, b synthetic masks.

content  c_a = E_a(a)        style  s_a = S_a(a)        prior  r_a, r_b ~ N(0, 1)
same     aa = G_a(c_a, s_a)  bb = G_b(c_b, s_b)         L_x    |aa - a| + |bb - b|                        Eq. 1
across   ab = G_b(c_a, r_b)  ba = G_a(c_b, r_a)         L_GAN  ab against b, ba against a                 Eq. 4
content  c_ab = E_b(ab)      c_ba = E_a(ba)             L_c    |c_ab - c_a| + |c_ba - c_b|                Eq. 2
style    s_ab = S_b(ab)      s_ba = S_a(ba)             L_s    |s_ab - r_b| + |s_ba - r_a|                Eq. 3
cycle    aba = G_a(c_ab, s_a), bab = G_b(c_ba, s_b)     L_cyc  |aba - a| + |bab - b|                      section 5.1

An image is segmented by decoding its content as a mask, in the mean style of the prior: G_b(E_a(a), 0).

Encoders and decoders are those that AD-GAN took over from MUNIT; here each domain has its own, and a decoder is told a
style and not a domain.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..core.settings import Settings
from ..losses.adversarial import discriminator_loss, generator_loss
from ..losses.basic import l1
from ..losses.noise import GaussianNoise
from ..losses.pool import ImagePool
from ..nets.discriminator import DiscriminatorSpec
from ..nets.initialise import initialise_kaiming, initialise_normal, start_smooth
from ..nets.network_spec import TranslatorSpec
from ..nets.translator import IMAGE, MASK, StyleEncoder, Translator, code
from .base import TRANSLATED, AdversarialPair, Method, MonitorSpec, Task, Update
from .mask_translation import EVEN, LAPTOP, Batch

POOLS = {2: F.avg_pool2d, 3: F.avg_pool3d}


class Options(Settings):
    """The paper's lambdas, and the sizes of its networks.

    reconstruct, content, style_loss, cycle, adversarial: weights of L_x, L_c, L_s, L_cyc and L_GAN.
    style: numbers of a style code. width, blocks, stem, hidden, up: of encoders and decoders, see
    nets.network_spec.TranslatorSpec. discriminator: widths of the layers of each discriminator; scales: how many
    there are, each of which sees the image at half the resolution of the one before. pool: translations that they
    remember.
    """

    reconstruct: float = Field(10.0, ge=0)
    content: float = Field(1.0, ge=0)
    style_loss: float = Field(1.0, ge=0)
    cycle: float = Field(0.0, ge=0)
    adversarial: float = Field(1.0, ge=0)
    style: int = Field(8, ge=1)
    width: int = 64
    blocks: int = 4
    stem: int = 7
    hidden: int = 256
    up: Literal[3, 4] = 3
    discriminator: tuple[int, ...] = (64, 128, 256, 512)
    scales: int = Field(3, ge=1, le=5)
    pool: int = 1  # the authors have none: the newest alone


# The authors halve the rate every 100 000 of 10^6 steps; here it falls linearly from the beginning.
PAPER = {
    "lr": 1e-4, "betas": (0.5, 0.999), "weight_decay": 1e-4, "steps": 1_000_000, "decay_from": 0.0, "batch": 1,
    "precision": "32", "ema": 0.0,
}  # fmt: skip
# With the cycle of section 5.1: without it, 300 steps of a narrow network drew checkerboards (sparse-2d, F1@0.5 0.38).
SMALL = {"width": 16, "blocks": 3, "hidden": 64, "up": 4, "discriminator": (16, 32, 64), "scales": 2, "pool": 20,
         "cycle": 10.0}  # fmt: skip


class MUNIT(Method):
    """Unpaired translation between images and synthetic masks by content and style codes. No label is needed.

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
    Huang et al. 2018 (MUNIT), eqs. 1 to 5. The equations stand at the top of this file.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import Semantic
    >>> options = Options(width=4, blocks=1, hidden=8, discriminator=(4, 4), scales=2)
    >>> method = MUNIT(Task(Voxel((1.0, 1.0)), Semantic()), options)
    >>> list(method.players())
    ['generators', 'discriminators']
    """

    name: ClassVar = "munit"
    title: ClassVar = "MUNIT"
    papers: ClassVar = ("huang2018munit",)
    least_patch: ClassVar = 24  # voxels that the coarsest discriminator needs along each axis
    batch, settings = Batch, Options
    presets: ClassVar = {
        "paper-2d": {"options": {}, "patch": (256, 256), "threshold": EVEN, "train": PAPER},
        "paper-3d": {
            "options": {"width": 32, "discriminator": (32, 64, 128, 256)},
            "patch": (64, 128, 128),
            "threshold": EVEN,
            "train": PAPER,
        },
        "laptop-2d": {"options": SMALL | {"stem": 5}, "threshold": EVEN, "train": LAPTOP | {"batch": 2}},
        "laptop-3d": {
            "options": SMALL | {"stem": 3},
            "augment": {"bias_field": 0.7},
            "threshold": EVEN,
            "train": LAPTOP | {"batch": 1},
        },
    }

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.options, ndim = options, task.voxel.ndim
        # Each has the encoder of the domain that it comes from and the decoder of the one that it leads to.
        self.to_mask, self.to_image = self.exported_spec().build(), self.exported_spec().build()
        self.style_a, self.style_b = (
            StyleEncoder(ndim, 1, options.width, options.stem, options.style) for _ in range(2)
        )
        spec = DiscriminatorSpec.for_voxel(task.voxel, 1, options.discriminator, norm=False)
        self.discriminators_a, self.discriminators_b = (
            nn.ModuleList(spec.build() for _ in range(options.scales)) for _ in range(2)
        )
        self.pool_a, self.pool_b = ImagePool(options.pool, seed), ImagePool(options.pool, seed + 1)
        self.prior = GaussianNoise(seed)
        self.apply(initialise_kaiming)
        if options.up == 4:
            for translator in (self.to_mask, self.to_image):
                translator.decode.apply(start_smooth)
        for discriminators in (self.discriminators_a, self.discriminators_b):
            discriminators.apply(initialise_normal)

    def exported_spec(self) -> TranslatorSpec:
        o = self.options
        return TranslatorSpec(
            ndim=self.task.voxel.ndim, width=o.width, blocks=o.blocks, stem=o.stem, hidden=o.hidden, up=o.up,
            adaptive_encoder=False, style=o.style,
        )  # fmt: skip

    def players(self) -> dict[str, nn.Module]:
        return {
            "generators": nn.ModuleList([self.to_mask, self.to_image, self.style_a, self.style_b]),
            "discriminators": nn.ModuleList([self.discriminators_a, self.discriminators_b]),
        }

    def network(self) -> Translator:
        return self.to_mask

    def content_a(self, x: Tensor) -> Tensor:
        return self.to_mask.encode(x, code(x, IMAGE))

    def content_b(self, x: Tensor) -> Tensor:
        return self.to_image.encode(x, code(x, MASK))

    def decode_a(self, content: Tensor, style: Tensor) -> Tensor:
        return self.to_image.decode(content, style).tanh()

    def decode_b(self, content: Tensor, style: Tensor) -> Tensor:
        return self.to_mask.decode(content, style).tanh()

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        lam, S_a, S_b = self.options, self.style_a, self.style_b
        E_a, E_b, G_a, G_b = self.content_a, self.content_b, self.decode_a, self.decode_b
        (a, a_clean), (mask,) = batch
        b = 2 * mask - 1

        c_a, s_a, c_b, s_b = E_a(a), S_a(a), E_b(b), S_b(b)
        r_a, r_b = self.prior(s_a), self.prior(s_b)
        aa, bb = G_a(c_a, s_a), G_b(c_b, s_b)
        ab, ba = G_b(c_a, r_b), G_a(c_b, r_a)
        c_ab, c_ba = E_b(ab), E_a(ba)
        terms = {
            "reconstruct": lam.reconstruct * (l1(aa, a_clean) + l1(bb, b)),
            "content": lam.content * (l1(c_ab, c_a) + l1(c_ba, c_b)),
            "style": lam.style_loss * (l1(S_b(ab), r_b) + l1(S_a(ba), r_a)),
            "fool": lam.adversarial * (self.fool(self.discriminators_b, ab) + self.fool(self.discriminators_a, ba)),
        }
        if lam.cycle:
            terms["cycle"] = lam.cycle * (l1(G_a(c_ab, s_a), a_clean) + l1(G_b(c_ba, s_b), b))
        yield self.update("generators", **terms)
        yield self.update(
            "discriminators",
            images=self.tell_apart(self.discriminators_a, a_clean, self.pool_a(ba)),
            masks=self.tell_apart(self.discriminators_b, b, self.pool_b(ab)),
        )

    def fool(self, discriminators: nn.ModuleList, fake: Tensor) -> Tensor:
        pairs = zip(discriminators, pyramid(fake, len(discriminators)))
        return torch.stack([generator_loss(judge, x) for judge, x in pairs]).sum()

    def tell_apart(self, discriminators: nn.ModuleList, real: Tensor, fake: Tensor) -> Tensor:
        scales = len(discriminators)
        parts = zip(discriminators, pyramid(real, scales), pyramid(fake, scales))
        return torch.stack([discriminator_loss(judge, x, y) for judge, x, y in parts]).sum()

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        (a, _), (mask,) = batch
        b = 2 * mask - 1
        c_a, c_b, s_a, s_b = self.content_a(a), self.content_b(b), self.style_a(a), self.style_b(b)
        mean = torch.zeros_like(s_a)
        return {
            "image": a, "image to mask": self.decode_b(c_a, mean), "image again": self.decode_a(c_a, s_a),
            "mask": b, "mask to image": self.decode_a(c_b, mean), "mask again": self.decode_b(c_b, s_b),
        }  # fmt: skip

    def monitor_spec(self) -> MonitorSpec:
        scales = self.options.scales
        game = AdversarialPair(
            ("discriminators/images", "discriminators/masks"),
            ("generators/fool",),
            2 * scales * self.options.adversarial,
            float(scales),
        )
        return MonitorSpec(TRANSLATED, (game,))


def pyramid(x: Tensor, scales: int) -> list[Tensor]:
    """x (B, C, *S) and what is left of it after each halving of its resolution."""
    out = [x]
    for _ in range(scales - 1):
        out.append(POOLS[x.ndim - 2](out[-1], 3, 2, 1, count_include_pad=False))
    return out
