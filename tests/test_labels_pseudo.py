"""Labels to train with: what the voters agree on, background, and what is left out."""

import numpy as np
import pytest

from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import Volume, open_labels
from cytoshift.labels import pseudo
from cytoshift.labels.pseudo import IGNORED, SURE_VOTE, dilate, pseudo_labels
from cytoshift.labels.vote import elect
from cytoshift.predict.voting import PseudoLabelArray, write_pseudo_labels


def square(shape, *corners, size=6):
    out = np.zeros(shape, np.uint16)
    for number, corner in enumerate(corners, start=1):
        out[tuple(slice(c, c + size) for c in corner)] = number
    return out


@pytest.mark.parametrize("ndim", [2, 3])
def test_agreed_objects_background_and_what_lies_between(ndim):
    shape = (20, 32, 40)[-ndim:]
    both, one = (4,) * ndim, (12,) * ndim
    voters = [square(shape, both, one), square(shape, both), square(shape, both)]
    labels = pseudo_labels(elect(voters, SURE_VOTE), voters)
    agreed, doubted = voters[1] > 0, voters[0] == 2
    assert (labels[agreed] == 1).all() and (labels[doubted] == IGNORED).all()
    near = dilate(doubted, 2) & ~agreed
    assert (labels[near] == IGNORED).all() and (labels[~near & ~agreed] == 0).all()


def test_the_majority_has_the_outline_of_an_agreed_object():
    wide, narrow = square((20, 20), (4, 4), size=8), square((20, 20), (5, 5), size=6)
    labels = pseudo_labels(elect([wide, narrow, narrow], SURE_VOTE), [wide, narrow, narrow])
    assert np.array_equal(labels, narrow)


def test_nothing_is_background_within_the_margin_of_any_voter():
    mask = square((11, 11), (5, 5), size=1) > 0
    assert dilate(mask, 2).sum() == 13 and dilate(mask, 0).sum() == 1 and not dilate(~mask & mask, 2).any()


def test_boxes_are_parts_of_the_whole():
    rng = np.random.default_rng(0)
    base = [(int(y), int(x)) for y, x in rng.integers(0, 50, (12, 2))]
    voters = [square((56, 56), *(np.array(base) + shift).tolist()) for shift in (0, 1, 0)]
    voters[0][40:46, 8:14] = 99
    election = elect(voters, SURE_VOTE)
    whole = pseudo_labels(election, voters)
    lazy = PseudoLabelArray(election, tuple(voters))
    for box in ((slice(0, 17), slice(30, 56)), (slice(20, 41), slice(3, 30))):
        assert np.array_equal(lazy[box], whole[box])
    assert (whole == IGNORED).any() and (whole == 0).any()


def test_no_object_has_the_number_of_ignored_voxels(monkeypatch):
    monkeypatch.setattr(pseudo, "IGNORED", 2)
    voter = square((40, 40), (2, 2), (12, 12), (22, 22))
    labels = pseudo_labels(elect([voter, voter], SURE_VOTE), [voter, voter])
    assert set(np.unique(labels)) == {0, 1, 3, 4} and np.array_equal(labels > 0, voter > 0)


def test_files_hold_them_with_their_calibration(tmp_path):
    voters = [square((30, 30), (4, 4)), square((30, 30), (5, 4), (20, 20))]
    volume = Volume("a", voters[0], "yx", Voxel((0.5, 0.5), "um"), "made here")
    write_pseudo_labels(tmp_path / "a.tif", volume, voters)
    back = open_labels(str(tmp_path / "a.tif"))[0]
    assert back.voxel == volume.voxel and set(np.unique(back.load())) == {0, 1, IGNORED}
    assert 0 < (back.load() == IGNORED).mean() < 0.3
