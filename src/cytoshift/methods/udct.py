"""UDCT (Ihle et al. 2019): CycleGAN between images A and synthetic masks B, with histogram discriminators and noise.

G_AB: A -> B    ab = G_AB(a)    aba = G_BA(ab)          L_cyc    |aba - a| + |bab - b|
G_BA: B -> A    ba = G_BA(b)    bab = G_AB(ba)

L_GAN    ab against B, ba against A, by patches that carry noise of the standard deviation 0.1 * 0.9^epoch
L_hist   ab against B, ba against A, by their sorted values alone

A patch discriminator alone lets the generators put more or fewer objects into an image than belong there, and hide in
noise what the cycle needs. A histogram discriminator sees how much of an image is covered, and noise covers what is
hidden.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from ..losses.adversarial import discriminator_loss, generator_loss
from ..losses.basic import l1
from ..losses.noise import GaussianNoise
from ..nets.discriminator import HistogramDiscriminator
from .base import AdversarialPair, MonitorSpec, Task, Update, stretch_channels
from .mask_translation import PAPER, Batch, MaskTranslation, Translators, translation_presets

EPOCHS, DECAY = 200, 0.9  # of the paper's training; of the noise in each of them


class Options(Translators):
    """The paper's weights: cycle 10, histogram 1, no identity; 6 residual blocks.

    histogram: weight of L_hist; 0 goes without. noise: standard deviation at first, of images in [0, 1].
    """

    identity: float = Field(0.0, ge=0, le=0)  # the paper has none
    histogram: float = Field(1.0, ge=0)
    noise: float = Field(0.1, ge=0)
    width: int = 64
    blocks: int = 6
    discriminator: tuple[int, ...] = (64, 128, 256, 512)


class UDCT(MaskTranslation):
    """CycleGAN between images and synthetic masks with histogram discriminators. No label is needed.

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
    Ihle et al. 2019 (UDCT).

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import Semantic
    >>> options = Options(width=4, blocks=1, discriminator=(4, 4))
    >>> method = UDCT(Task(Voxel((1.0, 1.0)), Semantic()), options)
    >>> list(method.players())
    ['generators', 'discriminators']
    """

    name: ClassVar = "udct"
    title: ClassVar = "UDCT"
    papers: ClassVar = ("ihle2019udct", "zhu2017cyclegan")
    settings = Options
    presets: ClassVar = translation_presets(PAPER | {"batch": 4})

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.histogram_volumes = HistogramDiscriminator(task.channels)
        self.histogram_masks = HistogramDiscriminator(len(task.represent.channels))
        self.normal = GaussianNoise(seed)

    def players(self) -> dict[str, nn.Module]:
        judges = [self.discriminator_volumes, self.discriminator_masks, self.histogram_volumes, self.histogram_masks]
        return super().players() | {"discriminators": nn.ModuleList(judges)}

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        lam, G_AB, G_BA = self.options, self.mask_of, self.volume_of
        sigma = 2 * lam.noise * DECAY ** (EPOCHS * progress)  # images are in [-1, 1] here
        D_A = lambda x: self.discriminator_volumes(self.add_noise(x, sigma))
        D_B = lambda x: self.discriminator_masks(self.add_noise(x, sigma))
        H_A, H_B = self.histogram_volumes, self.histogram_masks
        (a, a_clean), (mask,) = batch
        b = stretch_channels(self.represent, mask)

        ab, ba = G_AB(a), G_BA(b)
        aba, bab = G_BA(ab), G_AB(ba)
        yield self.update(
            "generators",
            fool=lam.adversarial * (generator_loss(D_B, ab) + generator_loss(D_A, ba)),
            histogram=lam.histogram * (generator_loss(H_B, ab) + generator_loss(H_A, ba)),
            cycle=lam.cycle * (l1(aba, a_clean) + l1(bab, b)),
        )
        old_ba, old_ab = self.pool_volumes(ba), self.pool_masks(ab)
        yield self.update(
            "discriminators",
            volumes=discriminator_loss(D_A, a_clean, old_ba),
            masks=discriminator_loss(D_B, b, old_ab),
            histogram_volumes=discriminator_loss(H_A, a_clean, old_ba),
            histogram_masks=discriminator_loss(H_B, b, old_ab),
        )

    def add_noise(self, x: Tensor, sigma: float) -> Tensor:
        return x + sigma * self.normal(x)

    def monitor_spec(self) -> MonitorSpec:
        spec, weight = super().monitor_spec(), self.options.histogram
        terms = tuple(f"discriminators/{name}" for name in ("histogram_volumes", "histogram_masks"))
        # without its weight nothing is paid, and the game is never lost
        game: Any = AdversarialPair(terms, ("generators/histogram",), max(2 * weight, 1e-6), 1.0)
        return MonitorSpec(spec.translations, (*spec.pairs, game))
