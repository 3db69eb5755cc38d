"""What people bring: channels by name, plates, NaN, pairs, labels of other programs, folders with a bad file."""

import io
import os
import pickle
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cytoshift.core.errors import UserError
from cytoshift.core.no_data import FilledImage, fill_by_median, missing_voxels
from cytoshift.core.provenance import SayOnce
from cytoshift.core.voxel import Voxel
from cytoshift.data.label_pairs import match_names
from cytoshift.data.levels import open_pyramid
from cytoshift.data.volumes import ImageSource, image_source, open_labels, open_volumes
from cytoshift.predict.pipeline import predict
from input_files import CELLS, LABELS, imaris, nifti, plain, plate, qptiff, svs
from predicting import segmenter, volume


def names(source: object, **said: object) -> list[str]:
    return [one.name for one in open_volumes(ImageSource(paths=str(source), **said))]


def channels(path: Path, *called: str) -> Path:
    metadata = {"axes": "CYX", "Channel": {"Name": list(called)}}
    tifffile.imwrite(path, np.stack([CELLS + i for i in range(len(called))]), ome=True, photometric="minisblack",
                     metadata=metadata)  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("wish", "number"), [("DAPI", 1), ("dapi", 1), ("1", 1), (1, 1), ("488", 2), (488, 2), ("Ä", 3)]
)
def test_a_channel_is_found_by_name_or_number(tmp_path, wish, number):
    path = channels(tmp_path / "a.ome.tif", "GFP", "DAPI", "488", "A\u0308")
    (found,) = open_volumes(image_source(path, channel=wish))
    assert (found.load() == CELLS + number).all() and found.channel_names == ("GFP", "DAPI", "488", "Ä")


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("RFP", r"has no channel RFP; pass `channel` with one of 0 GFP, 1 DAPI, 2 DAPI, 3 dapi"),
        ("DAPI", r"has 2 channels called 'DAPI'; pass `channel` with one of their numbers 1, 2"),
        ("gfp,4", r"has no channel 4"),
    ],
)
def test_a_channel_that_is_not_there_is_a_sentence_with_all_names(tmp_path, wish, words):
    with pytest.raises(UserError, match=words):
        open_volumes(image_source(channels(tmp_path / "a.ome.tif", "GFP", "DAPI", "DAPI", "dapi"), channel=wish))


def test_several_channels_by_name(tmp_path):
    path = channels(tmp_path / "a.ome.tif", "GFP", "DAPI", "RFP")
    (found,) = open_volumes(image_source(path, channel="RFP, 0"))
    assert (found.load() == np.stack([CELLS + 2, CELLS])).all()


@pytest.mark.filterwarnings("ignore")
def test_wells_and_fields_of_a_plate_are_images(tmp_path):
    pytest.importorskip("ome_zarr")
    plate(tmp_path / "p.zarr", CELLS)
    every = ["A01-0", "A01-1", "A02-0", "A02-1"]
    assert names(tmp_path / "p.zarr") == every
    assert names(tmp_path / "p.zarr/A/2") == names(f"{tmp_path}/p.zarr::A/2") == every[2:]
    for place in (f"{tmp_path}/p.zarr/A/1/1", f"{tmp_path}/p.zarr::A/1/1"):
        (one,) = open_volumes(place)
        assert (one.name, one.well, one.voxel) == ("A01-1", "A01", Voxel((0.5, 0.5), "um"))
        assert (one.load() == np.roll(CELLS, 8, 1)).all()
    os.rename(tmp_path / "p.zarr", tmp_path / "q.zarr")
    plate(tmp_path / "p.zarr", CELLS)
    assert names(tmp_path)[::4] == ["p_A01-0", "q_A01-0"]
    os.rename(tmp_path / "p.zarr/A/2", tmp_path / "elsewhere")
    with pytest.raises(UserError, match="lists 'A/2', which is not there"):
        open_volumes(tmp_path / "p.zarr")


