"""facts.json: what a result was made of, with and in which time. The report reads it; so may anybody."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .atomic import atomic_path

FACTS = "facts.json"


def now() -> str:
    """Date and time to the second, UTC, as in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(path: Path, content: Any, indent: int | None = 1) -> Path:
    """Whole or not at all; numbers of numpy become those of Python. indent: None for one line, which is faster."""
    with atomic_path(path) as beside:
        beside.write_text(json.dumps(content, indent=indent, default=to_plain) + "\n", encoding="utf-8")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """A mapping from a file; empty if there is none, or none that can be read, as a result must not fail because of the
    notes beside it."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return there if isinstance(there, dict) else {}


def to_plain(value: Any) -> Any:
    """A number or an array of numpy in Python's types. Raises TypeError for anything else."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not fit into JSON")
