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
    """Average precision at one IoU threshold: area under precision over recall, predictions in falling order of their
    scores.

    A prediction is a hit if it has IoU >= threshold with a true object that no prediction of a higher score has taken.
    (COCO counts so. The MitoEM code counts two exact halves of one object as two hits.) Precision is made to fall with
    recall, read at the recalls 0, 0.01 .. 1, and averaged. A recall that is never reached counts 0. Of predictions with
    the same score, misses come first, so the result does not depend on ids.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.
    scores
        (M,), confidence of the predicted objects in the order of `table.pred_ids`.
    threshold
        Of the IoU, 0.5 to 1. Default: 0.5.

    Returns
    -------
    float
        In [0, 1]. Both without objects: 1; one without: 0.

    Raises
    ------
    UserError
        Where the scores or the threshold do not fit.

    References
    ----------
    Lin et al. 2014 (COCO); Wei et al. 2020 (MitoEM), AP-75. Lauenburg et al. 2022 (CySGAN) report AP-50.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> average_precision(table, np.array([0.9, 0.4]))
    1.0
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
    """Average precision at the IoUs 0.50, 0.55 .. 0.95. Their mean is mAP.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.
    scores
        As of `average_precision`.

    Returns
    -------
    dict
        Average precision by the IoU in percent.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> precision_by_iou(table, np.array([0.9, 0.4]))[75]
    0.504950495049505
    """
    return {percent: average_precision(table, scores, percent / 100) for percent in PERCENT}
