"""Pages of runs, results and benchmarks: whole from what is there, safe whatever stands in the files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cytoshift.core import papers
from cytoshift.core.errors import UserError
from cytoshift.core.json_files import read_json, write_json
from cytoshift.report import page, write_report
from cytoshift.report.charts import curve
from cytoshift.report.logs import read_log
from cytoshift.report.pictures import Album, select_groups, spaced_numbers
from cytoshift.report.training_sizes import TrainingSizes, training_sizes
from pages import checked

EVIL = "<script>alert('1')</script> & \"co\""
SETTINGS = {
    "method": "adgan", "seed": 3, "patch": [32, 48],
    "data": {"images": {"paths": EVIL}, "normalise": {"kind": "percentile", "low": 0.5, "high": 99.8, "invert": True}},
    "represent": {"kind": "semantic", "threshold": 0.25, "sure": 0.5, "split": "distance", "saddle": 0.9,
                  "smallest": 4.0},
    "train": {"steps": 60, "batch": 2, "lr": 4e-4, "betas": [0.5, 0.99], "decay_from": 0.5, "ema": 0.99,
              "precision": "bf16-mixed", "optimizer": "adam"},
}  # fmt: skip
IMAGES = {"count": 1, "each": [{"name": EVIL, "origin": EVIL, "axes": "yx", "shape": [60, 80], "dtype": "uint16",
                                "channels": 1, "voxel": [0.5, 0.5], "unit": "um"}]}  # fmt: skip
FACTS = {
    "kind": "train",
    "versions": {"cytoshift": "0.1.0"},
    "machine": {"cpu": EVIL},
    "images": IMAGES,
    "working": {"voxel": [0.5, 0.5], "unit": "um"},
    "players": {"generators": 1234, "discriminator": 567},
    "network": 1000,
    "sessions": [
        {"seconds": {"samples": 2.0, "steps": 30.0}, "memory_gb": 0.7},
        {"seconds": {"steps": 10.0}, "memory_gb": 0.9, "card_gb": None},
    ],
}


CARD = {
    "method": "adgan", "step": 60, "settings": SETTINGS,
    "objects": {"": {"origin": "synthetic masks", "objects": 40, "unit": "um",
                     "diameter": {"5": 4.5, "25": 6.0, "50": 8.0, "75": 9.0, "95": 11.5}}},
}  # fmt: skip


def picture(path: Path, shape=(40, 60, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, np.uint8)).save(path)


def run_folder(folder: Path) -> Path:
    """A run as `train` leaves it, without its weights."""
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text(yaml.safe_dump(SETTINGS))
    rows = [
        {"step": s, "generators/cycle": 10 / s, "discriminator/translated": 0.5, "lr": 4e-4} for s in range(10, 70, 10)
    ]
    notes = [f"warning at step {s}: collapse: {EVIL}" for s in (20, 30)] + [f"back to the beginning {EVIL}"]
    lines = [json.dumps(row) for row in rows] + [json.dumps({"note": note}) for note in notes] + ['{"step": 70, "gen']
    (folder / "log.jsonl").write_text("\n".join(lines))
    for step in (20, 40, 60):
        picture(folder / "samples" / f"step_{step:06d}.png")
    picture(folder / "input.png")
    write_json(folder / "facts.json", FACTS)
    write_json(folder / "model" / "model.json", {"card": CARD, "representation": SETTINGS["represent"]})
    return folder


def test_the_page_of_a_training(tmp_path):
    made = write_report(run_folder(tmp_path / EVIL.replace("/", "")))
    found = checked(made.read_text())
    assert made.name == "report.html"
    assert len(found.all("script")) == 1  # its own: what stands in files is text
    assert "collapse: <script>alert('1')</script>" in found.text
    assert "Warning at step 20, 2 times until step 30." in found.text
    for words in ("cycle", "translated", "lr", "Trained with AD-GAN, 60 steps.", "60 × 80", "0.5 × 0.5 µm", "uint16",
                  "42 s in all, over 2 sessions; at most 0.90 GB of memory", "train.lr 0.0004",
                  "40 objects of synthetic masks"):  # fmt: skip
        assert words in found.text, words
    assert [i["max"] for i in found.all("input") if i.get("type") == "range"] == ["2"]
    assert len(found.all("svg")) == 4
    assert sum(len(re.findall("class=.mark", str(s))) for s in [made.read_text()]) == 6  # two warnings in three curves


def test_the_paragraph_has_the_numbers_of_the_run_and_no_others(tmp_path):
    found = checked(write_report(run_folder(tmp_path / "run")).read_text()).text
    paragraph = found[found.index("A model was trained with AD-GAN") :]
    for words in ("AD-GAN (Yao et al., 2021) as implemented in Cytoshift 0.1.0", "one 2D image of 60 × 80 voxels",
                  "percentiles 0.5 and 99.8 of each image became -1 and 1, and were inverted", "patches of 32 × 48",
                  "median equivalent diameter of 8 um (90 % within 4.5 to 11.5 um)", "No annotation was used",
                  "thresholded at 0.25", "above 0.5 were dropped", "(saddle 0.9)", "diameter below 4 were left out",
                  "generators 1,234, discriminator 567; the shipped network has 1,000", "60 steps with batches of 2",
                  "bfloat16", "Adam (β = 0.5, 0.99)", "rate of 0.0004, falling from 50 %", "(decay 0.99)", "seed was 3",
                  "@article{yao2021adgan"):  # fmt: skip
        assert words in paragraph, words


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"method": "cysgan", "train": {"steps": 100}}))
    found = checked(write_report(tmp_path, tmp_path / "x" / "page.html").read_text())
    assert "Training with CySGAN: at step 0 of 100. The model is not there yet." in found.text
    assert "Nothing suspicious" in found.text and "Nothing is logged yet." in found.text


def test_a_recipe_of_two_stages_shows_both(tmp_path):
    for part in ("translate", "segment"):
        run_folder(tmp_path / part)
    found = checked(write_report(tmp_path).read_text())
    assert "Translation, 60 steps" in found.text and "Segmentation, 60 steps" in found.text
    assert [i["id"] for i in found.all("input")] == ["samples-Translation", "samples-Segmentation"]


def results_of_bench(folder: Path) -> Path:
    cells, table = [], []
    for method, scores in {"classical": [0.5], "adgan": [0.7, 0.8]}.items():
        numbers = {key: {"mean": float(np.mean(scores)), "sd": 0.05} for key in ("dice", "f1_50", "pq")}
        table.append({"dataset": "cells", "method": method, "seeds": len(scores), **numbers})
        for seed, score in enumerate(scores):
            settings = {
                "dataset": {"name": "cells"},
                "method": {"name": method, "method": method, "note": EVIL},
                "seed": seed,
            }
            cells.append({"settings": settings, "cytoshift": "0.1.0", "train_minutes": 2.0, "mean": {"f1_50": score},
                          "images": [{"truth_objects": 12}]})  # fmt: skip
    machine = {"cpu": EVIL, "cores": 2}
    write_json(folder / "results.json", {"title": EVIL, "machine": machine, "table": table, "cells": cells})
    picture(folder / "pictures" / "cells.png")
    run_folder(folder / "cells" / "cells" / "adgan-seed0-abcd" / "run")
    return folder


def test_the_page_of_a_benchmark(tmp_path):
    found = checked(write_report(results_of_bench(tmp_path)).read_text())
    for words in ("1 data set, 2 methods, 3 cells", "0.750 ± 0.050", "12 objects", "cells · adgan-seed0-abcd",
                  "were compared with Cytoshift 0.1.0 on cells (1 images, 12 objects)", "with 2 seeds"):  # fmt: skip
        assert words in found.text, words
    assert len(found.all("img")) == 2 and len(found.all("script")) == 1


def test_a_folder_of_something_else_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no run of 'cytoshift train', no results of 'segment' and none of"):
        write_report(tmp_path)
    (tmp_path / "labels" / "report").mkdir(parents=True)
    (tmp_path / "labels" / "report" / "facts.json").write_text('{"kind": "segment"}')
    with pytest.raises(UserError, match=r"pass .*labels, which does"):
        write_report(tmp_path)
    (tmp_path / "facts.json").write_text("[1, 2")
    with pytest.raises(UserError, match="holds no run"):
        write_report(tmp_path)


def test_every_method_names_its_papers_and_every_paper_is_there():
    from cytoshift.methods import KNOWN
    from cytoshift.represent import BC, BCD, Affinity

    assert all(kind.title and kind.papers and kind.name == name for name, kind in KNOWN.items())
    used = {key for kind in (*KNOWN.values(), BC, BCD, Affinity) for key in kind.papers}
    assert used == set(papers.library())
    assert papers.short_citation("yao2021adgan") == "Yao et al., 2021"
    assert papers.short_citation("sun2016coral") == "Sun and Saenko, 2016"
    assert papers.short_citation("ganin2016dann") == "Ganin et al., 2016"
    assert papers.field("lauenburg2023cysgan", "title").startswith("3D Domain Adaptive Instance")
    assert all(set(papers.paper_link(key)) & {"doi", "url"} for key in papers.library())
    assert all(entry.count("{") == entry.count("}") for entry in papers.library().values())


def test_a_log_of_any_state_is_read(tmp_path):
    log = tmp_path / "log.jsonl"
    assert read_log(log).rows == []
    log.write_text('{"step": 1, "a/b": NaN, "a/c": 2}\nnoise\n[1]\n{"note": "hello"}\n{"step": 2, "a/c": 3}\n{"st')
    found = read_log(log)
    assert found.last_step == 2 and found.notes == ["hello"] and found.rows[0] == {"step": 1, "a/c": 2}
    assert list(found.curves()) == ["a"]


def test_a_curve_leaves_room_for_what_is_usual_and_says_the_rest():
    points = [(float(step), 1.0) for step in range(200)]
    points[100] = (100.0, 1000.0)
    drawn = curve("loss", points, marks=[50, 900])
    assert drawn.high == "1" and "most 1e+03" in drawn.svg and drawn.svg.count("<line") == 1


def test_quantiles_become_a_histogram():
    told = {"origin": "masks", "objects": 9, "unit": "um", "diameter": {"25": 0.5, "50": 1.0, "75": 1.5}}
    even = training_sizes({"objects": {"": told}})[""]
    assert even.share_per_bin([0.0, 1.0, 2.0, 3.0]) == pytest.approx([0.5, 0.5, 0.0])
    assert even.quantile(0.25) == 0.5 and even.quantile(2) == 1.5 and even.largest == 1.5
    same = TrainingSizes("masks", 3, "um", ((0.05, 4.0), (0.5, 4.0), (0.95, 4.0)))
    assert sum(same.share_per_bin([0.0, 3.0, 6.0])) == 1.0 and same.quantile(0.5) == 4.0
    assert training_sizes({}) == {}


def test_pictures_keep_to_a_budget_and_what_is_left_out_is_counted(tmp_path):
    for number in range(6):
        picture(tmp_path / f"{number}.png")
    size = (tmp_path / "0.png").stat().st_size
    groups = [[tmp_path / f"{number}.png"] for number in range(6)]
    assert select_groups(groups, 6 * size) == [0, 1, 2, 3, 4, 5] and select_groups(groups, 3 * size) == [0, 2, 5]
    assert select_groups(groups, 0) == [] and spaced_numbers(7, 1) == [3]
    album = Album(2 * size)
    kept = [album.embed_file(path, "a picture") for (path,) in groups]
    assert [one is not None for one in kept] == [True, True, False, False, False, False] and album.dropped == 4


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(scheme):
    """WCAG AA: 4.5 to 1."""
    style = (Path(page.__file__).parent / "templates" / "page.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.S)[scheme]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    for ink, papers_ in {"ink": ("paper", "raised", "wash", "warn-wash"), "soft": ("paper", "raised"),
                         "accent": ("paper", "raised", "wash"), "warn": ("paper", "warn-wash")}.items():  # fmt: skip
        for paper in papers_:
            low, high = sorted((luminance(colours[ink]), luminance(colours[paper])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


def test_facts_survive_what_json_does_not_know(tmp_path):
    path = write_json(tmp_path / "a" / "facts.json", {"x": np.float32(0.5), "y": np.arange(2), "z": Path("p")})
    assert read_json(path) == {"x": 0.5, "y": [0, 1], "z": "p"}
    assert read_json(tmp_path / "none.json") == {}
    with pytest.raises(TypeError, match="object does not fit into JSON"):
        write_json(path, {"x": object()})
    assert read_json(path)["x"] == 0.5
