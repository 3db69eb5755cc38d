"""Distances between tensors of one shape."""

from torch import Tensor


def l1(a: Tensor, b: Tensor) -> Tensor:
    """E |a - b|."""
    return (a - b).abs().mean()


def weighted_l1(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """E w_c |a - b|, the mean over all voxels and channels c; weights (C,), with 1 for all it is `l1`."""
    return ((a - b).abs() * weights.view(-1, *[1] * (a.ndim - 2))).mean()


def mean_squared(a: Tensor, b: Tensor) -> Tensor:
    """E (a - b)^2."""
    return (a - b).square().mean()


def dice_loss(drawn: Tensor, target: Tensor) -> Tensor:
    """1 - (2 overlap + 1) / (sum + sum + 1) of masks (B, K, *S) in [0, 1], the mean over samples and channels."""
    space = tuple(range(2, drawn.ndim))
    overlap, total = (drawn * target).sum(space), (drawn + target).sum(space)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def squared_to_value(scores: Tensor, value: float) -> Tensor:
    """E (scores - value)^2: the least-squares adversarial term (Mao et al. 2017)."""
    return (scores - value).square().mean()
