"""Systems of others as commands: a stand-in that speaks the protocol, and whatever can go wrong with one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.bench.runner import bench
from cytoshift.bench.spec import Spec
from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import Volume
from cytoshift.predict import external_recipes
from cytoshift.predict.external_command import parse_command, run_external
from cytoshift.predict.external_recipes import UnfitSystem, environment_python, read_recipe, recipe_names
from cytoshift.predict.external_system import open_system

PATIENCE = 600  # seconds, on a machine that is busy with other things

STAND_IN = """
import os, pathlib, sys, time
images, labels, mode, *rest = sys.argv[1:]
print("reading images"); print("mode", mode, *rest, flush=True)
if mode == "crash":
    print("RuntimeError: no kernel image is available", file=sys.stderr); sys.exit(3)
if mode == "signal":
    os.kill(os.getpid(), 9)
if mode == "hang":
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path(rest[0]).write_text(str(child.pid)); time.sleep(600)
import numpy as np, tifffile
from scipy import ndimage
for path in sorted(pathlib.Path(images).glob("*.tif")):
    image = tifffile.imread(path)
    found = ndimage.label(image > (int(image.min()) + int(image.max())) / 2)[0].astype(np.uint16)
    out = pathlib.Path(labels) / path.name
    if mode == "missing": continue
    if mode == "shape": found = found[..., :-1]
    if mode == "floats": found = found + 0.5
    if mode == "whole-floats": found = found.astype(np.float32) * 7
    if mode == "negative": found = found.astype(np.int16) - 1
    if mode == "broken": out.write_bytes(b"II*nothing"); continue
    if mode == "npy": np.save(out.with_suffix(".npy"), found); continue
    tifffile.imwrite(out, found)
