"""How far apart two sets of feature vectors lie, (N, C) and (M, C): once by kernels, once by covariances.

Neither is a mean over samples, so two processes that compare their own halves of a batch do not see what one process
sees of the whole: each distance is then one of a share of the batch, and gradients average. Both are computed in 32
bits, since they are small differences of large numbers.
"""

import torch
from torch import Tensor

LADDER = (0.25, 0.5, 1.0, 2.0, 4.0)  # bandwidths, in multiples of the median squared distance
ROUNDING, TINY = 1e-8, 1e-12  # squared distances below this part of a squared feature, or below this, are none


def mmd(x: Tensor, y: Tensor, ladder: tuple[float, ...] = LADDER) -> Tensor:
    """Squared maximum mean discrepancy E k(x, x') + E k(y, y') - 2 E k(x, y) (Gretton et al. 2012), in [0, 2].

    k is the mean of Gaussians exp(-|a - b|^2 / 2 sigma^2) with sigma^2 = `ladder` times the median squared distance of
    two vectors of both sets (the mean one where most are equal), through which no gradient goes: features that merely
    shrink come no closer.
    The biased estimate: never below zero, defined for a single vector, and its gradient is that of the unbiased one
    but for a factor of 1 - 1/N.
    """
    with torch.autocast(x.device.type, enabled=False):
        both = torch.cat([x.float(), y.float()])
        both = both - both.detach().mean(0)  # near the origin |a|^2 + |b|^2 - 2 ab keeps its digits
        size = both.square().sum(1)
        apart = (size[:, None] + size - 2 * both @ both.T).clamp(min=0)
        apart = apart.masked_fill(torch.eye(len(both), dtype=torch.bool, device=both.device), 0)
        middle = typical(apart.detach(), least=ROUNDING * float(torch.cat([x, y]).detach().float().square().mean()))
        kernel = torch.stack([(-apart / (2 * width * middle)).exp() for width in ladder]).mean(0)
        n = len(x)
        return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def typical(apart: Tensor, least: float) -> Tensor:
    """Median of the distances (N, N) between two different ones, or their mean where it is 0; at least `least`."""
    pairs = apart[torch.ones_like(apart, dtype=torch.bool).triu(1)]
    middle = pairs.median()
    return torch.where(middle > least, middle, pairs.mean()).clamp(min=max(least, TINY))


def coral(x: Tensor, y: Tensor) -> Tensor:
    """|C_x - C_y|^2 / 4 C^2: squared Frobenius norm of the difference of the covariances of channels (Sun and Saenko
    2016). A single vector has the covariance 0."""
    with torch.autocast(x.device.type, enabled=False):
        return (covariance(x.float()) - covariance(y.float())).square().sum() / (4 * x.shape[1] ** 2)


def covariance(x: Tensor) -> Tensor:
    """Vectors (N, C) -> (C, C), divided by N - 1."""
    centred = x - x.mean(0)
    return centred.T @ centred / max(len(x) - 1, 1)
