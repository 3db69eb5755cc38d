"""Foreground against foreground, objects not told apart."""

from typing import NamedTuple

from ..labels.overlap import Overlap


class Pixels(NamedTuple):
    dice: float
    precision: float
    recall: float
    iou: float


def pixels(table: Overlap) -> Pixels:
    """Dice 2 |T & P| / (|T| + |P|), precision |T & P| / |P|, recall |T & P| / |T| and IoU |T & P| / |T | P|.

    Both empty: all 1. One empty: all 0.
    """
    truth, pred = int(table.truth_sizes.sum()), int(table.pred_sizes.sum())
    if truth == 0 or pred == 0:
        same = float(truth == pred)
        return Pixels(same, same, same, same)
    both = int(table.pairs.count.sum())
    return Pixels(2 * both / (truth + pred), both / pred, both / truth, both / (truth + pred - both))
