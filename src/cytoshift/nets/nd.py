"""Layers for 2D and 3D alike: `ndim` picks the torch class, nothing else differs."""

from torch import nn

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
CONV_TRANSPOSE = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
REFLECT = {2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d}
INSTANCE_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


def reflected_conv(ndim: int, cin: int, cout: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps the size; the border is reflected, so that it does not look like background."""
    return nn.Sequential(REFLECT[ndim](kernel // 2), CONV[ndim](cin, cout, kernel))
