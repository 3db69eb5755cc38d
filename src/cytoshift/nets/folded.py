"""The shipped networks where they only predict: same inputs, same outputs, several times as fast on a CPU.

fold builds such a network from a trained one whose norms have their statistics, because it was shipped with them or
because they were measured over a volume: the norms, and the gates of squeeze and excitation, are folded into the
convolutions (`nets.quick`). What leads through the network stays that of its class. Exact up to rounding.
"""

from collections.abc import Iterator
from itertools import pairwise, repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .adain import EPS
from .chain import Chain
from .nd import Pad
from .norms import FixedNorm, Statistics, looks_at_image, with_statistics
from .quick import Conv, Head, TransposedConv, settle
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
    numbers = encode.style(code(like, IMAGE) if encode.adaptive else torch.ones_like(code(like, IMAGE)))
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
    """Put `nets.quick`'s in the place of torch's, and of those with padding in front of them."""
    for name, layer in list(part.named_children()):
        padded = isinstance(layer, nn.Sequential) and isinstance(layer[0], Pad)
        if not padded and not isinstance(layer, CONVOLUTIONS):
            replace_convolutions(layer)
        elif isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
            setattr(part, name, TransposedConv(layer))
        else:
            setattr(part, name, (Head if name == "head" else Conv)(layer))
