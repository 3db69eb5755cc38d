"""Labels that come back from COCO and from the Cell Tracking Challenge: the same objects, or one sentence."""

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.exchange.coco_in import decompress_runs, read_coco
from cytoshift.data.exchange.drawn_objects import DrawnMask, draw_objects
from cytoshift.data.frames import series_of
from cytoshift.data.volumes import Volume, open_labels
from cytoshift.data.write import write_image, write_labels

FLAT, DEEP = Voxel((0.5, 0.5), "um"), Voxel((2.0, 0.5, 0.5), "um")


def run(*arguments):
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(sentence, *arguments):
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    assert result.exit_code != 0, result.output
    with pytest.raises(UserError, match=sentence):
        raise result.exception


def difficult(shift=0):
    """Holes, an island in a hole, parts that are apart, objects that touch, one at the edge, one of a single pixel."""
    labels = np.zeros((40, 60), np.uint16)
    labels[3:20, 4:30] = 5
    labels[8:14, 8:24] = 0
    labels[10:12, 10:14] = 5
    labels[10:12, 16:20] = 7
    labels[30:36, 40:44] = 5
    labels[30:36, 44:50] = 12
    labels[25:40, 0:9] = 300
    labels[38, 20] = 65000
    return np.roll(labels, shift, axis=1)


def image_file(path, shape, axes="yx"):
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    return write_image(path, values, DEEP if axes == "zyx" else FLAT, axes)


def record(number, name, size=(40, 60), **more):
    return {"id": number, "file_name": name, "height": size[0], "width": size[1], **more}


def square(image, left, top, side, **more):
    right, bottom = left + side, top + side
    ring = [left, top, right, top, right, bottom, left, bottom]
    return {"image_id": image, "category_id": 1, "segmentation": [ring], "bbox": [left, top, side, side]} | more


ONE = [record(1, "a.tif")]


def coco(path, images, annotations, names=("cell",)):
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_coco_of_several_images_comes_back_as_the_labels_that_it_was(tmp_path):
    """Suffixes differ, the images are in a folder of their own, one has no object, one colours."""
    truth = {"a": difficult(), "b": difficult(7), "empty": np.zeros((9, 8), np.uint16), "c": difficult(3)}
    for name, labels in truth.items():
        write_labels(tmp_path / "l" / f"{name}.tif", labels, FLAT, "yx")
    (tmp_path / "images").mkdir()
    for name in ("a", "b", "empty"):
        Image.fromarray(np.zeros((*truth[name].shape, 3), np.uint8)).save(tmp_path / "images" / f"{name}.png")
    Image.fromarray(np.zeros(truth["c"].shape, np.uint8)).save(tmp_path / "images" / "c.png")
    run(tmp_path / "l", "-o", tmp_path / "all.json")
    assert "4 label images as label TIFF" in run(
        tmp_path / "all.json", "--like", tmp_path / "images", "-o", tmp_path / "back/"
    )
    assert sorted(one.name for one in (tmp_path / "back").iterdir()) == sorted(f"{name}.tif" for name in truth)
    for name, labels in truth.items():
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "back" / f"{name}.tif"), labels)


