"""The patch discriminator of AD-GAN (Table 8): one shared body, one output branch per domain."""

from torch import Tensor, nn

from .nd import CONV, INSTANCE_NORM


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
