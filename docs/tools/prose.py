"""What the docstring of a group of settings says of each of them, as "name: meaning. other, third: meaning"."""

import inspect
import re
from collections.abc import Iterator

from pydantic import BaseModel


def intro(kind: type[BaseModel]) -> str:
    """What stands before the first setting."""
    text = doc(kind)
    first = next(mentions(kind, text), None)
    return plain(text if first is None else text[: first.start()])


def meanings(kind: type[BaseModel]) -> dict[str, str]:
    """By setting; of what a group inherits, in the words of where it stands. "" where nothing is said."""
    out: dict[str, str] = dict.fromkeys(kind.model_fields, "")
    for base in kind.__mro__:
        if base in (BaseModel, object) or not issubclass(base, BaseModel):
            continue
        for name, words in {**comments(base), **sentences(base)}.items():
            out[name] = out.get(name) or words
    return {name: out[name] for name in kind.model_fields}


def sentences(kind: type[BaseModel]) -> dict[str, str]:
    """From the docstring: each up to where the next one begins; one that is only named is where it is named."""
    text = doc(kind)
    found = list(mentions(kind, text))
    ends = [mention.start() for mention in found[1:]] + [len(text)]
    out: dict[str, str] = {}
    for mention, end in zip(found, ends):
        words = text[mention.end() : end]
        names = re.split(r",\s+", mention.group(1).replace("`", ""))
        out |= dict.fromkeys(names, plain(headless(words)))
        for name in re.findall(r"`(\w+)`", words):
            if name in kind.model_fields:
                out.setdefault(name, f"See `{names[0]}`.")
    return out


def comments(kind: type[BaseModel]) -> dict[str, str]:
    """From behind the field, as in `hidden: int = 256  # the paper's Table 6`."""
    lines = inspect.getsource(kind).splitlines()
    found = (re.match(r"    (\w+): .*\S  # (?!fmt|noqa|type)(.+)$", line) for line in lines)
    return {hit.group(1): plain(hit.group(2)) for hit in found if hit and hit.group(1) in kind.model_fields}


def mentions(kind: type[BaseModel], text: str) -> Iterator[re.Match[str]]:
    """Where names of settings begin a sentence or an indented line, with a colon behind them."""
    names = "|".join(sorted(map(re.escape, kind.model_fields), key=len, reverse=True))
    name = rf"`?(?:{names})`?"
    for hit in re.finditer(rf"(?<![\w.-])({name}(?:,\s+{name})*)(?: \(3D\))?:\s", text) if names else ():
        before = text[: hit.start()].rstrip()
        if not before or before[-1] in ".:;)" or text[len(before) : hit.start()].endswith("    "):
            yield hit


def headless(text: str) -> str:
    """Without a last line that stands above what follows, as "Image and clean twin share"."""
    return re.sub(r"\n(?! )[^\n.]+\n\s*$", "\n", text)


def doc(kind: type[BaseModel]) -> str:
    return inspect.cleandoc(kind.__dict__.get("__doc__") or "")


def plain(text: str) -> str:
    """On one line, as a sentence."""
    line = " ".join(text.split()).rstrip(";,(").strip()
    return line[:1].upper() + line[1:] + ("" if not line or line[-1] in ".:)" else ".")
