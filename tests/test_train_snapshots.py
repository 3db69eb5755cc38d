"""States kept on the way are models of their own, and keeping them changes nothing."""

import json

import pytest
import torch

from cytoshift.data.volumes import open_volumes
from cytoshift.model import Segmenter
from cytoshift.predict.pipeline import segment
from cytoshift.train.fit import fit
from cytoshift.train.ship import SnapshotFolder
from cytoshift.train.trainer import passes_mark
from test_train import images, same, settings, weights
from test_train_borrowed import known, sides
from test_train_borrowed import settings as borrowed

__all__ = ["images", "known", "sides"]  # fixtures of other files


def test_marks_are_even_and_met_once():
    steps, count = 300, 8
    met = [s for s in range(1, steps + 1) if passes_mark((s - 1) / steps, s / steps, count)]
    assert met == [38, 75, 113, 150, 188, 225, 263, 300]
    assert not any(passes_mark((s - 1) / 10, s / 10, 0) for s in range(1, 11))


def test_snapshots_are_models_and_change_nothing(images, tmp_path):
    plain = weights(fit(settings(images), tmp_path / "plain", quiet=True))
    model = fit(settings(images, snapshots=3), tmp_path / "kept", quiet=True)
    assert same(plain, weights(model))
    there = SnapshotFolder(tmp_path / "kept", settings(images)).models()
    assert list(there) == [2, 4, 6]
    assert there[2].name == "000002"
    assert same(plain, weights(there[6]))
    assert not same(plain, weights(there[2]))
    assert json.loads((there[4] / "model.json").read_text())["card"]["step"] == 4
    assert segment(Segmenter.load(there[2]), open_volumes(str(images))[0]).shape == (40, 52)


def test_a_continued_run_leaves_the_same_snapshots(images, tmp_path):
    fit(settings(images, snapshots=3), tmp_path / "whole", quiet=True)
    fit(settings(images, snapshots=3, max_minutes=1e-9), tmp_path / "parts", quiet=True)  # stops at once
    assert list(SnapshotFolder(tmp_path / "parts", settings(images)).models()) == [0]
    fit(settings(images, snapshots=3), tmp_path / "parts", quiet=True)
    for step in (2, 4, 6):
        name = f"snapshots/{step:06d}"
        assert same(weights(tmp_path / "whole" / name), weights(tmp_path / "parts" / name))


@pytest.mark.parametrize("method", ["cysgan", "cyclegan-yx", "histogram-yx", "cyclegan-xy"])
def test_of_methods_that_borrow_labels(known, tmp_path, method):
    run = borrowed(known, method)
    run = run.model_copy(update={"train": run.train.model_copy(update={"snapshots": 2}), "tune": True})
    model = Segmenter.load(fit(run, tmp_path / "run", quiet=True))
    there = SnapshotFolder(tmp_path / "run", run).models()
    assert list(there) == [1, 2]
    assert not list((tmp_path / "run").glob("translate/snapshots")), "a translator alone is no model"
    last = Segmenter.load(there[2])
    assert last.spec == model.spec
    assert last.representation == model.representation, "thresholds are the run's"
    assert all(
        torch.equal(a, b) for a, b in zip(last.network.state_dict().values(), model.network.state_dict().values())
    )
    assert last.card["method"] == method


def test_states_of_a_way_that_was_left_are_forgotten(images, tmp_path):
    run = settings(images, snapshots=3)
    fit(run, tmp_path / "run", quiet=True)
    shelf = SnapshotFolder(tmp_path / "run", run)
    shelf.forget_after(3)
    assert list(shelf.models()) == [2]
