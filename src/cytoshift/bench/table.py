"""Numbers of finished cells -> results.json and a table in Markdown."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..core.machine import processor
from ..methods import KNOWN
from .cell import Cell
from .layout import SCORES
from .spec import Spec

COSTS = ("train_minutes", "segment_seconds", "labelled")

Row = dict[str, Any]


def gather_results(cells: Iterable[Cell], out: Path, read: Any) -> list[Row]:
    """Numbers of those cells that are done, in the order of the spec; read: path -> parsed cell.json."""
    rows: list[Row] = []
    for cell in cells:
        paths = (out / "cells" / cell.dataset.name).glob("*/cell.json")
        found = [path for path in paths if read(path)["settings"] == cell.settings()]
        if found:  # the same settings on files that have changed since: the newest counts
            rows.append(read(max(found, key=lambda path: path.stat().st_mtime)))
    return rows


def summary(spec: Spec, rows: list[Row]) -> dict[str, Any]:
    """What goes into results.json: per data set and method the mean and deviation over seeds, and every cell."""
    table = []
    for dataset in spec.datasets:
        for method in spec.methods:
            mine = [r for r in rows if result_key(r) == (dataset.name, method.name)]
            if mine:
                headline = spec.overview.score if spec.overview else "dice"
                numbers = columns(mine, headline)
                table.append({"dataset": dataset.name, "method": method.name, "seeds": len(mine), **numbers})
    return {"title": spec.title, "machine": machine_text(), "table": table, "papers": papers(rows), "cells": rows}


def papers(rows: list[Row]) -> list[str]:
    """BibTeX keys of the methods that were trained."""
    names = dict.fromkeys(row["settings"]["method"].get("method") for row in rows)
    return list(dict.fromkeys(key for name in names if name in KNOWN for key in KNOWN[name].papers))


def result_key(row: Row) -> tuple[str, str]:
    return row["settings"]["dataset"]["name"], row["settings"]["method"]["name"]


def columns(rows: list[Row], headline: str = "dice") -> dict[str, dict[str, float]]:
    """Mean and standard deviation (n - 1) over the cells of one data set and method; CPU hours of them all.

    Of several classes those of each stand beside their mean, as "golgi dice", and "pairs_f1" where pairs are scored.
    oracle: `headline` of the snapshot that is best by the truth, which nothing but this column knows; rule: of the one
    that the rule without labels chooses.
    """
    values = scores(rows)
    for name in rows[0].get("classes", {}):
        values |= {f"{name} {key}": found for key, found in scores([row["classes"][name] for row in rows]).items()}
    values["pairs_f1"] = [one["pairs_f1"] for row in rows for one in row.get("pairs", {}).values()]
    values["oracle"] = [
        max(score(one, headline) for one in row["snapshots"].values()) for row in rows if row.get("snapshots")
    ]
    values["rule"] = [score(row["snapshots"][row["rule"]], headline) for row in rows if "rule" in row]
    values |= {name: [row[name] for row in rows if name in row] for name in COSTS}
    values["minutes"] = [minutes(row) for row in rows]
    trained = [row for row in rows if "train_minutes" in row]
    if trained:
        values["cpu_hours"] = [sum(row["train_minutes"] * row.get("threads", 1) for row in trained) / 60]
    return {
        name: {"mean": fmean(v), **({"sd": stdev(v)} if len(v) > 1 else {})} for name, v in values.items() if v
    }  # fmt: skip


def minutes(row: Row) -> float:
    """Of the training of a cell, if there was one, and of all its images."""
    return float(row.get("train_minutes", 0.0)) + sum(image.get("seconds", 0.0) for image in row.get("images", ())) / 60


def scores(rows: list[Row]) -> dict[str, list[float]]:
    # Not all methods say how sure they are, and cells of old have nothing pooled.
    has = lambda row, name: "pooled" in row if name == "pooled_iou" else name in row["mean"]
    there = [name for name in SCORES if all(has(row, name) for row in rows)]
    return {name: [score(row, name) for row in rows] for name in there}


def score(row: Row, name: str) -> float:
    """Of one cell, or of one class of it."""
    return float(row["pooled"]["iou"] if name == "pooled_iou" else row["mean"][name])


def machine_text() -> dict[str, Any]:
    """What the minutes were taken on."""
    import torch

    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
