"""What every room stands on, on numbers that can be checked by eye."""

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoshift.core.atomic import atomic_path
from cytoshift.core.blocks import BlockGrid, centre_box, relative_region, split_region
from cytoshift.core.errors import UserError
from cytoshift.core.evenly import first_of_parts, middles_of_parts, take_evenly
from cytoshift.core.normalise import Normalisation, Scale, sample_voxels
from cytoshift.core.rng import integer, stream
from cytoshift.core.settings import Settings, parse, read_yaml
from cytoshift.core.voxel import Voxel


def test_percentiles_become_minus_one_and_one():
    image = np.arange(101, dtype=np.uint16)
    scale = Normalisation(low=10, high=90).measure([image])
    assert scale == Scale(offset=50.0, gain=2 / 80, clip=(-1.0, 1.0))
    assert scale(np.array([0, 10, 50, 90, 100])).tolist() == [-1, -1, 0, 1, 1]


def test_dark_objects_are_turned_bright_and_gamma_lifts_the_dim():
    image = np.array([0, 1, 4], np.uint8)
    assert Normalisation(kind="minmax", invert=True).measure([image])(image).tolist() == [1, 0.5, -1]
    assert Normalisation(kind="minmax", gamma=0.5).measure([image])(image).tolist() == [-1, 0, 1]


def test_zscore_and_several_volumes():
    scale = Normalisation(kind="zscore", reach=1.5).measure([np.array([0.0, 2.0]), np.array([0.0, 2.0])])
    assert (scale.offset, scale.gain) == (1.0, 1.0)
    assert scale(np.array([0.0, 2.0, 9.0])).tolist() == [-1, 1, 1.5]
    with pytest.raises(ValueError, match="which zscore does not have"):
        Normalisation(kind="zscore", gamma=0.5)


def test_a_constant_image_is_no_error_and_infinity_is():
    assert Normalisation().measure([np.full((4, 4), 7)])(np.full((4, 4), 7)).tolist() == [[0.0] * 4] * 4
    with pytest.raises(UserError, match="infinite"):
        Normalisation().measure([np.array([1.0, np.inf])])


@pytest.mark.parametrize("kind", ["percentile", "minmax", "zscore"])
@pytest.mark.parametrize("invert", [False, True])
def test_nan_is_no_data(kind, invert):
    known = np.random.default_rng(0).normal(100, 10, 4000)
    bordered = np.concatenate([np.full(3000, np.nan), known, np.full(500, -np.nan)]).astype(np.float32)
    recipe = Normalisation(kind=kind, invert=invert)
    scale, plain = recipe.measure([bordered]), recipe.measure([known.astype(np.float32)])
    assert (scale.offset, scale.gain) == pytest.approx((plain.offset, plain.gain))
    assert set(scale(bordered)[:3000]) == {-1.0} and np.isfinite(scale(bordered)).all()
    assert np.isfinite(sample_voxels(bordered)).all()
    with pytest.raises(UserError, match="nothing but NaN"):
        recipe.measure([np.full(9, np.nan, np.float32)])


def test_an_almost_empty_image_uses_its_extremes():
    image = np.zeros((100, 100), np.uint8)
    image[3, 3] = 200  # one voxel in ten thousand: both percentiles are 0
    assert Normalisation().measure([image])(image).max() == 1


def test_streams_are_apart_by_name_and_the_same_again():
    assert stream(0, "a", 1).random() == stream(0, "a", 1).random()
    seeds = [integer(s, name, i) for s in (0, 1) for name in ("a", "b") for i in (0, 1)]
    assert len(set(seeds)) == 8 and all(0 <= seed < 2**63 for seed in seeds)


def test_voxels():
    voxel = Voxel.of((2, 0.5, 0.5), "micron")
    assert voxel == Voxel((2.0, 0.5, 0.5), "um") and voxel.volume == 0.5 and voxel.anisotropy == (4, 1, 1)
    assert Voxel.of((50, 4.6, 4.6), "nm").size == (0.05, 0.0046, 0.0046)
    assert voxel.voxels(1.0) == (0.5, 2, 2)
    bad = (((1, 1), "parsec", "not known"), ((0, 1), "um", "positive"), ((1,), "px", "two or three"))
    for size, unit, words in bad:
        with pytest.raises(UserError, match=words):
            Voxel.of(size, unit)


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with atomic_path(path) as beside:
        beside.write_text("one")
    with pytest.raises(RuntimeError), atomic_path(path) as beside:
        beside.write_text("half")
        raise RuntimeError("killed")
    assert path.read_text() == "one" and [p.name for p in path.parent.iterdir()] == ["a.txt"]
    with atomic_path(tmp_path / "folder") as beside:
        beside.mkdir()
        (beside / "x").write_text("x")
    with atomic_path(tmp_path / "folder") as beside:
        beside.mkdir()
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path):
    sentence = r"cannot write .*a.txt: No space left on device; free space or choose"
    with pytest.raises(UserError, match=sentence), atomic_path(tmp_path / "a.txt") as beside:
        raise OSError(28, "No space left on device", str(beside))


class Inner(Settings):
    lr: float = 1.0


class Outer(Settings):
    train: Inner = Inner()
    name: str


