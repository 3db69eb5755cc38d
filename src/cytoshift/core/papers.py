"""The papers that results rest on, by their BibTeX keys: short names for the text, entries to copy.

Methods and representations name their papers by these keys, and the card of a model keeps them.
"""

import re
from functools import cache
from importlib.resources import files


@cache
def library() -> dict[str, str]:
    """BibTeX entries by key."""
    text = files(__package__).joinpath("papers.bib").read_text(encoding="utf-8")
    return {re.split(r"[{,]", entry)[1].strip(): entry.strip() for entry in re.findall(r"^@.*?^}", text, re.S | re.M)}


def field(key: str, name: str) -> str:
    """A field of an entry without its braces; "" where it has none."""
    found = re.search(rf"^\s*{name}\s*=\s*{{(.*?)}},?$", library()[key], re.S | re.M)
    return " ".join(re.sub(r"{\\['`c\"]\s*{?(\w)}?}|[{}]", r"\1", found.group(1)).split()) if found else ""


def short_citation(key: str) -> str:
    """As in a text: "Yao et al., 2021"."""
    authors = [name.partition(",")[0].strip() for name in field(key, "author").split(" and ")]
    names = authors[0] if len(authors) == 1 else " and ".join(authors) if len(authors) == 2 else f"{authors[0]} et al."
    return ", ".join(word for word in (names, field(key, "year")) if word)


def cite(keys: tuple[str, ...]) -> str:
    """In brackets, for a text; "" without any."""
    return f" ({'; '.join(short_citation(key) for key in keys)})" if keys else ""


def paper_link(key: str) -> dict[str, str]:
    """Where the paper is: {"doi": ...} or {"url": ...}."""
    return {name: found for name in ("doi", "url") if (found := field(key, name))}
