"""Mean teacher (Tarvainen and Valpola 2017; French et al. 2018 for other domains): on images without labels the student
should predict from an augmented image what its teacher predicts from the clean one.

    L = L_seg(s_x, s) + lambda w(p) (E_o + E_b) [ (student(y) - t)^2 ] / 2,    t = teacher(y_clean)

The teacher is the running mean of the student's weights. E_o, E_b: means over the voxels where the teacher is sure of
an object or of background, by its first channel, which in every representation tells the two apart. They count alike
(French et al. balance classes for the same reason): with rare objects the background is learnt first, and a mean over
both would teach background everywhere. But each mean is over no fewer than `SHARE` of all voxels, so that few sure ones
do not count for many. w rises from exp(-5) to 1 over the first part of the training: at first the teacher knows
nothing.

The exported network is the student's running mean, which the loop keeps for every method (`train.ema`). With the same
decay it is the teacher; so `players` do not own the teacher's weights, which only that mean changes.
"""

import copy
import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from .adapting import Adapting, Batch, presets
from .backbone import Backbone
from .base import Task, Update

SHARE = 0.01  # of the voxels that sure ones of a side count for at least


class Options(Backbone):
    """consistency: lambda. confidence_threshold: least probability of object or background at which the teacher
    counts. ramp: fraction of the training over which lambda rises. decay: of the teacher's running mean."""

    renamed: ClassVar[dict[str, str]] = {"sure": "confidence_threshold"}

    consistency: float = Field(10.0, ge=0)
    confidence_threshold: float = Field(0.8, ge=0.5, lt=1)
    ramp: float = Field(0.3, ge=0, le=1)
    decay: float = Field(0.99, ge=0, lt=1)


class MeanTeacher(Adapting):
    """A student and a teacher, the running mean of its weights, that agree on unlabelled images.

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
    Tarvainen and Valpola 2017; French et al. 2018, section 3.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16))
    >>> method = MeanTeacher(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net']
    """

    name: ClassVar = "mean_teacher"
    title: ClassVar = "a mean teacher"
    papers: ClassVar = ("tarvainen2017meanteacher", "french2018selfensembling")
    settings = Options
    # Where other presets of the paper's size ship the last weights, this ships their running mean: the teacher.
    presets: ClassVar = {
        name: fixed | {"train": fixed["train"] | {"ema": 0.99}} for name, fixed in presets(consistency=3.0).items()
    }

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.teacher = Teacher(self.net, options.decay)

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s), (y, y_clean) = batch
        lam = self.options.consistency * ramp(progress, self.options.ramp)

        self.teacher.follow(self.net)
        logits = self.teacher(y_clean)
        t, sure = self.represent.activate(logits), weights(logits[:, :1], self.options.confidence_threshold)
        s_x, s_y = (self.segment(features) for features in self.encode(x, y))
        agree = (sure * (self.represent.activate(s_y) - t).square().mean(1, keepdim=True)).sum()
        yield self.update("net", segment=self.represent.loss(s_x, s), agree=lam * agree)


class Teacher(nn.Module):
    """The running mean of a network's weights, young at first: at step s its decay is at most s / (s + 10), so that it
    begins as the network is, whatever was loaded into that."""

    def __init__(self, network: nn.Module, decay: float):
        super().__init__()
        self.network, self.decay = copy.deepcopy(network).requires_grad_(False), decay
        self.age: Tensor
        self.register_buffer("age", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        age = int(self.age)
        for mean, now in zip(self.network.parameters(), network.parameters()):
            mean.lerp_(now, 1 - min(self.decay, age / (age + 10)))
        self.age += 1

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


def weights(logits: Tensor, least: float) -> Tensor:
    """Of each voxel in (E_o + E_b) / 2, as (B, 1, *S): objects where a sigmoid of the logits is at least `least`."""
    far = math.log(least / (1 - least))
    objects, background = ((side * logits >= far).to(logits.dtype) for side in (1, -1))
    fewest = SHARE * logits.numel()
    return (objects / objects.sum().clamp_min(fewest) + background / background.sum().clamp_min(fewest)) / 2


def ramp(progress: float, over: float) -> float:
    """exp(-5 (1 - p / over)^2) up to `over`, then 1 (Laine and Aila 2017)."""
    return math.exp(-5 * (1 - progress / over) ** 2) if progress < over else 1.0
