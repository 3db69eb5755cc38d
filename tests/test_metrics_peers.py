"""The numbers of other people's code, where it is right.

cases/ holds three synthetic pairs and what mAP_3Dvolume (MitoEM), py-ctcmetrics and StarDist's matching gave on them.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as skimage_voi

from cytoshift.labels.overlap import overlap
from cytoshift.metrics.evaluation import Report, evaluate
from cytoshift.metrics.matching import match
from cytoshift.metrics.partition import adapted_rand, variation_of_information

CASES = Path(__file__).parent / "cases"
REFERENCE = json.loads((CASES / "reference.json").read_text())
SAME = {"abs": 1e-9, "rel": 0}
# StarDist adds up the IoUs in float32.
SAME_IN_FLOAT32 = {"abs": 1e-6, "rel": 0}


@pytest.fixture(scope="module", params=REFERENCE)
def case(request) -> tuple[dict, Report]:
    with np.load(CASES / "cases.npz") as arrays:
        truth, pred, score = (arrays[f"{request.param}_{what}"] for what in ("truth", "pred", "score"))
    return REFERENCE[request.param], evaluate(truth, pred, {"given": score}, threshold=0.75)


@pytest.mark.parametrize(
    ("key", "score"),
    [("mAP_3Dvolume, score = voxel count", "voxel_count"), ("mAP_3Dvolume, score = <case>_score", "given")],
)
def test_average_precision_of_mitoem(case, key, score):
    reference, report = case
    assert len(report.ap[score]) == 10
    for percent, value in report.ap[score].items():
        assert value == pytest.approx(reference[key][f"AP@{percent / 100:.2f}"], **SAME)


def test_cell_tracking_challenge(case):
    reference, report = case
    expected = reference["CTC (py-ctcmetrics)"]
    assert report.seg == pytest.approx(expected["SEG"], **SAME)
    assert report.det == pytest.approx(expected["DET"], **SAME)
    assert report.op_csb == pytest.approx(expected["OP_csb"], **SAME)


def test_matching_of_stardist(case):
    reference, report = case
    half, strict = reference["stardist matching @0.50"], reference["stardist matching @0.75"]
    assert (report.truth_objects, report.pred_objects) == (half["n_true"], half["n_pred"])
    assert report.f1_50 == pytest.approx(half["f1"], **SAME)
    assert report.object_precision == pytest.approx(strict["precision"], **SAME)
    assert report.object_recall == pytest.approx(strict["recall"], **SAME)
    assert report.object_f1 == pytest.approx(strict["f1"], **SAME)
    assert report.rq == pytest.approx(half["f1"], **SAME)
    assert report.pq == pytest.approx(half["panoptic_quality"], **SAME_IN_FLOAT32)
    assert report.sq == pytest.approx(half["mean_matched_score"], **SAME_IN_FLOAT32)


def test_pixels(case):
    reference, report = case
    for name in ("dice", "precision", "recall"):
        assert getattr(report, name) == pytest.approx(reference["pixels"][name], **SAME)


label_images = arrays(np.int32, (5, 8), elements=st.integers(0, 4))


@settings(deadline=None, max_examples=60)
@given(label_images, label_images)
def test_partitions_of_scikit_image(truth, pred):
    table = overlap(truth, pred)
    assert variation_of_information(table) == pytest.approx(tuple(skimage_voi(truth, pred)), abs=1e-9)
    missed = pred == 0
    pred[missed] = 5 + np.arange(missed.sum())  # voxels by themselves, as SNEMI3D and CREMI have them
    if not truth.any() or missed.all() or table.truth_sizes.max() == 1 or max(np.bincount(pred[truth > 0])) == 1:
        return  # there scikit-image divides by zero, or we have an answer of our own
    error, recall, precision = adapted_rand_error(truth, pred)  # its precision is a share of the truth
    assert adapted_rand(table) == pytest.approx((error, precision, recall), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(label_images, label_images, st.sampled_from([0.05, 0.1, 0.3, 0.45, 0.5, 0.7, 1.0]))
def test_matching_is_the_best_assignment(truth, pred, threshold):
    """Against StarDist's rule on the dense matrix: most pairs first, then the highest sum of IoU."""
    from scipy.optimize import linear_sum_assignment

    table = overlap(truth, pred)
    iou = np.zeros((table.truth_ids.size, table.pred_ids.size))
    iou[table.pairs.truth, table.pairs.pred] = table.pairs.iou
    good = iou >= threshold
    row, column = linear_sum_assignment(good + good * iou / (2 * max(1, min(iou.shape))), maximize=True)
    found, right = match(table, threshold), good[row, column]
    assert found.tp == right.sum() and found.fp == iou.shape[1] - found.tp and found.fn == iou.shape[0] - found.tp
    assert found.iou == pytest.approx(iou[row, column][right].sum())
