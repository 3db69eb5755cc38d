"""Supervised learning:  L = L_seg(f(x), s). With labels of the target it is the upper bound of every adaptation, with
labels of the source alone the lower."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..core.batch import LabelledBatch
from ..represent.partial import known_loss
from .backbone import LEAN, PAPER, Backbone, UNetMethod
from .base import SEGMENTED, MonitorSpec, Update


class Batch(NamedTuple):
    source: LabelledBatch


class Options(Backbone):
    """Those of the network; the loss has its weights in the representation."""


LAPTOP = {"lr": 1e-3, "betas": (0.9, 0.99), "steps": 1000, "batch": 2, "precision": "auto"}


class Supervised(UNetMethod):
    """Supervised segmentation with a U-Net. It needs labels.

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
    Ronneberger et al. 2015 for the network.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16))
    >>> method = Supervised(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net']
    """

    name: ClassVar = "supervised"
    title: ClassVar = "a U-Net trained with supervision"
    papers: ClassVar = ("ronneberger2015unet",)
    batch, settings, supports_classes, supports_ignored = Batch, Options, True, True
    presets: ClassVar = {
        "paper-2d": {"options": {}, "patch": (256, 256), "train": PAPER},
        "paper-3d": {"options": {}, "patch": (16, 128, 128), "train": PAPER},
        "laptop-2d": {"options": LEAN | {"widths": (16, 32, 64)}, "train": LAPTOP},
        "laptop-3d": {"options": LEAN | {"widths": (8, 16, 32)}, "train": LAPTOP | {"batch": 1}},
    }

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        x, s = batch.source
        yield self.update("net", segment=known_loss(self.represent, self.net(x), s))

    @torch.no_grad()
    def sample_images(self, batch: Batch) -> dict[str, Tensor]:
        return self.labelled_pictures("source", *batch.source)

    def monitor_spec(self) -> MonitorSpec:
        names = self.represent.names
        return MonitorSpec(tuple(replace(drawing, names=names) for drawing in SEGMENTED))
