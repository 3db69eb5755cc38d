"""What a verb says: lines for a person, tables, and its last words.

Progress is on stderr (core.progress), the result on stdout: for a person a sentence or a table, with --json one line
that a program can read.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..core.text import printable
from .commands import flagged

if TYPE_CHECKING:
    from rich.text import Text

    from ..predict.outputs import Outputs


def say(words: object, err: bool = False, **style: Any) -> None:
    """A line for a person, with flags in the place of settings. What would command a terminal is written out."""
    typer.secho(flagged(printable(str(words))), err=err, **style)


def shown(words: str, **style: Any) -> "Text":
    """A cell of a table: no markup is read in it, and nothing commands the terminal."""
    from rich.text import Text

    return Text(printable(words), **style)


def conclude(as_json: bool, words: str, **result: Any) -> None:
    """The last of a verb: in words for a person, or as one line of JSON. `result` is for programs: names stay."""
    from ..core.facts import plain

    say(json.dumps(result, default=plain) if as_json else words)


def report_on(outputs: "Outputs") -> Path:
    """The page of results that are there by now."""
    from ..predict.account import place
    from ..report import write_report

    return write_report(place(outputs))
