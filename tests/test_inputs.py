"""Inputs that real programs and disks leave, by verb: what comes out, or the one sentence that says why nothing does.

A row is a file (or folder) that is made, the words of a command, its exit code and what it says; {d} stands for the
folder. Inputs that hold no image at all, and settings, are in test_bad_input.py.
"""

import json
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageOps
from typer.testing import CliRunner

from cytoshift.cli.main import app, machine_limit
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import ImageSource, open_labels, open_volumes
from cytoshift.data.write import write_labels
from predicting import nuclei, segmenter

CELLS, LABELS = nuclei((96, 80), 14, 0)
GRAY = (CELLS // 16).clip(0, 255).astype(np.uint8)


COMPARE = ("evaluate", "--no-report", "--pred")


def tif(name: str, array: np.ndarray = GRAY, **options) -> Callable[[Path], object]:
    return lambda d: write(d / name, array, **options)


def write(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})
    return path


def rotated(orientation: int) -> list[tuple]:
    return [(274, "H", 1, orientation, True)]


def inch(per_pixel: float) -> dict:
    return {"imagej": True, "resolution": (1 / per_pixel, 1 / per_pixel), "metadata": {"unit": "inch"}}


def ome(sizes: str, voxel: float = 1.0, unit: str = "um") -> Callable[[Path], object]:
    calibration = " ".join(f'PhysicalSize{a}="{voxel}" PhysicalSize{a}Unit="{unit}"' for a in "XY")
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="80" SizeY="96" '
        f"{sizes} {calibration}>"
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>'
    )
    return lambda d: write(d / "a.ome.tif", GRAY, description=text.encode(), metadata=None)


ONE = 'SizeZ="1" SizeC="1" SizeT="1"'


def with_thumbnail(d: Path) -> None:
    with tifffile.TiffWriter(d / "a.tif") as file:
        file.write(GRAY, photometric="minisblack")
        file.write(np.stack([GRAY[::4, ::4]] * 3, -1), photometric="rgb")


