"""The residual U-Net of PyTorch Connectomics (unet_plus_3d, CySGAN's generator), in 2D and 3D by the same code.

level 0   stem - conv - block ----------------------- + - block - head
level 1     conv, stride - block ---------- + - block ^
level 2         conv, stride - block -------^
                              (bottleneck)    ^ conv, made finer, added to the features of the encoder

conv = convolution, norm (of groups), LeakyReLU 0.2; block = two of them with squeeze and excitation, around which a
shortcut leads. The border is replicated. Kernels and strides are those of the level (`stages`): an axis that is coarser
than the others is not convolved until they have caught up.

Differs from the reference in this: the convolutions of the blocks use the kernel of their level too. The reference
does not tell them, so all of them are flat (1 x 3 x 3) and only four convolutions of the network see along z; `flat`
does the same. `ImageDecoder`, the second branch of Y-Net, draws the image again from the bottleneck alone.
Sizes need not be 2^k + 1, and features are made finer without a shift at any size (`upsample_linear`).

Not MONAI's: its nets know neither kernels and strides per level with additive skips nor this block, its parts (SE
layer, upsampling) are shorter here than the call of them, and importing it takes three seconds of every command.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..core.settings import Settings
from ..core.voxel import Voxel
from .nd import BATCH_NORM, CONV, INSTANCE_NORM, Axes, add, add_residual_image, conv, stages, upsample_linear
from .norms import FixedMean, FixedNorm
from .transformer import Transformer, attention

SLOPE = 0.2  # of LeakyReLU
MOST_CHANNELS = 2**14  # channels of anything: a file with a damaged size must not ask for days or all memory
Width = Annotated[int, Field(ge=1, le=MOST_CHANNELS)]
NormKind = Literal["group", "instance", "batch"]


class UNetSpec(Settings):
    """The description of a U-Net; `for_voxel` derives kernels and strides. The paper: `cysgan`.

    channels, out: of the input and the output. widths, kernels, strides: per level, finest first; kernels and strides
        have one number per axis. stem: kernel of the first and last convolution, along the axes that level 0 convolves.
    blocks: per level and way. se: reduction of squeeze and excitation, 0 goes without.
    norm: "group", "instance" or "batch", the last one with the statistics of each batch, which is to be of one domain.
    groups: of group norm. frozen: norms and gates hold statistics that were measured after the training, and use them.
    plus: a projection of the bottleneck is added at every level of the decoder. non_local: self-attention at the
        bottleneck, whose time grows with the square of its voxels. transformer: so many layers of a vision transformer
        there, which makes it a TransUNet.
    flat: blocks use the kernel of level 0 (the reference).
    residual_image: the first output channel is a change of the input image, nothing at first (`nd.changed`).
    """

    kind: Literal["unet"] = "unet"
    ndim: Literal[2, 3]
    channels: int = Field(1, ge=1, le=MOST_CHANNELS)
    out: int = Field(ge=1, le=MOST_CHANNELS)
    widths: tuple[Width, ...] = Field(min_length=1, max_length=16)
    kernels: tuple[Axes, ...]
    strides: tuple[Axes, ...]
    stem: int = Field(5, ge=1, le=63)
    blocks: int = Field(1, ge=1, le=64)
    se: int = Field(4, ge=0, le=MOST_CHANNELS)
    groups: int = Field(8, ge=1, le=MOST_CHANNELS)
    padding: Literal["replicate", "zeros"] = "replicate"
    plus: bool = False
    non_local: bool = False
    transformer: int = Field(0, ge=0, le=64)
    flat: bool = False
    residual_image: bool = False
    norm: NormKind = "group"
    frozen: bool = False

    @model_validator(mode="after")
    def fits(self) -> Self:
        check_levels(self.ndim, len(self.widths), self.kernels, self.strides)
        if self.norm == "group" and any(w % self.groups for w in self.widths):
            raise ValueError(f"widths {self.widths} need to be multiples of the {self.groups} groups of the norm")
        if self.stem % 2 == 0:
            raise ValueError(f"stem {self.stem} needs to be odd")
        if self.residual_image and self.channels != 1:
            raise ValueError(f"a change of the image needs an image of one channel, this has {self.channels}")
        return self

    @classmethod
    def for_voxel(
        cls, voxel: Voxel, channels: int, out: int, widths: tuple[int, ...] = (16, 32, 64), **rest: Any
    ) -> Self:
        """With kernels and strides that suit the voxel size; `rest` are other settings."""
        kernels, strides = stages(voxel, len(widths))
        return cls(ndim=voxel.ndim, channels=channels, out=out, widths=widths, kernels=kernels, strides=strides, **rest)

    @property
    def multiple(self) -> Axes:
        """The stride from the image to the bottleneck."""
        return total_stride(self.strides)

    def build(self) -> "UNet":
        return UNet(self)


def check_levels(ndim: int, levels: int, kernels: tuple[Axes, ...], strides: tuple[Axes, ...]) -> None:
    """Raises ValueError where kernels and strides do not belong to so many levels of so many axes."""
    for name, per_level, known in (("kernels", kernels, (1, 3)), ("strides", strides, (1, 2))):
        if len(per_level) != levels or any(len(axes) != ndim for axes in per_level):
            raise ValueError(f"{name} {per_level} need one number per axis ({ndim}) for each of {levels} levels")
        if any(number not in known for axes in per_level for number in axes):
            raise ValueError(f"{name} {per_level} need to be {known[0]} or {known[1]}")
    if levels and any(step != 1 for step in strides[0]):
        raise ValueError(f"strides {strides} need to start with 1: the first level is that of the image")


def total_stride(strides: tuple[Axes, ...]) -> Axes:
    """The product along each axis."""
    out = (1,) * len(strides[0])
    for axes in strides:
        out = tuple(a * b for a, b in zip(out, axes))
    return out


def widen_kernel(kernel: Axes, wide: int) -> Axes:
    """A wider kernel along the axes along which this one reaches beyond a voxel."""
    return tuple(wide if k > 1 else 1 for k in kernel)


def build_norm(spec: UNetSpec, width: int) -> nn.Module:
    """The norm of so many channels, with a factor and a shift for each."""
    if spec.frozen:
        return FixedNorm.unknown(width)
    if spec.norm == "group":
        return nn.GroupNorm(spec.groups, width)
    if spec.norm == "instance":
        return INSTANCE_NORM[spec.ndim](width, affine=True)
    return BATCH_NORM[spec.ndim](width, track_running_stats=False)


class ConvNorm(nn.Module):
    """Convolution without bias, norm, and LeakyReLU unless `active` is false."""

    def __init__(
        self, spec: UNetSpec, cin: int, cout: int, kernel: Axes, stride: Axes | None = None, active: bool = True
    ):
        super().__init__()
        self.conv = conv(cin, cout, kernel, stride, spec.padding)
        self.norm = build_norm(spec, cout)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.leaky_relu(x, SLOPE, inplace=True) if self.active else x


class Block(nn.Module):
    """LeakyReLU(x + gate * conv(conv(x))); the gate (B, C), in (0, 1), comes from the means of the channels."""

    def __init__(self, spec: UNetSpec, width: int, kernel: Axes):
        super().__init__()
        self.convs = nn.Sequential(
            ConvNorm(spec, width, width, kernel), ConvNorm(spec, width, width, kernel, active=False)
        )
        self.gate: nn.Module | None = None
        if spec.se:
            inner = max(width // spec.se, 1)
            # A layer and not mean(), so that prediction in tiles can tell it the mean of the whole image.
            self.pool = FixedMean(torch.zeros(width)) if spec.frozen else nn.AdaptiveAvgPool1d(1)
            self.gate = nn.Sequential(
                nn.Linear(width, inner, bias=False), nn.LeakyReLU(SLOPE), nn.Linear(inner, width, bias=False),
                nn.Sigmoid(),
            )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out = self.convs(x)
        if self.gate is None:
            out = add(x, out)
        else:
            gate = self.gate(self.pool(out.flatten(2)).flatten(1))
            out = torch.addcmul(x, out, gate.view(*gate.shape, *[1] * (x.ndim - 2)))
        return F.leaky_relu(out, SLOPE, inplace=True)


class NonLocal(nn.Module):
    """x + norm(attention over all voxels), nothing at first (Wang et al. 2018, embedded Gaussian)."""

    def __init__(self, spec: UNetSpec, width: int):
        super().__init__()
        point, inner = CONV[spec.ndim], max(width // 2, 1)
        self.ask, self.key, self.value = (point(width, inner, 1) for _ in range(3))
        self.back = point(inner, width, 1)
        self.norm = build_norm(spec, width)
        nn.init.zeros_(self.norm.get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        ask, key, value = (layer(x).flatten(2).transpose(1, 2) for layer in (self.ask, self.key, self.value))
        seen = attention(ask, key, value).transpose(1, 2)  # from (B, voxels, C / 2)
        return add(x, self.norm(self.back(seen.reshape(len(x), -1, *x.shape[2:]))))


class UNet(nn.Module):
    """(B, channels, *S) -> (B, out, *S) logits; S multiples of `multiple` in training, though any size works."""

    def __init__(self, spec: UNetSpec):
        super().__init__()
        self.spec = spec
        kernels, widths = spec.kernels, spec.widths
        inside = [kernels[0] if spec.flat else k for k in kernels]

        def blocks(level: int) -> list[nn.Module]:
            return [Block(spec, widths[level], inside[level]) for _ in range(spec.blocks)]

        wide = widen_kernel(kernels[0], spec.stem)
        self.stem = ConvNorm(spec, spec.channels, widths[0], wide)
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(spec, cin, cout, kernels[i], spec.strides[i]), *blocks(i))
            for i, (cin, cout) in enumerate(pairwise((widths[0], *widths)))
        )
        self.non_local = NonLocal(spec, widths[-1]) if spec.non_local else nn.Identity()
        deep = spec.transformer
        self.transformer = Transformer(widths[-1], inside[-1], deep) if deep else nn.Identity()
        # Level i of the decoder takes what comes from level i + 1.
        self.narrow = nn.ModuleList(
            ConvNorm(spec, cin, cout, kernels[i + 1]) for i, (cout, cin) in enumerate(pairwise(widths))
        )
        point = (1,) * spec.ndim
        self.plus = nn.ModuleList(ConvNorm(spec, widths[-1], w, point) for w in widths[:-1] if spec.plus)
        self.up = nn.ModuleList(nn.Sequential(*blocks(i)) for i in range(len(widths) - 1))
        self.head = conv(widths[0], spec.out, wide, padding=spec.padding, bias=True)
        if spec.residual_image:
            with torch.no_grad():
                for weight in self.head.parameters():
                    weight[:1].zero_()

    @property
    def multiple(self) -> Axes:
        return self.spec.multiple

    def encode_domains(self, x: Tensor, y: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Features of `encode` of images of two domains: in one pass, or in two where norms see the whole batch."""
        if self.spec.norm == "batch":
            return tuple(self.encode(x)), tuple(self.encode(y))
        f_x, f_y = zip(*(level.split((len(x), len(y))) for level in self.encode(torch.cat([x, y]))))
        return f_x, f_y

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features of every level, (B, widths[i], *S / stride), finest first, the bottleneck last."""
        features, x = [], self.stem(x)
        for level in self.down:
            x = level(x)
            features.append(x)
        return [*features[:-1], self.transformer(self.non_local(x))]

    def decode(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Features of `encode` -> the last features (B, widths[0], *S), and the output (B, out, *S).

        With `residual_image` the output's first channel is the change alone; `forward` adds the image.
        """
        x = bottom = features[-1]
        for i in reversed(range(len(self.up))):
            skip = features[i]
            x = add(skip, upsample_linear(self.narrow[i](x), self.spec.strides[i + 1], skip.shape[2:]))
            if self.spec.plus:
                x = add(self.upsample_level(self.plus[i](bottom), features, i), x)
            x = self.up[i](x)
        return x, self.head(x)

    def upsample_level(self, x: Tensor, features: list[Tensor], level: int) -> Tensor:
        """From the bottleneck's grid to that of a level."""
        for i in reversed(range(level, len(self.up))):
            x = upsample_linear(x, self.spec.strides[i + 1], features[i].shape[2:])
        return x

    def forward(self, x: Tensor) -> Tensor:
        out = self.decode(self.encode(x))[1]
        return add_residual_image(x, out) if self.spec.residual_image else out

    def keep_channels(self, channels: Sequence[int]) -> "UNet":
        """A network of its own that gives these output channels, in this order; its `spec` says what it is.

        Raises ValueError where the image of a `residual_image` network would not come first.
        """
        wanted = list(channels)
        image = self.spec.residual_image and 0 in wanted
        if image and wanted.index(0) != 0:
            raise ValueError(f"channels {wanted}: channel 0 is a change of the image and needs to stay first")
        made = UNetSpec.model_validate(self.spec.model_dump() | {"out": len(wanted), "residual_image": image}).build()
        weights = {name: value.detach().clone() for name, value in self.state_dict().items()}
        weights |= {name: value[wanted] for name, value in weights.items() if name.startswith("head.")}
        made.load_state_dict(weights)
        return made.to(next(self.parameters()).device).train(self.training)


