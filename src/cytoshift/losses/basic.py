"""Distances between tensors of one shape."""

from torch import Tensor


def l1(a: Tensor, b: Tensor) -> Tensor:
    """E |a - b|."""
    return (a - b).abs().mean()


def squared(a: Tensor, b: Tensor) -> Tensor:
    """E (a - b)^2."""
    return (a - b).square().mean()


def to_value(scores: Tensor, value: float) -> Tensor:
    """E (scores - value)^2: the least-squares adversarial term (Mao et al. 2017)."""
    return (scores - value).square().mean()
