"""The least-squares game of a generator and its discriminator (Mao et al. 2017), real is 1 and fake is 0."""

import torch
from torch import Tensor, nn

from .basic import squared_to_value


def generator_loss(discriminator: nn.Module, fake: Tensor) -> Tensor:
    """What a generator pays: E (D(fake) - 1)^2."""
    return squared_to_value(discriminator(fake), 1)


def discriminator_loss(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """What a discriminator pays: E (D(real) - 1)^2 + E D(fake)^2. real (N, C, *S), fake (M, C, *S), no gradient
    reaches them.

    One pass judges both, so the discriminator must treat each sample on its own (no batch norm).
    """
    scores = discriminator(torch.cat([real.detach().to(fake.dtype), fake.detach()]))
    return squared_to_value(scores[: len(real)], 1) + squared_to_value(scores[len(real) :], 0)
