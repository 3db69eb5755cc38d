"""Which of two domains a voxel's features come from."""

from torch import Tensor, nn

from .nd import CONV


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
