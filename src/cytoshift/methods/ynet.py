"""Y-Net (Roels et al. 2019): a second decoder reconstructs the images of both domains, from the same bottleneck from
which the first one segments.

    L = L_seg(s_x, s) + lambda_s |r(f(x)) - x|^2 + lambda_t |r(f(y)) - y|^2        Eq. 2

The second decoder r has no skip connections, or it would copy the image past the bottleneck. It is not exported. There
are two lambdas, as in the paper; the authors' code has one for both. Augmented images are reconstructed without their
artefacts; the paper adds noise to them and reconstructs the noise.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.batch import LabelledPair, UnlabelledPair
from ..losses.basic import mean_squared
from ..nets.unet import ImageDecoder
from .adapting import Adapting, Features, presets
from .backbone import Backbone
from .base import Task, Update, channels_picture, logits_picture


class Batch(NamedTuple):
    source: LabelledPair  # X
    target: UnlabelledPair  # Y


class Options(Backbone):
    """lambda_s, lambda_t: of the redrawn source and target. The authors' code: 1e-3 for both, beside a soft Jaccard
    index."""

    lambda_s: float = Field(1e-3, ge=0)
    lambda_t: float = Field(1e-3, ge=0)


class YNet(Adapting):
    """A U-Net with a second decoder that reconstructs the images of both domains. It needs labels of the source domain.

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
    Roels et al. 2019 (Y-Net), eq. 2.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.methods.base import Task
    >>> from cytoshift.represent import BCD
    >>> options = Options(widths=(8, 16))
    >>> method = YNet(Task(Voxel((1.0, 1.0)), BCD()), options)
    >>> list(method.players())
    ['net']
    """

    name: ClassVar = "ynet"
    title: ClassVar = "Y-Net"
    papers: ClassVar = ("roels2019ynet",)
    batch, settings = Batch, Options
    presets: ClassVar = presets(lambda_s=10.0, lambda_t=10.0)

    def __init__(self, task: Task, options: Options, seed: int = 0):
        super().__init__(task, options, seed)
        self.redraw = ImageDecoder(self.net.spec)

    def players(self) -> dict[str, nn.Module]:
        return {"net": nn.ModuleList([self.net, self.redraw])}

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s, x_clean), (y, y_clean) = batch
        lam = self.options

        f_x, f_y = self.encode(x, y)
        s_x = self.segment(f_x)
        r_x, r_y = self.reconstruct(f_x), self.reconstruct(f_y)
        yield self.update(
            "net",
            segment=self.represent.loss(s_x, s),
            redraw_x=lam.lambda_s * mean_squared(r_x, x_clean),
            redraw_y=lam.lambda_t * mean_squared(r_y, y_clean),
        )

    def reconstruct(self, features: Features) -> Tensor:
        return self.redraw(features[-1], [level.shape[2:] for level in features])

    @torch.no_grad()
    def sample_images(self, batch: Any) -> dict[str, Tensor]:
        (x, s, _), (y, _) = batch
        f_x, f_y = self.encode(x, y)
        return {
            "source": x, "source segmented": logits_picture(self.represent, self.segment(f_x)),
            "source truth": channels_picture(self.represent, s), "source redrawn": self.reconstruct(f_x).clamp(-1, 1),
            "target": y, "target segmented": logits_picture(self.represent, self.segment(f_y)),
            "target redrawn": self.reconstruct(f_y).clamp(-1, 1),
        }  # fmt: skip