class ImageDecoder(nn.Module):
    """Bottleneck (B, widths[-1], *S / multiple) -> image (B, channels, *S), with the levels of the U-Net of `spec`.

    No skip leads into it: a copy of the finest features would redraw the image and teach the bottleneck nothing.
    """

    def __init__(self, spec: UNetSpec):
        super().__init__()
        kernels, widths, self.strides = spec.kernels, spec.widths, spec.strides
        inside = [kernels[0] if spec.flat else kernel for kernel in kernels]
        self.narrow = nn.ModuleList(
            ConvNorm(spec, cin, cout, kernels[i + 1]) for i, (cout, cin) in enumerate(pairwise(widths))
        )
        self.up = nn.ModuleList(
            nn.Sequential(*(Block(spec, width, inside[i]) for _ in range(spec.blocks)))
            for i, width in enumerate(widths[:-1])
        )
        self.head = conv(widths[0], spec.channels, widen_kernel(kernels[0], spec.stem), padding=spec.padding, bias=True)

    def forward(self, x: Tensor, shapes: Sequence[tuple[int, ...]]) -> Tensor:
        """x: the bottleneck; shapes: spatial ones of the encoder's features, finest first, which halving forgets."""
        for i in reversed(range(len(self.up))):
            x = self.up[i](upsample_linear(self.narrow[i](x), self.strides[i + 1], shapes[i]))
        return self.head(x)