def test_nan_is_background_and_no_label_lies_on_it():
    made, border = segmenter(), np.zeros(CELLS.shape, bool)
    border[:, :20] = border[60:] = True
    image = np.where(border, np.nan, CELLS).astype(np.float32)
    found = predict(made, volume(image))
    assert found.labels.any() and not found.labels[border].any()
    assert predict(made, volume(image[:60, 20:])).labels.any()
    assert any("NaN, which is read as no data" in sentence for sentence in SayOnce.said)
    with pytest.raises(UserError, match="infinite"):
        predict(made, volume(np.where(border, np.inf, CELLS).astype(np.float32)))


def test_voxels_without_data():
    two = np.ones((2, 3, 4), np.float32)
    assert missing_voxels(two, 2, "a") is None and missing_voxels(CELLS, 2, "a") is None
    two[0, 0, 0] = two[:, 1, 1] = np.nan
    assert np.argwhere(missing_voxels(two, 2, "a")).tolist() == [[1, 1]]
    filled = fill_by_median(np.array([[1, np.nan], [3, 2]], np.float32))
    assert isinstance(filled, FilledImage) and np.asarray(filled).tolist() == [[1, 2], [3, 2]]
    assert fill_by_median(CELLS) is CELLS


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_whole_numbers_are_labels(tmp_path, dtype):
    values = LABELS.astype(dtype)
    values[0, 0] = np.nan
    np.save(tmp_path / "a.npy", values)
    (found,) = open_labels(tmp_path / "a.npy")
    wanted = LABELS.copy()
    wanted[0, 0] = 0
    assert found.dtype == np.uint32 and (found.load() == wanted).all()


@pytest.mark.parametrize(
    ("odd", "words"), [(0.5, "hold 0.5, but object ids are"), (-2, "hold -2"), (2.0**24 + 2, "only up to 16777216")]
)
def test_other_floats_are_no_labels(tmp_path, odd, words):
    values = LABELS.astype(np.float32)
    values[3, 3] = odd
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UserError, match=words):
        open_labels(tmp_path / "a.npy")[0].load()


def folder(place: Path, *called: str, array: np.ndarray = CELLS) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name in called:
        plain(place / name, array)
    return place


def test_labels_by_suffix_beside_their_images(tmp_path):
    folder(tmp_path, "b.tif", "Zelle_ä.tif")
    folder(tmp_path, "b_masks.tif", unicodedata.normalize("NFD", "Zelle_ä_masks.tif"), array=LABELS.astype(np.uint16))
    labels = open_labels(ImageSource(paths=str(tmp_path), suffix="_masks"))
    images = open_volumes(ImageSource(paths=str(tmp_path), without="_masks"))
    pairs = match_names(images, labels, "source")
    assert [(one.name, other.name) for one, other in pairs] == [("b", "b"), ("Zelle_ä", "Zelle_ä")]
    assert all((other.load() == LABELS).all() for _, other in pairs)
    with pytest.raises(UserError, match=r"'b' has no labels.*pass `labels_suffix=_masks`"):
        match_names(images, open_labels(str(tmp_path / "*_masks.tif")), "source")
    with pytest.raises(UserError, match="holds no image whose name ends in '_seg'"):
        open_labels(ImageSource(paths=str(tmp_path), suffix="_seg"))


@pytest.mark.parametrize(
    ("images", "labels", "pairs"),
    [
        (["a_0000", "b_0000"], ["a", "b"], ["a", "b"]),
        (["t000", "t001", "t002"], ["man_seg001", "man_seg002"], ["man_seg001", "man_seg002"]),
        (["mask000", "mask001"], ["man_seg000", "man_seg001"], ["man_seg000", "man_seg001"]),
        (["a_0000", "b_0001"], ["a"], None),
        (["a", "b"], ["c", "d"], None),
    ],
)
def test_names_of_nnunet_and_of_the_cell_tracking_challenge(tmp_path, images, labels, pairs):
    seen = open_volumes(folder(tmp_path / "i", *(f"{name}.tif" for name in images)))
    true = open_labels(folder(tmp_path / "l", *(f"{name}.tif" for name in labels), array=LABELS.astype(np.uint16)))
    if pairs is None:
        with pytest.raises(UserError, match="has no labels of its name"):
            match_names(seen, true, "source")
        return
    assert [other.name for _, other in match_names(seen, true, "source")] == pairs


