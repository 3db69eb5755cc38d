"""Sections of a stack in two directions: adapted, finetuned with some labels of the target, and the upper bound."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from cytoshift.bench.datasets import open_dataset
from cytoshift.bench.runner import bench, cells_of, order_waves
from cytoshift.bench.spec import Spec
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse, read_yaml
from cytoshift.data.volumes import open_labels, open_volumes
from cytoshift.train.run_settings import Run

SHORT = {
    "train": {"steps": 3, "batch": 1, "precision": "32", "samples_every": 3, "accelerator": "cpu"},
    "patch": [32, 32], "options.widths": [8, 8], "tune": False,
}  # fmt: skip
STACK = {"axes": "tyx", "voxel": [5, 5], "unit": "nm", "mask_above": 0}
SPEC = {
    "title": "Sections",
    "datasets": [
        {
            "name": "b-from-a", **STACK, "images": "b/raw.tif", "labels": "b/mask.tif", "crop": {"x": [0.67, 1]},
            "train": "b/raw.tif", "train_labels": "b/mask.tif", "train_crop": {"x": [0, 0.67]},
            "source": {**STACK, "images": "a/raw.tif", "labels": "a/mask.tif", "frames": "0-1"}, "pictures": 1,
            "assume_same_size": True,
        },
    ],
    "methods": [
        {"name": "coral", "kind": "train", "method": "coral", "represent": "semantic", "settings": SHORT},
        {"name": "coral-50", "kind": "finetune", "after": "coral", "fraction": 0.5, "settings": {"train.steps": 2}},
        {"name": "upper", "kind": "train", "method": "supervised", "labels": "target", "represent": "semantic",
         "settings": SHORT},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    for side, dark in (("a", 90), ("b", 60)):
        rng = np.random.default_rng(dark)
        raw, mask = rng.normal(160, 8, (3, 48, 96)), np.zeros((3, 48, 96), np.uint8)
        for x in range(4, 90, 24):
            mask[:, 10:24, x : x + 14] = mask[:, 30:44, x + 4 : x + 16] = 1
        raw[mask > 0] -= dark
        (folder / side).mkdir()
        tifffile.imwrite(folder / side / "raw.tif", raw.astype(np.uint8), photometric="minisblack")
        tifffile.imwrite(folder / side / "mask.tif", mask, photometric="minisblack")
    return folder


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    out, said = tmp_path_factory.mktemp("bench"), []
    # The finetuned one alone: what it goes on from is trained all the same.
    bench(parse(Spec, SPEC), out, root, only=["coral-50"], say=said.append, quiet=True)
    table = bench(parse(Spec, SPEC), out, root, say=said.append, quiet=True)
    return out, table, said


def test_training_and_test_share_no_voxel(root, tmp_path):
    here = open_dataset(parse(Spec, SPEC).datasets[0], root, tmp_path)
    assert [pair.image.shape for pair in here.pairs] == [(48, 32)] * 3
    assert [volume.shape for volume in open_volumes(here.train)] == [(48, 64)] * 3
    assert [volume.shape for volume in open_labels(here.source_files("target").labels)] == [(48, 64)] * 3
    assert len(open_volumes(here.source.images)) == 2
    truth = here.pairs[0].truth()
    assert truth.max() == 4 and np.array_equal(truth > 0, tifffile.imread(root / "b" / "mask.tif")[0, :, 64:] > 0)


def test_a_finetuned_cell_goes_on_from_the_other_and_trains_nothing_twice(done):
    out, table, said = done
    assert [line.partition(":")[0] for line in said[:2]] == [
        "b-from-a · coral-50 · seed 0",
        "b-from-a · coral · seed 0",
    ]
    assert said[1].endswith("from before") and said[2].endswith("from before")
    results = json.loads((out / "results.json").read_text())
    assert [row["method"] for row in results["table"]] == ["coral", "coral-50", "upper"]
    assert "| IoU |" in table.read_text()
    (path,) = (out / "cells" / "b-from-a").glob("coral-50-*/run/run.yaml")
    run = parse(Run, read_yaml(path))
    assert run.method == "supervised" and run.source.fraction == 0.5 and run.source.mask_above == 0
    assert run.train.steps == 2 and "coral-seed0" in run.start and run.source.images.crop == {"x": (0.0, 0.67)}


def test_the_score_is_drawn_against_the_part(done):
    out, _, _ = done
    picture = np.asarray(Image.open(out / "pictures" / "b-from-a-parts.png"))
    assert picture.ndim == 3 and picture.std() > 5


def test_what_others_go_on_from_comes_first_and_once():
    more = [*SPEC["methods"], {"name": "coral-10", "kind": "finetune", "after": "coral", "fraction": 0.1}]
    spec = parse(Spec, SPEC | {"methods": more})
    cells = cells_of(spec, spec.datasets, spec.methods)
    first, later = order_waves(cells)
    assert [cell.contender.name for cell in first] == ["coral", "upper"]
    assert [cell.contender.name for cell in later] == ["coral-50", "coral-10"]
    first, later = order_waves(later)
    assert [cell.contender.name for cell in first] == ["coral"] and len(later) == 2


def test_a_spec_goes_on_after_what_trains():
    lost = SPEC["methods"][1] | {"after": "nobody"}
    with pytest.raises(
        UserError, match="'coral-50' needs 'nobody', which is no method of kind train; those are coral, upper"
    ):
        parse(Spec, SPEC | {"methods": [SPEC["methods"][0], lost, SPEC["methods"][2]]})
