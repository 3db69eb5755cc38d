"""A spec from its first cell to its table. Stopped at any moment, it continues."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..core.atomic import replacing
from ..core.errors import UserError
from .cell import Cell, run_cell
from .data import Material, material
from .pictures import draw
from .spec import Contender, Dataset, Spec, Trained, choose
from .table import READING, gathered, into_page, markdown, summary


def bench(
    spec: Spec,
    out: Path,
    data: Path | None = None,
    only: list[str] | None = None,
    page: Path | None = None,
    say: Callable[[str], None] = print,
    quiet: bool = False,
) -> Path:
    """Run the cells that are not there yet; write OUT/results.json, OUT/results.md and OUT/pictures; return the table.

    data: folder that the spec's paths are relative to. only: names of data sets and methods. page: a page of several
    tables to put this one into. say: gets a line per cell. A cell that fails does not stop the others; the first
    failure is raised as UserError at the end, when the tables are written.
    """
    datasets, methods = choose(spec, only or [])
    failures = []
    for dataset in datasets:
        here = material(dataset, data, out / "data")
        for cell in cells_of(spec, [dataset], methods):
            before = bool(finished([cell], here, out))
            try:
                numbers = run_cell(cell, here, out, quiet)
            except UserError as error:
                failures.append(f"{cell.title}: {error}")
                say(failures[-1])
                continue
            say(line(cell, numbers) + ", from before" * before)
            write(spec, out, page)
        draw(here, finished(cells_of(spec, [dataset], spec.methods), here, out), out)
    table = write(spec, out, page)
    if failures:
        raise UserError(f"{len(failures)} of the cells failed, the others are in {table}; the first was {failures[0]}")
    return table


def cells_of(spec: Spec, datasets: list[Dataset], methods: list[Contender]) -> list[Cell]:
    """In the order of the spec; what does not train has no seeds."""
    return [
        Cell(dataset, method, seed)
        for dataset in datasets
        for method in methods
        for seed in (spec.seeds if isinstance(method, Trained) else [None])
    ]


def finished(cells: list[Cell], here: Material, out: Path) -> list[tuple[Cell, dict[str, Any]]]:
    """Those cells whose numbers are there, whichever run made them."""
    paths = [(cell, cell.folder(out, here.files) / "cell.json") for cell in cells]
    return [(cell, json.loads(path.read_text())) for cell, path in paths if path.exists()]


def line(cell: Cell, numbers: dict[str, Any]) -> str:
    mean = numbers["mean"]
    took = f", {numbers['train_minutes']:.1f} minutes of training" if "train_minutes" in numbers else ""
    return f"{cell.title}: Dice {mean['dice']:.3f} · F1@0.5 {mean['f1_50']:.3f}{took}"


def write(spec: Spec, out: Path, page: Path | None) -> Path:
    """Tables of all that is done so far, whichever run did it."""
    rows = gathered(cells_of(spec, spec.datasets, spec.methods), out, cache(lambda path: json.loads(path.read_text())))
    results = summary(spec, rows)
    sheets = {d.name: Path("pictures") / f"{d.name}.png" for d in spec.datasets}
    text = markdown(spec, results, {name: path for name, path in sheets.items() if (out / path).exists()})
    files = {"results.json": json.dumps(results, indent=1), "results.md": f"# Results\n\n{READING}\n\n{text}"}
    for name, content in files.items():
        with replacing(out / name) as beside:
            beside.write_text(content)
    if page is not None:  # without pictures: real data keep their licence, and are not the page's to show
        into_page(page, spec, markdown(spec, results, {}))
    return out / "results.md"
