"""The measures of the Cell Tracking Challenge for single images: SEG, DET and OP_csb."""

from typing import NamedTuple

import numpy as np

from ..labels.overlap import Overlap

SPLIT, MISSED, INVENTED = 5, 10, 1  # what an operation costs in AOGM-D (Matula et al. 2015)


class Tracking(NamedTuple):
    seg: float
    det: float
    op_csb: float  # mean of the two


def tracking(table: Overlap) -> Tracking:
    """A true object R is found by the prediction S that covers more than half of it (strictly), so by one at most.

    SEG (Maska et al. 2014): mean IoU over the true objects, those not found count 0; false objects do not count.
    DET: 1 - min(A, A0) / A0 with A = 5 splits + 10 missed + 1 invented and A0 = 10 N: splits are the objects beyond the
    first that one prediction finds, invented is a prediction that finds none.
    Both images stand for segmentation truth and detection markers. An object of two exact halves is found by neither.
    No true object: all 1 without a prediction, else all 0.
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
