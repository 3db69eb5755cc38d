"""IdentifyPrimaryObjects against CellProfiler's own output, and against what can be checked by eye, in 2D and 3D."""

import json
from pathlib import Path

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.labels.enclosed import fill_enclosed
from cytoshift.predict.cellprofiler import CellProfiler, identify_primary_objects, local_maxima, unit_intensity
from cytoshift.predict.cellprofiler_threshold import threshold_image
from cytoshift.predict.classical_pipelines import pipeline_settings, segment_by_pipeline

# An image and what the functions of cellprofiler 4.2.8.1 and centrosome 1.3.4 made of it, by settings as JSON
CASES = np.load(Path(__file__).parent / "cases" / "cellprofiler.npz")
SQUARE = Voxel((1.0, 1.0))
SHARP = CellProfiler(threshold="otsu", smoothing=0)


@pytest.mark.parametrize("settings", [name for name in CASES.files if name != "image"])
def test_labels_are_those_of_cellprofiler_itself(settings):
    found = identify_primary_objects(CASES["image"], SQUARE, CellProfiler(**json.loads(settings)))
    np.testing.assert_array_equal(found, CASES[settings])


def balls(*centres, radius=9, shape=(24, 48, 64), scale=(2.0, 1.0, 1.0)):
    grid = np.indices(shape)
    image = np.full(shape, 10, np.uint8)
    for centre in centres:
        off = sum(((axis - place) * side) ** 2 for axis, place, side in zip(grid, centre, scale))
        inside = off <= radius**2
        image[inside] = np.maximum(image[inside], 200 - 80 * off[inside] / radius**2)
    return image


@pytest.mark.parametrize("declump", ["intensity", "shape"])
def test_balls_that_touch_in_anisotropic_voxels_are_two(declump):
    image = balls((12, 24, 22), (12, 24, 39))
    options = CellProfiler(diameter=(10, 30), declump=declump, dividing_lines=declump, threshold="otsu", smoothing=0)
    found = identify_primary_objects(image, Voxel((2.0, 1.0, 1.0), "um"), options)
    assert found.max() == 2 and found[12, 24, 22] != found[12, 24, 39]
    sizes = np.bincount(found.ravel())[1:]
    assert np.abs(sizes / (np.pi / 6 * 18**3 / 2) - 1).max() < 0.1


def test_sizes_are_diameters_of_balls_in_3d():
    image = balls((12, 24, 22))
    for diameter, kept in (((16, 20), 1), ((19.5, 40), 0), ((5, 15), 0)):
        found = identify_primary_objects(
            image, Voxel((2.0, 1.0, 1.0), "um"), SHARP.model_copy(update={"diameter": diameter})
        )
        assert found.max() == kept


def test_border_objects_go_or_stay():
    image = balls((12, 24, 22), (12, 24, 60))
    voxel = Voxel((2.0, 1.0, 1.0), "um")
    assert identify_primary_objects(image, voxel).max() == 1
    assert identify_primary_objects(image, voxel, CellProfiler(discard_border=False)).max() == 2


def test_dark_objects_and_voxels_without_data():
    image = 255.0 - balls((12, 24, 22), (12, 24, 47))
    image[:, :, 45:] = np.nan
    found = identify_primary_objects(image, Voxel((2.0, 1.0, 1.0), "um"), dark=True)
    assert found.max() == 1 and found[12, 24, 22] == 1 and not found[:, :, 45:].any()


@pytest.mark.parametrize("image", [np.zeros((32, 32), np.uint16), np.full((8, 20, 20), np.nan), np.zeros((0, 5))])
def test_where_nothing_is_nothing_is_found(image):
    assert not identify_primary_objects(image, Voxel((1.0,) * image.ndim)).any()


def test_the_correction_scales_the_threshold_and_bounds_hold_it():
    image, known = unit_intensity(CASES["image"], dark=False)
    plain = threshold_image(image, known, CellProfiler())
    assert threshold_image(image, known, CellProfiler(correction=1.5)) == pytest.approx(1.5 * plain)
    assert threshold_image(image, known, CellProfiler(at_least=0.9)) == 0.9
    local = threshold_image(image, known, CellProfiler(window=24))
    assert local.shape == image.shape and np.ptp(local) > 0
    assert local.min() >= 0.7 * plain and local.max() <= 1.5 * plain


def test_a_window_over_more_than_half_of_the_image_is_one_sentence():
    with pytest.raises(UserError, match=r"`window=80` is more than half of a plane of 96 x 128 pixels; pass one of 48"):
        identify_primary_objects(CASES["image"], SQUARE, CellProfiler(window=80))


@pytest.mark.parametrize(
    "wishes, sentence",
    [
        ({"diameter": [40, 10]}, "is no range"),
        ({"at_least": 0.5, "at_most": 0.2}, "is above at_most"),
        ({"lower_outliers": 0.5, "upper_outliers": 0.5}, "leave no pixel"),
        ({"declump": "colour"}, "declump = 'colour'"),
        ({"smooth": 1}, "'smooth' is not a setting"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wishes, sentence):
    with pytest.raises(UserError, match=sentence):
        parse(CellProfiler, wishes, "cellprofiler")


def test_pipelines_go_by_name():
    settings = pipeline_settings("cellprofiler", {"diameter": [10, 30]})
    assert segment_by_pipeline(settings, balls((12, 24, 22)), Voxel((2.0, 1.0, 1.0), "um")).max() == 1
    with pytest.raises(UserError, match=r"no classical pipeline 'ilastik'; pass one of otsu, cellprofiler, squassh"):
        pipeline_settings("ilastik", {})


def test_what_an_object_encloses_is_filled_and_what_two_enclose_is_not():
    labels = np.zeros((9, 20), np.int32)
    labels[1:8, 1:8] = 1
    labels[2:7, 2:7] = 0
    labels[4, 4] = 2  # an object in the hole
    labels[1:8, 10:14], labels[1:8, 14:18] = 3, 4
    labels[4, 13:15] = 0  # a gap between two
    found = fill_enclosed(labels)
    assert (found[1:8, 1:8] == 1).all() and (found[4, 13:15] == 0).all()
    assert (fill_enclosed(labels, below=20) == labels)[2:7, 2:7].all()  # the hole has 24 voxels
    assert not fill_enclosed(np.zeros((3, 3), np.int32)).any()


def test_a_maximum_is_one_within_its_own_clump():
    height = np.array([[1.0, 3.0, 0.0, 2.0, 1.0, 5.0]])
    clumps = np.array([[1, 1, 0, 2, 2, 3]], np.int32)
    found = local_maxima(height, clumps, 3.0, np.ones(2))
    assert found.tolist() == [[False, True, False, True, False, True]]
