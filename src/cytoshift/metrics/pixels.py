"""Foreground against foreground. Objects are not told apart."""

from typing import NamedTuple

from ..labels.overlap import Overlap


class Pixels(NamedTuple):
    """Numbers of the foreground, each in [0, 1], 1 is best."""

    dice: float
    precision: float
    recall: float
    iou: float


def pixels(table: Overlap) -> Pixels:
    """Dice, precision, recall and IoU of the foreground.

    With the true foreground T and the predicted one P: Dice 2 |T & P| / (|T| + |P|), precision |T & P| / |P|, recall
    |T & P| / |T|, IoU |T & P| / |T | P|.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.

    Returns
    -------
    Pixels
        dice, precision, recall, iou. Both empty: all 1. One empty: all 0.

    Examples
    --------
    >>> import numpy as np
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> pixels(table).precision, pixels(table).recall
    (1.0, 0.8)
    """
    truth, pred = int(table.truth_sizes.sum()), int(table.pred_sizes.sum())
    if truth == 0 or pred == 0:
        same = float(truth == pred)
        return Pixels(same, same, same, same)
    both = int(table.pairs.count.sum())
    return Pixels(2 * both / (truth + pred), both / pred, both / truth, both / (truth + pred - both))
