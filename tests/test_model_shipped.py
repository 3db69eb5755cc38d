"""The models of the package: found by name, small, and right at once on images that nobody trained them for."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.configure.randomise import settings
from cytoshift.configure.recipe import overlay_settings, survey_images
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.data.volumes import ImageSource, open_labels
from cytoshift.data.write import write_image
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.evaluation import report
from cytoshift.model import Segmenter
from cytoshift.model.segmenter import fingerprint
from cytoshift.model.shipped import FOLDER, model_folder, model_names
from cytoshift.synth.phantoms import phantom
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run

NAMES = ("nuclei-2d", "nuclei-3d")


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Folders of a phantom, of the same with dark objects, and its truth."""
    folder = tmp_path_factory.mktemp("flat")
    image, labels, voxel = phantom("sparse-2d", 3, (160, 160))
    write_image(folder / "bright" / "cells.tif", image, voxel, "yx")
    write_image(folder / "dark" / "cells.tif", 255 - image, voxel, "yx")
    return folder, labels


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return result.exit_code, result.output


def f1(out, truth):
    return report(overlap(truth, open_labels(str(out / "cells.tif"))[0].load())).f1_50


def test_the_models_are_there_small_and_with_a_card():
    assert model_names() == NAMES
    for name in NAMES:
        folder = FOLDER / name
        assert sum(path.stat().st_size for path in folder.iterdir()) < 4e6
        with safe_open(folder / "weights.safetensors", "pt") as file:
            assert {file.get_tensor(key).dtype.itemsize for key in file.keys()} == {2}  # noqa: SIM118
        model = Segmenter.load(name)
        assert model.voxel.unit == "px" and model.diameter and "y" in model.axes
        assert {"summary", "learnt from", "training", "scores", "failures", "objects"} <= set(model.card)
        assert "/" not in json.dumps(model.card["settings"]["data"])


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_folder("nuclei-2d") == FOLDER / "nuclei-2d"
    Segmenter.load("nuclei-2d").save(tmp_path / "nuclei-2d")
    assert str(model_folder("nuclei-2d")) == "nuclei-2d"
    assert fingerprint("nuclei-2d") != fingerprint(FOLDER / "nuclei-2d")  # weights in 32 bits
    with pytest.raises(UserError, match="nuclei-2d, nuclei-3d"):
        Segmenter.load("nuclei-4d")
    (tmp_path / "nuclei-2d" / "weights.safetensors").unlink()
    assert str(model_folder("nuclei-2d")) == "nuclei-2d", "what is left of a model is not replaced by another one"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_model_does_not_hide_one_of_that_name(flat, tmp_path, monkeypatch, kind):
    """Labels that were written to a folder of the name of the model, and notes that somebody took."""
    monkeypatch.chdir(tmp_path)
    image = sorted((flat[0] / "bright").iterdir())[0]
    if kind == "folder":
        (tmp_path / "nuclei-2d").mkdir()
    else:
        (tmp_path / "nuclei-2d").write_text("mine")
    out = "nuclei-2d" if kind == "folder" else "o"
    result = CliRunner().invoke(app, ["segment", "nuclei-2d", str(image), "-o", out, "--diameter", "12"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("wish", ["nan", "inf", "0", "-3"])
def test_a_diameter_is_a_positive_number(flat, tmp_path, wish):
    image = sorted((flat[0] / "bright").iterdir())[0]
    with pytest.raises(UserError, match="it is the median diameter of the objects, a positive number in the unit"):
        run("segment", "nuclei-2d", image, "-o", tmp_path / "o", "--diameter", wish)


def test_labels_at_once_bright_and_dark(flat, tmp_path):
    folder, truth = flat
    for side in ("bright", "dark"):
        code, said = run("segment", "nuclei-2d", folder / side, "-o", tmp_path / side)
        assert code == 0 and f"{side} objects" in said and "um across" in said
        assert f1(tmp_path / side, truth) > 0.5
    code, said = run("segment", "nuclei-2d", folder / "bright", "-o", tmp_path / "bright")
    assert code == 0  # the same command finds it finished


def test_what_is_given_overrules(flat, tmp_path):
    folder, _ = flat
    words = (
        "segment",
        "nuclei-2d",
        folder / "bright",
        "-o",
        tmp_path / "out",
        "--diameter",
        "12",
        "--polarity",
        "dark",
    )
    code, said = run(*words)
    assert code == 0 and "dark objects 12 um across, as given" in said
    with pytest.raises(UserError, match="there are auto, bright, dark"):
        run(*words[:-1], "pale")


def test_a_volume_at_once(tmp_path):
    image, truth, voxel = phantom("hl60-3d-00", 3, (32, 80, 80))
    write_image(tmp_path / "images" / "cells.tif", image, voxel, "zyx")
    code, _ = run("segment", "nuclei-3d", tmp_path / "images", "-o", tmp_path / "out")
    assert code == 0 and f1(tmp_path / "out", truth) > 0.7


def test_the_other_verbs_know_them(flat, tmp_path):
    folder, _ = flat
    run("segment", "nuclei-2d", folder / "bright", "-o", tmp_path / "out")
    code, said = run("trust", tmp_path / "out" / "cells.tif", folder / "bright" / "cells.tif", "--model", "nuclei-2d")
    assert code == 0, said
    code, said = run("assess", folder / "bright", "--model", "nuclei-2d")
    assert code in (0, 3, 4) and "nuclei-2d:" in said
    code, said = run("models")
    assert code == 0 and all(f"{name}: " in said for name in NAMES)
    code, said = run("models", "nuclei-3d", "--json")
    assert list(json.loads(said)["models"]) == ["nuclei-3d"]
    with pytest.raises(UserError, match="there are nuclei-2d"):
        run("models", "cells")


def test_a_training_starts_from_them(flat, tmp_path):
    folder, _ = flat
    wish = settings(survey_images(ImageSource(paths=str(folder / "bright")))).model_dump(mode="json")
    changes = {
        "start": "nuclei-2d",
        "options.widths": Segmenter.load("nuclei-2d").spec.model_dump()["widths"],
        "train.steps": 1,
        "train.batch": 1,
        "train.lr": 1e-9,
        "tune": False,
        "train.ema": 0.0,
    }
    found = Segmenter.load(fit(parse(Run, overlay_settings(wish, changes), "wish"), tmp_path / "run", quiet=True))
    before = Segmenter.load("nuclei-2d").network.state_dict()
    assert all(np.allclose(value, before[key], atol=1e-5) for key, value in found.network.state_dict().items())