@pytest.mark.parametrize("out", ["back.tif", "back.ome.zarr"])
def test_coco_of_stacks_and_films_comes_back_with_slices_and_frames(tmp_path, out):
    deep = np.stack([difficult(), np.zeros_like(difficult()), difficult(7)])
    write_labels(tmp_path / "deep.tif", deep, DEEP, "zyx")
    run(tmp_path / "deep.tif", "-o", tmp_path / "deep.json")
    image_file(tmp_path / "image.tif", deep.shape, "zyx")
    run(tmp_path / "deep.json", "--like", tmp_path / "image.tif", "-o", tmp_path / out)
    (back,) = open_labels(tmp_path / out)
    assert back.voxel == DEEP
    np.testing.assert_array_equal(back.load(), deep)
    film = np.stack([deep, deep[::-1]])
    tifffile.imwrite(tmp_path / "film.tif", film, imagej=True, metadata={"axes": "TZYX", "spacing": 2.0})
    run(tmp_path / "film.tif", "-o", tmp_path / "film.json", "--voxel", "2,1,1", "--unit", "px")
    run(
        tmp_path / "film.json", "--like", tmp_path / "film.tif", "-o", tmp_path / f"film.{out}",
        "--voxel", "2,1,1", "--unit", "px",
    )  # fmt: skip
    assert all((one.load() == film[t]).all() for t, one in enumerate(open_labels(tmp_path / f"film.{out}")))


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)),
    st.tuples(*[st.integers(0, 12)] * 4), st.booleans(),
)  # fmt: skip
def test_run_lengths_of_pycocotools_are_read_in_any_window(mask, corners, compressed):
    tools = pytest.importorskip("pycocotools.mask")
    written = tools.encode(np.asfortranarray(mask))
    counts = written["counts"].decode()
    flat = np.concatenate(([0], mask.T.ravel(), [0]))
    ends = np.flatnonzero(np.diff(flat))
    plain = np.diff([0, *ends, *([mask.size] if not ends.size or ends[-1] < mask.size else [])]).tolist()
    assert decompress_runs(counts).tolist() == plain
    shape = {"size": list(mask.shape), "counts": counts if compressed else plain}
    content = {"images": [record(1, "a", mask.shape)], "annotations": [{"image_id": 1, "segmentation": shape}]}
    if not mask.any():
        with pytest.raises(UserError, match="1 have no area"):
            read_coco(content, "a.json")
        return
    [image] = read_coco(content, "a.json")
    [found] = image.objects
    assert isinstance(found, DrawnMask)
    (top, left), (bottom, right) = found.bounds()
    rows, columns = np.nonzero(mask)
    assert (left, right) == (columns.min(), columns.max() + 1) and top <= rows.min() and bottom > rows.max()
    volume = Volume("a", np.zeros(mask.shape), "yx", FLAT, "an array")
    [labels] = draw_objects(image.objects, series_of([volume])[0])
    np.testing.assert_array_equal(labels.load(), mask)
    y, y2, x, x2 = corners
    np.testing.assert_array_equal(labels.array[y:y2, x:x2:2], mask[y:y2, x:x2:2])


def test_long_run_lengths_are_read():
    tools = pytest.importorskip("pycocotools.mask")
    mask = np.zeros((3000, 40), np.uint8, order="F")
    mask[:, 10:30], mask[5:2990, 33] = 1, 1
    assert decompress_runs(tools.encode(mask)["counts"].decode()).tolist() == [30000, 60000, 9005, 2985, 18010]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")  # its own, of numpy
def test_polygons_cover_what_pycocotools_says_they_cover(tmp_path):
    """Round cells with corners at parts of pixels, in two parts that overlap; they differ in pixels of the edge."""
    tools = pytest.importorskip("pycocotools.mask")
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = lambda x, y, r: np.stack([x + r * np.cos(angle), y + r * np.sin(angle)], 1).ravel().tolist()
    parts = [ring(30.3, 20.6, 11.2), ring(38.1, 20.2, 9.7)]
    coco(tmp_path / "a.json", [record(1, "a.tif")], [square(1, 0, 0, 1, segmentation=parts), square(1, 2, 30, 6)])
    image_file(tmp_path / "a.tif", (40, 60))
    run(tmp_path / "a.json", "--like", tmp_path / "a.tif", "-o", tmp_path / "back.tif")
    found = tifffile.imread(tmp_path / "back.tif")
    wanted = tools.decode(tools.merge(tools.frPyObjects(parts, 40, 60))) > 0
    assert ((found == 1) != wanted).sum() <= 0.05 * wanted.sum() and (found == 1)[20, 34]
    assert (found == 2).sum() == 36 and (found[30:36, 2:8] == 2).all()


