"""The page of a training, from its run folder: finished, stopped or still going."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..core.json_files import FACTS, read_json
from . import methods_text
from .charts import bars, format_number
from .citations import keys_of, title_of
from .logs import read_log
from .parts import Image, Time, Viewer, copy_entries, describe_inputs, flatten_settings, format_time
from .pictures import Album, spaced_numbers
from .training_sizes import TrainingSizes, drop_unreadable, training_sizes

TITLES = {"translate": "Translation", "segment": "Segmentation"}  # stages of a recipe: see train/stages.py
SAMPLE_SHEETS = 12  # sheets of samples on a page, for each stage
STEP = re.compile(r"step_(\d+)")


@dataclass(frozen=True)
class Stage:
    """One training; a recipe has two."""

    title: str
    folder: Path
    settings: dict[str, Any]
    facts: dict[str, Any]


def is_training(folder: Path) -> bool:
    return any((folder / part / "run.yaml").exists() for part in ("", *TITLES))


def context(folder: Path, album: Album) -> dict[str, Any]:
    """What the template shows."""
    stages = stages_of(folder)
    model = read_json(folder / "model" / "model.json")
    card = drop_unreadable(model.get("card", {}))
    first, last = stages[0], stages[-1]
    about = card if card.get("method") else {"method": last.settings.get("method", ""), **last.facts.get("about", {})}
    settings = {**last.settings, "method": str(about["method"])}
    represent = model.get("representation") or settings.get("represent", {})
    facts = last.facts | {"computed": precision_proof(last.facts)}
    logs = [read_log(stage.folder / "log.jsonl") for stage in stages]
    wished = int(last.settings.get("train", {}).get("steps", 0))
    return {
        "kind": "Training",
        "title": folder.resolve().name,
        "lead": lead(bool(model), title_of(about), logs[-1].last_step, wished, card.get("ended", "")),
        "figures": figures(first.facts, logs, stages),
        "precision": facts["computed"].get("sentence", ""),
        "inputs": [
            one
            for side, title in (("images", "Images"), ("source", "Source, whose labels are borrowed"))
            if (
                one := describe_inputs(
                    first.facts.get(side, {}),
                    title,
                    album.sheet(folder_of(first, side), f"Middle planes of the {side}"),
                )
            )
        ],
        "stages": [
            {
                "title": stage.title,
                "said": log.sentences(),
                "players": log.curves(),
                "last": log.last_step,
                "samples": samples(stage, album),
            }
            for stage, log in zip(stages, logs)
        ],
        "expected": [prior_row(name, one) for name, one in training_sizes(card).items()],
        "time": Time.of_sessions([s for stage in stages for s in stage.facts.get("sessions", [])]),
        "machine": [
            *flatten_settings(first.facts.get("machine", {})),
            *flatten_settings(facts["computed"], "computed"),
        ],
        "versions": flatten_settings(first.facts.get("versions", {})),
        "settings": flatten_settings({**settings, "represent": represent}),
        "methods": methods_text.training_text(
            about, {**settings, "represent": represent}, facts, training_sizes(card), logs[-1].last_step
        ),
        "papers": copy_entries(keys_of(about, represent)),
    }


def precision_proof(facts: dict[str, Any]) -> dict[str, Any]:
    """What the last session that took steps found out about its precision."""
    return next((one["computed"] for one in reversed(facts.get("sessions", [])) if "computed" in one), {})


def stages_of(folder: Path) -> list[Stage]:
    found = [
        (title, folder / part) for part, title in {"": "", **TITLES}.items() if (folder / part / "run.yaml").exists()
    ]
    return [Stage(title, here, read_yaml(here / "run.yaml"), read_json(here / FACTS)) for title, here in found]


def read_yaml(path: Path) -> dict[str, Any]:
    """Settings as they stand there, of any version; empty where nobody can read them."""
    try:
        there = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return there if isinstance(there, dict) else {}


def folder_of(stage: Stage, side: str) -> Path:
    return stage.folder / ("input.png" if side == "images" else "source.png")


def lead(finished: bool, method: str, step: int, steps: int, ended: str) -> str:
    """The first sentence of the page."""
    if ended:
        return f"Trained with {method}; the monitor ended it: {ended}"
    if finished:
        return f"Trained with {method}, {methods_text.count_text(step, 'step')}."
    return f"Training with {method}: at step {step:,} of {steps:,}. The model is not there yet."


def figures(facts: dict[str, Any], logs: Sequence[Any], stages: Sequence[Stage]) -> Any:
    """The few numbers at the top."""
    sessions = [s for stage in stages for s in stage.facts.get("sessions", [])]
    rows = [("steps", f"{sum(log.last_step for log in logs):,}")]
    if count := facts.get("images", {}).get("count"):
        rows.append(("images" if count > 1 else "image", f"{count:,}"))
    if sessions:
        rows.append(("of training", format_time(sum(sum(s.get("seconds", {}).values()) for s in sessions))))
        rows.append(("peak memory", f"{max(s.get('memory_gb') or 0 for s in sessions):.2g} GB"))
    warnings = sum(one.warning for log in logs for one in log.sentences())
    return [*rows, ("warnings" if warnings != 1 else "warning", str(warnings))]


def samples(stage: Stage, album: Album) -> Viewer | None:
    """Sheets of translated samples, one after the other."""
    paths = sorted((stage.folder / "samples").glob("step_*.png"))
    if not paths:
        return None
    chosen = [paths[i] for i in spaced_numbers(len(paths), SAMPLE_SHEETS)]
    frames = []
    for path in chosen:
        found = STEP.search(path.name)
        step = int(found.group(1)) if found else 0
        alt = f"Samples of domains and their translations at step {step}"
        if picture := album.sheet(path, alt):
            frames.append(Image(picture, f"step {step:,}"))
    if not frames:
        return None
    return Viewer(f"samples-{stage.title or 'run'}", "step", frames, len(frames) - 1, left_out=len(paths) - len(frames))


def prior_row(name: str, one: TrainingSizes) -> dict[str, Any]:
    """The sizes that a network learns from."""
    high = one.largest * 1.05 or 1.0
    edges = [high * i / 32 for i in range(33)]
    middle = format_number(one.quantile(0.5))
    return {
        "name": name,
        "of": one.of,
        "objects": one.objects,
        "unit": one.unit,
        "high": format_number(high),
        "middle": middle,
        "svg": bars(one.share_per_bin(edges), f"Equivalent diameters, median {middle} {one.unit}"),
    }
