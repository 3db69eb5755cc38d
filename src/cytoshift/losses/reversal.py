"""Gradient reversal (Ganin et al. 2016): one pass teaches a classifier, and its input the opposite."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus


class GradientReversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * grad, None


def reverse_gradient(x: Tensor, scale: float) -> Tensor:
    """x itself; a gradient that comes back is multiplied by -scale."""
    return GradientReversal.apply(x, scale)


def dann_schedule(progress: float) -> float:
    """2 / (1 + exp(-10 p)) - 1: from 0 to nearly 1 over the training, so that a classifier that knows nothing yet is
    not obeyed (Ganin et al., 5.2.2)."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def domain_entropy(scores_x: Tensor, scores_y: Tensor) -> Tensor:
    """Cross-entropy of "comes from y" over scores (logits) of both domains, each of which weighs a half; ln 2 where
    nothing tells them apart."""
    return 0.5 * (softplus(scores_x.float()).mean() + softplus(-scores_y.float()).mean())
