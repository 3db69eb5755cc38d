"""Every tutorial runs from its first line to its last, with few steps. `make tutorials` runs them in earnest."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
SCRIPTS = sorted(path for path in TUTORIALS.glob("*.sh") if path.name != "tutorial.sh")
STEPS = "3"


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_tutorial_runs_and_makes_what_its_page_shows(script, tmp_path):
    kept = tmp_path / "kept"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", str(script)], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PATH": path, "STEPS": STEPS, "KEEP": str(kept)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    shown = re.findall(rf"\{{made\}} {script.stem}/(\S+)", script.with_suffix(".md").read_text())
    assert shown and [name for name in shown if not (kept / name).stat().st_size] == []
