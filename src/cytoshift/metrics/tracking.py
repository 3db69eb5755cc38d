"""The measures of the Cell Tracking Challenge for single images: SEG, DET and OP_csb."""

from typing import NamedTuple

import numpy as np

from ..labels.overlap import Overlap

SPLIT, MISSED, INVENTED = 5, 10, 1  # what an operation costs in AOGM-D (Matula et al. 2015)


class Tracking(NamedTuple):
    """Measures of the Cell Tracking Challenge, each in [0, 1], 1 is best."""

    seg: float
    det: float
    op_csb: float  # mean of the two


def tracking(table: Overlap) -> Tracking:
    """SEG, DET and OP_csb of the Cell Tracking Challenge for one image.

    A predicted object S matches a true object R where it covers more than half of R. So at most one S matches an R. The
    truth serves as segmentation truth and as detection markers.

    SEG is the mean IoU over the true objects; objects without a match count 0, false objects do not count. DET is 1 -
    min(A, A0) / A0 with A = 5 splits + 10 missed + 1 false and A0 = 10 N. Splits are the matches of one predicted
    object beyond its first. An object of two exact halves has no match.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.

    Returns
    -------
    Tracking
        seg, det, and their mean op_csb. Without a true object: all 1 without a prediction, else all 0.

    References
    ----------
    Maska et al. 2014 for SEG; Matula et al. 2015 (AOGM-D) for DET.

    Examples
    --------
    >>> import numpy as np
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> round(tracking(table).seg, 3), tracking(table).det
    (0.833, 1.0)
    """
    truths, preds = table.truth_ids.size, table.pred_ids.size
    if truths == 0:
        same = float(preds == 0)
        return Tracking(same, same, same)
    pairs = table.pairs
    found = 2 * pairs.count > table.truth_sizes[pairs.truth]
    seg = float(pairs.iou[found].sum()) / truths
    finds = np.bincount(pairs.pred[found], minlength=preds)
    missed, invented = truths - int(found.sum()), int((finds == 0).sum())
    splits = int(np.maximum(finds - 1, 0).sum())
    cost = SPLIT * splits + MISSED * missed + INVENTED * invented
    det = 1 - min(cost, MISSED * truths) / (MISSED * truths)
    return Tracking(seg, det, (seg + det) / 2)
