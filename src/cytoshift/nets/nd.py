"""Layers for 2D and 3D alike: `ndim` picks the torch class, nothing else differs."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.voxel import Voxel


class Conv3d(nn.Conv3d):
    """torch's, with the zeros around the image laid on by hand where nothing is skipped.

    On CPUs, oneDNN leaves the bfloat16 weight gradient of a padded 3D convolution unwritten where the depth is one
    less than the kernel's (seen with torch 2.13: kernel 3 on 2 sections, 4 on 3); without padding it is right. Where
    there are few channels it takes that gradient three times as fast from channels that lie side by side.
    """

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.padding, str):
            return super().forward(x)
        padding = self.padding
        if any(padding) and max(self.stride) == 1:
            x, padding = F.pad(x, [n for width in reversed(padding) for n in (width, width)]), (0, 0, 0)
        beside = (
            self.has_few_channels
            and x.device.type == "cpu"
            and (torch.is_autocast_enabled("cpu") or x.dtype == torch.bfloat16)
        )
        if beside:
            x = x.contiguous(memory_format=torch.channels_last_3d)
        out = F.conv3d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return out.contiguous() if beside else out  # norms are slow on such channels

    @property
    def has_few_channels(self) -> bool:
        return self.in_channels > 1 and min(self.in_channels, self.out_channels) < 16


CONV: dict[int, Any] = {2: nn.Conv2d, 3: Conv3d}
CONV_TRANSPOSE: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
INSTANCE_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
BATCH_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}

Axes = tuple[int, ...]  # one number per spatial axis


class PadBorder(torch.autograd.Function):
    """torch.nn.functional.pad for "replicate" and "reflect", with a backward pass that is faster on a CPU.

    widths: per spatial axis, as many voxels at both ends.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, widths: Axes, mode: str) -> Tensor:
        ctx.widths, ctx.mode = widths, mode
        return F.pad(x, [w for width in reversed(widths) for w in (width, width)], mode=mode)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        grad = grad.clone(memory_format=torch.contiguous_format)
        for axis, width in enumerate(ctx.widths, 2):
            if width == 0:
                continue
            n = grad.shape[axis] - 2 * width
            before, after = grad.narrow(axis, 0, width), grad.narrow(axis, width + n, width)
            if ctx.mode == "replicate":  # all of an end came from the voxel beside it
                if width > 1:
                    before, after = before.sum(axis, keepdim=True), after.sum(axis, keepdim=True)
                grad.narrow(axis, width, 1).add_(before)
                grad.narrow(axis, width + n - 1, 1).add_(after)
            else:
                grad.narrow(axis, width + 1, width).add_(before.flip(axis))
                grad.narrow(axis, n - 1, width).add_(after.flip(axis))
            grad = grad.narrow(axis, width, n)
        return grad, None, None


