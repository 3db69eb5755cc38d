"""Whatever bytes of a file are changed: reading ends in one sentence or in an image, never above 2 GB."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from byte_changes import MAKERS, main

LIMIT = 2.0  # GB
HERE = Path(__file__).parent


@pytest.mark.parametrize("kind", MAKERS)
def test_some_changed_bytes_are_a_sentence_or_a_result(kind, tmp_path):
    found = main(kind, 12, tmp_path)
    assert not found["odd"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_a_thousand_changes_are_sentences_or_results(kind, tmp_path):
    """In a process of its own, whose memory is its own and which a library in C may end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent / "src"), *sys.path])}
    command = [sys.executable, str(HERE / "byte_changes.py"), kind, "1000", str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"case {(tmp_path / 'work' / 'last').read_text()}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    assert not found["odd"] and found["peak_gb"] < LIMIT
    assert found.get("sentence", 0) + found.get("result", 0) == 1000
