"""Numbers of whole volumes out of blocks: those of numpy over all voxels, whatever the blocks, and after a kill."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cytoshift.core import statistics
from cytoshift.core.blocks import chunk_boxes
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation, Scales, measure
from cytoshift.core.statistics import StatisticsPass, summary, values_of, wide_keys
from cytoshift.core.voxel import Voxel
from cytoshift.data import resumable_statistics as counting
from cytoshift.data.lazy import StackedArray
from cytoshift.data.resumable_statistics import CountingEngine, fingerprint, measure_scale
from cytoshift.data.volumes import Volume

DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "uint32", "float16", "float32", "float64")
FLOAT32 = st.floats(allow_nan=False, allow_infinity=False, width=32)


class Read:
    """An array in chunks that notes what is read of it, and may break."""

    def __init__(self, array, chunks=None, stop=10**9):
        self.array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, chunks
        self.regions, self.stop = [], stop

    def __getitem__(self, region):
        if len(self.regions) >= self.stop:
            raise KeyboardInterrupt
        self.regions.append(region)
        return self.array[region]


def volume(array, axes="zyx"):
    return Volume("a", array, axes, Voxel((1.0,) * len(axes)), "a.tif")


@settings(max_examples=50, deadline=None)
@given(shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=12), voxels=st.integers(1, 200), data=st.data())
def test_boxes_tile_and_cut_no_chunk(shape, voxels, data):
    chunks = data.draw(st.none() | st.tuples(*(st.integers(1, n) for n in shape)))
    seen = np.zeros(shape, int)
    for region in chunk_boxes(shape, chunks, voxels):
        seen[region] += 1
        sizes = [s.stop - s.start for s in region]
        assert np.prod(sizes) <= max(voxels, np.prod(chunks or 1))
        assert all(
            s.start % c == 0 and (s.stop % c == 0 or s.stop == n)
            for s, c, n in zip(region, chunks or [1] * len(shape), shape)
        )
    assert (seen == 1).all()


def test_boxes_take_what_lies_together():
    assert [s[0] for s in chunk_boxes((6, 4, 5), None, 40)] == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert next(chunk_boxes((64, 64, 64), (8, 16, 16), 2 * 8 * 16 * 64)) == (slice(0, 8), slice(0, 32), slice(0, 64))


@settings(max_examples=30, deadline=None)
@given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    block=st.integers(30, 300),
    low=st.floats(0, 49),
    high=st.floats(50, 100),
)
def test_percentiles_are_those_of_numpy(data, dtype, block, low, high):
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else None
    image = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=3, max_side=8), elements=elements))
    if dtype == "float64":
        image = np.clip(image, -1e30, 1e30)
    before, statistics.READ_VOXELS = statistics.READ_VOXELS, block
    try:
        found = summary([image], (low, high))
    finally:
        statistics.READ_VOXELS = before
    as_seen = image.astype(np.float32)
    assert np.allclose(found.percentiles, np.percentile(as_seen, (low, high)), rtol=1e-6, atol=0)
    if dtype in ("uint8", "int8", "uint16", "int16"):
        assert found.percentiles == tuple(np.percentile(as_seen, (low, high)).tolist())
    exact = image.astype(np.float64)
    assert np.isclose(found.mean, exact.mean(), rtol=1e-9, atol=1e-9 * np.abs(exact).max())
    assert np.isclose(found.std, exact.std(), rtol=1e-6, atol=1e-9 * np.abs(exact).max())


@given(st.lists(FLOAT32, min_size=1, max_size=30))
def test_keys_rise_and_lead_back(numbers):
    values = np.array(numbers, np.float32)
    keys = wide_keys(values)
    assert (values_of(keys) == values).all()
    assert (values[np.argsort(keys)] == np.sort(values)).all()


@pytest.mark.parametrize("kind", ["percentile", "minmax", "zscore"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_blocks_chunks_and_notes_change_no_number(tmp_path, monkeypatch, kind, dtype):
    image = np.random.default_rng(0).normal(300, 50, (13, 20, 17)).astype(dtype)
    recipe = Normalisation(kind=kind)
    whole = recipe.measure([image])
    monkeypatch.setattr(statistics, "READ_VOXELS", 100)
    by_blocks = measure_scale(recipe, volume(Read(image, (4, 5, 8))), tmp_path)
    assert by_blocks.offset == pytest.approx(whole.offset, rel=1e-12) and by_blocks.clip == whole.clip
    assert by_blocks.gain == pytest.approx(whole.gain, rel=1e-12)
    assert dtype == "float32" or kind == "zscore" or by_blocks == whole


def test_more_voxels_than_a_sample_are_all_heard(monkeypatch):
    image = np.zeros((50, 50, 50), np.uint8)
    image[1, 1, 1] = 200
    monkeypatch.setattr("cytoshift.core.normalise.SAMPLE_VOXELS", 1000)
    assert Normalisation(kind="minmax").measure([image]).offset == 100


def test_a_pass_goes_on_after_a_kill(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "READ_VOXELS", 100)
    monkeypatch.setattr(counting, "BLOCKS_TOGETHER", 2)
    monkeypatch.setattr(counting, "NOTE_SECONDS", 0.0)
    image = np.random.default_rng(0).normal(0, 1, (10, 10, 10)).astype(np.float32)
    whole = Normalisation().measure([image])
    seen = []
    for stop in (70, 57, 1000):  # in each of two passes 27 cubes of the fingerprint come first, then 10 blocks
        one = Read(image, stop=stop)
        with contextlib.suppress(KeyboardInterrupt):
            found = measure_scale(Normalisation(), volume(one), tmp_path)
        seen.append(len(one.regions))
    assert found == whole
    assert seen == [70, 57, 2 * 27 + 2]  # the last one has the first pass and eight blocks of the second already
    again = Read(image)
    assert measure_scale(Normalisation(), volume(again), tmp_path) == whole and len(again.regions) == 2 * 27


def test_another_volume_begins_again(tmp_path):
    image = np.arange(1000, dtype=np.uint16).reshape(10, 10, 10)
    measure_scale(Normalisation(), volume(image), tmp_path)
    other = image.copy()
    other[0, 0, 0] = 9
    assert fingerprint(image) != fingerprint(other) != fingerprint(other.astype(np.int16))
    assert measure_scale(Normalisation(), volume(other * 2), tmp_path) == Normalisation().measure([other * 2])
    (tmp_path / "count0.npz").write_bytes(b"PK\x03\x04 nothing of ours")
    assert measure_scale(Normalisation(), volume(image), tmp_path) == Normalisation().measure([image])


def test_channels_have_numbers_of_their_own(tmp_path):
    image = np.stack([np.arange(1000, dtype=np.uint16).reshape(10, 10, 10)] * 2)
    image[1] *= 3
    found = measure_scale(Normalisation(), volume(StackedArray((image[0], image[1]))), tmp_path)
    assert isinstance(found, Scales) and found == measure(Normalisation(), [list(image)])
    assert found.each[1].offset == 3 * found.each[0].offset


def test_what_is_no_number_is_refused_and_named(tmp_path):
    for bad in (np.inf, -np.inf):
        image = np.ones((4, 4, 4), np.float64)
        image[3, 3, 3] = bad
        with pytest.raises(UserError, match=r"a\.tif: the image holds infinite values"):
            measure_scale(Normalisation(), volume(image))


def test_a_range_that_is_given_reads_nothing():
    one = Read(np.zeros((4, 4, 4), np.uint8))
    assert measure_scale(Normalisation(kind="range", low=0, high=200), volume(one)).offset == 100 and not one.regions


def test_an_engine_has_the_work(tmp_path):
    calls = []

    def run(function, regions):
        calls.append(len(regions))
        return [function(region) for region in regions]

    image = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    assert CountingEngine("a", None, run)("count", StatisticsPass(False), [image]).counts[
        0, :64
    ].sum() == 64 and calls == [1]
