"""cytoshift demo cysgan: labels of electron microscopy for expansion microscopy, on a pair made on the spot."""

import json
from pathlib import Path
from typing import Any

import typer

from .staging import numbers, show, stage

PAIR = "em-to-expansion-2d"
IMAGES = 8  # on each side
SHOWN = 3  # rows of the overview
SIZE = 256  # pixels of its pictures
START = "nuclei-2d"  # both networks begin from the generalist of the package
PLAIN = "source.appearance.repaint=0"  # not adapted: it sees the source as it is
WAYS = {"cysgan": "CySGAN", "supervised": "the same network, not adapted"}
# Ways that learn nothing here, by the folders of `cytoshift run`.
AT_ONCE = {
    "labels": "vote of the first minute", "voters/network": "the generalist of the package",
    "voters/otsu": "classical, Otsu", "voters/local-threshold": "classical, local threshold",
}  # fmt: skip
VOTED = "vote, with CySGAN as a voter"


def demo_cysgan(out: Path, steps: int) -> None:
    """Make the pair, learn from the source's labels and the target's raw images, segment, compare with the truth."""
    from . import run, synth

    data, first = out / "data", out / "first"
    target = data / "target"
    stage(
        "a pair of modalities: electron microscopy with labels, expansion microscopy without",
        ["synth", PAIR, "-n", IMAGES, "-o", data],
        lambda: synth.synth(PAIR, data, IMAGES),
        data / "contact.png",
    )
    stage(
        "labels at once: five ways that learn nothing here, and a vote",
        ["run", target / "images", "-o", first, "--budget", "0"],
        lambda: run.run([str(target / "images")], first, budget="0"),
        first / "labels" / "report" / "report.html",
    )
    scores = {
        "cysgan": way("cysgan", data, out, steps),
        "supervised": way("supervised", data, out, steps, PLAIN),
    }
    voted = vote_with_cysgan(out)
    overview(out, scores)
    rows = {WAYS[name]: scores[name]["mean"] for name in WAYS}
    found = {VOTED: voted} | {words: first / folder for folder, words in AT_ONCE.items()}
    show(IMAGES, rows | {words: mean_scores(target / "labels", labels) for words, labels in found.items()})
    mean = scores["cysgan"]["mean"]
    figures = f"Dice {mean['dice']:.3f} · F1@0.5 {mean['f1_50']:.3f} · AP-50 {mean['ap_50']:.3f}"
    typer.echo(f"{figures} · {out / 'overview.png'}")


def vote_with_cysgan(out: Path) -> Path:
    """CySGAN's labels are one more voter beside those that learn nothing; the folder of the vote."""
    from . import vote

    voted = out / "voted"
    each = [str(path) for path in sorted((out / "first" / "voters").iterdir()) if path.is_dir()]
    each.append(str(out / "pred-cysgan"))
    again = voted.exists()
    stage(
        "a vote on all of them",
        ["vote", *each, "-o", voted, *["--overwrite"] * again],
        lambda: vote.vote(each, voted, overwrite=again),
    )
    return voted


def mean_scores(truth: Path, labels: Path) -> dict[str, float]:
    """Means over the images, as `evaluate` has them."""
    from ..data.volumes import open_labels
    from ..metrics.evaluation import evaluate, mean_report

    found = {volume.name: volume for volume in open_labels(labels)}
    return mean_report([evaluate(one.load(), found[one.name].load()) for one in open_labels(truth)])


def way(method: str, data: Path, out: Path, steps: int, *changes: str) -> dict[str, Any]:
    """From settings to scores, with these changes of the settings; returns what evaluate writes."""
    from . import evaluate, new, segment, train

    settings, run, pred, report = (
        out / f"{method}.yaml",
        out / method,
        out / f"pred-{method}",
        out / f"report-{method}.json",
    )
    changed = [f"train.steps={steps}", *changes]
    source, target = (str(data / "source" / "images"), str(data / "source" / "labels")), data / "target"
    stage(
        f"{WAYS[method]}: settings; size and polarity are measured on both sides",
        ["new", method, "--source", *source, "--target", target / "images", "--start", START, "-o", settings],
        lambda: new.new(method, [str(target / "images")], source, settings, start=START),
        settings.with_suffix(".png"),
    )
    stage(
        f"training, {steps} steps",
        ["train", settings, *changed, "-o", run],
        lambda: train.train(settings, changed, out=run),
        run / "model" / "model.json",
    )
    again = pred.exists()  # perhaps of another training: made anew in seconds
    stage(
        "instances of the target",
        ["segment", run / "model", target / "images", "-o", pred, *["--overwrite"] * again],
        lambda: segment.segment(run / "model", [str(target / "images")], pred, overwrite=again),
    )
    stage(
        "scores: only now is the target's truth opened",
        ["evaluate", target / "labels", pred, "--json-file", report, "--images", target / "images"],
        lambda: evaluate.evaluate([str(target / "labels"), str(pred)], json_file=report, images=str(target / "images")),
    )
    return dict(json.loads(report.read_text()))


def overview(out: Path, scores: dict[str, Any]) -> None:
    """Draw OUT/overview.png: the labelled source, the target, and what was found in it."""
    from ..data.volumes import open_labels, open_volumes
    from ..draw import image_grid, outline, save_png, thumbnail

    sources, targets = (open_volumes(out / "data" / side / "images") for side in ("source", "target"))
    lent, truths = (open_labels(out / "data" / side / "labels") for side in ("source", "target"))
    found = {name: {v.name: v for v in open_labels(out / f"pred-{name}")} for name in WAYS}
    of = {name: {image["name"]: image for image in scores[name]["images"]} for name in WAYS}
    rows, captions = [], []
    for source, labels, target, truth in list(zip(sources, lent, targets, truths))[:SHOWN]:
        image, true, voxel = target.load(), truth.load(), target.voxel
        rows.append([
            outline(source.load(), labels.load(), voxel=source.voxel, size=SIZE),
            thumbnail(image, voxel, size=SIZE),
            *(outline(image, found[name][target.name].load(), true, voxel, size=SIZE) for name in WAYS),
        ])  # fmt: skip
        captions.append(["", target.name, *(numbers(of[name][target.name]) for name in WAYS)])
    titles = ["source with its labels", "target", *WAYS.values()]
    heading = (
        "Learnt from labels of the source, without labels of the target. Prediction amber, truth blue, both white."
    )
    save_png(out / "overview.png", image_grid(rows, titles=titles, captions=captions, heading=heading))
