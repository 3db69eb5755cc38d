"""Broken inputs and settings, each with the one sentence that the user reads.

A row is what is done in an empty folder and what is said about it, {d} standing for the folder and (...) for what
a library gave as the reason. To add rows, extend one of the lists below or write another and name it in ROWS.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import ImageSource, image_source, open_labels, open_volumes
from cytoshift.data.write import write_image, write_labels


@dataclass(frozen=True)
class Bad:
    what: str
    do: Callable[[Path], object]  # raises UserError
    says: str


def images(name: str, **flags: object) -> Callable[[Path], object]:
    """Open a path below the folder as images, with the words of a command line."""
    return lambda d: open_volumes(image_source(str(d / name), **flags))


def tif(
    name: str, array: np.ndarray, after: Callable[[Path], object] | None = None, **options
) -> Callable[[Path], object]:
    """Write a TIFF of that name, then open it, or do what comes `after`."""

    def do(d: Path) -> object:
        tifffile.imwrite(d / name, array, **{"photometric": "minisblack", **options})
        return (after or images(name))(d)

    return do


def png(name: str, array: np.ndarray, after: Callable[[Path], object]) -> Callable[[Path], object]:
    def do(d: Path) -> object:
        Image.fromarray(array).save(d / name)
        return after(d)

    return do


def npy(name: str, array: np.ndarray, after: Callable[[Path], object] | None = None) -> Callable[[Path], object]:
    def do(d: Path) -> object:
        np.save(d / name, array, allow_pickle=True)
        return (after or images(name))(d)

    return do


def text(name: str, content: str | bytes, after: Callable[[Path], object]) -> Callable[[Path], object]:
    def do(d: Path) -> object:
        (d / name).parent.mkdir(exist_ok=True)
        (d / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return after(d)

    return do


def cut(name: str, array: np.ndarray) -> Callable[[Path], object]:
    """A TIFF that lost its second half."""

    def after(d: Path) -> object:
        (d / name).write_bytes((d / name).read_bytes()[: array.nbytes // 2])
        (volume,) = images(name, **STACK)(d)
        return volume.load()

    return tif(name, array, after, metadata=None)


def hdf5(**arrays: np.ndarray) -> Callable[[Path], object]:
    def do(d: Path) -> object:
        with h5py.File(d / "a.h5", "w") as file:
            for key, array in arrays.items():
                file[key] = array
        return images("a.h5::segmentation")(d)

    return do


def two(first: Callable[[Path], object], second: Callable[[Path], object], after: Callable[[Path], object]):
    """Two files, then what is done with them."""

    def do(d: Path) -> object:
        for make in (first, second):
            make(d)
        return after(d)

    return do


def nothing(_: Path) -> None:
    """Leave a file that was just written as it is."""


def empty_group(d: Path) -> object:
    zarr.create_group(d / "a.zarr")
    return images("a.zarr")(d)


def two_labels(d: Path) -> object:
    write_image(d / "a.ome.zarr", FLAT, Voxel((1.0, 1.0)), "yx")
    for name in ("nuclei", "cells"):
        write_labels(d / f"a.ome.zarr::labels/{name}", FLAT, Voxel((1.0, 1.0)), "yx")
    return open_labels(d / "a.ome.zarr")


def pyramid_level(d: Path) -> object:
    write_image(d / "a.ome.zarr", FLAT, Voxel((1.0, 1.0)), "yx")
    return images("a.ome.zarr", level=3)(d)


def negative_labels(d: Path) -> object:
    np.save(d / "a.npy", FLAT.astype(np.int16) - 1)
    return open_labels(d / "a.npy")[0].load()


def labels(name: str) -> Callable[[Path], object]:
    return lambda d: open_labels(d / name)


FLAT = np.zeros((6, 5), np.uint8)
RGB = np.zeros((6, 5, 3), np.uint8)
VOLUME = np.arange(35 * 61 * 57, dtype=np.uint16).reshape(35, 61, 57)
STACK = {"axes": "zyx", "voxel": "2,1,1", "unit": "px"}
SUPPORTED = (
    ".tif, .tiff, .btf, .tf8, .lsm, .svs, .qptiff, .png, .jpg, .jpeg, .npy, .h5, .hdf5, .hdf, .ims, .zarr, .ozx, "
    ".zarr.zip, .nii, .nii.gz, .mrc, .rec, .map, .czi, .nd2, .lif"
)

PATHS = [
    Bad("missing file", images("cells.tif"), "{d}/cells.tif does not exist; check the path"),
    Bad("empty folder", images(""), "{d} is empty; pass the folder of the images"),
    Bad("folder of other files", text("notes.txt", "x", images("")),
        f"{{d}} holds no image ({SUPPORTED}); pass the folder of the images"),
    Bad("folder of folders", text("images/a.tif", "", images("")),
        "{d} holds no image, only the folders images; pass one of these"),
    Bad("glob without a match", images("*.tif"), "no file that matches {d}/*.tif is there; check the pattern"),
    Bad("no path at all", lambda d: open_volumes(ImageSource(paths=[])),
        "no path is given; pass a file, a folder or a glob"),
    Bad("unsupported suffix", text("a.psd", "8BPS", images("a.psd")),
        f"{{d}}/a.psd has the suffix '.psd', but only {SUPPORTED} can be read; convert it, for example to TIFF"),
    Bad("a number for a path", lambda d: parse(ImageSource, {"paths": 3}, "run.yaml"),
        "run.yaml: paths = 3: a path or a list of paths is needed"),
    Bad("the same file twice", npy("a.npy", FLAT, lambda d: open_volumes(image_source([d / "a.npy", d / "a.npy"]))),
        "{d}/a.npy is listed twice, or shares its name and folder with another; name every image once"),
    Bad("two colons in a name", npy("a::b.npy", FLAT, images("")),
        "{d}/a::b.npy has '::' in its name, which stands between a file and its parts; rename it"),
    Bad("part of a file without parts", npy("a.npy", FLAT, images("a.npy::raw")),
        "{d}/a.npy has no part 'raw', it holds one image; leave '::raw' out"),
]  # fmt: skip

DAMAGED = [
    Bad("truncated TIFF", cut("a.tif", VOLUME),
        "{d}/a.tif is incomplete (...); copy or save it again, with all files that belong to it"),
    Bad("truncated compressed TIFF", lambda d: tif("a.tif", VOLUME, nothing, compression="zlib")(d) or text(
        "a.tif", (d / "a.tif").read_bytes()[:5000], images("a.tif"))(d),
        "{d}/a.tif is incomplete (...); copy or save it again, with all files that belong to it"),
    Bad("empty TIFF", text("a.tif", "", images("a.tif")),
        "{d}/a.tif cannot be read (...); it is damaged or cut short, copy or save it again"),
    Bad("text called PNG", text("a.png", "hello", images("a.png")),
        "{d}/a.png does not hold a PNG or JPEG image; copy or save it again"),
    Bad("text called HDF5", text("a.h5", "hello", images("a.h5")),
        "{d}/a.h5 cannot be read (...); it is damaged or cut short, copy or save it again"),
    Bad("npy shorter than its header", lambda d: npy("a.npy", VOLUME, nothing)(d) or text(
        "a.npy", (d / "a.npy").read_bytes()[:9000], images("a.npy", **STACK))(d),
        "{d}/a.npy cannot be read (...); it is damaged or cut short, copy or save it again"),
    Bad("Zarr folder without metadata", text("a.zarr/0", "", images("a.zarr")),
        "{d}/a.zarr has no Zarr metadata (zarr.json or .zgroup or .zarray); copy the folder whole"),
    Bad("empty Zarr group", empty_group,
        "one array of {d}/a.zarr must be named, it has no array; copy it again"),
]  # fmt: skip

NUMBERS = [
    Bad("Python objects", npy("a.npy", np.array([{}, {}])),
        "{d}/a.npy holds Python objects, which are never loaded; save an array of plain numbers"),
    Bad("complex numbers", npy("a.npy", FLAT.astype(complex)),
        "{d}/a.npy holds complex numbers; save their magnitude as float32"),
    Bad("booleans", npy("a.npy", FLAT > 0),
        "{d}/a.npy holds only true and false and no intensities; save it as uint8 if it is an image"),
    Bad("text", npy("a.npy", FLAT.astype("U3")),
        "{d}/a.npy has the dtype <U3, which has no intensities; save it as integers or float32"),
    Bad("no pixel", npy("a.npy", FLAT[:0]), "{d}/a.npy is empty, its shape is (0, 5); save it again"),
    Bad("one axis", npy("a.npy", FLAT[0]),
        "{d}/a.npy has the shape (5,), but an image needs y and x; pass another array"),
    Bad("labels in floats", npy("a.npy", FLAT + np.float32(0.5), lambda d: open_labels(d / "a.npy")[0].load()),
        "labels in {d}/a.npy hold 0.5, but object ids are whole numbers on background 0; save labels as uint16 or "
        "uint32"),
    Bad("labels below zero", negative_labels,
        "labels in {d}/a.npy hold -1; objects are 1, 2, 3 ... on background 0"),
    Bad("labels in colours", png("a.png", RGB, labels("a.png")),
        "labels in {d}/a.png are RGB colours; save the object ids as one gray channel"),
    Bad("labels in JPEG", png("a.jpg", FLAT, labels("a.jpg")),
        "labels in {d}/a.jpg were saved as JPEG, which changes numbers; save them as PNG or TIFF"),
    Bad("two dtypes in a folder", two(npy("a.npy", FLAT, nothing), npy("b.npy", FLAT.astype(np.uint16), nothing),
                                      images("")),
        "the images differ in their dtypes: {d}/a.npy is uint8, {d}/b.npy is uint16; open them apart"),
    Bad("palette TIFF", tif("a.tif", FLAT, photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
        "{d}/a.tif stores colours with a palette, so its numbers are not intensities; save it as gray or RGB"),
]  # fmt: skip

AXES = [
    Bad("stack without axes", tif("a.tif", VOLUME),
        "axes of {d}/a.tif (35, 61, 57) are not in its metadata; pass `axes` zyx (or tyx, cyx)"),
    Bad("array without axes", npy("a.npy", VOLUME),
        "axes of {d}/a.npy (35, 61, 57) are not in its metadata; pass `axes` zyx (or tyx, cyx, yxs)"),
    Bad("too few axes", tif("a.tif", VOLUME, images("a.tif", axes="yx")),
        "axes 'yx' name 2 axes, but {d}/a.tif has 3, of shape (35, 61, 57); pass `axes` with 3 letters"),
    Bad("too many axes for one file", tif("a.tif", FLAT, images("a.tif", **STACK)),
        "axes 'zyx' name 3 axes, but {d}/a.tif has 2, of axes y=6 x=5; pass `axes` with 2 letters"),
    Bad("an axis twice", images("a.tif", axes="zzyx"),
        "image options: axes = 'zzyx': a letter is used twice; every axis has its own letter, for example zyx"),
    Bad("an unknown axis", images("a.tif", axes="qyx"),
        "image options: axes = 'qyx': 'q' is not an axis; use letters of tczyxs, for example zyx"),
    Bad("axes without x", images("a.tif", axes="zy"),
        "image options: axes = 'zy': an image needs y and x; write for example zyx"),
    Bad("slices of two shapes", two(npy("a.npy", FLAT, nothing), npy("b.npy", FLAT[1:], nothing), images("", **STACK)),
        "slices of one stack differ in their shape: {d}/a.npy has (6, 5), {d}/b.npy (5, 5); "
        "take out what does not belong"),
    Bad("2D and 3D in a folder", two(npy("a.npy", FLAT, nothing),
                                     tif("b.tif", VOLUME, nothing, imagej=True,
                                         metadata={"axes": "ZYX", "unit": "pixel", "spacing": 2}), images("")),
        "the images differ in their axes: {d}/a.npy is yx, {d}/b.tif is zyx; open them apart"),
]  # fmt: skip

CHANNELS = [
    Bad("RGB without a channel", png("a.png", RGB, images("a.png")),
        "{d}/a.png is RGB, but one channel is needed; "
        "pass `channel=luminance`, or `channel=0`, 1 or 2 for red, green or blue"),
    Bad("channels without a choice", npy("a.npy", VOLUME[:3], images("a.npy", axes="cyx")),
        "{d}/a.npy has 3 channels, but one is needed; pass `channel` with one of 0, 1, 2"),
    Bad("a channel that is not there", npy("a.npy", VOLUME[:3], images("a.npy", axes="cyx", channel=3)),
        "{d}/a.npy has no channel 3; pass `channel` with one of 0, 1, 2"),
    Bad("a channel of a gray image", npy("a.npy", FLAT, images("a.npy", channel=1)),
        "{d}/a.npy has no channel 1; it has one channel, leave `channel` out"),
    Bad("luminance of gray", npy("a.npy", FLAT, images("a.npy", channel="luminance")),
        "only RGB has luminance, {d}/a.npy is not RGB; it has one channel, leave `channel` out"),
    Bad("a channel by a name of a gray image", npy("a.npy", FLAT, images("a.npy", channel="DAPI")),
        "{d}/a.npy has no channel DAPI; it has one channel, leave `channel` out"),
    Bad("a channel by a name that is not there", npy("a.npy", VOLUME[:3], images("a.npy", axes="cyx", channel="DAPI")),
        "{d}/a.npy has no channel DAPI; pass `channel` with one of 0, 1, 2"),
    Bad("half a channel", lambda d: parse(ImageSource, {"paths": "a", "channel": 1.5}, "run.yaml"),
        "run.yaml: channel = 1.5: a channel is a number, a name, or luminance of an RGB image; write for example 0"),
    Bad("a frame that is not there", npy("a.npy", VOLUME[:3], images("a.npy", axes="tyx", frames="0,3")),
        "{d}/a.npy has no frame 3, it has 3; pass `frames` of 0 to 2"),
    Bad("two labels in an image", two_labels,
        "{d}/a.ome.zarr has the labels nuclei, cells; name one, for example {d}/a.ome.zarr::labels/nuclei"),
    Bad("a level that is not there", pyramid_level,
        "{d}/a.ome.zarr has no level 3, it has 1; pass `level` 0"),
    Bad("a level without a pyramid", npy("a.npy", FLAT, images("a.npy", level=1)),
        "{d}/a.npy has no level 1, it is not a pyramid; leave `level` out"),
    Bad("a dataset that is not there", hdf5(raw=FLAT, labels=FLAT),
        "{d}/a.h5 has no dataset 'segmentation', it has labels, raw; write one of these behind '::'"),
    Bad("no dataset at all", hdf5(),
        "{d}/a.h5 has no dataset 'segmentation', it has no dataset; write one of these behind '::'"),
    Bad("a series that is not there", tif("a.tif", FLAT, images("a.tif::1")),
        "{d}/a.tif has no series '1', it has 1; write a.tif::0"),
]  # fmt: skip

SIZES = [
    Bad("stack without a voxel size", tif("a.tif", VOLUME, images("a.tif", axes="zyx")),
        "voxel size of {d}/a.tif (zyx 35 x 61 x 57) is not in its metadata; "
        "pass `voxel` 2,1,1 `unit=px`, or its zyx sizes in um"),
    Bad("stack without a z step", tif("a.tif", VOLUME, imagej=True, resolution=(2, 2),
                                      metadata={"axes": "ZYX", "unit": "um"}),
        "voxel size along z of {d}/a.tif (zyx 35 x 61 x 57) is not in its metadata; "
        "pass `voxel` 2,1,1 `unit=px`, or its zyx sizes in um"),
    Bad("a size in minutes", tif("a.tif", VOLUME, imagej=True, resolution=(2, 2),
                                 metadata={"axes": "ZYX", "unit": "min", "spacing": 3}),
        "voxel size 3,0.5,0.5 of {d}/a.tif is in min, which is not a unit of length; pass `voxel` and `unit`"),
    Bad("a voxel size without a unit", npy("a.npy", FLAT, images("a.npy", voxel="2,1")),
        "voxel size 2,1 has no unit; add `unit=um` (or nm, px)"),
    Bad("a unit without a voxel size", npy("a.npy", FLAT, images("a.npy", unit="um")),
        "unit um is given, but {d}/a.npy has no voxel size; add `voxel=y,x`"),
    Bad("three sizes for two axes", npy("a.npy", FLAT, images("a.npy", voxel="2,1,1", unit="um")),
        "voxel size 2,1,1 has 3 numbers, but {d}/a.npy has the axes yx; pass 2, for example `voxel` 1,1"),
    Bad("a voxel size of words", images("a.npy", voxel="2,x"),
        "voxel 'x' is not a number; write for example `voxel=2,1,1`"),
    Bad("a voxel size of zero", images("a.npy", voxel="2,0,1", unit="um"),
        "image options: voxel = [2.0, 0.0, 1.0]: two or three positive numbers are needed, (y, x) or (z, y, x)"),
    Bad("a strange unit", images("a.npy", voxel="1,1", unit="furlong"),
        "image options: unit = 'furlong': not a unit of length; use um, nm, mm or px"),
    Bad("an unknown setting", lambda d: parse(ImageSource, {"paths": "a", "spacing": 2}, "run.yaml"),
        "run.yaml: 'spacing' is not a setting; there are axes, channel, crop, frames, level, paths, skip_bad, "
        "suffix, unit, voxel, without"),
]  # fmt: skip

PIXEL = Voxel((1.0, 1.0))
WRITING = [
    Bad("a suffix that is not written", lambda d: write_labels(d / "a.png", FLAT, PIXEL, "yx"),
        "{d}/a.png cannot be written as '.png'; choose .tif, .ome.tif or .ome.zarr"),
    Bad("ids in floats", lambda d: write_labels(d / "a.tif", FLAT / 2, PIXEL, "yx"),
        "labels are float64, but object ids are whole numbers; round them to an integer dtype"),
    Bad("ids below zero", lambda d: write_labels(d / "a.tif", FLAT.astype(int) - 1, PIXEL, "yx"),
        "labels hold -1, but object ids start at 0; renumber them"),
    Bad("an image of 64 bits", lambda d: write_image(d / "a.tif", FLAT / 2, PIXEL, "yx"),
        "image is float64, but only uint8, uint16 and float32 are written; convert it to one of these"),
    Bad("axes that do not fit", lambda d: write_labels(d / "a.tif", FLAT, PIXEL, "zyx"),
        "labels of shape (6, 5) with axes 'zyx' and voxel size 1 x 1 px cannot be written; "
        "all three need one entry per axis of yx or zyx"),
    Bad("labels into no image", lambda d: write_labels(d / "a.zarr::labels/x", FLAT, PIXEL, "yx"),
        "{d}/a.zarr is no OME-Zarr image to put labels into; leave '::labels/x' out to write them alone"),
    *(Bad(f"labels into {place}", lambda d, place=place: write_labels(d / f"a.zarr::{place}", FLAT, PIXEL, "yx"),
          f"labels cannot be written to '{shown}' of {{d}}/a.zarr; name a place like a.zarr::labels/nuclei")
      for place, shown in (("labels/.", "labels"), ("labels/..",) * 2, ("labels/../../x",) * 2)),
    Bad("labels into a strange place", lambda d: write_labels(d / "a.zarr::x", FLAT, PIXEL, "yx"),
        "labels cannot be written to 'x' of {d}/a.zarr; name a place like a.zarr::labels/nuclei"),
]  # fmt: skip

ROWS = [*PATHS, *DAMAGED, *NUMBERS, *AXES, *CHANNELS, *SIZES, *WRITING]


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: bad.what)
def test_one_sentence(bad: Bad, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        bad.do(tmp_path)
    said = str(caught.value).replace(str(tmp_path), "{d}")
    if "(...)" in bad.says:
        said = re.sub(r"\(.+\); ", "(...); ", said)
    assert said == bad.says and "\n" not in said


def test_the_table_is_long_and_every_row_its_own() -> None:
    assert len(ROWS) >= 25 and len({row.what for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("suffix", "extra"), [("czi", "czi"), ("nd2", "formats"), ("lif", "formats")])
def test_vendor_formats_say_what_to_install(
    suffix: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, f"bioio_{suffix}", None)  # as if it were not installed
    (tmp_path / f"a.{suffix}").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        open_volumes(tmp_path / f"a.{suffix}")
    assert str(caught.value) == (
        f"{tmp_path}/a.{suffix} is a {suffix.upper()} file, which needs the extra '{extra}' (bioio_{suffix} is "
        f"missing); run pip install 'cytoshift[{extra}]'"
    )
