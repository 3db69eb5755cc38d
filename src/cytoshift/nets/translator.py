"""The unified encoder and decoder of AD-GAN (Tables 5 to 7 of its appendix), in 2D and 3D.

Both are told the domain by a code (B, domains): one-hot inside a domain, a mixture on the way between two.
Beside them the style encoder of MUNIT (Huang et al. 2018): an image as a few numbers, with no place in them.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .adain import AdaIN, OwnStatistics, Style
from .nd import CONV, CONV_TRANSPOSE, add, reflected_conv, relu

IMAGE, MASK = 0, 1  # places in the code of a domain


class Residual(nn.Module):
    """x + AdaIN(conv(ReLU(AdaIN(conv(x))))), without a ReLU after the sum."""

    def __init__(self, ndim: int, width: int, frozen: bool):
        super().__init__()
        self.convs = nn.ModuleList(reflected_conv(ndim, width, width, 3) for _ in range(2))
        self.norms = nn.ModuleList(AdaIN(width, frozen) for _ in range(2))

    def forward(self, x: Tensor, affine: Iterator[Tensor]) -> Tensor:
        out = relu(self.norms[0](self.convs[0](x), next(affine)))
        return add(x, self.norms[1](self.convs[1](out), next(affine)))


class Encoder(nn.Module):
    """(B, cin, *S), code (B, domains) -> content (B, 4 width, *S / 4).

    `adaptive=False` is the paper's ablation "AdaIN in Encoder": plain instance norm, the domain is not told.
    """

    def __init__(
        self, ndim: int, cin: int, width: int, blocks: int, stem: int, hidden: int, adaptive: bool = True,
        frozen: bool = False,
    ):  # fmt: skip
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        self.convs = nn.ModuleList(
            [
                reflected_conv(ndim, cin, width, stem),
                CONV[ndim](width, 2 * width, 3, stride=2, padding=1),
                CONV[ndim](2 * width, 4 * width, 3, stride=2, padding=1),
            ]
        )
        self.norms = nn.ModuleList(AdaIN(w, frozen) for w in widths)
        self.blocks = nn.ModuleList(Residual(ndim, 4 * width, frozen) for _ in range(blocks))
        self.style = Style(2, hidden, widths + [4 * width] * 2 * blocks)
        self.adaptive = adaptive

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        affine = self.affine(code)
        for conv, norm in zip(self.convs, self.norms):
            x = relu(norm(conv(x), next(affine)))
        for block in self.blocks:
            x = block(x, affine)
        return x

    def affine(self, code: Tensor) -> Iterator[Tensor]:
        """The numbers for the AdaIN layers, in their order."""
        return self.style(code if self.adaptive else torch.ones_like(code))


class Decoder(nn.Module):
    """content (B, 4 width, *S / 4), code (B, domains) -> (B, cout, *S) before the tanh.

    up: kernel of the two transposed convolutions. 3 is the paper's; its taps fall unevenly on the output (1, 2 or 4
    of them a pixel in 2D), a checkerboard that a short training does not unlearn. With 4 they fall evenly.
    style: numbers of the code, where it is not that of a domain.
    """

    def __init__(
        self, ndim: int, cout: int, width: int, blocks: int, stem: int, hidden: int, up: int = 3, frozen: bool = False,
        style: int = 2,
    ):  # fmt: skip
        super().__init__()
        widths = [2 * width, width]
        self.blocks = nn.ModuleList(Residual(ndim, 4 * width, frozen) for _ in range(blocks))
        self.convs = nn.ModuleList(
            CONV_TRANSPOSE[ndim](2 * w, w, up, stride=2, padding=1, output_padding=up % 2) for w in widths
        )
        self.norms = nn.ModuleList(AdaIN(w, frozen) for w in widths)
        self.head = reflected_conv(ndim, width, cout, stem)
        self.style = Style(style, hidden, [4 * width] * 2 * blocks + widths)

    def forward(self, content: Tensor, code: Tensor) -> Tensor:
        affine = self.style(code)
        x = content
        for block in self.blocks:
            x = block(x, affine)
        for conv, norm in zip(self.convs, self.norms):
            x = relu(norm(conv(x), next(affine)))
        return self.head(x)


def code(like: Tensor, domain: int) -> Tensor:
    """One-hot code (B, 2) of one domain for every sample of `like`."""
    out = like.new_zeros(len(like), 2)
    out[:, domain] = 1
    return out


class Translator(nn.Module):
    """What AD-GAN ships: image -> logits of the mask; and every other way between its two domains.

    style: 0, or as many numbers as a style of MUNIT has. Its decoder is that of one domain, which is told a style in
    the place of a domain; masks are decoded in the mean style of the prior, zeros. There is no other way.
    """

    multiple = 4

    def __init__(self, encode: Encoder, decode: Decoder, style: int = 0):
        super().__init__()
        self.encode, self.decode, self.numbers = encode, decode, style

    @property
    def goes_both_ways(self) -> bool:
        """Whether it draws images of masks, too."""
        return not self.numbers

    def mask_code(self, like: Tensor) -> Tensor:
        """What the decoder is told for masks: one code for every sample of `like`."""
        return like.new_zeros(len(like), self.numbers) if self.numbers else code(like, MASK)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, *S) in [-1, 1] -> (B, 1, *S) logits. sigmoid(2 u) = (tanh(u) + 1) / 2: the mask's gray value."""
        return 2 * self.decode(self.encode(image, code(image, IMAGE)), self.mask_code(image))

    def translate(self, x: Tensor, start: int, end: Tensor) -> Tensor:
        """x (B, 1, *S) of domain `start` drawn in the style of the code `end` (B, 2), in [-1, 1] (paper 4.6, 5.5)."""
        with OwnStatistics():
            return self.decode(self.encode(x, code(x, start)), end).tanh()


class MaskToImage(nn.Module):
    """The reverse of a `Translator` that goes both ways, as a network: mask (B, 1, *S) in [-1, 1] -> image before the
    tanh."""

    multiple = Translator.multiple

    def __init__(self, both: Translator):
        super().__init__()
        self.both = both

    def forward(self, mask: Tensor) -> Tensor:
        return self.both.decode(self.both.encode(mask, code(mask, MASK)), code(mask, IMAGE))


class StyleEncoder(nn.Module):
    """(B, cin, *S) -> style (B, style).

    A convolution, four that stride, the mean over space, a linear layer. No norm: it would take the style away.
    """

    def __init__(self, ndim: int, cin: int, width: int, stem: int, style: int):
        super().__init__()
        layers: list[nn.Module] = [reflected_conv(ndim, cin, width, stem), nn.ReLU()]
        for before, after in ((1, 2), (2, 4), (4, 4), (4, 4)):
            layers += [CONV[ndim](before * width, after * width, 4, 2, 1), nn.ReLU()]
        self.net, self.out = nn.Sequential(*layers), nn.Linear(4 * width, style)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.net(x).flatten(2).mean(-1))
        return out
