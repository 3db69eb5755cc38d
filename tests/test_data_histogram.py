"""Histogram matching of whole volumes as a small table."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from skimage.exposure import match_histograms

from cytoshift.core.errors import UserError
from cytoshift.data.histogram import KNOTS, Lookup, distribution, histogram_lookup


def gamma(shape: float, size: tuple[int, ...], top: float, dtype: type, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).gamma(shape, top / 20, size)
    return np.minimum(values, top).astype(dtype)


def test_eight_bits_match_as_in_scikit_image():
    source, reference = gamma(2, (40, 50), 255, np.uint8, 0), gamma(5, (10, 30, 30), 255, np.uint8, 1)
    lookup = histogram_lookup([source], [reference])
    out = lookup(source)
    assert out.dtype == np.float32
    assert np.allclose(out, match_histograms(source.ravel(), reference.ravel()).reshape(source.shape), atol=1e-3)
    assert len(lookup.knots_in) <= 256


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_many_levels_match_nearly_with_a_small_table(dtype):
    source, reference = gamma(2, (200, 200), 60_000, dtype, 0), gamma(5, (150, 200), 4000, dtype, 1)
    lookup = histogram_lookup([source], [reference])
    assert len(lookup.knots_in) <= KNOTS
    wanted = match_histograms(source.ravel(), reference.ravel()).reshape(source.shape)
    error = np.abs(lookup(source) - wanted)
    assert error.mean() < 0.001 * np.ptp(wanted) and np.quantile(error, 0.999) < 0.01 * np.ptp(wanted)


def test_a_domain_counts_as_one_whole():
    parts = [gamma(k, (30, 30), 255, np.uint8, k) for k in (1, 3)]
    reference = [gamma(4, (20, 20), 255, np.uint8, 9)]
    assert histogram_lookup(parts, reference) == histogram_lookup([np.concatenate(parts)], reference)
    values, shares = distribution(parts)
    assert (np.diff(values) > 0).all() and (np.diff(shares) > 0).all() and shares[-1] == 1


def test_the_table_rises_and_ends_where_it_ends():
    lookup = histogram_lookup([gamma(2, (50, 50), 255, np.uint8, 0)], [gamma(3, (50, 50), 255, np.uint8, 1)])
    assert (np.diff(lookup.knots_in) > 0).all() and (np.diff(lookup.knots_out) >= 0).all()
    assert np.allclose(lookup(np.array([-5.0, 1e9])), [lookup.knots_out[0], lookup.knots_out[-1]])
    same = gamma(2, (50, 50), 255, np.uint8, 0)
    assert np.allclose(histogram_lookup([same], [same])(same), same)


def test_counting_levels_first_changes_nothing():
    lookup = Lookup((0.0, 100.0, 255.0), (1.0, 3.0, 4.0))
    image = gamma(2, (40, 40), 255, np.uint8, 0)
    assert np.array_equal(lookup(image), lookup(image.astype(np.float64)))
    assert np.array_equal(lookup(image[:2, :2]), lookup(image)[:2, :2])


def test_a_table_is_plain_data():
    lookup = histogram_lookup([np.arange(9, dtype=np.uint8)], [np.arange(0, 90, 10, dtype=np.uint8)])
    again = json.loads(json.dumps(asdict(lookup)))
    assert Lookup(tuple(again["knots_in"]), tuple(again["knots_out"])) == lookup
    assert np.allclose(lookup(np.arange(9)), np.arange(0, 90, 10))


def test_flat_images_match_and_broken_ones_are_refused():
    flat = np.full((4, 4), 7, np.uint8)
    assert np.allclose(histogram_lookup([flat], [flat + 1])(flat), 8)
    with pytest.raises(UserError, match="infinite"):
        histogram_lookup([np.array([1.0, np.inf])], [flat])
    with pytest.raises(UserError, match="empty"):
        histogram_lookup([flat[:0]], [flat])
