"""What the demos share: stages that are said and done once, and scores side by side."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .console import say

COLUMNS = {
    "dice": "Dice", "precision": "precision", "recall": "recall", "f1_50": "F1@0.5", "ap_50": "AP-50", "pq": "PQ",
}  # fmt: skip


def stage(title: str, words: list[Any], work: Callable[[], Any], done: Path | None = None) -> None:
    """Say what comes and how to do it alone, then do it, unless its last file is there."""
    say(f"\n{title}", bold=True)
    say(f"$ cytoshift {shlex.join(map(str, words))}", fg="cyan")
    if done is not None and done.exists():
        say(f"{done} already exists; remove it to make it again")
    else:
        work()


def numbers(report: dict[str, float]) -> str:
    return f"Dice {report['dice']:.3f}, F1@0.5 {report['f1_50']:.3f}"


def show(images: int, rows: dict[str, dict[str, float]]) -> None:
    """Mean scores of several ways, one below the other."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"\nmean of {images} images", title_justify="left")
    table.add_column("")
    for head in COLUMNS.values():
        table.add_column(head, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[key]:.3f}" for key in COLUMNS))
    Console().print(table)
