"""The loop: continued after a kill it gives the same weights; bad settings and bad numbers are one sentence."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
import torch
import yaml

from cytoshift.core import threads
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.data.volumes import ImageSource, open_volumes
from cytoshift.model import Segmenter
from cytoshift.predict.pipeline import segment
from cytoshift.train import proof
from cytoshift.train.fit import fit
from cytoshift.train.log import Log
from cytoshift.train.run_settings import Run

TINY = {"width": 4, "discriminator": 4, "hidden": 8, "blocks": 1, "stem": 3, "pool": 4}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(2):
        image = rng.normal(100, 5, (40, 52))
        image[8:20, 10:24] += 80
        image[25:33, 30:40] += 60
        tifffile.imwrite(folder / f"{i}.tif", image.astype(np.uint16))
    return folder


def settings(images, ndim=2, **train):
    data = {
        "method": "adgan",
        "data": {"images": {"paths": str(images)}},
        "patch": (32,) * ndim,
        "prior": {"diameter": [6, 12], "density": [0.002, 0.01]},
        "represent": {"kind": "ternary"},
        "options": TINY,
        "train": {
            "steps": 6,
            "batch": 2,
            "log_every": 2,
            "samples_every": 3,
            "checkpoint_every": 2,
            "accelerator": "cpu",
        }
        | train,
    }
    return parse(Run, data)


def weights(folder):
    segmenter = Segmenter.load(folder)
    return {k: v.clone() for k, v in segmenter.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_leaves_what_it_promises(images, tmp_path):
    model = fit(settings(images), tmp_path / "run", quiet=True)
    assert model == tmp_path / "run" / "model"
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows if "step" in row]
    assert steps == [2, 4, 6]
    assert {"generators/reconstruct", "generators/cycle", "discriminator/translated", "lr"} <= rows[0].keys()
    assert sorted(p.name for p in (tmp_path / "run" / "samples").iterdir()) == ["step_000003.png", "step_000006.png"]
    assert yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())["method"] == "adgan"


def test_tensorboard_reads_the_curves_of_a_run_that_went_back(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Log(tmp_path, 0, 9, main=True, quiet=True) as log:
        for step in range(1, 6):
            log.step(step, {"discriminator/real": float(step)}, 1.0, 1.0)
        log.rewind(2)
        log.step(3, {"discriminator/real": 30.0}, 1.0, 1.0)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("discriminator/real")] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_too_little_shared_memory_is_said_before_the_first_step(images, tmp_path, monkeypatch):
    monkeypatch.setattr("cytoshift.data.streams.shared_memory", lambda: 64 << 10)
    with pytest.raises(UserError, match=r"train.workers=2 .* /dev/shm has 0.0655 MB free; set train.workers=0, or"):
        fit(settings(images, workers=2), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "log.jsonl").exists()
    fit(settings(images, steps=1), tmp_path / "run", quiet=True)  # without workers nothing is shared
    monkeypatch.setattr("cytoshift.data.streams.shared_memory", lambda: 2 << 20)
    fit(settings(images, steps=1, workers=1), tmp_path / "other", quiet=True)


def test_continued_run_equals_a_run_in_one_go(images, tmp_path):
    whole = weights(fit(settings(images), tmp_path / "whole", quiet=True))
    fit(settings(images, steps=6, max_minutes=1e-9), tmp_path / "parts", quiet=True)  # stops at once
    again = weights(fit(settings(images), tmp_path / "parts", quiet=True))
    assert same(whole, again)


def test_killed_run_continues_to_the_same_weights(images, tmp_path):
    """kill -9 in the middle, the same command again: bit-identical weights (issue: train, on CPU)."""
    run = settings(images, steps=30, checkpoint_every=1)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
    command = [sys.executable, "-m", "cytoshift", "train", str(tmp_path / "run.yaml"), "--quiet", "-o"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment)
    process = subprocess.Popen([*command, str(tmp_path / "killed")], env=environment)
    deadline = time.monotonic() + 600
    while not (tmp_path / "killed" / "checkpoints" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model").exists()
    subprocess.run([*command, str(tmp_path / "killed")], check=True, env=environment)
    assert same(weights(tmp_path / "whole" / "model"), weights(tmp_path / "killed" / "model"))
    lines = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))


def test_other_settings_in_the_same_folder_are_refused(images, tmp_path):
    fit(settings(images, steps=2), tmp_path / "run", quiet=True)
    with pytest.raises(UserError, match=r"holds a run with other settings \(train.lr: 0.0004 there, 0.01 requested\)"):
        fit(settings(images, steps=2, lr=0.01), tmp_path / "run", quiet=True)


def test_more_steps_continue_a_finished_run(images, tmp_path):
    fit(settings(images, steps=2), tmp_path / "run", quiet=True)
    fit(settings(images, steps=4), tmp_path / "run", quiet=True)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]


def test_no_number_stops_with_a_reason(images, tmp_path):
    with pytest.raises(UserError, match=r"is not a number at step \d+; .* go on in another `out` with train.lr="):
        fit(settings(images, lr=1e30, precision="32", steps=20), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "model").exists()


def test_two_processes_see_the_joint_batch(images, tmp_path):
    """Two processes with a batch of 1 against one with a batch of 2: the same losses but for the order of sums."""
    run = settings(images, steps=3, batch=1, devices=2, log_every=1, precision="32")
    one = settings(images, steps=3, batch=2, log_every=1, precision="32")
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(run.model_dump(mode="json")))
    command = [sys.executable, "-m", "cytoshift", "train", str(tmp_path / "two.yaml"), "-o", str(tmp_path / "two")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "--quiet"], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    fit(one, tmp_path / "one", quiet=True)
    a, b = weights(tmp_path / "one" / "model"), weights(tmp_path / "two" / "model")
    for key in a:
        assert torch.allclose(a[key], b[key], atol=2e-3), key


def test_one_image_smaller_than_the_patch_is_enough(tmp_path):
    """A single 16-bit image of 20 x 27 pixels, patches of 32 x 32."""
    rng = np.random.default_rng(0)
    image = rng.normal(1000, 20, (20, 27))
    image[5:14, 6:18] += 30_000
    tifffile.imwrite(tmp_path / "one.tif", image.astype(np.uint16))
    model = fit(settings(tmp_path / "one.tif", steps=2), tmp_path / "run", quiet=True)
    labels = segment(Segmenter.load(model), open_volumes(str(tmp_path / "one.tif"))[0])
    assert labels.shape == (20, 27)


def test_a_single_volume_in_3d(tmp_path):
    """An anisotropic float volume, thinner than the patch, learnt at a coarser voxel size in the plane."""
    rng = np.random.default_rng(0)
    volume = rng.normal(0, 0.05, (9, 40, 44)).astype(np.float32)
    volume[2:7, 8:20, 10:24] += 1
    tifffile.imwrite(tmp_path / "v.tif", volume, imagej=True, metadata={"axes": "ZYX"})
    run = settings(tmp_path / "v.tif", 3, steps=2, batch=1).model_dump(mode="json")
    run["data"]["images"] |= {"voxel": [2.0, 0.5, 0.5], "unit": "um"}
    run["data"]["voxel"] = [2.0, 1.0, 1.0]
    run["prior"] |= {"diameter": [6.0, 9.0], "density": [1e-4, 3e-4]}
    model = fit(parse(Run, run | {"patch": [24, 24, 24]}), tmp_path / "run", quiet=True)
    source = run["data"]["images"]
    labels = segment(Segmenter.load(model), open_volumes(parse(ImageSource, source))[0])
    assert labels.shape == volume.shape


def wrong_in_bfloat16(monkeypatch):
    """Convolutions that are wrong by a tenth, in bfloat16 alone."""
    real = torch.nn.Conv2d._conv_forward

    def convolve(self, x, *rest):
        out = real(self, x, *rest)
        return out * 1.1 if out.dtype == torch.bfloat16 else out

    monkeypatch.setattr(torch.nn.Conv2d, "_conv_forward", convolve)


def test_a_step_in_bfloat16_proves_itself_first(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(proof, "computes_bf16", lambda device: True)
    fit(settings(images, steps=2, precision="auto"), tmp_path / "right", quiet=True)
    found = json.loads((tmp_path / "right" / "facts.json").read_text())["sessions"][-1]["computed"]
    assert found["precision"] == "bf16-mixed" and found["sentence"] == ""
    assert found["term"] < proof.TERM_ERROR / 2 and found["cosine"] > 0.7
    wrong_in_bfloat16(monkeypatch)
    fit(settings(images, steps=2, precision="auto"), tmp_path / "wrong", quiet=True)
    found = json.loads((tmp_path / "wrong" / "facts.json").read_text())["sessions"][-1]["computed"]
    assert found["precision"] == "32" and found["term"] > proof.TERM_ERROR
    notes = [json.loads(line).get("note", "") for line in (tmp_path / "wrong" / "log.jsonl").read_text().splitlines()]
    assert [note for note in notes if note] == [f"warning: {found['sentence']}"]
    assert "this training computes in 32 bits, slower" in found["sentence"]
    fit(settings(images, steps=2, precision="32"), tmp_path / "whole", quiet=True)
    weights = [(tmp_path / name / "model" / "weights.safetensors").read_bytes() for name in ("wrong", "whole")]
    assert weights[0] == weights[1]
    with pytest.raises(UserError, match="precision bf16-mixed cannot be used: a step in bfloat16 is wrong on this"):
        fit(settings(images, steps=2, precision="bf16-mixed"), tmp_path / "named", quiet=True)
    assert not list((tmp_path / "named").rglob("*.pt"))


def test_small_gradients_are_not_said_to_be_wrong_kernels():
    coarse = proof.describe_fault(proof.TERM_ERROR / 10, 0.11, "a processor")
    assert "too coarse for this training (a processor): its gradients have a cosine of 0.11" in coarse
    assert "is wrong on this processor" in proof.describe_fault(2 * proof.TERM_ERROR, 0.11, "a processor")
    assert "NaN or infinite" in proof.describe_fault(None, None, "a processor")


@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_a_training_does_not_depend_on_the_threads_at_hand(images, tmp_path, monkeypatch, precision):
    monkeypatch.setattr(threads, "TRAINING_THREADS", 2)
    before, weights = torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        try:
            model = fit(settings(images, steps=3, precision=precision), tmp_path / str(count), quiet=True)
        finally:
            torch.set_num_threads(before)
        weights.append((model / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]


def test_minutes_say_what_they_cost_and_steps_know_no_minutes(images, tmp_path):
    fit(settings(images, steps=6, max_minutes=1e-9), tmp_path / "short", quiet=True)
    said = (tmp_path / "short" / "log.jsonl").read_text()
    assert "at step 0 of 6: expect a worse model than after all steps" in said
