"""The command line: what reaches the user when things go wrong, and the doctor."""

import errno
import json
import os
import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cytoshift.cli import doctor, doctor_networks, main
from cytoshift.core.errors import UserError


def run(monkeypatch, capsys, failure: BaseException) -> tuple[int, str]:
    """Exit code and stderr of a verb that fails."""

    def verb() -> None:
        raise failure

    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(verb)
    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr("sys.argv", ["cytoshift"])
    with pytest.raises(SystemExit) as end:
        main.main()
    return end.value.code, capsys.readouterr().err


def os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code), "out/labels.tif")


@pytest.mark.parametrize(
    ("failure", "code", "sentence"),
    [
        (
            UserError("axis 'z' was requested, but the image has 'cyx'; pass `axes`"),
            2,
            "axis 'z' was requested, but the image has 'cyx'",
        ),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C"),
        (MemoryError(), 1, "the memory of this machine ran out"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            1,
            "the memory of this machine ran out",
        ),
        (
            RuntimeError("unable to allocate shared memory(shm) for file </torch_7_1_0>: No space left on device (28)"),
            1,
            "the shared memory of this machine (/dev/shm) ran out; set train.workers=0",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"), 1, "the memory of this machine ran out"),
        (os_error(errno.ENOSPC), 1, "cannot use out/labels.tif: No space left on device; free some space"),
        (os_error(errno.EACCES), 1, "cannot use out/labels.tif: Permission denied; change its permissions"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "cannot use the disk: No space left on device"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(monkeypatch, capsys, failure, code, sentence):
    got, printed = run(monkeypatch, capsys, failure)
    assert got == code
    assert printed.startswith(f"cytoshift: {sentence}")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("bug", [ValueError("shapes differ"), RuntimeError("mat1 and mat2"), os_error(errno.EBADF)])
def test_a_bug_keeps_its_traceback(monkeypatch, capsys, bug):
    with pytest.raises(type(bug)) as caught:
        run(monkeypatch, capsys, bug)
    assert caught.value is bug


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (["--version"], 0, "cytoshift 0.", ""),
        (["--help"], 0, "Usage: cytoshift", ""),
        (["-h"], 0, "Usage: cytoshift", ""),
        (["segment", "-h"], 0, "Usage: cytoshift segment", ""),
        (["segmemt"], 2, "", "No such command 'segmemt'"),
        (["doctor", "--jsom"], 2, "", "No such option: --jsom"),
        (["segment", "nuclei-2d", "", "-o", "out"], 2, "", "an argument is empty"),
        (["segment", "nuclei-2d", "a.tif", "--out="], 2, "", "an argument is empty"),
    ],
)
def test_words_on_the_command_line(monkeypatch, capsys, words, code, out, err):
    monkeypatch.setattr("sys.argv", ["cytoshift", *words])
    with pytest.raises(SystemExit) as end:
        main.main()
    printed = capsys.readouterr()
    assert end.value.code == code
    assert out in printed.out and err in printed.err


@pytest.mark.parametrize(
    "verb", [command.callback.__name__.replace("_", "-") for command in main.app.registered_commands]
)
def test_every_verb_has_help_by_both_names(verb):
    short, long = (CliRunner().invoke(main.app, [verb, option], prog_name="cytoshift") for option in ("-h", "--help"))
    assert short.exit_code == long.exit_code == 0
    assert short.output == long.output and short.output.startswith(f"Usage: cytoshift {verb} ")


def consult(capsys, as_json: bool = False) -> tuple[int, str]:
    with pytest.raises(typer.Exit) as end:
        doctor.doctor(as_json)
    return end.value.exit_code, capsys.readouterr().out


def test_the_doctor_finds_this_machine_fit(capsys):
    code, printed = consult(capsys, as_json=True)
    findings = json.loads(printed)
    assert code == 0 and findings["usable"] and findings["problems"] == []
    assert findings["versions"]["torch"] and findings["devices"]["threads"] >= 1
    kinds = {(one["kind"], one["ndim"]) for one in findings["networks"]}
    assert kinds == {(kind, ndim) for kind in ("translator", "resnet", "unet") for ndim in (2, 3)}
    for one in findings["networks"]:
        assert one["errors"]["plain 32"] < 1e-4 and one["cosines"]["32"] > 0.9999
        assert one["predicts"] in ("folded bf16", "folded 32") and one["trains"] in ("32", "bf16-mixed")
    assert findings["system"]["free_disk_gib"].keys() >= {os.getcwd()}


def test_the_doctor_says_what_cannot_be_written(monkeypatch, capsys):
    monkeypatch.setattr("cytoshift.core.compiled.cache_folder", lambda: None)
    monkeypatch.setattr("cytoshift.core.machine.shared_memory", lambda: 64 << 10)
    code, printed = consult(capsys)
    text = " ".join(printed.split())
    assert code == 0
    assert "each command compiles its loops anew" in text and "set NUMBA_CACHE_DIR to a folder" in text
    assert "shared memory (/dev/shm) has 0.0625 MiB free" in text and "--shm-size=1g" in text


def test_the_doctor_tries_a_compiled_loop(monkeypatch, capsys):
    monkeypatch.setattr("cytoshift.labels.kernels.count_pairs", lambda one, other: [None, None, np.array([4])])
    code, printed = consult(capsys)
    text = " ".join(printed.split())
    assert code == 1
    assert "numba does not compile (it counts [4] where [1, 1, 2] is right)" in text


def spoilt(errors: dict[str, float], **used: str | None) -> doctor_networks.NetworkTrial:
    all_of = {"folded bf16": 1e-2, "folded 32": 1e-6, "autocast bf16": 1e-2, "plain 32": 1e-6} | errors
    cosines, times = {"32": 1.0, "bf16-mixed": 0.97}, dict.fromkeys(all_of, 9.0)
    chosen = {"predicts": "folded 32", "trains": "32"} | used
    return doctor_networks.NetworkTrial("unet", 3, "cpu", all_of, cosines, times, **chosen)


def test_the_doctor_says_which_way_is_wrong_and_what_is_used(monkeypatch, capsys):
    monkeypatch.setattr(doctor_networks, "networks", lambda device: [spoilt({"folded bf16": 0.9})])
    code, printed = consult(capsys)
    text = " ".join(printed.split())
    assert code == 0
    assert "the unet in 3D on cpu is wrong by folded bf16; it is computed by 'folded 32' and trained in 32" in text
    assert "ready; networks predict by folded 32 on cpu and train in 32 on cpu" in text


def test_the_doctor_refuses_where_no_way_is_right(monkeypatch, capsys):
    nothing = spoilt(
        dict.fromkeys(("folded bf16", "folded 32", "autocast bf16", "plain 32"), float("nan")), predicts=None
    )
    monkeypatch.setattr(doctor_networks, "networks", lambda device: [nothing])
    code, printed = consult(capsys)
    text = " ".join(printed.split())
    assert code == 1
    assert "the unet in 3D on cpu is wrong by every way" in text and "Cytoshift cannot work here" in text


def test_the_doctor_says_how_to_get_what_is_missing(monkeypatch, capsys):
    there = doctor.installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name in ("h5py", "napari") else there(name))
    code, printed = consult(capsys)
    text = " ".join(printed.split())
    assert code == 1
    assert "h5py is missing, h5py>=3.11 is needed; pip install 'h5py>=3.11'" in text
    assert re.search(r"\[napari\] lacks [a-z0-9, -]*napari", text) and "pip install 'cytoshift[napari]'" in text
    assert "unet" not in text  # nothing is tried on half an installation


def test_the_doctor_names_a_library_that_does_not_load(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "COMPILED", ("cytoshift_broken_wheel",))
    code, printed = consult(capsys)
    assert code == 1
    assert "cytoshift_broken_wheel does not load (No module named" in " ".join(printed.split())
