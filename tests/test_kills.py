"""Every verb that writes: killed at any moment the same command ends in the same files; of two at once one is done."""

import io
import os
import shutil
import signal
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cytoshift.core.voxel import Voxel
from cytoshift.data.write import write_image, write_labels
from cytoshift.nets.network_spec import TranslatorSpec
from forking import Commands
from predicting import nuclei, segmenter

KILLS = 200
DELAYS = (0.0, 0.05, 0.2, 0.5, 1.0)  # seconds between two commands
PIXELS = Voxel((1.0, 1.0))
TIMES = {"facts.json", "report.html", "results.json", "results.md", "cell.json", "last.pt", "good.pt", "dataset.json",
         "checksums.json", "r.html", "e.html", "q.report.html"}  # fmt: skip
M = "run/model"
TRAIN = ["train.steps=8", "train.batch=1", "train.checkpoint_every=2", "train.log_every=1", "train.samples_every=4",
         "train.snapshots=2", "train.precision=32", "train.accelerator=cpu"]  # fmt: skip
VERBS = {
    "info": ["info", "images", "-o", "t.png"],
    "new": ["new", "adgan", "--images", "images", "--voxel", "1,1", "--unit", "px", "-o", "new.yaml"],
    "convert": ["convert", "images/a.tif", "c.ome.zarr"],
    "convert labels": ["convert", "labels/a.tif", "z.ome.zarr::labels/mine", "--labels"],
    "convert anew": ["convert", "images/a.tif", "old.ome.zarr", "--overwrite"],
    "synth": ["synth", "sparse-2d", "-n", "3", "--shape", "64,64", "-o", "ph"],
    "synth large": ["synth", "sparse-2d", "--shape", "300,300", "-o", "ph.ome.zarr"],
    "train": ["train", "settings.yaml", "-o", "r", *TRAIN],
    "segment": ["segment", M, "images", "-o", "q"],
    "segment anew": ["segment", M, "images", "-o", "old", "--overwrite"],
    "segment one": ["segment", M, "images/a.tif", "-o", "q.tif", "--raw", "q.h5"],
    "segment blocks": ["segment", M, "images/a.tif", "-o", "q.ome.zarr", "--block", "48,48", "--precision", "32"],
    "trust": ["trust", "found", "images", "--model", M],
    "vote": ["vote", "labels", "labels", "-o", "v"],
    "vote one": ["vote", "labels/a.tif", "labels/b.tif", "-o", "v.ome.zarr"],
    "stitch": ["stitch", "labels", "--axes", "zyx", "--voxel", "2,1,1", "--unit", "px", "-o", "st"],
    "select": ["select", "run", "images", "-o", "sel"],
    "evaluate": ["evaluate", "--pred", "found", "--truth", "labels", "--json-file", "e.json", "-o", "e.html"],
    "report": ["report", "found", "-o", "r.html"],
    "export": ["export", M, "--to", "onnx", "-o", "x.onnx"],
    "translate": ["translate", M, "labels", "-o", "drawn"],
    "bench": ["bench", "spec.yaml", "-o", "b", "--data", "."],
    "data": ["data", "bbbc038", "-o", "d", "--accept", "--cache", "cache"],
}


