"""Attention over voxels at the bottleneck of a U-Net, and layers of a vision transformer (Dosovitskiy et al. 2021)
that make a TransUNet of it (Chen et al. 2021), in 2D and 3D.

A voxel of the bottleneck is a token. All products are pointwise convolutions, so that the layers fold, round and export
like the rest of the network. A convolution tells a token where it is (conditional positions, Chu et al. 2021): unlike a
table of positions it is of no fixed size.
"""

from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .nd import CONV, Axes, conv

ATTENTION_PAIRS = 2**27  # pairs of voxels that attention holds at once, three numbers of four bytes each
PER_HEAD = 32  # channels
HIDDEN_FACTOR = 4  # the hidden layer of a token's own network is so many times as wide


def attention(ask: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of (B, N, C) without a scale; of many voxels for as many of them at once as ATTENTION_PAIRS allows."""
    most = max(ATTENTION_PAIRS // (len(key) * key.shape[1]), 1)
    if ask.shape[1] <= most:
        return F.scaled_dot_product_attention(ask, key, value, scale=1.0)
    parts = [F.scaled_dot_product_attention(part, key, value, scale=1.0) for part in ask.split(most, dim=1)]
    return torch.cat(parts, dim=1)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each voxel, (B, C, *S) -> the same. It sees no other voxel."""

    def __init__(self, width: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        last = x.movedim(1, -1)
        out = F.layer_norm(last.to(self.weight.dtype), self.weight.shape, self.weight, self.bias)
        return out.movedim(-1, 1).to(x.dtype)


class TransformerLayer(nn.Module):
    """x + attention(norm(x)), and then x + network(norm(x)), with several heads."""

    def __init__(self, ndim: int, width: int):
        super().__init__()
        point, self.heads = CONV[ndim], gcd(width, max(width // PER_HEAD, 1))
        self.scale = (self.heads / width) ** 0.5
        self.norms = nn.ModuleList(ChannelNorm(width) for _ in range(2))
        self.ask, self.key, self.value, self.back = (point(width, width, 1) for _ in range(4))
        self.wide, self.narrow = point(width, HIDDEN_FACTOR * width, 1), point(HIDDEN_FACTOR * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.norms[0](x)
        ask, key, value = (self.by_head(layer(seen)) for layer in (self.ask, self.key, self.value))
        found = attention(ask * self.scale, key, value).transpose(1, 2)  # from (B heads, voxels, C / heads)
        x = x + self.back(found.reshape(x.shape))
        return x + self.narrow(F.gelu(self.wide(self.norms[1](x))))

    def by_head(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B heads, voxels, C / heads)."""
        return x.reshape(len(x) * self.heads, x.shape[1] // self.heads, -1).transpose(1, 2)


class Transformer(nn.Module):
    """(B, C, *S) -> the same: positions, then so many layers. kernel: of the level, for positions."""

    def __init__(self, width: int, kernel: Axes, layers: int):
        super().__init__()
        self.place = conv(width, width, kernel, padding="zeros", bias=True)
        self.layers = nn.Sequential(*(TransformerLayer(len(kernel), width) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x + self.place(x))
        return out
