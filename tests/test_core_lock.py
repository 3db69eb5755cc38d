"""One command at a time for each output; signals end a command in order."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from cytoshift.core import lock, signals
from cytoshift.core.atomic import atomic_path, clean_up, swap
from cytoshift.core.errors import UserError
from cytoshift.core.lock import OutputBusy, lock_outputs, owner
from cytoshift.core.signals import StopRequest, defer_signals, explain_stop, handle_signals, requested_signal

pytestmark = pytest.mark.usefixtures("signals_arrive")
HOLDER = (
    "import sys, time\nfrom cytoshift.core.lock import lock_outputs\nwith lock_outputs(sys.argv[1]):\n"
    "    print('held', flush=True)\n    time.sleep(600)\n"
)


def test_the_second_is_told_who_works_there(tmp_path):
    out = tmp_path / "runs" / "run"
    with lock_outputs(out):
        with pytest.raises(
            OutputBusy, match=rf"another command works in {out}: .*\(process {os.getpid()} on "
        ) as caught:
            lock_outputs(out).__enter__()
        assert re.search(r"since \d{4}-\d\d-\d\dT.*; wait for it, or choose another output", str(caught.value))
        with lock_outputs(tmp_path / "runs" / "other"):
            pass
    with lock_outputs(out):
        pass
    assert list((tmp_path / "runs").iterdir()) == [], "nothing is left beside the output"


def test_other_spellings_and_labels_inside_of_an_image_are_the_same_output(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "e").symlink_to(tmp_path / "d")
    with lock_outputs(tmp_path / "d" / "a.zarr"):
        for other in (tmp_path / "e" / "a.zarr", f"{tmp_path}/d/../d/a.zarr/", f"{tmp_path}/d/a.zarr::labels/x"):
            with pytest.raises(OutputBusy):
                lock_outputs(other).__enter__()


def test_a_lock_ends_with_its_process(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "out"], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(OutputBusy, match=rf"process {process.pid} on {socket.gethostname()}"):
            lock_outputs(tmp_path / "out").__enter__()
        process.kill()
        process.wait()
        with lock_outputs(tmp_path / "out"):
            pass


def test_a_forked_process_does_not_keep_it(tmp_path):
    """As those that read samples, which may live longer than a training that was killed."""
    reader, writer = os.pipe()
    with lock_outputs(tmp_path / "out"):
        if not (child := os.fork()):
            os.read(reader, 1)
            os._exit(0)
    with lock_outputs(tmp_path / "out"):
        pass
    os.write(writer, b"x")
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


def test_threads_of_one_process_are_told_apart(tmp_path):
    found = []

    def other() -> None:
        try:
            lock_outputs(tmp_path / "out").__enter__()
        except OutputBusy as error:
            found.append(error)

    with lock_outputs(tmp_path / "out"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(found) == 1


@pytest.fixture
def no_flock(monkeypatch):
    import fcntl

    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)


def test_without_flock_a_file_stands_for_the_lock_and_says_so(tmp_path, no_flock):
    said = []
    with lock_outputs(tmp_path / "out", say=said.append):
        assert "file system without locks" in said[0] and str(tmp_path / ".out.owner") in said[0]
        with pytest.raises(
            OutputBusy, match=rf"process {os.getpid()} on .* or remove {tmp_path}/.out.owner if that process"
        ):
            lock_outputs(tmp_path / "out").__enter__()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change, free", [
    ({}, False), ({"pid": 2**22 + 1}, True), ({"born": 1}, True), ({"host": "elsewhere", "pid": 2**22 + 1}, False),
])  # fmt: skip
def test_without_flock_the_file_of_a_process_that_is_gone_is_taken_over(tmp_path, no_flock, change, free):
    path = tmp_path / ".out.owner"
    path.write_text(json.dumps(owner() | change))
    if free:
        with lock_outputs(tmp_path / "out", say=lambda _: None):
            assert json.loads(path.read_text())["pid"] == os.getpid()
        assert not path.exists()
    else:
        with pytest.raises(OutputBusy, match=r"remove .*\.out\.owner"):
            lock_outputs(tmp_path / "out").__enter__()
        assert path.exists()


def test_a_command_in_a_lock_is_one_short_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/x/__main__.py", "train", "a\x1b[2Jb\n", "x" * 500])
    assert lock.command().startswith("cytoshift train") and len(lock.command()) <= lock.SHOWN_LETTERS
    assert lock.command().isprintable()


def test_where_no_lock_can_be_taken_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="there is a file where its folder would be; choose another output"):
        lock_outputs(tmp_path / "file" / "out").__enter__()


def test_what_a_killed_process_left_is_tidied_up(tmp_path):
    """A temporary file of a process that is gone, and a folder of which nothing but the old state is there."""
    out = tmp_path / "out"
    (out / "report").mkdir(parents=True)
    gone = out / "report" / f".a.csv.{2**22 + 1}.cytoshift.csv"
    mine = out / f".b.tif.{os.getpid()}.cytoshift.tif"
    other = out / ".profile.old"
    for path in (gone, mine, other):
        path.write_text("")
    (out / ".model.cytoshift.old").mkdir()
    (out / ".model.cytoshift.old" / "x").write_text("old")
    (tmp_path / f".out.csv.{2**22 + 1}.cytoshift.csv").write_text("")
    clean_up(out)
    assert not gone.exists() and mine.exists() and other.exists()
    assert (out / "model" / "x").read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def heard():
    with handle_signals():
        yield


@pytest.mark.parametrize("name", signals.NAMES)
def test_a_signal_ends_what_is_done_at_once_with_its_sentence(heard, name):
    number = getattr(signal, name)
    with pytest.raises(StopRequest) as stop, explain_stop(lambda: "all is kept"):
        os.kill(os.getpid(), number)
        time.sleep(60)
    assert stop.value.number == number
    words = "Ctrl-C" if name == "SIGINT" else name
    assert stop.value.sentence() == f"stopped by {words}; all is kept"


def test_a_signal_waits_for_the_end_of_what_must_not_be_torn_apart(heard, capfd):
    done = []
    with pytest.raises(StopRequest), defer_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append(requested_signal())
    assert done == [signal.SIGTERM] and "a second signal ends it at once" in capfd.readouterr().err


def test_a_second_signal_ends_the_process_at_once():
    code = (
        "import os, signal, time\nfrom cytoshift.core.signals import defer_signals, handle_signals\n"
        "with handle_signals(), defer_signals():\n    print('begun', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(600)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert process.returncode == 130 and process.stdout == b"begun\n"


def test_a_folder_changes_its_name_in_one_piece(heard, tmp_path, monkeypatch):
    """Between the two renames of a swap there is no folder of the name: a signal waits."""
    for name in ("new", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
    rename = os.rename

    def interrupted(*paths):
        os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr(os, "rename", rename)
        rename(*paths)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(StopRequest):
        swap(tmp_path / "new", tmp_path / "out")
    assert (tmp_path / "out" / "new").exists()


def test_a_signal_leaves_no_temporary_file(heard, tmp_path):
    with pytest.raises(StopRequest), atomic_path(tmp_path / "a.txt") as beside:
        beside.write_text("half")
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(60)
    assert list(tmp_path.iterdir()) == []


def test_what_was_to_be_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_forked_processes_leave_ctrl_c_to_the_one_that_leads(heard):
    if not (child := os.fork()):
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        ended = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        os._exit(0 if ignored and ended else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
