"""Convolutions for a network that learns no more: each with its norm and its activation in one.

With the mean and the variance of a norm known, the norm is a factor and a shift of every channel. They go into the
weights and the bias of the convolution in front of it, and nothing is left of the norm:

  act(gamma (W x - mean) / sigma + beta)  =  act(W' x + b'),   W' = W gamma / sigma,   b' = beta - mean gamma / sigma

Channels lie side by side in memory (channels_last), in the number format of the weights, cast once. Such memory reads
as well as half as many voxels of twice the channels, which is how few channels fill the registers (`beside`).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .nd import Axes, Pad

Statistics = tuple[Tensor, Tensor]  # mean and variance, one number per channel, or per group of channels
LANES = 16  # output channels that a convolution computes at once on a CPU with 512-bit registers
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
CONVOLVE: dict[int, Any] = {2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Any] = {2: F.conv_transpose2d, 3: F.conv_transpose3d}


class Conv(nn.Module):
    """act(conv(x)): (B, C, *S) -> (B, K, *ceil(S / stride)), channels last.

    layer: a convolution, or `Pad` and a convolution. slope: of the leaky ReLU behind it, 0 of a ReLU, None for none.
    """

    def __init__(self, layer: Any, slope: float | None = None):
        super().__init__()
        parts: list[Any] = list(layer) if isinstance(layer, nn.Sequential) else [None, layer]
        pad, conv = parts
        self.stride: Axes = conv.stride
        self.ndim, self.slope = len(self.stride), slope
        self.widths: Axes = pad.widths if isinstance(pad, Pad) else conv.padding
        self.mode: str = pad.mode if isinstance(pad, Pad) else "zeros"
        self.weight: Tensor
        self.bias: Tensor | None
        self.register_buffer("weight", conv.weight.detach().to(torch.float32))
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().to(torch.float32))
        self.together, self.sums = 1, False
        self.wide, self.wide_bias = self.weight, self.bias

    def fold(self, factor: Tensor, shift: Tensor) -> "Conv":
        """This layer, its output times `factor` (K,) plus `shift` (K,). Before it is settled."""
        self.weight = self.weight * factor.view(-1, *[1] * (self.ndim + 1))
        self.bias = shift if self.bias is None else self.bias * factor + shift
        return self

    def settle(self, dtype: torch.dtype) -> None:
        """Weights to their format and their place in memory."""
        count, inputs = self.weight.shape[:2]
        plain = inputs == 1 or max(self.stride) > 1 or self.weight.shape[-1] == 1
        exact = half_on_cpu(self.weight, dtype)
        if exact and not plain:
            self.together = beside(count)
        if dtype == torch.bfloat16:
            self.weight = rounded(self.weight.flatten(2)).view_as(self.weight)
        if self.bias is not None and not exact:
            self.bias = self.bias.to(dtype)
        self.sums = exact
        weight = self.weight
        self.weight = weight.to(dtype, memory_format=LAST[self.ndim])
        if self.together > 1:
            self.wide = widened(weight, self.together).to(dtype, memory_format=LAST[self.ndim])
            self.wide_bias = None if self.bias is None else self.bias.repeat(self.together)

    def convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Axes, padding: Axes) -> Tensor:
        """act(conv(x)) without padding of its own."""
        if self.sums:  # as torch's compiler does it: the activation before the sums are rounded, a bias of 32 bits
            kind, numbers = ("none", []) if self.slope is None else ("leaky_relu", [self.slope])
            ones = (1,) * self.ndim
            fused: Any = torch.ops.mkldnn._convolution_pointwise  # not there in builds without oneDNN
            out: Tensor = fused(x, weight, bias, padding, stride, ones, 1, kind, numbers, "")
            return out
        return active(CONVOLVE[self.ndim](x, weight, bias, stride, padding), self.slope)

    def forward(self, x: Tensor) -> Tensor:
        padding: Axes = self.widths
        if self.mode != "zeros" and max(padding):
            x, padding = lengthened(x, padding, self.mode), (0,) * self.ndim
        length = x.shape[-1] + 2 * padding[-1] - self.weight.shape[-1] + 1
        if self.together > 1 and length % self.together == 0:
            stride = (*self.stride[:-1], self.together)
            return apart(self.convolved(x, self.wide, self.wide_bias, stride, padding), self.together)
        return self.convolved(x, self.weight, self.bias, self.stride, padding)


class Transposed(Conv):
    """act(transposed conv(x))."""

    def __init__(self, layer: Any, slope: float | None = None):
        super().__init__(layer, slope)
        self.extra: Axes = layer.output_padding

    def fold(self, factor: Tensor, shift: Tensor) -> "Conv":
        self.weight = self.weight * factor.view(1, -1, *[1] * self.ndim)
        self.bias = shift if self.bias is None else self.bias * factor + shift
        return self

    def settle(self, dtype: torch.dtype) -> None:
        if dtype == torch.bfloat16:
            self.weight = rounded_apart(self.weight, self.stride)
        self.weight = self.weight.to(dtype, memory_format=LAST[self.ndim])
        self.bias = None if self.bias is None else self.bias.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        out = TRANSPOSED[self.ndim](x, self.weight, self.bias, self.stride, self.widths, self.extra)
        return active(out, self.slope)


def half_on_cpu(weight: Tensor, dtype: torch.dtype) -> bool:
    """Whether oneDNN computes in bfloat16: it then takes a bias of 32 bits, and adds up in 32 bits."""
    return dtype == torch.bfloat16 and weight.device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def rounded(weight: Tensor) -> Tensor:
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


def rounded_apart(weight: Tensor, stride: Axes) -> Tensor:
    """`rounded` for a transposed convolution (C, K, *kernel): the taps of each output voxel apart.

    Where a kernel is no multiple of its stride, voxels differ in their number of taps, and the nearest value is taken.
    """
    kernel = weight.shape[2:]
    if any(k % s for k, s in zip(kernel, stride)):
        return weight.bfloat16().float()
    parts = weight.reshape(*weight.shape[:2], *(n for k, s in zip(kernel, stride) for n in (k // s, s)))
    ndim = len(kernel)
    taps, phases = [2 + 2 * a for a in range(ndim)], [3 + 2 * a for a in range(ndim)]
    apart = parts.permute(0, 1, *phases, *taps)
    done = rounded(apart.flatten(2 + ndim)).view(apart.shape)
    back = [0, 1, *(axis for a in range(ndim) for axis in (2 + ndim + a, 2 + a))]
    return done.permute(back).reshape(weight.shape)


def active(x: Tensor, slope: float | None) -> Tensor:
    """Leaky ReLU in place."""
    if slope is None:
        return x
    return F.leaky_relu_(x, slope) if slope else F.relu_(x)


def beside(count: int) -> int:
    """How many voxels along x become one with their channels, so that these fill the lanes: a power of two, 8 at most.

    Each wants its own taps of the convolution, and all get those of all: of a kernel of 3, a pair takes 4 taps
    for 6, which is 4 / 3 of the work at twice the speed.

    >>> [beside(count) for count in (1, 3, 8, 9, 32)]
    [8, 4, 2, 1, 1]
    """
    together = 1
    while together < 8 and 2 * together * count <= LANES:
        together *= 2
    return together


def widened(weight: Tensor, together: int) -> Tensor:
    """The weights (K, C, *kernel) that give `together` neighbours along x as channels: (together K, C, *wider)."""
    count, taps = weight.shape[0], weight.shape[-1]
    out = weight.new_zeros(together * count, *weight.shape[1:-1], taps + together - 1)
    for i in range(together):
        out[i * count : (i + 1) * count, ..., i : i + taps] = weight
    return out


def apart(x: Tensor, together: int) -> Tensor:
    """(B, together K, ..., X) -> (B, K, ..., together X): the same memory, channels last, read as more voxels."""
    batch, channels, *space = x.shape
    inside = x.permute(0, *range(2, x.ndim), 1)
    space[-1] *= together
    return inside.reshape(batch, *space, channels // together).permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def lengthened(x: Tensor, widths: Axes, mode: str) -> Tensor:
    """`F.pad` with "replicate" or "reflect", axis by axis: some slices after one copy, which is ten times as fast."""
    size = [n + 2 * w for n, w in zip(x.shape[2:], widths)]
    out = empty(x, size)
    inside: Tensor = out
    for axis, (n, w) in enumerate(zip(x.shape[2:], widths), 2):
        inside = inside.narrow(axis, w, n)
    inside.copy_(x)
    for axis in reversed(range(2, x.ndim)):  # planes last: they are whole blocks of memory
        part = out
        for before in range(2, axis):
            part = part.narrow(before, widths[before - 2], x.shape[before])
        ends(part, axis, widths[axis - 2], x.shape[axis], mode)
    return out


def empty(like: Tensor, space: list[int]) -> Tensor:
    """(B, C, *space) with the channels, the number format and the device of another tensor."""
    shape = (*like.shape[:2], *space)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=LAST[len(space)])


def ends(x: Tensor, axis: int, width: int, n: int, mode: str) -> None:
    """Fill `width` slices at both ends of an axis from the n between."""
    for i in range(width):
        low, high = (width, width + n - 1) if mode == "replicate" else (2 * width - i, width + n - 2 - i)
        x.select(axis, i).copy_(x.select(axis, low))
        x.select(axis, width + n + i).copy_(x.select(axis, high))


def finer(x: Tensor, stride: Axes, skip: Tensor | None = None) -> Tensor:
    """`nd.finer` of channels that lie side by side, plus `skip`, whose size it takes; even sizes alone."""
    for axis, step in reversed(list(enumerate(stride, 2))):
        if step == 1:
            continue
        n = x.shape[axis]
        out = empty(x, [2 * m if a == axis else m for a, m in enumerate(x.shape[2:], 2)])
        even, odd = (out.unflatten(axis, (n, 2)).select(axis + 1, i) for i in (0, 1))
        even.copy_(x)
        here, after = x.narrow(axis, 0, n - 1), x.narrow(axis, 1, n - 1)
        torch.lerp(here, after, 0.5, out=odd.narrow(axis, 0, n - 1))
        odd.narrow(axis, n - 1, 1).copy_(x.narrow(axis, n - 1, 1))
        x = out
    return x if skip is None else x + skip


def settle(network: nn.Module, dtype: torch.dtype) -> None:
    """Bring the weights of all its layers into that number format."""
    for module in network.modules():
        if isinstance(module, Conv):
            module.settle(dtype)
    network.eval().requires_grad_(False)


def affine(statistics: Statistics, norm: nn.GroupNorm) -> tuple[Tensor, Tensor]:
    """Factor and shift (C,) of a group norm that uses these numbers (groups,) for mean and variance."""
    each = norm.num_channels // norm.num_groups
    mean, var = (s.float().repeat_interleave(each) for s in statistics)
    factor = (var + norm.eps).rsqrt()
    factor = factor if norm.weight is None else factor * norm.weight
    return factor, (-mean * factor if norm.bias is None else norm.bias - mean * factor)
