"""The shipped networks where they only predict: same inputs, same outputs, several times as fast on a CPU.

`quick` builds such a network from a trained one whose norms have their statistics, because it was shipped with them or
because they were measured over a volume: the norms, and the gates of squeeze and excitation, are folded into the
convolutions (`nets.quick`). Exact up to rounding.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .adain import AdaIN
from .chain import Chain
from .nd import add_residual_image
from .quick import LAST, Conv, Head, Statistics, TransposedConv, affine, finer, leaky_relu, settle
from .resnet import Finer, ResNetGenerator
from .resnet import Residual as ResNetResidual
from .translator import IMAGE, MASK, Translator
from .unet import SLOPE, Block, ConvNorm, NonLocal, UNet, attention

Known = Iterator[Statistics]  # of the norms that are not shipped with their own, in the order of their calls
EPS = 1e-5  # of torch.nn.functional.instance_norm
NORMS = (AdaIN, nn.GroupNorm, nn.InstanceNorm2d, nn.InstanceNorm3d)


def quick(network: nn.Module, dtype: torch.dtype, statistics: Sequence[Statistics] = ()) -> "Quick":
    """A copy that computes in `dtype` and gives 32 bits, (B, C, *S) -> (B, K, *S), S multiples of `multiple`.

    statistics: (mean, variance) per norm that is not shipped with its own, in the order in which the network calls
        them, as `predict.norms.PooledNorms` notes them.
    Raises TypeError for a network that is none of those that are shipped (`is_supported`), ValueError where there are
    more or fewer statistics than norms.
    """
    known = iter(statistics)
    try:
        with torch.no_grad():
            made = Quick(build_quick(network, known))
    except StopIteration:
        raise ValueError(f"there are statistics of {len(statistics)} norms, the network has more") from None
    if next(known, None) is not None:
        raise ValueError(f"there are statistics of {len(statistics)} norms, the network has fewer")
    settle(made, dtype)
    return made


def is_supported(network: nn.Module) -> bool:
    return isinstance(network, UNet | Translator | ResNetGenerator | Chain)


def has_frozen_norms(network: nn.Module) -> bool:
    """Whether all norms of a network are shipped with their statistics, so that none are to be measured."""
    norms = [module for module in network.modules() if isinstance(module, NORMS)]
    own = (m.frozen if isinstance(m, AdaIN) else getattr(m, "track_running_stats", False) for m in norms)
    return is_supported(network) and all(own)


class Quick(nn.Module):
    """(B, C, *S) float32 -> (B, K, *S) float32."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out.float().contiguous()


def build_quick(network: nn.Module, known: Known) -> nn.Module:
    if isinstance(network, UNet):
        return QuickUNet(network, known)
    if isinstance(network, Translator):
        return translator(network, known)
    if isinstance(network, ResNetGenerator):
        return QuickResNet(network, known)
    if isinstance(network, Chain):
        first = (
            build_quick(network.first, known) if isinstance(network.first, UNet | ResNetGenerator) else network.first
        )
        between = [nn.Tanh()] if network.translates else []
        return nn.Sequential(first, *between, build_quick(network.segment, known))
    raise TypeError(f"{type(network).__name__} is no network that is shipped")


class FormatInput(nn.Module):
    """Into the number format and the place in memory of the first convolution."""

    def __init__(self, first: Conv):
        super().__init__()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x.to(self.first.weight.dtype, memory_format=LAST[self.first.ndim]))


class QuickBlock(nn.Module):
    """act(x + body(x))."""

    def __init__(self, body: nn.Module, slope: float | None = None):
        super().__init__()
        self.body, self.slope = body, slope

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(self.body(x).add_(x), self.slope)


# The U-Net: group norms, and gates that ask for the means of all the image


def conv_norm(layer: Any, known: Known) -> Conv:
    """`ConvNorm`."""
    return Conv(layer.conv, SLOPE if layer.active else None).fold(*affine(next(known), layer.norm))


def block(layer: Block, known: Known) -> QuickBlock:
    first, second = (conv_norm(part, known) for part in layer.convs)
    if layer.gate is not None:
        mean, _ = next(known)
        factor = layer.gate(mean.float()[None])[0]
        second.fold(factor, torch.zeros_like(factor))
    return QuickBlock(nn.Sequential(first, second), SLOPE)


def level(layer: Any, known: Known) -> nn.Sequential:
    return nn.Sequential(*[conv_norm(p, known) if isinstance(p, ConvNorm) else block(p, known) for p in layer])


class Attention(nn.Module):
    """`NonLocal` of the U-Net."""

    def __init__(self, layer: NonLocal, known: Known):
        super().__init__()
        self.ask, self.key, self.value = Conv(layer.ask), Conv(layer.key), Conv(layer.value)
        self.back = Conv(layer.back).fold(*affine(next(known), layer.norm))

    def forward(self, x: Tensor) -> Tensor:
        ask, key, value = (part(x).flatten(2).transpose(1, 2) for part in (self.ask, self.key, self.value))
        seen = attention(ask, key, value).transpose(1, 2)
        seen = seen.reshape(len(x), -1, *x.shape[2:]).contiguous(memory_format=LAST[x.ndim - 2])
        out: Tensor = x + self.back(seen)
        return out


