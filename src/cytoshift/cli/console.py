"""What a verb says: lines for a person, tables, and its last words.

Progress is on stderr (core.progress), the result on stdout: for a person a sentence or a table, with --json one line
that a program can read.
"""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..core.text import make_printable

if TYPE_CHECKING:
    from rich.text import Text

    from ..predict.outputs import Outputs


SETTING = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")  # as sentences below cli/ name a setting: `axes` or `axes=zyx`
FLAGS: ContextVar[dict[str, str] | None] = ContextVar("FLAGS", default=None)  # of the running verb, by parameter


def name_flags(sentence: str) -> str:
    """The sentence with the flags of the running verb in the place of settings; what the verb has no flag for stays.

    >>> token = FLAGS.set({"axes": "--axes"})
    >>> name_flags("axes are not known; pass `axes=zyx`, or set `patch`")
    'axes are not known; pass --axes zyx, or set `patch`'
    >>> FLAGS.reset(token)
    """
    flags = FLAGS.get() or {}

    def flag(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name not in flags:
            return found.group()
        return flags[name] if value is None else f"{flags[name]} {value}"

    return SETTING.sub(flag, sentence)


class Messages(logging.Handler):
    """Prints the messages of all rooms on stderr: sentences as they are, warnings with the name of the program."""

    def emit(self, record: logging.LogRecord) -> None:
        warned = "cytoshift: " * (record.levelno >= logging.WARNING)
        say(f"{warned}{record.getMessage()}", err=True)


@contextmanager
def messages() -> Iterator[None]:
    """Within, messages of the logger `cytoshift` reach the person at the terminal."""
    handler, log = Messages(), logging.getLogger("cytoshift")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def say(words: object, err: bool = False, **style: Any) -> None:
    """A line for a person, with flags in the place of settings. What would command a terminal is written out."""
    typer.secho(name_flags(make_printable(str(words))), err=err, **style)


def table_cell(words: str, **style: Any) -> "Text":
    """A cell of a table: no markup is read in it, and nothing commands the terminal."""
    from rich.text import Text

    return Text(make_printable(words), **style)


def conclude(as_json: bool, words: str, **result: Any) -> None:
    """The last of a verb: in words for a person, or as one line of JSON. `result` is for programs: names stay."""
    from ..core.json_files import to_plain

    say(json.dumps(result, default=to_plain) if as_json else words)


def report_on(outputs: "Outputs") -> Path:
    """The page of results that are there by now."""
    from ..predict.account import account_folder
    from ..report import write_report

    return write_report(account_folder(outputs))