if mode == "values": pathlib.Path(rest[-1]).write_text(" ".join(rest[:-1]))
"""


@pytest.fixture
def command(tmp_path):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    return lambda mode, *rest: [sys.executable, str(script), "{images}", "{labels}", mode, *map(str, rest)]


def fields(count=2, shape=(40, 48), voxel=None):
    made = []
    for number in range(count):
        image = np.full(shape, 100, np.uint16)
        image[..., 5:15, 5:15] = image[..., 20 + number : 30, 25:40] = 900
        voxel = voxel or Voxel((1.0,) * len(shape))
        made.append(Volume(f"field {number}", image, "yx" if len(shape) == 2 else "zyx", voxel, f"field {number}"))
    return made


@pytest.mark.parametrize("mode", ["good", "npy", "whole-floats"])
@pytest.mark.parametrize("shape", [(40, 48), (6, 40, 48)])
def test_labels_come_back_by_name_numbered_from_one(command, mode, shape):
    found = run_external(command(mode), fields(shape=shape))
    assert list(found.labels) == ["field 0", "field 1"] and found.seconds > 0
    for labels in found.labels.values():
        assert labels.shape == shape and labels.dtype == np.int32 and labels.max() == 2


@pytest.mark.parametrize(
    "mode, sentence",
    [
        ("crash", r"failed with exit code 3; its last lines were: .*RuntimeError: no kernel image is available"),
        ("signal", r"was ended by signal 9; its last lines were: .*mode signal"),
        ("missing", r"wrote no labels of 'field 0' \(field_0.tif, .png or .npy; there are no files\); .*mode missing"),
        ("shape", r"labels of 'field 0' have the shape \(40, 47\), the image \(40, 48\)"),
        ("floats", r"are float64 that are no whole numbers; it has to write labels, not probabilities"),
        ("negative", r"hold -1; 0 is background"),
        ("broken", r"labels of 'field 0' cannot be read"),
    ],
)
def test_what_goes_wrong_is_one_sentence_with_their_last_lines(command, mode, sentence):
    with pytest.raises(UserError, match=sentence) as raised:
        run_external(command(mode), fields())
    assert "\n" not in str(raised.value)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(holds):
    """As long as a busy machine may need."""
    until = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < until:
        time.sleep(0.1)


def test_what_hangs_is_ended_with_all_that_it_started(command, tmp_path):
    note = tmp_path / "child"
    started = time.monotonic()
    with pytest.raises(UserError, match=r"ended after 4 seconds, its time limit; .*mode hang.*`time_limit`"):
        run_external(command("hang", note), fields(), limit=4)
    assert time.monotonic() - started < PATIENCE and gone(int(note.read_text()))


def test_a_command_that_is_stopped_takes_its_system_along(command, tmp_path):
    images, note = tmp_path / "images", tmp_path / "child"
    images.mkdir()
    tifffile.imwrite(images / "a.tif", fields()[0].array)
    words = [sys.executable, "-m", "cytoshift", "label", "command", images, "-o", tmp_path / "out", "--axes", "yx"]
    words += ["--voxel", "1,1", "--unit", "px", "--command", " ".join(command("hang", note))]
    with subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: note.exists() and note.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
        assert "0 of 1 images are finished" in process.stderr.read()
    wait_until(lambda: gone(int(note.read_text())))
    assert gone(int(note.read_text()))


def test_templates_get_voxel_diameter_and_anisotropy(command, tmp_path):
    words = command("values", "{voxel}", "{anisotropy}", "{ndim}", "{diameter}", tmp_path / "told")
    run_external(words, fields(1, (4, 40, 48), Voxel((2.0, 0.5, 0.5), "um")), {"diameter": "12"})
    assert (tmp_path / "told").read_text() == "2,0.5,0.5 4 3 12"
    with pytest.raises(UserError, match=r"asks for \{diameter\}, which is not known here"):
        run_external(words, fields(1))


def test_images_are_given_in_types_that_every_program_reads(command):
    image = fields(1)[0]
    for array in (image.array.astype(np.int64), image.array.astype(np.float64), image.array.astype(np.uint8)):
        assert run_external(command("good"), [Volume("a", array, "yx", image.voxel, "a")]).labels["a"].max() >= 1
    part = image.array.astype(np.float32)
    part[:, -5:] = np.nan
    assert run_external(command("good"), [Volume("a", part, "yx", image.voxel, "a")]).labels["a"].max() == 2
    with pytest.raises(UserError, match="has 2 channels, and a command takes one; pass `channel`"):
        run_external(command("good"), [Volume("a", np.zeros((2, 8, 8), np.uint8), "yx", image.voxel, "a")])


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("python seg.py {images}", r"has no \{labels\}"),
        ("python seg.py '{images} {labels}", "check its quotes"),
        ("no-such-program {images} {labels}", "no-such-program cannot be run .*check the command"),
    ],
)
def test_a_command_that_cannot_be_one_is_refused(words, sentence):
    with pytest.raises(UserError, match=sentence):
        run_external(parse_command(words), fields(1))


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_are_whole(name, tmp_path, monkeypatch):
    monkeypatch.setenv(external_recipes.PLACE, str(tmp_path))
    recipe = read_recipe(name)
    compile(recipe.script, name, "exec")
    assert {"{images}", "{labels}", "{python}", "{script}"} <= set(recipe.command) and recipe.page.startswith("https")
    with pytest.raises(UnfitSystem, match=f"cytoshift doctor --make {name}', which needs a network, and then"):
        environment_python(name)


def cytoshift(*words, code=0):
    result = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for volume in fields():
        tifffile.imwrite(folder / f"{volume.name}.tif", volume.array)
    return folder


SAID = ("--axes", "yx", "--voxel", "1,1", "--unit", "px", "--quiet")


def test_the_verb_labels_by_a_command_and_its_labels_vote(images, command, tmp_path):
    words = " ".join(command("good"))
    said = json.loads(
        cytoshift("label", "command", images, "-o", tmp_path / "theirs", "--command", words, "--json", *SAID)
    )
    assert said["objects"] == 4 and (tmp_path / "theirs" / "field 1.tif").exists()
    for way, more in (("otsu", ()), ("cellprofiler", ("--set", "diameter=[5,40]")), ("squassh", ("--set", "psf=0"))):
        found = json.loads(cytoshift("label", way, images, "-o", tmp_path / way, "--json", *more, *SAID))
        assert found["objects"] == 4 and (tmp_path / way / "report" / "overview.png").exists()
    ways = [tmp_path / name for name in ("theirs", "otsu", "cellprofiler", "squassh")]
    voted = json.loads(cytoshift("vote", *ways, "-o", tmp_path / "voted", "--json", *SAID))
    assert voted["objects"] == 4 and voted["mean_vote"] > 0.8


def test_the_same_command_goes_on_and_another_one_is_refused(images, command, tmp_path):
    words = ("label", "command", images, "-o", tmp_path / "out", *SAID, "--command")
    cytoshift(*words, " ".join(command("good")))
    written = (tmp_path / "out" / "field 0.tif").stat().st_mtime_ns
    cytoshift(*words, " ".join(command("good")))
    assert (tmp_path / "out" / "field 0.tif").stat().st_mtime_ns == written
    with pytest.raises(UserError, match="overwrite"):
        cytoshift(*words, " ".join(command("npy")))


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["ilastik"], "there is no 'ilastik'; pass one of otsu, cellprofiler, squassh, cellpose-sam"),
        (["otsu", "--diameter", "9"], "are of systems of others, 'otsu' is none; use --set"),
        (["stardist", "--set", "a=1"], "--set is for classical pipelines"),
        (["stardist", "--command", "a"], "'command' and --command go together"),
        (["command"], "'command' and --command go together"),
        (["squassh", "--set", "psf"], "'psf' is not key=value"),
        (["squassh", "--set", "blur=2"], "squassh: 'blur' is not a setting; there are background"),
        (["stardist-3d"], "'stardist-3d' takes images of 3D, these are 2D"),
        (["stardist"], "cytoshift doctor --make stardist"),
    ],
)
def test_wishes_that_cannot_be_met_are_one_sentence(images, tmp_path, monkeypatch, words, sentence):
    monkeypatch.setenv(external_recipes.PLACE, str(tmp_path / "none"))
    with pytest.raises(UserError, match=sentence):
        cytoshift("label", words[0], images, "-o", tmp_path / "out", *words[1:], *SAID)


def test_a_benchmark_has_rows_of_others_and_says_what_is_not_there(command, tmp_path, monkeypatch):
    monkeypatch.setenv(external_recipes.PLACE, str(tmp_path / "none"))
    spec = {
        "title": "Others",
        "datasets": [{"name": "made", "preset": "sparse-2d", "images": 2, "train": 1, "shape": [96, 96]}],
        "methods": [
            {"name": "theirs", "kind": "external", "command": command("good"), "time_limit": 1},
            {"name": "measured", "kind": "external", "command": command("good", "{diameter}"), "size": "true"},
            {"name": "cellprofiler", "kind": "cellprofiler", "diameter": [8, 60], "discard_border": False},
            {"name": "squassh", "kind": "squassh", "psf": 1.0},
            {"name": "cellpose", "kind": "external", "recipe": "cellpose-sam"},
        ],
    }
    said = []
    table = bench(parse(Spec, spec), tmp_path / "out", say=said.append, quiet=True).read_text()
    cells = {cell["settings"]["method"]["name"]: cell for cell in json.loads((table_of(tmp_path)).read_text())["cells"]}
    assert list(cells) == ["theirs", "measured", "cellprofiler", "squassh"]
    told = cells["theirs"]["external"]
    assert told["images"] == 2 and cells["theirs"]["segment_seconds"] == pytest.approx(told["seconds"] / 2)
    assert float(cells["measured"]["external"]["diameter"]) > 5
    assert "| cellpose | needs weights (its first call downloads them) |" in table
    assert said[-1].startswith("made · cellpose: left out, as the environment of 'cellpose-sam' is not made")


def table_of(folder):
    return folder / "out" / "results.json"


def test_a_row_whose_command_fails_is_named_and_the_others_stand(command, tmp_path):
    spec = {
        "title": "Others",
        "datasets": [{"name": "made", "preset": "sparse-2d", "images": 1, "train": 1, "shape": [96, 96]}],
        "methods": [
            {"name": "theirs", "kind": "external", "command": command("crash")},
            {"name": "floor", "kind": "classical"},
        ],
    }
    with pytest.raises(UserError, match=r"1 of the cells failed.*no kernel image is available"):
        bench(parse(Spec, spec), tmp_path / "out", say=lambda line: None, quiet=True)
    assert "| floor |" in (tmp_path / "out" / "results.md").read_text()


@pytest.mark.parametrize(
    "entry, sentence",
    [
        ({}, "'theirs' needs a recipe or a command"),
        ({"recipe": "cellpose9"}, "there is no recipe 'cellpose9'"),
        ({"command": "python {images}"}, r"has no \{labels\}"),
    ],
)
def test_a_spec_is_refused_where_a_row_cannot_run(entry, sentence):
    row = {"name": "theirs", "kind": "external", **entry}
    with pytest.raises(UserError, match=sentence):
        parse(Spec, {"title": "a", "datasets": [{"name": "b", "preset": "sparse-2d"}], "methods": [row]}, "spec")


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe whose only package lies on this disk, and a folder for environments."""
    package, recipes = tmp_path / "package", tmp_path / "recipes"
    package.mkdir()
    recipes.mkdir()
    (package / "stand_in.py").write_text("VALUE = 3\n")
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (package / "backend.py").write_text(
        "import pathlib, zipfile\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    name = 'stand_in-1.0-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(pathlib.Path(folder) / name, 'w') as made:\n"
        "        made.write('stand_in.py')\n"
        "        info = 'stand_in-1.0.dist-info/'\n"
        "        made.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: stand_in\\nVersion: 1.0\\n')\n"
        "        about = 'Wheel-Version: 1.0', 'Generator: x', 'Root-Is-Purelib: true', 'Tag: py3-none-any', ''\n"
        "        made.writestr(info + 'WHEEL', '\\n'.join(about))\n"
        "        made.writestr(info + 'RECORD', '')\n"
        "    return name\n"
    )
    script = "import sys, shutil, pathlib, stand_in\nfor p in pathlib.Path(sys.argv[1]).glob('*.tif'):\n"
    script += "    shutil.copy(p, pathlib.Path(sys.argv[2]) / p.name)\n"
    about = {
        "title": "Stand-in 1.0", "pip": ["--no-index", str(package)], "script": script, "page": "https://example.org",
        "command": ["{python}", "{script}", "{images}", "{labels}"], "licence": "none", "needs": "nothing more",
    }  # fmt: skip
    (recipes / "standin.yaml").write_text(json.dumps(about))
    monkeypatch.setattr(external_recipes, "FOLDER", recipes)
    monkeypatch.setenv(external_recipes.PLACE, str(tmp_path / "environments"))
    return recipes / "standin.yaml"


