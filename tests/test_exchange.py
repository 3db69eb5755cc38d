"""Labels for other programs, opened by the readers of those: the same objects, the same areas."""

import csv
import json
import uuid

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.exchange import LabelSeries, write_format
from cytoshift.data.exchange.label_series import planes_of
from cytoshift.data.frames import series_of
from cytoshift.data.volumes import Volume, open_labels
from cytoshift.data.write import write_labels
from cytoshift.labels.outlines import outlines

roifile = pytest.importorskip("roifile")
shapely = pytest.importorskip("shapely")

FLAT, DEEP = Voxel((0.5, 0.5), "um"), Voxel((2.0, 0.5, 0.5), "um")


def run(*arguments):
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def difficult(shift=0):
    """Holes, an island in a hole, parts that are apart, parts that touch in a corner, an object at the edge."""
    labels = np.zeros((40, 60), np.uint16)
    labels[3:20, 4:30] = 5
    labels[8:14, 8:24] = 0
    labels[10:12, 10:14] = 5  # an island in the hole
    labels[10:12, 16:20] = 7  # another object there
    labels[30:33, 40:44] = 5
    labels[33:36, 44:46] = 5  # in a corner
    labels[25:40, 0:9] = 300
    labels[38, 20] = 65000
    return np.roll(labels, shift, axis=1)


def area(shape):
    """The pixels of a polygon of shapely."""
    return round(shape.area)


def polygon_of(roi):
    """A ROI as shapely has it: rings of one ROI, even and odd."""
    found = shapely.Polygon()
    for ring in roi.coordinates(multi=True):
        found = found.symmetric_difference(shapely.Polygon(ring))
    return found


def masks_of(labels):
    return {int(i): labels == i for i in np.unique(labels) if i}


def inside(shape, size):
    """Which pixels have their centre in a shape."""
    y, x = np.mgrid[: size[0], : size[1]]
    return shapely.contains_xy(shape, x + 0.5, y + 0.5)


@settings(max_examples=150, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 3)))
def test_outlines_enclose_the_pixels_of_their_objects_and_are_valid_polygons(labels):
    found = {one.label: one for one in outlines(labels)}
    assert found.keys() == masks_of(labels).keys()
    for label, mask in masks_of(labels).items():
        shape = shapely.MultiPolygon([shapely.Polygon(part[0], part[1:]) for part in found[label].parts])
        assert shape.is_valid, shapely.is_valid_reason(shape)
        assert area(shape) == mask.sum()
        assert (mask == inside(shape, labels.shape[::-1]).T).all()  # shapely has (y, x) here
        assert all(ring[0].tolist() != ring[-1].tolist() for part in found[label].parts for ring in part)


def test_imagej_rois_have_the_pixels_holes_and_parts_of_the_objects(tmp_path):
    labels = difficult()
    write_labels(tmp_path / "a.tif", labels, FLAT, "yx")
    assert "1 label image as ImageJ ROIs" in run(tmp_path / "a.tif", "-o", tmp_path / "rois.zip")
    rois = {roi.name: roi for roi in roifile.roiread(tmp_path / "rois.zip")}
    assert rois.keys() == {"5", "7", "300", "65000"}
    for label, mask in masks_of(labels).items():
        shape = polygon_of(rois[str(label)])
        assert (inside(shape, labels.shape) == mask).all() and area(shape) == mask.sum()
    assert rois["300"].roitype == roifile.ROI_TYPE.TRACED and rois["5"].composite
    assert (rois["300"].left, rois["300"].top, rois["300"].right, rois["300"].bottom) == (0, 25, 9, 40)
    assert rois["7"].integer_coordinates.tolist() == [[0, 0], [4, 0], [4, 2], [0, 2]]


