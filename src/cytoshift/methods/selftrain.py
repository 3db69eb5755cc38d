"""Self-training: a trained network goes on, on the user's own images, taught by labels on which several voters agree.

    L = L_seg(f(v(x)), s) + lambda L_seg(f(z), t)

x are images, s their pseudo-labels (labels/pseudo.py): objects that most voters have, background, and nothing in
objects that few of them have. v(x) is the student's view: other intensities, noise, blur and cut-outs, so
that the network has to find by what surrounds a voxel what the teachers found by its brightness. z and t are images and
labels by domain-randomised synthesis, by which it keeps what it knew (rehearsal).

The labels are fixed, so the running mean of the student's weights (`train.ema`) teaches nothing; it is what is shipped.
Xie et al. (noisy student, CVPR 2020) show that the student's view must be harder than that of its teachers; COIN (Jo et
al., ICCV 2025) keeps objects by agreement as well.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from ..core.batch import LabelledBatch, SyntheticBatch
from ..represent.partial import known_loss
from .backbone import LEAN, Backbone, UNetMethod
from .base import MonitorSpec, Translation, Update


class Batch(NamedTuple):
    source: LabelledBatch
    synthetic: SyntheticBatch


class Options(Backbone):
    """rehearsal: lambda. synthetic: synthetic images in a batch, beside `train.batch` of the pseudo-labelled ones."""

    rehearsal: float = Field(0.33, ge=0)
    synthetic: int = Field(1, ge=1)


TRAIN = {
    "optimizer": "adamw", "lr": 3e-4, "betas": (0.9, 0.99), "weight_decay": 1e-4, "steps": 600, "decay_from": 0.0,
    "schedule": "cosine", "ema": 0.99, "precision": "auto",
}  # fmt: skip
WIDTHS = {2: (24, 48, 96, 192), 3: (16, 32, 64, 96)}  # of the models of the package


class SelfTrain(UNetMethod):
    """A trained U-Net that learns the images at hand from labels on which voters agree.

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
    Xie et al. 2020 (noisy student); Jo et al. 2025 (COIN).

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> method = SelfTrain(Task(Voxel((1.0, 1.0)), BCD()), Options(widths=(8, 16)))
    >>> method.batch_sizes(3)
    {'source': 3, 'synthetic': 1}
    """

    name: ClassVar = "selftrain"
    title: ClassVar = "self-training on labels that voters agree on"
    papers: ClassVar = ("xie2020noisystudent", "dey2024anystar")
    batch, settings, supports_ignored = Batch, Options, True
    presets: ClassVar = {
        "laptop-2d": {
            "options": LEAN | {"widths": WIDTHS[2]}, "patch": (128, 128), "train": TRAIN | {"batch": 3},
        },
        "laptop-3d": {
            "options": LEAN | {"widths": WIDTHS[3]}, "patch": (32, 48, 48), "train": TRAIN | {"batch": 1},
        },
    }  # fmt: skip

    def batch_sizes(self, size: int) -> dict[str, int]:
        return {"source": size, "synthetic": self.options.synthetic}

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s), (z, t) = batch
        lam = self.options.rehearsal
        s_x, s_z = self.net(torch.cat([x, z])).split((len(x), len(z)))
        yield self.update("net", segment=known_loss(self.represent, s_x, s), rehearse=lam * self.represent.loss(s_z, t))

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        return self.labelled_pictures("source", *batch.source) | self.labelled_pictures("synthetic", *batch.synthetic)

    def monitor_spec(self) -> MonitorSpec:
        seen = Translation("synthetic segmented", of="synthetic", like="synthetic truth", mask=True)
        return MonitorSpec((replace(seen, answer_to="synthetic"),))
