"""Every number where one can count it: empty images, single objects, exact ties; and what must not matter."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cytoshift.core.errors import UserError
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.average_precision import average_precision
from cytoshift.metrics.confidence import mean_over_objects, voxel_count
from cytoshift.metrics.evaluation import evaluate, mean_report, pool_tables
from cytoshift.metrics.matching import match, panoptic
from cytoshift.metrics.partition import adapted_rand, variation_of_information
from cytoshift.metrics.pixels import pixels
from cytoshift.metrics.tracking import tracking

NONE = np.zeros((4, 4), np.uint8)
ONE = NONE.copy()
ONE[1:3] = 3
ERRORS = {"rand_error", "voi_split", "voi_merge"}  # 0 is best
COUNTS = {"truth_objects", "pred_objects", "threshold"}


def table(truth, pred):
    return overlap(np.array(truth), np.array(pred))


def ap(truth, pred, scores, threshold=0.5):
    return average_precision(table(truth, pred), np.array(scores), threshold)


@pytest.mark.parametrize("labels", [NONE, ONE, np.arange(16).reshape(4, 4)], ids=["empty", "one object", "points"])
def test_a_perfect_prediction(labels):
    numbers = evaluate(labels, labels).as_dict()
    for name in numbers.keys() - COUNTS:
        assert numbers[name] == pytest.approx(float(name not in ERRORS)), name


@pytest.mark.parametrize(("truth", "pred"), [(NONE, ONE), (ONE, NONE)], ids=["nothing to find", "nothing found"])
def test_one_side_empty_is_the_worst(truth, pred):
    report = evaluate(truth, pred)
    numbers = report.as_dict()
    for name in numbers.keys() - COUNTS - {"voi_split", "voi_merge"}:
        assert numbers[name] == (name in ERRORS), name
    # VOI needs no convention: the half that is an object is one bit.
    assert (report.voi_split, report.voi_merge) == ((1, 0) if pred.any() else (0, 1))


def test_an_image_without_voxels_is_a_perfect_answer():
    numbers = evaluate(np.zeros((0, 3), int), np.zeros((0, 3), int)).as_dict()
    assert all(numbers[name] == (name not in ERRORS) for name in numbers.keys() - COUNTS)


def test_pixels_by_eye():
    assert pixels(table([[1, 1, 2, 0, 0]], [[0, 7, 7, 7, 0]])) == (2 / 3, 2 / 3, 2 / 3, 0.5)


def test_one_object_in_two_exact_halves():
    """Both halves have IoU 1/2: >= makes them candidates, one to one takes one. The MitoEM code would count two."""
    halves = table([[1, 1, 1, 1]], [[5, 5, 6, 6]])
    found = match(halves, 0.5)
    assert (found.tp, found.fp, found.fn, found.iou) == (1, 1, 0, 0.5)
    assert panoptic(halves) == pytest.approx((1 / 3, 1 / 2, 2 / 3))
    assert match(halves, 0.5000001).tp == 0
    assert average_precision(halves, np.array([0.9, 0.1])) == 1.0  # the surer half comes first and reaches recall 1
    assert average_precision(halves, np.array([0.5, 0.5])) == 0.5  # equally sure: the wrong one comes first
    assert tracking(halves) == (0, 0, 0)  # neither covers more than half


def test_two_objects_fused_exactly():
    fused = table([[5, 5, 6, 6]], [[1, 1, 1, 1]])
    assert (match(fused).tp, match(fused).fp, match(fused).fn) == (1, 0, 1)
    assert average_precision(fused, np.array([1.0])) == pytest.approx(51 / 101)  # recalls 0, 0.01 .. 0.50
    # Both are found by the one prediction, which costs one split of 5 out of 2 x 10.
    assert tracking(fused) == (0.5, 0.75, 0.625)


def test_thresholds_are_met_exactly():
    """11 of 20 voxels is an IoU of 0.55, whatever floats think."""
    truth, pred = np.ones((1, 20), int), np.ones((1, 20), int)
    pred[0, 11:] = 0
    assert evaluate(truth, pred).f1[55] == 1 and evaluate(truth, pred).f1[60] == 0
    assert evaluate(truth, pred).ap["voxel_count"][55] == 1


def test_matching_below_half_takes_the_most_pairs():
    """The best pair alone would leave two objects without partner."""
    truth = np.repeat([1, 1, 2], [6, 3, 3])[None]
    pred = np.repeat([7, 8, 8], [4, 5, 3])[None]
    both = overlap(truth, pred)  # IoU: 1-7 4/9, 1-8 5/12, 2-8 3/8
    assert match(both, 0.3).tp == 2 and match(both, 0.3).iou == pytest.approx(4 / 9 + 3 / 8)
    assert match(both, 0.4).tp == 1 and match(both, 0.4).iou == pytest.approx(4 / 9)


@pytest.mark.parametrize("threshold", [0, -1, 1.1, math.nan])
def test_thresholds_that_are_refused(threshold):
    with pytest.raises(UserError, match="threshold"):
        match(table([[1]], [[1]]), threshold)
    with pytest.raises(UserError, match="threshold"):
        average_precision(table([[1]], [[1]]), np.array([1.0]), threshold)


def test_average_precision_by_hand():
    truth, pred = [[1, 2, 3, 4, 0, 0]], [[1, 2, 3, 0, 8, 0]]
    # right, wrong, right, right: precision 1, 1/2, 2/3, 3/4 -> envelope 1, 3/4, 3/4, 3/4; recall 1/4, 1/4, 2/4, 3/4
    assert ap(truth, pred, [0.9, 0.7, 0.6, 0.8]) == pytest.approx((26 * 1 + 50 * 3 / 4 + 25 * 0) / 101)
    assert ap(truth, pred, [0.9, 0.8, 0.7, 0.1]) == pytest.approx(76 / 101)
    assert ap(truth, pred, [1, 1, 1, 1]) == pytest.approx(76 * 3 / 4 / 101)


def test_scores_that_are_refused():
    one = table([[1, 2]], [[1, 2]])
    with pytest.raises(UserError, match="3 scores for 2"):
        average_precision(one, np.ones(3))
    with pytest.raises(UserError, match="NaN"):
        average_precision(one, np.array([1, np.nan]))


def test_tracking_by_hand():
    truth = [[1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0]]
    pred = [[4, 4, 0, 5, 5, 5, 5, 5, 0, 0, 6]]
    # 1 found by 4 (IoU 2/3); 2 and 3 by 5 (3/5, 2/6): one split; 6 is invented
    seg, det, both = tracking(table(truth, pred))
    assert seg == pytest.approx((2 / 3 + 3 / 5 + 2 / 6) / 3)
    assert det == pytest.approx(1 - (5 + 1) / 30) and both == pytest.approx((seg + det) / 2)
    # Inventions alone may cost more than finding nothing.
    assert tracking(table([[1, 0, 0, 0]], [[1, 2, 3, 4]])).det == pytest.approx(0.7)
    assert tracking(table([np.r_[1, np.zeros(20, int)]], [np.arange(1, 22)])).det == 0


def test_adapted_rand_by_hand():
    cut, fused = table([[1, 1, 1, 1]], [[1, 1, 2, 2]]), table([[1, 1, 2, 2]], [[1, 1, 1, 1]])
    # 4 of 12 ordered pairs stay together
    assert adapted_rand(cut) == pytest.approx((1 - 8 / 16, 1, 1 / 3))
    assert adapted_rand(fused) == pytest.approx((1 - 8 / 16, 1 / 3, 1))
    # What was missed is no segment: of six ordered pairs in each object, two are left.
    assert adapted_rand(table([[1, 1, 1, 2, 2, 2]], [[1, 1, 0, 2, 2, 0]])) == pytest.approx((1 - 2 * 4 / 16, 1, 4 / 12))
    assert adapted_rand(table([[1, 2, 0]], [[1, 2, 0]])) == (0, 1, 1)  # single voxels: there is no pair to get wrong


def test_variation_of_information_by_hand():
    assert variation_of_information(table([[1, 1, 1, 1]], [[1, 1, 2, 2]])) == (1, 0)
    assert variation_of_information(table([[1, 1, 2, 2]], [[1, 1, 1, 1]])) == (0, 1)
    assert variation_of_information(table([[0, 0, 1, 1]], [[3, 3, 3, 3]])) == (0, 1)  # background is a segment


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, bool])
def test_mean_over_objects(dtype):
    labels = np.array([[0, 900, 900], [7, 7, 0]])
    values = np.array([[1, 1, 0], [1, 1, 1]]).astype(dtype)
    np.testing.assert_array_equal(mean_over_objects(values, labels), [1.0, 0.5])  # by ascending id: 7, 900
    with pytest.raises(UserError, match="shape"):
        mean_over_objects(values.T, labels)


def test_scores_of_the_report():
    truth, pred = np.array([[1, 1, 0, 0, 4]]), np.array([[1, 1, 0, 2, 0]])
    report = evaluate(truth, pred, {"b": np.array([0.1, 0.9])}, threshold=0.7)
    assert (report.ap_50, report.ap_75, report.map) == pytest.approx((51 / 101,) * 3)
    assert report.ap["b"][50] == pytest.approx(51 / 101 / 2)
    numbers = report.as_dict()
    assert numbers["ap_95_b"] == report.ap["b"][95] == pytest.approx(numbers["map_b"])
    assert numbers["threshold"] == 0.7 and numbers["object_f1"] == report.f1_50 == 0.5
    assert all(isinstance(number, int | float) for number in numbers.values())
    assert voxel_count(overlap(truth, pred)).tolist() == [2, 1]


def test_mean_and_pooled_images():
    """Nine pixels and one: the mean weighs images, the pool weighs objects and pixels."""
    good, bad = (np.full((1, 9), 1), np.full((1, 9), 4)), (np.array([[1, 0]]), np.array([[0, 1]]))
    reports = [evaluate(*pair) for pair in (good, bad)]
    assert mean_report(reports)["dice"] == 0.5 and "truth_objects" not in mean_report(reports)
    tables = [overlap(*pair) for pair in (good, bad)]
    together = pool_tables(tables, [{"b": np.array([0.2])}, {"b": np.array([0.8])}])
    joined = evaluate(np.array([[*[1] * 9, 2, 0]]), np.array([[*[1] * 9, 0, 2]]), {"b": np.array([0.2, 0.8])})
    assert together == joined
    assert together.dice == 0.9 and (together.truth_objects, together.pred_objects) == (2, 2)


label_images = arrays(np.int32, (2, 4, 6), elements=st.integers(0, 4))


@settings(deadline=None, max_examples=40)
@given(label_images, label_images, st.randoms(use_true_random=False))
def test_names_of_objects_do_not_matter(truth, pred, random):
    new = np.array([0, *random.sample(range(1, 10**6), 4)])
    score = dict(zip(new, random.choices([0.1, 0.5, 0.9], k=5)))
    old_ids, new_ids = np.unique(pred[pred > 0]), np.unique(new[pred[pred > 0]])
    before = evaluate(truth, pred, {"s": np.array([score[new[i]] for i in old_ids])}).as_dict()
    after = evaluate(new[truth], new[pred], {"s": np.array([score[i] for i in new_ids])}).as_dict()
    assert after == pytest.approx(before, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(label_images, label_images)
def test_ranges_and_order(truth, pred):
    numbers = evaluate(truth, pred).as_dict()
    for name in numbers.keys() - COUNTS - {"voi_split", "voi_merge"}:
        assert 0 <= numbers[name] <= 1, name
    assert numbers["voi_split"] >= 0 and numbers["voi_merge"] >= 0
    for kind in ("f1", "ap"):
        falling = [numbers[f"{kind}_{percent}"] for percent in range(50, 100, 5)]
        assert falling == sorted(falling, reverse=True)
    assert numbers["ap_50"] <= numbers["object_recall"] + 0.01 + 1e-9
    assert numbers["pq"] == pytest.approx(numbers["sq"] * numbers["rq"])
    swapped = evaluate(pred, truth).as_dict()
    assert swapped["dice"] == numbers["dice"] and swapped["f1_50"] == numbers["f1_50"]
    assert swapped["voi_merge"] == pytest.approx(numbers["voi_split"], abs=1e-12)
