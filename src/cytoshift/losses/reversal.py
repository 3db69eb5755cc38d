"""Gradient reversal (Ganin et al. 2016): one backward pass trains a classifier, and the features against it."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus


class GradientReversal(torch.autograd.Function):
    """The identity. Its backward pass multiplies the gradient by -scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * grad, None


def reverse_gradient(x: Tensor, scale: float) -> Tensor:
    """Return x. In the backward pass, multiply its gradient by -scale.

    Parameters
    ----------
    x
        A tensor of any shape.
    scale
        Factor of the reversed gradient, from 0 on.

    Returns
    -------
    Tensor
        The values of x.

    References
    ----------
    Ganin et al. 2016 (DANN), section 4.2.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(1, requires_grad=True)
    >>> reverse_gradient(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000])
    """
    return GradientReversal.apply(x, scale)


def dann_schedule(progress: float) -> float:
    """Weight of the reversed gradient, 2 / (1 + exp(-10 p)) - 1.

    It rises from 0 to nearly 1, so that an untrained classifier has no influence.

    Parameters
    ----------
    progress
        p, the fraction of the training that is done, 0 to 1.

    Returns
    -------
    float
        In [0, 1).

    References
    ----------
    Ganin et al. 2016 (DANN), section 5.2.2.

    Examples
    --------
    >>> dann_schedule(0.0), round(dann_schedule(1.0), 4)
    (0.0, 0.9999)
    """
    return 2 / (1 + math.exp(-10 * progress)) - 1


def domain_entropy(scores_x: Tensor, scores_y: Tensor) -> Tensor:
    """Cross-entropy of a domain classifier. Each domain has the weight one half.

    Parameters
    ----------
    scores_x, scores_y
        Logits of "this voxel is of domain y", of any shape, for features of x and of y.

    Returns
    -------
    Tensor
        A scalar. It is ln 2 where the classifier cannot tell the domains apart.

    References
    ----------
    Ganin et al. 2016 (DANN), section 4.

    Examples
    --------
    >>> import torch
    >>> domain_entropy(torch.zeros(4), torch.zeros(4))
    tensor(0.6931)
    """
    return 0.5 * (softplus(scores_x.float()).mean() + softplus(-scores_y.float()).mean())
