"""MMD (Long et al. 2015, in the encoder-decoder of Roels et al. 2019): features of both domains are alike where no
kernel tells their distributions apart.

    L = L_seg(s_x, s) + sum_i lambda_i MMD^2(f_i(x), f_i(y))        Eq. 1

A sample of the distribution is the feature vector of one voxel, and each step draws some from the whole batch. (The
authors' code takes a whole feature map for one sample of a batch of one, whose distance to the other is so large that
the kernel is 0 and the loss 2, whatever the network does; its single bandwidth is 10 ^ 3, which is 9 in Python.)
"""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from ..losses.align import VoxelSample, mmd
from .adapting import Adapting, Batch, Levels, presets
from .base import Task, Update


class Options(Levels):
    """voxels: how many of each domain are compared at each level; time grows with their square."""

    voxels: int = Field(512, ge=2)


class MMD(Adapting):
    """A U-Net whose features of both domains have a small maximum mean discrepancy. It needs labels of the source
    domain.

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
    Long et al. 2015 (DAN); Roels et al. 2019, eq. 1.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16))
    >>> method = MMD(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net']
    """

    name: ClassVar = "mmd"
    title: ClassVar = "MMD"
    papers: ClassVar = ("long2015dan", "roels2019ynet")
    settings = Options
    presets: ClassVar = presets(voxels=256, bottleneck=0.3)

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.some = VoxelSample(options.voxels, seed)

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s), (y, _) = batch
        lam, some = self.options.weights(), self.some

        f_x, f_y = self.encode(x, y)
        s_x = self.segment(f_x)
        yield self.update(
            "net",
            segment=self.represent.loss(s_x, s),
            **{f"level_{i}": lam[i] * mmd(some(f_x[i]), some(f_y[i])) for i in lam},
        )
