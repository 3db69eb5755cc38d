"""What a discriminator is shown: not only the newest fakes."""

from typing import Any

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """The last `size` fakes; half of the time an old one is shown instead (Shrivastava et al. 2017, CycleGAN).

    A module, so that its images and its random state are part of a checkpoint.
    """

    def __init__(self, size: int = 50, seed: int = 0):
        super().__init__()
        self.size = size
        self.kept: list[Tensor] = []
        self.random = torch.Generator().manual_seed(seed)

    def forward(self, fakes: Tensor) -> Tensor:
        """fakes (B, ...) -> (B, ...), without gradient; in bfloat16 while kept, for the sake of memory."""
        shown = []
        for fake in fakes.detach().split(1):
            if len(self.kept) < self.size:
                self.kept.append(fake.bfloat16())
                shown.append(fake)
                continue
            swap, place = torch.rand(2, generator=self.random).tolist()
            i = int(place * self.size)
            if swap < 0.5:
                shown.append(self.kept[i].to(fake.dtype))
                self.kept[i] = fake.bfloat16()
            else:
                shown.append(fake)
        return torch.cat(shown)

    def get_extra_state(self) -> dict[str, Any]:
        kept = torch.cat(self.kept) if self.kept else torch.empty(0)
        return {"kept": kept, "random": self.random.get_state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.kept = list(state["kept"].split(1)) if len(state["kept"]) else []
        self.random.set_state(state["random"].cpu())
