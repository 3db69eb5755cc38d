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
from typing import ClassVar

from ..losses.adversarial import discriminator_loss, generator_loss
from .base import Update, stretch_channels
from .mask_translation import EVEN, LAPTOP, LEAN, Batch, MaskTranslation, Translators
from .mask_translation import PAPER as CYCLEGAN


class Options(Translators):
    """The paper's lambdas, those of CycleGAN: cycle 10, identity 5."""

    renamed: ClassVar[dict[str, str]] = {"critic": "discriminator"}


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
SMALLER = 3.5  # weight of the class that covers less, Golgi (section II-C); 1 of the other
SMALL_2D = {"options": LEAN | {"width": 16}, "threshold": EVEN, "train": LAPTOP | {"batch": 2}}
# As of AD-GAN: an uneven light keeps the brightness of an object out of the size of its mask. A stronger game
# gives dim objects back (development phantoms, 800 steps, one seed: F1 of nuclei 0.93 for 0.85, of Golgi 0.72 for 0.70)
# and must end early: after 1500 steps it cuts bright nuclei in two (F1 0.68, 336 objects for 243).
SMALL_3D = {
    "options": LEAN | {"width": 12, "adversarial": 3.0},
    "augment": {"bias_field": 0.7},
    "threshold": EVEN,
    "train": LAPTOP | {"batch": 1, "steps": 800},
}


class MaskCycleGAN(MaskTranslation):
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
    settings, supports_classes = Options, True
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
        # CycleGAN between images and masks of one class, as AD-GAN's tables compare it; in 3D with half the channels.
        "zhu-2d": {
            "options": {"width": 64, "discriminator": (64, 128, 256, 512)},
            "patch": (256, 256),
            "threshold": EVEN,
            "train": CYCLEGAN,
        },
        "zhu-3d": {
            "options": {"discriminator": (32, 64, 128, 256)},
            "patch": (64, 128, 128),
            "threshold": EVEN,
            "train": CYCLEGAN,
        },
        "laptop-2d": SMALL_2D,
        "laptop-3d": SMALL_3D,
        # The same with the paper's contrast, which leaves nothing of a background that covers 95 % of the image.
        "stretched-2d": SMALL_2D | {"normalise": STRETCH},
        "stretched-3d": SMALL_3D | {"normalise": STRETCH},
    }

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
