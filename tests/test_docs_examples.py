"""The method and the representation that the pages add, put in their place and judged by what judges all others."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

import test_methods_contract as contract
import tiny_methods
from cytoshift.core.voxel import Voxel
from cytoshift.methods import METHODS
from cytoshift.metrics.evaluation import evaluate
from cytoshift.represent import RepresentationSettings
from cytoshift.synth import Prior, draw_labels

HOWTO = Path(__file__).parents[1] / "docs" / "howto"
FLAT, DEEP = Voxel((1.0, 1.0), "um"), Voxel((2.0, 1.0, 1.0), "um")


def loaded(name: str, room: str):
    """A file of the pages as if it lay in that room."""
    whole = f"cytoshift.{room}.{name}"
    spec = importlib.util.spec_from_file_location(whole, HOWTO / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def minent(monkeypatch):
    monkeypatch.setitem(METHODS, "minent", loaded("minent", "methods").MinEnt)
    monkeypatch.setitem(tiny_methods.SMALL, "minent", tiny_methods.LEAN)
    return "minent"


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(
    "owed",
    [
        contract.test_every_parameter_has_one_owner,
        contract.test_each_update_moves_its_player_and_no_other,
        contract.test_the_network_gives_logits_of_the_image_size_and_is_rebuilt_from_its_spec,
        contract.test_the_network_is_always_the_same_module,
        contract.test_a_step_in_bfloat16_is_finite_and_near,
    ],
)
def test_the_method_of_the_page_keeps_the_contract(minent, owed, ndim):
    owed(minent, ndim)


def test_its_checkpoint_and_its_presets(minent, tmp_path):
    contract.test_state_survives_a_checkpoint(minent, 2, tmp_path)
    for preset in METHODS[minent].presets:
        contract.test_presets_are_settings_that_there_are(minent, preset)


def test_its_entropy_is_a_bit_where_nothing_is_known():
    entropy = loaded("minent", "methods").entropy
    assert entropy(torch.zeros(1, 1, 4, 4)).item() == pytest.approx(1.0)
    assert entropy(torch.full((1, 1, 4, 4), 30.0)).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("voxel", "shape"), [(FLAT, (96, 96)), (DEEP, (16, 48, 48))])
def test_the_representation_of_the_page_brings_every_object_back(voxel, shape):
    depth = loaded("depth", "represent").Depth()
    density = (4e-3, 4e-3) if len(shape) == 2 else (4e-4, 4e-4)
    prior = Prior(diameter=(9.0, 13.0), density=density, clustering=0.8, border="inside", unit="um")
    labels = draw_labels(prior, shape, voxel, np.random.default_rng(0))
    back = depth.decode(depth.encode(labels, voxel), voxel)
    assert labels.max() > 5
    assert back.max() == labels.max()
    assert evaluate(labels, back).as_dict()["f1_50"] == 1


def test_its_loss_is_least_where_the_targets_are_met():
    depth = loaded("depth", "represent").Depth()
    labels = np.zeros((24, 24), np.int32)
    labels[4:20, 4:12], labels[4:20, 12:20] = 1, 2
    target = torch.from_numpy(depth.encode(labels, FLAT))[None]
    met = depth.loss(torch.logit(target, 1e-4), target)
    assert met < 0.01 < depth.loss(torch.zeros_like(target), target)
    assert not depth.decode(np.zeros((2, 24, 24), np.float32), FLAT).any()


def test_it_would_be_told_from_the_others_by_its_kind():
    kinds = {one.model_fields["kind"].default for one in RepresentationSettings.__origin__.__args__}
    assert "depth" not in kinds and loaded("depth", "represent").Depth().kind == "depth"
