"""UFDN (Liu et al. 2018): one encoder E for all domains, one decoder G that is told the domain. a are images, b masks.

code     z_a ~ q(z | a) = N(E(a), sigma(a)^2)            L_KL    KL(q(z | x), N(0, 1))                      Eq. 1
same     aa = G(z_a, A)         bb = G(z_b, B)           L_rec   (aa - a)^2 + (bb - b)^2                    Eq. 1
across   ab = G(z_a, B)         ba = G(z_b, A)           L_adv   ab against b, ba against a                 Eqs. 4 to 6
domain   D_z(z)                 which domain is it of?   L_code  z_a as if of B, z_b as if of A             Eqs. 2, 3

E is not told the domain, and D_z leads all of it out of the code, so that what is left is shared. An image is segmented
by decoding its mean code as a mask, G(E(a), B). Nothing leads back from ab to a: there is no cycle.

The networks are the encoder and the decoder of AD-GAN. The authors append the domain to the code as channels, which an
instance norm would take away again as it is the same at every voxel; AdaIN brings it in.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.settings import Settings
from ..losses.basic import mean_squared, squared_to_value
from ..losses.noise import GaussianNoise
from ..losses.pool import ImagePool, remember_both
from ..nets.discriminator import DiscriminatorSpec, PatchDiscriminator
from ..nets.initialise import initialise_kaiming, initialise_normal, start_smooth
from ..nets.nd import CONV
from ..nets.network_spec import TranslatorSpec
from ..nets.translator import IMAGE as A
from ..nets.translator import MASK as B
from ..nets.translator import MaskToImage, Translator, code
from .base import TRANSLATED, AdversarialPair, Method, MonitorSpec, Task, Update
from .mask_translation import EVEN, LAPTOP, Batch


class Options(Settings):
    """The authors' weights, and sizes.

    reconstruct, divergence, code, adversarial: weights of L_rec, L_KL, L_code and L_adv. first_reconstruct: weight of
    L_rec at the beginning, from which it falls to `reconstruct` while a fraction `settle` of the training passes.
    code_ramp: fraction of the training in which the weight of L_code rises from 0.
    width, blocks, stem, hidden, up: see nets.network_spec.TranslatorSpec. discriminator: width of D of images.
    pool: how many translations it remembers.
    """

    reconstruct: float = Field(1.0, ge=0)
    first_reconstruct: float = Field(100.0, ge=0)
    settle: float = Field(0.004, ge=0, le=1)  # 1000 of 250 000 steps
    divergence: float = Field(1e-6, ge=0)
    code: float = Field(1.0, ge=0)
    code_ramp: float = Field(0.04, ge=0, le=1)  # 10 000 of 250 000 steps
    adversarial: float = Field(1.0, ge=0)
    width: int = 64
    blocks: int = 4
    stem: int = 7
    hidden: int = 256
    up: Literal[3, 4] = 3
    discriminator: int = 64
    pool: int = 50


PAPER = {
    "lr": 1e-4, "betas": (0.5, 0.999), "weight_decay": 0.0, "steps": 250_000, "decay_from": 1.0, "batch": 32,
    "precision": "32", "ema": 0.0,
}  # fmt: skip
# A short training has no steps for a code that forgets its places first: reconstruction keeps more of its weight.
SMALL = {
    "width": 16, "discriminator": 16, "hidden": 64, "blocks": 3, "up": 4, "reconstruct": 20.0, "settle": 0.05,
    "code": 0.1,
}  # fmt: skip


class UFDN(Method):
    """Unpaired translation with one variational code for images and synthetic masks. No label is needed.

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
    Liu et al. 2018 (UFDN), eqs. 1 to 6. The equations stand at the top of this file.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import Semantic
    >>> options = Options(width=4, blocks=1, hidden=8, discriminator=4)
    >>> method = UFDN(Task(Voxel((1.0, 1.0)), Semantic()), options)
    >>> list(method.players())
    ['generators', 'discriminators']
    """

    name: ClassVar = "ufdn"
    title: ClassVar = "UFDN"
    papers: ClassVar = ("liu2018ufdn",)
    least_patch: ClassVar = 24  # voxels that the discriminator needs along each axis
    batch, settings = Batch, Options
    presets: ClassVar = {
        "paper-2d": {"options": {}, "patch": (64, 64), "threshold": EVEN, "train": PAPER},
        "paper-3d": {
            "options": {"width": 32, "discriminator": 32},
            "patch": (64, 64, 64),
            "threshold": EVEN,
            "train": PAPER | {"batch": 8},
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
        self.translator = self.exported_spec().build()
        self.encode, self.decode = self.translator.encode, self.translator.decode
        wide, three, one = 4 * options.width, (3,) * ndim, (1,) * ndim
        self.log_variance = CONV[ndim](wide, wide, 1)
        self.discriminator = PatchDiscriminator(ndim, 1, 2, options.discriminator)
        self.domains = DiscriminatorSpec(
            ndim=task.voxel.ndim, channels=wide, widths=(wide, wide), kernels=(three, three), strides=(one, one),
            last=three, norm=False,
        ).build()  # fmt: skip
        self.pool, self.normal = ImagePool(options.pool, seed), GaussianNoise(seed)
        self.apply(initialise_kaiming)
        if options.up == 4:
            self.decode.apply(start_smooth)
        for part in (self.discriminator, self.domains, self.log_variance):
            part.apply(initialise_normal)

    def exported_spec(self) -> TranslatorSpec:
        o = self.options
        return TranslatorSpec(
            ndim=self.task.voxel.ndim, width=o.width, blocks=o.blocks, stem=o.stem, hidden=o.hidden, up=o.up,
            adaptive_encoder=False,
        )  # fmt: skip

    def players(self) -> dict[str, nn.Module]:
        return {
            "generators": nn.ModuleList([self.translator, self.log_variance]),
            "discriminators": nn.ModuleList([self.discriminator, self.domains]),
        }

    def network(self) -> Translator:
        return self.translator

    def drawing_network(self) -> MaskToImage:
        return MaskToImage(self.translator)

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        lam, D, D_z = self.options, self.discriminator, self.domains
        (a, a_clean), (mask,) = batch
        b = 2 * mask - 1
        # Both domains in one pass: what is written z_a above is the first half of `z`, ab the first of `across`.
        x, goal, n = torch.cat([a, b]), torch.cat([a_clean, b]), len(a)
        here, there = torch.cat([code(a, A), code(b, B)]), torch.cat([code(a, B), code(b, A)])

        mean = self.encode(x, here)
        log_variance = self.log_variance(mean)
        z = mean + (log_variance / 2).exp() * self.normal(mean)
        same, across = self.decode(z, here).tanh(), self.decode(z, there).tanh()
        told = D_z(z)
        # A sum over two domains is twice the mean over a batch that holds both.
        yield self.update(
            "generators",
            reconstruct=self.reconstruct_weight(progress) * 2 * mean_squared(same, goal),
            divergence=lam.divergence * (mean.square() + log_variance.exp() - 1 - log_variance).mean(),
            code=self.code_weight(progress) * (squared_to_value(told[:n], 0) + squared_to_value(told[n:], 1)),
            fool=lam.adversarial * 2 * squared_to_value(D.judge(across, there), 1),
        )
        told = D_z(z.detach())
        yield self.update(
            "discriminators",
            real=2 * squared_to_value(D.judge(goal, here), 1),
            translated=2 * squared_to_value(D.judge(remember_both(self.pool, across), there), 0),
            code=squared_to_value(told[:n], 1) + squared_to_value(told[n:], 0),
        )

    def reconstruct_weight(self, progress: float) -> float:
        lam = self.options
        left = max(1 - progress / lam.settle, 0.0) if lam.settle else 0.0
        return lam.reconstruct + left * (lam.first_reconstruct - lam.reconstruct)

    def code_weight(self, progress: float) -> float:
        return self.options.code * (min(progress / self.options.code_ramp, 1.0) if self.options.code_ramp else 1.0)

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        (a, _), (mask,) = batch
        b = 2 * mask - 1
        z_a, z_b = self.encode(a, code(a, A)), self.encode(b, code(b, B))
        draw = lambda z, domain: self.decode(z, code(z, domain)).tanh()
        return {
            "image": a, "image to mask": draw(z_a, B), "image again": draw(z_a, A),
            "mask": b, "mask to image": draw(z_b, A), "mask again": draw(z_b, B),
        }  # fmt: skip

    def monitor_spec(self) -> MonitorSpec:
        lam = self.options
        images = ("discriminators/real", "discriminators/translated")
        return MonitorSpec(
            TRANSLATED,
            (
                AdversarialPair(images, ("generators/fool",), 2 * lam.adversarial, 1.0),
                AdversarialPair(("discriminators/code",), ("generators/code",), max(2 * lam.code, 1e-6), 0.5),
            ),
        )
