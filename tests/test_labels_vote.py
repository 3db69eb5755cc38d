"""Votes of label images: which objects are taken, where their borders run, and that blocks change nothing."""

import numpy as np
import pytest
from skimage.measure import label

from cytoshift.core.errors import UserError
from cytoshift.core.rng import stream
from cytoshift.labels.vote import elect, least_vote, voices, vote


def disc(shape, *circles):
    """Labels 1..N of discs (y, x, radius)."""
    y, x = np.indices(shape)
    out = np.zeros(shape, np.int32)
    for number, (cy, cx, radius) in enumerate(circles, start=1):
        out[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = number
    return out


@pytest.fixture(scope="module")
def field():
    """Three voters of one field: one object each agrees on, one of two, one of a single voter."""
    shape = (60, 90)
    return [
        disc(shape, (20, 20, 10), (20, 60, 8), (48, 40, 6)),
        disc(shape, (20, 21, 10), (21, 60, 8)),
        disc(shape, (21, 20, 11)) * np.uint16(7),
    ]


def test_objects_are_taken_by_agreement_the_best_first(field):
    labels, votes = vote(field, least=0.3)
    assert votes.size == 2 and votes[0] > 0.8 > votes[1] > 0.4
    assert labels[20, 20] == 1 and labels[20, 60] == 2 and labels[48, 40] == 0
    assert vote(field, least=0.6)[1].size == 1


def test_borders_are_those_of_the_majority(field):
    labels, _ = vote(field, least=0.3)
    backing = sum((one > 0).astype(int) for one in field)
    assert np.array_equal(labels[:, :40] == 1, backing[:, :40] >= 2)


def test_two_that_are_merged_by_one_voter_stay_two():
    apart = disc((40, 60), (20, 20, 9), (20, 38, 9))
    merged = (apart > 0).astype(np.uint8)
    labels, _ = vote([apart, apart, merged])
    assert labels[20, 20] != labels[20, 38] and labels.max() == 2
    assert np.array_equal(label(labels > 0) > 0, apart > 0)
    labels, _ = vote([merged, merged, apart])
    assert labels[20, 20] == labels[20, 38] > 0


def test_voters_of_one_group_share_one_voice():
    a, b = disc((30, 30), (10, 10, 6)), disc((30, 30), (20, 20, 6))
    assert voices([3, 3, 4]).tolist() == [0.5, 0.5, 1.0]
    votes = {key: elect([a, a, b, b * 0], 0.0, key).votes[0] for key in ((0, 1, 2, 3), (0, 0, 2, 3))}
    assert votes == {(0, 1, 2, 3): pytest.approx(1 / 3), (0, 0, 2, 3): pytest.approx(0.5 / 2.5)}
    assert least_vote(np.ones(2)) == 0.5 and least_vote(np.ones(9)) > least_vote(np.ones(4))


@pytest.mark.parametrize("shape", [(64, 80), (20, 40, 48)])
def test_boxes_give_what_the_whole_gives(shape):
    rng = stream(3, "vote", len(shape))
    voters = []
    seeds = rng.random(shape) > 0.995
    for _ in range(4):
        noisy = seeds & (rng.random(shape) > 0.2)
        grown = noisy.copy()
        for axis in range(len(shape)):
            for shift in (-2, -1, 1, 2):
                grown |= np.roll(noisy, shift, axis)
        voters.append(label(grown).astype(np.uint16))
    whole = elect(voters)
    boxed = elect(voters, memory=5e3)
    assert whole.votes.size > 3 and np.array_equal(whole.votes, boxed.votes)
    labels = whole.paint(voters)
    out = np.zeros(shape, np.int32)
    for start in range(0, shape[0], 7):
        out[start : start + 7] = boxed.paint([one[start : start + 7] for one in voters])
    assert np.array_equal(out, labels)


def test_the_order_of_other_voters_decides_nothing_but_numbers(field):
    labels, votes = vote(field, 0.3)
    again, others = vote(field[::-1], 0.3)
    assert votes == pytest.approx(others) and np.array_equal(labels > 0, again > 0)


def test_nothing_and_one_voter_are_no_vote(field):
    with pytest.raises(UserError, match="two or more"):
        vote(field[:1])
    with pytest.raises(UserError, match="shape"):
        vote([field[0], field[1][:5]])
    empty = np.zeros((4, 4), np.uint8)
    assert vote([empty, empty])[1].size == 0 and not vote([empty, empty])[0].any()
