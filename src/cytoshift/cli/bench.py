"""cytoshift bench: data set x method x seed, into a table with pictures."""

from pathlib import Path
from typing import Annotated

import typer


def bench(
    spec: Annotated[Path, typer.Argument(help="SPEC.yaml: data sets, methods, seeds; see benchmarks/specs.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the results.")],
    data: Annotated[Path | None, typer.Option(help="Folder that the spec's paths are relative to.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="A data set or method of the spec; repeatable.")] = None,
    page: Annotated[Path | None, typer.Option(help="Page of several tables to put this one into.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells at a time; each has its share of the cores.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress of the trainings.")] = False,
) -> None:
    """Compare methods. Stopped at any moment, the same command goes on; what is finished is not done again."""
    from ..bench.run import bench as run
    from ..bench.spec import read_spec

    table = run(read_spec(spec), out, data, only, page, typer.echo, quiet, jobs)
    typer.echo(f"{table} and pictures beside it")
