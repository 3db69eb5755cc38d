"""Prints what CHANGELOG.md says about a version: the notes of its release.

python .ci/notes.py 0.1.0
"""

import re
import sys
from pathlib import Path


def notes(text: str, version: str) -> str:
    """The section of a version, without its heading. Raises SystemExit where there is none."""
    sections = re.split(r"^## +(\S+).*$", text, flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2])).get(version, "").strip()
    if not found:
        raise SystemExit(f"CHANGELOG.md says nothing about {version}; add a section '## {version}'")
    return found


if __name__ == "__main__":
    print(notes((Path(__file__).resolve().parents[1] / "CHANGELOG.md").read_text(), sys.argv[1]))