def objects(place: Path, number: int = 2) -> Path:
    """As in the Data Science Bowl 2018."""
    for name in ("x1", "x2")[:number]:
        (place / name / "images").mkdir(parents=True)
        (place / name / "masks").mkdir()
        Image.fromarray((CELLS // 16).astype(np.uint8)).save(place / name / "images" / f"{name}.png")
        for one in np.unique(LABELS)[1:]:
            Image.fromarray(np.uint8(255) * (one == LABELS)).save(place / name / "masks" / f"{one:03d}.png")
    return place


def test_one_file_for_each_object(tmp_path):
    place = objects(tmp_path / "train")
    assert names(place, voxel=(1, 1), unit="px") == ["x1", "x2"]
    both = open_labels(place)
    assert [one.name for one in both] == ["x1", "x2"] and all((one.load() == LABELS).all() for one in both)
    assert [one.name for one in open_labels(place / "x2")] == ["x2"]
    masks = open_labels(place / "x1" / "masks")  # which are label images of their own where they are named
    assert len(masks) == len(np.unique(LABELS)) - 1
    many = np.uint8(LABELS)
    Image.fromarray(many).save(place / "x1" / "masks" / "001.png")
    with pytest.raises(UserError, match="one mask for each object, but mask 1 of it has the numbers 0, 1, 2, 3"):
        open_labels(place)[0].load()


def test_paired_folders_are_no_images_of_one_object(tmp_path):
    folder(tmp_path / "images", "a.tif", "b.tif")
    folder(tmp_path / "masks", "a.tif", "b.tif", array=LABELS.astype(np.uint16))
    with pytest.raises(UserError, match="only the folders images, masks"):
        open_labels(tmp_path)


def cellpose(path: Path, masks: np.ndarray = LABELS, **more: object) -> Path:
    """As Cellpose 3 writes it."""
    content = {
        "outlines": (masks * 0).astype(np.uint16), "masks": masks.astype(np.uint16), "chan_choose": [0, 0],
        "ismanual": np.zeros(3, bool), "filename": "a.tif", "flows": [np.zeros((2, 3), np.uint8), np.zeros((1, 2))],
        "est_diam": np.float64(17.5), "colors": np.ones((3, 3), np.uint8), **more,
    }  # fmt: skip
    np.save(path, content, allow_pickle=True)
    return path


@pytest.mark.parametrize("order", ["C", "F"])
def test_masks_of_cellpose(tmp_path, order):
    path = cellpose(tmp_path / "a_seg.npy", np.asarray(LABELS, order=order))
    (found,) = open_labels(path)
    assert (found.load() == LABELS).all() and (found.array[5:9, 3] == LABELS[5:9, 3]).all()
    plain(tmp_path / "a.tif", CELLS)
    assert names(tmp_path) == ["a"]  # a by-product is no image
    (again,) = open_labels(ImageSource(paths=str(tmp_path), suffix="_seg"))
    assert again.name == "a" and again.voxel == Voxel((1.0, 1.0), "px")
    with pytest.raises(UserError, match="holds masks of Cellpose and no image"):
        open_volumes(path)


class Attack:
    """Its pickle calls a function that is named in it."""

    def __init__(self, function: object, *arguments: object):
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


HARMLESS = "a file that an attack would make"


@pytest.mark.parametrize(
    "attack",
    [
        Attack(os.system, f"touch '{HARMLESS}'"), Attack(eval, "1 + 1"), Attack(open, HARMLESS, "w"),
        Attack(getattr, "x", "upper"), Attack(np.load, "x"), Attack(Path, "x"), Attack(bytearray, 2**40),
    ],
    ids=["os.system", "eval", "open", "getattr", "numpy.load", "a path", "memory"],
)  # fmt: skip
def test_a_file_that_names_code_is_refused_and_runs_none(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    path = cellpose(tmp_path / "a_seg.npy", harm=attack)
    with pytest.raises(UserError, match=r"asks for [\w.]+, which no array of numbers needs"):
        open_labels(path)
    assert not (tmp_path / HARMLESS).exists()


def stream(*parts: bytes) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    return header.getvalue() + b"\x80\x04" + b"".join(parts) + b"."


NAME = b"c%s\n%s\n"
ARRAY = NAME % (b"numpy.core.multiarray", b"_reconstruct")
DTYPE = NAME % (b"numpy", b"dtype")


@pytest.mark.parametrize(
    "parts",
    [
        (b"I1\n",),  # no dictionary
        (DTYPE, b"X\x02\x00\x00\x00O8", b"\x85R"),  # a type of objects
        (ARRAY, b")R", b"(I1\n(I9\nt", DTYPE, b"X\x02\x00\x00\x00u2\x85R", b"I00\nC\x02ab", b"tb"),  # too few bytes
        (ARRAY, b")R", b"(I1\n(I1\nt", DTYPE, b"X\x02\x00\x00\x00O8\x85R", b"I00\nC\x08abcdefgh", b"tb"),  # addresses
        (ARRAY, b"}X\x08\x00\x00\x00__call__I1\ns", b"b"),  # a state for a name
        (b"}", b"X\x01\x00\x00\x00a", b"\x8e" + struct.pack("<Q", 2**50), b"s"),  # a length that is not there
        (b"\x95" + struct.pack("<Q", 2**50),),  # a frame
        (b"P1\n",), (b"\x82\x01",), (b"r" + struct.pack("<I", 2**32 - 1),),
        (b"}" * 50, b"N\x81"), (NAME % (b"numpy", b"ndarray"), b")R"),
    ],
)  # fmt: skip
def test_a_forged_stream_is_a_sentence(tmp_path, parts):
    path = tmp_path / "a_seg.npy"
    path.write_bytes(stream(*parts))
    with pytest.raises(UserError, match="a_seg"):
        open_labels(path)


def test_no_array_of_objects_is_read_but_cellposes(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"masks": LABELS}], object), allow_pickle=True)
    for way in (open_labels, open_volumes):
        with pytest.raises(UserError, match="holds Python objects, which are never loaded"):
            way(tmp_path / "a.npy")
    assert pickle.loads(pickle.dumps(open_labels(cellpose(tmp_path / "b_seg.npy"))))[0].load().any()


