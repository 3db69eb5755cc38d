"""cytoshift bench: data set x method x seed, into a table with pictures."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from . import inputs
from .console import conclude, say


def bench(
    spec: Annotated[Path, typer.Argument(help="SPEC.yaml: data sets, methods, seeds; see benchmarks/specs.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the results.")],
    data: Annotated[Path | None, typer.Option(help="Folder to which the paths of the spec are relative.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="A data set or method of the spec; repeatable.")] = None,
    page: Annotated[Path | None, typer.Option(help="Page of several tables that this table is added to.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells that run at a time; they share the cores.")] = 1,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Compare methods. The same command continues a benchmark that was stopped; finished cells are kept."""
    from ..bench.paths import refuse_foreign_folder, refuse_places
    from ..bench.runner import bench as run
    from ..bench.spec import read_spec
    from ..core.errors import UserError
    from ..core.lock import lock_outputs
    from ..core.signals import explain_stop
    from ..report import write_report

    tell = partial(say, err=True) if as_json else say
    wish = read_spec(spec)
    refuse_places(spec, wish, out, data, page)
    with lock_outputs(out), explain_stop(lambda: "cells that are finished are kept, the same command goes on"):
        refuse_foreign_folder(out)
        try:
            table = run(wish, out, data, only, page, tell, quiet, jobs)
        except UserError:
            if (out / "results.json").exists():  # some cells failed: what the others gave is shown
                write_report(out)
            raise
        shown = write_report(out)
    conclude(as_json, f"{table} and pictures beside it, report in {shown}", verb="bench", table=table, report=shown,
             results=out / "results.json")  # fmt: skip
