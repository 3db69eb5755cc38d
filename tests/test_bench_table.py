"""Numbers of cells -> table, with hand-made cells."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cytoshift.bench.layout import markdown, mean_text
from cytoshift.bench.results_page import copy_pictures, update_page
from cytoshift.bench.runner import cells_of
from cytoshift.bench.spec import Spec
from cytoshift.bench.table import columns, gather_results, summary
from cytoshift.core.settings import parse

SPEC = parse(
    Spec,
    {
        "title": "Two sets",
        "note": "A note.",
        "datasets": [{"name": "a", "images": "i", "labels": "l"}, {"name": "b", "preset": "sparse-2d"}],
        "methods": [{"name": "floor", "kind": "classical"}, {"name": "gan", "kind": "train"}],
        "seeds": [0, 1],
    },
)
SCORES = dict.fromkeys(("iou", "precision", "recall", "f1_50", "ap_50", "pq"), 0.5)


def numbers(cell, dice: float) -> dict:
    training = {"steps": 4, "train_minutes": 2.0} if cell.seed is not None else {}
    images = [{"name": "x", "truth_objects": 3}, {"name": "y", "truth_objects": 4}]
    mean = {"dice": dice, **SCORES}
    return {"settings": cell.settings(), **training, "segment_seconds": 0.25, "mean": mean, "images": images,
            "pooled": {"iou": 0.6}}  # fmt: skip


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def stored(out: Path, cell, dice: float, files: list) -> None:
    folder = cell.folder(out, files)
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(json.dumps(numbers(cell, dice)))


def test_cells_stand_in_the_order_of_the_spec_and_only_trainings_have_seeds():
    titles = [cell.title for cell in cells_of(SPEC, SPEC.datasets, SPEC.methods)]
    assert titles[:3] == ["a · floor", "a · gan · seed 0", "a · gan · seed 1"]
    assert len(titles) == 6
    once = SPEC.methods[1].model_copy(update={"seeds": [7]})
    assert [cell.title for cell in cells_of(SPEC, SPEC.datasets[:1], [once])] == ["a · gan · seed 7"]
    assert "seeds" not in cells_of(SPEC, SPEC.datasets[:1], [once])[0].settings()["method"]


def test_a_folder_belongs_to_settings_and_files(tmp_path):
    floor, first, second = cells_of(SPEC, SPEC.datasets[:1], SPEC.methods)
    files = [("i/x.tif", 100)]
    names = {cell.folder(tmp_path, files).name for cell in (floor, first, second)}
    assert len(names) == 3 and all(name.startswith(("floor-", "gan-seed")) for name in names)
    assert first.folder(tmp_path, files) == first.folder(tmp_path, files)
    assert first.folder(tmp_path, files) != first.folder(tmp_path, [("i/x.tif", 101)])


def test_mean_and_deviation_over_seeds():
    cells = cells_of(SPEC, SPEC.datasets[:1], SPEC.methods)
    made = columns([numbers(cells[1], 0.8), numbers(cells[2], 0.9)])
    assert made["dice"] == {"mean": pytest.approx(0.85), "sd": pytest.approx(0.0707107)}
    assert made["cpu_hours"] == {"mean": pytest.approx(4 / 60)}, "of both seeds together"
    assert columns([numbers(cells[0], 0.7)])["dice"] == {"mean": 0.7}
    assert "train_minutes" not in columns([numbers(cells[0], 0.7)])
    assert (
        mean_text(made["dice"], 3) == "0.850 ± 0.071"
        and mean_text({"mean": 0.7}, 2) == "0.70"
        and mean_text(None, 1) == ""
    )


def test_what_is_done_so_far_becomes_a_table(tmp_path):
    floor, first, second = cells_of(SPEC, SPEC.datasets[:1], SPEC.methods)
    stored(tmp_path, floor, 0.7, [])
    stored(tmp_path, second, 0.9, [])
    stored(tmp_path, first, 0.8, [])
    results = summary(SPEC, gather_results(cells_of(SPEC, SPEC.datasets, SPEC.methods), tmp_path, read))
    assert [(row["dataset"], row["method"], row["seeds"]) for row in results["table"]] == [
        ("a", "floor", 1),
        ("a", "gan", 2),
    ]
    text = markdown(SPEC, results, {"a": Path("pictures/a.png")}, {})
    assert "### a (2 images, 7 objects)" in text and "### b" not in text and "A note." in text
    assert "| floor | 1 | 0.700 | 0.500 | 0.600 | 0.500 | 0.500 | 0.500 | 0.500 | 0.500 |  |  | 0.25 |" in text
    assert "| gan | 2 | 0.850 ± 0.071 |" in text and "(pictures/a.png)" in text


def test_a_cell_of_a_former_spec_is_not_counted(tmp_path):
    floor, *_ = cells_of(SPEC, SPEC.datasets[:1], SPEC.methods)
    stored(tmp_path, floor, 0.7, [])
    other = SPEC.methods[0].model_copy(update={"sigma": 2.0})
    changed = SPEC.model_copy(update={"methods": [other]})
    assert gather_results(cells_of(changed, changed.datasets, changed.methods), tmp_path, read) == []


def test_a_page_keeps_what_other_specs_wrote(tmp_path):
    page = tmp_path / "results.md"
    other = SPEC.model_copy(update={"title": "Three sets"})
    update_page(page, SPEC, "first\n")
    update_page(page, other, "other\n")
    update_page(page, SPEC, "second\n")
    text = page.read_text()
    assert text.startswith("# Results") and text.count("# Results") == 1
    assert "first" not in text and text.index("second") < text.index("other")
    assert text.count("<!-- bench two-sets -->") == text.count("<!-- end two-sets -->") == 1


def test_a_page_shows_what_was_made_and_curves_of_anything(tmp_path):
    spec = parse(
        Spec,
        {
            "title": "Two kinds",
            "datasets": [{"name": "made", "preset": "dense-2d"}, {"name": "real", "images": "a", "labels": "b"}],
            "methods": [{"name": "classical", "kind": "classical"}],
        },
    )
    pictures = {name: tmp_path / f"{name}.png" for name in ("made", "real")}
    for path in (*pictures.values(), tmp_path / "real-parts.png"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    there = copy_pictures(tmp_path / "docs" / "page.md", spec, pictures, {"real": tmp_path / "real-parts.png"})
    assert there == [{"made": Path("pictures/two-kinds-made.png")}, {"real": Path("pictures/two-kinds-real-parts.png")}]
    assert sorted(p.name for p in (tmp_path / "docs" / "pictures").iterdir()) == [
        "two-kinds-made.png", "two-kinds-real-parts.png",
    ]  # fmt: skip
