"""Many images: small ones share the network's passes, whoever works on them, and the labels are the same bytes."""

import os
import pickle
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.processes import Workers
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels, open_volumes
from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from cytoshift.predict import images, network
from cytoshift.predict.blockwise.engine import Processes, Serial, Threads
from cytoshift.predict.images import group_all, segment_images
from cytoshift.predict.outputs import Outputs
from cytoshift.predict.pipeline import Options, predict
from predicting import nuclei, segmenter

PIXELS = Voxel((1.0, 1.0))
SHAPES = [(40, 56)] * 5 + [(32, 48)] * 2 + [(40, 56)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and images of two shapes of which one is of one value."""
    here = tmp_path_factory.mktemp("many")
    segmenter().save(here / "model")
    for number, shape in enumerate(SHAPES):
        image = nuclei(shape, 8, number)[0] if number != 3 else np.full(shape, 7, np.uint16)
        write_image(here / "images" / f"{number}.tif", image, PIXELS, "yx")
    return here


def written(folder: Path, out: Path, engine) -> tuple[dict[str, bytes], list[int]]:
    """The labels by name, and how many images were segmented together."""
    outputs = Outputs(out, open_volumes(folder / "images"), {"of": "a test"})
    model = Segmenter.load(folder / "model")
    counts = [len(done) for done in segment_images(model, folder / "model", outputs, Options(precision="32"), engine)]
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.tif"))}, counts


@pytest.mark.parametrize("name", ["labels.png", "labels.npy", "labels.h5"])
def test_a_file_of_a_format_that_is_not_written_does_not_become_a_folder(folder, tmp_path, name):
    with pytest.raises(UserError, match="labels are not written as"):
        Outputs(tmp_path / name, open_volumes(folder / "images"), {"of": "a test"})
    (tmp_path / name).mkdir()
    Outputs(tmp_path / name, open_volumes(folder / "images"), {"of": "a test"})


def test_images_of_one_shape_go_through_the_network_together(folder, tmp_path, monkeypatch):
    passes, forward = [], network.forward
    monkeypatch.setattr(
        network, "forward", lambda made, seen, *rest: passes.append(len(seen)) or forward(made, seen, *rest)
    )
    labels, counts = written(folder, tmp_path / "out", Serial())
    assert counts == [5, 2, 1] and passes == [4, 2, 1], "the image of one value needs no network"
    assert sorted(labels) == [f"{number}.tif" for number in range(8)]
    model = Segmenter.load(folder / "model")
    for volume in open_volumes(folder / "images"):
        found = open_labels(tmp_path / "out" / f"{volume.name}.tif")[0].load()
        assert np.mean(found != predict(model, volume, Options(precision="32")).labels) < 1e-3


def test_groups_are_bounded_and_do_not_depend_on_what_is_finished(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "TOGETHER", 2 * 40 * 56)
    model = Segmenter.load(folder / "model")
    outputs = Outputs(tmp_path / "out", open_volumes(folder / "images"), {"of": "a test"})
    names = [[volume.name for volume in group.outputs.volumes] for group in group_all(model, outputs)]
    assert names == [["0", "1"], ["2", "3"], ["4"], ["5", "6"], ["7"]]
    whole, _ = written(folder, tmp_path / "out", Serial())
    for name in ("1.tif", "6.tif"):
        (tmp_path / "out" / name).unlink()
    assert [sorted(group.missing) for group in group_all(model, outputs)] == [["1"], [], [], ["6"], []]
    again, counts = written(folder, tmp_path / "out", Serial())
    assert again == whole and counts == [1, 1]


def test_what_travels_to_a_worker_does_not_grow_with_the_images(folder, tmp_path):
    sizes = []
    for count in (3, 8):
        outputs = Outputs(tmp_path / str(count), open_volumes(folder / "images")[:count], {"of": "a test"})
        outputs.claims.finished = {f"{number}.tif" for number in range(count)}
        part = outputs.of(outputs.volumes[:2])
        assert part.claims.mark == outputs.claims.mark and part.labels(part.volumes[0]).is_absolute()
        sizes.append(len(pickle.dumps(part)))
    assert sizes[0] == sizes[1]


def kill_once(marker: Path, work, group):
    """The first worker that begins with a group is killed."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(group)


class Killed(Processes):
    def __init__(self, pool, marker):
        super().__init__(pool)
        self.marker = marker

    def __call__(self, work, tasks):
        return super().__call__(partial(kill_once, self.marker, work), tasks)


def test_workers_and_a_killed_one_change_no_byte(folder, tmp_path):
    whole, _ = written(folder, tmp_path / "one", Serial())
    assert written(folder, tmp_path / "threads", Threads(2))[0] == whole
    with Workers(2) as pool:
        found, counts = written(folder, tmp_path / "two", Killed(pool, tmp_path / "marker"))
    assert (tmp_path / "marker").exists() and found == whole and sum(counts) == len(SHAPES)


def test_the_verb_shares_images_and_keeps_the_format(folder, tmp_path):
    from typer.testing import CliRunner

    from cytoshift.cli.main import app

    for name, workers in (("one", "1"), ("two", "2")):
        words = ["segment", str(folder / "model"), str(folder / "images"), "-o", str(tmp_path / name)]
        result = CliRunner().invoke(app, [*words, "--workers", workers, "--quiet"])
        assert result.exit_code == 0, result.output
    for path in [*(tmp_path / "one").glob("*.tif"), tmp_path / "one" / "report" / "objects.csv"]:
        assert (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "two").glob("*.tif"))) == 8 and not list((tmp_path / "two").glob("*.zarr"))
