"""A training that fails: warned of, stopped or taken back, and the same after a kill at any moment."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
import yaml

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.data.streams import Batches
from cytoshift.model import Segmenter
from cytoshift.train import checkpoint, monitor
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from cytoshift.train.trainer import ROLLBACK_SAMPLES
from test_train import same, settings, weights

LONG = {"steps": 8, "samples_every": 2, "checkpoint_every": 3, "log_every": 1, "ema": 0.5, "precision": "32"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    image = np.random.default_rng(0).normal(100, 5, (40, 52))
    image[8:20, 10:24] += 80
    path = tmp_path_factory.mktemp("images") / "one.tif"
    tifffile.imwrite(path, image.astype(np.uint16))
    return path


@pytest.fixture
def spoilt(monkeypatch):
    """Batches by their number, those of which are spoilt that `spoilt.numbers` has; networks that look healthy."""
    whole = Batches.__getitem__

    def draw(self, number):
        batch = whole(self, number)
        if number in draw.numbers:
            batch.images.image.fill_(torch.nan)
        return batch

    draw.numbers = {5}
    monkeypatch.setattr(Batches, "__getitem__", draw)
    monkeypatch.setattr(monitor, "check_translation", lambda drawing, pictures: [])
    return draw


def rows_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def notes(folder):
    return [row["note"] for row in rows_of(folder) if "note" in row]


def test_it_goes_back_and_on_with_other_samples_and_half_the_rate(images, tmp_path, spoilt):
    fit(settings(images, **LONG, on_failure="rollback"), tmp_path, quiet=True)
    rows = [row for row in rows_of(tmp_path) if "step" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]  # the 5 of after
    assert rows[3]["lr"] == pytest.approx(4e-4) and rows[4]["lr"] == pytest.approx(2e-4)
    first, second = notes(tmp_path)
    assert first.startswith(
        "warning at step 5: divergence: generators/reconstruct: the loss is not a number any more; lower"
    )
    assert second.startswith(
        "back to the state of step 4, the last good one, continued with other samples and a learning "
    )
    assert second.endswith("rate of 0.0002 (1 of 3)")
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["good.pt", "last.pt"]


def test_other_samples_are_those_of_another_lap(images, tmp_path, spoilt):
    """Where the samples after the rollback are spoilt as well, it fails as well."""
    spoilt.numbers = {5, ROLLBACK_SAMPLES + 4, 2 * ROLLBACK_SAMPLES + 6}
    fit(settings(images, **LONG, on_failure="rollback"), tmp_path, quiet=True)
    assert [note.split(",")[0] for note in notes(tmp_path)[1::2]] == [
        "back to the state of step 4", "back to the state of step 4", "back to the state of step 6",
    ]  # fmt: skip


@pytest.mark.parametrize("moments", [(4,), pytest.param(range(1, 10), marks=pytest.mark.slow)], ids=["back", "any"])
def test_killed_at_any_moment_it_comes_to_the_same_weights(images, tmp_path, spoilt, monkeypatch, moments):
    """Killed before or after each of its writes; the fourth is that of the first way back."""
    spoilt.numbers = {5, ROLLBACK_SAMPLES + 6}
    run, write = settings(images, **LONG, on_failure="rollback"), checkpoint.save
    count, fatal, after = 0, -1, False

    def save(*args):
        nonlocal count
        count += 1
        if count == fatal and not after:
            raise KeyboardInterrupt
        write(*args)
        if count == fatal:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save)
    expected = weights(fit(run, tmp_path / "whole", quiet=True))
    assert count == 9
    for moment in moments:
        for after in (False, True):
            out = tmp_path / f"{moment}{after}"
            count, fatal = 0, moment
            with pytest.raises(KeyboardInterrupt):
                fit(run, out, quiet=True)
            fatal = -1
            assert same(weights(fit(run, out, quiet=True)), expected), (moment, after)
            assert rows_of(out)[-1] == rows_of(tmp_path / "whole")[-1]


def test_it_stops_with_the_last_good_weights_and_says_so(images, tmp_path, spoilt):
    spoilt_run = settings(images, **LONG, on_failure="stop")
    model = fit(spoilt_run, tmp_path / "a", quiet=True)
    sentence = (
        "stopped at step 5 for divergence: generators/reconstruct; the model is the state of step 4, the last good one"
    )
    assert notes(tmp_path / "a")[-1] == sentence == Segmenter.load(model).card["ended"]
    again = weights(fit(spoilt_run, tmp_path / "a", quiet=True))  # the same command takes no further step
    assert same(again, weights(model)) and notes(tmp_path / "a")[-1] == sentence
    assert max(row.get("step", 0) for row in rows_of(tmp_path / "a")) == 4
    fit(settings(images, **LONG, on_failure="rollback"), tmp_path / "a", quiet=True)  # but another wish is heard
    assert rows_of(tmp_path / "a")[-1]["step"] == 8
    assert "ended" not in Segmenter.load(model).card


def test_rollbacks_are_counted_and_end_with_the_last_good_weights(images, tmp_path, spoilt):
    spoilt.numbers = {lap * ROLLBACK_SAMPLES + 5 for lap in range(9)}
    model = fit(settings(images, **LONG, on_failure="rollback", rollbacks=2), tmp_path, quiet=True)
    words = notes(tmp_path)
    assert [w[-8:] for w in words if w.startswith("back")] == ["(1 of 2)", "(2 of 2)"]
    assert words[-1].startswith("stopped at step 5") and Segmenter.load(model).card["ended"] == words[-1]


def test_without_a_good_state_it_begins_anew_with_other_weights_or_says_why_not(images, tmp_path, spoilt):
    spoilt.numbers = {0}
    fit(settings(images, **LONG, on_failure="rollback"), tmp_path / "a", quiet=True)
    assert notes(tmp_path / "a")[1].startswith("back to the beginning, with other weights")
    spoilt.numbers = set()
    fit(settings(images, **LONG), tmp_path / "b", quiet=True)
    first = [next(row for row in rows_of(tmp_path / name) if "step" in row) for name in "ab"]
    assert first[0]["step"] == first[1]["step"] == 1
    assert first[0]["generators/reconstruct"] != first[1]["generators/reconstruct"]
    spoilt.numbers = {0}
    with pytest.raises(UserError, match="stopped at step 0, and no state before was good: divergence: generators"):
        fit(settings(images, **LONG, on_failure="stop"), tmp_path / "c", quiet=True)
    assert not (tmp_path / "c" / "model").exists()


def test_warnings_disturb_nothing(images, tmp_path, monkeypatch):
    """A monitor that always warns, and one that never does: the same weights, and every warning once."""
    trained = {}
    for name in ("silent", "loud"):
        found = [monitor.Symptom("collapse", "image to mask", "a test")] * (name == "loud")
        monkeypatch.setattr(monitor, "check_translation", lambda drawing, pictures, found=found: found[: drawing.mask])
        monkeypatch.setattr("cytoshift.train.trainer.EARLY_AT_LEAST", 0)
        trained[name] = weights(fit(settings(images, **LONG), tmp_path / name, quiet=True))
    assert same(trained["silent"], trained["loud"])
    assert len(notes(tmp_path / "loud")) == 1 and not notes(tmp_path / "silent")
    assert notes(tmp_path / "loud")[0].startswith("warning at step 6: collapse: image to mask: a test; give the cycle")
    assert not (tmp_path / "loud" / "checkpoints" / "good.pt").exists()


def test_checkpoints_from_before_there_was_a_memory_go_on(images, tmp_path):
    fit(settings(images, steps=2), tmp_path, quiet=True)
    path = tmp_path / "checkpoints" / "last.pt"
    state = torch.load(path, weights_only=True)
    del state["monitor"]
    torch.save(state, path)
    fit(settings(images, steps=4), tmp_path, quiet=True)
    assert rows_of(tmp_path)[-1]["step"] == 4


@pytest.mark.slow
def test_two_processes_go_back_together(images, tmp_path):
    """One diverges at a learning rate out of this world; all of them have to notice, or the others wait for ever."""
    run = settings(images, steps=20, batch=1, devices=2, lr=1e30, precision="32", on_failure="rollback", rollbacks=1)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
    command = [sys.executable, "-m", "cytoshift", "train", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "run")]
    done = subprocess.run(
        [*command, "--quiet"], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode != 0 and "and no state before was good: divergence" in done.stderr
    assert any(note.startswith("back to the beginning") for note in notes(tmp_path / "run"))


def test_unknown_wishes_are_refused(images):
    with pytest.raises(UserError, match="on_failure"):
        parse(Run, settings(images).model_dump(mode="json") | {"train": {"on_failure": "pray"}})
