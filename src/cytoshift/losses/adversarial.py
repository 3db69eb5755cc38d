"""Least-squares adversarial losses of a generator and its discriminator (Mao et al. 2017). Real is 1 and fake is 0."""

from collections.abc import Callable

import torch
from torch import Tensor

from .basic import squared_to_value


def generator_loss(discriminator: Callable[[Tensor], Tensor], fake: Tensor) -> Tensor:
    """Loss of a generator, E (D(fake) - 1)^2.

    Parameters
    ----------
    discriminator
        Module or function (B, C, *S) -> scores of any shape.
    fake
        Generated images (B, C, *S). The gradient flows through them.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Mao et al. 2017 (LSGAN), eq. 9 with a = 0, b = c = 1, without the factor 1/2.

    Examples
    --------
    >>> import torch
    >>> generator_loss(torch.nn.Identity(), torch.zeros(2, 1, 4, 4))
    tensor(1.)
    """
    return squared_to_value(discriminator(fake), 1)


def discriminator_loss(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Loss of a discriminator, E (D(real) - 1)^2 + E D(fake)^2.

    Both sets go through the discriminator in one pass. It must therefore treat each sample by itself (no batch norm).

    Parameters
    ----------
    discriminator
        Module or function (B, C, *S) -> scores (B, ...).
    real
        Real images (N, C, *S).
    fake
        Generated images (M, C, *S). No gradient reaches either set.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Mao et al. 2017 (LSGAN), eq. 9 with a = 0, b = c = 1, without the factor 1/2.

    Examples
    --------
    >>> import torch
    >>> discriminator_loss(torch.nn.Identity(), torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    tensor(0.)
    """
    scores = discriminator(torch.cat([real.detach().to(fake.dtype), fake.detach()]))
    return squared_to_value(scores[: len(real)], 1) + squared_to_value(scores[len(real) :], 0)
