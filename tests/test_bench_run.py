"""A small spec from its first cell to its table, stopped and continued."""

import json

import numpy as np
import pytest
import tifffile
from skimage.io import imread

from cytoshift.bench import cell as cells
from cytoshift.bench import figures
from cytoshift.bench.dataset_spec import Files
from cytoshift.bench.datasets import open_dataset
from cytoshift.bench.runner import bench, cells_of
from cytoshift.bench.spec import Spec
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse

TINY = {"width": 2, "discriminator": 2, "hidden": 4, "blocks": 1, "stem": 3}
SPEC = {
    "title": "Tiny",
    "datasets": [{"name": "made", "preset": "sparse-2d", "images": 1, "train": 1, "shape": [96, 96]}],
    "methods": [
        {"name": "floor", "kind": "classical"},
        {
            "name": "gan",
            "kind": "train",
            "settings": {"train.steps": 2, "train.precision": "32", "patch": [32, 32], "options": TINY},
        },
    ],
    "seeds": [0, 1],
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    said = []
    table = bench(parse(Spec, SPEC), out, say=said.append, quiet=True)
    return out, table, said


def test_it_leaves_a_table_numbers_and_pictures(done):
    out, table, said = done
    assert [line.partition(":")[0] for line in said] == ["made · floor", "made · gan · seed 0", "made · gan · seed 1"]
    results = json.loads((out / "results.json").read_text())
    assert [(row["method"], row["seeds"]) for row in results["table"]] == [("floor", 1), ("gan", 2)]
    assert "| gan | 2 |" in table.read_text() and (out / "pictures" / "made.png").stat().st_size > 1000
    assert str(out) not in table.read_text() + json.dumps(results)  # no path of this machine


def test_what_is_finished_is_not_done_again(done, monkeypatch):
    out, _, _ = done
    monkeypatch.setattr(cells, "prepare_segment", None)
    bench(parse(Spec, SPEC), out, say=lambda line: None, quiet=True)


def test_many_methods_go_on_below_beside_the_image(done, monkeypatch):
    out, _, _ = done
    path = out / "pictures" / "made.png"
    height, width, _ = imread(path).shape
    monkeypatch.setattr(figures, "METHODS_BESIDE", 1)
    bench(parse(Spec, SPEC), out, say=lambda line: None, quiet=True)
    taller, narrower, _ = imread(path).shape
    assert taller > 1.7 * height and narrower < 0.8 * width


def test_two_at_a_time_give_the_same_numbers(done, tmp_path):
    spec, said = parse(Spec, SPEC | {"seeds": [0]}), []
    bench(spec, tmp_path, say=said.append, quiet=True, jobs=2)
    assert sorted(line.partition(":")[0] for line in said) == ["made · floor", "made · gan · seed 0"]
    alone, beside = (json.loads((out / "results.json").read_text())["cells"] for out in (done[0], tmp_path))
    for one, two in zip(alone, beside):
        assert two["mean"] == pytest.approx(one["mean"], rel=1e-3)
    assert len(beside) == 2


def test_a_training_that_was_killed_goes_on(done, monkeypatch):
    out, _, _ = done
    spec = parse(Spec, SPEC)
    first = cells_of(spec, spec.datasets, spec.methods)[1]
    here = open_dataset(spec.datasets[0], None, out / "data")
    folder = first.folder(out, here.files)
    before = json.loads((folder / "cell.json").read_text())
    (folder / "cell.json").unlink()
    starts = []
    monkeypatch.setattr(
        "cytoshift.train.trainer.train_step", lambda *args: starts.append(args)
    )  # no step is left to take
    again = cells.run_cell(first, here, out, quiet=True)
    assert starts == [] and again["mean"] == before["mean"] and again["steps"] == 2


def test_only_runs_what_it_names_and_the_table_keeps_the_rest(done):
    out, table, _ = done
    said = []
    bench(parse(Spec, SPEC), out, only=["floor"], say=said.append, quiet=True)
    assert len(said) == 1 and "| gan | 2 |" in table.read_text()


def test_a_cell_that_fails_does_not_stop_the_others(tmp_path):
    missing = {"name": "gone", "kind": "model", "model": str(tmp_path / "nowhere")}
    spec = parse(Spec, SPEC | {"methods": [missing, SPEC["methods"][0]]})
    said = []
    with pytest.raises(UserError, match=r"1 of the cells failed, .* made · gone: model folder"):
        bench(spec, tmp_path, say=said.append, quiet=True)
    assert said[-1].startswith("made · floor: Dice") and "| floor |" in (tmp_path / "results.md").read_text()


def files(folder, truth_name="a"):
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    image = np.zeros((32, 32), np.uint8)
    image[8:16, 8:16] = 200
    tifffile.imwrite(folder / "images" / "a.tif", image)
    tifffile.imwrite(folder / "labels" / f"{truth_name}.tif", image)
    return Files(name="x", images="images", labels="labels", mask_above=127)


def test_files_are_matched_and_a_gray_mask_becomes_objects(tmp_path):
    found = open_dataset(files(tmp_path, "b"), tmp_path, tmp_path / "made")
    truth = found.pairs[0].truth()
    assert truth.max() == 1 and (truth > 0).sum() == 64
    assert [name for name, _ in found.files] == ["images/a.tif", "labels/b.tif"]


def test_images_without_partner_and_specs_without_root_are_refused(tmp_path):
    dataset = files(tmp_path)
    tifffile.imwrite(tmp_path / "images" / "c.tif", np.zeros((32, 32), np.uint8))
    with pytest.raises(UserError, match=r"'x': image 'c' has no labels of its name"):
        open_dataset(dataset, tmp_path, tmp_path / "made")
    with pytest.raises(UserError, match=r"'x' is on disk; pass `data`"):
        open_dataset(dataset, None, tmp_path / "made")


def test_a_model_of_the_same_name_with_other_weights_is_another_cell(tmp_path):
    from cytoshift.bench.cell import Cell
    from cytoshift.bench.dataset_spec import Phantoms
    from cytoshift.bench.method_spec import ExistingModel
    from predicting import segmenter

    dataset = Phantoms(name="made", preset="sparse-2d", images=1, train=1)
    cell = Cell(dataset, ExistingModel(name="mine", kind="model", model=str(tmp_path / "model")), None)
    segmenter(2).save(tmp_path / "model")
    before = cell.folder(tmp_path, [])
    assert cell.folder(tmp_path, []) == before
    segmenter(2, (2.0, 2.0)).save(tmp_path / "model")
    assert cell.folder(tmp_path, []) != before


def test_labels_of_one_voter_are_a_row_and_a_voter_that_is_not_there_is_named(tmp_path):
    of = {"kind": "run", "steps": 0}
    methods = [{"name": "floor", "kind": "classical"}, {"name": "own", "voter": "otsu"} | of,
               {"name": "taught", "voter": "trained"} | of]  # fmt: skip
    with pytest.raises(UserError, match="wants the labels of 'trained', but the voters are network"):
        bench(parse(Spec, SPEC | {"methods": methods}), tmp_path, say=lambda line: None, quiet=True)
    rows = {row["method"]: row for row in json.loads((tmp_path / "results.json").read_text())["table"]}
    assert set(rows) == {"floor", "own"} and rows["own"]["dice"]["mean"] == pytest.approx(
        rows["floor"]["dice"]["mean"], abs=0.05
    )
    assert rows["own"]["minutes"]["mean"] > 0


def test_labels_of_a_method_that_trains_vote_in_a_run_with_its_seed(done):
    out, _, _ = done
    more = {"name": "vote-with-gan", "kind": "run", "steps": 0, "given": "gan"}
    said = []
    spec = parse(Spec, SPEC | {"methods": [*SPEC["methods"], more]})
    bench(spec, out, only=["vote-with-gan"], say=said.append, quiet=True)
    folders = sorted((out / "cells" / "made").glob("vote-with-gan-seed*"))
    assert len(folders) == len(said) == 2 and (out / "results.json").exists()
    decided = json.loads((folders[0] / "run" / "run.json").read_text())
    assert "given-1" in decided["stages"]["first"]["voters"]
    with pytest.raises(
        UserError, match="'vote-with-gan' needs 'floor', which is no method of kind train; those are gan"
    ):
        parse(Spec, SPEC | {"methods": [*SPEC["methods"], more | {"given": "floor"}]})


def test_the_best_and_the_worst_image_are_shown(tmp_path, monkeypatch):
    sets = [{"name": "made", "preset": "sparse-2d", "images": 5, "train": 1, "shape": [96, 96], "pictures": 2}]
    shown = []
    draw = figures.picture_row

    def note(name, pair, *rest):
        shown.append(pair.image.name)
        return draw(name, pair, *rest)

    monkeypatch.setattr(figures, "picture_row", note)
    spec = SPEC | {"datasets": sets, "methods": SPEC["methods"][:1]}
    bench(parse(Spec, spec | {"pictured_by": "floor"}), tmp_path, say=lambda line: None, quiet=True)
    images = json.loads((tmp_path / "results.json").read_text())["cells"][0]["images"]
    scores = {image["name"]: image["f1_50"] for image in images}
    assert [scores[name] for name in shown] == [max(scores.values()), min(scores.values())]
    with pytest.raises(UserError, match="pictured_by names 'gan', but the methods are floor"):
        parse(Spec, spec | {"pictured_by": "gan"})
