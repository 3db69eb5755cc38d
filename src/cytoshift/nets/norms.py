"""Norms that use statistics which were measured once, so that the tiles of a volume agree.

Instance norm centres and scales every feature by the mean and variance of what it sees. Of a volume in tiles it sees
one tile: a dim object in a tile of dim ones comes out bright, and in an empty tile the noise is scaled up until it
looks like objects. So it gets the statistics, in two passes:

  (1) measure   windows spread over the volume go through the network together, as a batch; every norm pools its mean
                and variance over the batch, uses them, and notes them (`MeasuredNorms`)
  (2) predict   tile by tile, by a network whose norms are affine layers (`with_statistics`)

Group norm, and the mean over all space that squeeze and excitation takes, are told in the same way. So is batch norm,
which has no running mean here: in training it uses the statistics of its batch, which is of one domain, and later those
that are measured over images of the domain it is for (adaptive batch norm, Li et al. 2016).

In (1) all layers see the same windows, so their numbers fit each other. Numbers that each tile has found alone and
that are averaged afterwards do not: layer by layer they drift apart, and a second round of that diverges.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .adain import EPS, AdaIN

Statistics = dict[str, tuple[Tensor, Tensor]]  # by the name of a layer: mean, variance (C,) or (groups,)


def looks_at_image(layer: nn.Module) -> bool:
    """Whether a layer computes with the statistics of the image that it sees."""
    if isinstance(layer, AdaIN):
        return not layer.frozen
    if isinstance(layer, nn.InstanceNorm2d | nn.InstanceNorm3d | nn.BatchNorm2d | nn.BatchNorm3d):
        return not layer.track_running_stats
    return isinstance(layer, nn.GroupNorm | nn.AdaptiveAvgPool1d)


class FixedNorm(nn.Module):
    """(B, C, *S) centred, scaled and shifted by numbers of each channel, by the names that torch's batch norm has."""

    def __init__(self, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> None:
        super().__init__()
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", var)
        self.weight, self.bias, self.eps = weight, bias, eps
        self.eval()

    @classmethod
    def unknown(cls, width: int) -> "FixedNorm":
        """For weights and statistics that are loaded into it."""
        affine = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        return cls(torch.zeros(width), torch.ones(width), *affine, EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class FixedMean(nn.Module):
    """In the place of the mean over all space, (B, C, N) -> (B, C, 1)."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", mean)

    def forward(self, x: Tensor) -> Tensor:
        return self.mean.to(x.dtype).expand(len(x), -1)[..., None]


def fix_layer(layer: Any, mean: Tensor, var: Tensor) -> nn.Module:
    """The layer with these statistics in the place of those that it would see."""
    if isinstance(layer, nn.AdaptiveAvgPool1d):
        return FixedMean(mean)
    if isinstance(layer, AdaIN):
        made = AdaIN(layer.width, frozen=True)
        made.mean, made.var = mean, var
        return made.eval()
    return FixedNorm(*per_channel(layer, mean, var), layer.weight, layer.bias, layer.eps)


def per_channel(layer: Any, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Statistics of a norm, those of groups for each of their channels, (C,)."""
    if not isinstance(layer, nn.GroupNorm):
        return mean, var
    times = layer.num_channels // layer.num_groups
    return mean.repeat_interleave(times), var.repeat_interleave(times)


class PooledLayer(nn.Module):
    """In the place of a norm: it pools mean and variance over the batch, uses them and notes them."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer, self.notes = layer, list[tuple[Tensor, Tensor]]()

    def forward(self, x: Tensor, *affine: Tensor) -> Tensor:
        groups = self.layer.num_groups if isinstance(self.layer, nn.GroupNorm) else 0
        seen = x.reshape(len(x), groups, x.shape[1] // groups, -1) if groups else x
        var, mean = torch.var_mean(seen.float(), [axis for axis in range(seen.ndim) if axis != 1], correction=0)
        self.notes.append((mean, var))
        out: Tensor = fix_layer(self.layer, mean, var)(x, *affine)
        return out

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Over all that was seen: the variance of several batches is that within and that between them."""
        means, variances = (torch.stack(numbers) for numbers in zip(*self.notes))
        return means.mean(0), variances.mean(0) + means.var(0, correction=0)


class MeasuredNorms:
    """`network` is a copy of a network, with the same weights, whose norms note what they see."""

    def __init__(self, network: nn.Module) -> None:
        self.network = share_weights(network)
        for name, layer in list(self.network.named_modules()):
            if looks_at_image(layer):
                self.network.set_submodule(name, PooledLayer(layer))

    @property
    def statistics(self) -> Statistics:
        layers = self.network.named_modules()
        return {name: layer.statistics for name, layer in layers if isinstance(layer, PooledLayer)}


def with_statistics(network: nn.Module, statistics: Statistics) -> nn.Module:
    """A copy, with the same weights, whose norms know their statistics: their own, or else these.

    Raises ValueError where they are of other layers.
    """
    made = share_weights(network)
    layers = dict(made.named_modules())
    if wrong := set(statistics) ^ {name for name, layer in layers.items() if looks_at_image(layer)}:
        raise ValueError(f"there are statistics of {len(statistics)} norms, {min(wrong)} is not among both")
    for name, layer in layers.items():
        if name in statistics:
            made.set_submodule(name, fix_layer(layer, *statistics[name]))
        elif isinstance(layer, nn.InstanceNorm2d | nn.InstanceNorm3d):
            mean, var = layer.running_mean, layer.running_var
            assert mean is not None and var is not None, "it has its own statistics"
            made.set_submodule(name, fix_layer(layer, mean, var))
    return made


def share_weights(network: nn.Module) -> nn.Module:
    """A copy of the layers around the same tensors."""
    kept = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, kept)
