"""Distances between two sets of feature vectors, (N, C) and (M, C), one vector per voxel of a feature map: one by
kernels, one by covariances.

Neither distance is a mean over samples. Where two processes share a batch, each computes the distance of its own share,
and the gradients are averaged. Both distances are computed in 32 bits, as they are small differences of large numbers.
"""

from typing import Any

import torch
from torch import Tensor, nn

LADDER = (4.0, 2.0, 1.0, 0.5, 0.25)  # bandwidths in multiples of the median squared distance, each half of the former
ROUNDING, TINY = 1e-8, 1e-12  # squared distances below this part of a squared feature, or below this, are none
MEDIAN_VECTORS = 256  # vectors whose distances give the median


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """Squared maximum mean discrepancy, E k(x, x') + E k(y, y') - 2 E k(x, y).

    The kernel k is the mean of Gaussians exp(-|a - b|^2 / 2 sigma^2). Their sigma^2 are LADDER times the median squared
    distance between two vectors of both sets (the mean where the median is 0). No gradient flows through the median, so
    features that only shrink do not come closer. This is the biased estimate: it is never negative, it is defined for a
    single vector, and its gradient equals that of the unbiased estimate up to a factor of 1 - 1/N.

    Parameters
    ----------
    x, y
        Feature vectors (N, C) and (M, C) of the two domains.

    Returns
    -------
    Tensor
        A scalar in [0, 2].

    References
    ----------
    Gretton et al. 2012, eq. 5. Long et al. 2015 (DAN) for several kernels.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    >>> bool(mmd(x, x) < 1e-6), bool(mmd(x, x + 3) > 0.5)
    (True, True)
    """
    with torch.autocast(x.device.type, enabled=False):
        signs = torch.cat([x.new_full((len(x),), 1 / len(x)), y.new_full((len(y),), -1 / len(y))])
        return Discrepancy.apply(torch.cat([x.float(), y.float()]), signs.float())


class Discrepancy(torch.autograd.Function):
    """sum_ij w_i w_j k(a_i, a_j) of vectors a (N, C) and signed weights w (N,).

    Its gradient is written out, 4 sum_j w_i w_j k'(d_ij) (a_i - a_j) with d_ij = |a_i - a_j|^2: two matrices (N, N) are
    in memory in the place of a dozen, which on a CPU takes a fifth of the time.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, w: Tensor) -> Tensor:
        least = ROUNDING * float(a.square().mean())
        a = a - a.mean(0)  # near the origin |a|^2 + |b|^2 - 2 ab keeps its digits
        size = a.square().sum(1)
        apart = torch.addmm(size[:, None] + size, a, a.T, alpha=-2).clamp_(min=0).fill_diagonal_(0)
        middle = typical_distance(apart, least)
        # Half the bandwidth is the square of the kernel: one exponential for the whole ladder.
        kernel = apart.mul_(-1 / (2 * LADDER[0] * middle)).exp_()
        value, slope = w @ kernel @ w, kernel * (-1 / (2 * LADDER[0] * middle))
        for width in LADDER[1:]:
            kernel.mul_(kernel)
            value += w @ kernel @ w
            slope.add_(kernel, alpha=-1 / (2 * width * middle))
        ctx.save_for_backward(a, w, slope)
        return value / len(LADDER)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        a, w, slope = ctx.saved_tensors
        pull = slope * w * w[:, None]
        return grad * 4 / len(LADDER) * (pull.sum(1, keepdim=True) * a - pull @ a), None


def typical_distance(apart: Tensor, least: float) -> float:
    """Median of the distances (N, N) between two different ones, or their mean where it is 0; at least `least`."""
    step = -(-len(apart) // MEDIAN_VECTORS)
    some = apart[::step, ::step]
    pairs = some[torch.ones_like(some, dtype=torch.bool).triu(1)]
    middle = float(pairs.median())
    return max(middle if middle > least else float(pairs.mean()), least, TINY)


def coral(x: Tensor, y: Tensor) -> Tensor:
    """Distance of covariances, |C_x - C_y|^2 / 4 C^2 with the squared Frobenius norm.

    Parameters
    ----------
    x, y
        Feature vectors (N, C) and (M, C) of the two domains. A single vector has the covariance 0.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Sun and Saenko 2016 (Deep CORAL), eq. 1.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 4.0]])
    >>> bool(coral(x, x + 5) < 1e-9)
    True
    """
    with torch.autocast(x.device.type, enabled=False):
        return (covariance(x.float()) - covariance(y.float())).square().sum() / (4 * x.shape[1] ** 2)


def covariance(x: Tensor) -> Tensor:
    """Covariance of vectors, divided by N - 1.

    Parameters
    ----------
    x
        (N, C).

    Returns
    -------
    Tensor
        (C, C).

    Examples
    --------
    >>> import torch
    >>> covariance(torch.tensor([[0.0], [2.0]]))
    tensor([[2.]])
    """
    centred = x - x.mean(0)
    return centred.T @ centred / max(len(x) - 1, 1)


def to_vectors(features: Tensor) -> Tensor:
    """Feature maps as one vector per voxel.

    Parameters
    ----------
    features
        (B, C, *S).

    Returns
    -------
    Tensor
        (B * voxels, C).

    Examples
    --------
    >>> import torch
    >>> to_vectors(torch.zeros(2, 3, 4, 5)).shape
    torch.Size([40, 3])
    """
    return features.movedim(1, -1).flatten(0, -2)


class VoxelSample(nn.Module):
    """Feature vectors of some voxels, sampled at random with replacement; of all voxels where there are fewer.

    It is a module, so its random state is part of a checkpoint.

    Parameters
    ----------
    count
        Voxels to sample.
    seed
        Of the sampling. Default: 0.

    Examples
    --------
    >>> import torch
    >>> VoxelSample(8)(torch.zeros(2, 3, 4, 5)).shape
    torch.Size([8, 3])
    """

    def __init__(self, count: int, seed: int = 0):
        super().__init__()
        self.count = count
        self.random = torch.Generator().manual_seed(seed)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, *S) -> vectors (at most count, C)."""
        every = to_vectors(features)
        if len(every) <= self.count:
            return every
        chosen = torch.randint(len(every), (self.count,), generator=self.random)
        return every[chosen.to(every.device)]

    def get_extra_state(self) -> dict[str, Any]:
        return {"random": self.random.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.random.set_state(state["random"].cpu())