class Pad(nn.Module):
    """(B, C, *S) with every axis longer by what a convolution of this kernel eats, (kernel - 1) // 2 at both ends.

    mode: "replicate" or "reflect". In the number format that comes in: on CPUs, autocast would widen bfloat16 to 32
    bits for most paddings.
    """

    def __init__(self, kernel: Axes, mode: str):
        super().__init__()
        self.widths, self.mode = tuple((k - 1) // 2 for k in kernel), mode

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return PadBorder.apply(x, self.widths, self.mode)


def reflected_conv(ndim: int, cin: int, cout: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps the size; the border is reflected, so that it does not look like background."""
    return nn.Sequential(Pad((kernel,) * ndim, "reflect"), CONV[ndim](cin, cout, kernel))


def conv(
    cin: int, cout: int, kernel: Axes, stride: Axes | None = None, padding: str = "replicate", bias: bool = False
) -> nn.Module:
    """Convolution (B, cin, *S) -> (B, cout, *ceil(S / stride)) for odd kernels: output i lies on input i * stride.

    padding: "replicate", "reflect" or "zeros". An even kernel (4) goes with stride 2, or makes the size less by one.
    """
    ndim, stride = len(kernel), stride or (1,) * len(kernel)
    if padding == "zeros" or max(kernel) < 3:
        return CONV[ndim](cin, cout, kernel, stride, tuple((k - 1) // 2 for k in kernel), bias=bias)
    return nn.Sequential(Pad(kernel, padding), CONV[ndim](cin, cout, kernel, stride, bias=bias))


def relu(x: Tensor) -> Tensor:
    """ReLU of a tensor that is not needed afterwards; in place where no gradient is asked for."""
    return F.relu(x, inplace=not torch.is_grad_enabled())


def add(x: Tensor, new: Tensor) -> Tensor:
    """x + new; in place of `new`, which is not needed afterwards, if no gradient is computed."""
    return x + new if torch.is_grad_enabled() or x.dtype != new.dtype else new.add_(x)


def upsample_linear(x: Tensor, stride: Axes, shape: tuple[int, ...]) -> Tensor:
    """Linear interpolation (B, C, *ceil(S / stride)) -> (B, C, *S), S the given shape, strides 1 and 2.

    The inverse in place of `conv`: sample i comes to lie on i * stride, so that features do not move by half a voxel
    against those that they are added to. The same as torch.nn.functional.interpolate with aligned corners where that
    is defined, on odd sizes, and faster on a CPU (benchmarks/bench_nets.py has both); on even sizes the last sample is
    repeated.
    """
    beside = LAST[len(stride)]
    if not torch.is_grad_enabled() and x.is_contiguous(memory_format=beside) and not any(n % 2 for n in shape):
        return upsample_beside(x, stride)
    for axis, step in reversed(list(enumerate(stride, 2))):
        if step == 2:
            n = x.shape[axis]
            after = torch.cat([x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)], axis)
            x = torch.stack([x, torch.lerp(x, after, 0.5)], axis + 1).flatten(axis, axis + 1)
            x = x.narrow(axis, 0, shape[axis - 2])
    return x


def upsample_beside(x: Tensor, stride: Axes) -> Tensor:
    """`upsample_linear` of channels that lie side by side, without a gradient: each axis by copies of whole slices."""
    for axis, step in reversed(list(enumerate(stride, 2))):
        if step == 1:
            continue
        n = x.shape[axis]
        shape = [2 * m if a == axis else m for a, m in enumerate(x.shape)]
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=LAST[len(stride)])
        even, odd = (out.unflatten(axis, (n, 2)).select(axis + 1, i) for i in (0, 1))
        even.copy_(x)
        here, after = x.narrow(axis, 0, n - 1), x.narrow(axis, 1, n - 1)
        torch.lerp(here, after, 0.5, out=odd.narrow(axis, 0, n - 1))
        odd.narrow(axis, n - 1, 1).copy_(x.narrow(axis, n - 1, 1))
        x = out
    return x


def stages(voxel: Voxel, levels: int) -> tuple[tuple[Axes, ...], tuple[Axes, ...]]:
    """Kernels and strides of the levels of a network, finest first, from the voxel size: (kernels, strides).

    A level convolves (kernel 3) and halves (stride 2; the first level halves nothing) the axes whose voxels are less
    than twice as long as the shortest side of what comes in; the others wait until the halving of the short ones has
    caught up. The rule of nnU-Net; for 2.5 x 0.325 x 0.325 um it gives the stages that PyTorch Connectomics sets by
    hand for such volumes (methods of CySGAN, isotropy F F F T T).

    >>> stages(Voxel((2.0, 1.0, 1.0), "um"), 3)
    (((1, 3, 3), (1, 3, 3), (3, 3, 3)), ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
    """
    size, kernels, strides = list(voxel.size), [], []
    for level in range(levels):
        near = [s < 2 * min(size) * (1 - 1e-6) for s in size]  # twice as long up to the last bits of a division
        kernels.append(tuple(3 if n else 1 for n in near))
        strides.append(tuple(2 if n and level else 1 for n in near))
        size = [s * step for s, step in zip(size, strides[-1])]
    return tuple(kernels), tuple(strides)


class ClipWithGradient(torch.autograd.Function):
    """Clip to [-limit, limit]. Where it clips, a gradient passes that leads back inside, and no other."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.limit = limit
        return x.clamp(-limit, limit)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        outward = ((x > ctx.limit) & (grad < 0)) | ((x < -ctx.limit) & (grad > 0))
        return grad.masked_fill(outward, 0), None


def add_residual_image(image: Tensor, out: Tensor) -> Tensor:
    """The first C channels of `out` (B, K, *S) as changes of `image` (B, C, *S) in [-1, 1]: what the tanh of it is.

    tanh(result[:, :C]) = image + out[:, :C], kept within +-0.999; the other channels pass. In 32 bits. The sum is one
    of gray values and not of what the tanh takes, whose gradient is nearly gone where an image is black or white.
    """
    count = image.shape[1]
    with torch.autocast(out.device.type, enabled=False):
        drawn = ClipWithGradient.apply(image.float() + out[:, :count].float(), 0.999)
        return torch.cat([torch.atanh(drawn), out[:, count:].float()], 1)
