"""cytoshift demo: the whole way once, on images made on the spot, with the commands to go it alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PRESET = "dense-2d"
IMAGES = 8
SHOWN = 3  # rows of the overview
SIZE = 256  # pixels of its pictures


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="folder for everything the demo makes")] = Path("demo"),
    minutes: Annotated[float, typer.Option(min=0.01, help="of training at most")] = 3.0,
) -> None:
    """Make phantoms, learn from them without labels, segment them, compare with their truth: a picture and a table.

    A second call on the same folder continues: what is there is kept, a training goes on where it stopped.
    """
    from . import evaluate, new, segment, synth, train

    out = Path(out)
    data, settings, run, pred, report = (out / name for name in ("data", "run.yaml", "run", "pred", "report.json"))
    images, labels, model = data / "images", data / "labels", run / "model"
    stage(
        "phantoms: images like a microscope's, with exact truth",
        f"synth {PRESET} -n {IMAGES} -o {data}",
        lambda: synth.synth(PRESET, data, IMAGES),
        data / "contact.png",
    )
    stage(
        "settings, measured on the raw images; no label is read",
        f"new adgan --images {images} -o {settings}",
        lambda: new.new("adgan", [str(images)], settings, overwrite=True),
        settings.with_suffix(".png"),
    )
    stage(
        f"training without labels, at most {minutes:g} minutes",
        f"train {settings} -o {run} --max-minutes {minutes:g}",
        lambda: train.train(settings, out=run, max_minutes=minutes),
        model / "model.json",
    )
    stage("instances", f"segment {model} {images} -o {pred}", lambda: segment.segment(model, [str(images)], pred))
    stage(
        "scores: only now is the truth opened",
        f"evaluate {pred} {labels} --json {report}",
        lambda: evaluate.evaluate(str(pred), str(labels), report),
    )
    scores = json.loads(report.read_text())
    floor = overview(out, scores)
    show(scores["mean"], floor)
    mean = scores["mean"]
    typer.echo(f"Dice {mean['dice']:.3f} · F1@0.5 {mean['f1_50']:.3f} · {out / 'overview.png'}")


def stage(title: str, command: str, work: Callable[[], Any], done: Path | None = None) -> None:
    """Say what comes and how to do it alone, then do it, unless its last file is there."""
    typer.secho(f"\n{title}", bold=True)
    typer.secho(f"$ cytoshift {command}", fg="cyan")
    if done is not None and done.exists():
        typer.echo(f"{done} is there already; remove it to have this made again")
    else:
        work()
