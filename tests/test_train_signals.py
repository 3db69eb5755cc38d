"""A signal ends a training after its step, with a checkpoint and a sentence; the same command goes on."""

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

from cytoshift.cli.main import main
from cytoshift.train import trainer
from test_train import TINY, same, weights

pytestmark = pytest.mark.usefixtures("signals_arrive")
STEPS = 6
NAMES = {"SIGTERM": 143, "SIGHUP": 129, "SIGINT": 130, "SIGUSR1": 138}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, settings that write no checkpoint by themselves, and the run that nobody disturbs."""
    here = tmp_path_factory.mktemp("signals")
    image = np.random.default_rng(0).normal(100, 5, (40, 52))
    image[8:20, 10:24] += 80
    tifffile.imwrite(here / "a.tif", image.astype(np.uint16))
    (here / "run.yaml").write_text(yaml.safe_dump({
        "method": "adgan", "data": {"images": {"paths": str(here / "a.tif")}}, "patch": [32, 32],
        "prior": {"diameter": [6, 12], "density": [0.002, 0.01]}, "represent": {"kind": "ternary"}, "options": TINY,
        "train": {"steps": STEPS, "batch": 1, "log_every": 1, "samples_every": 3, "checkpoint_every": 1000,
                  "accelerator": "cpu", "precision": "32"},
    }))  # fmt: skip
    return here


def train(monkeypatch, capfd, folder, out, *more) -> tuple[int, str]:
    """Exit code of the command line in this process, and what it says."""
    monkeypatch.setattr(sys, "argv", ["cytoshift", "train", str(folder / "run.yaml"), "-o", str(out), "--quiet", *more])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capfd.readouterr().err


def sending(monkeypatch, number, step, before=True):
    """Have the process send itself a signal in a step, before or after what it computes."""
    compute, count = trainer.train_step, [0]

    def computed(*arguments):
        count[0] += 1
        if before and count[0] == step:
            os.kill(os.getpid(), number)
        found = compute(*arguments)
        if not before and count[0] == step:
            os.kill(os.getpid(), number)
        return found

    monkeypatch.setattr(trainer, "train_step", computed)


def step_of(out) -> int:
    return int(torch.load(out / "checkpoints" / "last.pt", weights_only=True)["step"])


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_in_a_step_ends_the_training_behind_it(folder, tmp_path, monkeypatch, capfd, name):
    with monkeypatch.context() as patched:
        sending(patched, getattr(signal, name), 2)
        code, said = train(patched, capfd, folder, tmp_path / "run")
    assert code == NAMES[name] and step_of(tmp_path / "run") == 2
    words = "Ctrl-C" if name == "SIGINT" else name
    sentence = f"cytoshift: stopped by {words}; the checkpoint is that of step 2, the same command goes on from there"
    assert said.strip().splitlines()[-1] == sentence and "Traceback" not in said
    assert not (tmp_path / "run" / "model").exists() and not list(tmp_path.glob(".*")), "no lock is left"


def test_the_same_command_goes_on_to_the_same_weights(folder, tmp_path, monkeypatch, capfd):
    assert train(monkeypatch, capfd, folder, tmp_path / "whole")[0] == 0
    with monkeypatch.context() as patched:
        sending(patched, signal.SIGUSR1, 3, before=False)
        assert train(patched, capfd, folder, tmp_path / "run")[0] == 138
    assert step_of(tmp_path / "run") == 3
    assert train(monkeypatch, capfd, folder, tmp_path / "run")[0] == 0
    assert same(weights(tmp_path / "whole" / "model"), weights(tmp_path / "run" / "model"))


def test_a_second_training_in_the_folder_is_refused(folder, tmp_path, monkeypatch, capfd):
    compute, ends = trainer.train_step, []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cytoshift", "train", folder / "run.yaml", "-o", tmp_path / "run", "--quiet"]

    def computed(*arguments):
        if not ends:
            ends.append(subprocess.run(command, env=environment, capture_output=True, text=True))
        return compute(*arguments)

    monkeypatch.setattr(trainer, "train_step", computed)
    assert train(monkeypatch, capfd, folder, tmp_path / "run")[0] == 0
    assert ends[0].returncode == 2 and len(ends[0].stderr.strip().splitlines()) == 1
    assert (
        f"another command works in {tmp_path / 'run'}" in ends[0].stderr and f"process {os.getpid()}" in ends[0].stderr
    )
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, STEPS + 1))


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(10))
def test_at_ten_moments_of_a_training_at_most_the_current_step_is_lost(folder, tmp_path, moment):
    """A process of its own, from its start to its end; the log says which steps it had done."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cytoshift", "train", folder / "run.yaml", "-o", tmp_path / "run", "--quiet"]
    command.append("train.steps=60")
    log, wanted = tmp_path / "run" / "log.jsonl", 6 * moment
    rows = lambda: log.read_text().count("\n") if log.exists() else 0
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and rows() < wanted:
            time.sleep(0.002)
        process.terminate()
        said = process.communicate(timeout=120)[1]
    if moment == 0 and process.returncode == -signal.SIGTERM:
        return  # before Python had begun
    assert process.returncode == 143 and "Traceback" not in said and "stopped by SIGTERM" in said, said
    if rows():
        assert rows() == step_of(tmp_path / "run") >= wanted
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(1, 61)) and (tmp_path / "run" / "model").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["the leading one", "all of them"])
def test_two_processes_that_train_together_end_at_the_same_step(folder, tmp_path, group):
    """Ctrl-C and SLURM reach all processes, `kill` the first one: one sentence, one checkpoint."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cytoshift", "train", folder / "run.yaml", "-o", tmp_path / "run", "--quiet"]
    command += ["train.steps=4000", "train.devices=2"]
    log = tmp_path / "run" / "log.jsonl"
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 3):
            time.sleep(0.01)
        (os.killpg if group else os.kill)(process.pid, signal.SIGUSR1)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 138 and "Traceback" not in said, said
    assert said.count("stopped by SIGUSR1") == 1
    assert log.read_text().count("\n") == step_of(tmp_path / "run")
