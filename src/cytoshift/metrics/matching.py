"""Objects against objects, one to one: precision, recall, F1 and panoptic quality at an IoU threshold."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..labels.overlap import Overlap, Pairs


@dataclass(frozen=True)
class Matching:
    """Matched objects (tp), predicted ones without a partner (fp), true ones without (fn); iou, the sum over matched
    pairs.
    """

    tp: int
    fp: int
    fn: int
    iou: float

    @property
    def precision(self) -> float:
        return hit_rate(self.tp, self.fp, self.fn)

    @property
    def recall(self) -> float:
        return hit_rate(self.tp, self.fn, self.fp)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), also known as RQ; 1 where there is no object at all."""
        every = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / every if every else 1.0


class Panoptic(NamedTuple):
    """Kirillov et al., CVPR 2019: pq = sq * rq."""

    pq: float
    sq: float  # mean IoU of the matched pairs
    rq: float  # F1


def match(table: Overlap, threshold: float = 0.5) -> Matching:
    """Largest one-to-one matching of true and predicted objects among the pairs with IoU >= threshold.

    The comparison is >= and not >, as in StarDist. From 0.5 up an object has one candidate, except where it is two
    exact halves of the other side: then one half is matched. Below 0.5 there may be several; of the largest matchings,
    the one with the highest sum of IoU counts.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.
    threshold
        Of the IoU, in (0, 1]. Default: 0.5.

    Returns
    -------
    Matching
        tp, fp, fn, iou; and from these precision, recall, f1.

    Raises
    ------
    UserError
        Where the threshold is not in (0, 1].

    References
    ----------
    Weigert et al. 2020 (StarDist 3D), section 4: F1, precision and recall by IoU threshold.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> found = match(table, 0.7)
    >>> found.tp, found.precision, found.f1
    (1, 0.5, 0.5)
    """
    pairs, chosen = best_pairs(table, threshold)
    tp = int(chosen.size)
    iou = float(pairs.iou[chosen].sum())
    return Matching(tp, table.pred_ids.size - tp, table.truth_ids.size - tp, iou)


def matched_ids(table: Overlap, threshold: float = 0.5) -> tuple[list[int], list[int]]:
    """Ids of the objects that `match` pairs.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.
    threshold
        Of the IoU, in (0, 1]. Default: 0.5.

    Returns
    -------
    tuple of lists
        Ids of the matched predicted objects, and of their true partners.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> matched_ids(table)
    ([5, 6], [1, 2])
    """
    pairs, chosen = best_pairs(table, threshold)
    return table.pred_ids[pairs.pred[chosen]].tolist(), table.truth_ids[pairs.truth[chosen]].tolist()


def best_pairs(table: Overlap, threshold: float) -> tuple[Pairs, NDArray[np.int64]]:
    """Pairs with that IoU, and which of them are matched."""
    refuse_threshold(threshold)
    pairs = table.pairs.at_least(threshold)
    return pairs, first_of_each(pairs) if threshold >= 0.5 else assign_optimally(pairs)


def panoptic(table: Overlap, threshold: float = 0.5) -> Panoptic:
    """Panoptic quality pq = sq * rq: mean IoU of the matched pairs times F1.

    Parameters
    ----------
    table
        Overlap of truth and prediction, of `labels.overlap.overlap`. N true and M predicted objects.
    threshold
        Of the IoU, in (0, 1]. Default: 0.5.

    Returns
    -------
    Panoptic
        pq, sq, rq. No object at all: all 1. No match: all 0.

    References
    ----------
    Kirillov et al. 2019 (Panoptic segmentation), eq. 1.

    Examples
    --------
    >>> from cytoshift.labels.overlap import overlap
    >>> table = overlap(np.array([1, 1, 0, 2, 2, 2]), np.array([5, 5, 0, 6, 6, 0]))
    >>> round(panoptic(table).pq, 3), panoptic(table).rq
    (0.833, 1.0)
    """
    found = match(table, threshold)
    if found.tp == 0:
        none = float(found.fp + found.fn == 0)
        return Panoptic(none, none, none)
    sq = found.iou / found.tp
    return Panoptic(sq * found.f1, sq, found.f1)


def refuse_threshold(threshold: float) -> None:
    """Raises UserError where it is not in (0, 1]."""
    if not 0 < threshold <= 1:
        raise UserError(f"an IoU threshold must be above 0 and at most 1, {threshold:g} is not; 0.5 is the usual one")


def first_of_each(pairs: Pairs) -> NDArray[np.int64]:
    """Which pairs are matched from 0.5 up.

    An object with two partners of IoU >= 1/2 is their disjoint union in equal halves, and a half has no other
    partner: so taking the first of each object is a largest matching.
    """
    _, by_truth = np.unique(pairs.truth, return_index=True)
    _, by_pred = np.unique(pairs.pred[by_truth], return_index=True)
    return by_truth[by_pred]


def assign_optimally(pairs: Pairs) -> NDArray[np.int64]:
    """Which pairs are matched below 0.5: optimal assignment, group by group of objects that hang together."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if pairs.iou.size == 0:
        return np.empty(0, np.int64)
    truths, preds = int(pairs.truth.max()) + 1, int(pairs.pred.max()) + 1
    links = coo_array((np.ones(pairs.iou.size), (pairs.truth, pairs.pred + truths)), shape=(truths + preds,) * 2)
    group = connected_components(links, directed=False)[1][pairs.truth]
    order = np.argsort(group, kind="stable")
    chosen = []
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        rows, row = np.unique(pairs.truth[members], return_inverse=True)
        columns, column = np.unique(pairs.pred[members], return_inverse=True)
        # One more pair outweighs any sum of IoUs, each of which is divided by more than the number of pairs.
        gain = np.zeros((rows.size, columns.size))
        gain[row, column] = 1 + pairs.iou[members] / (2 * members.size)
        which = np.full(gain.shape, -1, np.int64)
        which[row, column] = members
        chosen.append(which[linear_sum_assignment(gain, maximize=True)])
    found = np.concatenate(chosen)
    return found[found >= 0]


def hit_rate(hits: int, misses: int, elsewhere: int) -> float:
    """hits / (hits + misses); without either, 1 if the other side is empty too."""
    return hits / (hits + misses) if hits + misses else float(elsewhere == 0)
