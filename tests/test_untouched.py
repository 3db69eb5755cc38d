"""No command writes to what it reads, nor over a file that it did not make: every verb, with inputs hashed."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.collisions import is_same_path, refuse_overlap
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.core.provenance import is_marked, is_own_result
from cytoshift.core.voxel import Voxel
from cytoshift.data.find import find_files
from cytoshift.data.input_files import refuse_inputs
from cytoshift.data.volumes import open_volumes
from cytoshift.data.write import write_image, write_labels
from cytoshift.draw import save_png
from cytoshift.model import Segmenter
from cytoshift.nets.network_spec import TranslatorSpec
from cytoshift.represent import Ternary

PIXELS = Voxel((1.0, 1.0))
SAME = "it is the same as|no input is written to|which is read"


def cytoshift(*words) -> str:
    result = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def hashes(folder, skip=()):
    """Of every file below a folder, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in skip
    }


def field(seed):
    image = np.random.default_rng(seed).integers(90, 110, (48, 56)).astype(np.uint16)
    image[8:20, 10:22] = image[28:40, 30:44] = 900
    return image


def squares():
    labels = np.zeros((48, 56), np.uint16)
    labels[8:20, 10:22], labels[28:40, 30:44] = 1, 2
    return labels


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """One of everything that a verb reads."""
    here = tmp_path_factory.mktemp("material")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        spec = TranslatorSpec(ndim=2, width=4, blocks=1, stem=3, hidden=8)
        model = Segmenter(spec, spec.build().eval(), Normalisation(), None, PIXELS, "yx", Ternary())
    model.save(here / "run" / "model")
    model.save(here / "run" / "snapshots" / "000001")
    model.save(here / "run" / "snapshots" / "000002")
    for name in "ab":
        write_image(here / "images" / f"{name}.tif", field(ord(name)), PIXELS, "yx")
        write_labels(here / "labels" / f"{name}.tif", squares(), PIXELS, "yx")
    write_image(here / "z.ome.zarr", field(1), PIXELS, "yx")
    write_labels(here / "z.ome.zarr::labels/truth", squares(), PIXELS, "yx")
    Image.fromarray((field(2) // 4).astype(np.uint8)).save(here / "p.png")
    (here / "base.yaml").write_text("{}\n")
    (here / "spec.yaml").write_text(yaml.safe_dump({
        "title": "one", "seeds": [0],
        "datasets": [{"name": "d", "images": "images", "labels": "labels"}],
        "methods": [{"name": "floor", "kind": "classical"}],
    }))  # fmt: skip
    cytoshift("new", "adgan", "--images", here / "images", "-o", here / "settings.yaml", "--quiet", "--unit", "px",
              "--voxel", "1,1")  # fmt: skip
    (here / "settings.png").unlink()
    return here


@pytest.fixture
def place(material, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(material, tmp_path / "m")
    os.link(tmp_path / "m" / "images" / "a.tif", tmp_path / "m" / "hard.tif")
    os.symlink(tmp_path / "m" / "images", tmp_path / "m" / "link")
    os.symlink(tmp_path / "m" / "p.png", tmp_path / "m" / "soft.png")
    settings = (tmp_path / "m" / "settings.yaml").read_text().replace(str(material), str(tmp_path / "m"))
    (tmp_path / "m" / "settings.yaml").write_text(settings)
    monkeypatch.chdir(tmp_path / "m")
    return tmp_path / "m"


M = "run/model"
COMPARE = ("evaluate", "--pred")
STACK = ("--axes", "zyx", "--voxel", "2,1,1", "--unit", "px")
REFUSED = [
    # segment: a file, its folder, other spellings of it, links, a Zarr, what lies in it, raw predictions, blocks
    ("segment", M, "images", "-o", "images", "--overwrite"),
    ("segment", M, "images", "-o", "images/", "--overwrite"),
    ("segment", M, "images", "-o", "./labels/../images", "--overwrite"),
    ("segment", M, "link", "-o", "images", "--overwrite"),
    ("segment", M, "images", "-o", "link", "--overwrite"),
    ("segment", M, "images/a.tif", "-o", "images", "--overwrite"),
    ("segment", M, "images/*.tif", "-o", "images", "--overwrite"),
    ("segment", M, "images/a.tif", "-o", "images/a.tif", "--overwrite"),
    ("segment", M, "images/a.tif", "-o", "hard.tif", "--overwrite"),
    ("segment", M, "hard.tif", "-o", "images/a.tif", "--overwrite"),
    ("segment", M, "z.ome.zarr", "-o", "z.ome.zarr", "--overwrite"),
    ("segment", M, "z.ome.zarr", "-o", "z.ome.zarr/", "--overwrite"),
    ("segment", M, "z.ome.zarr", "-o", "z.ome.zarr", "--overwrite", "--block", "32,32"),
    ("segment", M, "z.ome.zarr", "-o", "z.ome.zarr/labels.tif"),
    ("segment", M, "z.ome.zarr", "-o", "z.ome.zarr/out"),
    ("segment", M, "z.ome.zarr::labels/truth", "-o", "z.ome.zarr::labels/truth", "--overwrite"),
    ("segment", M, "z.ome.zarr::labels/truth", "-o", "z.ome.zarr", "--overwrite"),
    ("segment", M, "images/a.tif", "-o", "run/model.tif", "--raw", "run/model", "--overwrite"),
    ("segment", M, "images/a.tif", "-o", "run/model", "--overwrite"),
    ("convert", "z.ome.zarr", "z.ome.zarr", "--overwrite"),
    ("convert", "z.ome.zarr::0", "z.ome.zarr", "--overwrite"),
    ("convert", "z.ome.zarr", "z.ome.zarr/in.ome.zarr", "--overwrite"),
    ("convert", "z.ome.zarr", "z.ome.zarr::labels/truth", "--labels", "--overwrite"),
    ("convert", "images/a.tif", "images/a.tif", "--overwrite"),
    ("info", "p.png", "-o", "p.png", "--overwrite"),
    ("info", "p.png", "-o", "soft.png", "--overwrite"),
    ("info", "soft.png", "-o", "p", "--overwrite"),
    ("info", "z.ome.zarr", "-o", "z.ome.zarr/thumbnail.png", "--overwrite"),
    ("new", "adgan", "--images", "p.png", "-o", "p.yaml", "--overwrite"),
    ("new", "adgan", "--images", "images/a.tif", "-o", "images/a.tif", "--overwrite"),
    ("new", "supervised", "--source", "images", "p.png", "--target", "images", "-o", "p.yaml", "--overwrite"),
    ("translate", M, "labels", "-o", "labels", "--overwrite"),
    ("translate", M, "labels/a.tif", "-o", "labels", "--overwrite"),
    ("translate", M, "labels/a.tif", "-o", "z.ome.zarr/../labels", "--overwrite"),
    ("export", M, "--to", "bioimageio", "-o", M, "--overwrite"),
    ("export", M, "--to", "bioimageio", "-o", "run", "--overwrite"),
    ("export", M, "--to", "onnx", "-o", "run/model/x.onnx", "--overwrite"),
    (*COMPARE, "labels/a.tif", "--truth", "labels/b.tif", "--json-file", "labels/b.tif", "--overwrite"),
    (*COMPARE, "labels", "--truth", "labels", "--json-file", "labels/a.tif", "--overwrite"),
    (
        *COMPARE,
        "z.ome.zarr::labels/truth",
        "--truth",
        "labels/a.tif",
        "-o",
        "z.ome.zarr/labels/truth/r.html",
        "--overwrite",
    ),
    (*COMPARE, "labels/a.tif", "--truth", "labels/b.tif", "--images", "p.png", "--json-file", "p.png", "--overwrite"),
    ("trust", "labels", "labels/report/trust.csv", "--model", M, "--overwrite"),
    ("vote", "labels", "labels", "-o", "labels", "--overwrite"),
    ("vote", "labels/a.tif", "labels/b.tif", "-o", "labels/b.tif", "--overwrite"),
    ("stitch", "labels", *STACK, "-o", "labels", "--overwrite"),
    ("trust", "labels", "images", "--model", "labels/report/trust.json", "--overwrite"),
    ("select", "run", "images", "-o", "run", "--overwrite"),
    ("select", "run", "images", "-o", "run/snapshots/000001", "--overwrite"),
    ("import-config", "base.yaml", "--voxel", "1,1,1", "-o", "base.yaml", "--overwrite"),
    ("bench", "spec.yaml", "-o", "images", "--data", "."),
    ("bench", "spec.yaml", "-o", "out", "--data", ".", "--page", "spec.yaml"),
    ("bench", "spec.yaml", "-o", "out", "--data", ".", "--page", "labels/a.tif"),
    ("train", "settings.yaml", "-o", "images"),
    ("train", "settings.yaml", "-o", "z.ome.zarr/run", "data.images.paths=z.ome.zarr"),
    ("train", "settings.yaml", "-o", "run", "start=run/model"),
    ("train", "settings.yaml", "-o", "run", "start=run/snapshots/000001"),
    ("view", "p.png", "--screenshot", "p.png", "--overwrite"),
    ("view", "images/a.tif", "p.png", "--screenshot", "soft.png", "--overwrite"),
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_is_read_is_not_written_to(place, words):
    (place / "labels" / "report").mkdir()
    for name in ("trust.csv", "trust.json"):
        (place / "labels" / "report" / name).write_text("image,id\n")
    before = hashes(place)
    with pytest.raises(UserError, match=SAME):
        cytoshift(*words)
    assert hashes(place) == before


def test_settings_beside_which_a_run_would_lie_are_not_replaced(place):
    """`train d/run.yaml -o d` would write its own run.yaml there, without the comments."""
    (place / "d").mkdir()
    shutil.move(place / "settings.yaml", place / "d" / "run.yaml")
    before = hashes(place)
    with pytest.raises(UserError, match=SAME):
        cytoshift("train", "d/run.yaml", "-o", "d")
    assert hashes(place) == before


ALLOWED = [
    ("info", "p.png", "-o", "thumb.png"),
    ("segment", M, "images/a.tif", "-o", "images/a_labels.tif"),
    ("segment", M, "images", "-o", "images/out"),
    ("segment", M, "images/*.tif", "-o", "labels2"),
    ("segment", M, "z.ome.zarr", "-o", "z.ome.zarr::labels/mine"),
    ("segment", M, "z.ome.zarr", "-o", "z.labels.ome.zarr"),
    ("convert", "images/a.tif", "images/a.ome.zarr"),
    ("convert", "--labels", "z.ome.zarr::labels/truth", "z.ome.zarr::labels/other"),
    ("translate", M, "labels", "-o", "drawn"),
    (*COMPARE, "labels/a.tif", "--truth", "labels/b.tif", "--json-file", "labels/a.json"),
    ("new", "adgan", "--images", "images", "--voxel", "1,1", "--unit", "px", "-o", "images/run.yaml"),
    ("trust", "labels", "images", "--model", M),
    ("vote", "labels", "labels", "-o", "voted"),
    ("vote", "labels/a.tif", "labels/b.tif", "-o", "voted.tif"),
    ("stitch", "labels", *STACK, "-o", "stacks"),
    ("select", "run", "images"),
    ("export", M, "--to", "onnx", "-o", "run/x.onnx"),
    ("bench", "spec.yaml", "-o", "out", "--data", "."),
]


@pytest.mark.parametrize("words", ALLOWED, ids=" ".join)
def test_outputs_beside_inputs_are_written_and_inputs_stay(place, words):
    before = hashes(place)
    cytoshift(*words)
    after = hashes(place)
    # Labels inside of an image are listed in its group of labels, where NGFF wants it.
    kept = {name: found for name, found in before.items() if name != "z.ome.zarr/labels/zarr.json"}
    assert {name: after.get(name) for name in kept} == kept and len(after) > len(before)


STRANGERS = [
    ("thumbnail.png", ("info", "images/a.tif")),
    ("t.png", ("info", "images/a.tif", "-o", "t.png")),
    ("s.yaml", ("new", "adgan", "--images", "images", "-o", "s.yaml", "--voxel", "1,1", "--unit", "px")),
    ("s.png", ("new", "adgan", "--images", "images", "-o", "s.yaml", "--voxel", "1,1", "--unit", "px")),
    ("drawn/a.tif", ("translate", M, "labels", "-o", "drawn")),
    ("drawn/styles.png", ("translate", M, "labels", "-o", "drawn")),
    ("ph/images/sparse-2d_000.tif", ("synth", "sparse-2d", "-n", "1", "--shape", "64,64", "-o", "ph")),
    ("ph/contact.png", ("synth", "sparse-2d", "-n", "1", "--shape", "64,64", "-o", "ph")),
    ("ph.ome.zarr/mine", ("synth", "sparse-2d", "--shape", "256,256", "-o", "ph.ome.zarr")),
    ("c.ome.zarr/mine", ("convert", "images/a.tif", "c.ome.zarr")),
    ("e.json", (*COMPARE, "labels/a.tif", "--truth", "labels/b.tif", "--json-file", "e.json")),
    ("e.html", (*COMPARE, "labels/a.tif", "--truth", "labels/b.tif", "-o", "e.html")),
    ("x.onnx", ("export", M, "--to", "onnx", "-o", "x.onnx")),
    ("labels/report/trust.csv", ("trust", "labels", "images", "--model", M)),
    ("labels/report/trust.json", ("trust", "labels", "images", "--model", M)),
    ("sel/select.json", ("select", "run", "images", "-o", "sel")),
    ("q.tif", ("segment", M, "images/a.tif", "-o", "q.tif")),
    ("q.objects.csv", ("segment", M, "images/a.tif", "-o", "q.tif")),
    ("q.overview.png", ("segment", M, "images/a.tif", "-o", "q.tif")),
    ("q/b.tif", ("segment", M, "images", "-o", "q")),
    ("imported.yaml", ("import-config", "base.yaml", "--voxel", "1,1,1", "-o", "imported.yaml")),
]


@pytest.mark.parametrize("there, words", STRANGERS, ids=lambda one: one if isinstance(one, str) else one[0])
def test_a_file_of_somebody_else_is_replaced_only_where_that_is_asked_for(place, there, words):
    path = place / there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    before = hashes(place)
    with pytest.raises(UserError, match=r"already exists|exists"):
        cytoshift(*words)
    assert hashes(place) == before
    if words[0] == "import-config":
        return  # its base is no configuration
    cytoshift(*words, "--overwrite")
    assert not path.is_file() or path.read_bytes() != b"mine"


@pytest.mark.parametrize("there", ["log.jsonl", "model/mine", "checkpoints/last.pt", "report.html"])
def test_a_training_does_not_begin_among_files_of_somebody_else(place, there):
    path = place / "r" / there
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    before = hashes(place)
    with pytest.raises(UserError, match="already exists, and no training wrote it"):
        cytoshift("train", "settings.yaml", "-o", "r")
    assert hashes(place) == before


@pytest.mark.parametrize("there", ["results.json", "results.md", "pictures/mine"])
def test_a_benchmark_does_not_begin_among_files_of_somebody_else(place, there):
    path = place / "r" / there
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    before = hashes(place)
    with pytest.raises(UserError, match="already exists, and no benchmark wrote it"):
        cytoshift("bench", "spec.yaml", "-o", "r", "--data", ".")
    assert hashes(place) == before


def test_a_folder_of_other_files_is_not_replaced_by_one_result(place):
    """Asked for or not: a package for the zoo and a model are folders that are replaced as a whole."""
    (place / "x.onnx").mkdir()
    before = hashes(place)
    for words in (("bioimageio", "-o", "labels"), ("bioimageio", "-o", "link"), ("onnx", "-o", "x.onnx")):
        with pytest.raises(UserError, match="is a folder"):
            cytoshift("export", M, "--to", *words, "--overwrite")
    with pytest.raises(UserError, match="labels is a folder of other files and would be replaced as a whole"):
        Segmenter.load(M).save("labels")
    assert hashes(place) == before
    assert Segmenter.load(M).save("run/model").is_dir()


def test_a_report_replaces_reports_alone(place):
    cytoshift("segment", M, "images", "-o", "q")
    page = place / "q" / "report" / "report.html"
    assert is_own_result(page)
    cytoshift("report", "q")
    page.write_text("<html>mine</html>")
    with pytest.raises(UserError, match="already exists, and it does not look like a result of this program"):
        cytoshift("report", "q")
    assert page.read_text() == "<html>mine</html>"
    cytoshift("report", "q", "--overwrite")
    assert is_own_result(page)


def test_what_a_verb_made_itself_it_makes_again(place):
    for words in (
        ("info", "images/a.tif", "-o", "t.png"),
        ("translate", M, "labels", "-o", "drawn"),
        ("synth", "sparse-2d", "-n", "1", "--shape", "64,64", "-o", "ph"),
        ("synth", "sparse-2d", "--shape", "256,256", "-o", "ph.ome.zarr"),
        (*COMPARE, "labels/a.tif", "--truth", "labels/b.tif", "--json-file", "e.json", "-o", "e.html"),
        ("trust", "labels", "images", "--model", M),
        ("select", "run", "images", "-o", "sel"),
        ("segment", M, "images", "-o", "q"),
        ("bench", "spec.yaml", "-o", "out", "--data", "."),
    ):
        cytoshift(*words)
        before = hashes(place, skip=("report.html", "facts.json", "results.json", "results.md", "cell.json"))
        cytoshift(*words)
        assert set(before) <= set(hashes(place)), words


def test_another_request_does_not_replace_what_one_made(place):
    cytoshift("synth", "sparse-2d", "-n", "1", "--shape", "64,64", "-o", "ph")
    cytoshift("synth", "sparse-2d", "-n", "2", "--shape", "64,64", "-o", "ph")
    before = hashes(place / "ph")
    with pytest.raises(UserError, match="already exists, and this command did not write it; pass --overwrite"):
        cytoshift("synth", "sparse-2d", "-n", "1", "--shape", "64,64", "--seed", "7", "-o", "ph")
    assert hashes(place / "ph") == before
    cytoshift("synth", "sparse-2d", "-n", "1", "--shape", "64,64", "--seed", "7", "-o", "ph", "--overwrite")
    assert hashes(place / "ph") != before


def test_results_stand_until_their_successors_are_whole(place, monkeypatch):
    """Killed in the middle of --overwrite, the second image is the old one; the same command makes it, with the option
    or without."""
    cytoshift("segment", M, "images", "-o", "q", "--threshold", "0.7")
    old = hashes(place / "q")
    write = write_labels
    for more in (["--overwrite"], []):
        with monkeypatch.context() as patched:

            def stopping(path, *rest, **named):
                if path.name == "b.tif":
                    raise KeyboardInterrupt
                return write(path, *rest, **named)

            patched.setattr("cytoshift.predict.outputs.write_labels", stopping)
            result = CliRunner().invoke(app, ["segment", M, "images", "-o", "q", "--threshold", "0.4", "--overwrite"])
            assert result.exit_code == 130
        there = hashes(place / "q")
        assert there["b.tif"] == old["b.tif"] and (place / "q" / "a.tif").exists()
        cytoshift("segment", M, "images", "-o", "q", "--threshold", "0.4", *more)
        assert "replaces" not in json.loads((place / "q" / "report" / "request.json").read_text())
        cytoshift("segment", M, "images", "-o", "fresh", "--threshold", "0.4", "--overwrite")
        for name in ("a.tif", "b.tif", "report/objects.csv", "report/request.json"):
            assert (place / "q" / name).read_bytes() == (place / "fresh" / name).read_bytes(), name
        cytoshift("segment", M, "images", "-o", "q", "--threshold", "0.7", "--overwrite")


def test_labels_of_others_get_no_properties(place):
    """`trust` writes the confidence of objects into OME-Zarr labels of its own program alone."""
    import zarr

    write_labels(place / "own.ome.zarr", squares(), PIXELS, "yx")
    shutil.copytree(place / "own.ome.zarr", place / "theirs.ome.zarr")
    del zarr.open_group(place / "theirs.ome.zarr").attrs["software"]
    before = hashes(place / "theirs.ome.zarr")
    for name in ("own", "theirs"):
        cytoshift("trust", f"{name}.ome.zarr", "images/a.tif", "--model", M, "--voxel", "1,1", "--unit", "px")
    assert hashes(place / "theirs.ome.zarr") == before
    assert "properties" in (place / "own.ome.zarr" / "zarr.json").read_text()


def test_two_spellings_of_one_file_are_one(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("x")
    os.symlink(tmp_path / "d", tmp_path / "e")
    os.link(tmp_path / "d" / "a", tmp_path / "b")
    for output in ("d/a", "d/../d/a", "e/a", "b", "d", "e", "d/a/", "d/a/below"):
        with pytest.raises(UserError, match="no input is written to"):
            refuse_overlap([tmp_path / output], [tmp_path / "d" / "a"])
    for output in ("d/b", "c", "d/aa", "e/c"):
        refuse_overlap([tmp_path / output], [tmp_path / "d" / "a"])
    refuse_overlap([], [tmp_path / "d" / "a"], filled=[tmp_path / "d"])
    with pytest.raises(UserError, match="lies in"):
        refuse_overlap([], [tmp_path / "d"], filled=[tmp_path / "d" / "new" / "deep"])
    refuse_inputs([tmp_path / "c"], [str(tmp_path / "nothing")], [tmp_path / "none"])
    assert is_same_path(tmp_path / "d" / "new", tmp_path / "e" / "new")
    assert not is_same_path(tmp_path / "d" / "new", tmp_path / "new")


def test_files_that_an_ome_tiff_names_are_inputs(place):
    """Of a stack in two files, the one that nobody names on the command line is read too."""
    uuids = [f"00000000-0000-0000-0000-00000000000{k}" for k in (1, 2)]
    parts = [place / "stack_0.ome.tif", place / "stack_1 &.ome.tif"]
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{part.name.replace("&", "&amp;")}">urn:uuid:{uuid}</UUID></TiffData>'
        for z, (part, uuid) in enumerate(zip(parts, uuids))
    )
    for part, uuid in zip(parts, uuids):
        metadata = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{uuid}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="56" SizeY="48" '
            'SizeZ="2" SizeC="1" SizeT="1" PhysicalSizeX="1" PhysicalSizeY="1" PhysicalSizeZ="1">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(part, field(1), description=metadata, metadata=None)
    (opened,) = open_volumes(parts[0])
    assert opened.shape == (2, 48, 56)
    before = hashes(place)
    with pytest.raises(UserError, match=SAME):
        refuse_inputs([parts[1]], [str(parts[0])])
    with pytest.raises((UserError, AssertionError), match=SAME):
        cytoshift("convert", parts[0], parts[1], "--overwrite")
    assert hashes(place) == before


def test_pictures_that_verbs_leave_are_no_images(tmp_path, caplog):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    drawn = save_png(tmp_path / "run.png", np.zeros((9, 9, 3), np.uint8))
    assert is_marked(drawn) and not is_marked(tmp_path / "a.png")
    with Image.open(drawn) as picture:
        assert picture.info["Software"] == "Cytoshift"
    assert [path.name for path in find_files(str(tmp_path)).files] == ["a.png"]
    assert [path.name for path in find_files(str(tmp_path / "*.png")).files] == ["a.png"]
    assert sum("run.png is a picture that this program drew" in said for said in caplog.messages) == 1, "once"
    assert [volume.name for volume in open_volumes(str(tmp_path))] == ["a"]
    assert find_files(str(drawn)).files == (drawn,), "named by itself, it is meant"
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"holds only run.png, which this program drew"):
        find_files(str(tmp_path))


@pytest.mark.parametrize("kind", ["gray", "rgb"])
def test_settings_beside_images_and_all_that_follows_read_the_images_alone(tmp_path, monkeypatch, kind):
    """The case files/15: the preview of `new` lies among the images."""
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        picture = (field(ord(name)) // 4).astype(np.uint8)
        Image.fromarray(np.stack([picture] * 3, -1) if kind == "rgb" else picture).save(f"{name}.png")
    more = ["--channel", "luminance"] if kind == "rgb" else []
    cytoshift("new", "adgan", "--images", ".", "-o", "run.yaml", "--voxel", "1,1", "--unit", "px", *more)
    cytoshift("train", "run.yaml", "train.steps=1", "train.batch=1", "patch=[24,24]", "--quiet",
              "train.precision=32", "train.workers=0")  # fmt: skip
    assert json.loads((tmp_path / "runs/run/model/model.json").read_text())["card"]["images"] == 3
    cytoshift("segment", "runs/run/model", ".", "-o", "labels", "--voxel", "1,1", "--unit", "px", *more)
    assert sorted(path.name for path in (tmp_path / "labels").glob("*.tif")) == ["a.tif", "b.tif", "c.tif"]
