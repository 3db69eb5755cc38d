"""What label images of one field say of labels that are not theirs: which objects they have as well, and which are
missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .overlap import SliceableLabels, overlap_by_blocks
from .vote import AGREE, elect


@dataclass(frozen=True, eq=False)
class Opinion:
    """Votes on given labels.

    ids: (N,) of the objects, ascending. votes: (N,) of each object the mean, over the voters, of the best IoU that it
    has there, in [0, 1]. missed: (M,) votes of the objects that the voters elect and that the labels do not have, the
    highest first.
    """

    ids: NDArray[np.uint64]
    votes: NDArray[np.float64]
    missed: NDArray[np.float64]


def opinion(labels: SliceableLabels, voters: Sequence[SliceableLabels]) -> Opinion:
    """Let label images vote on other labels of their field.

    Parameters
    ----------
    labels
        (*S) any ids. None of the voters should have made them.
    voters
        Two or more label images (*S).

    Returns
    -------
    Opinion
        Of all objects.

    Raises
    ------
    UserError
        As `labels.vote.elect`.

    Examples
    --------
    >>> labels = np.array([7, 7, 0, 0, 0, 0])
    >>> voters = [np.array([1, 1, 0, 0, 2, 2]), np.array([1, 0, 0, 0, 3, 3])]
    >>> found = opinion(labels, voters)
    >>> found.votes, found.missed
    (array([0.75]), array([1.]))
    """
    election, tables = elect(voters), [overlap_by_blocks(labels, voter) for voter in voters]
    ids = tables[0].truth_ids
    votes, there = np.zeros(ids.size), np.zeros(election.votes.size + 1, bool)
    for table, numbers in zip(tables, election.numbers):
        pairs = table.pairs
        best = np.zeros(ids.size)
        np.maximum.at(best, pairs.truth, pairs.iou)
        votes += best / len(voters)
        there[numbers[pairs.pred[pairs.iou > AGREE]]] = True
    return Opinion(ids, votes, election.votes[~there[1:]])
