"""cytoshift demo: every stage with the command that repeats it, and a folder that a second call continues."""

import json

import pytest

from cytoshift.cli import demo, demo_cysgan, staging
from cytoshift.core.errors import UserError


def test_a_stage_names_its_command_and_is_not_done_twice(tmp_path, capsys):
    calls = []
    last = tmp_path / "last.txt"
    staging.stage("title", ["verb", "-o", "my out"], lambda: calls.append(last.write_text("")), last)
    staging.stage("title", ["verb", "-o", "my out"], lambda: calls.append(None), last)
    printed = capsys.readouterr().out
    assert len(calls) == 1 and printed.count("$ cytoshift verb -o 'my out'") == 2
    assert f"{last} already exists; remove it to make it again" in printed


@pytest.mark.slow
def test_the_whole_way_and_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "IMAGES", 2)
    out = tmp_path / "demo"
    demo.demo(out=out, steps=8)
    first = capsys.readouterr().out
    for verb in ("synth", "run", "new", "train", "segment", "trust", "evaluate"):
        assert f"$ cytoshift {verb} " in first
    mean = json.loads((out / "report.json").read_text())["mean"]
    told = json.loads((out / "pred" / "report" / "trust.json").read_text())["score"]
    end = (
        f"Dice {mean['dice']:.3f} · F1@0.5 {mean['f1_50']:.3f}, estimated without labels: {told:.2f} · "
        f"{out / 'overview.png'} · {out / 'pred' / 'report' / 'report.html'}"
    )
    assert first.splitlines()[-1] == end
    for name in ("data/contact.png", "run.yaml", "run.png", "run/model/model.json", "pred", "overview.png"):
        assert (out / name).exists()
    demo.demo(out=out, steps=8)
    again = capsys.readouterr().out
    assert again.count("already exists") == 4 and again.splitlines()[-1] == end


@pytest.mark.slow
def test_the_whole_way_with_borrowed_labels(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo_cysgan, "IMAGES", 2)
    out = tmp_path / "demo"
    demo.demo("cysgan", out, steps=8)
    printed = capsys.readouterr().out
    for method in ("cysgan", "supervised"):
        assert f"$ cytoshift new {method} --source" in printed and (out / f"report-{method}.json").exists()
    assert f"$ cytoshift run {out / 'data'}" in printed and f"$ cytoshift vote {out / 'first'}" in printed
    table = printed.rpartition("mean of 2 images")[2]  # long names are wrapped
    assert all(word in table for word in ("network", "CySGAN", "vote", "minute", "generalist", "Otsu", "local"))
    mean = json.loads((out / "report-cysgan.json").read_text())["mean"]
    assert printed.splitlines()[-1].startswith(f"Dice {mean['dice']:.3f} · ")
    assert (out / "overview.png").exists()


def test_a_demo_that_does_not_exist():
    with pytest.raises(UserError, match="there is no demo of 'ynot', only of adgan, cysgan; pass one of them"):
        demo.demo("ynot")
