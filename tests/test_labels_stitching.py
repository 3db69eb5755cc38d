"""Outlines of sections become objects of their stack."""

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.labels.stitching import stitch_sections
from cytoshift.synth.phantoms import phantom


def stitched(sections, *wishes):
    return np.stack(list(stitch_sections([np.asarray(one) for one in sections], *wishes)))


def test_objects_that_do_not_lie_above_each_other_come_back_whatever_their_numbers():
    _, labels, _ = phantom("hl60-3d-00", 3, (24, 96, 96))
    rng = np.random.default_rng(0)
    mixed = []
    for section in labels:
        number = np.append(0, rng.permutation(np.arange(1, labels.max() + 1)) * 7)
        mixed.append(number[section].astype(np.uint32))
    found = stitched(mixed, 0.01)
    pairs = np.unique(np.stack([labels[labels > 0], found[labels > 0]]), axis=1)
    assert ((found > 0) == (labels > 0)).all() and found.dtype == np.int32
    assert pairs.shape[1] == len(np.unique(pairs[0])) == found.max(), "each object has one number, and none shares it"


def test_the_better_overlap_goes_on_and_the_other_one_begins():
    before, after = [[1, 1, 1, 1, 2, 2, 0, 0]], [[5, 5, 5, 9, 9, 9, 9, 9]]
    assert stitched([before, after])[1].tolist() == [[1, 1, 1, 2, 2, 2, 2, 2]]  # IoU 3/4 and 2/5; 1/8 of the third pair
    before, after = [[1, 1, 1, 1, 0, 0]], [[3, 3, 4, 4, 0, 0]]
    assert stitched([before, after])[1].tolist() == [[1, 1, 2, 2, 0, 0]], "of equal ones the smaller number goes on"


def test_an_iou_below_the_least_joins_nothing():
    before, after = [[1, 1, 1, 1, 0]], [[0, 0, 0, 1, 1]]  # IoU 1/5
    assert stitched([before, after])[1].max() == 2
    assert stitched([before, after], 0.2)[1].max() == 1


def test_an_object_that_is_gone_for_a_section_begins_anew():
    assert stitched([[[1]], [[0]], [[1]]]).ravel().tolist() == [1, 0, 2]


def test_none_at_all_and_empty_sections():
    assert list(stitch_sections([])) == [] and not stitched([[[0, 0]], [[0, 0]]]).any()


@pytest.mark.parametrize("wish", [0, -0.1, 1.1, float("nan")])
def test_an_iou_out_of_range_is_refused(wish):
    with pytest.raises(UserError, match="IoU"):
        stitched([[[1]]], wish)


def test_sections_of_different_shapes_are_refused():
    with pytest.raises(UserError, match="shape"):
        stitched([[[1, 1]], [[1, 1, 1]]])
