"""The style encoder of MUNIT (Huang et al. 2018): an image as a few numbers, with no place in them."""

from torch import Tensor, nn

from .nd import CONV, reflected_conv


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
