"""The histogram discriminator of UDCT (Ihle et al. 2019): it sees how bright an image is, and not where."""

import torch.nn.functional as F
from torch import Tensor, nn


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
