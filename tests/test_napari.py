"""The plugin of napari: what it reads, its samples, its widgets and its training, without a screen.

Needs `pip install 'cytoshift[napari]'`. The picture of a window needs OpenGL besides, which Qt has on an X server only:
`xvfb-run make slow` where there is no screen.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_volumes
from cytoshift.data.write import write_image, write_labels
from predicting import nuclei, taught

MISSING = [name for name in ("napari", "magicgui", "npe2", "PySide6") if find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not there: pip install 'cytoshift[napari]'"),
    pytest.mark.filterwarnings("ignore"),  # theirs
]
UM = Voxel((0.5, 0.5), "um")


@pytest.fixture(scope="module", autouse=True)
def without_a_screen():
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("QT_QPA_PLATFORM", "offscreen")
        yield


@pytest.fixture
def layers():
    """An image and its labels, calibrated."""
    import napari.layers

    image, labels = nuclei((96, 128), 30, 5)
    units = ("micrometer", "micrometer")
    return (
        napari.layers.Image(image, name="cells", scale=(0.5, 0.5), units=units),
        napari.layers.Labels(labels, name="truth", scale=(0.5, 0.5), units=units),
    )


def made(found):
    """What napari makes of the data of a layer."""
    from napari.layers import Layer

    return Layer.create(*found)


def test_the_manifest_names_what_exists():
    from npe2 import PluginManifest

    path = Path(sys.modules["cytoshift"].__file__).parent / "napari" / "napari.yaml"
    manifest = PluginManifest.from_file(path)
    manifest.validate_imports()
    assert {w.display_name for w in manifest.contributions.widgets} == {
        "Preview synthetic masks", "Train without labels", "Segment a layer", "Label without a model",
        "Show confidence", "Compare two label layers",
    }  # fmt: skip


def test_the_wheel_tells_napari_of_the_manifest():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["napari.manifest"] == {"cytoshift": "cytoshift.napari:napari.yaml"}
    assert metadata.version("napari")


def test_layers_are_volumes_and_colours_are_not(layers):
    import napari.layers

    from cytoshift.napari.glue import volume_of

    volume = volume_of(layers[0])
    assert volume.voxel == UM and volume.axes == "yx" and volume.name == "cells"
    assert volume_of(napari.layers.Image(np.zeros((3, 8, 8)), scale=(2, 1, 1))).voxel == Voxel((2.0, 1.0, 1.0))
    for data, words in ((np.zeros((8, 8, 3), np.uint8), "colour image"), (np.zeros((2, 3, 8, 8)), "has 4 axes")):
        with pytest.raises(UserError, match=words):
            volume_of(napari.layers.Image(data, rgb=data.shape[-1] == 3))


def test_results_are_read_with_their_tables(tmp_path):
    from cytoshift.napari.reader import reader

    path = write_labels(tmp_path / "a.tif", np.array([[1, 0, 7], [0, 0, 7]]), UM, "yx")
    assert reader(str(path)) is None and reader([str(path)]) is None and reader(str(tmp_path)) is None
    (tmp_path / "a.trust.csv").write_text("image,label,confidence\nraw,1,0.5\nraw,7,0.25\n")
    ((data, said, kind),) = reader(str(path))(str(path))
    layer = made((data, said, kind))
    assert kind == "labels" and layer.scale.tolist() == [0.5, 0.5] and str(layer.units[0]) == "micrometer"
    assert layer.features["index"].tolist() == [1, 7] and layer.features["confidence"].tolist() == [0.5, 0.25]
    assert np.asarray(layer.data).tolist() == [[1, 0, 7], [0, 0, 7]]


def test_a_folder_of_results_is_read(tmp_path):
    from cytoshift.napari.reader import reader

    for kind in ("golgi", "nuclei"):
        write_labels(tmp_path / kind / "a.tif", np.array([[1, 0]]), UM, "yx")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "request.json").write_text("{}")
    (tmp_path / "report" / "objects.csv").write_text("image,class,id,confidence\na,golgi,1,0.5\na,nuclei,1,0.9\n")
    found = reader(str(tmp_path))(str(tmp_path))
    assert [float(layer[1]["features"]["confidence"][0]) for layer in found] == pytest.approx([0.5, 0.9])
    alone = str(tmp_path / "nuclei" / "a.tif")
    ((_, said, _),) = reader(alone)(alone)
    assert float(said["features"]["confidence"][0]) == pytest.approx(0.9)
    write_labels(tmp_path / "report" / "a.tif", np.array([[1, 0]]), UM, "yx")
    assert reader(str(tmp_path / "report" / "a.tif")) is None, "a picture of the report is no result"


def test_ome_zarr_is_read_when_it_is_looked_at(tmp_path):
    from cytoshift.napari.reader import reader

    image = np.random.default_rng(0).integers(0, 99, (600, 500)).astype(np.uint8)
    path = write_image(tmp_path / "a.ome.zarr", image, UM, "yx")
    write_labels(f"{path}::labels/cells", (image > 50).astype(np.uint8), UM, "yx")
    picture, labels = reader(str(path))(str(path))
    assert picture[2] == "image" and labels[2] == "labels" and picture[1]["multiscale"]
    assert [level.shape for level in picture[0]] == [(600, 500), (300, 250), (150, 125)]
    assert not isinstance(picture[0][0], np.ndarray) and (np.asarray(picture[0][0]) == image).all()
    layer = made(labels)
    assert layer.multiscale and layer.scale.tolist() == [0.5, 0.5]


def test_samples_are_phantoms_with_their_truth():
    from cytoshift.napari.samples import sample

    image, truth = map(made, sample("sparse-2d"))
    assert image.data.shape == truth.data.shape and truth.data.max() > 3
    assert image.scale.tolist() == truth.scale.tolist()


def test_synthetic_masks_lie_over_the_middle_of_the_image(layers, monkeypatch):
    from cytoshift.napari import widgets

    layer = made(widgets.preview_masks(layers[0]))
    small = made(widgets.preview_masks(layers[0], diameter=0.5, density=2.0))
    size = lambda one: np.median(np.bincount(one.data.ravel())[1:])
    assert layer.data.shape == (96, 128) and layer.data.max() > 5 and size(small) < size(layer)
    monkeypatch.setattr(widgets, "MASK_VOXELS", 48 * 64)
    cut = made(widgets.preview_masks(layers[0]))
    assert cut.data.shape == (48, 64) and cut.translate.tolist() == [12, 16]


def wait(worker, seconds=120):
    """Run a worker to its end, with the loop that hands on what it yields."""
    from qtpy.QtWidgets import QApplication

    app = QApplication.instance() or QApplication([])
    out, errors = [], []
    worker.returned.connect(out.append)
    worker.errored.connect(errors.append)
    if not worker.is_running:
        worker.start()
    until = time.monotonic() + seconds
    while not (out or errors) and time.monotonic() < until:
        app.processEvents()
        time.sleep(0.01)
    assert not errors, errors
    return out[0]


def test_a_layer_is_segmented_and_coloured_by_confidence(layers, tmp_path):
    from cytoshift.napari.widgets import evaluate, segment, show_confidence

    replace(taught(60), voxel=UM).save(tmp_path / "model")
    layer = made(wait(segment(layers[0], tmp_path / "model")))
    assert layer.data.shape == (96, 128) and len(layer.features) == layer.data.max() > 5
    show_confidence(layer)
    colours = layer.colormap.color_dict
    assert colours[1][3] == 1 and len(colours) == layer.data.max() + 2
    with pytest.raises(UserError, match="of the objects in truth no confidence is known"):
        show_confidence(layers[1])
    said = evaluate()(layer, layers[1])
    truth = len(np.unique(layers[1].data)) - 1
    assert said.startswith(f"{layer.data.max()} objects, truth {truth}; ") and "F1@0.5" in said


def test_a_layer_is_labelled_without_a_model(layers, tmp_path):
    from cytoshift.napari.widgets import label_without_labels

    layer = made(wait(label_without_labels(layers[0], tmp_path / "results")))
    assert layer.name.startswith("objects in cells, expected F1 ") and layer.scale.tolist() == [0.5, 0.5]
    assert len(layer.features) > 5 and {"index", "confidence"} <= set(layer.features)
    again = made(wait(label_without_labels(layers[0], tmp_path / "results")))
    assert (np.asarray(again.data) == np.asarray(layer.data)).all()


FAKE = """
import json, sys, time, pathlib
from PIL import Image
arguments = sys.argv[sys.argv.index("cytoshift") + 1 :]
out = pathlib.Path(arguments[arguments.index("-o") + 1])
if arguments[0] == "new":
    out.write_text("method: adgan")
    sys.exit()