def test_a_slide_is_its_first_series_by_level(tmp_path):
    svs(tmp_path / "a.svs", CELLS)
    for level, shape, size in ((0, (96, 80), 0.5), (1, (48, 40), 1.0)):
        (one,) = open_volumes(ImageSource(paths=str(tmp_path / "a.svs"), channel="luminance", level=level))
        assert one.shape == shape and one.voxel == Voxel((size, size), "um")
    (thumbnail,) = open_volumes(ImageSource(paths=f"{tmp_path}/a.svs::1", channel=0))
    assert thumbnail.shape == (24, 20) and thumbnail.voxel.unit == "px"
    qptiff(tmp_path / "a.qptiff", CELLS)
    (pyramid,) = open_pyramid(ImageSource(paths=str(tmp_path / "a.qptiff"), channel="DAPI"))
    assert [level.array.shape for level in pyramid.levels] == [(96, 80), (48, 40)]
    assert (pyramid.levels[0].array[...] == CELLS).all() and pyramid.volume.voxel == Voxel((0.5, 0.5), "um")


def test_imaris_has_levels_and_no_padding(tmp_path):
    imaris(tmp_path / "a.ims", np.stack([CELLS + i for i in range(5)]))
    for level, size in ((0, 0.5), (1, 1.0)):
        (one,) = open_volumes(ImageSource(paths=str(tmp_path / "a.ims"), channel="DAPI", level=level))
        assert one.shape == (5, 96 >> level, 80 >> level) and one.voxel == Voxel((1.0, size, size), "um")
        assert (one.array[1, 3:9:2] == CELLS[3 << level : 9 << level : 2 << level, :: 1 << level] + 1).all()
    with pytest.raises(UserError, match="has no level 2, it has 2"):
        open_volumes(ImageSource(paths=str(tmp_path / "a.ims"), level=2))


