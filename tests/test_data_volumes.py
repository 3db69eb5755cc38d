"""Volumes: folders, globs and stacks, axes that are declared, lazy arrays, threads and workers, damaged files."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cytoshift.core.errors import UserError
from cytoshift.core.lazy_array import complete_index
from cytoshift.core.voxel import Voxel
from cytoshift.data.lazy import SpatialView, StackedArray
from cytoshift.data.volumes import ImageSource, image_source, open_labels, open_volumes

STACK = {"axes": "zyx", "voxel": "2,1,1", "unit": "px"}


def ramp(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def one(path: Path | str, **flags):
    (volume,) = open_volumes(image_source(path, **flags))
    return volume


# --- folders, globs, stacks -------------------------------------------------------------------------------------------


@pytest.fixture
def slices(tmp_path) -> Path:
    folder = tmp_path / "slices"
    folder.mkdir()
    for z in range(12):
        tifffile.imwrite(folder / f"s_{z}.tif", np.full((6, 7), z, np.uint8))
    (folder / "notes.txt").write_text("ten was out of focus")
    (folder / "._s_0.tif").write_bytes(b"what a Mac leaves behind")
    return folder


def test_a_folder_is_many_images_in_natural_order(slices):
    volumes = open_volumes(slices)
    assert [v.name for v in volumes] == [f"s_{z}" for z in range(12)]
    assert [int(v.load()[0, 0]) for v in volumes] == list(range(12))


def test_or_one_stack_where_that_is_declared(slices):
    for paths in (slices, f"{slices}/s_*.tif", sorted(str(slices / f"s_{z}.tif") for z in range(12))):
        volume = one(paths, **STACK)
        assert (volume.shape, volume.voxel) == ((12, 6, 7), Voxel((2.0, 1.0, 1.0)))
        assert volume.load()[:, 0, 0].tolist() == list(range(12))
        assert volume.array[10, 0, 0] == 10 and volume.array[2:9:3, 1, 1:3].shape == (3, 2)
        assert volume.name == ("slices" if paths == slices else "s")


def test_frames_may_lie_in_a_folder_too(slices):
    assert len(open_volumes(image_source(slices, axes="tyx"))) == 12


def test_stacks_in_a_folder_stay_stacks(tmp_path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", ramp(3, 4, 5))
    assert [v.shape for v in open_volumes(image_source(tmp_path, **STACK))] == [(3, 4, 5)] * 2


def test_names_are_unique(tmp_path):
    for folder in ("day1", "day2"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", ramp(4, 5))
    Image.fromarray(ramp(4, 5, dtype="uint8")).save(tmp_path / "day1" / "a.png")
    assert [v.name for v in open_volumes(f"{tmp_path}/*/a.npy")] == ["day1_a", "day2_a"]
    labels = open_labels(tmp_path / "day1")
    assert [v.name for v in labels] == ["day1_a_npy", "day1_a_png"]


def test_declared_axes_overrule_wrong_metadata(tmp_path):
    image = ramp(5, 8, 9)
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, metadata={"axes": "TYX", "unit": "um"}, resolution=(4, 4))
    assert len(open_volumes(tmp_path / "a.tif")) == 5
    volume = one(tmp_path / "a.tif", axes="zyx", voxel="1,0.25,0.25", unit="um")
    assert volume.shape == (5, 8, 9) and (volume.load() == image).all()


def test_colours_in_a_stack(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (4, 8, 10, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    for axes in ("zyx", "zyxs"):
        assert (one(tmp_path / "a.tif", **{**STACK, "axes": axes}, channel=1).load() == image[..., 1]).all()
    np.save(tmp_path / "a.npy", image[0])
    assert one(tmp_path / "a.npy", axes="yxs", channel="luminance").shape == (8, 10)
    assert (one(tmp_path / "a.npy", axes="yxc", channel=2).load() == image[0, ..., 2]).all()


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    header = np.lib.format.open_memmap(tmp_path / "huge.npy", mode="w+", dtype=np.uint16, shape=(2000, 4000, 4000))
    header[1500, 100, 200] = 7  # a sparse file: 64 GB by its header
    header.flush()
    volume = one(tmp_path / "huge.npy", **STACK)
    assert volume.array.nbytes == 64_000_000_000
    assert volume.array[1500, 99:102, 199:202].tolist() == [[0, 0, 0], [0, 7, 0], [0, 0, 0]]


# --- the lazy array ---------------------------------------------------------------------------------------------------

SLICES = st.one_of(
    st.integers(-3, 2),
    st.builds(slice, st.integers(-4, 4), st.integers(-4, 4), st.integers(1, 3)),
    st.just(slice(None)),
)


@settings(max_examples=60, deadline=None)
@given(index=st.lists(SLICES, max_size=3).map(tuple), ellipsis=st.booleans())
def test_indexing_is_numpys(index, ellipsis):
    image = ramp(3, 4, 5)

    class Memory:
        shape, dtype = image.shape, image.dtype

        def read(self, region):
            return image[region]

    view = SpatialView(Memory(), (None, None, None), (0, 1, 2))
    index = (*index, ...) if ellipsis else index
    assert np.array_equal(view[index], image[index]) and view[index].shape == image[index].shape
    turned = SpatialView(Memory(), (None, 2, None), (2, 0))
    assert np.array_equal(turned[...], image[:, 2].T)
    flat = [SpatialView(Memory(), (z, None, None), (1, 2)) for z in range(3)]
    assert np.array_equal(StackedArray(flat)[index], image[index])
    assert np.array_equal(np.asarray(view), image)


def test_what_cannot_be_indexed():
    for index, error in (((1, 2, 3), IndexError), ((slice(None, None, -1),), IndexError), ((9,), IndexError)):
        with pytest.raises(error):
            complete_index(index, (3, 4))


@pytest.fixture
def every_kind(tmp_path) -> list:
    image = ramp(4, 24, 26)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", compression="zlib")
    np.save(tmp_path / "b.npy", image)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["raw"] = image
    zarr.create_array(tmp_path / "d.zarr", data=image, chunks=(2, 8, 8))
    (tmp_path / "e").mkdir()
    for z in range(4):
        Image.fromarray(image[z]).save(tmp_path / "e" / f"{z}.png")
    names = ("a.tif", "b.npy", "c.h5", "d.zarr", "e")
    return [(image, one(tmp_path / name, **STACK)) for name in names]


def test_threads_share_a_volume(every_kind):
    for image, volume in every_kind:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda z, array=volume.array: array[z % 4], range(16)))
        assert all((plane == image[z % 4]).all() for z, plane in enumerate(found))


def test_workers_receive_a_volume(every_kind):
    for image, volume in every_kind:
        assert (pickle.loads(pickle.dumps(volume)).array[1:3] == image[1:3]).all()


# --- damage -----------------------------------------------------------------------------------------------------------


def write_all(folder: Path, image: np.ndarray) -> list[Path]:
    tifffile.imwrite(folder / "plain.tif", image, photometric="minisblack")
    tifffile.imwrite(folder / "zlib.tif", image, photometric="minisblack", compression="zlib")
    tifffile.imwrite(folder / "ij.tif", image, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "ome.tif", image, ome=True, metadata={"axes": "ZYX"}, compression="zlib")
    tifffile.imwrite(folder / "tiled.tif", image, tile=(16, 16), photometric="minisblack", compression="zlib")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("raw", data=image, chunks=(1, 24, 26), compression="gzip")
    np.save(folder / "a.npy", image)
    Image.fromarray(image[0]).save(folder / "a.png")
    return sorted(folder.iterdir())


def test_a_file_that_was_cut_short_is_refused_or_read_right(tmp_path):
    """The worst answer is a stack with fewer slices, or with zeros in it."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    image = np.random.default_rng(0).poisson(20, (6, 24, 26)).astype(np.uint8)
    for path in write_all(whole, image):
        content = path.read_bytes()
        for length in np.linspace(0, len(content) - 1, 25).astype(int):
            (cut / path.name).write_bytes(content[:length])
            try:
                flat = path.suffix == ".png"
                volume = one(cut / path.name) if flat else one(cut / path.name, **STACK)
                part = volume.array[3:5] if not flat else image[3:5]
                assert (volume.load() == (image[0] if flat else image)).all() and (part == image[3:5]).all()
            except UserError as error:
                assert "\n" not in str(error) and path.name in str(error)


def test_source_is_checked_and_frozen():
    source = ImageSource(paths="a.tif", axes="ZYX")
    assert source.axes == "zyx"
    assert ImageSource(paths=[Path("a.tif"), Path("b.tif")]).paths == ["a.tif", "b.tif"]
