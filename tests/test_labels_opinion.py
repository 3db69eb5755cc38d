"""What voters say of labels that are not theirs."""

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.labels.opinion import opinion


def blocks(*corners, shape=(24, 24), side=6):
    labels = np.zeros(shape, np.int32)
    for number, (y, x) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = 10 * number
    return labels


def test_votes_and_what_is_missed():
    labels = blocks((0, 0), (10, 10))  # the second one is nobody else's
    voters = [blocks((0, 0), (0, 12)), blocks((0, 0), (0, 12)), blocks((0, 2))]
    found = opinion(labels, voters)
    assert found.ids.tolist() == [10, 20]
    assert found.votes == pytest.approx([(1 + 1 + 0.5) / 3, 0])
    assert found.missed == pytest.approx([0.5])  # of two others, one has it


def test_a_merged_pair_is_one_doubtful_object_and_two_missed_ones():
    merged = np.zeros((24, 24), np.int32)
    merged[:6, :12] = 1
    pair = blocks((0, 0), (0, 6))
    found = opinion(merged, [pair, pair])
    assert found.votes == pytest.approx([0.5]) and found.missed.size == 2


def test_empty_labels_miss_everything():
    one = blocks((0, 0))
    found = opinion(np.zeros_like(one), [one, one])
    assert found.ids.size == 0 and found.votes.size == 0 and found.missed == pytest.approx([1])
    nothing = np.zeros_like(one)
    assert opinion(one, [nothing, nothing]).votes == pytest.approx([0])
    with pytest.raises(UserError, match="a vote takes two or more"):
        opinion(one, [one])
