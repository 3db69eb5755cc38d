"""The page of the command line, from the verbs themselves."""

import re
from typing import Any

from typer.main import get_command

from cytoshift.cli.main import app
from words import entry, escaped

HEAD = """# Command line

Written from the code: what `cytoshift VERB --help` says, on one page. Errors are one sentence on stderr. Exit codes: 0
done, 1 the machine gave up (memory, disk, permissions), 2 a wish that cannot be met, 130 Ctrl-C; a verb that has others
says so.

"""
NOTES = re.compile(r"\s*\[((?:default|required|[x\d]).*)\]$")  # what help says in brackets at the end


def page() -> str:
    return HEAD + "\n".join(verb(name, command) for name, command in commands().items())


def commands() -> dict[str, Any]:
    """Click's command of every verb, in the order of a first day."""
    return dict(get_command(app).commands)  # type: ignore[attr-defined]


def verb(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name)
    words = "\n\n".join(escaped(part) for part in (command.help or "").split("\n\n"))
    usage = " ".join(["cytoshift", name, *command.collect_usage_pieces(context)])
    given: dict[str, list[str]] = {"Arguments": [], "Options": []}
    for param in (one for one in command.params if not getattr(one, "hidden", False)):
        if param.name != "help":
            panel = param.rich_help_panel or f"{param.param_type_name.capitalize()}s"
            given.setdefault(panel, []).append(described(*param.get_help_record(context)))
    lists = [f"{title}:\n\n{''.join(entries)}" for title, entries in given.items() if entries]
    return f"(verb-{name})=\n## {name}\n\n```text\n{usage}\n```\n\n{words}\n\n{''.join(lists)}"


def described(names: str, words: str) -> str:
    """An argument or option: its names as help has them, its words, and what help has in brackets."""
    note = NOTES.search(words)
    said = escaped(words[: note.start()] if note else words)
    return entry(f"`{names}`", f"{said} *{escaped(note.group(1))}.*" if note else said)
