"""MinEnt (Vu et al. 2019, after Grandvalet and Bengio 2005): on images without labels the network makes up its mind.

    L = L_seg(s_x, s) + lambda H(s_y),    H = - p log2 p - (1 - p) log2 (1 - p),  p the foreground of y

Near a border every network is unsure, and pushing it to either side is as good as a coin; so lambda is small.
"""

from collections.abc import Iterator
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from .adapting import Adapting, Batch, presets
from .backbone import Backbone
from .base import Update


class Options(Backbone):
    """entropy: lambda."""

    entropy: float = Field(0.1, ge=0)


class MinEnt(Adapting):
    name: ClassVar = "minent"
    title: ClassVar = "MinEnt"
    papers: ClassVar = ("vu2019advent",)
    settings = Options
    presets: ClassVar = presets()

    def step(self, batch: Batch, progress: float) -> Iterator[Update]:
        (x, s), (y, _) = batch
        s_x, s_y = self.net(torch.cat([x, y])).split((len(x), len(y)))
        yield self.update(
            "net",
            segment=self.represent.loss(s_x, s),
            entropy=self.options.entropy * entropy(s_y[:, :1]),
        )


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of sigmoid(logits) in bits: 1 where nothing is known, 0 where everything is."""
    return binary_cross_entropy_with_logits(logits, logits.sigmoid()) / torch.log(torch.tensor(2.0))
