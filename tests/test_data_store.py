"""Volumes written region by region: the same as written whole, from several processes, and after a kill."""

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data import pyramid as rule
from cytoshift.data.store import NOTE, ImageStore, LabelStore, part_folder
from cytoshift.data.volumes import ImageSource, open_labels, open_volumes
from cytoshift.data.write import write_image, write_labels

UM2, UM3 = Voxel((0.5, 0.25), "um"), Voxel((2.0, 0.5, 0.5), "um")


def filled(store, array):
    for region in store.regions():
        store[region] = array[region]
    return store


def same_folders(one: Path, other: Path) -> bool:
    """The same files with the same bytes, metadata included."""
    files = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (one, other)]
    return files[0] == files[1]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), ndim=st.sampled_from([2, 3]), ngff=st.sampled_from(["0.4", "0.5"]), labels=st.booleans())
def test_in_parts_is_as_whole(tmp_path, data, ndim, ngff, labels):
    shape = data.draw(st.tuples(*[st.integers(1, 11)] * ndim))
    voxel = Voxel(data.draw(st.tuples(*[st.sampled_from([0.5, 1.0, 2.0])] * ndim)), "um")
    array = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint16) * 100
    axes = "zyx"[-ndim:]
    kind, write = (LabelStore, write_labels) if labels else (ImageStore, write_image)
    before, rule.COARSEST_SIDE = rule.COARSEST_SIDE, 2
    try:
        store = kind.create(tmp_path / "a.zarr", shape, array.dtype, voxel, axes, ngff, chunks=(3,) * ndim)
        filled(store, array).finish()
        write(tmp_path / "b.zarr", array, voxel, axes, ngff)
        one, other = zarr.open_group(tmp_path / "a.zarr", mode="r"), zarr.open_group(tmp_path / "b.zarr", mode="r")
        assert sorted(one) == sorted(other) and len(sorted(one)) == len(store.levels)
        assert all(np.array_equal(one[name][...], other[name][...]) for name in one)
        said = [str(g.attrs.asdict()).replace("'b'", "'a'") for g in (one, other)]
        assert said[0] == said[1]
    finally:
        rule.COARSEST_SIDE = before


@pytest.mark.parametrize("ngff", ["0.4", "0.5"])
def test_to_the_byte_as_written_whole(tmp_path, ngff):
    labels = np.kron(np.arange(1, 7, dtype=np.uint8).reshape(2, 3), np.ones((300, 300), np.uint8))
    store = LabelStore.create(tmp_path / "1" / "a.ome.zarr", labels.shape, np.uint8, UM2, "yx", ngff)
    filled(store, labels).finish()
    write_labels(tmp_path / "2" / "a.ome.zarr", labels, UM2, "yx", ngff)
    assert same_folders(tmp_path / "1", tmp_path / "2")


def test_a_series_and_what_reads_it(tmp_path):
    models = pytest.importorskip("ome_zarr_models")
    labels = np.zeros((3, 5, 300, 310), np.uint64)
    labels[1, 2, 100:200, 20:90] = 2**40
    for ngff in ("0.4", "0.5"):
        store = LabelStore.create(tmp_path / "a.zarr", labels.shape, np.uint64, UM3, "tzyx", ngff)
        assert store.unit == (1, 5, 128, 128)
        path = filled(store, labels).finish(notes={"model": "m"})
        group = models.open_ome_zarr(zarr.open_group(path, mode="r"))
        assert type(group).__name__ == "ImageLabel"
        frames = open_labels(ImageSource(paths=str(path)))
        assert [f.shape for f in frames] == [(5, 300, 310)] * 3 and frames[0].voxel == UM3
        assert all((frame.load() == labels[t]).all() for t, frame in enumerate(frames))
        coarse = open_labels(ImageSource(paths=str(path), level=1))
        assert [f.shape for f in coarse] == [(5, 150, 155)] * 3 and coarse[1].load().max() == 2**40
        assert zarr.open_group(path, mode="r").attrs["cytoshift"] == {"model": "m"}


def test_channels_of_an_image(tmp_path):
    image = np.arange(2 * 3 * 20 * 300, dtype=np.uint16).reshape(2, 3, 20, 300)
    path = filled(ImageStore.create(tmp_path / "a.ome.zarr", image.shape, "uint16", UM3, "czyx"), image).finish()
    (second,) = open_volumes(ImageSource(paths=str(path), channel=1))
    assert (second.load() == image[1]).all() and second.voxel == UM3


def test_labels_of_an_image(tmp_path):
    image = write_image(tmp_path / "i.ome.zarr", np.zeros((60, 50), np.uint8), UM2, "yx", "0.4")
    labels = np.full((60, 50), 7, np.uint16)
    store = LabelStore.create(f"{image}::labels/nuclei", labels.shape, np.uint16, UM2, "yx")
    assert store.ngff == "0.4" and not (image / "labels" / "nuclei").exists()
    assert filled(store, labels).finish() == image / "labels" / "nuclei"
    (again,) = open_labels(image)
    assert (again.load() == 7).all() and again.voxel == UM2


def test_shards_hold_many_chunks(tmp_path):
    labels = np.arange(40 * 50, dtype=np.uint32).reshape(40, 50)
    store = LabelStore.create(tmp_path / "a.zarr", labels.shape, "uint32", UM2, "yx", chunks=(8, 8), shards=(32, 32))
    assert store.unit == (32, 32) and len(list(store.regions())) == 4
    path = filled(store, labels).finish()
    assert (open_labels(path)[0].load() == labels).all()
    assert len([p for p in (path / "0").rglob("*") if p.is_file() and p.name != "zarr.json"]) == 4
    with pytest.raises(UserError, match=r"need NGFF 0.5 and sizes that are multiples of the chunks"):
        LabelStore.create(tmp_path / "a.zarr", (40, 50), "uint32", UM2, "yx", chunks=(8, 8), shards=(30, 32))


