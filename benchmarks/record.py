"""What a benchmark has measured, as JSON, and what was wanted of it: docs/large.md is made of these files."""

import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from cytoshift.core.json_files import write_json
from cytoshift.core.machine import machine, versions


class Wanted(NamedTuple):
    """A number, and the least or the most that it may be."""

    what: str
    found: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        return (self.least is None or self.found >= self.least) and (self.most is None or self.found <= self.most)

    @property
    def words(self) -> str:
        limit = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        return f"{self.what}: {self.found:.4g}, wanted {limit}"


def conclude(path: Path | None, numbers: dict[str, Any], wanted: list[Wanted]) -> None:
    """Say what was wanted and found, write it all down where that is asked for, and exit with 1 if something missed."""
    for one in wanted:
        print(f"{'met   ' if one.met else 'MISSED'} {one.words}")
    if path is not None:
        write_json(path, {
            "command": command(), "date": date.today().isoformat(), "machine": machine(), "versions": versions(),
            "numbers": numbers, "wanted": [one._asdict() | {"met": one.met} for one in wanted],
        })  # fmt: skip
    if not all(one.met for one in wanted):
        sys.exit(1)


def command() -> str:
    """What was typed, from the project's root."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
