"""The shipped networks where they only predict: same inputs, same outputs, several times as fast on a CPU.

fold builds such a network from a trained one whose norms have their statistics, because it was shipped with them or
because they were measured over a volume: the norms, and the gates of squeeze and excitation, are folded into the
convolutions. What leads through the network stays that of its class. Exact up to rounding.

With the mean and the variance of a norm known, the norm is a factor and a shift of every channel. They go into the
weights and the bias of the convolution in front of it, and nothing is left of the norm:

  gamma (W x - mean) / sigma + beta  =  W' x + b',   W' = W gamma / sigma,   b' = beta - mean gamma / sigma

Channels lie side by side in memory (channels_last), in the number format of the weights, cast once. All of it are
public operators of torch. A convolution with one output, as the last one of a network, leaves most lanes of the
registers empty; `Head` fills them with the taps along x.
"""

from collections.abc import Iterator
from itertools import pairwise, repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .adain import EPS
from .chain import Chain
from .nd import LAST, Axes, Pad
from .norms import FixedNorm, Statistics, looks_at_image, with_statistics
from .resnet import ResNetGenerator
from .translator import IMAGE, Translator, code
from .unet import Block, UNet

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def fold(network: nn.Module, dtype: torch.dtype, statistics: Statistics | None = None) -> "FoldedNetwork":
    """A copy that computes in `dtype` and gives 32 bits, (B, C, *S) -> (B, K, *S), S multiples of `multiple`.

    statistics: of the norms that are not shipped with their own, as `MeasuredNorms` has them.
    Raises TypeError for a network that is none of those that are shipped (`is_supported`), ValueError where the
    statistics are those of other norms.
    """
    if not is_supported(network):
        raise TypeError(f"{type(network).__name__} is not a network of a model folder")
    with torch.no_grad():
        made = with_statistics(network, statistics or {})
        parts = list(made.modules())
        for part in parts:
            if isinstance(part, Translator):
                fold_domains(part)
            fold_norms(part)
        for block in parts:
            if isinstance(block, Block):
                fold_gate(block)
        replace_convolutions(made)
        settle(made, dtype)
    return FoldedNetwork(made)


def is_supported(network: nn.Module) -> bool:
    return isinstance(network, UNet | Translator | ResNetGenerator | Chain)


def has_frozen_norms(network: nn.Module) -> bool:
    """Whether all norms of a network are shipped with their statistics, so that none are to be measured."""
    return is_supported(network) and not any(looks_at_image(module) for module in network.modules())


class FoldedNetwork(nn.Module):
    """(B, C, *S) float32 -> (B, K, *S) float32."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out.float().contiguous()


class FoldedAdaIN(nn.Module):
    """What is left of an AdaIN behind a convolution that it is folded into."""

    def forward(self, x: Tensor, affine: Tensor) -> Tensor:
        return x


class FoldedStyle(nn.Module):
    """In the place of the numbers for AdaIN, which are folded in."""

    def forward(self, code: Tensor) -> Iterator[Tensor]:
        return repeat(code)


def fold_domains(network: Translator) -> None:
    """Fold every AdaIN into the convolution in front of it, by the numbers of the way from image to mask."""
    encode: Any = network.encode
    decode: Any = network.decode
    like = decode.head[1].weight[:1]
    numbers = encode.affine(code(like, IMAGE))
    for part in (encode, *encode.blocks):
        fold_adain(part, numbers)
    numbers = decode.style(network.mask_code(like))
    for part in (*decode.blocks, decode):
        fold_adain(part, numbers)
    encode.style, decode.style = FoldedStyle(), FoldedStyle()


def fold_adain(part: Any, numbers: Iterator[Tensor]) -> None:
    for i, norm in enumerate(part.norms):
        shift, scale = next(numbers)[0].chunk(2)
        part.convs[i] = fuse(part.convs[i], FixedNorm(norm.mean, norm.var, 1 + scale, shift, EPS))
        part.norms[i] = FoldedAdaIN()


def fold_norms(part: nn.Module) -> None:
    """Fold each norm among the layers of a module into the convolution in front of it."""
    for (name, layer), (other, norm) in pairwise(list(part.named_children())):
        if isinstance(norm, FixedNorm):
            setattr(part, name, fuse(layer, norm))
            setattr(part, other, nn.Identity())


def fold_gate(block: Block) -> None:
    """Fold a gate, whose mean over the image is known, into the second convolution."""
    if block.gate is None:
        return
    mean: Any = block.pool
    factor = block.gate(mean.mean.float()[None])[0]
    zeros, ones = torch.zeros_like(factor), torch.ones_like(factor)
    last: Any = block.convs[1]
    last.conv, block.gate = fuse(last.conv, FixedNorm(zeros, ones, factor, zeros, 0.0)), None


def fuse(layer: Any, norm: Any) -> nn.Module:
    """A convolution, or layers that end in one, and the norm behind it as one."""
    if isinstance(layer, nn.Sequential):
        return nn.Sequential(*list(layer)[:-1], fuse(layer[-1], norm))
    return fuse_conv_bn_eval(layer, norm, isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d))


def replace_convolutions(part: nn.Module) -> None:
    """Put `Conv`, `Head` and `TransposedConv` in the place of torch's, and of those with padding in front of them."""
    for name, layer in list(part.named_children()):
        padded = isinstance(layer, nn.Sequential) and isinstance(layer[0], Pad)
        if not padded and not isinstance(layer, CONVOLUTIONS):
            replace_convolutions(layer)
        elif isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
            setattr(part, name, TransposedConv(layer))
        else:
            setattr(part, name, (Head if name == "head" else Conv)(layer))


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
