"""log.jsonl of a training: curves of every loss term, and what the monitor said."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .charts import Curve, curve

AT = re.compile(r"^warning at step (\d+): ")


@dataclass(frozen=True)
class LogSentence:
    """A sentence of the log, the steps at which it was said, and whether it is a warning."""

    text: str
    steps: tuple[int, ...]
    times: int
    warning: bool


@dataclass
class TrainingLog:
    """Rows of numbers and sentences, in their order."""

    rows: list[dict[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        return int(self.rows[-1]["step"]) if self.rows else 0

    def sentences(self) -> list[LogSentence]:
        """Every sentence once."""
        plain = [(AT.sub("", note), AT.match(note)) for note in self.notes]
        count = Counter(text for text, _ in plain)
        steps = {text: tuple(int(m.group(1)) for t, m in plain if t == text and m) for text in count}
        return [LogSentence(text, steps[text], times, bool(steps[text])) for text, times in count.items()]

    def curves(self) -> dict[str, list[Curve]]:
        """Of every term, by its player; the learning rate at the end."""
        marks = [float(m.group(1)) for note in self.notes if (m := AT.match(note))]
        names = dict.fromkeys(name for row in self.rows for name in row if name != "step")
        found: dict[str, list[Curve]] = {}
        for name in sorted(names, key=lambda name: "/" not in name):
            points = [(row["step"], row[name]) for row in self.rows if name in row]
            player, _, term = name.rpartition("/")
            found.setdefault(player or "schedule", []).append(curve(term, points, marks, bool(player)))
        return found


def read_log(path: Path) -> TrainingLog:
    """Reads a log, also one that is still being written."""
    found = TrainingLog()
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the line at which the process was killed
            continue
        if not isinstance(row, dict):
            continue
        if "note" in row:
            found.notes.append(str(row["note"]))
        elif isinstance(row.get("step"), int):
            found.rows.append({k: v for k, v in row.items() if isinstance(v, int | float) and math.isfinite(v)})
    return found