def test_rois_of_a_stack_stand_on_their_slices_and_those_of_a_series_on_their_frames(tmp_path):
    stack = np.stack([difficult(), np.zeros_like(difficult()), difficult(3)])
    write_labels(tmp_path / "z.tif", stack, DEEP, "zyx")
    run(tmp_path / "z.tif", "-o", tmp_path / "z.zip")
    rois = roifile.roiread(tmp_path / "z.zip")
    assert sorted(roi.name for roi in rois) == sorted(f"000{z}-{i}" for z in (1, 3) for i in (5, 7, 300, 65000))
    for roi in rois:
        z, label = map(int, roi.name.split("-"))
        assert roi.position == z and (inside(polygon_of(roi), stack[0].shape) == (stack[z - 1] == label)).all()
    tifffile.imwrite(tmp_path / "tz.tif", np.stack([stack, stack]), imagej=True, metadata={"axes": "TZYX"})
    run(tmp_path / "tz.tif", "-o", tmp_path / "tz.zip", "--voxel", "2,1,1", "--unit", "px")
    rois = roifile.roiread(tmp_path / "tz.zip")
    assert {(roi.t_position, roi.z_position) for roi in rois} == {(t, z) for t in (1, 2) for z in (1, 3)}
    assert len(rois) == 16


def test_a_roi_beyond_16_bits_keeps_its_place(tmp_path):
    labels = np.zeros((4, 40_000), np.uint8)
    labels[1:3, 39_990:39_995] = 1
    found = series_of([Volume("wide", labels, "yx", FLAT, "an array")])
    write_format("rois", tmp_path / "w.zip", [LabelSeries(found[0])])
    [roi] = roifile.roiread(tmp_path / "w.zip")
    assert roi.coordinates().tolist() == [[39990, 1], [39995, 1], [39995, 3], [39990, 3]]


def test_geojson_is_what_qupath_reads(tmp_path):
    labels = difficult()
    write_labels(tmp_path / "a.tif", labels, FLAT, "yx")
    with (tmp_path / "a.objects.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label", "area", "solidity"], ["a", 5, 12.5, 0.5], ["a", 7, 2, "nan"]])
    run(tmp_path / "a.tif", "-o", tmp_path / "a.geojson", "--class", "nuclei")
    content = json.loads((tmp_path / "a.geojson").read_text())
    found = {one["properties"]["name"]: one for one in content["features"]}
    assert content["type"] == "FeatureCollection" and found.keys() == {"5", "7", "300", "65000"}
    for label, mask in masks_of(labels).items():
        shape = shapely.geometry.shape(found[str(label)]["geometry"])
        assert shape.is_valid and (inside(shape, labels.shape) == mask).all() and area(shape) == mask.sum()
        assert uuid.UUID(found[str(label)]["id"]).version == 5
        assert found[str(label)]["properties"]["objectType"] == "detection"
        assert found[str(label)]["properties"]["classification"] == {"name": "nuclei"}
    assert found["5"]["geometry"]["type"] == "MultiPolygon" and len(found["5"]["geometry"]["coordinates"]) == 4
    assert found["7"]["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[16, 10], [20, 10], [20, 12], [16, 12], [16, 10]]],
    }
    assert found["5"]["properties"]["measurements"] == {"label": 5, "area": 12.5, "solidity": 0.5}
    assert found["7"]["properties"]["measurements"] == {"label": 7, "area": 2.0}  # JSON has no NaN
    write_labels(tmp_path / "z.tif", np.stack([labels, labels]), DEEP, "zyx")
    run(tmp_path / "z.tif", "-o", tmp_path / "z.geojson")
    planes = [one["geometry"]["plane"] for one in json.loads((tmp_path / "z.geojson").read_text())["features"]]
    assert [plane["z"] for plane in planes] == [0] * 4 + [1] * 4 and planes[0] == {"c": -1, "z": 0, "t": 0}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")  # its own, of numpy