(out / "samples").mkdir(parents=True, exist_ok=True)
before = (out / "log.jsonl").read_text().count("step") if (out / "log.jsonl").exists() else 0
for step in range(before + 1, before + 4):
    with (out / "log.jsonl").open("a") as log:
        row = {"step": step, "loss/cycle": 1 / step, "loss/fool": step, "voxels_per_second": 7}
        log.write(json.dumps(row) + chr(10))
    Image.new("RGB", (40, 30), (step * 20, 0, 0)).save(out / "samples" / f"step_{step:06d}.png")
time.sleep(60 * (not before))
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A program in place of Python: settings at once, three steps, and then a long time."""
    from cytoshift.napari import training_widget

    program = tmp_path / "fake"
    (tmp_path / "fake.py").write_text(FAKE)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path / "fake.py"}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(training_widget.sys, "executable", str(program))
    monkeypatch.setattr(training_widget, "LOOK_SECONDS", 0.02)
    return training_widget


def test_a_training_is_watched_stopped_and_continued(layers, tmp_path, fake):
    from cytoshift.napari.glue import volume_of

    job = fake.TrainingJob(volume_of(layers[0]), tmp_path / "run", 1500)
    (image,) = open_volumes(tmp_path / "run" / "images")
    assert image.voxel == UM and (image.load() == layers[0].data).all()
    for shown in job.watch():
        if shown.words == "step 3 of 1500":
            assert shown.terms["fool"] == [1, 2, 3] and list(shown.terms) == ["cycle", "fool"]
            job.stop()
    assert shown.done and shown.words.startswith("stopped") and shown.sample.name == "step_000003.png"
    again = fake.TrainingJob(volume_of(layers[0]), tmp_path / "run", 1500)
    *_, last = again.watch()
    assert last.words.startswith("model in") and len(last.terms["fool"]) == 6
    picture = fake.curves(last.terms)
    assert picture.ndim == 3 and (picture.reshape(-1, 3) == fake.INK).all(1).any()


def test_a_training_that_fails_is_its_last_words(layers, tmp_path, fake):
    from cytoshift.napari.glue import volume_of

    (tmp_path / "fake.py").write_text("import sys; sys.exit('cytoshift: no bright objects stand out')")
    with pytest.raises(UserError, match=r"^no bright objects stand out$"):
        list(fake.TrainingJob(volume_of(layers[0]), tmp_path / "run", 5).watch())


def test_the_widget_shows_curves_and_samples_while_it_runs(layers, tmp_path, fake):
    from qtpy.QtWidgets import QApplication

    app = QApplication.instance() or QApplication([])
    widget = fake.TrainingWidget()
    widget.image.choices = [layers[0]]
    widget.image.value = layers[0]
    widget.folder.value = tmp_path / "run"
    widget.begin()
    until = time.monotonic() + 60
    while widget.words.value != "step 3 of 1500" and time.monotonic() < until:
        app.processEvents()
        time.sleep(0.01)
    assert widget.end.enabled and not widget.start.enabled
    widget.halt()
    wait(widget.worker, 60) if widget.worker.is_running else None
    while not widget.start.enabled and time.monotonic() < until:
        app.processEvents()
        time.sleep(0.01)
    assert widget.start.enabled and widget.curves.value is not None and widget.sample.value is not None


WINDOW = """
import sys, time
import napari, numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication
from cytoshift.napari.samples import sample
from cytoshift.napari.training_widget import Training
from cytoshift.napari.widgets import evaluate
viewer = napari.Viewer(show=True)
for data, said, kind in sample("sparse-2d"):
    getattr(viewer, f"add_{kind}")(data, **said)
