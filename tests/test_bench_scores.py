"""How objects are ranked for AP in a benchmark."""

import numpy as np
import pytest

from cytoshift.bench.scoring import object_scores
from cytoshift.core.voxel import Voxel
from cytoshift.labels.objects import objects
from cytoshift.predict.pipeline import Instances, Prediction
from cytoshift.predict.raw import Raw
from cytoshift.represent import BCD, Semantic


def prediction(names, channels) -> Prediction:
    labels = np.array([[1, 1, 0, 2]], np.int32)
    found = Instances(labels, objects(labels, Voxel((1.0, 1.0))), np.array([0.5, 0.25]))
    return Prediction({"": found}, {}, {}, Raw(np.array(channels, np.uint8), names))


def test_objects_of_mask_contour_and_distance_are_ranked_by_all_three():
    names = ("image", "foreground", "contour", "distance")
    channels = [[[9, 9, 9, 9]], [[255, 255, 0, 255]], [[0, 255, 0, 51]], [[255, 255, 0, 191]]]
    sure = object_scores(prediction(names, channels), BCD())[""]
    assert list(sure["mask"]) == [0.5, 0.25]
    # B (1 - C) D: 1 * 1 * 1 and 1 * 0 * 1 for the first; 1 * 0.8 * 0.498 for the second.
    assert sure["shape"] == pytest.approx([0.5, 0.8 * (2 * 191 / 255 - 1)], abs=1e-6)


def test_objects_of_a_mask_alone_are_ranked_by_it():
    assert set(object_scores(prediction(("image", "mask"), [[[9] * 4], [[255] * 4]]), Semantic())[""]) == {"mask"}
