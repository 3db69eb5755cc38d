"""The parts of the measurement, on arrays that can be checked by eye."""

import doctest
import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import h_maxima

from cytoshift.core.voxel import Voxel
from cytoshift.labels.objects import equivalent_diameter
from cytoshift.measure import contrast
from cytoshift.measure.ellipse import merge_ellipses, moments
from cytoshift.measure.grid import bin_image, binned_voxel, factors_for, sample_boxes
from cytoshift.measure.light import background, remove_hot_pixels, remove_trend
from cytoshift.measure.measurement import quantiles
from cytoshift.measure.outlined_objects import objects
from cytoshift.measure.regions import regions
from cytoshift.measure.saddle import join_shallow_maxima, touching_pairs
from cytoshift.measure.scale import ScaleSpace, analyse_scale_space, finest_peak

PIXEL, CUBE = Voxel((1.0, 1.0)), Voxel((1.0, 1.0, 1.0))


def ellipse(shape, centre, axes):
    """True inside the ellipse (ellipsoid) of these semi-axes."""
    at = np.indices(shape).astype(float)
    return sum(((x - c) / a) ** 2 for x, c, a in zip(at, centre, axes)) <= 1


def scene(shape, disks, blur=1.0, noise=0.02, seed=0):
    """Balls (centre, radius, brightness) on a dark field, as float32."""
    image = np.zeros(shape)
    for centre, radius, bright in disks:
        image[ellipse(shape, centre, (radius,) * len(shape))] = bright
    noisy = ndimage.gaussian_filter(image, blur) + noise * np.random.default_rng(seed).standard_normal(shape)
    return noisy.astype(np.float32)


@pytest.mark.parametrize("module", ["grid", "scale", "saddle", "measurement"])
def test_the_examples_in_the_docs_hold(module):
    module = importlib.import_module(f"cytoshift.measure.{module}")
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


# grid ---------------------------------------------------------------------------------------------------------------


def test_binning_takes_means_and_leaves_out_what_does_not_fill_a_block():
    image = np.array([[0, 2, 4, 9], [4, 6, 8, 9], [1, 1, 1, 9]], dtype=np.uint8)
    assert bin_image(image, (2, 3)).tolist() == [[4.0]]
    assert bin_image(image, (1, 1)).dtype == np.float32


def test_factors_never_go_beyond_the_wanted_spacing():
    voxel = Voxel((2.0, 0.5, 0.5), "um")
    factors = factors_for(voxel, 1.2, (10, 10, 10))
    assert factors == (1, 2, 2)
    assert binned_voxel(voxel, factors) == Voxel((2.0, 1.0, 1.0), "um")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 400), min_size=2, max_size=3), st.integers(200, 20_000))
def test_samples_stay_inside_the_image_and_the_budget(shape, budget):
    boxes = sample_boxes(shape, Voxel((1.0,) * len(shape)), budget)
    assert sum(math.prod(s.stop - s.start for s in box) for box in boxes) <= max(budget, 4)
    assert all(0 <= s.start < s.stop <= n for box in boxes for s, n in zip(box, shape))
    assert len(boxes) == (1 if math.prod(shape) <= budget else 4)


def test_samples_are_physical_cubes_apart():
    boxes = sample_boxes((40, 400, 400), Voxel((4.0, 1.0, 1.0)), 400_000)
    sizes = {tuple(s.stop - s.start for s in box) for box in boxes}
    assert len(sizes) == 1
    z, y, x = sizes.pop()
    assert y == x and abs(4 * z - y) <= 4
    assert len({(box[1].start, box[2].start) for box in boxes}) == 4


# light --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_a_quadratic_field_is_taken_off_whatever_the_polarity_of_the_objects(sign):
    disks = [((60, 40), 8, 1.0), ((130, 120), 8, 1.0)]
    flat = sign * scene((200, 160), disks, noise=0)
    y, x = np.meshgrid(np.linspace(0, 1, 200), np.linspace(0, 1, 160), indexing="ij")
    uneven = (flat + 5 * y - 3 * x**2 + 2 * x * y).astype(np.float32)
    assert np.abs(remove_trend(uneven) - flat).max() < 0.05


def test_a_constant_stays_constant():
    assert np.abs(remove_trend(np.full((40, 50), 7, dtype=np.float32))).max() < 1e-4


def test_a_hot_pixel_is_brought_down_to_its_neighbours_and_objects_are_not():
    image = scene((60, 60), [((30, 30), 6, 1.0)])
    hot = image.copy()
    hot[5, 5] = 1000
    assert remove_hot_pixels(hot)[5, 5] < 0.1
    assert np.array_equal(remove_hot_pixels(image), image)


def test_the_background_follows_glow_and_passes_under_objects():
    image = scene((120, 120), [((60, 60), 8, 1.0)], noise=0) + np.linspace(0, 1, 120, dtype=np.float32)
    below = background(image, PIXEL, 16)
    assert below[60, 60] < 0.6
    assert np.all(np.diff(below[100, 20:100]) >= 0)