def test_coco_decodes_to_the_same_masks(tmp_path):
    tools = pytest.importorskip("pycocotools.coco")
    (tmp_path / "l").mkdir()
    truth = {"a.tif": difficult(), "b.tif": difficult(7), "empty.tif": np.zeros((9, 8), np.uint8)}
    for name, labels in truth.items():
        write_labels(tmp_path / "l" / name, labels, FLAT, "yx")
    run(tmp_path / "l", "-o", tmp_path / "all.json", "--class", "nuclei")
    coco = tools.COCO(str(tmp_path / "all.json"))
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["nuclei"]
    assert {one["file_name"] for one in coco.imgs.values()} == truth.keys() and len(coco.anns) == 8
    for annotation in coco.anns.values():
        labels = truth[coco.imgs[annotation["image_id"]]["file_name"]]
        mask = labels == annotation["label"]
        y, x = np.nonzero(mask)
        assert (coco.annToMask(annotation) == mask).all() and annotation["area"] == mask.sum()
        assert annotation["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]


@settings(max_examples=100, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3)))
def test_run_lengths_are_those_of_coco(labels):
    tools = pytest.importorskip("pycocotools.mask")
    from cytoshift.data.exchange.coco import masks

    for label, size, box, counts in masks(labels):
        wanted = tools.encode(np.asfortranarray((labels == label).astype(np.uint8)))
        assert counts == wanted["counts"].decode() and size == tools.area(wanted)
        assert box == tools.toBbox(wanted).tolist()


def test_long_runs_and_runs_over_several_columns_are_those_of_coco():
    tools = pytest.importorskip("pycocotools.mask")
    from cytoshift.data.exchange.coco import masks

    labels = np.zeros((3000, 40), np.uint8)
    labels[:, 10:30], labels[5:2990, 33] = 1, 2
    for label, _, _, counts in masks(labels):
        assert counts == tools.encode(np.asfortranarray((labels == label).astype(np.uint8)))["counts"].decode()


def test_the_tracking_challenge_reads_masks_and_tracks(tmp_path):
    read = pytest.importorskip("ctc_metrics.utils.filesystem")
    frames = np.stack([difficult(), np.zeros_like(difficult()), difficult(3)])
    tifffile.imwrite(tmp_path / "t.tif", frames, imagej=True, metadata={"axes": "TYX"})
    run(tmp_path / "t.tif", "-o", tmp_path / "01_RES", "--to", "ctc")
    tracks = read.read_tracking_file(str(tmp_path / "01_RES" / "res_track.txt"))
    masks = read.parse_masks(str(tmp_path / "01_RES"))
    assert len(masks) == 3 and tracks[:, 0].tolist() == list(range(1, 9))
    for t, path in enumerate(masks):
        there = tifffile.imread(path)
        assert there.dtype == np.uint16 and ((there > 0) == (frames[t] > 0)).all()
        begin = {int(label) for label, first, last, parent in tracks if first == last == t and parent == 0}
        assert begin == set(np.unique(there)) - {0}
        for mask in masks_of(frames[t]).values():
            assert len(np.unique(there[mask])) == 1
    assert run(tmp_path / "t.tif", "-o", tmp_path / "01_RES", "--to", "ctc", "--overwrite")


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.ome.zarr"])
@pytest.mark.parametrize("axes", ["TYX", "TZYX"])
def test_frames_stay_in_one_file(tmp_path, name, axes):
    frames = np.stack([difficult(), difficult(2), difficult(4)])
    frames = np.stack([frames, frames[::-1]]) if axes == "TZYX" else frames
    metadata = {"axes": axes, "spacing": 2.0, "unit": "micron"}
    tifffile.imwrite(tmp_path / "t.tif", frames, imagej=True, resolution=(2, 2), metadata=metadata)
    run(tmp_path / "t.tif", "-o", tmp_path / name, "--labels")
    found = open_labels(tmp_path / name)
    assert [one.name for one in found] == [f"out_t{t}" for t in range(len(frames))]
    assert all((one.load() == frames[t]).all() for t, one in enumerate(found))
    assert found[0].voxel.size == ((2.0, 0.5, 0.5) if axes == "TZYX" else (0.5, 0.5))
    if name.endswith(".tif"):
        with tifffile.TiffFile(tmp_path / name) as file:
            assert file.series[0].axes == axes and file.is_imagej == (name == "out.tif")
    else:
        models = pytest.importorskip("ome_zarr_models")
        assert "v05" in type(models.open_ome_zarr(zarr.open_group(tmp_path / name, mode="r"))).__module__