def fill(store, region):
    store[region] = np.full([r.stop - r.start for r in region], 1 + region[0].start + region[1].start, np.uint32)


def test_several_processes_write(tmp_path):
    store = LabelStore.create(tmp_path / "a.zarr", (70, 600), "uint32", UM2, "yx", chunks=(32, 256))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(fill, [store] * 9, store.regions()))
        path = store.finish(pool.map)
    labels = open_labels(path)[0].load()
    assert labels[0, 0] == 1 and labels[64, 512] == 577 and (labels > 0).all()
    assert (open_labels(ImageSource(paths=str(path), level=1))[0].load() == labels[:, ::2]).all()


KILLED = """
import os, sys, numpy as np
from cytoshift.core.voxel import Voxel
from cytoshift.data import store as stores
store = stores.LabelStore.create(sys.argv[1], (64, 600), "uint8", Voxel((1.0, 1.0)), "yx", chunks=(32, 32))
after = int(sys.argv[2])
for number, region in enumerate(store.regions()):
    if number == after:
        os.kill(os.getpid(), 9)
    store[region] = np.full([r.stop - r.start for r in region], 1 + number % 200, np.uint8)
coarsen, calls = store.coarsen, []
def killed(level, region):
    calls.append(level)
    if len(calls) == after - 38:
        os.kill(os.getpid(), 9)
    stores.LabelStore.coarsen(store, level, region)
object.__setattr__(store, "coarsen", killed)
store.finish()
"""


def test_a_kill_loses_nothing(tmp_path):
    whole, killed = tmp_path / "1" / "a.zarr", tmp_path / "2" / "a.zarr"
    run = lambda path, after: subprocess.run([sys.executable, "-c", KILLED, str(path), str(after)]).returncode
    assert run(whole, 1000) == 0
    for after in (5, 40, 50):
        assert run(killed, after) == -signal.SIGKILL
        assert not killed.exists() and part_folder(killed).is_dir()
        assert LabelStore.reopen(killed)[0, 0] == 1
    assert run(killed, 1000) == 0
    assert same_folders(tmp_path / "1", tmp_path / "2")


def test_goes_on_with_the_same_and_begins_with_another(tmp_path):
    make = lambda dtype="uint8", **more: LabelStore.create(tmp_path / "a.zarr", (40, 50), dtype, UM2, "yx", **more)
    first = make(chunks=(20, 50))
    assert not first.continued
    first[:20] = np.ones((20, 50), np.uint8)
    again = make(chunks=(20, 50))
    assert again.continued and again[...].sum() == 1000 and pickle.loads(pickle.dumps(again))[19, 3] == 1
    assert LabelStore.reopen(tmp_path / "a.zarr").description == first.description
    other = make("uint16", chunks=(20, 50))
    assert not other.continued and other[...].sum() == 0
    (part_folder(tmp_path / "a.zarr") / NOTE).write_text("{")  # a note that was cut short
    assert not make("uint16", chunks=(20, 50)).continued
    with pytest.raises(UserError, match=r"nothing at .*b\.zarr that could be continued"):
        LabelStore.reopen(tmp_path / "b.zarr")
    with pytest.raises(UserError, match=r"nothing at .* that could be continued"):
        ImageStore.reopen(tmp_path / "a.zarr")


def test_only_whole_chunks_are_written(tmp_path):
    store = LabelStore.create(tmp_path / "a.zarr", (40, 50), "uint8", UM2, "yx", chunks=(16, 16))
    for region in ((slice(0, 8), slice(0, 16)), (slice(8, 16), slice(0, 16)), (slice(0, 16, 2), slice(0, 16))):
        with pytest.raises(ValueError, match="not in multiples of 16"):
            store[region] = np.zeros((8, 16), np.uint8)
    store[32:40, 48:50] = np.ones((8, 2), np.uint8)
    assert store[...].sum() == 16


@pytest.mark.parametrize(
    ("path", "shape", "dtype", "axes", "words"),
    [
        ("a.tif", (4, 5), "uint8", "yx", "ends in .ome.zarr"),
        ("a.zarr", (4, 5), "uint8", "zyx", "all three need one entry per axis"),
        ("a.zarr", (2, 4, 5), "uint8", "syx", "all three need one entry per axis"),
        ("a.zarr", (0, 5), "uint8", "yx", "holds nothing to write"),
        ("a.zarr", (4, 5), "int32", "yx", "only as uint8 to uint64"),
        ("b.zarr::labels/n", (4, 5), "uint8", "yx", "no OME-Zarr image to put labels into"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path, path, shape, dtype, axes, words):
    with pytest.raises(UserError, match=words):
        LabelStore.create(tmp_path / path, shape, dtype, UM2, axes)


def test_a_full_disk_is_a_sentence_and_nothing_is_lost(tmp_path, monkeypatch):
    store = LabelStore.create(tmp_path / "a.zarr", (40, 50), "uint8", UM2, "yx", chunks=(20, 50))
    store[:20] = np.ones((20, 50), np.uint8)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("zarr.storage._local._put", full)
        with pytest.raises(UserError, match="No space left on device; free space"):
            store[20:] = np.ones((20, 50), np.uint8)
    store[20:] = np.ones((20, 50), np.uint8)
    store.finish()
    assert os.listdir(tmp_path) == ["a.zarr"] and open_labels(tmp_path / "a.zarr")[0].load().sum() == 2000
