"""Adaptive instance norm: one network, told by its norm layers which domain it works in.

AdaIN(x, s) = (1 + scale(s)) (x - mu(x)) / sigma(x) + shift(s), with mu and sigma over the spatial axes of each
sample and channel (AD-GAN, appendix 5.2; the "1 +" is the authors' code's).
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

EPS = 1e-5  # added to variances; torch's default


class AdaIN(nn.Module):
    """Instance norm whose affine numbers are handed in; `width` channels take 2 * width numbers.

    `frozen` uses a mean and a variance that were measured once over many images, in the place of those of the image
    at hand. Instance norm sees how much of an image is covered: in a crowd it makes objects shrink, and it scales the
    noise of an empty field up to objects. Trained networks are shipped frozen; tiles of a volume then agree.
    """

    def __init__(self, width: int, frozen: bool = False):
        super().__init__()
        self.width, self.frozen = width, frozen
        self.mean: Tensor
        self.var: Tensor
        if frozen:
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("var", torch.ones(width))

    def forward(self, x: Tensor, affine: Tensor) -> Tensor:
        """x (B, C, *S), affine (B, 2 C): first the shifts, then the scales."""
        if self.training and not self.frozen:
            return batched_adain(x, affine)
        shift, scale = affine.view(len(affine), 2, self.width, *[1] * (x.ndim - 2)).unbind(1)
        normal = F.batch_norm(x, self.mean, self.var, eps=EPS) if self.frozen else F.instance_norm(x, eps=EPS)
        return torch.addcmul(shift.to(x.dtype), normal, (1 + scale).to(x.dtype))


def batched_adain(x: Tensor, affine: Tensor) -> Tensor:
    """`AdaIN` of a training in one kernel: every channel of every sample is a channel of a batch norm."""
    shift, scale = affine.to(torch.promote_types(x.dtype, torch.float32)).view(len(affine), 2, -1).unbind(1)
    flat = x.reshape(1, -1, *x.shape[2:])
    return F.batch_norm(flat, None, None, (1 + scale).flatten(), shift.flatten(), training=True).view_as(x)


class OwnStatistics(TorchFunctionMode):
    """While entered, frozen norms use the statistics of each image again: theirs belong to one way through the
    network, and translation goes others."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.batch_norm and args[1] is not None:
            return F.instance_norm(args[0], eps=EPS)
        return func(*args, **(kwargs or {}))


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