# scale --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [4, 8, 16])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_scale_space_finds_size_and_polarity(radius, sign):
    step = 5 * radius
    disks = [((y, x), radius, 1.0) for y in range(step, 5 * step, step) for x in range(step, 5 * step, step)]
    seen = analyse_scale_space([sign * scene((5 * step, 5 * step), disks)], PIXEL)
    assert 0.8 < seen.diameter / (2 * radius) < 1.25
    assert sign * seen.asymmetry > 3
    assert seen.signal > 5


def test_anisotropic_voxels_measure_the_same_ball():
    disks = [((20, 20, 20), 9, 1.0), ((20, 60, 20), 9, 1.0), ((20, 20, 60), 9, 1.0), ((20, 60, 60), 9, 1.0)]
    volume = scene((40, 80, 80), disks)
    fine = analyse_scale_space([volume], CUBE)
    coarse = analyse_scale_space([volume[1::3]], Voxel((3.0, 1.0, 1.0)))
    assert fine.diameter == pytest.approx(18, rel=0.2)
    assert coarse.diameter == pytest.approx(fine.diameter, rel=0.15)


def test_lengths_follow_the_voxel_exactly():
    image = scene((96, 96), [((30, 30), 8, 1.0), ((70, 60), 8, 1.0)])
    assert analyse_scale_space([image], Voxel((0.25, 0.25), "um")).diameter == pytest.approx(
        analyse_scale_space([image], PIXEL).diameter / 4
    )


@pytest.mark.parametrize("shape", [(200, 200), (48, 48, 48)])
def test_white_noise_is_silent(shape):
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    assert analyse_scale_space([noise], Voxel((1.0,) * len(shape))).signal < 1


@pytest.mark.parametrize("sigma", [2, 4])
def test_the_asymmetry_of_correlated_noise_has_the_error_it_claims(sigma):
    rng = np.random.default_rng(0)
    fields = (ndimage.gaussian_filter(rng.standard_normal((128, 128)), sigma).astype(np.float32) for _ in range(40))
    assert 0.7 < np.std([analyse_scale_space([field], PIXEL).asymmetry for field in fields]) < 1.2


def test_the_finest_peak_counts_if_it_is_worth_it():
    assert finest_peak(np.array([0, 0.1, 0.2, 0.1, 9, 3])) == 4
    assert finest_peak(np.array([3.0, 2.0, 1.0])) == 0


# saddle -------------------------------------------------------------------------------------------------------------


def test_faces_know_the_highest_pass():
    labels = np.array([[1, 1, 2], [0, 3, 2]])
    pairs, passes = touching_pairs(labels, np.array([[9.0, 5.0, 7.0], [0.0, 4.0, 6.0]]))
    assert pairs.tolist() == [[1, 2], [1, 3], [2, 3]]
    assert passes.tolist() == [5.0, 4.0, 4.0]
    assert len(touching_pairs(np.eye(3, dtype=int))[0]) == 0  # corners do not touch


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(20)), st.integers(1, 8))
def test_lasting_peaks_are_the_h_maxima(order, least):
    heights = np.concatenate([[-1], order, [-1]]).astype(float)
    falls = np.diff(heights) < 0
    valleys = np.flatnonzero(falls[:-1] & ~falls[1:]) + 1
    labels = 1 + np.searchsorted(valleys, np.arange(len(heights)))  # one peak in each
    peaks = np.concatenate([[-np.inf], ndimage.maximum(heights, labels, np.arange(1, labels.max() + 1))])
    names = join_shallow_maxima(peaks, *touching_pairs(labels, heights), least)
    assert len(np.unique(names[1:])) == ndimage.label(h_maxima(heights.astype(int), least))[1]


# ellipse ------------------------------------------------------------------------------------------------------------


def test_ellipticity_of_known_shapes():
    labels = np.zeros((120, 320), dtype=int)
    labels[ellipse(labels.shape, (60, 60), (20, 50))] = 1
    pair = ellipse(labels.shape, (60, 150), (20, 20)) | ellipse(labels.shape, (60, 190), (20, 20))
    labels[pair] = 2
    half = ellipse(labels.shape, (60, 250), (20, 20)) & (np.indices(labels.shape)[1] < 250)
    labels[half] = 3
    _, whole, two, cut = moments(labels, PIXEL).ellipticity()
    assert whole == pytest.approx(1, abs=0.01)
    assert two == pytest.approx(0.895, abs=0.01)
    assert cut == pytest.approx(0.946, abs=0.01)


def test_ellipticity_does_not_mind_the_voxel():
    labels = ellipse((40, 60, 60), (20, 30, 30), (15, 15, 20)).astype(int)
    cube, flat = (moments(labels, v).ellipticity()[1] for v in (CUBE, Voxel((3.0, 0.5, 0.5), "um")))
    assert cube == pytest.approx(flat)
    assert cube == pytest.approx(1, abs=0.01)


