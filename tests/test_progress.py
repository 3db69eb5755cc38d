"""Progress: a bar in a terminal, plain lines elsewhere, and results that a program can read."""

import json
import os
import pty
import subprocess
import sys
import time

import pytest

from cytoshift.core.clock import StageClock
from cytoshift.core.machine import machine, memory, peak_memory, versions

TASK = """
import time
from cytoshift.core import progress
progress.LINE_SECONDS = 0.05
with progress.Progress("segment a.tif", 4e6, "voxel", quiet={quiet}) as bar:
    for n in range(1, 5):
        time.sleep(0.12)
        bar.update(n * 1e6, f"segment {{n}}.tif")
        if n == 2:
            bar.say("half [of] it")
print("done")
"""


def in_a_terminal(code: str) -> tuple[str, str]:
    """stdout, and what a terminal got on stderr."""
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=follower, env=environment)
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux says so when the other side has gone
            break
        if not part:
            break
        seen += part
    os.close(leader)
    out = process.communicate(timeout=600)[0].decode()
    assert process.returncode == 0
    return out, seen.decode()


def elsewhere(code: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    return done.stdout, done.stderr


def test_a_terminal_gets_a_bar_with_stage_rate_time_and_memory():
    out, seen = in_a_terminal(TASK.format(quiet=False))
    assert out == "done\n"
    for words in ("segment 4.tif", "100 %", "Mvoxel/s", "ETA", "GB", "half [of] it", "━"):
        assert words in seen, words


def test_elsewhere_there_are_plain_lines():
    out, seen = elsewhere(TASK.format(quiet=False))
    assert out == "done\n" and "\x1b" not in seen
    lines = seen.splitlines()
    assert "half [of] it" in lines
    assert all(word in lines[0] for word in ("segment 1.tif: 25 %, ", "Mvoxel/s, ETA ", " s, ", " GB"))


@pytest.mark.parametrize("way", [in_a_terminal, elsewhere])
def test_quiet_is_quiet(way):
    assert way(TASK.format(quiet=True)) == ("done\n", "")


def test_a_result_for_programs_is_one_line_of_json(tmp_path):
    command = [sys.executable, "-m", "cytoshift", "synth", "sparse-2d", "-n", "2", "--shape", "48,48", "--json", "-o"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=True, timeout=600)
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told == {"verb": "synth", "preset": "sparse-2d", "number": 2, "seed": 0, "out": str(tmp_path),
                    "picture": str(tmp_path / "contact.png")}  # fmt: skip


def test_every_verb_that_works_for_a_while_can_be_quiet_and_speak_json():
    import typer

    from cytoshift.cli.main import app

    group = typer.main.get_command(app)
    for name in ("new", "train", "segment", "evaluate", "translate", "synth", "bench"):
        options = {option for one in group.commands[name].params for option in one.opts}
        assert {"--quiet", "--json"} <= options, name
    assert "--json" in {option for one in group.commands["report"].params for option in one.opts}


def test_a_clock_adds_up_stages_however_they_end():
    clock = StageClock()
    with pytest.raises(ValueError), clock.stage("a"):
        time.sleep(0.01)
        raise ValueError
    assert list(clock.wait_for(iter("xy"), "b")) == ["x", "y"]
    with clock.stage("a"):
        time.sleep(0.01)
    assert list(clock.seconds) == ["a", "b"] and clock.seconds["a"] >= 0.02


def test_the_machine_tells_what_it_is_and_not_whose():
    assert versions()["numpy"] and versions()["cytoshift"]
    told = machine()
    assert told["cores"] >= 1 and told["cpu"] and not {"host", "user", "node"} & set(told)
    assert (memory() or 1) > 0 and (peak_memory() or 1) > 0
