"""Verbs that a signal stops end with what is whole, a sentence and 128 + n; the same command goes on."""

import os
import signal
import sys

import numpy as np
import pytest
import yaml

from cytoshift.cli.main import main
from cytoshift.core.voxel import Voxel
from cytoshift.data import copy
from cytoshift.data.write import write_image, write_labels
from cytoshift.predict.blockwise import passes
from cytoshift.predict.outputs import Outputs
from predicting import nuclei, segmenter

pytestmark = pytest.mark.usefixtures("signals_arrive")
PIXELS = Voxel((1.0, 1.0))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    segmenter().save(tmp_path / "model")
    for seed, name in enumerate("abc"):
        image, labels = nuclei((60, 70), 9, seed)
        write_image(tmp_path / "images" / f"{name}.tif", image, PIXELS, "yx")
        write_labels(tmp_path / "labels" / f"{name}.tif", labels, PIXELS, "yx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cytoshift(monkeypatch, capfd, *words) -> tuple[int, str]:
    """Exit code and last words of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["cytoshift", *words])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    said = capfd.readouterr().err.strip()
    assert "Traceback" not in said, said
    return code, said.splitlines()[-1] if said else ""


def at(monkeypatch, module, name, count, number):
    """Have the process send itself a signal when a function is called for the count-th time."""
    function, calls = getattr(module, name), []

    def called(*arguments, **options):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, called)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_whole_images_that_are_finished_stay(folder, monkeypatch, capfd, number):
    words = ["segment", "model", "images", "-o", "out", "--quiet"]
    with monkeypatch.context() as patched:
        at(patched, Outputs, "write", 2, number)
        code, said = cytoshift(patched, capfd, *words)
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert code == 128 + number
    assert said == f"cytoshift: stopped by {name}; 1 of 3 images is finished, the same command goes on"
    assert [path.name for path in sorted((folder / "out").glob("*.tif"))] == ["a.tif"]
    assert not list(folder.glob(".*")) and not list((folder / "out").glob(".*"))
    assert cytoshift(monkeypatch, capfd, *words)[0] == 0
    assert len(list((folder / "out").glob("*.tif"))) == 3


@pytest.mark.parametrize("name", ["decode", "write"])
def test_blocks_that_are_finished_stay(folder, monkeypatch, capfd, name):
    words = ["segment", "model", "images/a.tif", "-o", "a.ome.zarr", "--block", "32,32", "--quiet"]
    with monkeypatch.context() as patched:
        work = dict(passes.WORK)
        function, calls = work[name], []

        def called(job, number):
            calls.append(number)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return function(job, number)

        patched.setitem(passes.WORK, name, called)
        code, said = cytoshift(patched, capfd, *words)
    assert code == 143 and said == (
        "cytoshift: stopped by SIGTERM; 0 of 1 images are finished, the same command goes on"
    )
    rows = (folder / "a.blocks" / "ledger" / f"{name}.log").read_text().splitlines()
    assert len(rows) - 1 == 2, "two blocks of the pass are noted"
    assert cytoshift(monkeypatch, capfd, *words)[0] == 0
    assert (folder / "a.ome.zarr").is_dir() and not (folder / "a.blocks").exists()


def test_a_conversion_goes_on(folder, monkeypatch, capfd):
    write_image(folder / "large.tif", np.zeros((700, 700), np.uint16), PIXELS, "yx")
    words = ["convert", "large.tif", "large.ome.zarr", "--quiet", "--memory", "3GB"]
    with monkeypatch.context() as patched:
        at(patched, copy, "copy_box", 1, signal.SIGHUP)
        code, said = cytoshift(patched, capfd, *words)
    assert code == 129
    assert said == "cytoshift: stopped by SIGHUP; what has been copied is kept, the same command goes on"
    assert not (folder / "large.ome.zarr").exists()
    assert cytoshift(monkeypatch, capfd, *words)[0] == 0 and (folder / "large.ome.zarr").is_dir()


def test_a_benchmark_keeps_its_cells(folder, monkeypatch, capfd):
    from cytoshift.bench import cell

    (folder / "spec.yaml").write_text(yaml.safe_dump({
        "title": "one", "datasets": [{"name": "d", "images": "images", "labels": "labels", "polarity": "bright"}],
        "methods": [{"name": "floor", "kind": "classical"}, {"name": "shipped", "kind": "model", "model": "model"}],
    }))  # fmt: skip
    words = ["bench", "spec.yaml", "-o", "b", "--data", ".", "--quiet"]
    with monkeypatch.context() as patched:
        at(patched, cell, "score_dataset", 2, signal.SIGTERM)
        code, said = cytoshift(patched, capfd, *words)
    assert code == 143
    assert said == "cytoshift: stopped by SIGTERM; cells that are finished are kept, the same command goes on"
    assert len(list((folder / "b" / "cells").rglob("cell.json"))) == 1
    assert cytoshift(monkeypatch, capfd, *words)[0] == 0
    assert len(list((folder / "b" / "cells").rglob("cell.json"))) == 2


def test_what_has_no_words_of_its_own_ends_in_order_too(folder, monkeypatch, capfd):
    from cytoshift import draw

    with monkeypatch.context() as patched:
        at(patched, draw, "save_png", 1, signal.SIGTERM)
        code, said = cytoshift(patched, capfd, "info", "images", "-o", "t.png")
    assert code == 143 and not (folder / "t.png").exists()
    assert said == "cytoshift: stopped by SIGTERM; nothing half-written is left, give the command again"
