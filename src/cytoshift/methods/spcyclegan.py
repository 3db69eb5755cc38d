"""SpCycleGAN (Fu et al. 2018): CycleGAN between images A and synthetic masks B, with a spatial constraint.

G: B -> A    ba = G(b)    bab = F(ba)          L_GAN       ab against B, ba against A
F: A -> B    ab = F(a)    aba = G(ab)          L_cyc       |aba - a| + |bab - b|
H: A -> B    H(ba)                             L_spatial   (H(ba) - b)^2

A cycle is content with objects that have moved, as long as the way back moves them again. H segments drawn images and
knows nothing of that way back, so that G has to draw objects where the mask has them. H is dropped in the end; F is
exported, and G draws the pairs of DeepSynth.
"""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field
from torch import nn

from ..losses.adversarial import discriminator_loss, generator_loss
from ..losses.basic import l1, mean_squared
from ..nets.initialise import initialise_normal
from .base import Task, Update, stretch_channels
from .mask_translation import PAPER, Batch, MaskTranslation, Translators, translation_presets


class Options(Translators):
    """The paper's weights: cycle 10, spatial 10, no identity.

    spatial: weight of L_spatial.
    """

    identity: float = Field(0.0, ge=0, le=0)  # the authors' code has none
    spatial: float = Field(10.0, ge=0)
    width: int = 64
    discriminator: tuple[int, ...] = (64, 128, 256, 512)


class SpCycleGAN(MaskTranslation):
    """CycleGAN between images and synthetic masks that keeps objects in their places. No label is needed.

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
    Fu et al. 2018 (SpCycleGAN), eqs. 1 to 4.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import Semantic
    >>> options = Options(width=4, blocks=1, discriminator=(4, 4))
    >>> method = SpCycleGAN(Task(Voxel((1.0, 1.0)), Semantic()), options)
    >>> list(method.players())
    ['generators', 'discriminators']
    """

    name: ClassVar = "spcyclegan"
    title: ClassVar = "SpCycleGAN"
    papers: ClassVar = ("fu2018spcyclegan", "zhu2017cyclegan")
    settings = Options
    # The authors' code has a learning rate of 2e-5 as its default, the paper that of CycleGAN.
    presets: ClassVar = translation_presets(PAPER)

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.third = self.exported_spec().build()
        self.third.apply(initialise_normal)

    def players(self) -> dict[str, nn.Module]:
        return super().players() | {"generators": nn.ModuleList([self.to_mask, self.to_volume, self.third])}

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        lam, F, G = self.options, self.mask_of, self.volume_of
        H = lambda x: self.stretched_mask(self.third, x)
        (a, a_clean), (mask,) = batch
        b = stretch_channels(self.represent, mask)

        ab, ba = F(a), G(b)
        aba, bab = G(ab), F(ba)
        yield self.update(
            "generators",
            fool=lam.adversarial
            * (generator_loss(self.discriminator_masks, ab) + generator_loss(self.discriminator_volumes, ba)),
            cycle=lam.cycle * (l1(aba, a_clean) + l1(bab, b)),
            spatial=lam.spatial * mean_squared(H(ba), b),
        )
        yield self.update(
            "discriminators",
            volumes=discriminator_loss(self.discriminator_volumes, a_clean, self.pool_volumes(ba)),
            masks=discriminator_loss(self.discriminator_masks, b, self.pool_masks(ab)),
        )
