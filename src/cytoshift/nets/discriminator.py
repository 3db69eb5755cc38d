"""Discriminators: of patches, with layers that stride along the axes that the voxel size allows; AD-GAN's (Table 8),
with one output branch per domain; DANN's classifier of single voxels' features; UDCT's (Ihle et al. 2019), which sees
how bright an image is, and not where.
"""

from typing import Any, Literal, Self

import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..core.settings import Settings
from ..core.voxel import Voxel
from .nd import CONV, INSTANCE_NORM, Axes, conv, stages
from .unet import widen_kernel


class DiscriminatorSpec(Settings):
    """The description of a discriminator: `for_voxel` derives it, `cysgan` and `patchgan` are those of the papers.

    widths, kernels, strides: per layer; kernels and strides have one number per axis. last: kernel of the layer that
        scores. norm_first: instance norm in the first layer too, which takes away how bright an image is.
    norm: False goes without any.
    padding: of all layers.
    """

    ndim: Literal[2, 3]
    channels: int = Field(1, ge=1)
    widths: tuple[int, ...] = Field(min_length=1)
    kernels: tuple[Axes, ...]
    strides: tuple[Axes, ...]
    last: Axes
    norm_first: bool = False
    norm: bool = True
    padding: Literal["replicate", "zeros"] = "replicate"

    @model_validator(mode="after")
    def fits(self) -> Self:
        for name, per_layer in (("kernels", self.kernels), ("strides", self.strides)):
            if len(per_layer) != len(self.widths) or any(len(axes) != self.ndim for axes in per_layer):
                layers = f"each of {len(self.widths)} layers"
                raise ValueError(f"{name} {per_layer} need one number per axis ({self.ndim}) for {layers}")
        if len(self.last) != self.ndim:
            raise ValueError(f"last {self.last} needs one number per axis ({self.ndim})")
        if min(n for axes in (*self.kernels, *self.strides, self.last) for n in axes) < 1:
            raise ValueError("kernels and strides need to be positive")
        return self

    @classmethod
    def for_voxel(cls, voxel: Voxel, channels: int = 1, widths: tuple[int, ...] = (32, 64, 128), **rest: Any) -> Self:
        """Every layer but the last one strides; the first kernel is 5, the others 3, where an axis is convolved."""
        kernels, strides = stages(voxel, len(widths))
        unit = (1,) * voxel.ndim
        first = widen_kernel(kernels[0], 5)
        return cls(
            ndim=voxel.ndim, channels=channels, widths=widths, kernels=(first, *kernels[1:]),
            strides=(*strides[1:], unit), last=kernels[-1], **rest,
        )  # fmt: skip

    def build(self) -> "Discriminator":
        return Discriminator(self)


class Discriminator(nn.Module):
    """(B, channels, *S) -> (B, 1, *S / strides), one score per patch.

    Convolution, instance norm without affine numbers, LeakyReLU 0.2; then a convolution to one channel. A layer with
    a norm has no bias, which the norm would take away again. S: the last norm needs more than one voxel.
    """

    def __init__(self, spec: DiscriminatorSpec):
        super().__init__()
        self.spec = spec
        layers: list[nn.Module] = []
        cin = spec.channels
        for i, (cout, kernel, stride) in enumerate(zip(spec.widths, spec.kernels, spec.strides)):
            norm = [INSTANCE_NORM[spec.ndim](cout)] if spec.norm and (i or spec.norm_first) else []
            layers += [conv(cin, cout, kernel, stride, spec.padding, bias=not norm), *norm, nn.LeakyReLU(0.2, True)]
            cin = cout
        self.body = nn.Sequential(*layers)
        self.score = conv(cin, 1, spec.last, padding=spec.padding, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.body(x)).float()  # what is squared and averaged next is not to be rounded


class PatchDiscriminator(nn.Module):
    """(B, cin, *S) -> (B, cout, *S / 8), one score per patch; cout branches.

    No norm in the first layer, instance norm without affine numbers in the others, zero padding; three strided
    layers (the authors' code; the paper's table agrees with it in all but the last two sizes).
    """

    def __init__(self, ndim: int, cin: int, cout: int, width: int):
        super().__init__()
        layers: list[nn.Module] = [CONV[ndim](cin, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for wide, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [
                CONV[ndim](wide, 2 * wide, 4, stride, 1),
                INSTANCE_NORM[ndim](2 * wide),
                nn.LeakyReLU(0.2),
            ]
        self.net = nn.Sequential(*layers, CONV[ndim](8 * width, cout, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).float()  # what is squared and averaged next is not to be rounded

    def judge(self, x: Tensor, domain: Tensor) -> Tensor:
        """Scores (N, 1, *S / 8) of the branch that belongs to each sample's domain, by its one-hot code (N, cout)."""
        scores: Tensor = self(x)
        return (scores * domain.view(*domain.shape, *[1] * (x.ndim - 2)).to(scores.dtype)).sum(1, keepdim=True)


class DomainClassifier(nn.Module):
    """(B, channels, *S) -> logits (B, 1, *S), one per voxel: a perceptron of two hidden layers.

    It sees single voxels, whose features have seen their surroundings, and no norm takes away how bright they are: what
    it tells apart is what kernels and covariances compare too.
    """

    def __init__(self, ndim: int, channels: int, hidden: int):
        super().__init__()
        point = CONV[ndim]
        self.layers = nn.Sequential(
            point(channels, hidden, 1), nn.LeakyReLU(0.2, True),
            point(hidden, hidden, 1), nn.LeakyReLU(0.2, True), point(hidden, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).float()


class HistogramDiscriminator(nn.Module):
    """(B, C, *S) -> scores (B, 1). The values of each channel in rising order, averaged to `bins` numbers, through two
    hidden layers with tanh.

    Sorted values are the inverse of the cumulative histogram, and have a gradient where counts have none.
    """

    def __init__(self, channels: int, bins: int = 64, hidden: int = 64):
        super().__init__()
        self.bins = bins
        self.net = nn.Sequential(
            nn.Linear(channels * bins, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        rising = x.flatten(2).sort(-1).values
        return self.net(F.adaptive_avg_pool1d(rising, self.bins).flatten(1)).float()