def test_several_images_get_a_file_each(tmp_path):
    (tmp_path / "l").mkdir()
    for name in "ab":
        write_labels(tmp_path / "l" / f"{name}.tif", difficult(), FLAT, "yx")
    run(tmp_path / "l", "-o", tmp_path / "rois.zip")
    run(tmp_path / "l", "-o", tmp_path / "tiffs", "--to", "tif")
    run(tmp_path / "l", "-o", tmp_path / "zarrs", "--to", "ome-zarr", "--ngff", "0.4")
    assert sorted(p.name for p in (tmp_path / "rois").iterdir()) == ["a.zip", "b.zip"]
    assert sorted(p.name for p in (tmp_path / "tiffs").iterdir()) == ["a.tif", "b.tif"]
    assert (open_labels(tmp_path / "zarrs" / "b.ome.zarr")[0].load() == difficult()).all()


@pytest.mark.parametrize("words, said", [
    (("a.tif",), "no output is given"),
    (("a.tif", "-o", "there"), "does not say which format"),
    (("a.tif", "-o", "there.docx"), "does not say which format"),
    (("a.tif", "-o", "x.zip", "--to", "coco"), "is a name for rois, and --to says coco"),
    (("a.tif", "-o", "x", "--to", "coc"), "format 'coc' is not known; pass --to with one of rois, geojson"),
    (("a.tif", "-o", "a.tif", "--overwrite"), "is read"),
    (("a.tif", "-o", "old.zip"), "already exists; pass --overwrite"),
    (("a.tif", "-o", "folder", "--to", "ctc", "--overwrite"), "a folder of other files"),
    (("float.tif", "-o", "f.zip"), "whole numbers"),
])  # fmt: skip
def test_a_request_that_cannot_be_met_is_one_sentence(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    write_labels(tmp_path / "a.tif", difficult(), FLAT, "yx")
    tifffile.imwrite(tmp_path / "float.tif", np.full((4, 4), 0.5, np.float32))
    (tmp_path / "old.zip").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    result = CliRunner().invoke(app, ["convert", *words])
    assert isinstance(result.exception, UserError) and said in str(result.exception)
    assert (tmp_path / "old.zip").read_text() == (tmp_path / "folder" / "mine").read_text() == "mine"


def test_more_objects_than_16_bits_are_refused_for_the_tracking_challenge(tmp_path):
    many = np.arange(1, 257 * 256 + 1, dtype=np.uint32).reshape(257, 256)
    found = series_of([Volume("many", many, "yx", FLAT, "an array")])
    with pytest.raises(UserError, match="65535 objects"):
        write_format("ctc", tmp_path / "many", [LabelSeries(found[0])])
    assert not (tmp_path / "many").exists()


def test_planes_are_read_in_slabs_of_chunks(tmp_path):
    stack = np.arange(7 * 4 * 5, dtype=np.uint8).reshape(7, 4, 5)
    stored = zarr.create_array(tmp_path / "a.zarr", shape=stack.shape, chunks=(3, 4, 5), dtype="u1")
    stored[...] = stack
    [series] = series_of([Volume("a", stored, "zyx", DEEP, "an array")])
    assert all((plane.labels == stack[plane.z]).all() for plane in planes_of(series))


def test_masks_and_images_are_said_to_be_no_labels(tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[2:8, 2:8] = mask[20:30, 20:30] = 255
    path = write_labels(tmp_path / "mask.tif", mask, Voxel((1.0, 1.0)), "yx")
    out = tmp_path / "rois.zip"
    result = CliRunner().invoke(app, ["convert", str(path), "-o", str(out)])
    assert result.exit_code == 0 and "it looks like a mask" in result.output and "--mask-above 0" in result.output
    assert "warning" not in run(path, "-o", out, "--overwrite", "--mask-above", 0)
    assert [roi.name for roi in roifile.roiread(out)] == ["1", "2"]
    run(path, "-o", tmp_path / "labels.ome.zarr", "--mask-above", 0)
    assert np.unique(open_labels(tmp_path / "labels.ome.zarr")[0].load()).tolist() == [0, 1, 2]
    image = np.random.default_rng(0).integers(0, 100, (64, 64)).astype(np.uint16)
    path = write_labels(tmp_path / "image.tif", image, Voxel((1.0, 1.0)), "yx")
    result = CliRunner().invoke(app, ["convert", str(path), "-o", str(tmp_path / "x.geojson")])
    assert result.exit_code == 0 and "it looks like an image and not like labels" in result.output


def test_a_table_goes_to_parquet(tmp_path):
    parquet, pandas = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pandas")
    words = ["image,class,label,unit,area,bbox-0,intensity_contrast,confidence", "a,golgi,1,um,2.5,0,nan,0.5"]
    (tmp_path / "objects.csv").write_text("\n".join([*words, "'=b,nuclei,2,um,3,4,1.25,1"]) + "\n")
    run(tmp_path / "objects.csv", "-o", tmp_path / "objects.parquet")
    found = parquet.read_table(tmp_path / "objects.parquet")
    kinds = ["string", "string", "int64", "string", "double", "int64", "double", "double"]
    assert [str(one) for one in found.schema.types] == kinds
    assert found.column("image").to_pylist() == ["a", "=b"] and found.column("area").to_pylist() == [2.5, 3.0]
    table = pandas.read_parquet(tmp_path / "objects.parquet")
    assert table["label"].tolist() == [1, 2] and np.isnan(table["intensity_contrast"][0])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for words, said in (("other.csv", "not a table that"), ("none.csv", "is written of one table")):
        with pytest.raises(UserError, match=said):
            run(tmp_path / words, "-o", tmp_path / "o.parquet")


def image_file(path, labels, voxel, axes):
    """An image of the same grid, which outlines were drawn on."""
    from cytoshift.data.write import write_image

    write_image(path, (labels.astype(np.float32) * 3 + 1).astype(np.float32), voxel, axes)
    return path


@pytest.mark.parametrize("ending", ["zip", "geojson"])
def test_outlines_come_back_as_the_labels_that_they_were(tmp_path, ending):
    flat = difficult()
    deep = np.stack([difficult(), np.zeros_like(flat), difficult(7)])
    for name, labels, voxel, axes in (("flat", flat, FLAT, "yx"), ("deep", deep, DEEP, "zyx")):
        image = image_file(tmp_path / f"{name}.image.tif", labels, voxel, axes)
        write_labels(tmp_path / f"{name}.tif", labels, voxel, axes)
        run(tmp_path / f"{name}.tif", "-o", tmp_path / f"{name}.{ending}")
        run(tmp_path / f"{name}.{ending}", "--like", image, "-o", tmp_path / f"{name}.back.tif")
        (back,) = open_labels(str(tmp_path / f"{name}.back.tif"))
        assert back.voxel == voxel and back.axes == axes
        np.testing.assert_array_equal(back.load(), labels)


def test_frames_come_back(tmp_path):
    film = np.stack([difficult(), difficult(3), difficult(9)])
    tifffile.imwrite(tmp_path / "film.tif", film, photometric="minisblack", metadata={"axes": "TYX"})
    run(tmp_path / "film.tif", "-o", tmp_path / "film.zip")
    run(tmp_path / "film.zip", "--like", tmp_path / "film.tif", "-o", tmp_path / "back.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "back.tif"), film)


def test_what_a_person_draws_in_fiji_becomes_objects(tmp_path):
    """An oval, a rectangle, a polygon with parts of pixels and a point, named by ImageJ after their places."""
    image = image_file(tmp_path / "a.tif", np.zeros((60, 80)), FLAT, "yx")
    oval = roifile.ImagejRoi(left=10, top=10, right=30, bottom=26, name="0018-0020")
    oval.roitype = roifile.ROI_TYPE.OVAL
    box = roifile.ImagejRoi(left=40, top=5, right=50, bottom=15, name="0010-0020")
    box.roitype = roifile.ROI_TYPE.RECT
    poly = roifile.ImagejRoi.frompoints([[60.2, 40.2], [70.2, 40.2], [70.2, 50.2], [60.2, 50.2]], name="7")
    point = roifile.ImagejRoi.frompoints([[5, 5]], name="9")
    point.roitype = roifile.ROI_TYPE.POINT
    roifile.roiwrite(tmp_path / "a.zip", [oval, box, poly, point])
    run(tmp_path / "a.zip", "--like", image, "-o", tmp_path / "labels.tif")
    found = tifffile.imread(tmp_path / "labels.tif")
    assert sorted(np.unique(found)) == [0, 7, 8, 9] and (found[5:15, 40:50] == 9).all()
    assert (found == 9).sum() == 100 and abs((found == 8).sum() - np.pi * 10 * 8) < 12 and (found == 7).sum() == 100


@pytest.mark.parametrize(
    "name, content, words, sentence",
    [
        ("a.geojson", "{}", (), "has outlines but no size; pass --like"),
        ("a.geojson", "not json", ("--like", "image.tif"), "outlines of .* cannot be read"),
        ("a.geojson", '{"features": []}', ("--like", "image.tif"), "has no outline with an area"),
        ("a.zip", "no zip", ("--like", "image.tif"), "outlines of .* cannot be read"),
        ("a.geojson", json.dumps({"geometry": {"type": "Polygon", "coordinates": [[[900, 900], [910, 900], [910, 910],
         [900, 900]]]}}), ("--like", "image.tif"), "lies outside of image, which is 60 x 40 pixels"),
        ("a.geojson", json.dumps({"geometry": {"type": "Polygon", "coordinates": [[[1, 1], [9, 1], [9, 9], [1, 1]]],
         "plane": {"z": 4, "t": 0}}}), ("--like", "image.tif"), "lies in slice 5 of frame 1, but image has 1 and 1"),
    ],
)  # fmt: skip
def test_outlines_that_cannot_be_read_are_a_sentence(tmp_path, monkeypatch, name, content, words, sentence):
    monkeypatch.chdir(tmp_path)
    image_file(tmp_path / "image.tif", np.zeros((40, 60)), FLAT, "yx")
    (tmp_path / name).write_text(content)
    result = CliRunner().invoke(app, ["convert", name, *words, "-o", "out.tif"])
    assert result.exit_code != 0 and not (tmp_path / "out.tif").exists()
    with pytest.raises(UserError, match=sentence):
        raise result.exception


def test_outlines_of_a_folder_find_their_images(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(3):
        labels = difficult(number)
        image_file(tmp_path / "images" / f"im{number}.tif", labels, FLAT, "yx")
        write_labels(tmp_path / "labels" / f"im{number}.tif", labels, FLAT, "yx")
    run(tmp_path / "labels", "-o", tmp_path / "rois", "--to", "rois")
    run(tmp_path / "rois", "--like", tmp_path / "images", "-o", tmp_path / "back", "--to", "tif")
    for number in range(3):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "back" / f"im{number}.tif"), difficult(number))


def test_outlines_and_label_images_are_not_mixed(tmp_path):
    image = image_file(tmp_path / "a.tif", difficult(), FLAT, "yx")
    write_labels(tmp_path / "labels.tif", difficult(), FLAT, "yx")
    run(tmp_path / "labels.tif", "-o", tmp_path / "a.zip")
    words = [str(tmp_path / name) for name in ("a.zip", "labels.tif")]
    result = CliRunner().invoke(
        app, ["convert", *words, "--like", str(image), "-o", str(tmp_path / "out"), "--to", "tif"]
    )
    with pytest.raises(UserError, match=r"a\.zip has outlines, .*labels\.tif has none"):
        raise result.exception
    assert not (tmp_path / "out").exists()