def packed(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x/images/x", "x/masks/1", "x/masks/2", "y/images/y", "y/masks/1"):
            png = io.BytesIO()
            Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(png, "PNG")
            archive.writestr(f"stage1_train/{name}.png", png.getvalue())


@pytest.fixture(scope="module")
def commands():
    with Commands() as found:
        yield found


@pytest.fixture(scope="module")
def material(tmp_path_factory, commands):
    """What the commands read, and results of before."""
    here = tmp_path_factory.mktemp("material")
    spec = TranslatorSpec(ndim=2, width=4, blocks=1, stem=3, hidden=8)
    model = segmenter(spec=spec, network=spec.build().eval())
    for place in (M, "run/snapshots/000001", "run/snapshots/000002"):
        model.save(here / place)
    for seed, name in enumerate("abc"):
        image, labels = nuclei((96, 112), 20, seed)
        write_image(here / "images" / f"{name}.tif", image, PIXELS, "yx")
        write_labels(here / "labels" / f"{name}.tif", labels, PIXELS, "yx")
    write_image(here / "z.ome.zarr", nuclei((96, 112), 20, 0)[0], PIXELS, "yx")
    write_image(here / "old.ome.zarr", nuclei((96, 112), 20, 7)[0], PIXELS, "yx")
    (here / "cache").mkdir()
    packed(here / "cache" / "bbbc038_stage1_train.zip")
    (here / "spec.yaml").write_text(yaml.safe_dump({
        "title": "one", "datasets": [{"name": "d", "images": "images", "labels": "labels", "polarity": "bright"}],
        "methods": [{"name": "floor", "kind": "classical"}, {"name": "shipped", "kind": "model", "model": M}],
    }))  # fmt: skip
    for words in (
        ["segment", M, "images", "-o", "found"], ["segment", M, "images", "-o", "old", "--threshold", "0.7"],
        ["new", "adgan", "--images", "images", "--voxel", "1,1", "--unit", "px", "-o", "settings.yaml"],
    ):  # fmt: skip
        code, said = commands.run(here, words)
        assert code == 0, said
    return here


def written(folder: Path) -> dict[str, bytes]:
    """Every file; of those that hold times or wall clocks the names alone."""
    return {
        str(path.relative_to(folder)): b"" if path.name in TIMES else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tensorboard" not in path.parts
    }


def differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]


class Bench:
    """Copies of the material to run a command in, and what it leaves when nobody disturbs it."""

    def __init__(self, material: Path, commands: Commands, room: Path, words: list[str]):
        self.material, self.commands, self.room, self.words, self.number = material, commands, room, words, 0
        started = time.monotonic()
        folder = self.fresh()
        code, said = commands.run(folder, words)
        assert code == 0, said
        self.seconds, self.whole = time.monotonic() - started, written(folder)
        shutil.rmtree(folder)

    def fresh(self) -> Path:
        self.number += 1
        folder = self.room / "w"  # always of one name, as results name their places
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.material, folder)
        return folder

    def again(self, folder: Path, how: str) -> None:
        """The same command after a kill, and what it leaves."""
        code, said = self.commands.run(folder, self.words)
        assert code == 0 or (code == 2 and ("already exists" in said or "exists" in said)), f"{how}: {said}"
        there = written(folder)
        assert not differences(self.whole, there), f"{how}: {differences(self.whole, there)}"


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_kill_at_a_rename_or_at_any_moment_ends_in_the_same_files(material, commands, tmp_path, verb):
    """Together 200 kills or more: before and after renames, spread over all that the command does, and at random."""
    bench = Bench(material, commands, tmp_path, VERBS[verb])
    rng, kills = np.random.default_rng(len(verb)), 0
    for number in (1, 2, 3, 5, 8, 13, 21, 34, 55):
        for after in (False, True):
            folder = bench.fresh()
            code, said = commands.run(folder, bench.words, number, after)
            if code == 0:
                break
            assert code == -signal.SIGKILL, said
            bench.again(folder, f"rename {number}, {'after' if after else 'before'}")
            kills += 1
    for _ in range(max(KILLS // len(VERBS) - kills, 4)):
        folder, moment = bench.fresh(), rng.uniform(0, bench.seconds)
        process = commands.start(folder, bench.words)
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
        commands.wait(process)
        bench.again(folder, f"{moment:.3f} of {bench.seconds:.3f} s")


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_of_two_at_once_one_is_done_and_whole(material, commands, tmp_path, verb):
    bench = Bench(material, commands, tmp_path, VERBS[verb])
    for delay in DELAYS:
        folder = bench.fresh()
        one = commands.start(folder, bench.words)
        time.sleep(delay * min(bench.seconds, 1.0))
        other = commands.start(folder, bench.words)
        ends = [commands.wait(one), commands.wait(other)]
        assert sorted(code for code, _ in ends) in ([0, 0], [0, 2]), ends
        for code, said in ends:
            assert code == 0 or "another command works in" in said or "already exists" in said or "exists" in said
        assert not differences(bench.whole, written(folder)), f"{delay}: {differences(bench.whole, written(folder))}"
