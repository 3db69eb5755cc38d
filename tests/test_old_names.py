"""What an earlier version wrote goes on: settings, runs, checkpoints and models with names that have changed since."""

import json
import logging
import shutil

import numpy as np
import pytest
import tifffile
import torch
import yaml

from cytoshift.bench.dataset_spec import Files
from cytoshift.bench.method_spec import FinetunedMethod, TrainedMethod
from cytoshift.configure import Requests
from cytoshift.core.settings import Settings, parse
from cytoshift.methods import METHODS
from cytoshift.model import Segmenter
from cytoshift.model.shipped import model_folder
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run, Source, Train

OLD_RUN = """
method: feature
data:
  images: {paths: images}
  augment: {turns: false, shade: 0.5}
  corrupt: {elastic: 0.5, elastic_reach: 0.01, elastic_grain: 0.04, misalign_reach: 0.1, misalign_turn: 0.25}
source:
  images: {paths: source}
  labels: {paths: labels}
  match_cover: true
  part: 0.5
  hold: 0.1
patch: [32, 32]
represent: {kind: bcd}
options: {critic: [8, 8], deep: [8]}
train: {steps: 4, rates: {critics: 0.2}, fall: cosine, sheet_every: 7}
"""


def every_group(kind=Settings):
    return {kind, *(group for below in kind.__subclasses__() for group in every_group(below))}


def test_a_run_yaml_of_the_first_version_means_the_same(caplog):
    run = parse(Run, yaml.safe_load(OLD_RUN))
    assert not run.data.augment.rotations and run.data.augment.bias_field == 0.5
    assert run.data.corrupt.elastic_amplitude == 0.01 and run.data.corrupt.elastic_wavelength == 0.04
    assert run.data.corrupt.misalign_distance == 0.1 and run.data.corrupt.misalign_rotation == 0.25
    assert run.source.match_foreground and (run.source.fraction, run.source.held_out) == (0.5, 0.1)
    assert run.train == Train(steps=4, lr_multipliers={"discriminators": 0.2}, schedule="cosine", samples_every=7)
    options = METHODS["feature"].settings.model_validate(run.options)
    assert options.discriminator == (8, 8) and options.bottleneck_widths == (8,)
    said = [record.getMessage() for record in caplog.records]
    assert "the setting 'fall' is called 'schedule' now; the old name works until the next version" in said
    caplog.clear()
    assert parse(Run, run.model_dump() | {"options": options.model_dump()}).train == run.train and not caplog.records


def test_old_names_lead_to_settings_that_exist():
    groups = [group for group in every_group() if group.__module__.startswith("cytoshift.")]
    renamed = {(group, old): new for group in groups for old, new in vars(group).get("renamed", {}).items()}
    assert len(renamed) > 20
    for (group, old), new in renamed.items():
        assert new in group.model_fields and old not in group.model_fields, f"{group.__name__}: {old}"


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (Requests, {"alike": True}, {"assume_same_size": True}),
        (Files, {"alike": True}, {"assume_same_size": True}),
        (TrainedMethod, {"among": [{"train.steps": 1}]}, {"candidates": [{"train.steps": 1}]}),
        (FinetunedMethod, {"part": 0.5}, {"fraction": 0.5}),
        (Source, {"hold": 0.2}, {"held_out": 0.2}),
        (METHODS["cysgan"].settings, {"warm": 0.2}, {"warm_up": 0.2}),
        (METHODS["coral"].settings, {"deepest": 2.0}, {"bottleneck": 2.0}),
        (METHODS["mean_teacher"].settings, {"sure": 0.7}, {"confidence_threshold": 0.7}),
    ],
)
def test_an_old_name_means_what_the_new_one_does(kind, old, new):
    rest = {
        Files: {"name": "a", "kind": "files", "images": "i", "labels": "l"},
        TrainedMethod: {"name": "a", "kind": "train", "method": "adgan"},
        FinetunedMethod: {"name": "a", "kind": "finetune", "after": "b"},
        Source: {"images": {"paths": "i"}, "labels": {"paths": "l"}},
    }.get(kind, {})
    rest = {key: value for key, value in rest.items() if key in kind.model_fields}
    assert parse(kind, rest | old) == parse(kind, rest | new)


def test_a_run_that_an_earlier_version_began_goes_on(tmp_path):
    """Its run.yaml, its log and its checkpoint have the old names; the model comes out the same, to the bit."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 5, (40, 52))
    image[8:20, 10:24] += 80
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "0.tif", image.astype(np.uint16))
    said = {
        "method": "adgan", "patch": (32, 32), "represent": {"kind": "ternary"},
        "data": {"images": {"paths": str(tmp_path / "images")}},
        "prior": {"diameter": {"median": 8, "sigma": 0.2}, "density": [0.002, 0.01]},
        "options": {"width": 4, "blocks": 1, "stem": 3, "hidden": 8, "discriminator": 4, "pool": 2},
        "train": {"steps": 4, "batch": 1, "samples_every": 9, "checkpoint_every": 2, "accelerator": "cpu",
                  "precision": "32", "lr_multipliers": {"discriminator": 0.5}},
    }  # fmt: skip
    whole = fit(parse(Run, said), tmp_path / "whole", quiet=True)

    shutil.copytree(tmp_path / "whole", tmp_path / "old")
    text = (tmp_path / "old" / "run.yaml").read_text()
    for old, new in {
        "rates": "lr_multipliers", "critic": "discriminator", "sheet_every": "samples_every", "fall": "schedule",
        "spread": "sigma", "turns": "rotations", "shade": "bias_field", "elastic_grain": "elastic_wavelength",
    }.items():  # fmt: skip
        assert new in text
        text = text.replace(new, old)
    (tmp_path / "old" / "run.yaml").write_text(text)
    shutil.rmtree(tmp_path / "old" / "model")
    place = max((tmp_path / "old" / "checkpoints").iterdir())
    state = torch.load(place, weights_only=True)
    torch.save({key.replace("discriminator", "critic"): value for key, value in state.items()}, place)
    model = fit(parse(Run, yaml.safe_load(text)), tmp_path / "old", quiet=True)
    assert (model / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    card = (model / "model.json").read_text().replace('"critic"', '"discriminator"')  # as the settings said it
    assert card == (whole / "model.json").read_text()


def test_a_model_whose_card_has_the_old_names_loads(tmp_path, caplog):
    folder = shutil.copytree(model_folder("nuclei-2d"), tmp_path / "model")
    said = json.loads((folder / "model.json").read_text())
    text = json.dumps(said)
    for new, old in {'"schedule"': '"fall"', '"samples_every"': '"sheet_every"', '"lr_multipliers"': '"rates"'}.items():
        text = text.replace(new, old)
    (folder / "model.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        old = Segmenter.load(folder)
    assert not caplog.records  # nobody can change the names in a model
    image = np.random.default_rng(0).normal(size=(1, 1, 32, 32)).astype(np.float32)
    new = Segmenter.load(model_folder("nuclei-2d"))
    assert torch.equal(old.network(torch.from_numpy(image)), new.network(torch.from_numpy(image)))
