"""The page of a benchmark, from its folder: results.json, pictures, and the logs of the trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.json_files import read_json
from ..core.text import count_of
from .citations import keys_of
from .logs import read_log
from .parts import copy_entries, flatten_settings, format_time
from .pictures import Album

SCORES = {
    "dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall", "f1_50": "F1@0.5", "ap_50": "AP-50",
    "pq": "PQ", "rule": "rule", "oracle": "oracle (best on test)",
    "train_minutes": "train minutes", "cpu_hours": "CPU hours", "segment_seconds": "segment seconds",
}  # fmt: skip
COSTS = ("train_minutes", "cpu_hours", "segment_seconds")
SCORE = "f1_50"  # is drawn
SHEET_PIXELS = 2600  # pixels of a picture's longer side: it has several columns
SHEET_BYTES = 260_000  # bytes that a sheet of samples may take


def is_benchmark(folder: Path) -> bool:
    return "table" in read_json(folder / "results.json")


def context(folder: Path, album: Album) -> dict[str, Any]:
    """What the template shows."""
    results = read_json(folder / "results.json")
    rows, cells = results["table"], results.get("cells", [])
    names = list(dict.fromkeys(row["dataset"] for row in rows))
    methods = dict.fromkeys(cell["settings"]["method"].get("method", "") for cell in cells)
    keys = results.get("papers") or dict.fromkeys(key for name in methods for key in keys_of({"method": name}))
    minutes = sum(cell.get("train_minutes", 0.0) for cell in cells)
    return {
        "kind": "Benchmark", "title": results.get("title", folder.resolve().name),
        "lead": f"{count_of(len(names), 'data set')}, {len({row['method'] for row in rows})} methods, "
                f"{len(cells)} cells. Scores are means over images; points are seeds.",
        "figures": [("data sets" if len(names) > 1 else "data set", str(len(names))), ("cells", str(len(cells))),
                    *([("of training", format_time(60 * minutes))] if minutes else [])],
        "datasets": [dataset_section(name, rows, cells, folder, album) for name in names],
        "trainings": training_viewers(folder, album),
        "machine": flatten_settings(results.get("machine", {})),
        "versions": [("cytoshift", v) for v in dict.fromkeys(cell.get("cytoshift", "") for cell in cells) if v],
        "settings": [row for name, one in settings_of(cells).items() for row in flatten_settings(one, name)],
        "methods": paragraph(names, cells), "papers": copy_entries(tuple(keys)),
    }  # fmt: skip


def dataset_section(
    name: str, rows: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]], folder: Path, album: Album
) -> dict[str, Any]:
    """A table, points, and pictures of one data set."""
    mine = [row for row in rows if row["dataset"] == name]
    there = [cell for cell in cells if cell["settings"]["dataset"]["name"] == name]
    points = {
        row["method"]: [cell["mean"][SCORE] for cell in there if cell["settings"]["method"]["name"] == row["method"]]
        for row in mine
    }
    images = images_of(there[0]) if there else []
    shown = {
        "": f"{name}: images and what each method found; prediction amber, truth blue, both white",
        "-parts": f"{name}: score against the part of the target's labels",
    }
    pictures = [album.sheet(folder / "pictures" / f"{name}{end}.png", alt, SHEET_PIXELS) for end, alt in shown.items()]
    known = {**SCORES, **{key: key for row in mine for key, value in row.items() if isinstance(value, dict)}}
    names = {key: SCORES.get(key, key) for key in known if any(key in row for row in mine)}
    columns = list(names)
    best = {key: max(row[key]["mean"] for row in mine if key in row) for key in columns if key not in COSTS}
    return {
        "name": name,
        "images": len(images),
        "objects": objects_in(images),
        "heads": list(names.values()),
        "rows": [
            {
                "method": row["method"],
                "seeds": row["seeds"],
                "cells": [
                    (mean_and_deviation(row.get(key)), row.get(key, {}).get("mean", 0) == best.get(key))
                    for key in columns
                ],
            }
            for row in mine
        ],
        "points": [
            {"method": method, "values": [f"{100 * v:.2f}" for v in values], "mean": f"{sum(values) / len(values):.3f}"}
            for method, values in points.items()
            if values
        ],
        "pictures": [picture for picture in pictures if picture],
    }


def images_of(cell: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Numbers of each image; of several classes those of the first."""
    parts = [cell, *cell.get("classes", {}).values()]
    return next((list(one["images"]) for one in parts if one.get("images")), [])


def objects_in(images: Sequence[Mapping[str, Any]]) -> int:
    return sum(one.get("truth_objects", 0) for one in images)


def mean_and_deviation(value: Mapping[str, float] | None) -> str:
    if value is None:
        return ""
    return f"{value['mean']:.3f}" + (f" ± {value['sd']:.3f}" if "sd" in value else "")


def training_viewers(folder: Path, album: Album) -> list[dict[str, Any]]:
    """Curves and the last samples of every training that lies in the folder."""
    found = []
    for log in sorted(folder.glob("cells/*/*/run/**/log.jsonl")):
        told = read_log(log)
        if not told.rows:
            continue
        parts = log.relative_to(folder / "cells").parts
        sheets = sorted((log.parent / "samples").glob("step_*.png"))
        title = " · ".join([*parts[:2], *parts[3:-1]])
        small = album.left > SHEET_BYTES
        found.append({
            "title": title, "last": told.last_step, "said": told.sentences(), "players": told.curves(),
            "samples": (
                album.sheet(sheets[-1], f"Samples of {title} at step {told.last_step}") if sheets and small else None
            ),
        })  # fmt: skip
    return found


def settings_of(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each data set and method, once."""
    found: dict[str, Any] = {}
    for cell in cells:
        for kind in ("dataset", "method"):
            one = cell["settings"][kind]
            found.setdefault(one["name"], {k: v for k, v in one.items() if k != "name"})
    return found


def paragraph(names: Sequence[str], cells: Sequence[Mapping[str, Any]]) -> str:
    """For a paper: what was compared, on what, and how it was scored."""
    seeds = sorted({cell["settings"]["seed"] for cell in cells if cell["settings"].get("seed") is not None})
    methods = list(dict.fromkeys(cell["settings"]["method"]["name"] for cell in cells))
    versions = ", ".join(dict.fromkeys(cell.get("cytoshift", "") for cell in cells))
    images = {cell["settings"]["dataset"]["name"]: images_of(cell) for cell in cells}
    sets = "; ".join(
        f"{name} ({len(images[name])} images, {objects_in(images[name])} objects)"
        for name in names if name in images
    )  # fmt: skip
    over = f" Trainings were run with {len(seeds)} seeds." if len(seeds) > 1 else ""
    return (
        f"Methods ({', '.join(methods)}) were compared with Cytoshift {versions} on {sets}. Labels of the test images "
        "were opened for scoring only. Dice, IoU, precision and recall count pixels; F1 and PQ count objects that were "
        "matched one to one at an IoU of 0.5; AP-50 ranks objects by size. Scores are means over images, with the "
        f"standard deviation over seeds where there are several.{over}"
    )
