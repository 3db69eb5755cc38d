"""Agreement of two label images of one field, as a whole and object by object."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..labels.ids import sizes
from ..labels.overlap import overlap
from ..metrics.matching import match


@dataclass(frozen=True, eq=False)
class Agreement:
    """f1: of the objects, at an IoU of 0.5. iou: mean over both sides' objects of that with the partner, 0 without.

    best (N,): of each object of the first image, by ascending id, the best IoU with any of the second.
    """

    f1: float
    iou: float
    best: NDArray[np.float64]


def agreement(labels: NDArray[np.generic], other: NDArray[np.generic]) -> Agreement:
    """labels, other: (*S), any ids. Two images without an object agree.

    >>> agreement(np.array([1, 1, 0, 2]), np.array([5, 5, 0, 0])).best
    array([1., 0.])
    """
    table = overlap(labels, other)
    found = match(table)
    best = np.zeros(table.truth_ids.size)
    np.maximum.at(best, table.pairs.truth, table.pairs.iou)
    every = 2 * found.tp + found.fp + found.fn
    return Agreement(found.f1, 2 * found.iou / every if every else 1.0, best)


def stability(
    labels: NDArray[np.generic], others: Sequence[NDArray[np.generic]]
) -> tuple[float, float, NDArray[np.float64]]:
    """Mean agreement with several images: F1, IoU, and of each object its best IoU, (N,). Alone, an image is stable."""
    if not others:
        return 1.0, 1.0, np.ones(sizes(labels)[0].size)
    found = [agreement(labels, other) for other in others]
    f1, iou = (float(np.mean([getattr(one, name) for one in found])) for name in ("f1", "iou"))
    return f1, iou, np.mean([one.best for one in found], axis=0)
