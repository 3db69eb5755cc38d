"""Feature maps as sets of vectors, one per voxel."""

from typing import Any

import torch
from torch import Tensor, nn


def to_vectors(features: Tensor) -> Tensor:
    """Feature maps as one vector per voxel.

    Parameters
    ----------
    features
        (B, C, *S).

    Returns
    -------
    Tensor
        (B * voxels, C).

    Examples
    --------
    >>> import torch
    >>> to_vectors(torch.zeros(2, 3, 4, 5)).shape
    torch.Size([40, 3])
    """
    return features.movedim(1, -1).flatten(0, -2)


class VoxelSample(nn.Module):
    """Feature vectors of some voxels, sampled at random with replacement; of all voxels where there are fewer.

    It is a module, so its random state is part of a checkpoint.

    Parameters
    ----------
    count
        Voxels to sample.
    seed
        Of the sampling. Default: 0.

    Examples
    --------
    >>> import torch
    >>> VoxelSample(8)(torch.zeros(2, 3, 4, 5)).shape
    torch.Size([8, 3])
    """

    def __init__(self, count: int, seed: int = 0):
        super().__init__()
        self.count = count
        self.random = torch.Generator().manual_seed(seed)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, *S) -> vectors (at most count, C)."""
        every = to_vectors(features)
        if len(every) <= self.count:
            return every
        chosen = torch.randint(len(every), (self.count,), generator=self.random)
        return every[chosen.to(every.device)]

    def get_extra_state(self) -> dict[str, Any]:
        return {"random": self.random.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.random.set_state(state["random"].cpu())
