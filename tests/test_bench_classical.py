"""The classical floor on images that can be checked by eye."""

import numpy as np
import pytest

from cytoshift.core.voxel import Voxel
from cytoshift.metrics.evaluation import evaluate
from cytoshift.predict.classical import Classical, segment_classically
from cytoshift.synth.phantoms import phantom

SQUARE = Voxel((1.0, 1.0))


def discs(*centres: tuple[int, int], radius: int = 8, shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    y, x = np.indices(shape)
    image = np.full(shape, 10.0)
    for row, column in centres:
        image[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = 200
    return image


@pytest.mark.parametrize("options", [Classical(), Classical(threshold="local")])
def test_two_discs_that_touch_are_two_objects(options):
    found = segment_classically(discs((32, 24), (32, 39)), SQUARE, options)
    assert found.max() == 2
    assert found[32, 24] != found[32, 39] and found[32, 24] > 0 and found[32, 39] > 0
    assert found[2, 2] == 0 and found.dtype == np.int32


def test_dark_objects_are_found_where_they_are_called_dark():
    image = 255 - discs((20, 20), (44, 44))
    found = segment_classically(image, SQUARE, dark=True)
    assert found.max() == 2 and found[20, 20] > 0 and found[2, 2] == 0


def test_a_hole_is_filled_and_a_speck_is_dropped():
    image = discs((32, 32))
    image[31:34, 31:34] = 10
    image[5:8, 5:8] = 200
    found = segment_classically(image, SQUARE)
    assert found.max() == 1 and found[32, 32] == 1 and found[6, 6] == 0


@pytest.mark.parametrize("shape", [(32, 32), (8, 16, 16)])
def test_a_constant_image_holds_nothing(shape):
    assert not segment_classically(np.full(shape, 7, np.uint16), Voxel((1.0,) * len(shape))).any()


def test_voxels_count_by_their_size():
    z, y, x = np.indices((16, 48, 48))
    centres, radius = ((16.0, 24.0, 14.0), (16.0, 24.0, 33.0)), 10.0
    image = np.zeros((16, 48, 48))
    for c in centres:
        image[(2 * z - c[0]) ** 2 + (y - c[1]) ** 2 + (x - c[2]) ** 2 <= radius**2] = 100
    found = segment_classically(image, Voxel((2.0, 1.0, 1.0), "um"))
    assert found.max() == 2 and found[8, 24, 14] != found[8, 24, 33]


def test_uneven_background_is_what_local_is_for():
    spots = discs(*((row, column) for row in (24, 64, 104) for column in (24, 64, 104)), shape=(128, 128))
    truth = segment_classically(spots, SQUARE)
    uneven = spots + np.linspace(0, 400, 128)
    whole, local = (segment_classically(uneven, SQUARE, Classical(threshold=kind)) for kind in ("otsu", "local"))
    assert truth.max() == 9
    assert evaluate(truth, local).f1_50 == 1.0 > evaluate(truth, whole).f1_50


def test_it_is_a_floor_and_no_straw_man():
    image, truth, voxel = phantom("sparse-2d", 0, (160, 160))
    assert evaluate(truth, segment_classically(image, voxel)).dice > 0.7
