"""The numbers that decide results, by the room of the code that has them: names, values, units and reasons."""

import ast
from pathlib import Path
from typing import Any, NamedTuple

import cytoshift
from words import escaped

SOURCE = Path(cytoshift.__file__).parent
# These rooms show what others have found.
LEFT_OUT = {"cli", "draw", "napari", "report", "view"}


class Constant(NamedTuple):
    file: str
    name: str
    value: str
    reason: str  # with the unit, as the code has it; "" where there is none


def constants(path: Path) -> list[Constant]:
    """The numbers that a module names: assignments of numbers, or tuples of numbers, to names in capitals."""
    text = path.read_text()
    lines, found = text.split("\n"), []
    for node in ast.parse(text).body:
        names = named(node)
        if names and is_number(node.value):  # type: ignore[attr-defined]
            end = lines[node.end_lineno - 1].partition("#")[2].strip()  # type: ignore[operator]
            reason = " ".join(filter(None, [*above(lines, node.lineno - 1), end]))
            value = ast.unparse(node.value)  # type: ignore[attr-defined]
            found.append(Constant(str(path.relative_to(SOURCE)), ", ".join(names), value, reason))
    return found


def named(node: ast.stmt) -> list[str]:
    """The names that an assignment gives, where all are in capitals."""
    if not isinstance(node, ast.Assign):
        return []
    each = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else [node.targets[0]]
    names = [one.id for one in each if isinstance(one, ast.Name)]
    return names if len(names) == len(each) and all(name.isupper() for name in names) else []


def is_number(node: ast.expr) -> bool:
    """Numbers, and what is written with numbers alone."""
    inner: Any = [part for part in ast.walk(node) if isinstance(part, ast.expr)]
    if not all(isinstance(part, ast.Constant | ast.BinOp | ast.UnaryOp | ast.Tuple) for part in inner):
        return False
    values = [part.value for part in inner if isinstance(part, ast.Constant)]
    return bool(values) and all(type(value) in (int, float) for value in values)


def above(lines: list[str], row: int) -> list[str]:
    """The comment that ends in the line before."""
    out: list[str] = []
    while row and lines[row - 1].startswith("#"):
        row -= 1
        out.insert(0, lines[row].lstrip("# "))
    return out


def everywhere() -> list[Constant]:
    paths = (path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in LEFT_OUT)
    return [one for path in sorted(paths) for one in constants(path)]


def page() -> str:
    """A table for every room."""
    out = [
        "# Constants",
        "",
        "Numbers of the code that are no settings. Sizes are in voxels and times in seconds where",
        "",
    ]
    out[2] += " nothing else is said. Taken from the code."
    room = ""
    for one in everywhere():
        if one.file.partition("/")[0] != room:
            room = one.file.partition("/")[0]
            out += ["", f"## {room}", "", "| file | name | value | what it is |", "| --- | --- | --- | --- |"]
        out.append(f"| {one.file.partition('/')[2]} | `{one.name}` | `{one.value}` | {escaped(one.reason)} |")
    return "\n".join(out) + "\n"
