"""Boundaries, filters and the table of objects, on images that can be checked by eye."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import regionprops
from skimage.segmentation import find_boundaries

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.labels.boundaries import boundaries
from cytoshift.labels.filters import fill_holes, filter_small, remove_border
from cytoshift.labels.objects import equivalent_diameter, objects

PIXELS, CUBES = Voxel((1.0, 1.0)), Voxel((1.0, 1.0, 1.0))
label_images = arrays(np.int32, array_shapes(min_dims=2, max_dims=3, max_side=7), elements=st.integers(0, 3))


def image(*lines: str) -> np.ndarray:
    """One character per pixel, '.' is background."""
    return np.array([[0 if c == "." else int(c) for c in line] for line in lines], np.uint16)


def test_boundaries_by_eye():
    labels = image("......", ".1112.", ".1112.", ".1112.", "......")
    expected = image("......", ".1111.", ".1.11.", ".1111.", "......")
    np.testing.assert_array_equal(boundaries(labels), expected > 0)


def test_the_edge_of_the_image_is_no_boundary():
    assert not boundaries(np.ones((3, 3), int)).any()
    np.testing.assert_array_equal(boundaries(image("11.", "11.")), image(".1.", ".1.") > 0)


def test_boundaries_per_slice_ignore_z():
    labels = np.zeros((3, 5, 5), int)
    labels[1, 1:4, 1:4] = 1
    whole, sliced = boundaries(labels), boundaries(labels, per_slice=True)
    assert whole.sum() == 9  # a disc one slice thick is all rim
    assert sliced.sum() == 8 and not sliced[1, 2, 2]
    np.testing.assert_array_equal(boundaries(labels[1], per_slice=True), sliced[1])


@settings(deadline=None, max_examples=40)
@given(label_images)
def test_boundaries_are_those_of_scikit_image(labels):
    np.testing.assert_array_equal(boundaries(labels), find_boundaries(labels, connectivity=1, mode="inner"))


def test_filter_small_counts_in_units():
    labels = image("1122", "1123", "....")
    voxel = Voxel((0.5, 0.2), "um")  # 0.1 um2 each
    assert np.unique(filter_small(labels, 0.3, voxel)).tolist() == [0, 1, 2]
    assert np.unique(filter_small(labels, 0.31, voxel)).tolist() == [0, 1]
    np.testing.assert_array_equal(filter_small(labels, 0, voxel), labels)
    assert filter_small(labels, 1, voxel).dtype == labels.dtype
    with pytest.raises(UserError, match="axes"):
        filter_small(labels, 1, CUBES)


def test_what_the_edge_cuts_may_be_smaller():
    labels = np.array([[0, 0, 0, 0, 0], [1, 1, 0, 2, 0], [0, 0, 0, 2, 0], [0, 0, 0, 0, 3]])
    assert set(np.unique(filter_small(labels, 3, Voxel((1.0, 1.0), "um"), 2))) == {0, 1}
    assert set(np.unique(filter_small(labels, 2, Voxel((1.0, 1.0), "um"), 1))) == {0, 1, 2, 3}


def test_remove_border():
    labels = np.zeros((4, 5, 5), np.int64)
    labels[0, 2, 2], labels[2, 2, 2], labels[2, 4, 1] = 10**12, 5, 7
    assert np.unique(remove_border(labels)).tolist() == [0, 5]
    assert labels.max() == 10**12  # the input is left alone


def test_fill_holes_by_eye():
    labels = image(
        "..........",
        ".1111.222.",
        ".1..1.2.22",
        ".1111.2.2.",
        "......222.",
    )
    expected = labels.copy()
    expected[2, 2:4], expected[2:4, 7] = 1, 2
    np.testing.assert_array_equal(fill_holes(labels, PIXELS), expected)
    np.testing.assert_array_equal(fill_holes(labels, Voxel((0.5, 0.5), "um"), max_size=0.5), expected)
    np.testing.assert_array_equal(fill_holes(labels, Voxel((0.5, 0.5), "um"), max_size=0.49), labels)


@pytest.mark.parametrize(
    "lines",
    [
        ("11122", "1...2", "11122"),  # between two objects
        ("11111", "1.2.1", "1...1", "11111"),  # around another
        ("1.111", "1...1", "11111"),  # open at the edge
        ("....", "...."),
        ("1111", "1111"),
    ],
)
def test_what_is_no_hole(lines):
    labels = image(*lines)
    np.testing.assert_array_equal(fill_holes(labels, PIXELS), labels)


def test_tunnels_are_no_holes():
    labels = np.ones((3, 5, 5), np.uint8)
    labels = np.pad(labels, ((0, 0), (1, 1), (1, 1)))
    labels[:, 3, 3] = 0
    np.testing.assert_array_equal(fill_holes(labels, CUBES), labels)


@settings(deadline=None, max_examples=40)
@given(label_images)
def test_filling_adds_and_never_takes(labels):
    filled = fill_holes(labels, Voxel((1.0,) * labels.ndim))
    assert (filled[labels > 0] == labels[labels > 0]).all()
    np.testing.assert_array_equal(fill_holes(filled, Voxel((1.0,) * labels.ndim)), filled)


def test_objects_by_eye():
    found = objects(image("..55", "..55", "9..."), Voxel((2.0, 0.5), "um"))
    assert found.ids.tolist() == [5, 9] and found.voxels.tolist() == [4, 1]
    assert found.size.tolist() == [4.0, 1.0]
    assert found.centroid.tolist() == [[1.0, 1.25], [4.0, 0.0]]
    assert found.low.tolist() == [[0, 2], [2, 0]] and found.high.tolist() == [[2, 4], [3, 1]]
    np.testing.assert_allclose(found.diameter, [np.sqrt(16 / np.pi), np.sqrt(4 / np.pi)])
    names = ["label", "unit", "area", "equivalent_diameter_area", "centroid-0", "centroid-1"]
    columns = found.columns()
    assert list(columns) == [*names, "bbox-0", "bbox-1", "bbox-2", "bbox-3", "touches_border"]
    assert columns["touches_border"].tolist() == [1, 1] and columns["unit"].tolist() == ["um", "um"]


def test_objects_in_3d_and_none():
    table = objects(np.zeros((2, 3, 4), np.uint8), CUBES).columns()
    assert list(table)[:6] == ["label", "unit", "area", "equivalent_diameter_area", "centroid-0", "centroid-1"]
    assert all(len(column) == 0 for column in table.values())
    with pytest.raises(UserError, match="axes"):
        objects(np.zeros((2, 3, 4), np.uint8), PIXELS)


@settings(deadline=None, max_examples=40)
@given(label_images)
def test_objects_are_those_of_scikit_image(labels):
    size = (2.0, 0.5, 0.25)[: labels.ndim]
    found, expected = objects(labels, Voxel(size, "um")), regionprops(labels, spacing=size)
    assert found.ids.tolist() == [r.label for r in expected]
    for i, region in enumerate(expected):
        assert found.size[i] == pytest.approx(region.area)
        assert found.centroid[i] == pytest.approx(region.centroid)
        assert (*found.low[i], *found.high[i]) == region.bbox
        assert found.diameter[i] == pytest.approx(region.equivalent_diameter_area)


def test_equivalent_diameter():
    radius = np.array([1.0, 2.5])
    np.testing.assert_allclose(equivalent_diameter(np.pi * radius**2, 2), 2 * radius)
    np.testing.assert_allclose(equivalent_diameter(4 / 3 * np.pi * radius**3, 3), 2 * radius)
