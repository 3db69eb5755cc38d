"""The Python API: on arrays and on paths, with the options of the command line; README's lines are run."""

import logging
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import cytoshift
from cytoshift.core.progress import Progress, follow_progress
from cytoshift.model.segmenter import Segmenter as Stored
from predicting import nuclei, segmenter
from test_train import TINY

ROOT = Path(__file__).parents[1]
UM = cytoshift.Voxel((0.5, 0.5), "um")
SMALL = {"train.batch": 1, "patch": [64, 64], **{f"options.{key}": value for key, value in TINY.items()}}


def lines() -> str:
    """README's section From Python, its training a short one."""
    text = (ROOT / "README.md").read_text()
    return re.findall(r"```python\n(.*?)```", text.partition("## From Python")[2], re.DOTALL)[0]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return cytoshift.load(segmenter(size=(0.5, 0.5), unit="um").save(tmp_path_factory.mktemp("run") / "model"))


def test_readme_trains_segments_and_judges_in_ten_lines(tmp_path, monkeypatch, capsys):
    assert len([line for line in lines().splitlines() if line]) <= 10
    assert "steps=650" in lines()
    monkeypatch.chdir(tmp_path)
    exec(lines().replace("steps=650", "steps=4, settings=SMALL"), {"SMALL": SMALL})
    assert "Score(value=" in capsys.readouterr().out
    assert (tmp_path / "labels.tif").exists() and (tmp_path / "runs" / "phantom" / "report.html").exists()
    assert [path.name for path in (tmp_path / "runs" / "phantom-images").glob("*.tif")] == ["0000.tif"]


@pytest.mark.slow
@pytest.mark.parametrize(("more", "said"), [("", "Success"), ("cytoshift.segmemt\n", '"segmemt"')])
def test_type_checkers_know_every_name_and_no_other(tmp_path, more, said):
    from mypy import api

    (tmp_path / "lines.py").write_text(lines() + more)
    printed, _, _ = api.run(["--strict", "--ignore-missing-imports", "--follow-imports=silent",
                             "--cache-dir", str(ROOT / ".mypy_cache"), str(tmp_path / "lines.py")])  # fmt: skip
    assert said in printed, printed


def test_what_type_checkers_see_is_what_there_is():
    source = (ROOT / "src" / "cytoshift" / "__init__.py").read_text()
    seen = re.findall(r"^    from \.(\S+) import (\w+) as (\w+)$", source, re.MULTILINE)
    assert {name: home for home, name, known in seen if name == known} == cytoshift.HOMES


def test_an_array_a_volume_and_a_file_give_the_same_labels(model, tmp_path):
    image, _ = nuclei((60, 72), 8, 0)
    path = cytoshift.write_image(tmp_path / "a.tif", image, UM, "yx")
    (volume,) = cytoshift.open_volumes(path)
    of_array = model.segment(image, voxel=UM)
    assert of_array.shape == image.shape and of_array.max() > 0
    for other in (volume, path, str(path)):
        assert np.array_equal(model.segment(other), of_array)
    assert np.array_equal(cytoshift.segment(model, image, voxel=(0.5, 0.5), unit="um"), of_array)
    stored = Stored.load(segmenter(size=(0.5, 0.5), unit="um").save(tmp_path / "model"))
    assert np.array_equal(cytoshift.segment(stored, volume), of_array)
    assert np.array_equal(cytoshift.segment(tmp_path / "model", volume), of_array)
    fewer = model.segment(image, voxel=UM, min_size=1e6)
    assert fewer.max() == 0


def test_what_an_array_does_not_say_is_asked_for(model, tmp_path):
    image, _ = nuclei((60, 72), 8, 0)
    with pytest.raises(cytoshift.UserError, match=r"works at .* um per voxel, but image has .* px"):
        model.segment(image)
    with pytest.raises(cytoshift.UserError, match=r"each axis needs one; pass `voxel=\(0.5, 0.5\)`"):
        model.segment(image, voxel=0.5, unit="um")
    with pytest.raises(cytoshift.UserError, match=r"axes of image \(3, 60, 72\) are not in its metadata; pass `axes`"):
        model.segment(np.stack([image] * 3), voxel=UM)
    with pytest.raises(cytoshift.UserError, match="'min_sise' is not a setting"):
        model.segment(image, voxel=UM, min_sise=3)
    several = np.stack([image] * 3)
    with pytest.raises(cytoshift.UserError, match="the array holds 3 images, one is taken; choose one of its `frames`"):
        model.segment(several, axes="tyx", voxel=UM)
    assert model.segment(several, axes="tyx", voxel=UM, frames=[1]).shape == (60, 72)
    assert model.segment(several, axes="cyx", channel=2, voxel=UM).shape == (60, 72)
    with pytest.raises(cytoshift.UserError, match="open already; declare voxel where it is opened"):
        path = cytoshift.write_image(tmp_path / "a.tif", image, UM, "yx")
        model.segment(cytoshift.open_volumes(path)[0], voxel=UM)


