"""Images that a discriminator sees: the newest fakes and some older ones."""

from typing import Any

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """A pool of the last generated images. Half of the time an older image is returned instead of the new one.

    It is a module, so its images and its random state are part of a checkpoint. The images are kept in bfloat16.

    Parameters
    ----------
    size
        Images in the pool. Default: 50.
    seed
        Of the choice among them. Default: 0.

    References
    ----------
    Shrivastava et al. 2017, section 2.3; Zhu et al. 2017 (CycleGAN), section 4.

    Examples
    --------
    >>> import torch
    >>> pool = ImagePool(size=2)
    >>> pool(torch.zeros(2, 1, 4, 4)).shape
    torch.Size([2, 1, 4, 4])
    """

    def __init__(self, size: int = 50, seed: int = 0):
        super().__init__()
        self.size = size
        self.kept: list[Tensor] = []
        self.random = torch.Generator().manual_seed(seed)

    def forward(self, fakes: Tensor) -> Tensor:
        """Images (B, ...) -> images (B, ...) for the discriminator, without gradient."""
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


def remember_both(pool: ImagePool, across: Tensor) -> Tensor:
    """Pooled translations between two domains; one pool of pairs, so that a sample keeps its domain.

    Parameters
    ----------
    pool
        The pool. It holds pairs.
    across
        (2 B, 1, *S): the first half in one domain, the second half in the other.

    Returns
    -------
    Tensor
        The same shape and order, without gradient.

    Examples
    --------
    >>> import torch
    >>> remember_both(ImagePool(size=2), torch.zeros(4, 1, 8, 8)).shape
    torch.Size([4, 1, 8, 8])
    """
    ab, ba = across.detach().chunk(2)
    ab, ba = pool(torch.cat([ab, ba], 1)).split(1, 1)
    return torch.cat([ab, ba])
