"""Tiles cover, weights sum to one, and tiles of a network with instance norm agree with the whole."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.model import Segmenter
from cytoshift.nets.norms import MeasuredNorms, with_statistics
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict import network
from cytoshift.predict.network import Tiling, probabilities
from cytoshift.predict.tiles import Cover, blend_tiles, fit_tile, place_tiles
from predicting import nuclei, segmenter, taught

IOU = 0.9  # an object that came out the same in both
DIFFERENCE, F1 = 0.01, 0.9  # the stated tolerance: of channels on average, and of objects that are the same


class Agreement(NamedTuple):
    """Both are of the whole image; 0 and 1 would be perfect.

    What the tests hold us to, for a network with instance norm, tiles of 96 pixels and an image that is empty on one
    side: a difference of 0.01 at most and an f1 of 0.9 at least. Tiles that are normalised each by itself come to about
    0.1 and 0.3 there.
    """

    difference: float  # mean absolute difference of the channels
    f1: float  # objects in tiles against objects of the whole, one to one at IoU 0.9


def agreement(segmenter: Segmenter, image: np.ndarray, voxel: Voxel, tiling: Tiling) -> Agreement:
    """Compare `tiling` with one pass over the whole of a normalised image (*S) on the working grid.

    The image must fit into memory in one piece; what is measured on it holds for larger ones like it.
    """
    whole = probabilities(segmenter, image, tiling.model_copy(update={"tile": image.shape}))
    parts = probabilities(segmenter, image, tiling)
    decode = segmenter.representation.decode
    table = overlap(decode(whole, voxel), decode(parts, voxel))
    return Agreement(float(np.abs(whole - parts).mean()), match(table, IOU).f1)


@given(st.data())
def test_weights_sum_to_one_and_tiles_keep_the_step(data):
    ndim = data.draw(st.sampled_from([2, 3]))
    step = tuple(data.draw(st.sampled_from([1, 2, 4])) for _ in range(ndim))
    shape = tuple(m * data.draw(st.integers(1, 12)) for m in step)
    size = tuple(m * data.draw(st.integers(1, 8)) for m in step)
    overlap = data.draw(st.integers(0, 9))
    total = np.zeros(shape)
    pieces = Cover(shape, size, overlap, step)
    for piece in pieces:
        lengths = tuple(s.stop - s.start for s in piece.region)
        assert piece.weight.shape == lengths
        assert all((s.start % m == 0 and n % m == 0 and n <= max(t, m)) or n == whole
                   for s, n, m, t, whole in zip(piece.region, lengths, step, size, shape))  # fmt: skip
        total[piece.region] += piece.weight
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert len({tuple(s.stop - s.start for s in piece.region) for piece in pieces}) == 1


@settings(max_examples=25)
@given(st.data())
def test_tiles_are_found_by_region_and_laid_over_each_other_in_their_order(data):
    shape = tuple(4 * data.draw(st.integers(2, 20)) for _ in range(2))
    cover = Cover(
        shape, tuple(4 * data.draw(st.integers(2, 8)) for _ in range(2)), data.draw(st.integers(0, 9)), (4, 4)
    )
    every = list(cover)
    assert len(every) == len(cover) and all(cover[cover.number(cover_index(cover, n))].region == t.region
                                            for n, t in enumerate(every))  # fmt: skip
    low = [data.draw(st.integers(0, n - 1)) for n in shape]
    region = tuple(slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(low, shape))
    reach = np.zeros((len(every), *shape), bool)
    seen = np.zeros(shape, int)
    drawn = np.random.default_rng(0).integers(0, 256, (len(every), 2, *cover.extent)).astype(np.uint8)
    sums = np.zeros((2, *shape), np.float32)
    for number, tile in enumerate(every):
        reach[(number, *tile.region)] = True
        sums[(slice(None), *tile.region)] += drawn[number].astype(np.float32) * tile.weight
    for cell, numbers in cover.cells(region):
        seen[cell] += 1
        assert (reach[(slice(None), *cell)].all((1, 2)) == reach[(slice(None), *cell)].any((1, 2))).all()
        assert numbers == np.flatnonzero(reach[(slice(None), *cell)].any((1, 2))).tolist()
    assert (seen[region] == 1).all() and seen.sum() == seen[region].sum(), "cells tile the region"
    read = []

    def part(number, box):
        read.append(number)
        return np.ascontiguousarray(drawn[(number, slice(None), *box)])

    out, exact = np.empty((2, *seen[region].shape), np.uint8), np.empty((2, *seen[region].shape), np.float32)
    blend_tiles(exact, cover, region, part)
    assert sorted(read) == np.flatnonzero(reach[(slice(None), *region)].any((1, 2))).tolist(), "each tile is read once"
    blend_tiles(out, cover, region, part)
    np.testing.assert_array_equal(exact, sums[(slice(None), *region)])
    np.testing.assert_array_equal(out, np.floor(exact + 0.5))


def cover_index(cover: Cover, number: int) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(number, cover.counts))


def test_overlaps_are_as_wide_as_asked_for():
    starts = sorted({piece.region[0].start for piece in Cover((100, 8), (44, 8), 10, (4, 4))})
    assert starts == [0, 32, 60]  # 40 long, in steps of 4: an overlap of 8 would be too little, of 12 is enough


def test_the_largest_tile_of_a_budget_is_as_cubic_as_can_be():
    assert fit_tile((512, 512), 256 * 256, (4, 4)) == (256, 256)
    assert fit_tile((16, 512, 512), 64**3, (4, 4, 4)) == (16, 128, 128)
    assert fit_tile((8, 8), 10**6, (4, 4)) == (8, 8)
    assert fit_tile((64, 64), 1, (4, 4)) == (4, 4)


def test_windows_spread_over_all_of_an_image():
    seen = np.zeros((60, 100), int)
    for _, place in zip(range(256), place_tiles((60, 100), (20, 20), (4, 4))):
        assert all(s.start % 4 == 0 and s.stop - s.start == 20 for s in place)
        seen[place] += 1
    assert seen.min() > 0 and seen.max() < 3 * np.median(seen)


def test_pooled_statistics_of_one_whole_are_its_own():
    made, x = segmenter(), torch.randn(1, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    measured = MeasuredNorms(made.network)
    first = measured.network(x)
    again = with_statistics(made.network, measured.statistics)(x)
    torch.testing.assert_close(first, made.network(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again, first, atol=1e-4, rtol=1e-4)
    assert torch.equal(
        torch.nn.functional.instance_norm(x), torch.instance_norm(x, None, None, None, None, True, 0.1, 1e-5, False)
    )


def test_pooled_knows_the_affine_numbers_and_running_statistics_of_torch_layers():
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    affine = torch.nn.InstanceNorm2d(3, affine=True)
    torch.nn.init.constant_(affine.weight, 2.0)
    torch.nn.init.constant_(affine.bias, 5.0)
    with torch.no_grad():
        out = MeasuredNorms(torch.nn.Sequential(affine)).network(x)
    np.testing.assert_allclose(out.mean([0, 2, 3]), 5, atol=1e-4)
    np.testing.assert_allclose(out.std([0, 2, 3], correction=0), 2, atol=1e-3)
    tracking = torch.nn.InstanceNorm2d(3, track_running_stats=True).eval()
    measured = MeasuredNorms(torch.nn.Sequential(tracking))
    with torch.no_grad():
        torch.testing.assert_close(measured.network(x), x, atol=1e-4, rtol=1e-4)
    assert measured.statistics == {}


def test_a_u_net_of_one_whole_is_what_it_was():
    """Group norm and squeeze and excitation, told their own statistics; and two equal halves as one batch."""
    torch.manual_seed(0)
    made = UNetSpec.for_voxel(Voxel((1.0, 1.0)), 1, 3, (8, 16), stem=3).build().eval()
    x = torch.randn(1, 1, 32, 48)
    measured = MeasuredNorms(made).network
    with torch.no_grad():
        pooled = measured(x)
        torch.testing.assert_close(measured(torch.cat([x, x]))[:1], pooled, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(pooled, made(x), atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def learned():
    return taught(50)


@pytest.mark.parametrize("empty", [0.0, 0.6])
def test_tiles_agree_with_the_whole(learned, empty, monkeypatch):
    """And would not, were every tile normalised by itself: in the empty part noise would come out as objects."""
    image, _ = nuclei((256, 320), 300, 7, empty)
    x = Normalisation().measure([image])(image)
    tiling = Tiling(tile=(96, 96), precision="32")
    found = agreement(learned, x, learned.voxel, tiling)
    assert found.difference <= DIFFERENCE and found.f1 >= F1
    monkeypatch.setattr(network, "measure", lambda *_: None)
    alone = agreement(learned, x, learned.voxel, tiling)
    assert alone.difference > 2 * found.difference and alone.f1 < found.f1


def test_tiles_agree_with_the_whole_in_3d(monkeypatch):
    image, _ = nuclei((24, 64, 64), 40, 3, 0.4)
    x = Normalisation().measure([image])(image)
    made = segmenter(3)
    tiling = Tiling(tile=(24, 40, 40), precision="32")
    found = agreement(made, x, made.voxel, tiling).difference
    monkeypatch.setattr(network, "measure", lambda *_: None)
    assert found < 0.05 and found < 0.8 * agreement(made, x, made.voxel, tiling).difference  # weights are random


def test_one_tile_is_the_whole_and_batches_change_nothing():
    made = segmenter()
    x = nuclei((64, 96), 20, 0)[0].astype(np.float32) / 3000
    whole = probabilities(made, x, Tiling(precision="32"))
    assert whole.shape == (1, 64, 96) and whole.dtype == np.float32
    np.testing.assert_array_equal(probabilities(made, x, Tiling(tile=(64, 96), precision="32")), whole)
    one, three = (probabilities(made, x, Tiling(tile=(32, 32), batch=b, precision="32")) for b in (1, 3))
    np.testing.assert_allclose(one, three, atol=1e-4)
    half = probabilities(made, x, Tiling(precision="bf16"))
    assert 0 < np.abs(half - whole).mean() < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (17, 19), (5, 33, 18)])
def test_any_size_goes_through(shape):
    made = segmenter(len(shape))
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    done = []
    out = probabilities(made, x, Tiling(), lambda now, total: done.append((now, total)))
    assert out.shape == (1, *shape) and np.isfinite(out).all() and done == [(1, 1)]


def test_progress_counts_tiles():
    made, x = segmenter(), np.zeros((64, 64), np.float32)
    done = []
    probabilities(made, x, Tiling(tile=(32, 64), overlap=0), lambda now, total: done.append((now, total)))
    assert done == [(1, 2), (2, 2)]


def test_a_budget_bounds_what_the_network_sees():
    made, seen = segmenter(), []
    made.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numel()))
    probabilities(made, np.random.default_rng(0).random((200, 300), dtype=np.float32), Tiling(voxels=20_000))
    assert 10_000 < max(seen) <= 20_000


def test_mirrored_views_make_the_network_blind_to_left_and_right():
    made, x = segmenter(), np.random.default_rng(0).uniform(-1, 1, (32, 48)).astype(np.float32)
    tiling = Tiling(precision="32", mirror=True)
    drawn = probabilities(made, x, tiling)
    for axis in (0, 1):
        again = np.flip(probabilities(made, np.ascontiguousarray(np.flip(x, axis)), tiling), axis + 1)
        np.testing.assert_allclose(again, drawn, atol=1e-5)
    assert np.abs(probabilities(made, x, Tiling(precision="32")) - drawn).max() > 1e-3
