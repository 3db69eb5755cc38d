"""Domain randomisation:  L = L_seg(f(x), s), where labels s and the image x of them are drawn by synthesis.

No real image is used. If the contrast of synthetic images varies more than that of real ones, a network has to learn
what all of them have in common: the shape of objects, and that they differ from their surroundings.
Billot et al., SynthSeg, Med. Image Anal. 86, 2023; Dey et al., AnyStar, WACV 2024.
"""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..core.batch import SyntheticBatch
from .backbone import LEAN, Backbone, UNetMethod
from .base import MonitorSpec, Translation, Update


class Batch(NamedTuple):
    synthetic: SyntheticBatch


class Options(Backbone):
    """Those of the network; the loss has its weights in the representation."""


TRAIN = {
    "optimizer": "adamw", "lr": 1e-3, "betas": (0.9, 0.99), "weight_decay": 1e-4, "warm_up": 100, "decay_from": 0.5,
    "schedule": "cosine", "ema": 0.995, "precision": "auto",
}  # fmt: skip
# AnyStar: 180,000 steps of two patches of 96^3 with the rate 2e-4.
PAPER = TRAIN | {"lr": 2e-4, "steps": 180_000, "batch": 2, "precision": "32"}


SYNTHETIC = Translation("synthetic segmented", of="synthetic", like="synthetic truth", mask=True, answer_to="synthetic")


class Randomised(UNetMethod):
    """Supervised segmentation with synthetic images of random contrast. No real image is used for training.

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
    Billot et al. 2023 (SynthSeg); Dey et al. 2024 (AnyStar).

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16))
    >>> method = Randomised(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net']
    """

    name: ClassVar = "randomised"
    title: ClassVar = "a U-Net trained on domain-randomised synthetic images"
    papers: ClassVar = ("dey2024anystar", "billot2023synthseg")
    batch, settings = Batch, Options
    presets: ClassVar = {
        "paper-2d": {"options": {}, "patch": (256, 256), "train": PAPER},
        "paper-3d": {"options": {}, "patch": (96, 96, 96), "train": PAPER},
        "laptop-2d": {"options": LEAN | {"widths": (16, 32, 64, 128)}, "train": TRAIN | {"steps": 3000, "batch": 4}},
        "laptop-3d": {"options": LEAN | {"widths": (16, 32, 64)}, "train": TRAIN | {"steps": 2000, "batch": 1}},
    }

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        x, s = batch.synthetic
        yield self.update("net", segment=self.represent.loss(self.net(x), s))

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        return self.labelled_pictures("synthetic", *batch.synthetic)

    def monitor_spec(self) -> MonitorSpec:
        return MonitorSpec((SYNTHETIC,))