def test_files_of_other_programs_are_read(tmp_path):
    """Objects are numbered in each image, the first has a pixel of two, crowds lie behind, boxes are left out."""
    image_file(tmp_path / "images" / "one.tif", (40, 60))
    image_file(tmp_path / "images" / "two.tif", (40, 60))
    image_file(tmp_path / "images" / "none.tif", (40, 60))
    crowd = {"size": [40, 60], "counts": [0, 40 * 20, 40 * 40]}
    annotations = [
        square(7, 0, 0, 30, id=90, segmentation=crowd, iscrowd=1),
        square(7, 2, 2, 10, id=91, label="cell"),
        square(7, 7, 2, 10, id=92, category_id=2),
        square(0, 5, 5, 4, id=93, segmentation=[]),
        square(0, 5, 5, 4, id=94),
        square(0, 0, 0, 1, id=95, segmentation=[[1, 1, 2, 2]]),
        square(0, 6, 6, 2, id=96),
    ]
    images = [record(7, "train\\one.jpg"), record(0, "val/two.png", license=1)]
    coco(tmp_path / "x.json", images, annotations, ("cell", "débris"))
    said = run(tmp_path / "x.json", "--like", tmp_path / "images", "-o", tmp_path / "back", "--to", "tif")
    assert "no labels are written of none" in said and "1 outline has no pixel" in said and "in two" in said
    one, two = (tifffile.imread(tmp_path / "back" / f"{name}.tif") for name in ("one", "two"))
    assert (one[2:12, 2:12] == 1).all() and (one[2:12, 12:17] == 2).all() and (one == 3).sum() == 40 * 20 - 10 * 15
    assert (two == 1).sum() == 16 and set(np.unique(two)) == {0, 1}
    run(tmp_path / "x.json", "--like", tmp_path / "images", "-o", tmp_path / "c", "--class", "débris")
    assert (tifffile.imread(tmp_path / "c" / "one.tif") > 0).sum() == 100
    assert not tifffile.imread(tmp_path / "c" / "two.tif").any()


def test_what_a_json_holds_decides_and_not_its_name(tmp_path):
    image_file(tmp_path / "a.tif", (40, 60))
    write_labels(tmp_path / "l.tif", difficult(), FLAT, "yx")
    run(tmp_path / "l.tif", "-o", tmp_path / "coco.json")
    run(tmp_path / "l.tif", "-o", tmp_path / "q.geojson")
    (tmp_path / "coco.geojson").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "coco.json").read_bytes())
    (tmp_path / "q.json").write_bytes((tmp_path / "q.geojson").read_bytes())
    for name in ("coco.json", "coco.geojson", "q.geojson", "q.json"):
        run(tmp_path / name, "--like", tmp_path / "a.tif", "-o", tmp_path / "back.tif", "--overwrite")
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "back.tif"), difficult())


