"""cytoshift train: from run.yaml to a trained model, continued where it was stopped."""

from pathlib import Path
from typing import Annotated

import typer

from . import inputs
from .console import conclude


def train(
    run: Annotated[Path, typer.Argument(help="The run.yaml, as written by 'cytoshift new'.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings that replace those of the file: train.steps=500 seed=1 ...")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Run folder; default: the file's name.")] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Stop after this time, restarts included. A slow machine then trains fewer steps."),
    ] = None,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Train a model and write a report. The same command continues a training that was stopped."""
    from ..core.errors import UserError
    from ..core.lock import OutputBusy
    from ..core.settings import parse, read_yaml
    from ..core.signals import explain_stop
    from ..report import write_report
    from ..train.fit import fit
    from ..train.run_settings import Run

    extra = [] if max_minutes is None else [f"train.max_minutes={max_minutes}"]
    settings = parse(Run, read_yaml(run, [*(overrides or []), *extra]), str(run))
    folder = out or Path("runs") / run.stem
    before = (folder / "log.jsonl").stat().st_mtime_ns if (folder / "log.jsonl").exists() else 0
    try:
        with explain_stop(lambda: "the last checkpoint is kept, the same command goes on from there"):
            model = fit(settings, folder, quiet, run)
    except OutputBusy:
        raise
    except UserError:
        log = folder / "log.jsonl"
        if log.exists() and log.stat().st_mtime_ns != before:  # it trained and failed: the curves say how
            write_report(folder)
        raise
    page = write_report(folder)
    words = f"model in {model}, report in {page}; next: cytoshift segment {model} IMAGES -o labels"
    conclude(as_json, words, verb="train", model=model, report=page, run=folder)