def image_set(d: Path, names: tuple[str, str], missing: bool = False) -> None:
    """A multi-file OME-TIFF of two planes."""
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(names)
    )
    for z, name in enumerate(names):
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{z}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            f'SizeX="80" SizeY="96" SizeZ="2" SizeC="1" SizeT="1" PhysicalSizeX="1" PhysicalSizeY="1" '
            f'PhysicalSizeZ="2"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
        )
        if not (missing and z):
            write(d / "in" / name, GRAY // (z + 1), description=text.encode(), metadata=None)


def plate(d: Path) -> None:
    root = zarr.open_group(d / "plate.zarr", mode="w", zarr_format=2)
    root.attrs["plate"] = {"wells": [{"path": "A/1"}], "version": "0.4"}
    well = root.require_group("A/1")
    well.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    scale = [{"type": "scale", "scale": [0.65, 0.65]}]
    for name in "01":
        field = well.require_group(name)
        field.attrs["multiscales"] = [
            {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
        ]
        field.create_array("0", data=GRAY)


def n5(d: Path) -> None:
    (d / "a.n5" / "s0").mkdir(parents=True)
    (d / "a.n5" / "attributes.json").write_text('{"n5": "2.5.0"}')


def bigdataviewer(d: Path) -> None:
    stack = np.stack([GRAY.astype(np.uint16) * 200] * 3)
    with h5py.File(d / "a.h5", "w") as file:
        file["s00/resolutions"] = np.ones((2, 3))
        file["t00000/s00/0/cells"] = stack.view(np.int16)
        file["t00000/s00/1/cells"] = stack[:, ::2, ::2].view(np.int16)


def folder(*names: str) -> Callable[[Path], object]:
    return lambda d: [write(d / "in" / name, GRAY) for name in names]


def link(d: Path) -> None:
    folder("a.tif")(d)
    (d / "in" / "b.tif").symlink_to(d / "nowhere.tif")


def cellpose(d: Path) -> None:
    folder("a.tif")(d)
    np.save(d / "in" / "a_seg.npy", np.array({"masks": LABELS}, dtype=object), allow_pickle=True)


def with_masks(d: Path) -> None:
    folder("a.tif")(d)
    Image.fromarray(LABELS.astype(np.uint16)).save(d / "in" / "a_cp_masks.png")


def bytes_of_a_name(d: Path) -> None:
    (d / "in").mkdir()
    with open(os.fsencode(d / "in") + b"/a\xff.tif", "wb") as file:
        file.write(write(d / "b.tif", GRAY).read_bytes())


@dataclass(frozen=True)
class Row:
    what: str
    make: Callable[[Path], object]
    command: str
    code: int
    says: str  # a part of what is said; {d} is the folder


STACK = "--axes zyx --voxel 1,1,1 --unit um"
ROWS = [
    # files/01-dtypes
    Row(
        "NaN at the border",
        tif("a.tif", np.where(np.eye(96, 80) > 0, np.nan, CELLS).astype("f4")),
        "segment {m} {d}/a.tif -o {d}/o.tif",
        0,
        "NaN, which is read as no data",
    ),
    # files/02-tiffkinds
    Row(
        "CMYK",
        tif("a.tif", np.stack([GRAY] * 4, -1), photometric="separated"),
        "info {d}/a.tif",
        2,
        "{d}/a.tif holds CMYK colours, 4 numbers a pixel; save it as gray or RGB",
    ),
    Row(
        "white as 0",
        tif("a.tif", 255 - GRAY, photometric="miniswhite"),
        "info {d}/a.tif",
        0,
        "stored with white as 0 and read inverted",
    ),
    Row(
        "white as 0 in floats",
        tif("a.tif", GRAY.astype("f4"), photometric="miniswhite"),
        "info {d}/a.tif",
        2,
        "{d}/a.tif stores white as 0 in float32, of which no number is black; save it with black as 0",
    ),
    Row(
        "a camera held upright", tif("a.tif", extratags=rotated(6)), "info {d}/a.tif", 0, "turned by its orientation 6"
    ),
    # files/03-calibration
    Row(
        "96 dots per inch as a calibration",
        tif("a.tif", **inch(1 / 96)),
        "segment {um} {d}/a.tif -o {d}/o.tif",
        2,
        "voxels of a are 264.583 x 264.583 um, but the model works at 0.65 x 0.65 um, 407 times apart; pass the true "
        "size by --voxel and --unit, or --any-voxel-size if both are right",
    ),
    Row(
        "seven times off",
        tif("a.tif"),
        "segment {um} {d}/a.tif -o {d}/o.tif --voxel 0.09,0.09 --unit um",
        0,
        "warning: voxels of a are 0.09 x 0.09 um, but the model works at 0.65 x 0.65 um, 7.22 times apart",
    ),
    Row("inches of OME", ome(ONE, 0.001, "in"), "info {d}/a.ome.tif", 0, "25.4 x 25.4 um"),
    Row("picometres of OME", ome(ONE, 650_000, "pm"), "info {d}/a.ome.tif", 0, "0.65 x 0.65 um"),
    # files/05-ometiff-sets
    Row("a thumbnail behind the image", with_thumbnail, "info {d}/a.tif", 2, "or read series 0 alone, as {d}/a.tif::0"),
    Row("the image without its thumbnail", with_thumbnail, "info {d}/a.tif::0", 0, "96 x 80 voxels"),
    Row(
        "one plane of a set",
        lambda d: image_set(d, ("a.ome.tif", "b.ome.tif"), missing=True),
        "info {d}/in",
        2,
        "is incomplete (OME series failed to read 'b.ome.tif'); copy or save it again",
    ),
    Row(
        "a set with files elsewhere (fault 10)",
        lambda d: image_set(d, ("a.ome.tif", "../b.ome.tif")),
        "info {d}/in/a.ome.tif",
        0,
        "with 1 files outside of its folder, {d}/b.ome.tif first",
    ),
    # files/06-zarr
    Row("a plate", plate, "info {d}/plate.zarr", 0, "A01-0"),
    Row("a well", plate, "info {d}/plate.zarr::A/1", 0, "A01-1"),
    Row(
        "N5",
        n5,
        "info {d}/a.n5",
        2,
        "{d}/a.n5 is N5, which cannot be read; save it as OME-Zarr or TIFF, for example from Fiji",
    ),
    Row(
        "a channel by its name",
        tif("a.tif"),
        "info {d}/a.tif --channel DAPI",
        2,
        "{d}/a.tif has no channel DAPI; it has one channel, leave --channel out",
    ),
    # files/08-hdf5
    Row("BigDataViewer", bigdataviewer, "info {d}/a.h5", 2, "write {d}/a.h5::t00000/s00/0/cells"),
    Row("BigDataViewer's numbers", bigdataviewer, f"info {{d}}/a.h5::t00000/s00/0/cells {STACK}", 0, "uint16, "),
    Row(
        "a Zarr that is a file",
        lambda d: (d / "a.zarr").write_bytes(b"\0" * 400),
        "info {d}/a.zarr",
        2,
        "is a file, and an OME-Zarr is a folder",
    ),
    *(
        Row(
            suffix,
            lambda d, suffix=suffix: (d / f"a{suffix}").write_bytes(b"\0" * 400),
            f"info {{d}}/a{suffix}",
            2,
            f"has the suffix '{Path('a' + suffix).suffix}', but only",
        )
        for suffix in (".dcm", ".npz", ".webp", ".bmp")
    ),
    *(
        Row(
            f"{suffix} without an image",
            lambda d, suffix=suffix: (d / f"a{suffix}").write_bytes(b"\0" * 400),
            f"info {{d}}/a{suffix}",
            2,
            "copy or save it again",
        )
        for suffix in (".nii.gz", ".mrc", ".lsm", ".svs", ".qptiff", ".ims", ".ome.zarr.zip", ".ozx")
    ),
    # files/10-names
    Row("a name that clears the screen", folder("a\x1b[2J.tif"), "info {d}/in", 0, r"a\x1b[2J"),
    Row("a name in brackets", folder("[bold]x.tif"), "info {d}/in", 0, "[bold]x"),
    Row(
        "a name that is no UTF-8",
        bytes_of_a_name,
        "segment {m} {d}/in -o {d}/out",
        2,
        r"a\xff.tif has a name that is not UTF-8",
    ),
    Row(
        "a name too long for results",
        folder("a" * 240 + ".tif"),
        "segment {m} {d}/in -o {d}/out",
        2,
        "has a name of 244 bytes, and files have 255",
    ),
    Row(
        "a path longer than any",
        tif("a.tif"),
        f"info {{d}}/{'a' * 300}.tif",
        2,
        "has a name that is too long for any file; check the path",
    ),
    Row(
        "an output longer than any",
        tif("a.tif"),
        f"segment {{m}} {{d}}/a.tif -o {{d}}/{'a' * 300}.tif",
        2,
        "has a name of 304 bytes",
    ),
    Row(
        "a model longer than any",
        tif("a.tif"),
        f"segment {{d}}/{'a' * 300} {{d}}/a.tif -o {{d}}/o.tif",
        1,
        "File name too long; choose a shorter name",
    ),
    # files/11-pairing
    Row("Cellpose's own file", cellpose, "info {d}/in", 0, "96 x 80 voxels"),
    Row(
        "Cellpose's own file by name",
        cellpose,
        "info {d}/in/a_seg.npy",
        2,
        "holds masks of Cellpose and no image; pass the image, or read it as labels",
    ),
    Row("masks beside images", with_masks, "info {d}/in", 2, "take out a_cp_masks, which looks like a mask"),
    Row(
        "a broken link", link, "info {d}/in", 2, "{d}/in/b.tif is a link to a file that does not exist; remove the link"
    ),
    # files/13-small
    Row(
        "one value",
        tif("a.tif", np.full((96, 80), 7, np.uint8)),
        "new adgan --images {d}/a.tif -o {d}/run.yaml",
        2,
        "none stands out from the noise",
    ),
    Row(
        "a row", tif("a.tif", GRAY[:1]), "new adgan --images {d}/a.tif -o {d}/run.yaml", 2, "too small to hold objects"
    ),
    Row("a row, segmented", tif("a.tif", GRAY[:1]), "segment {m} {d}/a.tif -o {d}/o.tif", 0, "labels in"),
    Row(
        "one value, segmented",
        tif("a.tif", np.full((96, 80), 7, np.uint8)),
        "segment {m} {d}/a.tif -o {d}/o.tif",
        0,
        "0 objects",
    ),
    # faults 6 and 8
    Row(
        "a billion planes", ome('SizeZ="1000000000"'), "info {d}/a.ome.tif", 2, "declares 1000000000 planes, which its"
    ),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    here = tmp_path_factory.mktemp("models")
    return {"m": segmenter().save(here / "m"), "um": segmenter(size=(0.65, 0.65), unit="um").save(here / "um")}


def typed(words: list[str]) -> tuple[int, str]:
    """Exit code and all that a command says, as `main` has it."""
    result = CliRunner().invoke(app, words, env={"COLUMNS": "1000"})
    if isinstance(result.exception, UserError):
        return 2, result.output + str(result.exception)
    if isinstance(result.exception, OSError | MemoryError | RuntimeError):
        return 1, result.output + (machine_limit(result.exception) or "")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_an_input_ends_as_the_table_says(row: Row, tmp_path, models, monkeypatch):
    row.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, said = typed([word.format(d=tmp_path, **models) for word in row.command.split()])
    assert code == row.code, said
    assert row.says.format(d=tmp_path) in said
    assert "\x1b" not in said


def test_every_row_is_its_own():
    assert len({row.what for row in ROWS}) == len(ROWS) >= 40


@pytest.mark.parametrize(
    "dtype", ["uint16", "int16", "int32", "uint32", "uint64", "float16", "float32", "float64", ">u2"]
)
def test_every_dtype_is_segmented_as_bytes_are(dtype, tmp_path, models):
    write(tmp_path / "a.tif", GRAY)
    write(tmp_path / "b.tif", GRAY.astype(dtype))
    for name in "ab":
        assert (
            typed(["segment", str(models["m"]), str(tmp_path / f"{name}.tif"), "-o", str(tmp_path / f"{name}.l.tif")])[
                0
            ]
            == 0
        )
    assert (tifffile.imread(tmp_path / "a.l.tif") == tifffile.imread(tmp_path / "b.l.tif")).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_white_as_0_is_read_as_viewers_show_it(dtype, tmp_path):
    top = np.iinfo(dtype).max
    path = write(tmp_path / "a.tif", (top - GRAY.astype(dtype)).astype(dtype), photometric="miniswhite", rowsperstrip=7)
    (volume,) = open_volumes(path)
    assert volume.dtype == dtype and (volume.load() == GRAY).all()
    assert (volume.array[10:50:3, 5:60:2] == GRAY[10:50:3, 5:60:2]).all()
    assert (open_labels(path)[0].load() == top - GRAY.astype(dtype)).all()  # ids are no brightness


def test_white_as_0_of_12_bits(tmp_path):
    write(tmp_path / "a.tif", (4095 - GRAY.astype(np.uint16)), photometric="miniswhite", bitspersample=12)
    assert (open_volumes(tmp_path / "a.tif")[0].load() == GRAY).all()


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
@pytest.mark.parametrize("orientation", range(9))
def test_orientations_are_applied_whole_and_in_part(orientation, suffix, tmp_path):
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[274] = orientation
    if suffix == "tif":
        write(path, GRAY, extratags=rotated(orientation), compression="zlib", tile=(16, 32))
        Image.fromarray(GRAY).save(tmp_path / "b.png", exif=exif)
    else:
        Image.fromarray(GRAY).save(path, exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "b.png" if suffix == "tif" else path)))
    (volume,) = open_volumes(ImageSource(paths=str(path), voxel=(2.0, 1.0), unit="um"))
    assert volume.shape == wanted.shape and (volume.load() == wanted).all()
    rng = np.random.default_rng(orientation)
    for _ in range(20):
        (y, stop_y), (x, stop_x) = (sorted(rng.integers(0, n + 1, 2)) for n in wanted.shape)
        region = slice(y, stop_y, rng.integers(1, 5)), slice(x, stop_x, rng.integers(1, 5))
        assert (volume.array[region] == wanted[region]).all()


def test_a_turned_image_has_its_voxel_size_turned(tmp_path):
    options = {"imagej": True, "resolution": (1.0, 0.5), "metadata": {"unit": "um"}}
    write(tmp_path / "a.tif", GRAY, extratags=rotated(6), **options)
    assert open_volumes(tmp_path / "a.tif")[0].voxel == Voxel((1.0, 2.0), "um")


def test_bigdataviewers_numbers_have_no_sign(tmp_path):
    bigdataviewer(tmp_path)
    source = ImageSource(paths=f"{tmp_path}/a.h5::t00000/s00/0/cells", axes="zyx", voxel=(1, 1, 1), unit="um")
    assert (open_volumes(source)[0].load()[1] == GRAY.astype(np.uint16) * 200).all()


def test_advice_for_a_model_by_its_bare_name(tmp_path, monkeypatch):
    from cytoshift.cli.assess import settings_of

    monkeypatch.chdir(tmp_path)
    (tmp_path / "m2").mkdir()
    assert settings_of(Path("m2")) is None
    (tmp_path / "run.yaml").touch()
    assert settings_of(Path("m2")) == tmp_path / "run.yaml"


@pytest.mark.parametrize(
    ("truth", "says"),
    [
        (np.where(LABELS > 0, 255, 0).astype(np.uint8), "has one number (255) in"),
        ((LABELS > 0).astype(np.uint8), "has one number (1) in"),
        ((LABELS + 1).astype(np.uint16), "has no 0, and 1 covers"),
        (np.where(LABELS > 0, 0, 255).astype(np.uint8), "it looks like a mask of the background"),
        (((LABELS > 0) * (1 + LABELS % 2)).astype(np.uint8), "has 2 numbers (1, 2) in"),
    ],
)
def test_masks_given_as_labels_are_noticed(truth, says, tmp_path):
    write(tmp_path / "t.tif", truth)
    write_labels(tmp_path / "p.tif", LABELS, Voxel((1.0, 1.0)), "yx")
    code, said = typed(
        ["evaluate", "--pred", str(tmp_path / "p.tif"), "--truth", str(tmp_path / "t.tif"), "--no-report"]
    )
    assert (code == 0 and says in said and "--mask-above" in said) or "invert it" in said


def test_labels_are_not_taken_for_masks(tmp_path):
    write_labels(tmp_path / "p.tif", LABELS, Voxel((1.0, 1.0)), "yx")
    tiling = np.arange(96 * 80).reshape(96, 80) // 640 + 1
    write(tmp_path / "tiling.tif", tiling.astype(np.uint16))
    write(tmp_path / "one.tif", (LABELS == 3).astype(np.uint8))
    write(tmp_path / "none.tif", np.zeros((96, 80), np.uint8))
    for name in ("p", "tiling", "one", "none"):
        said = typed(
            ["evaluate", "--pred", str(tmp_path / "p.tif"), "--truth", str(tmp_path / f"{name}.tif"), "--no-report"]
        )[1]
        assert "warning" not in said, said


def test_a_mask_is_compared_by_its_parts(tmp_path):
    from skimage.measure import label

    apart = label(LABELS > 0)
    write(tmp_path / "t.tif", np.where(apart > 0, 255, 0).astype(np.uint8))
    write_labels(tmp_path / "p.tif", apart, Voxel((1.0, 1.0)), "yx")
    command = [
        "evaluate",
        "--pred",
        str(tmp_path / "p.tif"),
        "--truth",
        str(tmp_path / "t.tif"),
        "--no-report",
        "--json",
    ]
    numbers = json.loads(typed([*command, "--mask-above", "0"])[1])
    assert numbers["pooled"]["object_f1"] == 1 and numbers["pooled"]["truth_objects"] == apart.max()


def test_a_source_that_is_a_mask_is_noted(tmp_path):
    write(tmp_path / "images" / "a.tif", GRAY)
    write(tmp_path / "labels" / "a.tif", np.where(LABELS > 0, 255, 0).astype(np.uint8))
    command = [
        "new",
        "supervised",
        "--source",
        f"{tmp_path}/images",
        f"{tmp_path}/labels",
        "--images",
        f"{tmp_path}/images",
    ]
    code, said = typed([*command, "--assume-same-size", "-o", f"{tmp_path}/run.yaml"])
    assert code == 0 and "it looks like a mask" in said and "--source-mask-above 0" in said


def test_names_of_one_look_are_one_name(tmp_path):
    for form, where in (("NFC", "p"), ("NFD", "t")):
        write(tmp_path / where / unicodedata.normalize(form, "Zelle_ä.tif"), LABELS.astype(np.uint16))
        write(tmp_path / where / "b.tif", LABELS.astype(np.uint16))
    code, said = typed([*COMPARE, str(tmp_path / "p"), "--truth", str(tmp_path / "t")])
    assert code == 0 and "1.0000" in said


def test_what_imagej_wrote_long_ago_is_read(tmp_path):
    """files/16-misc: a micro sign in Latin 1, and all planes behind one directory."""
    write(tmp_path / "mu.tif", GRAY, description=b"ImageJ=1.43u\nunit=\xb5m\n", metadata=None, resolution=(2, 2, 1))
    assert open_volumes(tmp_path / "mu.tif")[0].voxel == Voxel((0.5, 0.5), "um")
    stack = np.arange(5 * 40 * 48, dtype=">u2").reshape(5, 40, 48)
    text = b"ImageJ=1.53t\nimages=5\nslices=5\nunit=um\nspacing=2.0\nloop=false\n"
    path = write(tmp_path / "one.tif", stack[0], description=text, metadata=None, resolution=(2, 2, 1), byteorder=">")
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[0]
    path.write_bytes(path.read_bytes()[:start] + stack.tobytes())
    assert (open_volumes(path)[0].load() == stack).all()