@pytest.mark.parametrize(
    "content, sentence",
    [
        ({"shapes": [], "imagePath": "a.png"}, "is neither COCO, .* nor GeoJSON.*the keys 'shapes', 'im"),
        ([{"image_id": 1, "segmentation": {}}], "a list, first in it an object with the keys 'image_id', 'seg"),
        (3, "neither COCO.*it is int"),
        ({"images": [], "annotations": []}, "has no annotations"),
        ({"images": ONE, "annotations": []}, "has no annotations; export"),
        ({"images": ONE, "annotations": [square(1, 2, 2, 9, segmentation=[])]},
         "without a mask or polygon: 1 have a box and no segmentation; export"),
        ({"images": ONE, "annotations": [square(2, 2, 2, 9)]}, "1 annotations of images .* as of image 2"),
        ({"images": ONE, "annotations": [square(0, 2, 2, 9)]}, "as of image 0"),
        ({"images": [record(1, "a.tif"), record(1, "b.tif")], "annotations": []}, "two images with one id"),
        ({"images": [record(1, "a.tif"), record(2, "a.tif")], "annotations": [square(1, 2, 2, 9)]}, "a.tif twice"),
        ({"images": [record(1, "a.tif"), record(2, "gone.png")], "annotations": [square(1, 2, 2, 9)]},
         r"lists gone.png, but no image .* there are a\.tif"),
        ({"images": [record(1, "a.png"), record(2, "a.jpg")], "annotations": [square(1, 2, 2, 9)]},
         "has two images for a; pass a folder"),
        ({"images": [record(1, "a.tif", (80, 120))], "annotations": [square(1, 2, 2, 9)]},
         r"says that a\.tif has 120 x 80 pixels, but a\.tif has 60 x 40"),
        ({"images": [{"id": 1, "file_name": "a.tif"}], "annotations": [square(1, 2, 2, 9, segmentation={"size": [8, 9],
          "counts": [0, 72]})]}, r"says that a\.tif has 9 x 8 pixels, but a\.tif has 60 x 40"),
        ({"images": ONE, "annotations": [square(1, 2, 2, 9, segmentation={"size": [8, 9], "counts": [0,
          72]})]}, "has a mask of 9 x 8 pixels in a.tif, of which it says 60 x 40"),
        ({"images": ONE, "annotations": [square(1, 2, 2, 9, segmentation={"size": [40, 60], "counts":
          [0, 72]})]}, "has run lengths of 72 pixels in a.tif, but a mask of 60 x 40 has 2400"),
        ({"images": ONE, "annotations": [square(1, 2, 2, 9, segmentation={"size": [40, 60], "counts":
          "52o"})]}, "cannot be read .run lengths are damaged"),
        ({"images": ONE, "annotations": [square(1, 900, 900, 9)]}, "lies outside of a, which is 60 x 40"),
        ({"images": ONE, "annotations": [square(1, 0, 0, 9, segmentation=[[1, 2, 3, 4, 5]])]},
         "not a list of x and y in turn"),
        ({"images": ONE, "annotations": [square(1, 0, 0, 9, segmentation=[[1, 2, 3, 4, 5, float("nan")]])]},
         "not a list of x and y in turn"),
        ({"images": [{"id": 1}], "annotations": [square(1, 2, 2, 9)]}, "cannot be read .'file_name'"),
    ],
)  # fmt: skip
def test_coco_that_cannot_be_read_is_a_sentence(tmp_path, content, sentence):
    image_file(tmp_path / "a.tif", (40, 60))
    (tmp_path / "x.json").write_text(json.dumps(content))
    refused(sentence, tmp_path / "x.json", "--like", tmp_path / "a.tif", "-o", tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()


def test_a_file_that_is_cut_and_a_plane_of_a_stack_are_sentences(tmp_path):
    write_labels(tmp_path / "l.tif", difficult(), FLAT, "yx")
    run(tmp_path / "l.tif", "-o", tmp_path / "x.json")
    image_file(tmp_path / "deep.tif", (3, 40, 60), "zyx")
    words = ("--like", tmp_path / "deep.tif", "-o", tmp_path / "out.tif")
    refused("has l.tif as a single plane, but deep.tif has several", tmp_path / "x.json", *words)
    refused("has no category 'nuclei', only object; pass --class", tmp_path / "x.json", *words, "--class", "nuclei")
    refused("has outlines but no size; pass --like", tmp_path / "x.json", "-o", tmp_path / "out.tif")
    with pytest.raises(UserError, match=r"x\.json is no image; if it holds outlines .* as `like`"):
        open_labels(tmp_path / "x.json")
    whole = (tmp_path / "x.json").read_bytes()
    (tmp_path / "x.json").write_bytes(whole[: len(whole) // 2])
    refused("outlines of .* cannot be read", tmp_path / "x.json", *words)


def test_classes_that_number_their_objects_alike_are_taken_one_by_one(tmp_path):
    image_file(tmp_path / "a.tif", (40, 60))
    annotations = [square(1, 2, 2, 9, label=1), square(1, 20, 2, 9, label=1, category_id=2)]
    coco(tmp_path / "x.json", [record(1, "a.tif")], annotations, ("nuclei", "golgi"))
    words = (tmp_path / "x.json", "--like", tmp_path / "a.tif", "-o", tmp_path / "out.tif")
    refused("has the label 1 of a.tif in 'nuclei' and 'golgi'", *words)
    run(*words, "--class", "golgi")
    assert (tifffile.imread(tmp_path / "out.tif")[2:11, 20:29] == 1).all()
    annotations = [square(1, 2, 2, 9), square(1, 20, 2, 9, label=4)]  # one was added elsewhere
    coco(tmp_path / "x.json", ONE, annotations)
    run(*words, "--overwrite")
    assert np.unique(tifffile.imread(tmp_path / "out.tif")).tolist() == [0, 4, 5]
    annotations = [square(1, 2, 2, 9, label=1), square(1, 20, 2, 9, label=1)]  # a class, and no id
    coco(tmp_path / "x.json", [record(1, "a.tif")], annotations)
    run(*words, "--overwrite")
    assert np.unique(tifffile.imread(tmp_path / "out.tif")).tolist() == [0, 1, 2]


def test_settings_beside_label_images_are_no_outlines(tmp_path):
    write_labels(tmp_path / "l" / "a.tif", difficult(), FLAT, "yx")
    (tmp_path / "l" / "settings.json").write_text("{}")
    run(tmp_path / "l", "-o", tmp_path / "out", "--to", "tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "a.tif"), difficult())
    (tmp_path / "l" / "a.tif").unlink()
    image_file(tmp_path / "image.tif", (40, 60))
    words = ("--like", tmp_path / "image.tif", "-o", tmp_path / "o.tif")
    refused("settings.json is neither COCO.*an empty object", tmp_path / "l", *words)


def same_objects(first, second):
    """Whether two label images have the same objects, whatever their ids."""
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(first)) == len(np.unique(second)) and (pairs[:, 0] == 0).all()


@pytest.mark.parametrize("axes", ["TYX", "TZYX"])
def test_a_film_comes_back_from_the_tracking_challenge(tmp_path, axes):
    film = np.stack([difficult(), np.zeros_like(difficult()), difficult(3)])
    film = np.stack([film, film[::-1]]) if axes == "TZYX" else film
    voxel = ("--voxel", "2,1,1", "--unit", "px") if axes == "TZYX" else ()
    tifffile.imwrite(tmp_path / "film.tif", film, imagej=True, metadata={"axes": axes})
    run(tmp_path / "film.tif", "-o", tmp_path / "01_RES", "--to", "ctc", *voxel)
    for out in ("back.tif", "back.ome.zarr"):
        run(tmp_path / "01_RES", "-o", tmp_path / out, "--to", "ome-zarr" if "zarr" in out else "tif", *voxel)
        back = open_labels(tmp_path / out)
        assert [one.name for one in back] == [f"back_t{t}" for t in range(len(film))]
        assert all(same_objects(one.load(), frame) for one, frame in zip(back, film))
    run(tmp_path / "back.tif", "-o", tmp_path / "02_RES", "--to", "ctc")
    for mask in (tmp_path / "01_RES").glob("mask*.tif"):
        np.testing.assert_array_equal(tifffile.imread(mask), tifffile.imread(tmp_path / "02_RES" / mask.name))
    run(tmp_path / "01_RES", "-o", tmp_path / "frames", "--to", "tif", *voxel)
    assert len(list((tmp_path / "frames").iterdir())) == len(film)
    run(tmp_path / "01_RES", "-o", tmp_path / "last.tif", "--frames", "1", *voxel)
    assert same_objects(tifffile.imread(tmp_path / "last.tif").reshape(film[1].shape), film[1])
    refused("01_RES has no frame 9", tmp_path / "01_RES", "-o", tmp_path / "no.tif", "--frames", "9", *voxel)


def challenge(folder, name, frames, tracks=None, table="res_track.txt"):
    folder.mkdir(parents=True)
    for t, frame in frames.items():
        tifffile.imwrite(folder / f"{name}{t:03d}.tif", frame)
    if tracks is not None:
        (folder / table).write_text(tracks)
    return folder


def test_ids_of_tracks_stay(tmp_path):
    frames = {t: difficult(t) for t in range(3)}
    gold = challenge(tmp_path / "TRA", "man_track", frames, "5 0 2 0\n7 0 2 0\n", "man_track.txt")
    run(gold, "-o", tmp_path / "film.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "film.tif"), np.stack(list(frames.values())))
    run(gold, "-o", tmp_path / "rois.zip")
    assert (tmp_path / "rois.zip").is_file()
    run(gold, "-o", tmp_path / "all.json")
    names = [one["file_name"] for one in json.loads((tmp_path / "all.json").read_text())["images"]]
    assert names == [f"man_track{t:03d}.tif" for t in range(3)]


def test_masks_without_a_table_are_frames_where_axes_say_so(tmp_path):
    folder = challenge(tmp_path / "RES", "mask", {t: difficult(t) for t in range(3)})
    run(folder, "-o", tmp_path / "each.tif")
    assert len(list((tmp_path / "each").iterdir())) == 3
    run(folder, "-o", tmp_path / "film.tif", "--axes", "tyx")
    assert tifffile.imread(tmp_path / "film.tif").shape == (3, 40, 60)


def test_masks_of_other_programs_in_3d_are_told_their_axes(tmp_path):
    stacks = {t: np.stack([difficult(t)] * 5) for t in range(2)}
    folder = challenge(tmp_path / "RES", "mask", stacks, "1 0 1 0\n")
    voxel = ("--voxel", "2,0.5,0.5", "--unit", "um")
    refused("axes of .*mask000.tif .5, 40, 60. are not in its metadata", folder, "-o", tmp_path / "film.tif", *voxel)
    run(folder, "-o", tmp_path / "film.tif", "--axes", "zyx", *voxel)
    back = open_labels(tmp_path / "film.tif")
    assert all((one.load() == stacks[t]).all() for t, one in enumerate(back)) and back[0].voxel == DEEP
    flat = challenge(tmp_path / "FLAT", "mask", {t: difficult(t) for t in range(3)}, "1 0 1 0\n")
    run(flat, "-o", tmp_path / "stack.tif", "--axes", "zyx", *voxel)  # whoever says so
    (stack,) = open_labels(tmp_path / "stack.tif")
    assert stack.axes == "zyx" and stack.shape == (3, 40, 60)


def test_folders_of_the_challenge_that_are_no_film_are_sentences(tmp_path):
    sparse = challenge(tmp_path / "SEG", "man_seg", {0: difficult(), 3: difficult(1)})
    refused("SEG has no mask of frame 1 .and 1 more.", sparse, "-o", tmp_path / "x.tif")
    run(sparse, "-o", tmp_path / "each", "--to", "tif")
    assert len(list((tmp_path / "each").iterdir())) == 2
    cut = challenge(tmp_path / "CUT", "mask", {0: difficult(), 1: difficult(1)}, "1 0 2 0\n")
    refused("CUT has no mask of frame 2, so", cut, "-o", tmp_path / "x.tif")
    bad = challenge(tmp_path / "BAD", "mask", {0: difficult()}, "1 0 0\n")
    refused("has the line '1 0 0', but a track is four whole numbers", bad, "-o", tmp_path / "x.tif")
    odd = challenge(tmp_path / "ODD", "mask", {0: difficult(), 1: difficult()[:20]}, "1 0 1 0\n")
    refused("frames of one film have one shape", odd, "-o", tmp_path / "x.tif")
    half = challenge(tmp_path / "HALF", "mask", {0: difficult()}, "1 0 0 0\n")
    whole = (half / "mask000.tif").read_bytes()
    (half / "mask000.tif").write_bytes(whole[: len(whole) // 2])
    refused("mask000.tif", half, "-o", tmp_path / "x.tif")
    assert not (tmp_path / "x.tif").exists()


def test_masks_of_a_result_are_labels_of_the_images_of_the_challenge():
    from cytoshift.data.label_pairs import pair_by_convention

    assert pair_by_convention(["t000", "t001"], ["mask000", "mask001"]) == [("t000", "mask000"), ("t001", "mask001")]
    assert pair_by_convention(["mask000", "mask001"], ["man_seg001"]) == [("mask001", "man_seg001")]
