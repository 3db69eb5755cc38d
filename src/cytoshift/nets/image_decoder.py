"""A decoder that draws the image again from the bottleneck alone (the second branch of Y-Net)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from .nd import conv, upsample_linear
from .unet import Block, ConvNorm, UNetSpec, widen_kernel


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