viewer.scale_bar.visible = True
viewer.window.add_dock_widget(Training(), name="Train without labels")
viewer.window.add_dock_widget(evaluate(), name="Compare two label layers")
viewer.window._qt_window.resize(1300, 900)
for _ in range(20):
    QApplication.processEvents()
    time.sleep(0.05)
Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3]).save(sys.argv[1])
viewer.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(
    "DISPLAY" not in os.environ, reason="napari's canvas needs OpenGL on an X server: xvfb-run make slow"
)
def test_labels_are_seen_in_the_window(tmp_path):
    from PIL import Image

    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", WINDOW, str(tmp_path / "window.png")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    pixels = np.asarray(Image.open(tmp_path / "window.png"), dtype=float)
    canvas = pixels[100:-100, 400:-500]
    assert (canvas.max(-1) - canvas.min(-1) > 40).mean() > 0.01


@pytest.mark.slow
def test_a_real_training_of_a_few_steps(tmp_path):
    import napari.layers

    from cytoshift.napari.glue import volume_of
    from cytoshift.napari.training_widget import TrainingJob

    image, _ = nuclei((160, 160), 60, 1)
    job = TrainingJob(volume_of(napari.layers.Image(image, name="cells")), tmp_path, 2)
    *_, last = job.watch()
    assert last.words.startswith("model in") and (tmp_path / "run" / "model" / "model.json").exists()
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0]) and last.terms


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", ["LSM", "SVS", "QPTIFF", "Imaris", "Zipped OME-Zarr", "NIfTI", "MRC"])
def test_images_of_other_programs_are_layers_by_channel(tmp_path, title):
    import input_files
    from cytoshift.napari import reader

    (kind,) = (one for one in input_files.KINDS if one.title == title)
    for module in ("dask", *kind.needs):
        pytest.importorskip(module)
    wanted = input_files.STACK if kind.stack else input_files.CELLS
    path = tmp_path / f"a{kind.suffix}"
    kind.make(path, wanted)
    layers = reader.reader(str(path))(str(path))
    names = [said["name"] for _, said, _ in layers]
    assert names[:2] == (["a GFP", "a DAPI"] if "DAPI" in kind.words else ["a"])
    data, said, what = layers[1] if len(layers) > 1 else layers[0]
    finest = data[0] if said.get("multiscale") else data
    assert what == "image" and finest.shape == wanted.shape and said["scale"][-1] == 0.5
    if title != "SVS":
        assert (np.asarray(finest) == wanted).all()