class QuickUNet(nn.Module):
    """`UNet`; the parts are built in the order in which it calls their norms."""

    def __init__(self, network: UNet, known: Known):
        super().__init__()
        self.strides, self.residual_image = network.spec.strides, network.spec.residual_image
        self.stem = FormatInput(conv_norm(network.stem, known))
        self.down = nn.ModuleList([level(part, known) for part in network.down])
        bottom = network.non_local
        self.non_local = Attention(bottom, known) if isinstance(bottom, NonLocal) else nn.Identity()
        self.narrow, self.plus, self.up = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for i in reversed(range(len(network.up))):
            self.narrow[str(i)] = conv_norm(network.narrow[i], known)
            if network.spec.plus:
                self.plus[str(i)] = conv_norm(network.plus[i], known)
            self.up[str(i)] = level(network.up[i], known)
        self.head = Head(network.head)

    def forward(self, image: Tensor) -> Tensor:
        x, features = self.stem(image), []
        for part in self.down:
            x = part(x)
            features.append(x)
        x = bottom = self.non_local(features.pop())
        for name, narrow in self.narrow.items():
            i = int(name)
            x = finer(narrow(x), self.strides[i + 1], features[i])
            if name in self.plus:
                lifted = self.plus[name](bottom)
                for stride in reversed(self.strides[i + 1 :]):
                    lifted = finer(lifted, stride)
                x = x.add_(lifted)
            x = self.up[name](x)
        out = self.head(x)
        return add_residual_image(image, out) if self.residual_image else out


# AD-GAN's translator: instance norms that are told the domain


def conv_adain(layer: Any, norm: Any, numbers: Tensor, known: Known, slope: float | None = 0.0) -> Conv:
    """A convolution and its AdaIN, whose affine numbers (1, 2 C) are those of a domain."""
    mean, var = (norm.mean, norm.var) if norm.frozen else next(known)
    shift, scale = numbers[0].chunk(2)
    factor = (1 + scale) * (var.float() + EPS).rsqrt()
    return convolution(layer, slope).fold(factor, shift - mean * factor)


def adain_block(layer: Any, numbers: Iterator[Tensor], known: Known) -> QuickBlock:
    slopes = (0.0, None)  # there is no ReLU behind the sum
    convs = [conv_adain(c, n, next(numbers), known, s) for c, n, s in zip(layer.convs, layer.norms, slopes)]
    return QuickBlock(nn.Sequential(*convs))


def translator(network: Translator, known: Known) -> nn.Sequential:
    """From an image to twice what the tanh of its mask takes, as `Translator` gives it."""
    encode: Any = network.encode
    decode: Any = network.decode
    code = torch.eye(2, device=decode.head[1].weight.device)
    numbers = encode.style(code[IMAGE][None] if encode.adaptive else torch.ones_like(code[IMAGE])[None])
    first, *rest = [conv_adain(c, n, next(numbers), known) for c, n in zip(encode.convs, encode.norms)]
    layers: list[nn.Module] = [FormatInput(first), *rest]
    layers += [adain_block(part, numbers, known) for part in encode.blocks]
    numbers = decode.style(code[MASK][None])
    layers += [adain_block(part, numbers, known) for part in decode.blocks]
    layers += [conv_adain(c, n, next(numbers), known) for c, n in zip(decode.convs, decode.norms)]
    twice = torch.full_like(decode.head[1].bias, 2.0)
    return nn.Sequential(*layers, Head(decode.head).fold(twice, torch.zeros_like(twice)))


# CycleGAN's generator: plain instance norms


class QuickResNet(nn.Module):
    """`ResNetGenerator`."""

    def __init__(self, network: ResNetGenerator, known: Known):
        super().__init__()
        self.residual_image, self.mask = network.spec.residual_image, network.spec.mask
        body: Any = network.net.body
        layers = sequence(list(body), known)
        self.body = nn.Sequential(FormatInput(layers[0]), *layers[1:], Head(network.net.head))

    def forward(self, image: Tensor) -> Tensor:
        out = self.body(image)
        out = add_residual_image(image, out) if self.residual_image else out
        return 2 * out if self.mask else out


def sequence(parts: list[nn.Module], known: Known) -> list[Any]:
    """Convolution, norm and ReLU come as three; a convolution and a norm at the end of a residual block as two."""
    layers: list[nn.Module] = []
    rest = iter(parts)
    for part in rest:
        if isinstance(part, ResNetResidual):
            layers.append(QuickBlock(nn.Sequential(*sequence(list(part.net), known))))
            continue
        if isinstance(part, nn.Sequential) and isinstance(part[0], Finer):
            layers.append(Upsample(part[0].stride))
            part = part[1]
        norm, relu = next(rest), next(rest, None)
        layers.append(conv_instance_norm(part, norm, None if relu is None else 0.0, known))
    return layers


def conv_instance_norm(layer: nn.Module, norm: Any, slope: float | None, known: Known) -> Conv:
    """A convolution and its instance norm without affine numbers."""
    mean, var = (norm.running_mean, norm.running_var) if norm.track_running_stats else next(known)
    factor = (var.float() + norm.eps).rsqrt()
    return convolution(layer, slope).fold(factor, -mean * factor)


def convolution(layer: nn.Module, slope: float | None) -> Conv:
    transposed = isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d)
    return TransposedConv(layer, slope) if transposed else Conv(layer, slope)


class Upsample(nn.Module):
    """Linear interpolation to `stride` times the size."""

    def __init__(self, stride: tuple[int, ...]):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return finer(x, self.stride)
