"""Prints the lowest version of everything that pyproject.toml requires directly, for pip.

    python .ci/lowest.py [EXTRA ...]

A bound `name>=1.2` becomes `name==1.2`. Of torch the version of constraints.txt is taken, as older builds of it without
gigabytes of CUDA are on no index that PyPI's clients know.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def lowest(extras: list[str]) -> list[str]:
    """Pins, one for each requirement."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in extras for r in project["optional-dependencies"][extra])]
    return [pin(requirement) for requirement in wanted]


def pin(requirement: str) -> str:
    """
    >>> pin("dask[distributed]>=2024.8,!=2024.9.0")
    'dask[distributed]==2024.8'
    """
    found = re.match(r"([\w.-]+(?:\[[\w,]+\])?)>=([\w.]+)", requirement)
    if found is None:
        raise SystemExit(f"'{requirement}' has no lower bound; write it as name>=version")
    if found[1] == "torch":
        return next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    print("\n".join(lowest(sys.argv[1:])))
