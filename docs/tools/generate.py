"""What the pages take from the code: run before every build, so that they cannot say something else than it does."""

import json
from pathlib import Path

import asides
import constants
import docstrings
import settings
import verbs
from cytoshift.methods import KNOWN, METHODS
from schema import run_schema


def everything() -> dict[str, str]:
    """Texts by their place below docs/generated."""
    out = {
        "cli.md": verbs.page(),
        "settings.md": settings.page(),
        "constants.md": constants.page(),
        "parts/trust.md": asides.trust(),
        "parts/python.md": docstrings.python(),
        "building-blocks.md": docstrings.developer(),
        "parts/others.md": asides.others(),
        "parts/symptoms.md": asides.symptoms(),
        "parts/not-imported.md": asides.not_imported(),
        "files/schema/run.schema.json": json.dumps(run_schema(), indent=1) + "\n",
    }
    for method in METHODS:
        out[f"parts/options-{method}.md"] = settings.options(method)
        out[f"parts/presets-{method}.md"] = settings.presets(method)
    return out | {f"parts/cite-{method}.md": settings.cite(method) for method in KNOWN}


def write(folder: Path) -> None:
    """Files that say the same stay untouched, so that a second build is short."""
    for name, text in everything().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
