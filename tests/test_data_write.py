"""Results on disk: the same numbers and the same calibration when they are read again, and never a wrapped id."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cytoshift.core.errors import UserError
from cytoshift.core.provenance import carries_mark, request_mark
from cytoshift.core.voxel import Voxel
from cytoshift.data import write
from cytoshift.data.pyramid import block_mean, block_mode, build_pyramid
from cytoshift.data.volumes import ImageSource, open_labels, open_volumes
from cytoshift.data.write import write_image, write_labels

UM2, UM3 = Voxel((0.5, 0.25), "um"), Voxel((0.28, 0.127, 0.127), "um")
SUFFIXES = (".tif", ".tiff", ".ome.tif", ".zarr", ".ome.zarr")


@pytest.mark.parametrize("top", [1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**60])
@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".ome.zarr"])
def test_no_id_is_ever_wrapped(tmp_path, top, suffix):
    labels = np.zeros((3, 6, 5), np.int64)
    labels[1, 2:4, 3], labels[0, 0, 0] = top, 1
    (again,) = open_labels(write_labels(tmp_path / f"a{suffix}", labels, UM3, "zyx"))
    assert (again.load() == labels).all() and again.voxel == UM3 and again.axes == "zyx"
    bits = 8 if top < 256 else 16 if top < 65_536 else 32 if top < 2**32 else 64
    assert again.dtype == f"uint{bits}"


SHAPES = st.one_of(hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
                   hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=9))  # fmt: skip
SIZES = st.floats(1e-3, 100).map(lambda s: float(f"{s:.6g}"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), shape=SHAPES, unit=st.sampled_from(["um", "px"]), suffix=st.sampled_from(SUFFIXES),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]), ngff=st.sampled_from(["0.4", "0.5"]),
)  # fmt: skip
def test_an_image_comes_back_as_it_was(tmp_path, data, shape, unit, suffix, dtype, ngff):
    # Sides of 3 and 4 look like colours to some writers.
    image = data.draw(hnp.arrays(dtype, shape, elements={"allow_nan": False} if dtype == "float32" else None))
    voxel = Voxel(tuple(data.draw(SIZES) for _ in shape), unit)
    axes = "zyx"[-len(shape) :]
    (again,) = open_volumes(write_image(tmp_path / f"a{suffix}", image, voxel, axes, ngff))
    assert (again.axes, again.dtype, again.shape) == (axes, image.dtype, image.shape)
    assert np.array_equal(again.load(), image)
    assert again.voxel.unit == unit and np.allclose(again.voxel.size, voxel.size, rtol=2e-6)


def test_what_imagej_reads(tmp_path):
    write_labels(tmp_path / "a.tif", np.ones((3, 6, 5), int), UM3, "zyx")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej and not file.is_bigtiff
        said = file.imagej_metadata
        assert (said["slices"], said["spacing"], said["unit"]) == (3, 0.28, "micron")
        across, down = file.pages.first.tags["XResolution"].value
        assert down / across == pytest.approx(0.127, rel=1e-6)


def test_what_ome_reads(tmp_path):
    write_labels(tmp_path / "a.tif", np.full((3, 6, 5), 70_000), UM3, "zyx")  # more than ImageJ's 16 bits hold
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_ome and 'PhysicalSizeZ="0.28"' in file.ome_metadata


def test_above_four_gigabytes_it_is_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "CLASSIC_TIFF_BYTES", 50)
    for top in (9, 2**40):
        labels = np.full((3, 6, 5), top)
        (again,) = open_labels(write_labels(tmp_path / "a.tif", labels, UM3, "zyx"))
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            assert file.is_bigtiff
        assert (again.load() == labels).all() and again.voxel == UM3


@pytest.mark.parametrize("top", [255, 2**32 - 1, 2**60])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("name, ngff", [
    ("a.tif", "0.5"), ("a.ome.tif", "0.5"), ("a.ome.zarr", "0.4"), ("a.ome.zarr", "0.5"),
    ("image.ome.zarr::labels/a", "0.5"),
])  # fmt: skip
def test_labels_carry_the_mark_of_their_request_and_of_no_other(tmp_path, monkeypatch, name, ngff, top, big):
    monkeypatch.setattr(write, "CLASSIC_TIFF_BYTES", 10 if big else write.CLASSIC_TIFF_BYTES)
    labels = np.random.default_rng(0).integers(0, 200, (300, 310)).astype(np.uint64)
    labels[3, 4] = top
    write_image(tmp_path / "image.ome.zarr", labels.astype(np.uint16), UM2, "yx")
    mark, other = request_mark({"model": "a", "options": {"size": 3}}), request_mark({"model": "b"})
    write_labels(f"{tmp_path}/{name}", labels, UM2, "yx", ngff, mark=mark)
    place = tmp_path / name.replace("::", "/")
    assert carries_mark(place, mark) and not carries_mark(place, other)
    assert (open_labels(f"{tmp_path}/{name}")[0].load() == labels).all()
    write_labels(f"{tmp_path}/{name}", labels, UM2, "yx", ngff)
    assert not carries_mark(place, mark) and not carries_mark(tmp_path / "none", mark)


@pytest.mark.parametrize(("ngff", "zarr_format"), [("0.4", 2), ("0.5", 3)])
def test_ome_zarr_keeps_to_the_specification(tmp_path, ngff, zarr_format):
    models = pytest.importorskip("ome_zarr_models")
    labels = np.zeros((8, 300, 280), int)
    labels[2:6, 100:200, 50:180] = 5
    image = write_image(tmp_path / "i.ome.zarr", labels.astype(np.uint8), UM3, "zyx", ngff)
    write_labels(tmp_path / "l.ome.zarr", labels, UM3, "zyx", ngff)
    for name in ("nuclei", "cells", "nuclei"):
        write_labels(Path(f"{image}::labels/{name}"), labels, UM3, "zyx")
    for place, kind in (("i.ome.zarr", "Image"), ("l.ome.zarr", "ImageLabel"), ("i.ome.zarr/labels", "Labels"),
                        ("i.ome.zarr/labels/nuclei", "ImageLabel")):  # fmt: skip
        group = models.open_ome_zarr(zarr.open_group(tmp_path / place, mode="r"))
        assert type(group).__name__ == kind and f"v{ngff.replace('.', '')}" in type(group).__module__
    assert (image / "0" / (".zarray" if zarr_format == 2 else "zarr.json")).is_file()
    (again,) = open_labels(f"{image}::labels/nuclei")
    assert (again.load() == labels).all() and again.voxel == UM3
    with pytest.raises(UserError, match="has the labels nuclei, cells; name one, for example"):
        open_labels(image)


def test_the_only_labels_of_an_image_are_meant(tmp_path):
    image = write_image(tmp_path / "i.ome.zarr", np.zeros((6, 5), np.uint8), UM2, "yx")
    write_labels(Path(f"{image}::labels/nuclei"), np.full((6, 5), 300), UM2, "yx")
    assert open_labels(image)[0].load().max() == 300
    assert open_volumes(image)[0].load().max() == 0


def test_every_level_of_a_pyramid_has_its_voxel_size(tmp_path):
    labels = np.kron(np.arange(1, 7).reshape(2, 3), np.ones((300, 300), int))
    path = write_labels(tmp_path / "a.ome.zarr", labels, UM2, "yx")
    levels = [open_labels(ImageSource(paths=str(path), level=n))[0] for n in range(3)]
    assert [v.shape for v in levels] == [(600, 900), (600, 450), (300, 225)]  # x is twice as fine, so it goes first
    assert [v.voxel.size for v in levels] == [(0.5, 0.25), (0.5, 0.5), (1.0, 1.0)]
    assert set(np.unique(levels[2].load())) == set(range(1, 7))
    said = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]["datasets"][2]
    scale, shift = said["coordinateTransformations"]
    # The centre of the first coarse voxel: half a coarse voxel less half a fine one from the first fine centre.
    assert scale["scale"] == [1.0, 1.0] and shift["translation"] == [0.25, 0.375]


def test_mode_is_a_vote():
    labels = np.array([[1, 1, 0, 2, 7], [1, 0, 0, 2, 7], [3, 4, 5, 5, 9]])
    assert block_mode(labels, (2, 2)).tolist() == [[1, 0, 7], [3, 5, 9]]
    assert block_mode(labels, (1, 2)).tolist() == [[1, 0, 7], [1, 0, 7], [3, 5, 9]]


def test_mean_rounds_and_keeps_the_dtype():
    image = np.array([[0, 1, 4], [2, 4, 4]], np.uint8)
    assert block_mean(image, (2, 2)).tolist() == [[2, 4]] and block_mean(image, (2, 2)).dtype == np.uint8
    assert block_mean(image.astype(np.float32), (2, 2)).tolist() == [[1.75, 4.0]]


def test_a_pyramid_becomes_isotropic_first():
    levels = build_pyramid(np.zeros((16, 1200, 40), np.uint8), (1.0, 0.25, 0.25), labels=True)
    assert [factors for _, factors in levels] == [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8)]
    assert levels[-1][0].shape == (8, 150, 5)
    assert len(build_pyramid(np.zeros((1, 300), np.uint8), (1.0, 1.0), labels=True)) == 2


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    write_labels(path, np.ones((6, 5), int), UM2, "yx")
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(UserError, match="No space left on device; free space"):
        write_labels(path, np.ones((6, 5), int), UM2, "yx")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.tif"]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "a.ome.zarr"
    write_labels(path, np.ones((600, 500), int), UM2, "yx", "0.4")
    write_labels(path, np.ones((6, 5), int), UM2, "yx", "0.5")
    assert sorted(os.listdir(path)) == ["0", "zarr.json"] and os.listdir(tmp_path) == ["a.ome.zarr"]
