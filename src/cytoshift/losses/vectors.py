"""Feature maps as sets of vectors, one per voxel."""

from typing import Any

import torch
from torch import Tensor, nn


def to_vectors(features: Tensor) -> Tensor:
    """Features (B, C, *S) -> (B * voxels, C)."""
    return features.movedim(1, -1).flatten(0, -2)


class VoxelSample(nn.Module):
    """Vectors of `count` voxels drawn at random with replacement, or of all where there are no more than that.

    A module, so that its random state is part of a checkpoint: what is drawn depends on the seed and on how often it
    was drawn before.
    """

    def __init__(self, count: int, seed: int = 0):
        super().__init__()
        self.count = count
        self.random = torch.Generator().manual_seed(seed)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, *S) -> (at most count, C)."""
        every = to_vectors(features)
        if len(every) <= self.count:
            return every
        chosen = torch.randint(len(every), (self.count,), generator=self.random)
        return every[chosen.to(every.device)]

    def get_extra_state(self) -> dict[str, Any]:
        return {"random": self.random.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.random.set_state(state["random"].cpu())
