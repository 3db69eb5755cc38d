"""Tables and lists of other pages that come from the code."""

import re
from pathlib import Path

from cytoshift.configure.pytc import REASONS
from cytoshift.train.monitor import CURES, PATIENCE
from cytoshift.trust.score import Map, load_calibration
from words import escaped

DOCS = Path(__file__).parents[1]


def trust() -> str:
    """What the trust score was fitted to, and the numbers that came out."""
    known, unknown = load_calibration().images
    return (
        f"*{escaped(load_calibration().origin)}.*\n\n{curve(known)}\n"
        f"Where the model's card does not tell what objects it learnt from, `alike` is missing:\n\n{curve(unknown)}"
    )


def curve(way: Map) -> str:
    """One map of criteria to a score."""
    low, high = way.spread
    each = zip(way.criteria, way.weights, way.low, way.high)
    rows = "".join(f"| {name} | {weight:g} | {least:g} | {most:g} |\n" for name, weight, least, most in each)
    bounds = f"between {-low:.2f} below and {high:.2f} above their score"
    return (
        f"| criterion | weight | calibrated from | to |\n| --- | --- | --- | --- |\n{rows}\n"
        f"Of results that were left out of the fit, four of five had an F1 {bounds}.\n"
    )


def others() -> str:
    """Pages that lie in docs and that its index does not name, so that a new one is never out of reach."""
    index = (DOCS / "index.md").read_text()
    named = {"index", *re.findall(r"^\w+$", index, re.MULTILINE)}
    pages = sorted({path.stem for path in DOCS.glob("*.md")} - named)
    listed = "".join(f"/{page}\n" for page in pages)
    return f"```{{toctree}}\n:hidden:\n:caption: More\n\n{listed}```\n" if pages else "% none\n"


def symptoms() -> str:
    """What the monitor of a training calls a failure, after how many looks in a row, and what it advises."""
    rows = (f"| {kind} | {PATIENCE[kind]} | {escaped(cure)} |\n" for kind, cure in CURES.items())
    return "| it says | after looks in a row | its cure |\n| --- | --- | --- |\n" + "".join(rows)


def not_imported() -> str:
    """Settings of PyTorch Connectomics that have no counterpart, and why."""
    rows = (f"| `{name}{'*' * name.endswith('.')}` | {escaped(why)} |\n" for name, why in REASONS.items())
    return "| theirs | why not |\n| --- | --- |\n" + "".join(rows)
