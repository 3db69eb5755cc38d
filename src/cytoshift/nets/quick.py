"""Convolutions for a network that learns no more: each with its norm in one.

With the mean and the variance of a norm known, the norm is a factor and a shift of every channel. They go into the
weights and the bias of the convolution in front of it, and nothing is left of the norm:

  gamma (W x - mean) / sigma + beta  =  W' x + b',   W' = W gamma / sigma,   b' = beta - mean gamma / sigma

Channels lie side by side in memory (channels_last), in the number format of the weights, cast once. All of it are
public operators of torch. A convolution with one output, as the last one of a network, leaves most lanes of the
registers empty; `Head` fills them with the taps along x.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .nd import LAST, Axes, Pad

CONVOLVE: dict[int, Any] = {2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Any] = {2: F.conv_transpose2d, 3: F.conv_transpose3d}


class Conv(nn.Module):
    """conv(x): (B, C, *S) -> (B, K, *ceil(S / stride)), channels last, in the number format of the weights.

    layer: a convolution, or `Pad` and a convolution.
    """

    def __init__(self, layer: Any):
        super().__init__()
        parts: list[Any] = list(layer) if isinstance(layer, nn.Sequential) else [None, layer]
        pad, conv = parts
        self.stride: Axes = conv.stride
        self.ndim = len(self.stride)
        self.widths: Axes = pad.widths if isinstance(pad, Pad) else conv.padding
        self.mode: str = pad.mode if isinstance(pad, Pad) else "zeros"
        self.weight: Tensor
        self.bias: Tensor | None
        self.register_buffer("weight", conv.weight.detach().to(torch.float32))
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().to(torch.float32))

    def settle(self, dtype: torch.dtype) -> None:
        """Weights to their format and their place in memory."""
        if dtype == torch.bfloat16:
            self.weight = round_weights(self.weight.flatten(2)).view_as(self.weight)
        self.bias = None if self.bias is None else self.bias.to(dtype)
        self.weight = self.weight.to(dtype, memory_format=LAST[self.ndim])

    def forward(self, x: Tensor) -> Tensor:
        x, padding = x.to(self.weight.dtype, memory_format=LAST[self.ndim]), self.widths
        if self.mode != "zeros" and max(padding):
            x, padding = pad_border(x, padding, self.mode), (0,) * self.ndim
        out: Tensor = CONVOLVE[self.ndim](x, self.weight, self.bias, self.stride, padding)
        return out


class Head(Conv):
    """conv(x), the last layer of a network, with a stride of 1: (B, C, *S) -> (B, K, *S) float32.

    A convolution with one output uses one of the lanes. Its taps along x become outputs of a kernel that is one voxel
    wide; these are shifted against each other and added up in 32 bits:

      y(x) = sum_i (W_i * u)(x + i)    W_i: the taps of W at place i along x
    """

    def settle(self, dtype: torch.dtype) -> None:
        self.taps = self.weight.shape[-1] if len(self.weight) == 1 else 1
        if self.taps == 1:
            super().settle(dtype)
            return
        if dtype == torch.bfloat16:
            self.weight = round_weights(self.weight.flatten(2)).view_as(self.weight)
        apart = self.weight[0].movedim(-1, 0).unsqueeze(-1)  # (taps, C, ..., 1)
        self.weight = apart.to(dtype, memory_format=LAST[self.ndim])

    def forward(self, x: Tensor) -> Tensor:
        if self.taps == 1:
            return super().forward(x).float()
        x = pad_border(x, self.widths, self.mode)
        parts = CONVOLVE[self.ndim](x, self.weight)  # (B, taps, *S), longer than S along x
        length = parts.shape[-1] - self.taps + 1
        out = parts[:, :1, ..., :length].float()
        for i in range(1, self.taps):
            out += parts[:, i : i + 1, ..., i : i + length]
        return out if self.bias is None else out.add_(self.bias)


class TransposedConv(Conv):
    """transposed conv(x)."""

    def __init__(self, layer: Any):
        super().__init__(layer)
        self.extra: Axes = layer.output_padding

    def settle(self, dtype: torch.dtype) -> None:
        if dtype == torch.bfloat16:
            self.weight = round_transposed_weights(self.weight, self.stride)
        self.weight = self.weight.to(dtype, memory_format=LAST[self.ndim])
        self.bias = None if self.bias is None else self.bias.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = TRANSPOSED[self.ndim](x, self.weight, self.bias, self.stride, self.widths, self.extra)
        return out


def round_weights(weight: Tensor) -> Tensor:
    """Weights (K, C, taps) as values of bfloat16 whose sums over the taps are those of the weights, nearly.

    Neighbouring voxels of a channel are nearly equal, so that rounding which is off in one direction makes the whole
    channel brighter. What is lost in one tap is made up for in the next, from the largest to the smallest, whose grid
    is the finest (error diffusion).
    """
    order = weight.abs().argsort(-1, descending=True)
    falling = weight.gather(-1, order)
    out, carry = torch.empty_like(falling), torch.zeros_like(falling[..., 0])
    for i in range(falling.shape[-1]):
        wanted = falling[..., i] + carry
        out[..., i] = wanted.bfloat16()
        carry = wanted - out[..., i]
    return torch.empty_like(weight).scatter_(-1, order, out)


def round_transposed_weights(weight: Tensor, stride: Axes) -> Tensor:
    """`round_weights` for a transposed convolution (C, K, *kernel): the taps of each output voxel apart.

    Where a kernel is no multiple of its stride, voxels differ in their number of taps, and the nearest value is taken.
    """
    kernel = weight.shape[2:]
    if any(k % s for k, s in zip(kernel, stride)):
        return weight.bfloat16().float()
    parts = weight.reshape(*weight.shape[:2], *(n for k, s in zip(kernel, stride) for n in (k // s, s)))
    ndim = len(kernel)
    taps, phases = [2 + 2 * a for a in range(ndim)], [3 + 2 * a for a in range(ndim)]
    apart = parts.permute(0, 1, *phases, *taps)
    done = round_weights(apart.flatten(2 + ndim)).view(apart.shape)
    back = [0, 1, *(axis for a in range(ndim) for axis in (2 + ndim + a, 2 + a))]
    return done.permute(back).reshape(weight.shape)


def pad_border(x: Tensor, widths: Axes, mode: str) -> Tensor:
    """`F.pad` with "zeros", "replicate" or "reflect", axis by axis: some slices after one copy, ten times as fast."""
    size = [n + 2 * w for n, w in zip(x.shape[2:], widths)]
    out = empty_like(x, size)
    inside: Tensor = out
    for axis, (n, w) in enumerate(zip(x.shape[2:], widths), 2):
        inside = inside.narrow(axis, w, n)
    inside.copy_(x)
    for axis in reversed(range(2, x.ndim)):  # planes last: they are whole blocks of memory
        part = out
        for before in range(2, axis):
            part = part.narrow(before, widths[before - 2], x.shape[before])
        fill_ends(part, axis, widths[axis - 2], x.shape[axis], mode)
    return out


def empty_like(like: Tensor, space: list[int]) -> Tensor:
    """(B, C, *space) with the channels, the number format and the device of another tensor."""
    shape = (*like.shape[:2], *space)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=LAST[len(space)])


def fill_ends(x: Tensor, axis: int, width: int, n: int, mode: str) -> None:
    """Fill `width` slices at both ends of an axis from the n between."""
    if mode == "zeros":
        x.narrow(axis, 0, width).zero_()
        x.narrow(axis, width + n, width).zero_()
        return
    for i in range(width):
        low, high = (width, width + n - 1) if mode == "replicate" else (2 * width - i, width + n - 2 - i)
        x.select(axis, i).copy_(x.select(axis, low))
        x.select(axis, width + n + i).copy_(x.select(axis, high))


def settle(network: nn.Module, dtype: torch.dtype) -> None:
    """Bring the weights of all its layers into that number format."""
    for module in network.modules():
        if isinstance(module, Conv):
            module.settle(dtype)
    network.eval().requires_grad_(False)
