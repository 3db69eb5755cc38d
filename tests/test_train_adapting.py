"""Methods that adapt features, from the command line to a score; killed and continued; begun from a trained model."""

import json

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.configure.finetune import finetuning_run
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse, read_yaml
from cytoshift.data.volumes import ImageSource
from cytoshift.model import Segmenter
from cytoshift.train import trainer
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run

UNET = {"widths": (8, 8), "stem": 3, "plus": False, "non_local": False}
METHODS = ("mmd", "coral", "dann", "ynet", "mean_teacher")
TYX = {"axes": "tyx", "voxel": (5, 5), "unit": "nm"}


def sections(seed, dark):
    """Three noisy sections of 64 x 64 with dark ovals, and a mask of them."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((64, 64))
    raw, mask = rng.normal(160, 8, (3, 64, 64)), np.zeros((3, 64, 64), np.uint8)
    for z in range(3):
        for row, column in ((16, 18), (44, 22), (28, 48)):
            away = ((y - row - rng.uniform(-4, 4)) / 7) ** 2 + ((x - column - rng.uniform(-4, 4)) / 9) ** 2
            mask[z][away < 1] = 1
    raw[mask > 0] -= dark
    return raw.clip(0, 255).astype(np.uint8), mask


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sides")
    for i, (side, dark) in enumerate((("source", 90), ("target", 60))):
        (folder / side).mkdir()
        raw, mask = sections(i, dark)
        tifffile.imwrite(folder / side / "raw.tif", raw, photometric="minisblack")
        tifffile.imwrite(folder / side / "mask.tif", mask, photometric="minisblack")
    return folder


def where(path, **more):
    return {"paths": str(path), **TYX, **more}


def settings(sides, method, **changes):
    """Semantic masks of the sections."""
    options = UNET | ({"voxels": 64} if method == "mmd" else {})
    train = {"steps": 6, "batch": 1, "precision": "32", "samples_every": 6, "checkpoint_every": 1, "accelerator": "cpu"}
    data = {
        "method": method, "patch": (32, 32), "represent": {"kind": "semantic"}, "options": options, "train": train,
        "data": {"images": where(sides / "target" / "raw.tif"), "corrupt": {"cut_noise": 0.5}},
        "source": {
            "images": where(sides / "source" / "raw.tif"), "labels": where(sides / "source" / "mask.tif"),
            "corrupt": {"cut_noise": 0.5}, "mask_above": 0,
        },
    }  # fmt: skip
    return parse(Run, data | changes, "a test")


def weights(model):
    return {k: v.clone() for k, v in Segmenter.load(model).network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def cytoshift(*words):
    result = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("method", ["mmd", "mean_teacher"])
def test_from_two_stacks_to_a_score(sides, method, tmp_path):
    """new, train, segment, evaluate, with nothing but what a person types."""
    stack = ("--axes", "tyx", "--voxel", "5,5", "--unit", "nm")
    said = cytoshift(
        "new", method, "--source", sides / "source" / "raw.tif", sides / "source" / "mask.tif", "--target",
        sides / "target" / "raw.tif", *stack, *(f"--source-{w.strip('-')}" if "--" in w else w for w in stack),
        "--source-mask-above", "0", "--assume-same-size", "--represent", "semantic", "-o", tmp_path / "run.yaml",
    )  # fmt: skip
    assert "taken to be like the source's" in said and "dark objects" in said
    run = parse(Run, read_yaml(tmp_path / "run.yaml"))
    assert run.data.normalise.invert and run.source.normalise.invert and run.source.mask_above == 0
    assert run.represent.kind == "semantic" and run.options["widths"] == [16, 32, 64]
    short = ("train.steps=40", "patch=[32,32]", "options.widths=[8,8]", "train.precision=32", "train.lr=0.01")
    cytoshift("train", tmp_path / "run.yaml", *short, "train.samples_every=40", "-o", tmp_path / "run", "--quiet")
    cytoshift("segment", tmp_path / "run" / "model", sides / "target" / "raw.tif", *stack, "-o", tmp_path / "labels")
    (tmp_path / "truth").mkdir()
    for z, plane in enumerate(tifffile.imread(sides / "target" / "mask.tif")):
        tifffile.imwrite(tmp_path / "truth" / f"raw_t{z}.tif", plane)
    cytoshift("evaluate", tmp_path / "truth", tmp_path / "labels", "--json-file", tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["mean"]["dice"] > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_to_the_same_weights(sides, method, tmp_path, monkeypatch):
    run = settings(sides, method)
    whole = weights(fit(run, tmp_path / "whole", quiet=True))
    real, taken = trainer.train_step, []

    def killed(*args):
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(1)
        return real(*args)

    monkeypatch.setattr(trainer, "train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(run, tmp_path / "parts", quiet=True)
    monkeypatch.setattr(trainer, "train_step", real)
    assert same(whole, weights(fit(run, tmp_path / "parts", quiet=True)))


def test_finetuning_begins_where_the_first_training_ended(sides, tmp_path):
    """A learning rate of almost nothing changes almost nothing; a real one learns from the one labelled section."""
    run = settings(sides, "dann")
    first = fit(run, tmp_path / "first", quiet=True)
    images, labels = (parse(ImageSource, where(sides / "target" / f"{kind}.tif")) for kind in ("raw", "mask"))
    second = finetuning_run(run, first, images, labels, fraction=0.3, mask_above=0)
    assert second.method == "supervised" and second.train.lr == pytest.approx(run.train.lr / 10)
    still = second.model_copy(update={"train": second.train.model_copy(update={"lr": 1e-12, "steps": 2})})
    before, after = weights(first), weights(fit(still, tmp_path / "still", quiet=True))
    assert all(torch.allclose(after[k], before[k], atol=1e-6) for k in before)
    moved = weights(fit(second, tmp_path / "second", quiet=True))
    assert not same(before, moved)
    assert json.loads((tmp_path / "second" / "model" / "model.json").read_text())["card"]["settings"]["start"]


def test_another_network_is_no_start(sides, tmp_path):
    first = fit(settings(sides, "coral"), tmp_path / "first", quiet=True)
    for changes, words in (
        ({"options": UNET | {"widths": (8, 16)}}, r"widths: \[8, 8\] there, \[8, 16\] requested"),
        ({"represent": {"kind": "ternary"}}, r"channels: \['foreground'\] there, \['core and edge'\] requested"),
    ):
        run = settings(sides, "supervised", start=str(first), **changes)
        with pytest.raises(UserError, match=rf"start: .* holds another network \({words}\); take the options"):
            fit(run, tmp_path / "second", quiet=True)
    with pytest.raises(UserError, match="model folder nowhere does not exist"):
        fit(settings(sides, "supervised", start="nowhere"), tmp_path / "third", quiet=True)


def test_a_teacher_begins_as_the_model_that_was_loaded(sides, tmp_path):
    first = fit(settings(sides, "supervised"), tmp_path / "first", quiet=True)
    run = settings(sides, "mean_teacher", start=str(first))
    one = run.model_copy(update={"train": run.train.model_copy(update={"steps": 1})})
    learnt = trainer.Trainer(one, tmp_path / "b", quiet=True).run()
    there = Segmenter.load(first).network.parameters()
    assert all(torch.equal(t, p) for t, p in zip(learnt.method.teacher.network.parameters(), there))
