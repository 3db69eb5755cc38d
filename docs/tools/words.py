"""Markdown from what the code says of itself."""

import json
import re
from typing import Any

SPECIAL = re.compile(r"([\\*_\[\]<>$|#{}~])")
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "object": "group"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def escaped(text: str) -> str:
    """A text as it is; what stands in backticks is code.

    >>> escaped("a * `b * c`")
    'a \\\\* `b * c`'
    """
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if part[:1] == "`" and part[-1:] == "`" else SPECIAL.sub(r"\\\1", part) for part in parts)


def entry(term: str, words: str) -> str:
    """An item of a definition list."""
    return f"{term}\n:   {words or '—'}\n\n"


def value(given: Any) -> str:
    """As it would stand in run.yaml."""
    if given is None:
        return "none"
    if isinstance(given, float):
        return f"`{given:g}`"
    if isinstance(given, dict) and len(str(given)) > 60:
        return "its own defaults"
    return f"`{json.dumps(given, ensure_ascii=False)}`"


def kind_of(schema: dict[str, Any]) -> str:
    """What fits, from the JSON Schema of a setting; a group of settings is a link."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#settings-{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(kind_of(one) for one in schema[several]))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"always `{schema['const']}`"
    if schema.get("type") == "null":
        return "none"
    if schema.get("type") == "array":
        return array(schema)
    if schema.get("type") == "object" and isinstance(inside := schema.get("additionalProperties"), dict):
        return f"by name: {kind_of(inside)}"
    bounds = [f"{sign} {schema[key]:g}" for key, sign in BOUNDS.items() if key in schema]
    return ", ".join([TYPES.get(schema.get("type", ""), "anything"), *bounds])


def array(schema: dict[str, Any]) -> str:
    if "prefixItems" in schema:
        kinds = [kind_of(one) for one in schema["prefixItems"]]
        return f"[{', '.join(kinds)}]"
    inside = kind_of(schema.get("items", {}))
    return f"list of {inside.replace('number', 'numbers', 1)}"
