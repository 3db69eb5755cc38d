"""Blocks from the command line: what it writes beside labels, and that kills, whenever they come, change no byte."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_image, write_labels
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.represent import Ternary
from predicting import nuclei, segmenter, taught

KILLS = 20
PIXELS = Voxel((0.5, 0.5), "um")


def segment(*words) -> str:
    result = CliRunner().invoke(app, ["segment", *map(str, words)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    made = segmenter(size=(0.5, 0.5), unit="um", network=taught(25).network, representation=Ternary(smallest=2.0))
    return made.save(tmp_path_factory.mktemp("run") / "model")


def test_blocks_from_the_command_line_are_the_whole(model, tmp_path):
    """Labels, table, picture, report and calibration; and within the tolerance the objects of one piece."""
    image = write_image(tmp_path / "cells.tif", nuclei((150, 170), 90, 1)[0], PIXELS, "yx")
    segment(model, image, "-o", tmp_path / "whole.tif", "--precision", "32")
    out = tmp_path / "cells.ome.zarr"
    said = segment(model, image, "-o", out, "--precision", "32", "--block", "80,90", "--ngff", "0.4")
    (whole,), (found,) = open_labels(tmp_path / "whole.tif"), open_labels(out)
    assert match(overlap(whole.load(), found.load()), 0.9).f1 >= 0.95
    assert found.voxel == PIXELS and (out / ".zgroup").is_file() and "(5) write" in said
    with (tmp_path / "cells.objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "whole.objects.csv").open(newline="") as file:
        assert list(rows[0]) == list(csv.DictReader(file).fieldnames)
    assert [int(row["label"]) for row in rows] == list(range(1, found.load().max() + 1))
    one = rows[3]
    voxels = np.argwhere(found.load() == 4)
    assert float(one["area"]) == len(voxels) / 4 and 0 < float(one["confidence"]) <= 1
    np.testing.assert_allclose([float(one["centroid-0"]), float(one["centroid-1"])], voxels.mean(0) / 2, rtol=1e-4)
    report = json.loads((tmp_path / "cells.seams.json").read_text())
    assert report["verdict"] == "passed" and report["blocks"]["count"] == 4 and "seam audit: passed" in said
    assert (tmp_path / "cells.overview.png").is_file() and not (tmp_path / "cells.blocks").exists()
    with pytest.raises(UserError, match=r"cells.ome.zarr already exists"):
        segment(model, image, "-o", out, "--block", "80,90")


def test_two_workers_need_no_extra_and_change_no_byte(model, tmp_path, monkeypatch):
    for library in ("dask", "distributed"):
        monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    image = write_image(tmp_path / "cells.tif", nuclei((90, 100), 30, 1)[0], PIXELS, "yx")
    for name, workers in (("one", "1"), ("two", "2")):
        segment(model, image, "-o", tmp_path / name / "a.ome.zarr", "--block", "60,60", "--workers", workers)
    assert open_labels(tmp_path / "one" / "a.ome.zarr")[0].load().max() > 5
    same_files(tmp_path / "one" / "a.ome.zarr", tmp_path / "two" / "a.ome.zarr")
    with pytest.raises(
        UserError, match=r"schedulers need dask, which is not installed; pip install 'cytoshift\[cluster"
    ):
        segment(model, image, "-o", tmp_path / "b.ome.zarr", "--block", "60,60", "--scheduler", "tcp://127.0.0.1:9")


def test_frames_of_a_series_go_block_by_block_into_a_folder(model, tmp_path):
    import tifffile

    frames = np.stack([nuclei((60, 70), 12, seed)[0] for seed in (1, 2)])
    tifffile.imwrite(tmp_path / "film.tif", frames, imagej=True, metadata={"axes": "TYX", "unit": "um", "spacing": 1},
                     resolution=(2, 2))  # fmt: skip
    said = segment(model, tmp_path / "film.tif", "-o", tmp_path / "out", "--memory", "2GB", "--voxel", "0.5,0.5",
                   "--unit", "um")  # fmt: skip
    found = open_labels(tmp_path / "out")
    assert [volume.name for volume in found] == ["film_t0", "film_t1"] and "film_t1: " in said
    with (tmp_path / "out" / "report" / "objects.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == sum(int(volume.load().max()) for volume in found)
    assert not (tmp_path / "out" / "report" / "blocks" / "film_t1").exists()
    assert [path.name for path in (tmp_path / "out").glob("film*")] == ["film.ome.zarr"]
    assert zarr.open_group(tmp_path / "out" / "film.ome.zarr", mode="r")["0"].shape == (2, 60, 70)


@pytest.mark.parametrize("words, sentence", [
    (["--memory", "much"], "--memory much is not an amount of memory"),
    (["--block", "a,b"], "--block a,b is not a list of whole numbers"),
    (["--block", "8,8,8"], "block 8,8,8 does not fit an image of 2 axes"),
    (["--memory", "700MB", "--block", "512,512"], r"a memory of 0\.7 GB is not enough: a block of 60 x 70 voxels"),
    (["--only", "finish", "--block", "64,64"], "pass 'finish' is not known; --only takes predict, decode"),
    (["--block", "64,64", "--raw", "raw.h5"], "raw predictions need the whole image in one piece"),
    (["--scheduler", "tcp://127.0.0.1:9", "--block", "64,64"], "no dask scheduler answers"),
])  # fmt: skip
def test_wishes_that_cannot_be_met(model, tmp_path, words, sentence, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("cytoshift.predict.blockwise.engine.ANSWER_SECONDS", 1)
    image = write_image(tmp_path / "a.tif", nuclei((60, 70), 9, 1)[0], PIXELS, "yx")
    with pytest.raises(UserError, match=sentence):
        segment(model, image, "-o", tmp_path / "a.ome.zarr", *words)
    if "--raw" not in words:
        return
    with pytest.raises(UserError, match="choose an -o that ends in"):
        segment(model, image, "-o", tmp_path / "b.tif", "--block", "64,64")


@pytest.mark.parametrize("words, labels", [
    (["--block", "80,90", "--precision", "32"], "cells.ome.zarr"), ([], "cells.tif"),
], ids=["blocks", "whole"])  # fmt: skip
@pytest.mark.parametrize("end", ["labels", "picture", "report"])
def test_an_end_between_the_labels_and_the_report_is_made_good(model, tmp_path, monkeypatch, words, labels, end):
    """Ended when the labels have their name and not all that belongs to them is there: the same command makes it."""
    image = write_image(tmp_path / "a.tif", nuclei((150, 170), 90, 1)[0], PIXELS, "yx")
    segment(model, image, "-o", tmp_path / "whole" / labels, *words)
    part = {"labels": "cytoshift.predict.account.Account.images", "picture": "cytoshift.predict.account.Account.end",
            "report": "cytoshift.report.write_report"}[end]  # fmt: skip
    command = ["segment", str(model), str(image), "-o", str(tmp_path / "parts" / labels), *words]
    with monkeypatch.context() as patched:
        patched.setattr(part, lambda *_, **__: os._exit(9))
        if not (child := os.fork()):
            CliRunner().invoke(app, command)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, "as if it had been killed there"
    assert (tmp_path / "parts" / labels).exists() and not (tmp_path / "parts" / "cells.report.html").exists()
    segment(*command[1:])
    names = lambda folder: sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names(tmp_path / "parts") == names(tmp_path / "whole"), "no lock, no folder of blocks, no note is left"
    for name in names(tmp_path / "whole"):
        if name not in ("cells.report.html", "cells.report/facts.json"):
            assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    with pytest.raises(UserError, match="already exists; pass --overwrite"):
        segment(*command[1:])


@pytest.mark.parametrize("words, labels, last", [
    (["--block", "80,90", "--precision", "32"], "cells.ome.zarr", "blockwise.finish"),
    ([], "cells.tif", "outputs.write_labels"),
    (["--block", "80,90", "--precision", "32"], "out/a.ome.zarr", "blockwise.finish"),
    ([], "out/a.tif", "outputs.write_labels"),
], ids=["blocks", "whole", "blocks in a folder", "in a folder"])  # fmt: skip
def test_labels_of_others_at_the_place_of_a_stopped_command_are_not_its_own(
    model, tmp_path, monkeypatch, words, labels, last
):
    """Killed before its labels have their name; another program writes there; refused, or replaced when it is asked."""
    image = write_image(tmp_path / "a.tif", nuclei((150, 170), 90, 1)[0], PIXELS, "yx")
    out = lambda place: place / "out" if "/" in labels else place / labels
    segment(model, image, "-o", out(tmp_path / "whole"), *words)
    here = tmp_path / "parts"
    with monkeypatch.context() as patched:
        patched.setattr(f"cytoshift.predict.{last}", lambda *_, **__: os._exit(9))
        if not (child := os.fork()):
            CliRunner().invoke(app, ["segment", str(model), str(image), "-o", str(out(here)), *words])
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, "as if it had been killed there"
    theirs = np.kron(np.arange(12).reshape(3, 4), np.ones((50, 42), np.uint8)).astype(np.uint8)
    write_labels(here / labels, theirs, PIXELS, "yx")
    before = contents(here)
    with pytest.raises(UserError, match=f"{labels} is not what this command writes there.* pass --overwrite"):
        segment(model, image, "-o", out(here), *words)
    assert contents(here) == before, "neither their labels nor what was begun is touched"
    said = segment(model, image, "-o", out(here), *words, "--overwrite")
    assert "were finished before" in said or "--block" not in words, "what was begun is gone on with"
    timed = ("report.html", "facts.json")
    same = lambda folder: {name: made for name, made in contents(folder).items() if not name.endswith(timed)}
    assert same(here) == same(tmp_path / "whole")
    if "/" in labels:
        write_labels(here / labels, theirs, PIXELS, "yx")
        segment(model, image, "-o", out(here), *words)
        assert (open_labels(here / labels)[0].load() == theirs).all(), "corrected by hand, once everything was finished"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the locks."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Command:
    """`cytoshift segment` in a process of its own, watched through its ledger."""

    def __init__(self, model: Path, image: Path, out: Path, *words: str):
        out.parent.mkdir(parents=True, exist_ok=True)
        self.work = out.parent / "out.blocks"
        self.words = [sys.executable, "-m", "cytoshift", "segment", model, image, "-o", out, "--quiet", "--precision",
                      "32", "--block", "24,32,32", "--halo", "10,10,10", "--tile", "24,32,32", *words]  # fmt: skip

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(list(map(str, self.words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self) -> None:
        process = self.start()
        errors = process.communicate()[1].decode()
        assert process.returncode == 0, errors

    def done(self) -> int:
        """Blocks of all passes that are finished."""
        return sum(max(path.read_bytes().count(b"\n") - 1, 0) for path in (self.work / "ledger").glob("*.log"))

    def until(self, process: subprocess.Popen, blocks: int, rest: float) -> None:
        """Wait for so many finished blocks, and then a part of a second more; or for the end."""
        while self.done() < blocks and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rest)


def same_files(one: Path, other: Path) -> None:
    names = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert names == [path.relative_to(other) for path in sorted(other.rglob("*")) if path.is_file()]
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A model, a volume in 3D and the labels of a run that nobody has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    model = segmenter(3).save(folder / "model")
    image = write_image(folder / "a.tif", nuclei((40, 60, 56), 60, 1)[0], Voxel((1.0, 1.0, 1.0)), "zyx")
    Command(model, image, folder / "out.ome.zarr").finish()
    return model, image, folder / "out.ome.zarr"


TASKS = 27 + 4 * 8 + 1  # tiles, blocks of four passes, the merge


@pytest.mark.slow
def test_a_kill_at_any_moment_ends_in_the_same_bytes(reference, tmp_path):
    """20 moments over all passes; at each the command is killed once, given again, and compared."""
    model, image, whole = reference
    rng = np.random.default_rng(0)
    killed = 0
    for blocks in np.sort(rng.choice(np.arange(TASKS), KILLS, replace=False)):
        folder = tmp_path / f"{blocks}"
        command = Command(model, image, folder / "out.ome.zarr")
        process = command.start()
        command.until(process, int(blocks), float(rng.uniform(0, 0.05)))
        killed += process.poll() is None
        process.kill()
        process.communicate()
        if not (folder / "out.ome.zarr").exists():
            command.finish()
        same_files(whole, folder / "out.ome.zarr")
        assert (folder / "out.objects.csv").read_bytes() == (whole.parent / "out.objects.csv").read_bytes()
    assert killed >= KILLS * 3 // 4, "some may have been too late for the last blocks"


@pytest.mark.slow
def test_kills_one_after_the_other_end_in_the_same_bytes(reference, tmp_path):
    model, image, whole = reference
    command = Command(model, image, tmp_path / "out.ome.zarr")
    for blocks in np.linspace(0, TASKS - 2, 8):
        process = command.start()
        command.until(process, int(blocks), 0.01)
        process.kill()
        process.communicate()
    if not (tmp_path / "out.ome.zarr").exists():
        command.finish()
    same_files(whole, tmp_path / "out.ome.zarr")


def workers_of(process: int) -> list[int]:
    """Processes that this one has started for blocks."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words = (path / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == process and b"spawn_main" in words:
            found.append(int(path.name))
    return sorted(found)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for workers in /proc")
