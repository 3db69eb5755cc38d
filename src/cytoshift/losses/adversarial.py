"""The least-squares game of a generator and its critic (Mao et al. 2017), real is 1 and fake is 0."""

import torch
from torch import Tensor, nn

from .basic import to_value


def fool(critic: nn.Module, fake: Tensor) -> Tensor:
    """What a generator pays: E (D(fake) - 1)^2."""
    return to_value(critic(fake), 1)


def tell_apart(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """What a critic pays: E (D(real) - 1)^2 + E D(fake)^2. real (N, C, *S), fake (M, C, *S), no gradient reaches them.

    One pass judges both, so the critic must treat each sample on its own (no batch norm).
    """
    scores = critic(torch.cat([real.detach().to(fake.dtype), fake.detach()]))
    return to_value(scores[: len(real)], 1) + to_value(scores[len(real) :], 0)
