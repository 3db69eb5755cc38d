"""Average precision of instances, as the MitoEM challenge and COCO define it (AP-50 of the CySGAN paper)."""

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..labels.overlap import Overlap

PERCENT = tuple(range(50, 100, 5))  # the ten IoU thresholds of mAP
# COCO's own numbers, last bits included: a recall of exactly 28/80 does not reach its 0.35000000000000003.
RECALLS = 0.01 * np.arange(101)


def average_precision(
    table: Overlap, scores: NDArray[np.floating] | NDArray[np.integer], threshold: float = 0.5
) -> float:
    """Area under precision over recall of the predictions in falling order of their scores.

    table: N true, M predicted objects; scores (M,) in the order of `table.pred_ids`; threshold of the IoU, from 0.5 up.
    A prediction is right if it has IoU >= threshold with a true object that no prediction of a higher score has taken
    (COCO; it matters for two exact halves of one object, which the MitoEM code counts as two hits).
    Precision is made to fall with recall (envelope), read at 101 recalls 0, 0.01 .. 1, and averaged; a recall that is
    never reached counts 0. Predictions of equal score enter wrong ones first, which is what a curve with one point per
    distinct score gives: the result depends on neither ids nor luck.
    Both without objects: 1; one without: 0. Raises UserError where scores do not fit.
    """
    if scores.shape != table.pred_ids.shape:
        raise UserError(f"{scores.size} scores for {table.pred_ids.size} predicted objects; give one per id, ascending")
    if not np.isfinite(scores).all():
        raise UserError("scores hold NaN or infinite values; give every predicted object a finite confidence")
    if not 0.5 <= threshold <= 1:
        raise UserError(f"average precision is defined for IoU thresholds from 0.5 to 1, not {threshold:g}")
    truths, preds = table.truth_ids.size, table.pred_ids.size
    if truths == 0 or preds == 0:
        return float(truths == preds)
    pairs = table.pairs.at_least(threshold)
    falling = np.argsort(-scores[pairs.pred].astype(float), kind="stable")
    truth, pred = pairs.truth[falling], pairs.pred[falling]
    _, first = np.unique(truth, return_index=True)
    right = np.zeros(preds, bool)
    right[pred[first]] = True
    hits = np.cumsum(right[np.lexsort((right, -scores.astype(float)))])
    precision = hits / np.arange(1, preds + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(hits / truths, RECALLS)].mean())


def precision_by_iou(table: Overlap, scores: NDArray[np.floating] | NDArray[np.integer]) -> dict[int, float]:
    """AP at the IoUs 0.50, 0.55 .. 0.95 by percent; their mean is mAP."""
    return {percent: average_precision(table, scores, percent / 100) for percent in PERCENT}