def test_settings_of_a_run_are_those_that_new_writes(tmp_path):
    image, _, voxel = cytoshift.phantom("sparse-2d", 0)
    path = cytoshift.write_image(tmp_path / "images" / "a.tif", image, voxel, "yx").parent
    run = cytoshift.recipe(path, steps=7, seed=3, settings={"train.lr": 1e-3})
    assert isinstance(run, cytoshift.Run) and run.method == "adgan" and run.prior is not None
    assert (run.train.steps, run.seed, run.train.lr) == (7, 3, 1e-3) and run.data.images.paths == str(path)
    of_array = cytoshift.recipe(
        [image], voxel=voxel, out=tmp_path / "run", steps=7, seed=3, settings={"train.lr": 1e-3}
    )
    paths = of_array.data.images.paths
    assert paths == str(tmp_path / "run-images")
    same = of_array.model_copy(update={"data": of_array.data.model_copy(update={"images": run.data.images})})
    assert same == run
    with pytest.raises(cytoshift.UserError, match="already exists"):
        cytoshift.recipe([255 - image], voxel=voxel, out=tmp_path / "run")
    with pytest.raises(
        cytoshift.UserError, match="'stepz' is not an option of a run; the options are alike, assume_same_size, axes,"
    ):
        cytoshift.recipe(path, stepz=7)
    with pytest.raises(cytoshift.UserError, match="some images are paths and some are arrays"):
        cytoshift.recipe([image, str(path)])
    with pytest.raises(cytoshift.UserError, match="learns from labelled images, but none are given; pass `source`"):
        cytoshift.recipe(path, "cysgan")


def test_labels_of_another_modality_are_lent_as_arrays_or_as_files(tmp_path):
    image, truth, voxel = cytoshift.phantom("dense-2d", 0)
    run = cytoshift.recipe(
        [image], "supervised", source=([image], [truth]), voxel=voxel, source_voxel=voxel, out=tmp_path / "run"
    )
    assert run.source is not None and run.source.labels.paths == str(tmp_path / "run-source-labels")
    again = cytoshift.recipe(
        str(tmp_path / "run-images"), "supervised",
        source=(str(tmp_path / "run-source-images"), str(tmp_path / "run-source-labels")),
    )  # fmt: skip
    assert again == run


def test_fit_takes_a_file_of_settings_and_a_function_follows_it(tmp_path):
    image, _, voxel = cytoshift.phantom("sparse-2d", 0)
    run = cytoshift.recipe([image], voxel=voxel, out=tmp_path / "run", steps=3, settings=SMALL)
    seen = []
    model = cytoshift.fit(run, tmp_path / "run", progress=lambda *step: seen.append(step))
    assert [(done, total) for stage, done, total in seen if stage.startswith("training")][-1] == (3, 3)
    (tmp_path / "run.yaml").write_text((tmp_path / "run" / "run.yaml").read_text())
    assert cytoshift.fit(str(tmp_path / "run.yaml"), tmp_path / "run") == model == tmp_path / "run" / "model"
    with pytest.raises(cytoshift.UserError, match="does not exist"):
        cytoshift.fit("nowhere.yaml")
    with pytest.raises(cytoshift.UserError, match="no folder for the run was given; pass `out`"):
        cytoshift.fit(run)


def test_truth_comes_first_and_files_are_compared_too(tmp_path):
    truth = np.zeros((12, 12), np.int32)
    truth[1:4, 1:4], truth[6:9, 6:9] = 1, 2
    pred = np.where(truth == 1, 7, 0)
    found = cytoshift.evaluate(truth, pred)
    assert (found.object_precision, found.object_recall) == (1, 0.5)
    for name, labels in (("t", truth), ("p", pred)):
        cytoshift.write_labels(tmp_path / f"{name}.tif", labels, UM, "yx")
    assert cytoshift.evaluate(tmp_path / "t.tif", str(tmp_path / "p.tif")) == found
    sure = {"sure": (pred > 0).astype(np.float32), "listed": np.array([0.5])}
    assert set(cytoshift.evaluate(truth, pred, confidence=sure).ap) == {"voxel_count", "sure", "listed"}
    with pytest.raises(TypeError):
        cytoshift.evaluate(truth, pred, sure)


def test_labels_are_judged_without_truth(model):
    image, truth = nuclei((60, 72), 8, 0)
    seen = []
    judged = cytoshift.trust(truth, image, model, voxel=UM, progress=lambda *step: seen.append(step))
    assert 0 <= judged.score.low <= judged.score.value <= judged.score.high <= 1
    assert len(judged.confidence) == len(judged.ids) == truth.max()
    assert seen[-1][0] == "judge image" and seen[-1][2] == 1
    with pytest.raises(cytoshift.UserError, match="no class 'golgi'"):
        cytoshift.trust(truth, image, model, name="golgi", voxel=UM)


def test_a_segmenter_is_a_line_and_its_card_a_table(model):
    assert (
        "\n" not in repr(model) and len(repr(model)) < 160 and repr(model).startswith("Segmenter('yx' at 0.5 x 0.5 um")
    )
    model.card["note"] = "<b>bold</b>"
    assert "&lt;b&gt;bold" in model._repr_html_() and "<b>" not in model._repr_html_()


def test_a_function_follows_in_the_place_of_a_bar(caplog, capsys):
    seen = []
    caplog.set_level(logging.INFO, "cytoshift")
    with follow_progress(lambda *step: seen.append(step)), Progress("count", 3) as progress:
        progress.advance(2)
        progress.say("halfway")
    assert seen == [("count", 2, 3)] and caplog.messages == ["halfway"] and capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["train", "trust"])
def test_a_room_of_the_name_of_a_function_is_called_as_the_function(name):
    """Whatever has been imported before."""
    room = import_module(f"cytoshift.{name}")
    assert room is getattr(cytoshift, name)
    with pytest.raises(TypeError, match=f"{name}\\(\\) missing"):
        room()
    import cytoshift.train.run_settings as settings

    assert settings.Run is cytoshift.Run
