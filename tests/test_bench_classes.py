"""Several classes in folds: every image is scored once, classes and pairs each, and the scored fold chooses nothing."""

import json

import numpy as np
import pytest

from cytoshift.bench.cell import run_cell
from cytoshift.bench.datasets import open_dataset
from cytoshift.bench.layout import markdown
from cytoshift.bench.runner import bench, cells_of
from cytoshift.bench.spec import Spec
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.data.volumes import open_labels, open_volumes

SHORT = {
    "train": {"steps": 2, "precision": "32", "samples_every": 2, "accelerator": "cpu"},
    "patch": [24, 24, 24],
}
SMALL = {"width": 2, "discriminator": [2, 2], "blocks": 1, "stem": 3, "pool": 2}
SPEC = {
    "title": "Two classes",
    "datasets": [
        {
            "name": "made", "stack": "retina", "images": 3, "shape": [24, 40, 40], "pictures": 1,
            "annotation": {"hours": 84, "source": "an estimate"},
        },
    ],
    "methods": [
        {"name": "floor", "kind": "classical"},
        {"name": "gan", "kind": "train", "method": "mask_cyclegan", "cells": "retina",
         "settings": SHORT | {"options": SMALL}},
        {"name": "unet", "kind": "train", "method": "supervised", "labels": "target", "represent": "semantic",
         "settings": SHORT | {"options.widths": [8, 8], "train.snapshots": 2}},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out, said = tmp_path_factory.mktemp("bench"), []
    two = [SPEC["datasets"][0] | {"images": 2, "folds": 2}]
    bench(parse(Spec, SPEC | {"datasets": two}), out, say=said.append, quiet=True)
    return out, said


def test_folds_share_no_image_and_inner_ones_stay_inside(tmp_path):
    dataset = parse(Spec, SPEC).datasets[0]
    whole = open_dataset(dataset, None, tmp_path)
    assert whole.classes == ("golgi", "nuclei") and whole.channels == {"golgi": 0, "nuclei": 1}
    for number in range(3):
        fold = whole.fold((number,))
        mine = {pair.image.name for pair in fold.pairs}
        others = {volume.name for volume in open_volumes(fold.train)}
        assert len(mine) == 1 and not mine & others and len(mine | others) == 3
        told = fold.source_files("target").by_class
        assert {volume.name for volume in open_labels(told["golgi"])} == others
        inner = whole.fold((number, 1))
        chosen, left = inner.pairs[0].image.name, {volume.name for volume in open_volumes(inner.train)}
        assert {chosen} | left == others and chosen not in left
    golgi, nuclei = (whole.pairs[0].truths[name]() for name in whole.classes)
    assert np.intersect1d(golgi[golgi > 0], nuclei[nuclei > 0]).size, "numbers of pairs are kept"


def test_every_fold_has_its_cells_and_numbers_of_each_class(done):
    out, said = done
    assert [line.partition(":")[0] for line in said[:3]] == [
        "made · floor · fold 1", "made · floor · fold 2", "made · gan · fold 1 · seed 0",
    ]  # fmt: skip
    results = json.loads((out / "results.json").read_text())
    assert [(row["method"], row["seeds"]) for row in results["table"]] == [("floor", 2), ("gan", 2), ("unet", 2)]
    floor, gan, unet = results["table"]
    assert {"golgi dice", "nuclei f1_50", "dice"} <= floor.keys() and "pairs_f1" in gan and "oracle" in unet
    assert floor["dice"]["mean"] == pytest.approx((floor["golgi dice"]["mean"] + floor["nuclei dice"]["mean"]) / 2)
    assert gan["labelled"]["mean"] == 0 and unet["labelled"]["mean"] == 1
    cell = next(cell for cell in results["cells"] if "snapshots" in cell)
    assert list(cell["snapshots"]) == ["000001", "000002"]
    (path,) = (out / "cells" / "made").glob("gan-fold2-*/labels/nuclei/*.tif")
    assert path.stem == "001"


def test_the_tables_of_the_paper(done):
    out, _ = done
    text = (out / "results.md").read_text()
    heads = ("Dice golgi | Dice nuclei | precision golgi | precision nuclei | recall golgi | recall nuclei |"
             " F1@0.5 golgi | F1@0.5 nuclei | F1 of pairs | oracle (best on test) Dice")  # fmt: skip
    assert f"| method | runs | {heads} |" in text
    assert "Labels cost 84 hours per image (an estimate)." in text
    costs = text.partition("Labels cost")[2]
    cells = next(line for line in costs.splitlines() if line.startswith("| unet |")).strip("| ").split(" | ")
    images, training, hours = map(float, cells[-3:])
    assert images == 1 and training < 1  # hours, of two steps: a busy machine takes its time
    assert hours == pytest.approx(84 + training, abs=0.02)
    assert (out / "pictures" / "made.png").stat().st_size > 1000


def test_settings_are_chosen_on_the_inner_folds_alone(tmp_path):
    short = {"train.steps": 2, "train.snapshots": 0}
    unet = SPEC["methods"][2] | {"candidates": [short | {"train.steps": 1}, short]}
    spec = parse(Spec, SPEC | {"methods": [unet]})
    spec = spec.model_copy(update={"datasets": [spec.datasets[0].model_copy(update={"pictures": 0})]})
    cell = cells_of(spec, spec.datasets, spec.methods)[0]
    whole = open_dataset(spec.datasets[0], None, tmp_path / "data")
    numbers = run_cell(cell, whole, tmp_path, quiet=True)
    assert numbers["chosen"]["train.steps"] in (1, 2)
    names = sorted(
        path.parent.name.rpartition("-seed")[0] for path in (tmp_path / "cells" / "made").glob("*/cell.json")
    )
    assert names == ["unet-fold1", *["unet-fold1.1"] * 2, *["unet-fold1.2"] * 2]
    scored = {path.stem for path in (tmp_path / "cells" / "made").glob("unet-fold1.*/labels/nuclei/*.tif")}
    assert scored == {"001", "002"}, "image 000 is the outer fold's"


def test_an_overview_has_a_column_for_each_method_and_the_paper_beside_it():
    spec = parse(
        Spec,
        {
            "title": "x", "datasets": [{"name": "a", "images": "i", "labels": "l"}],
            "methods": [{"name": "ft", "kind": "train"}, {"name": "mmd", "kind": "train"}],
            "overview": {"published": [{"name": "paper", "dataset": "a", "numbers": {"ft": 28.7}}]},
        },
    )  # fmt: skip
    rows = [{"dataset": "a", "method": "mmd", "seeds": 1, "pooled_iou": {"mean": 0.4567}}]
    cells = [{"settings": {"dataset": {"name": "a"}}, "images": [{"name": "i", "truth_objects": 2}]}]
    machine = {"cores": 2, "cpu": "a", "torch": "b"}
    text = markdown(spec, {"table": rows, "cells": cells, "machine": machine}, {}, {})
    assert "|  | ft | mmd |" in text and "| a |  | 45.7 |" in text and "| paper | 28.7 |  |" in text
    more = spec.model_dump(mode="json")
    more["overview"] |= {"also": ["f1_50", "minutes"], "mean": True}
    rows[0] |= {"f1_50": {"mean": 0.5}, "minutes": {"mean": 2.25}}
    text = markdown(parse(Spec, more), {"table": rows, "cells": cells, "machine": machine}, {}, {})
    assert "F1@0.5, in percent" in text and "| a |  | 50.0 |" in text and "| a |  | 2.2 |" in text
    assert "| mean of 1 |  | 45.7 |" in text and text.count("| paper |") == 1
    more["datasets"].append(more["datasets"][0] | {"name": "b"})
    rows += [{"dataset": "b", "method": name, "seeds": 1, "pooled_iou": {"mean": 0.5}} for name in ("ft", "mmd")]
    cells.append({"settings": {"dataset": {"name": "b"}}, "images": []})
    text = markdown(parse(Spec, more), {"table": rows, "cells": cells, "machine": machine}, {}, {})
    assert "| mean of 2 |  | 47.8 |" in text and "| mean of 2 |  |  |" in text  # ft has no score on all, minutes none
    wrong = {"published": [{"name": "paper", "dataset": "a", "numbers": {"dann": 1}}]}
    with pytest.raises(UserError, match="overview names 'dann', but the methods are ft, mmd"):
        parse(Spec, spec.model_dump(mode="json") | {"overview": wrong})


def test_a_paper_stands_in_the_table_of_its_score_and_ctc_measures_where_asked():
    said = {
        "title": "x", "datasets": [{"name": "a", "images": "i", "labels": "l"}],
        "methods": [{"name": "ft", "kind": "train"}],
        "overview": {"score": "dice", "also": ["seg"], "published": [
            {"name": "paper", "dataset": "a", "numbers": {"ft": 28.7}},
            {"name": "later", "dataset": "a", "score": "seg", "numbers": {"ft": 85.0}},
        ]},
    }  # fmt: skip
    rows = [{"dataset": "a", "method": "ft", "seeds": 1, "dice": {"mean": 0.5}, "seg": {"mean": 0.25}}]
    cells = [{"settings": {"dataset": {"name": "a"}}, "images": [{"name": "i", "truth_objects": 2}]}]
    results = {"table": rows, "cells": cells, "machine": {"cores": 2, "cpu": "a", "torch": "b"}}
    first, _, second = markdown(parse(Spec, said), results, {}, {}).partition("SEG, in percent")
    assert "| paper | 28.7 |" in first and "later" not in first
    assert "| later | 85.0 |" in second and "paper" not in second and "| method | seeds | Dice | SEG |" in second
    said["overview"] = {"score": "dice"}
    assert "SEG" not in markdown(parse(Spec, said), results, {}, {})
    for wrong, sentence in (
        ({"dataset": "b"}, "'paper' is of 'b', but the data sets are a"),
        ({"dataset": "a", "score": "det"}, "'paper' has det, but the tables are of dice"),
    ):
        said["overview"] = {"score": "dice", "published": [{"name": "paper", "numbers": {"ft": 1}} | wrong]}
        with pytest.raises(UserError, match=sentence):
            parse(Spec, said)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"channel": 0}, "labels have the classes golgi, nuclei; give channel a list with a number for each"),
        ({"train_labels": "x"}, "labels and train_labels have different classes"),
        ({"pairs": {"golgi": "cells"}}, "pairs names"),
        ({"folds": 3, "train": "x"}, "leave train and frames out"),
    ],
)
def test_data_sets_that_do_not_fit_are_one_sentence(changes, sentence):
    files = {"name": "a", "images": "i", "labels": {"golgi": "g", "nuclei": "n"}, "channel": [0, 1]} | changes
    with pytest.raises(UserError, match=sentence):
        parse(Spec, SPEC | {"datasets": [files]})


def test_a_run_says_that_it_labels_one_class_before_anything_is_trained(tmp_path):
    methods = [SPEC["methods"][1], {"name": "first-vote", "kind": "run", "steps": 0, "given": "gan"}]
    with pytest.raises(UserError, match="'first-vote' labels a single class, the data set has golgi, nuclei"):
        bench(parse(Spec, SPEC | {"methods": methods}), tmp_path, only=["first-vote"], say=str, quiet=True)
    assert not list(tmp_path.rglob("model"))
