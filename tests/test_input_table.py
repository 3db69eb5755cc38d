"""Inputs x verbs: every kind of file that people bring, in every verb that reads images or labels.

The table in docs/howto/inputs.md is the one that is tested here: `python tests/test_input_table.py` prints it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels, open_volumes
from input_files import CELLS, DEPTH, KINDS, LABELS, SIZE, STACK, STACK_LABELS, Kind
from predicting import segmenter

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "inputs.md"
VERBS = ("info", "new", "segment", "evaluate", "convert", "view")
CHANGED = ("SVS", "JPEG", "PNG")  # 8 bits, colours or compression
# Colours, and numbers that compression has changed, are no object ids.
NO_LABELS = {"SVS": "are RGB colours", "JPEG": "were saved as JPEG"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for ndim, size in ((2, (SIZE, SIZE)), (3, (DEPTH, SIZE, SIZE))):
        segmenter(ndim, size, "um").save(folder / str(ndim))
    return folder


def call(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "250"})
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return result.stdout


def write(kind: Kind, folder: Path, labels: bool = False) -> Path:
    """A file of the kind, made by its writer. The test is skipped where that is not installed."""
    for module in kind.needs:
        pytest.importorskip(module)
    arrays = (STACK, STACK_LABELS) if kind.stack else (CELLS, LABELS)
    path = folder / f"a{kind.suffix}"
    kind.make(path, arrays[labels].astype(np.uint16))
    return path


def shown(path: Path, words: tuple[str, ...], monkeypatch) -> list[np.ndarray]:
    """What `view` serves of the finest level of each of its layers."""
    pytest.importorskip("neuroglancer", reason="neuroglancer is not there: pip install 'cytoshift[view]'")
    from cytoshift.cli import view

    seen: list[np.ndarray] = []
    look = lambda server, _: seen.extend(np.asarray(one.served.image.volume.array[...]) for one in server.layers)
    monkeypatch.setattr(view, "serve", look)
    call("view", path, *words, "--no-browser")
    return seen


@pytest.mark.filterwarnings("ignore")  # what the libraries of others warn of is theirs
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
def test_every_kind_of_file_in_every_verb(kind, verb, tmp_path, models, monkeypatch):
    path = write(kind, tmp_path, labels=verb == "evaluate")
    size, shape = ((DEPTH, SIZE, SIZE), STACK.shape) if kind.stack else ((SIZE, SIZE), CELLS.shape)
    many = 4 if kind.title == "HCS plate" else 1
    if verb == "info":
        said = json.loads(call("info", path, *kind.words, "-o", tmp_path / "t.png", "--json"))
        one = said["images"][0]
        assert said["count"] == many and one["shape"] == list(shape) and one["voxel"] == pytest.approx(size)
        last = kind.words[-1] if kind.words else ""
        named = {"DAPI": ["GFP", "DAPI"], "luminance": ["red", "green", "blue"]}.get(last, [])
        assert one["unit"] == "um" and one["channel_names"] == named + ["RFP"] * (kind.title == "LSM")
        assert one["well"] == ("A01" if many == 4 else None)
        told = call("info", path, *(() if last == "DAPI" else kind.words), "-o", tmp_path / "t.png")
        assert "0.5 um" in told and ("1 DAPI" in told) == ("DAPI" in kind.words)
    elif verb == "new":
        call("new", "adgan", "--images", path, *kind.words, "-o", tmp_path / "run.yaml", "--quiet")
        assert f"paths: {path}" in (tmp_path / "run.yaml").read_text()
    elif verb == "segment":
        call("segment", models / str(len(size)), path, *kind.words, "-o", tmp_path / "out", "--quiet")
        found = open_labels(tmp_path / "out")
        assert len(found) == many and all(one.shape == shape and one.voxel == Voxel(size, "um") for one in found)
        if many == 4:
            assert [one.name for one in found] == ["A01-0", "A01-1", "A02-0", "A02-1"]
    elif verb == "evaluate":
        words = kind.words if "--channel" in kind.words else ()
        command = ("evaluate", "--truth", path, "--pred", path, *words, "--no-report", "--json")
        if kind.title in NO_LABELS:
            with pytest.raises(UserError, match=NO_LABELS[kind.title]):
                call(*command)
            return
        numbers = json.loads(call(*command))["pooled"]
        assert numbers["f1_50"] == 1 and numbers["truth_objects"] == many * len(
            np.unique(STACK_LABELS if kind.stack else LABELS)[1:]
        )
    elif verb == "convert":
        (tmp_path / "labels").mkdir()
        labels = write(kind, tmp_path / "labels", labels=True) if kind.title not in NO_LABELS else None
        if many == 1:
            call("convert", path, *kind.words, "-o", tmp_path / "image.ome.zarr", "--quiet")
            (image,) = open_volumes(tmp_path / "image.ome.zarr")
            assert image.shape == shape and image.voxel == Voxel(size, "um")
            if kind.title not in CHANGED:
                assert image.load().astype(int).tolist() == (STACK if kind.stack else CELLS).tolist()
        if labels is not None:
            words = kind.words if "--channel" in kind.words else ()
            out = tmp_path / "coco"
            call("convert", labels, *words, "--labels", "--to", "coco", "-o", out, "--quiet")
            (file,) = out.glob("*.json")
            planes = STACK_LABELS if kind.stack else [LABELS]
            assert len(json.loads(file.read_text())["annotations"]) == many * sum(
                len(np.unique(plane)) - 1 for plane in planes
            )
    else:
        (seen,) = shown(path, kind.words, monkeypatch)
        whole = open_volumes(path) if many == 4 else None
        assert seen.shape == ((4, *shape) if whole else shape)
        if kind.title not in CHANGED:
            assert (seen[0] if whole else seen).astype(int).tolist() == (STACK if kind.stack else CELLS).tolist()


def table() -> str:
    """The rows of the page."""
    rows = [f"| Input | Files | {' | '.join(VERBS)} | Tested with a file made by |", "|---" * (len(VERBS) + 3) + "|"]
    for kind in KINDS:
        cells = ["no" if verb == "evaluate" and kind.title in NO_LABELS else "yes" for verb in VERBS]
        extra = next((f" (extra `{name}`)" for module, name in EXTRAS.items() if module in kind.needs), "")
        rows.append(f"| {kind.title}{extra} | `{kind.suffix}` | {' | '.join(cells)} | {kind.writer} |")
    return "\n".join(rows)


EXTRAS = {"nibabel": "formats", "mrcfile": "formats", "bioio_czi": "czi"}


def test_the_page_has_the_table_that_is_tested():
    assert table() in PAGE.read_text()


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