def test_nifti_that_is_scaled_is_read_as_it_is_meant(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    stack = np.stack([CELLS] * 3)
    for suffix in (".nii", ".nii.gz"):
        nifti(tmp_path / f"a{suffix}", stack)
        (one,) = open_volumes(tmp_path / f"a{suffix}")
        assert one.name == "a" and one.dtype == np.uint16 and (one.array[1:, 4] == stack[1:, 4]).all()
    scaled = nibabel.Nifti1Image(stack.transpose(2, 1, 0).astype(np.int16), np.diag([2, 2, 5, 1.0]))
    scaled.header.set_slope_inter(0.5, 3)
    scaled.header.set_xyzt_units("mm")
    nibabel.save(scaled, tmp_path / "b.nii")
    (one,) = open_volumes(tmp_path / "b.nii")
    assert one.dtype == np.float32 and one.voxel == Voxel((5000.0, 2000.0, 2000.0), "um")


def bad_folder(place: Path) -> Path:
    folder(place, *(f"{name}.tif" for name in "abcd"))
    (place / "b.tif").write_bytes(b"")
    (place / "c.tif").write_bytes((place / "a.tif").read_bytes()[:5000])
    os.symlink(place / "nowhere", place / "e.tif")
    Image.fromarray(np.uint8(CELLS // 16)).save(place / "f.png")
    (place / "f.png").write_bytes((place / "f.png").read_bytes()[:2000])
    return place


def test_all_bad_files_are_named_at_once(tmp_path):
    place = bad_folder(tmp_path / "in")
    with pytest.raises(UserError, match=r"2 of 6 files cannot be read.*`skip_bad`") as error:
        open_volumes(place)
    for name, why in (("b.tif", "cannot be read"), ("e.tif", "a link to a file that does not exist")):
        assert any(name in line and why in line for line in str(error.value).splitlines())


def test_a_folder_goes_on_without_bad_files_where_asked(tmp_path):
    place = bad_folder(tmp_path / "in")
    said = ImageSource(paths=str(place), skip_bad=True)
    assert names(place, skip_bad=True) == ["a", "d"] and ImageSource(**said.model_dump()) == said
    assert {name for name in "bcef" if any(f"left out: {place / name}." in words for words in SayOnce.said)} == set(
        "bcef"
    )
    folder(place, "g.tif", array=np.uint8(LABELS))  # of another type
    assert names(place, skip_bad=True) == ["a", "d"]
    (place / "a.tif").unlink()
    (place / "d.tif").unlink()
    (place / "g.tif").unlink()
    with pytest.raises(UserError, match=r"other files cannot be read either"):
        open_volumes(said)


def test_a_stack_is_never_read_without_a_slice(tmp_path):
    place = folder(tmp_path / "in", "1.tif", "2.tif", "3.tif")
    (place / "2.tif").write_bytes(b"")
    with pytest.raises(UserError, match=r"2\.tif cannot be read"):
        open_volumes(ImageSource(paths=str(place), axes="zyx", voxel=(1, 1, 1), unit="um", skip_bad=True))


def test_all_images_of_another_kind_are_named(tmp_path):
    place = folder(tmp_path / "in", "a.tif", "b.tif")
    folder(place, "c_masks.tif", "d_masks.tif", array=np.uint8(LABELS))
    with pytest.raises(UserError, match=r"differ in their dtypes: .*c_masks.*\(and d_masks too\); take out c_masks"):
        open_volumes(place)
