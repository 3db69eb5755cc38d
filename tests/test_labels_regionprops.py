"""What is measured of objects is what scikit-image measures, in any box, and what formulas say where it does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import regionprops_table

from cytoshift.core.voxel import Voxel
from cytoshift.labels.objects import measure_objects, measure_parts, objects
from cytoshift.labels.regionprops import STEPS, crofton_weights

PROPERTIES = ("label", "area", "equivalent_diameter_area", "centroid", "bbox", "axis_major_length", "axis_minor_length",
              "solidity", "intensity_mean", "intensity_median")  # fmt: skip
SIZES = {2: [(1.0, 1.0), (0.7, 0.3)], 3: [(1.0, 1.0, 1.0), (2.0, 0.5, 0.4)]}


def blobs(shape, seed=0, share=0.3):
    """Objects of all shapes, of which some touch."""
    noise = np.random.default_rng(seed).random(shape)
    found = ndimage.label(ndimage.gaussian_filter(noise, 2) > np.quantile(ndimage.gaussian_filter(noise, 2), 1 - share))
    parts = found[0].astype(np.int32)
    parts[..., shape[-1] // 2 :] += (parts[..., shape[-1] // 2 :] > 0) * found[1]  # cut in two that touch
    return parts


@pytest.mark.parametrize("size", [*SIZES[2], *SIZES[3]])
@pytest.mark.parametrize("kind", ["u1", ">u2", "f4"])
@pytest.mark.filterwarnings("ignore:Failed to get convex hull", "ignore:divide by zero")
def test_columns_are_those_of_scikit_image(size, kind):
    shape = (60, 70) if len(size) == 2 else (14, 30, 32)
    labels = blobs(shape)
    image = (np.random.default_rng(1).random(shape) * 250).astype(kind)
    wanted = regionprops_table(
        labels, image, spacing=size, properties=PROPERTIES + (("eccentricity", "orientation") if len(size) == 2 else ())
    )
    found = measure_objects(labels, Voxel(size, "um"), image).columns()
    assert set(wanted) <= set(found) and len(found["label"]) > 5
    for name, values in wanted.items():
        known = np.isfinite(values)  # scikit-image has no hull of an object that is flat in 3D
        np.testing.assert_allclose(found[name][known], values[known], rtol=1e-6, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(found["intensity_sum"], ndimage.sum_labels(image, labels, found["label"]), rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_shapes_of_a_few_pixels_are_those_of_scikit_image(labels):
    names = ("axis_major_length", "axis_minor_length", "eccentricity", "orientation", "solidity", "perimeter_crofton")
    wanted = regionprops_table(labels, properties=names)
    found = measure_objects(labels, Voxel((1.0, 1.0))).columns()
    for name in names:
        if name == "orientation":  # of an object without direction it is noise, and of its ends either may be named
            clear = wanted["eccentricity"] > 1e-6
            apart = np.abs(found[name] - wanted[name])[clear] % np.pi
            assert (np.minimum(apart, np.pi - apart) < 1e-6).all()
        elif name == "perimeter_crofton":
            inner = np.pad(labels, 1)
            wanted_inner = regionprops_table(inner, properties=(name,))[name]
            np.testing.assert_allclose(found[name], wanted_inner, atol=1e-6)
        else:
            np.testing.assert_allclose(found[name], wanted[name], atol=1e-6, err_msg=name)


def crossings(mask, step):
    """How often lines along a step go in or out of a mask."""
    inner = np.pad(mask, 1)
    moved = np.roll(inner, [-n for n in step], range(mask.ndim))
    return int((inner != moved).sum())


@pytest.mark.parametrize("size", SIZES[3])
def test_surfaces_are_croftons_sum_and_near_those_of_a_ball(size):
    labels, voxel = blobs((14, 30, 32)), Voxel(size, "um")
    found = measure_objects(labels, voxel).columns()
    weights = crofton_weights(voxel)
    for label, surface in zip(found["label"], found["surface_area"]):
        sums = sum(w * crossings(labels == label, step) for w, step in zip(weights, STEPS.tolist()))
        assert surface == pytest.approx(sums, rel=1e-9)
    # the shares of the directions are a whole, and lines along each of them fill space
    lengths = np.linalg.norm(STEPS * size, axis=1)
    assert (weights * lengths / voxel.volume / 2).sum() == pytest.approx(1)
    radius = 22 * min(size)
    half = [int(radius / s) + 1 for s in size]
    grid = np.indices([2 * n + 1 for n in half]).T - half
    ball = radius**2 >= ((grid * size) ** 2).sum(-1).T
    measured = measure_objects(ball.astype(np.uint8), voxel).columns()
    assert measured["surface_area"][0] == pytest.approx(4 * np.pi * radius**2, rel=0.02)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes_of_a_block_follow_from_its_sides(axis):
    """n points at distance s have the variance (n^2 - 1) s^2 / 12, that of a ball is a 20th of its squared diameter."""
    size, sides = (2.0, 0.5, 0.25), [3, 4, 6]
    sides[axis] = 40
    labels = np.zeros((44, 44, 44), np.uint8)
    labels[tuple(slice(2, 2 + n) for n in sides)] = 1
    found = measure_objects(labels, Voxel(size, "um")).columns()
    spread = np.sort([(n**2 - 1) * s**2 / 12 for n, s in zip(sides, size)])
    assert found["axis_major_length"][0] == pytest.approx(np.sqrt(20 * spread[2]), rel=1e-6)
    assert found["axis_minor_length"][0] == pytest.approx(np.sqrt(20 * spread[0]), rel=1e-6)
    longest = int(np.argmax([n * s for n, s in zip(sides, size)]))
    assert [found[f"orientation-{i}"][0] for i in range(3)] == pytest.approx(np.eye(3)[longest].tolist(), abs=1e-6)
    assert found["solidity"][0] == 1


def test_contrast_neighbours_and_border():
    labels = np.zeros((30, 40), np.uint8)
    labels[10:16, 10:16], labels[10:16, 16:20], labels[17, 9], labels[0, 30] = 1, 2, 3, 4
    image = np.full(labels.shape, 7.0, np.float32)
    image[labels == 1], image[labels == 2] = 20, 50
    image[ndimage.binary_dilation(labels > 0)] += 100  # a blurred rim is no background
    image[labels > 0] -= 100
    found = measure_objects(labels, Voxel((1.0, 1.0)), image).columns()
    assert found["neighbours"].tolist() == [1, 1, 0, 0] and found["touches_border"].tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(found["intensity_contrast"], [13, 43, 0, 0], atol=5)
    image[:, 25:] = np.nan  # no data
    np.testing.assert_allclose(
        measure_objects(labels, Voxel((1.0, 1.0)), image).columns()["intensity_contrast"][:3], [13, 43, 0], atol=5
    )
    full = measure_objects(np.ones((5, 5), np.uint8), Voxel((1.0, 1.0)), np.ones((5, 5)))
    assert np.isnan(full.columns()["intensity_contrast"][0])
    corner = np.array([[1, 0], [0, 2]])
    assert measure_objects(corner, Voxel((1.0, 1.0))).columns()["neighbours"].tolist() == [1, 1]


def test_every_channel_has_its_intensities():
    labels = blobs((40, 40))
    image = np.stack([labels * 2, labels * 3]).astype(np.uint16)
    found = measure_objects(labels, Voxel((1.0, 1.0)), image).columns()
    assert found["intensity_mean-0"].tolist() == (found["label"] * 2).tolist()
    assert found["intensity_median-1"].tolist() == (found["label"] * 3).tolist()


@pytest.mark.parametrize("size", [SIZES[2][1], SIZES[3][1]])
def test_box_by_box_the_columns_are_the_same_to_the_last_bit(size, monkeypatch):
    shape = (90, 100) if len(size) == 2 else (14, 40, 42)
    labels, voxel = blobs(shape, 3), Voxel(size, "um")
    image = np.random.default_rng(1).integers(0, 4000, shape).astype(np.uint16)
    whole = measure_objects(labels, voxel, image)
    for box in (tuple(slice(n // 3, 2 * n // 3) for n in shape), tuple(slice(0, n // 2) for n in shape)):
        parts = measure_parts(labels, image, objects(labels, voxel), box)
        assert parts.keys() == whole.measured.keys()
        for name, values in parts.items():
            np.testing.assert_array_equal(values, whole.measured[name], err_msg=name)
    monkeypatch.setattr("cytoshift.labels.objects.LARGEST_BOX", 700)
    few = measure_parts(labels, image, objects(labels, voxel), (slice(0, 1),) * len(shape))
    assert 0 < np.isnan(few["solidity"]).sum() < len(whole.ids)


def test_no_object_has_every_column():
    for shape, size in (((6, 7), (1.0, 1.0)), ((3, 6, 7), (1.0, 1.0, 1.0))):
        empty = np.zeros(shape, np.uint8)
        some = empty.copy()
        some[..., 2:4, 2:4] = 1
        columns = measure_objects(empty, Voxel(size), empty).columns()
        assert list(columns) == list(measure_objects(some, Voxel(size), some).columns())
        assert all(len(values) == 0 for values in columns.values())
