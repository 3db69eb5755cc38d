"""Losses of labels that are known in a part of the voxels."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import Channels, Representation

if TYPE_CHECKING:
    from torch import Tensor


def hide_unknown(target: Channels, ignored: NDArray[np.bool_], represent: Representation) -> Channels:
    """Target channels with NaN where nothing is known.

    Parameters
    ----------
    target
        (K, *S), encoded labels.
    ignored
        (*S), or (classes, *S).

    Returns
    -------
    array
        (K, *S).
    """
    out = target.copy()
    for part, unknown in zip(represent.parts(), ignored.reshape(-1, *target.shape[1:])):
        out[part.channels, unknown] = np.nan
    return out


def known_loss(represent: Representation, logits: "Tensor", target: "Tensor") -> "Tensor":
    """Supervised loss of the voxels whose target is a number, as if the others did not exist.

    Parameters
    ----------
    represent
        Its loss is a mean over voxels, or over samples of a ratio of such means.
    logits
        (B, K, *S).
    target
        (B, K, *S), NaN in all channels of a class where nothing is known of it.

    Returns
    -------
    Tensor
        A scalar. Where all is known it is `represent.loss` to the bit. Samples count by the voxels that are known of
        them; the loss is 0 where none is.

    Examples
    --------
    >>> import torch
    >>> from .semantic import Semantic
    >>> logits, target = torch.tensor([[[0.0, 5.0]]]), torch.tensor([[[1.0, float("nan")]]])
    >>> round(float(known_loss(Semantic(), logits, target)), 3)
    0.693
    """
    import torch

    if not target.isnan().any():
        return represent.loss(logits, target)
    total = logits.new_zeros(())
    for part in represent.parts():
        mine, theirs = logits[:, part.channels], target[:, part.channels]
        known = ~theirs[:, 0].isnan()
        terms = [
            mask.sum() * part.represent.loss(sample[:, mask][None], truth[:, mask][None])
            for sample, truth, mask in zip(mine, theirs, known)
            if mask.any()
        ]
        total = total + part.weight * (torch.stack(terms).sum() / known.sum() if terms else 0 * mine.sum())
    return total
