"""Gaussian noise whose random state is part of a checkpoint."""

from typing import Any

import torch
from torch import Tensor, nn


class GaussianNoise(nn.Module):
    """Standard normal numbers from a generator of its own: noise for discriminators, latent codes of a prior.

    Parameters
    ----------
    seed
        Of the numbers. Default: 0.

    Examples
    --------
    >>> import torch
    >>> noise = GaussianNoise(seed=3)
    >>> noise(torch.zeros(2, 8)).shape
    torch.Size([2, 8])
    """

    def __init__(self, seed: int = 0):
        super().__init__()
        self.random = torch.Generator().manual_seed(seed)

    def forward(self, like: Tensor) -> Tensor:
        """N(0, 1), of the shape, the type and the device of another tensor."""
        return torch.randn(like.shape, generator=self.random).to(like)

    def get_extra_state(self) -> dict[str, Any]:
        return {"random": self.random.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.random.set_state(state["random"].cpu())