def test_a_lost_worker_of_two_changes_no_byte(reference, tmp_path):
    model, image, whole = reference
    command = Command(model, image, tmp_path / "out.ome.zarr", "--workers", "2")
    process = command.start()
    for blocks in (2, 31, 45):
        command.until(process, blocks, 0.05)
        while process.poll() is None and not (workers := workers_of(process.pid)):
            time.sleep(0.05)  # until the place of one that was lost is taken
        if process.poll() is None:
            os.kill(workers[0], signal.SIGKILL)
    errors = process.communicate()[1].decode()
    assert process.returncode == 0, errors
    same_files(whole, tmp_path / "out.ome.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("limit", [20_000, 200_000])
def test_a_limit_of_the_disk_is_one_sentence_and_the_command_goes_on(reference, tmp_path, limit):
    """RLIMIT_FSIZE stands for a quota: a file that grows beyond it cannot be written, whichever that is first."""
    import resource

    model, image, whole = reference
    command = Command(model, image, tmp_path / "out.ome.zarr")

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = subprocess.run(list(map(str, command.words)), capture_output=True, preexec_fn=limited)
    assert result.returncode in (1, 2) and len(result.stderr.decode().strip().splitlines()) <= 3
    assert b"Traceback" not in result.stderr and b"File too large" in result.stderr
    command.finish()
    same_files(whole, tmp_path / "out.ome.zarr")