@pytest.mark.parametrize(
    ("text", "overrides", "sentence"),
    [
        ("name: a", ["train.rate=1"], "'train.rate' is not a setting; there are lr"),
        ("train: {lr: 1}", [], "'name' is missing; set name=..."),
        ("name: a", ["train.lr=fast"], "train.lr = 'fast': input should be a valid number"),
        ("name: a", ["train.lr"], "'train.lr' is not key=value"),
        ("name: a", ["train.lr=["], "the value of 'train.lr=[' cannot be read"),
        ("name: a", ["name.x=1"], "'name.x': 'name' is a value, not a group"),
        ("name: [", [], "is not valid YAML at line"),
        ("- a", [], "does not hold settings"),
    ],
)
def test_bad_settings_are_one_sentence(tmp_path, text, overrides, sentence):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        parse(Outer, read_yaml(path, overrides), "run.yaml")
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_missing_settings_file_and_override(tmp_path):
    with pytest.raises(UserError, match="does not exist; write one with 'cytoshift new'"):
        read_yaml(tmp_path / "no.yaml")
    (tmp_path / "run.yaml").write_text("name: a")
    assert parse(Outer, read_yaml(tmp_path / "run.yaml", ["train.lr=2e-1"])).train.lr == 0.2


class Renamed(Settings):
    renamed: ClassVar[dict[str, str]] = {"shade": "bias_field"}

    bias_field: float = 0.0


class RenamedTwice(Renamed):
    renamed: ClassVar[dict[str, str]] = {"old": "new"}

    new: int = 0


def test_an_old_name_of_a_setting_works_and_says_the_new_one(caplog):
    assert parse(Renamed, {"shade": 0.5}).bias_field == 0.5
    assert [record.getMessage() for record in caplog.records] == [
        "the setting 'shade' is called 'bias_field' now; the old name works until the next version"
    ]
    caplog.clear()
    assert parse(Renamed, {"bias_field": 0.5}).model_dump() == {"bias_field": 0.5} and not caplog.records
    assert parse(Renamed, {"bias_field": 0.1, "shade": 0.5}).bias_field == 0.5  # an override stands last
    assert parse(RenamedTwice, {"shade": 0.5, "old": 1}) == RenamedTwice(bias_field=0.5, new=1)
    with pytest.raises(UserError, match="'light' is not a setting; there are bias_field"):
        parse(Renamed, {"light": 0.5})


@settings(deadline=None)
@given(st.data())
def test_blocks_tile_and_neighbours_see_the_same_face(data):
    ndim = data.draw(st.integers(1, 3))
    shape = tuple(data.draw(st.integers(1, 17)) for _ in range(ndim))
    size = tuple(data.draw(st.integers(1, 9)) for _ in range(ndim))
    halo = tuple(data.draw(st.integers(0, s)) for s in size)
    volume = np.arange(np.prod(shape)).reshape(shape)
    count = np.zeros(shape, int)
    grid = BlockGrid(shape, size, halo)
    pairs = set()
    for number, block in enumerate(grid):
        assert grid.number(block.index) == number
        for box in split_region(block.write, tuple(max(n // 2, 1) for n in size)):
            count[box] += 1
        assert (volume[block.read][block.inner] == volume[block.write]).all()
        pairs |= {(number, other) for other in grid.later_neighbours(number)}
    assert (count == 1).all()
    reach = tuple(min(h, 2) for h in halo)
    for a, b in ((p, q) for p in range(len(grid)) for q in range(p + 1, len(grid))):
        near = all(abs(i - j) <= 1 for i, j in zip(grid[a].index, grid[b].index))
        assert ((a, b) in pairs) == near
        if near:
            slab = grid.interface(grid[a], grid[b], reach)
            for one in (grid[a], grid[b]):
                assert (volume[one.read][relative_region(slab, one.read)] == volume[slab]).all()


def test_a_file_takes_no_folder_s_place(tmp_path):
    (tmp_path / "a.csv").mkdir()
    (tmp_path / "a.csv" / "kept").touch()
    with pytest.raises(UserError, match="cannot write"), atomic_path(tmp_path / "a.csv") as beside:
        beside.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"] and (tmp_path / "a.csv" / "kept").exists()
    with pytest.raises(UserError, match="there is a file where its folder would be"):
        (tmp_path / "b").touch()
        with atomic_path(tmp_path / "b" / "c.csv"):
            pass


def test_the_middle_of_a_box_keeps_its_proportions():
    assert centre_box((100, 10), 250) == (slice(25, 75), slice(2, 7))
    assert centre_box((40, 4096, 4096), 2**22) == (slice(16, 23), slice(1671, 2425), slice(1671, 2425))
    assert centre_box((3, 3), 100) == (slice(0, 3), slice(0, 3))


def test_a_few_of_many_lie_evenly_among_all():
    assert take_evenly(range(3), 200) == first_of_parts(range(3), 200) == middles_of_parts(3, 3) == [0, 1, 2]
    chosen = take_evenly(range(1000), 200)
    assert len(chosen) == 200 and (chosen[0], chosen[-1]) == (0, 999)
    assert first_of_parts(range(1000), 4) == [0, 250, 500, 750] and middles_of_parts(1000, 4) == [125, 375, 625, 875]
