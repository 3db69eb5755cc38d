"""Deep CORAL (Sun and Saenko 2016, in the encoder-decoder of Roels et al. 2019): features of both domains are alike
where their channels vary together alike.

    L = L_seg(s_x, s) + sum_i lambda_i |C(f_i(x)) - C(f_i(y))|^2 / 4 d_i^2        Eq. 1

C is the covariance of the d_i channels over all voxels of the batch. (The authors' code reshapes a feature map where it
means to transpose it, and compares products of positions with positions, which follow what lies where in a patch.)
"""

from collections.abc import Iterator
from typing import ClassVar

from ..losses.align import coral, to_vectors
from .adapting import Adapting, Batch, Levels, presets
from .base import Update


class Options(Levels):
    """bottleneck: weight of the deepest level. It is large, as covariances of normalised features differ by a few
    tenths, and the square is divided by 4 d^2."""

    bottleneck: float = 10.0


class CORAL(Adapting):
    """A U-Net whose features of both domains have the same covariance. It needs labels of the source domain.

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
    Sun and Saenko 2016 (Deep CORAL), eq. 1; Roels et al. 2019, eq. 1.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16))
    >>> method = CORAL(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net']
    """

    name: ClassVar = "coral"
    title: ClassVar = "Deep CORAL"
    papers: ClassVar = ("sun2016coral", "roels2019ynet")
    settings = Options
    presets: ClassVar = presets(bottleneck=100.0)

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s), (y, _) = batch
        lam = self.options.weights()

        f_x, f_y = self.encode(x, y)
        s_x = self.segment(f_x)
        yield self.update(
            "net",
            segment=self.represent.loss(s_x, s),
            **{f"level_{i}": lam[i] * coral(to_vectors(f_x[i]), to_vectors(f_y[i])) for i in lam},
        )
