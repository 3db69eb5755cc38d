"""The verbs write what their pages are made of, and the pages: train, segment and evaluate on a few pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.json_files import read_json, write_json
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_image, write_labels
from cytoshift.draw import colour_at, outline_layer, value_layer
from cytoshift.report import write_report
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from pages import checked
from predicting import nuclei, segmenter

UM = Voxel((0.5, 0.5), "um")


def cytoshift(*words) -> str:
    """stdout."""
    result = CliRunner().invoke(app, [*map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return segmenter(size=(0.5, 0.5), unit="um").save(tmp_path_factory.mktemp("run") / "model")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    for n in range(3):
        write_image(folder / f"field{n}.tif", nuclei((40, 56), 8, n)[0], UM, "yx")
    return folder


def test_segment_leaves_a_page_and_what_it_is_made_of(model, images, tmp_path):
    out = tmp_path / "out"
    told = json.loads(cytoshift("segment", model, images, "-o", out, "--json", "--min-size", "1"))
    assert told["verb"] == "segment" and told["images"] == 3 and told["report"] == str(out / "report" / "report.html")
    facts = read_json(out / "report" / "facts.json")
    assert list(facts["seconds"]) == ["field0", "field1", "field2"]
    assert set(facts["seconds"]["field0"]) >= {"read", "network", "decode"}
    assert facts["found"][""]["objects"] == told["objects"] and facts["memory_gb"] > 0
    found = checked((out / "report" / "report.html").read_text())
    for words in (f"{told['objects']} objects in 3 images", "field1", "40 × 56", "0.5 × 0.5 µm", "network", "decode",
                  "objects smaller than 1", "does not say which sizes"):  # fmt: skip
        assert words.lower() in found.text.lower(), words
    layers = [img for img in found.all("img") if "layer" in (img.get("class") or "")]
    assert len([img for img in layers if "outlines" in img["class"]]) == 3
    (out / "report" / "report.html").unlink()
    assert write_report(out).exists()  # again, from the files alone
    rates = {"sections": 200.0, "cut": 3.0, "lost": 0.0}
    audit = {"verdict": "failed", "seams": ["objects <cut>"], "faces": rates, "between": rates | {"cut": 1.0},
             "excess": {"growth": 0.02}, "sigmas": {"cut": 5.2}}  # fmt: skip
    blocks = {"count": 8, "size": [32, 32], "halo": [4, 4]}
    write_json(out / "report" / "seams" / "field1.json", {"classes": {"objects": audit}, "blocks": blocks})
    text = checked(write_report(out).read_text()).text
    assert "Failed : objects <cut> at faces" in text and "1.50 % of 200 0.50 % of 200 +5.2" in text
    assert "8 blocks of 32 × 32 voxels" in text


def test_segment_continued_knows_the_times_of_both_calls(model, images, tmp_path):
    out = tmp_path / "out"
    cytoshift("segment", model, images / "field0.tif", "-o", out)
    first = read_json(out / "report" / "facts.json")["seconds"]["field0"]
    cytoshift("segment", model, images, "-o", out)
    seconds = read_json(out / "report" / "facts.json")["seconds"]
    assert seconds["field0"] == first and set(seconds) == {"field0", "field1", "field2"}
    assert sorted(path.name for path in out.iterdir()) == ["field0.tif", "field1.tif", "field2.tif", "report"]
    assert len(open_labels(out)) == 3


def test_a_stack_has_a_slider_and_a_single_file_its_page_beside_it(tmp_path):
    model = segmenter(3, size=(1.0, 0.5, 0.5), unit="um").save(tmp_path / "model")
    write_image(tmp_path / "s.tif", nuclei((10, 30, 30), 8, 0)[0], Voxel((1.0, 0.5, 0.5), "um"), "zyx")
    cytoshift("segment", model, tmp_path / "s.tif", "-o", tmp_path / "cells.tif")
    text = (tmp_path / "cells.report.html").read_text()
    found = checked(text)
    (slider,) = [one for one in found.all("input") if one.get("type") == "range"]
    assert slider["max"] == "9" and slider["value"] == "5"
    assert "plane 6 of 10, z = 5 µm" in found.text
    frames = [attrs for attrs in found.all("div") if attrs.get("class") == "frame"]
    assert [frame.get("hidden", "shown") for frame in frames].count("shown") == 1
    assert cytoshift("report", tmp_path / "cells.tif", "-o", tmp_path / "b.html").startswith("report in ")
    assert checked((tmp_path / "b.html").read_text())
    with pytest.raises(UserError, match=r"a report is an HTML file, but .*b has another ending; pass -o .*b\.html"):
        cytoshift("report", tmp_path / "cells.tif", "-o", tmp_path / "b")


def test_the_page_tells_the_score_until_labels_are_made_anew(model, images, tmp_path):
    out = tmp_path / "out"
    cytoshift("segment", model, images, "-o", out, "--quiet")
    assert "cytoshift trust" in checked((out / "report" / "report.html").read_text()).text
    told = json.loads(cytoshift("trust", out, images, "-m", model, "--json", "--quiet"))
    assert told["report"] == str(out / "report" / "report.html") and len(told["images"]) == 3
    text = checked((out / "report" / "report.html").read_text()).text
    assert (
        (told["against"] or "") in text
        and told["says"][1:] in text
        and "other light" in text
        and "score without labels" in text
    )
    cytoshift("segment", model, images, "-o", out, "--quiet")  # nothing to do: what was said holds
    assert "other light" in checked((out / "report" / "report.html").read_text()).text
    cytoshift("segment", model, images, "-o", out, "--quiet", "--threshold", "0.4", "--overwrite")
    assert "other light" not in checked((out / "report" / "report.html").read_text()).text
    assert not list(out.glob("report/trust*"))
    cytoshift("segment", model, images / "field0.tif", "-o", tmp_path / "one.tif", "--quiet")
    cytoshift("trust", tmp_path / "one.tif", images / "field0.tif", "-m", model, "--quiet")
    assert "other light" in checked((tmp_path / "one.report.html").read_text()).text


def test_evaluate_writes_a_page_with_the_worst_objects(tmp_path):
    for n in range(2):
        image, truth = nuclei((40, 56), 8, n)
        pred = np.where(truth == 1, 0, np.roll(truth, n, 1))
        write_image(tmp_path / "images" / f"{n}.tif", image, UM, "yx")
        write_labels(tmp_path / "truth" / f"{n}.tif", truth, UM, "yx")
        write_labels(tmp_path / "pred" / f"{n}.tif", pred, UM, "yx")
    words = ("evaluate", "--pred", tmp_path / "pred", "--truth", tmp_path / "truth", "-o", tmp_path / "page.html")
    told = json.loads(cytoshift(*words, "--json"))
    assert told["verb"] == "evaluate" and len(told["images"]) == 2
    found = checked((tmp_path / "page.html").read_text())
    assert "No image was given" in found.text and "Found worst" in found.text
    assert f"{told['mean']['dice']:.4f}" in found.text and "IoU 0.00" in found.text
    said = cytoshift(*words, "--images", tmp_path / "images", "--quiet")
    assert "report in" in said and "Dice" in said
    assert "No image was given" not in checked((tmp_path / "page.html").read_text()).text
    with pytest.raises(UserError, match=r"a report is an HTML file, but .* has another ending; pass -o .*page\.html"):
        cytoshift(*words[:5], "-o", tmp_path / "page")
    with pytest.raises(UserError, match=r"reads each image whole, which takes some .* GB here"):
        cytoshift(*words[:5], "-o", tmp_path / "large.html", "--memory", "0.4000001GB")
    assert not (tmp_path / "large.html").exists()
    with pytest.raises(UserError, match="-o and --images need the report"):
        cytoshift(*words[:5], "--images", tmp_path / "images", "--no-report")


def test_evaluate_leaves_a_report_beside_the_predictions(tmp_path):
    _, truth = nuclei((40, 56), 8, 0)
    for place in ("truth", "pred", "truth/golgi", "truth/nuclei", "pred/golgi", "pred/nuclei"):
        folder = tmp_path / ("several" if "/" in place else "single") / place
        write_labels(folder / "0.tif", truth, UM, "yx")
    single, several = tmp_path / "single", tmp_path / "several"
    told = json.loads(cytoshift("evaluate", "--pred", single / "pred", "--truth", single / "truth", "--json"))
    assert told["report"] == str(single / "pred" / "report" / "evaluation.html")
    assert "1.0000" in checked(Path(told["report"]).read_text()).text
    assert "report in" in cytoshift(
        "evaluate", "--pred", single / "pred" / "0.tif", "--truth", single / "truth" / "0.tif"
    )
    assert (single / "pred" / "0.evaluation.html").exists()
    said = cytoshift("evaluate", "--pred", several / "pred", "--truth", several / "truth")
    assert all(f"evaluation-{name}.html" in said for name in ("golgi", "nuclei"))
    assert sorted(path.name for path in (several / "pred" / "report").iterdir()) == [
        "evaluation-golgi.html", "evaluation-nuclei.html",
    ]  # fmt: skip
    cytoshift("evaluate", "--pred", several / "pred", "--truth", several / "truth", "-o", tmp_path / "page.html")
    assert (tmp_path / "page-golgi.html").exists() and (tmp_path / "page-nuclei.html").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a file where its folder would be"):
        words = ("--json-file", tmp_path / "kept.json", "-o", tmp_path / "file" / "page.html")
        cytoshift("evaluate", "--pred", several / "pred", "--truth", several / "truth", *words)
    assert json.loads((tmp_path / "kept.json").read_text())["classes"]["golgi"]["mean"]["dice"] == 1
    said = cytoshift("evaluate", "--pred", single / "pred", "--truth", single / "truth", "--no-report")
    assert "Dice" in said and "report" not in said


def test_a_report_that_nobody_asked_for_stops_nothing(tmp_path, monkeypatch):
    _, truth = nuclei((40, 56), 8, 0)
    for place in ("truth", "pred"):
        write_labels(tmp_path / place / "0.tif", truth, UM, "yx")
    words = ("evaluate", "--pred", tmp_path / "pred", "--truth", tmp_path / "truth", "--quiet")
    with monkeypatch.context() as patch:
        patch.setattr("cytoshift.cli.evaluate_page.REPORT_BYTES_FACTOR", 1e6)
        assert "report in" not in cytoshift(*words)
    (tmp_path / "pred" / "report").write_text("a file where the folder would be")
    said = cytoshift(*words)
    assert "Dice" in said and "report in" not in said
    page = tmp_path / "pred" / "report" / "page.html"
    with pytest.raises(UserError, match="a file where its folder would be"):
        cytoshift(*words, "-o", page, "--json-file", tmp_path / "kept.json")
    assert json.loads((tmp_path / "kept.json").read_text())["mean"]["dice"] == 1


TINY = {"width": 4, "discriminator": 4, "hidden": 8, "blocks": 1, "stem": 3, "pool": 4}


def test_train_leaves_facts_that_grow_over_sessions(tmp_path):
    tifffile.imwrite(tmp_path / "0.tif", nuclei((40, 52), 8, 0)[0])
    data = {
        "method": "adgan", "data": {"images": {"paths": str(tmp_path / "0.tif")}}, "patch": [32, 32],
        "prior": {"diameter": [6, 12], "density": [0.002, 0.01]}, "represent": {"kind": "ternary"}, "options": TINY,
        "train": {"steps": 3, "batch": 1, "log_every": 1, "samples_every": 2, "checkpoint_every": 1},
    }  # fmt: skip
    out = tmp_path / "run"
    fit(parse(Run, data), out, quiet=True)
    data["train"]["steps"] = 5
    model = fit(parse(Run, data), out, quiet=True)
    facts = read_json(out / "facts.json")
    assert [(s["from_step"], s["to_step"]) for s in facts["sessions"]] == [(0, 3), (3, 5)]
    assert {"opening", "samples", "steps", "checkpoints", "thresholds and model"} <= set(
        facts["sessions"][1]["seconds"]
    )
    assert facts["images"]["each"][0]["shape"] == [40, 52] and set(facts["players"]) == {"generators", "discriminator"}
    card = read_json(model / "model.json")["card"]
    assert card["step"] == 5 and card["objects"][""]["origin"] == "synthetic masks"
    assert (out / "input.png").exists()
    found = checked(write_report(out).read_text())
    assert "over 2 sessions" in found.text and "Trained with AD-GAN, 5 steps." in found.text
    written = write_report(out).read_text()
    pred = tmp_path / "pred"
    cytoshift("segment", model, tmp_path / "0.tif", "-o", pred, "--quiet")
    assert "5 steps" in checked((pred / "report" / "report.html").read_text()).text and len(written) < 15e6


def test_layers_are_clear_but_for_what_they_show():
    labels = np.zeros((6, 8), int)
    labels[1:5, 1:5] = 7
    lines = outline_layer(labels, UM, (12, 16))
    assert lines.shape == (12, 16, 4) and lines[0, 0, 3] == 0 and lines[2, 4].tolist() == [255, 176, 0, 255]
    assert lines[5, 5, 3] == 0  # inside
    colours = value_layer(labels, {7: 0.75}, UM, (12, 16))
    assert colours[5, 5, :3].tolist() == list(colour_at(0.5)) and colours[0, 0, 3] == 0
    assert value_layer(labels, {}, UM, (12, 16)).max() == 0
    assert colour_at(-1) == (213, 94, 0) and colour_at(2) == (0, 114, 178)
