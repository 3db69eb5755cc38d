"""The flood against scikit-image, which differs in ties alone, and `bcd_watershed`, which has its ties."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from skimage.measure import label
from skimage.segmentation import watershed as reference

from cytoshift import bcd_watershed
from cytoshift.core.errors import UserError
from cytoshift.represent.quantised_watershed import compact_ids, flood_levels, mark_seeds, split_by_seeds

SHAPES = st.sampled_from([(1, 9), (9, 1), (6, 7), (15, 16), (3, 4, 5), (1, 6, 6), (6, 7, 8)])


@st.composite
def scenes(draw):
    """Few levels, so that nearly all are ties; heights, labelled seeds and mask."""
    shape = draw(SHAPES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from([np.uint8, np.uint16]))
    lowest, levels = draw(st.sampled_from([0, 1, 178, 250])), draw(st.integers(1, 5))
    height = rng.integers(lowest, lowest + levels, shape).astype(kind)
    seeds = np.where(rng.random(shape) < draw(st.sampled_from([0.03, 0.15, 0.4])), rng.integers(1, 6, shape), 0)
    return height, seeds, rng.random(shape) < draw(st.sampled_from([0.6, 0.9, 1.1]))


def without_small(labels: np.ndarray, size: int) -> np.ndarray:
    return np.where(np.bincount(labels.ravel())[labels] >= size, labels, 0)


def watershed(height, seeds, mask) -> np.ndarray:
    """The flood of a labelled image."""
    state = np.zeros([n + 2 for n in mask.shape], np.int32)
    inside = (slice(1, -1),) * mask.ndim
    state[inside] = seeds
    flood_levels(state, height, mask)
    return np.maximum(state[inside], 0)


@settings(max_examples=100, deadline=None)
@given(SHAPES.flatmap(lambda shape: arrays(bool, shape)))
def test_pieces_are_connected_over_corners_and_numbered_in_order(seeds):
    np.testing.assert_array_equal(compact_ids(mark_seeds(seeds, 0, np.dtype(np.uint8)), 0), label(seeds))


@settings(max_examples=100, deadline=None)
@given(scenes(), st.integers(0, 4))
def test_small_pieces_start_nothing_and_small_objects_are_left_out(scene, size):
    height, seeds, mask = scene
    pieces = without_small(label(seeds > 0), size)
    whole = watershed(height, pieces, mask)
    kept = split_by_seeds(height, seeds > 0, mask, size, 9)
    np.testing.assert_array_equal(kept > 0, without_small(whole, 9) > 0)


def test_more_markers_than_16_bits_hold():
    seeds = np.zeros((400, 400), bool)
    seeds[::2, ::2] = True
    found = split_by_seeds(np.full(seeds.shape, 200, np.uint8), seeds, np.ones_like(seeds))
    assert found.dtype == np.int32 and len(np.unique(found)) == found.max() == 40_000


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_but_for_ties_the_flood_is_that_of_scikit_image(scene):
    height, seeds, mask = scene
    flooded = watershed(height, seeds, mask)
    assert ((flooded > 0) == (reference(-height.astype(float), seeds, mask=mask) > 0)).all()
    unlike = np.random.default_rng(0).permutation(height.size).reshape(height.shape).astype(np.uint16)
    np.testing.assert_array_equal(watershed(unlike, seeds, mask), reference(-unlike.astype(float), seeds, mask=mask))


def test_a_plateau_is_shared_evenly_and_a_ridge_is_the_border():
    flat = np.full((1, 9), 9, np.uint8)
    two = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 2]])
    assert watershed(flat, two, flat > 0).tolist() == [[1, 1, 1, 1, 1, 2, 2, 2, 2]]
    valley = np.array([[9, 8, 7, 1, 6, 7, 8, 9, 9]], np.uint8)
    assert watershed(valley, two, flat > 0)[0, [2, 4]].tolist() == [1, 2]


def test_long_queues_are_chains_of_chunks():
    flat = np.full((300, 300), 1, np.uint8)
    corners = np.zeros(flat.shape, int)
    corners[0, 0], corners[-1, -1] = 1, 2
    found = watershed(flat, corners, flat > 0)
    y, x = np.indices(flat.shape)
    assert (found[y + x < 299] == 1).all() and (found[y + x > 299] == 2).all()


def test_nothing_to_flood():
    nothing = np.zeros((4, 5, 6), bool)
    height = np.zeros(nothing.shape, np.uint8)
    assert not split_by_seeds(height, nothing, nothing).any()
    assert not split_by_seeds(height, nothing, ~nothing).any()
    assert not split_by_seeds(height, ~nothing, nothing).any()
    assert (split_by_seeds(height, ~nothing, ~nothing) == 1).all()


def predictions(shape: tuple[int, ...] = (12, 40, 40), seed: int = 0) -> np.ndarray:
    """Smooth random channels, coarsely quantised: (3, *shape) uint8."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    smooth = [gaussian_filter(rng.standard_normal(shape), 2.0) for _ in range(3)]
    high = [(s - s.min()) / (s.max() - s.min()) for s in smooth]
    return np.stack([np.rint(51 * h) * 5 for h in (high[0] ** 0.2, 0.6 * high[1], high[2] ** 0.5)]).astype(np.uint8)


