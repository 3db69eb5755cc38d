"""The generator of CycleGAN (Zhu et al. 2017, after Johnson et al.), in 2D and 3D: down, residual blocks, up.

reflected convolution 7, two strided convolutions, `blocks` residual ones (6 or 9 in the paper), two steps up,
reflected convolution 7; instance norm without affine numbers and ReLU between. The tanh is the caller's. Convolutions
before a norm have no bias, which the norm would take away again (the authors' have one that does nothing).
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..core.settings import Settings
from ..core.voxel import Voxel
from .nd import CONV_TRANSPOSE, INSTANCE_NORM, Axes, add, add_residual_image, conv, stages, upsample_linear
from .unet import MOST_CHANNELS, check_levels, total_stride, widen_kernel

LEVELS = 3  # the paper: two strided convolutions, and the image itself


class ResNetSpec(Settings):
    """The description of a ResNet generator; `for_voxel` derives kernels and strides. The paper: 9 blocks or 6.

    width: of the finest of the three levels; kernels, strides: per level, one number per axis. stem: kernel of the
        first and last convolution.
    up: how it returns to the image's size. 3 is the paper's, a transposed convolution of kernel 3, whose taps fall
        unevenly on the output (a checkerboard to unlearn); with 4 they fall evenly; "linear" interpolates, then
        convolves.
    residual_image: the first output channels are changes of the input's, nothing at first (`nd.changed`).
    mask: what is drawn is a mask, and comes out for a sigmoid in the place of the tanh: 2 u, as sigmoid(2 u) is the
        gray value (tanh(u) + 1) / 2.
    frozen: norms hold statistics measured after training.
    """

    kind: Literal["resnet"] = "resnet"
    ndim: Literal[2, 3]
    channels: int = Field(1, ge=1, le=MOST_CHANNELS)
    out: int = Field(1, ge=1, le=MOST_CHANNELS)
    width: int = Field(64, ge=1, le=MOST_CHANNELS)
    kernels: tuple[Axes, ...]
    strides: tuple[Axes, ...]
    blocks: int = Field(9, ge=0, le=64)
    stem: int = Field(7, ge=1, le=63)
    up: Literal[3, 4, "linear"] = 3
    residual_image: bool = False
    mask: bool = False
    frozen: bool = False

    @model_validator(mode="after")
    def fits(self) -> Self:
        check_levels(self.ndim, LEVELS, self.kernels, self.strides)
        if self.stem % 2 == 0:
            raise ValueError(f"stem {self.stem} needs to be odd")
        if self.residual_image and self.out < self.channels:
            raise ValueError(f"changes of an image of {self.channels} channels need as many out, there are {self.out}")
        return self

    @classmethod
    def for_voxel(cls, voxel: Voxel, channels: int = 1, out: int = 1, **rest: Any) -> Self:
        """With kernels and strides that suit the voxel size; `rest` are other settings."""
        kernels, strides = stages(voxel, LEVELS)
        return cls(ndim=voxel.ndim, channels=channels, out=out, kernels=kernels, strides=strides, **rest)

    @property
    def multiple(self) -> Axes:
        """The stride from the image to the residual blocks."""
        return total_stride(self.strides)

    def build(self) -> "ResNetGenerator":
        return ResNetGenerator(self)


class Residual(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), without a ReLU after the sum."""

    def __init__(self, width: int, kernel: Axes, norm: Callable[[int], nn.Module]):
        super().__init__()
        self.net = nn.Sequential(
            conv(width, width, kernel, padding="reflect"), norm(width), nn.ReLU(inplace=True),
            conv(width, width, kernel, padding="reflect"), norm(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return add(x, self.net(x))


class Upsample(nn.Module):
    """Linear interpolation to `stride` times the size."""

    def __init__(self, stride: Axes):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return upsample_linear(x, self.stride, tuple(n * step for n, step in zip(x.shape[2:], self.stride)))


def upsampling(cin: int, cout: int, kernel: Axes, stride: Axes, up: int | str) -> nn.Module:
    """(B, cin, *S) -> (B, cout, *S * stride)."""
    if up == "linear":
        return nn.Sequential(Upsample(stride), conv(cin, cout, kernel, padding="reflect"))
    taps = tuple(int(up) if step == 2 else k for k, step in zip(kernel, stride))
    padding = tuple((k - 1) // 2 for k in taps)
    extra = tuple(int(step == 2 and k == 3) for k, step in zip(taps, stride))
    return CONV_TRANSPOSE[len(kernel)](cin, cout, taps, stride, padding, extra, bias=False)


class ResNetGenerator(nn.Module):
    """(B, channels, *S) -> (B, out, *S) before the tanh, or the sigmoid of a mask; S are multiples of `multiple`."""

    def __init__(self, spec: ResNetSpec):
        super().__init__()
        self.spec = spec
        widths = [spec.width * 2**i for i in range(LEVELS)]
        wide = widen_kernel(spec.kernels[0], spec.stem)
        norm, levels = partial(INSTANCE_NORM[spec.ndim], track_running_stats=spec.frozen), range(1, LEVELS)

        def activated_layers(layer: nn.Module, width: int) -> list[nn.Module]:
            return [layer, norm(width), nn.ReLU(inplace=True)]

        layers = activated_layers(conv(spec.channels, widths[0], wide, padding="reflect"), widths[0])
        for i, (cin, cout) in zip(levels, pairwise(widths)):
            layers += activated_layers(conv(cin, cout, spec.kernels[i], spec.strides[i], "zeros"), cout)
        layers += [Residual(widths[-1], spec.kernels[-1], norm) for _ in range(spec.blocks)]
        for i, (cin, cout) in zip(reversed(levels), pairwise(reversed(widths))):
            layers += activated_layers(upsampling(cin, cout, spec.kernels[i], spec.strides[i], spec.up), cout)
        head = conv(widths[0], spec.out, wide, padding="reflect", bias=True)
        self.net = nn.Sequential(OrderedDict(body=nn.Sequential(*layers), head=head))
        if spec.residual_image:
            with torch.no_grad():
                for weight in head.parameters():
                    weight[: spec.channels].zero_()

    @property
    def multiple(self) -> Axes:
        return self.spec.multiple

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x)
        out = add_residual_image(x, out) if self.spec.residual_image else out
        return 2 * out if self.spec.mask else out
