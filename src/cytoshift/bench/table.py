"""Numbers of finished cells -> results.json and a table in Markdown."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..core.machine import processor
from .cell import Cell
from .spec import Spec

SCORES = {
    "dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall", "f1_50": "F1@0.5", "ap_50": "AP-50",
    "pq": "PQ",
}  # fmt: skip
COSTS = {"train_minutes": "train minutes", "cpu_hours": "CPU hours", "segment_seconds": "segment seconds"}
READING = (
    "Scores are means over the images; mean ± standard deviation over the seeds where there are several. Dice, "
    "IoU, precision and recall count pixels, F1@0.5 and PQ objects matched at an IoU of 0.5, AP-50 ranks objects by "
    "size. CPU hours are those of the trainings of all seeds together, segment seconds the median per image. The truth "
    "is opened for scoring only."
)

Row = dict[str, Any]


def gathered(cells: Iterable[Cell], out: Path, read: Any) -> list[Row]:
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
            mine = [r for r in rows if where(r) == (dataset.name, method.name)]
            if mine:
                table.append({"dataset": dataset.name, "method": method.name, "seeds": len(mine), **columns(mine)})
    return {"title": spec.title, "machine": machine(), "table": table, "cells": rows}


def where(row: Row) -> tuple[str, str]:
    return row["settings"]["dataset"]["name"], row["settings"]["method"]["name"]


def columns(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (n - 1) over the cells of one data set and method; CPU hours of them all."""
    values = {name: [row["mean"][name] for row in rows] for name in SCORES}
    values |= {name: [row[name] for row in rows if name in row] for name in ("train_minutes", "segment_seconds")}
    trained = [row for row in rows if "train_minutes" in row]
    if trained:
        values["cpu_hours"] = [sum(row["train_minutes"] * row.get("threads", 1) for row in trained) / 60]
    return {
        name: {"mean": fmean(v), **({"sd": stdev(v)} if len(v) > 1 else {})} for name, v in values.items() if v
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """What the minutes were taken on."""
    import torch

    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def markdown(spec: Spec, results: dict[str, Any], pictures: dict[str, Path], curves: dict[str, Path]) -> str:
    """One table per data set; pictures, curves: data set -> path of its sheet or curve, relative to the page."""
    lines = [f"## {spec.title}", ""]
    if spec.note:
        lines += [spec.note.strip(), ""]
    heads = ["method", "seeds", *SCORES.values(), *COSTS.values()]
    for dataset in spec.datasets:
        mine = [row for row in results["table"] if row["dataset"] == dataset.name]
        if not mine:
            continue
        images = next(r["images"] for r in results["cells"] if r["settings"]["dataset"]["name"] == dataset.name)
        objects = sum(image["truth_objects"] for image in images)
        count = f"{len(images)} image{'s' * (len(images) > 1)}, {objects} objects"
        lines += [f"### {dataset.name} ({count})", "", bar(heads), bar(["---"] + ["---:"] * (len(heads) - 1))]
        for row in mine:
            scores = [spread(row.get(name), 3) for name in SCORES] + [spread(row.get(name), 2) for name in COSTS]
            lines.append(bar([row["method"], str(row["seeds"]), *scores]))
        lines.append("")
        if dataset.name in pictures:
            lines += [f"![{dataset.name}: truth blue, prediction amber, both white]({pictures[dataset.name]})", ""]
        if dataset.name in curves:
            lines += [f"![{dataset.name}: score against the part of the labels]({curves[dataset.name]})", ""]
    on = results["machine"]
    lines += [f"Measured on {on['cores']} cores of {on['cpu']} with torch {on['torch']}.", ""]
    return "\n".join(lines)


def bar(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def spread(value: dict[str, float] | None, digits: int) -> str:
    if value is None:
        return ""
    mean = f"{value['mean']:.{digits}f}"
    return mean + (f" ± {value['sd']:.{digits}f}" if "sd" in value else "")