def usage_page(pred, thres1, thres2, thres3, thres4, thres5, seed_thres, thres_small):
    """The steps that the page describes, by the functions that its code calls."""
    distance = pred[2] / 255.0 * 2.0 - 1.0
    foreground = (pred[0] > int(255 * thres3)) & (distance > thres5)
    seeds = (pred[0] > int(255 * thres1)) & (pred[1] < int(255 * thres2)) & (distance > thres4)
    seed = without_small(label(seeds), seed_thres)
    return without_small(reference(-pred[0].astype(np.float64), seed, mask=foreground), thres_small), seed


@pytest.mark.parametrize("shape", [(12, 40, 40), (90, 90)])
@pytest.mark.parametrize("thresholds", [(0.9, 0.2, 0.7, 0.5, -0.1), (0.75, 0.25, 0.8, 0.4, 0.1)])
@pytest.mark.parametrize("sizes", [(0, 0), (8, 40)])
def test_bcd_watershed_is_that_of_the_usage_page(shape, thresholds, sizes):
    pred = predictions(shape)
    labels, seeds = usage_page(pred, *thresholds, *sizes)
    assert labels.max() > 1
    names = ("thres1", "thres2", "thres3", "thres4", "thres5")
    wish = dict(zip(names, thresholds)) | {"seed_thres": sizes[0], "thres_small": sizes[1]}
    found, found_seeds = bcd_watershed(pred, **wish, return_seed=True)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(found_seeds, seeds)
    assert found.dtype == np.min_scalar_type(labels.max())
    with_picture = np.concatenate([pred[:1] // 2, pred])
    np.testing.assert_array_equal(bcd_watershed(with_picture, **wish), labels)


def test_floats_mean_what_their_8_bits_mean():
    pred = predictions()
    floats = pred.astype(np.float32) / 255
    floats[2] = floats[2] * 2 - 1
    np.testing.assert_array_equal(bcd_watershed(floats), bcd_watershed(pred))
    np.testing.assert_array_equal(bcd_watershed(floats.astype(np.float64)), bcd_watershed(pred))


def test_what_is_no_prediction_is_refused():
    with pytest.raises(UserError, match=r"this array has the shape \(2, 8, 8\)"):
        bcd_watershed(np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(UserError, match=r"not uint16"):
        bcd_watershed(np.zeros((3, 8, 8), np.uint16))
    with pytest.raises(UserError, match=r"not 0 and 200"):
        bcd_watershed(np.full((3, 8, 8), 200.0))
    with pytest.raises(UserError, match=r"nan"):
        bcd_watershed(np.full((3, 8, 8), np.nan))


@pytest.mark.parametrize("seed", [12, 32])
def test_many_voxels_wait_in_the_order_of_their_arrival(seed):
    """Long queues, whose memory is used again, against one double-ended queue per level."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.standard_normal((24, 24, 24)), 2.0)
    height = (252 + np.rint(3 * (smooth - smooth.min()) / np.ptp(smooth))).astype(np.uint8)
    seeds = np.zeros(height.shape, np.int32)
    places = rng.choice(height.size, 28, replace=False)
    seeds.ravel()[places] = np.arange(1, 29)
    level, labels = np.pad(256 - height.astype(int), 1), np.pad(seeds, 1)
    queues = [deque(map(tuple, np.argwhere((labels > 0) & (level == n)))) for n in range(5)]
    for now, queue in enumerate(queues):
        while queue:
            here = queue.popleft()
            for step in ((-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1), (0, 1, 0), (1, 0, 0)):
                there = tuple(a + b for a, b in zip(here, step))
                if level[there] and not labels[there]:
                    labels[there] = labels[here]
                    queues[max(level[there], now)].append(there)
    found = watershed(height, seeds, np.ones(height.shape, bool))
    np.testing.assert_array_equal(found, labels[1:-1, 1:-1, 1:-1])
