"""The JSON Schema of run.yaml: what an editor checks and explains while it is written.

    python docs/tools/schema.py FILE.json

The settings' own schema, with the words of their docstrings, and with the options of each method where it is named.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cytoshift.core.settings import setting_groups
from cytoshift.methods import KNOWN, METHODS, TWO_STAGES, CycleGAN, TwoStages
from cytoshift.train.run_settings import Run
from prose import intro, meanings

OPTIONS = ("translate", "segment", "pairs")  # of a recipe of two stages
PAIRS = {"type": "integer", "minimum": 1, "default": 64, "description": "Images that are drawn of synthetic masks."}


def run_schema() -> dict[str, Any]:
    """Of run.yaml, draft 2020-12."""
    kinds = list(dict.fromkeys(kind.settings for kind in METHODS.values()))
    places, whole = models_json_schema([(kind, "validation") for kind in (Run, *kinds)], ref_template="#/$defs/{model}")
    defs = whole["$defs"]
    of = {kind: places[kind, "validation"]["$ref"].rpartition("/")[2] for kind in (Run, *kinds)}
    for kind in (*reached(Run), *kinds):
        explain(kind, defs[of.get(kind, kind.__name__)])
    run = defs.pop(of[Run])
    run["properties"]["method"]["enum"] = [*KNOWN]
    run["properties"]["options"].pop("additionalProperties")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "run.yaml of Cytoshift", **run,
        "allOf": [when(name, {"$ref": f"#/$defs/{of[kind.settings]}"}) for name, kind in METHODS.items()]
        + [when(name, staged(of, recipe)) for name, recipe in TWO_STAGES.items()],
        "$defs": defs,
    }  # fmt: skip


def when(method: str, options: dict[str, Any]) -> dict[str, Any]:
    named = {"properties": {"method": {"const": method}}, "required": ["method"]}
    return {"if": named, "then": {"properties": {"options": options}}}


def staged(of: dict[type[BaseModel], str], recipe: TwoStages) -> dict[str, Any]:
    """The options of a recipe of two stages, by stage; without a network that translates those of a CycleGAN pass."""
    kinds = {"translate": recipe.translator or CycleGAN, "segment": recipe.segmenter}
    parts: dict[str, Any] = {stage: {"$ref": f"#/$defs/{of[kind.settings]}"} for stage, kind in kinds.items()}
    if recipe.learns_from_masks:
        parts["pairs"] = PAIRS
    return {"type": "object", "properties": parts, "additionalProperties": False}


def explain(kind: type[BaseModel], schema: dict[str, Any]) -> None:
    """Descriptions for hovering over."""
    schema["description"] = intro(kind)
    for name, words in meanings(kind).items():
        if words:
            schema["properties"][name]["description"] = words


def reached(root: type[BaseModel]) -> list[type[BaseModel]]:
    """`root` and every group of settings below it, in the order in which a reader meets them."""
    found, todo = [], [root]
    while todo:
        kind = todo.pop(0)
        if kind not in found:
            found.append(kind)
            todo += [group for field in kind.model_fields.values() for group in setting_groups(field.annotation)]
    return found


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(run_schema(), indent=1) + "\n")