def test_the_doctor_makes_an_environment_and_the_recipe_runs_in_it(recipe, images, tmp_path):
    printed = cytoshift("doctor", "--make", "standin")
    assert "Stand-in 1.0 is in " in printed and "it needs nothing more" in printed
    with open_system("standin", None, fields()) as system:
        labels = run_external(system.command, fields(), system.values).labels
    assert labels["field 0"].max() == 2  # the image's own values, numbered
    ready = next((tmp_path / "environments").glob("*/ready.json"))
    assert any("stand" in line for line in json.loads(ready.read_text())["packages"])
    before = ready.stat().st_mtime_ns
    cytoshift("doctor", "--make", "standin", "--json")
    assert ready.stat().st_mtime_ns == before


def test_an_environment_that_cannot_be_made_is_none(recipe, tmp_path):
    about = json.loads(recipe.read_text())
    recipe.write_text(json.dumps(about | {"pip": ["--no-index", "no-such-package"]}))
    with pytest.raises(UserError, match=r"was not made, as pip failed: .*no-such-package"):
        cytoshift("doctor", "--make", "standin")
    with pytest.raises(UnfitSystem):
        environment_python("standin")
    said = "WARNING: Retrying after connection broken by 'NewConnectionError'"
    assert any(word in said for word in external_recipes.NO_NETWORK)
    with pytest.raises(UserError, match="there is no recipe 'cellpose9'; there are standin"):
        cytoshift("doctor", "--make", "cellpose9")


def test_labels_go_to_no_image(images, tmp_path):
    before = (images / "field 0.tif").read_bytes()
    with pytest.raises(UserError, match="is read"):
        cytoshift("label", "otsu", images, "-o", images, "--overwrite", *SAID)
    assert (images / "field 0.tif").read_bytes() == before
