"""DANN (Ganin et al. 2016, in the encoder-decoder of Roels et al. 2019): features of both domains are alike where no
classifier tells them apart.

    L = L_seg(s_x, s) + sum_i L_d(D_i(R(f_i(x))), D_i(R(f_i(y))))        Eq. 1

R passes features on as they are, and turns the gradient that comes back around: -lambda_i (2 / (1 + exp(-10 p)) - 1)
times itself, p from 0 to 1 over the training. So one step moves every D_i down its cross-entropy L_d, at full strength,
and the encoder up, as much as lambda_i and the schedule say. (In the authors' code the factor is -1 from the first step
on, and the classifiers above the bottleneck stand in a plain list, which no optimiser sees: here they are a module of
a player, and a test holds that every player moves.)
"""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field
from torch import nn

from ..losses.reversal import dann_schedule, domain_entropy, reverse_gradient
from ..nets.discriminator import DomainClassifier
from .adapting import Adapting, Batch, Levels, presets
from .base import Task, Update


class Options(Levels):
    """hidden: width of the classifiers (the authors: 48)."""

    bottleneck: float = 0.1
    hidden: int = Field(48, ge=1)


class DANN(Adapting):
    """A U-Net whose features a domain classifier cannot tell apart. It needs labels of the source domain.

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
    Ganin et al. 2016 (DANN); Roels et al. 2019, eq. 1.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16))
    >>> method = DANN(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net']
    """

    name: ClassVar = "dann"
    title: ClassVar = "DANN"
    papers: ClassVar = ("ganin2016dann", "roels2019ynet")
    settings = Options
    presets: ClassVar = presets(bottleneck=1.0)

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.tell = nn.ModuleDict(
            {str(i): DomainClassifier(task.voxel.ndim, options.widths[i], options.hidden) for i in options.weights()}
        )

    def players(self) -> dict[str, nn.Module]:
        # One player: the reversal is what lets a single step move both against each other.
        return {"net": nn.ModuleList([self.net, self.tell])}

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s), (y, _) = batch
        lam = {i: weight * dann_schedule(progress) for i, weight in self.options.weights().items()}

        f_x, f_y = self.encode(x, y)
        s_x = self.segment(f_x)
        d_x, d_y = ({i: self.tell[str(i)](reverse_gradient(f[i], lam[i])) for i in lam} for f in (f_x, f_y))
        yield self.update(
            "net",
            segment=self.represent.loss(s_x, s),
            **{f"level_{i}": domain_entropy(d_x[i], d_y[i]) for i in lam},
        )
