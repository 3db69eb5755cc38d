"""The page of the settings of run.yaml, and what the pages of the methods take from the code."""

from typing import Any

from pydantic import BaseModel

from cytoshift.core.papers import library
from cytoshift.methods import KNOWN, METHODS, Method
from cytoshift.train.run_settings import Run, Train
from prose import intro, meanings
from schema import reached
from words import entry, escaped, kind_of, value

HEAD = """# Settings of a run

Written from the code. `cytoshift new` writes a `run.yaml`, `cytoshift train run.yaml key=value` lays values over it, as
in `train.steps=500`; an unknown key is an error that names the known ones. The groups below stand in the order in which
the file leads to them. [](../reference/schema.md) has the same for an editor.

"""


def page() -> str:
    return HEAD + "\n".join(group(kind) for kind in reached(Run))


def group(kind: type[BaseModel]) -> str:
    name = kind.__name__
    title = "The whole of run.yaml" if kind is Run else name
    return f"(settings-{name.lower()})=\n## {title}\n\n{escaped(intro(kind))}\n\n{fields(kind)}"


def fields(kind: type[BaseModel]) -> str:
    """A definition list: each setting, what fits, its default, its meaning."""
    properties, said = kind.model_json_schema()["properties"], meanings(kind)
    return "".join(field(name, properties[name], kind.model_fields[name], said[name]) for name in kind.model_fields)


def field(name: str, schema: dict[str, Any], info: Any, words: str) -> str:
    needed = "has to be given" if info.is_required() else f"default {value(schema.get('default'))}"
    fits = kind_of(schema)
    return entry(f"`{name}`", f"*{fits}.*" if fits.startswith("always") else f"*{fits}; {needed}.* {escaped(words)}")


def options(method: str) -> str:
    """Of a method, for its page."""
    kind = METHODS[method].settings
    return f"{escaped(intro(kind))}\n\n{fields(kind)}"


def presets(method: str) -> str:
    """A table: every setting that some preset fixes, its default, and what each of them sets."""
    kind = METHODS[method]
    rows = {name: flat(fixed) for name, fixed in kind.presets.items()}
    keys = sorted({key for row in rows.values() for key in row}, key=lambda key: (key.partition(".")[0], key))
    head = f"| setting | default | {' | '.join(rows)} |\n| --- |{' --- |' * (len(rows) + 1)}\n"
    each = ((key, [default(kind, key), *(cell(row.get(key), key) for row in rows.values())]) for key in keys)
    lines = [f"| `{key}` | {' | '.join(cells)} |" for key, cells in each]
    apart = "".join(
        f"\nWhere the two modalities are far apart, `cytoshift new` lays over `{name}`: "
        + ", ".join(f"`{key}: {given}`" for key, given in extra.items()) + ".\n"
        for name, extra in kind.modality_gap.items()
    )  # fmt: skip
    return head + "\n".join(lines) + "\n" + apart


def flat(fixed: dict[str, Any]) -> dict[str, Any]:
    """`{"train": {"lr": 1}}` is `{"train.lr": 1}`."""
    out: dict[str, Any] = {}
    for name, given in fixed.items():
        out |= {f"{name}.{key}": one for key, one in given.items()} if isinstance(given, dict) else {name: given}
    return out


def default(kind: type[Method], key: str) -> str:
    """Where no preset says otherwise; a length of patches has none."""
    name, dot, rest = key.partition(".")
    group = {"options": kind.settings, "train": Train}.get(name)
    return cell(group.model_fields[rest].get_default(), key) if dot and group else ""


def cell(given: Any, key: str) -> str:
    if given is None:
        return ""
    if isinstance(given, float):
        return f"{given:g}"
    if isinstance(given, tuple):
        return (" × " if key == "patch" else ", ").join(map(str, given))
    return escaped(str(given))


def cite(method: str) -> str:
    """BibTeX of what a result of the method rests on."""
    return "".join(f"```bibtex\n{library()[key]}\n```\n\n" for key in KNOWN[method].papers)
