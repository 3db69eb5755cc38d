"""cytoshift demo: the whole way once, on images made on the spot, with the commands to go it alone."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError
from .staging import numbers, show, stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data.volumes import Volume
    from ..model import Segmenter
    from ..train.run_settings import Run

    Mask = NDArray[np.float32]

PRESET = "sparse-2d"
IMAGES = 8  # that are drawn to learn from and to segment
SHOWN = 3  # rows of the overview
SIZE = 256  # pixels of its pictures


STEPS = {"adgan": 650, "cysgan": 150}  # of training; the learning rate falls to their end


def demo(
    method: Annotated[
        str, typer.Argument(help="adgan: without labels; cysgan: with labels of another modality.")
    ] = "adgan",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Output folder; default: demo[-METHOD].")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps; default: 650, cysgan 150.")] = None,
) -> None:
    """Make images, train without their labels, segment them, and compare with the truth: a picture and a table.

    The same command continues a demo that was stopped.
    """
    from .demo_cysgan import demo_cysgan

    ways = {"adgan": demo_adgan, "cysgan": demo_cysgan}
    if method not in ways:
        raise UserError(f"there is no demo of '{method}', only of {', '.join(ways)}; pass one of them")
    folder = Path("demo" if method == "adgan" else f"demo-{method}") if out is None else out
    ways[method](folder, STEPS[method] if steps is None else steps)


def demo_adgan(out: Path, steps: int) -> None:
    """Make phantoms, learn from them without labels, segment them, compare with their truth."""
    from . import evaluate, new, segment, synth, train, trust
    from . import run as run_verb

    data, settings, run, pred, report = (out / name for name in ("data", "run.yaml", "run", "pred", "report.json"))
    first = out / "first" / "labels"
    images, labels, model = data / "images", data / "labels", run / "model"
    stage(
        "phantoms: images like a microscope's, with exact truth",
        ["synth", PRESET, "-n", IMAGES, "-o", data],
        lambda: synth.synth(PRESET, data, IMAGES),
        data / "contact.png",
    )
    stage(
        "labels at once: five ways that were not trained on these images, and a vote",
        ["run", images, "-o", first.parent, "--budget", "0"],
        lambda: run_verb.run([str(images)], first.parent, budget="0"),
        first / "report" / "report.html",
    )
    stage(
        "settings, measured on the raw images; no label is read",
        ["new", "adgan", "--images", images, "-o", settings],
        lambda: new.new("adgan", [str(images)], out=settings, overwrite=True),
        settings.with_suffix(".png"),
    )
    stage(
        f"training without labels, {steps} steps",
        ["train", settings, f"train.steps={steps}", "-o", run],
        lambda: train.train(settings, [f"train.steps={steps}"], out=run),
        model / "model.json",
    )
    again = pred.exists()  # perhaps of another training: made anew in seconds
    stage(
        "instances",
        ["segment", model, images, "-o", pred, *["--overwrite"] * again],
        lambda: segment.segment(model, [str(images)], pred, overwrite=again),
    )
    stage(
        "how good is that? still no label is read",
        ["trust", pred, images, "--model", model],
        lambda: trust.trust(str(pred), [str(images)], model),
    )
    stage(
        "scores: only now is the truth opened",
        ["evaluate", labels, pred, "--json-file", report, "--images", images],
        lambda: evaluate.evaluate([str(labels), str(pred)], json_file=report, images=str(images)),
    )
    scores, judged = json.loads(report.read_text()), json.loads((pred / "report" / "trust.json").read_text())
    mean = scores["mean"]
    floor, voted = overview(out, scores)
    show(IMAGES, {"AD-GAN, without labels": mean, "vote of the first minute": voted, "classical": floor})
    typer.echo(
        f"Dice {mean['dice']:.3f} · F1@0.5 {mean['f1_50']:.3f}, estimated without labels: {judged['score']:.2f} · "
        f"{out / 'overview.png'} · {pred / 'report' / 'report.html'}"
    )


def overview(out: Path, scores: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Draw OUT/overview.png; return the mean scores of the classical pipeline and of the first vote on the same
    images."""
    from ..core.settings import parse, read_yaml
    from ..data.volumes import open_labels, open_volumes
    from ..draw import image_grid, outline, save_png, thumbnail
    from ..metrics.evaluation import evaluate, mean_report
    from ..model import Segmenter
    from ..predict.classical import segment_classically
    from ..train.run_settings import Run

    run, segmenter = parse(Run, read_yaml(out / "run.yaml")), Segmenter.load(out / "run" / "model")
    truths, preds, first = (
        {v.name: v for v in open_labels(out / name)} for name in ("data/labels", "pred", "first/labels")
    )
    of = {image["name"]: image for image in scores["images"]}
    rows, captions, reports, voted = [], [], [], []
    for index, volume in enumerate(open_volumes(out / "data" / "images")):
        image, truth = volume.load(), truths[volume.name].load()
        floor = segment_classically(image, volume.voxel)
        reports.append(evaluate(truth, floor))
        voted.append(evaluate(truth, first[volume.name].load()))
        if index < SHOWN:
            drawn, seen = masks(run, segmenter, volume, index)
            gray = [thumbnail(mask, volume.voxel, size=SIZE, limits=(0.0, 1.0), bar=False) for mask in (drawn, seen)]
            found = [outline(image, o, truth, volume.voxel, size=SIZE) for o in (preds[volume.name].load(), floor)]
            rows.append([thumbnail(image, volume.voxel, size=SIZE), *gray, *found])
            captions.append([volume.name, "", "", numbers(of[volume.name]), numbers(reports[-1].as_dict())])
    titles = ["image", "a synthetic mask", "image turned into a mask", "instances", "classical: Otsu and watershed"]
    heading = "Learnt from the images alone. Instances: prediction amber, truth blue, both white."
    save_png(out / "overview.png", image_grid(rows, titles=titles, captions=captions, heading=heading))
    return mean_report(reports), mean_report(voted)


def masks(run: "Run", segmenter: "Segmenter", volume: "Volume", index: int) -> "tuple[Mask, Mask]":
    """A mask as the training drew them, and the image as the network turns it into one; both (Y, X) in [0, 1]."""
    from ..core.rng import stream
    from ..predict.pipeline import Options, Pipeline, measure_scale
    from ..synth import draw_labels

    raw = volume.load()
    assert run.prior is not None, "AD-GAN has one"
    labels = draw_labels(run.prior, raw.shape, volume.voxel, stream(run.seed, "overview", index))
    scale = measure_scale(segmenter, volume, raw)
    seen = Pipeline.of_image(segmenter, scale(raw), volume.voxel, Options()).channels()
    return run.represent.encode(labels, volume.voxel)[0], seen[0]
