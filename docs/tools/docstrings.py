"""Docstrings in numpydoc sections, as Markdown; and which names the reference shows."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import cytoshift
import prose
from cytoshift.core.settings import Settings
from cytoshift.methods import METHODS
from cytoshift.methods.base import AdversarialPair, Method, MonitorSpec, Objective, Task, Translation, Update
from cytoshift.represent import Representation
from words import entry, escaped

TITLES = "Parameters|Attributes|Returns|Yields|Raises|References|Notes|Examples"
LISTS = ("Parameters", "Attributes", "Returns", "Yields", "Raises")
SYNTH = (
    "draw_labels", "draw_pairs", "draw_shapes", "count_pairs", "phantom", "pair", "stack", "render", "Phantom", "Pair",
    "Stack",
)  # fmt: skip


def parse(text: str | None) -> tuple[str, dict[str, str]]:
    """What stands before the first section, and the sections by their titles."""
    parts = re.split(rf"^({TITLES})\n-+\n", inspect.cleandoc(text or ""), flags=re.MULTILINE)
    return parts[0].strip(), {title: body.strip("\n") for title, body in zip(parts[1::2], parts[2::2])}


def items(body: str) -> Iterator[tuple[str, str]]:
    """The names of a section with what is said of them."""
    name, words = "", ""
    for line in body.splitlines():
        if line and not line.startswith(" "):
            if name:
                yield name, words
            name, words = line, ""
        else:
            words += f"{line}\n"
    if name:
        yield name, words


def markdown(of: Any) -> str:
    """The docstring of a function or class."""
    lead, sections = parse(of.__doc__)
    if inspect.isclass(of) and issubclass(of, Settings) and "Parameters" not in sections:
        meanings = prose.meanings(of)
        lead = prose.intro(of)
        sections = {"Parameters": "\n".join(f"{name}\n    {words}" for name, words in meanings.items())} | sections
    out = "\n\n".join(
        f"```text\n{part}\n```" if part.startswith("    ") else escaped(part) for part in lead.split("\n\n")
    )
    for title, body in sections.items():
        out += f"\n\n**{title}**\n\n"
        if title == "Examples":
            out += f"```pycon\n{body}\n```"
        elif title in LISTS:
            out += "".join(entry(f"`{name}`", escaped(words)) for name, words in items(body)).rstrip()
        else:
            out += escaped(body)
    return f"{out}\n\n"


def signature(name: str, of: Any) -> str:
    try:
        names = [one for one in inspect.signature(of).parameters.values() if one.name != "self"]
    except ValueError:  # of a class of Python's own
        return name
    each = [one.name if one.default is one.empty else f"{one.name}={one.default!r}" for one in names]
    return f"{name}({', '.join(each)})"


def section(name: str, of: Any, level: int = 3) -> str:
    """A heading, how it is called, what it says; of a class, its public methods too."""
    head = f"{'#' * level} {name.rpartition('.')[2]}\n\n```python\n{signature(name, of)}\n```\n\n{markdown(of)}"
    own = vars(of).items() if inspect.isclass(of) else ()
    for inner, member in own:
        function = getattr(member, "__func__", member)
        if not inner.startswith("_") and inspect.isfunction(function) and parse(function.__doc__)[1]:
            head += section(f"{name.rpartition('.')[2]}.{inner}", function, level + 1)
    return head


def functions_of(room: str) -> list[tuple[str, Any]]:
    """Public functions and classes with sections, module by module."""
    package = importlib.import_module(f"cytoshift.{room}")
    names = [f"{package.__name__}.{one.name}" for one in pkgutil.iter_modules(package.__path__)]
    return [
        (f"{module.__name__}.{name}", member)
        for module in map(importlib.import_module, names)
        for name, member in vars(module).items()
        if getattr(member, "__module__", "") == module.__name__ and parse(getattr(member, "__doc__", ""))[1]
    ]


def exported() -> list[tuple[str, Any]]:
    """The names that `cytoshift` exports."""
    return [(f"cytoshift.{name}", cytoshift.fetch_public(name)) for name in cytoshift.__all__ if name != "__version__"]


def blocks() -> dict[str, list[tuple[str, Any]]]:
    """What a developer builds on, by the title of its section."""
    import cytoshift.synth as synth

    contract = (Method, Task, Objective, Update, MonitorSpec, Translation, AdversarialPair)
    return {
        "The contract of a method": [(f"{one.__module__}.{one.__name__}", one) for one in contract],
        "Methods": [(f"{one.__module__}.{one.__name__}", one) for one in METHODS.values()],
        "The contract of a representation": [("cytoshift.represent.Representation", Representation)],
        "Losses": functions_of("losses"),
        "Metrics": functions_of("metrics"),
        "Synthesis": [(f"cytoshift.synth.{name}", getattr(synth, name)) for name in SYNTH],
    }


def python() -> str:
    """The page of the Python API, below README's section."""
    return "".join(section(name, of, 2) for name, of in exported())


def developer() -> str:
    """The page of the contracts and the functions that methods and metrics are made of."""
    parts = "".join(f"## {title}\n\n{''.join(section(*one) for one in each)}" for title, each in blocks().items())
    lead = "For developers: what a method or a representation has to offer, and what it can use."
    return f"# Contracts and building blocks\n\n{lead}\n\n{parts}"
