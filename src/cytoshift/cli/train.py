"""cytoshift train: from run.yaml to a trained model, continued where it was stopped."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    run: Annotated[Path, typer.Argument(help="The run.yaml, as written by 'cytoshift new'.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings laid over the file: train.steps=500 seed=1 ...")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Run folder; default: the file's name.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop there, counted over restarts.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Train a model. Killed at any moment, the same command goes on from the last checkpoint."""
    from ..core.settings import parse, read_yaml
    from ..train.fit import fit
    from ..train.settings import Run

    extra = [] if max_minutes is None else [f"train.max_minutes={max_minutes}"]
    settings = parse(Run, read_yaml(run, [*(overrides or []), *extra]), str(run))
    folder = out or Path("runs") / run.stem
    model = fit(settings, folder, quiet)
    typer.echo(f"model in {model}; next: cytoshift segment {model} IMAGES -o labels")