def test_slices_of_one_object_are_merged_and_touching_objects_are_not():
    y, x = np.indices((60, 200))
    labels = np.zeros((60, 200), dtype=np.int32)
    round_one = ellipse(labels.shape, (30, 30), (22, 22))
    labels[round_one] = 1 + (np.arctan2(y - 30, x - 30)[round_one] // (2 * np.pi / 3)).astype(int) % 3  # three slices
    labels[ellipse(labels.shape, (30, 100), (20, 20))] = 4
    labels[ellipse(labels.shape, (30, 140), (20, 20))] = 5
    assert len(touching_pairs(labels)[0]) == 4
    merged = merge_ellipses(labels, PIXEL)
    assert len(np.unique(merged)) == 4
    assert len(np.unique(merged[round_one])) == 1
    assert merged[30, 100] != merged[30, 140]


def test_merging_leaves_lone_regions_and_background_alone():
    labels = np.zeros((20, 40), dtype=np.int32)
    labels[5:15, 5:15], labels[5:15, 25:35] = 1, 2
    assert np.array_equal(merge_ellipses(labels, PIXEL), labels)
    assert not merge_ellipses(np.zeros((5, 5), dtype=np.int32), PIXEL).any()
    triangles = 1 + np.tri(20, 20, dtype=np.int32)  # no background at all; the square is rounder than its halves
    assert np.all(merge_ellipses(triangles, PIXEL) == 1)


# regions and their numbers ------------------------------------------------------------------------------------------


def found(image, diameter):
    return regions(image, PIXEL, ScaleSpace(diameter, 50.0, 50.0, 0.0, 9.0))


def test_touching_objects_are_split_and_keep_their_size():
    disks = [((50, 40), 10, 1.0), ((50, 60), 10, 1.0), ((20, 90), 10, 1.0), ((90, 90), 8, 1.0)]
    labels = found(scene((120, 120), disks), 20)
    assert labels.max() == 4
    sizes = np.sort(equivalent_diameter(np.bincount(labels.ravel())[1:], 2))
    assert sizes == pytest.approx([16, 20, 20, 20], rel=0.08)


def test_a_dim_object_beside_bright_ones_is_found_with_its_size():
    disks = [((30, 30), 10, 1.0), ((90, 90), 10, 1.0), ((30, 90), 10, 0.35)]
    labels = found(scene((120, 120), disks), 20)
    assert labels.max() == 3
    assert equivalent_diameter((labels == labels[30, 90]).sum(), 2) == pytest.approx(20, rel=0.1)


def test_a_hole_is_filled_and_nothing_is_found_in_a_constant():
    image = scene((80, 80), [((40, 40), 14, 1.0), ((40, 40), 3, 0.2)])
    labels = found(image, 28)
    assert labels.max() == 1 and labels[40, 40] == 1
    assert not found(np.ones((50, 50), dtype=np.float32), 10).any()


def test_numbers_of_objects_know_the_border():
    labels = np.zeros((40, 100), dtype=np.int32)
    labels[10:20, 10:30], labels[0:10, 50:60], labels[20:30, 90:100] = 1, 2, 3
    seen = objects(labels, Voxel((2.0, 1.0)), ((False, False), (False, True)))
    assert seen.whole.tolist() == [True, False, False]
    assert seen.share.tolist() == [1, 1, 0.5]  # only the last one lies on an edge beyond which the image goes on
    assert seen.elongation.tolist() == pytest.approx([1, 2, 2])
    assert seen.chance[0] == pytest.approx(0.75 * 0.8)
    assert seen.diameter[0] == pytest.approx(math.sqrt(4 * 400 / math.pi))
    assert (seen.covered, seen.field) == (800, 8000)


def test_weighted_quantiles_stand_for_the_middle_of_their_weight():
    assert quantiles([1, 2, 3], np.array([1, 1, 1]))[50] == 2
    assert quantiles([1, 2], np.array([1000, 1]))[50] == pytest.approx(1, abs=0.01)
    assert quantiles([]) == {}


@pytest.mark.parametrize("shape, size", [((40, 50), (1.0, 1.0)), ((20, 30, 31), (2.0, 0.7, 0.7))])
def test_nearest_objects_are_the_same_in_slabs(monkeypatch, shape, size):
    rng = np.random.default_rng(0)
    for density in (0.002, 0.02, 0.2):
        names = np.where(rng.random(shape) < density, rng.integers(1, 9, shape), 0).astype(np.int32)
        for reach in (1.5, 3.0, 7.2):
            whole = contrast.nearest_object(names, Voxel(size), reach)
            for slab in (1, 200, 700):
                with monkeypatch.context() as patched:
                    patched.setattr(contrast, "SLAB_VOXELS", slab)
                    assert (contrast.nearest_object(names, Voxel(size), reach) == whole).all()
