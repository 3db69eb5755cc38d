"""A spec from its first cell to its table. Stopped at any moment, it continues."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.processes import Workers, WorkersDied
from ..core.progress import Progress
from ..core.signals import handle_signals
from ..predict.external_recipes import UnfitSystem
from .cell import Cell, run_cell
from .dataset_spec import Dataset, Files, Stacks
from .datasets import Material, open_dataset
from .figures import draw_comparison, draw_label_curve
from .layout import READING, markdown
from .method_spec import Contender, begun_by, seeds_of
from .results_page import copy_pictures, update_page
from .spec import Spec, choose
from .table import gather_results, summary


def bench(
    spec: Spec,
    out: Path,
    data: Path | None = None,
    only: list[str] | None = None,
    page: Path | None = None,
    say: Callable[[str], None] = print,
    quiet: bool = False,
    jobs: int = 1,
) -> Path:
    """Run the cells that are not there yet; write OUT/results.json, OUT/results.md and OUT/pictures; return the table.

    data: folder that the spec's paths are relative to. only: names of data sets and methods. page: a page of several
    tables to put this one into. say: gets a line per cell. jobs: cells at a time, each with its share of the cores.
    A cell that fails does not stop the others; the first failure is raised as UserError at the end, when the tables
    are written.
    """
    datasets, methods = choose(spec, only or [])
    materials = {dataset.name: open_dataset(dataset, data, out / "data") for dataset in datasets}
    cells = cells_of(spec, datasets, methods)
    before = [cell for cell in cells if finished_cells([cell], materials[cell.dataset.name], out)]
    waiting = Counter(cell.dataset.name for cell in cells)
    failures = []
    # One cell at a time has a bar of its own
    with Progress("cells", len(cells) - len(before), quiet=quiet, plain=jobs == 1) as progress:
        progress.line()
        for cell, outcome in run_cells(cells, materials, data, out, quiet, jobs):
            if isinstance(outcome, UnfitSystem):  # nothing failed: the table says what it needs
                say(f"{cell.title}: left out, as {outcome}")
            elif isinstance(outcome, UserError):
                failures.append(f"{cell.title}: {outcome}")
                say(failures[-1])
            else:
                say(result_line(cell, outcome) + ", from before" * (cell in before))
                write_results(spec, out, page)
            waiting[cell.dataset.name] -= 1
            if not waiting[cell.dataset.name]:
                here = materials[cell.dataset.name]
                there = finished_cells(cells_of(spec, [cell.dataset], spec.methods), here, out)
                draw_comparison(here, there, out, spec.pictured_by)
                draw_label_curve(here, there, out)
            if cell not in before:
                progress.advance()
                progress.line()
    table = write_results(spec, out, page)
    if failures:
        raise UserError(f"{len(failures)} of the cells failed, the others are in {table}; the first was {failures[0]}")
    return table


Outcome = dict[str, Any] | UserError


def run_cells(
    cells: list[Cell], materials: dict[str, Material], data: Path | None, out: Path, quiet: bool, jobs: int
) -> Iterator[tuple[Cell, Outcome]]:
    """The numbers of every cell, or why there are none; as they come where several run at a time."""
    if jobs == 1:
        for cell in cells:
            yield cell, try_cell(cell, materials[cell.dataset.name], out, quiet)
        return
    import torch

    share = max(torch.get_num_threads() // jobs, 1)
    with Workers(jobs, tries=1) as workers:  # a cell takes long: what has killed it once is not tried again
        for wave in order_waves(cells):
            try:
                for number, outcome in workers.unordered(partial(try_cell_in_process, data, out, share), wave):
                    if wave[number] in cells:
                        yield wave[number], outcome
            except WorkersDied as error:
                raise UserError(
                    "a process that ran a cell was killed, often because memory ran out; the same command goes on, "
                    f"with fewer `jobs` than {jobs}"
                ) from error


def order_waves(cells: list[Cell]) -> tuple[list[Cell], list[Cell]]:
    """What others go on from before the others, each once, so that no two processes train the same."""
    first = [cell for cell in cells if cell.before is None]
    for cell in cells:
        if cell.before is not None and cell.before not in first:
            first.append(cell.before)
    return first, [cell for cell in cells if cell.before is not None]


def try_cell(cell: Cell, here: Material, out: Path, quiet: bool) -> Outcome:
    try:
        return run_cell(cell, here, out, quiet)
    except UserError as error:
        return error


def try_cell_in_process(data: Path | None, out: Path, threads: int, cell: Cell) -> Outcome:
    """`try_cell` in a process of its own, with its share of the cores and progress that nobody sees.

    Asked to end, a training does so after its step, with a checkpoint.
    """
    import torch

    torch.set_num_threads(threads)
    with handle_signals((signal.SIGTERM,)):
        return try_cell(cell, open_dataset(cell.dataset, data, out / "data"), out, quiet=True)


def cells_of(spec: Spec, datasets: list[Dataset], methods: list[Contender]) -> list[Cell]:
    """In the order of the spec; what does not train has no seeds."""
    named = {method.name: method for method in spec.methods}

    def cell(dataset: Dataset, method: Contender, seed: int | None, fold: tuple[int, ...]) -> Cell:
        needed = begun_by(method)
        return Cell(dataset, method, seed, cell(dataset, named[needed], seed, fold) if needed else None, fold)

    return [
        cell(dataset, method, seed, fold)
        for dataset in datasets
        for method in methods
        for fold in folds_of(dataset)
        for seed in seeds_of(method, spec.seeds)
    ]


def folds_of(dataset: Dataset) -> list[tuple[int, ...]]:
    """The outer folds; of a data set without any, the whole."""
    count = dataset.folds if isinstance(dataset, Files | Stacks) else None
    return [(number,) for number in range(count)] if count else [()]


def finished_cells(cells: list[Cell], here: Material, out: Path) -> list[tuple[Cell, dict[str, Any]]]:
    """Those cells whose numbers are there, whichever run made them."""
    paths = [(cell, cell.folder(out, here.files) / "cell.json") for cell in cells]
    return [(cell, json.loads(path.read_text())) for cell, path in paths if path.exists()]


def result_line(cell: Cell, numbers: dict[str, Any]) -> str:
    mean = numbers["mean"]
    took = f", {numbers['train_minutes']:.1f} minutes of training" if "train_minutes" in numbers else ""
    return f"{cell.title}: Dice {mean['dice']:.3f} · F1@0.5 {mean['f1_50']:.3f}{took}"


def write_results(spec: Spec, out: Path, page: Path | None) -> Path:
    """Tables of all that is done so far, whichever run did it."""
    rows = gather_results(
        cells_of(spec, spec.datasets, spec.methods), out, cache(lambda path: json.loads(path.read_text()))
    )
    results = summary(spec, rows)
    pictures, curves = existing_pictures(spec, out, ""), existing_pictures(spec, out, "-parts")
    relative = [{name: path.relative_to(out) for name, path in paths.items()} for paths in (pictures, curves)]
    text = markdown(spec, results, *relative)
    files = {"results.json": json.dumps(results, indent=1), "results.md": f"# Results\n\n{READING}\n\n{text}"}
    for name, content in files.items():
        with atomic_path(out / name) as beside:
            beside.write_text(content)
    if page is not None:
        update_page(page, spec, markdown(spec, results, *copy_pictures(page, spec, pictures, curves)))
    return out / "results.md"


def existing_pictures(spec: Spec, out: Path, end: str) -> dict[str, Path]:
    """Pictures of one kind that are there, by data set."""
    paths = {d.name: out / "pictures" / f"{d.name}{end}.png" for d in spec.datasets}
    return {name: path for name, path in paths.items() if path.exists()}
