"""Adaptive instance norm: one network, told by its norm layers which domain it works in.

AdaIN(x, s) = (1 + scale(s)) (x - mu(x)) / sigma(x) + shift(s), with mu and sigma over the spatial axes of each
sample and channel (AD-GAN, appendix 5.2; the "1 +" is the authors' code's).
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AdaIN(nn.Module):
    """Instance norm whose affine numbers are handed in; `width` channels take 2 * width numbers."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, x: Tensor, affine: Tensor) -> Tensor:
        """x (B, C, *S), affine (B, 2 C): first the shifts, then the scales."""
        shift, scale = affine.view(len(affine), 2, self.width, *[1] * (x.ndim - 2)).unbind(1)
        return torch.addcmul(shift.to(x.dtype), F.instance_norm(x), (1 + scale).to(x.dtype))


class Style(nn.Module):
    """Domain code (B, domains) -> the affine numbers of every AdaIN layer of `net`, in order (AD-GAN, Table 6)."""

    def __init__(self, domains: int, hidden: int, widths: list[int]):
        super().__init__()
        self.widths = widths
        self.mlp = nn.Sequential(
            nn.Linear(domains, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 2 * sum(widths)),
        )  # fmt: skip

    def forward(self, code: Tensor) -> Iterator[Tensor]:
        return iter(self.mlp(code).split([2 * width for width in self.widths], dim=1))
