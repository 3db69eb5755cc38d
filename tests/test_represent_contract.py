"""What a representation is, its class says: one that nobody knows goes through every command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "unknown_representation.py"
SURE = 0.3  # what the second channel of the script's representation learns


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What new, train, segment, trust, select, export and a viewer made of it."""
    folder = tmp_path_factory.mktemp("unknown")
    done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_its_objects_are_found_whole_in_blocks_and_where_one_looks(found):
    assert found["representation"] == "level"
    assert abs(found["whole"] - found["true"]) <= 0.3 * found["true"]
    assert found["whole"] == found["seen"] == len(found["confidence blocks"])


def test_its_confidence_is_that_of_its_second_channel(found):
    """The mask is above its threshold of 0.3 in every object, and near 1 in most."""
    for way in ("confidence whole", "confidence blocks"):
        assert len(found[way]) > 5
        assert found[way] == pytest.approx([SURE] * len(found[way]), abs=0.15)
    assert found["confidence whole"] == pytest.approx(found["confidence blocks"], abs=2e-3)  # half a level of 8 bits


def test_its_results_are_described_judged_and_chosen(found):
    assert found["said"] and found["trusted"]
    assert found["selected"].startswith("step ")
