"""Networks under every set of instructions that this processor has: what is green here means something elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cytoshift.nets.formats import CAPS
from predicting import taught

ABLE = torch.cpu.get_capabilities()
SETS = {
    "AVX2": "avx2", "AVX512_CORE": "avx512_f", "AVX512_CORE_BF16": "avx512_bf16", "AVX512_CORE_AMX": "amx_bf16",
}  # fmt: skip
HERE = [name for name, needed in SETS.items() if ABLE.get(needed)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of every set what tests/instruction_sets.py says, and the labels."""
    folder = tmp_path_factory.mktemp("sets")
    torch.save(taught(80).network.state_dict(), folder / "weights.pt")
    script, running = Path(__file__).with_name("instruction_sets.py"), {}
    bare = {name: value for name, value in os.environ.items() if name not in CAPS}
    for name in HERE:
        words = [sys.executable, str(script), str(folder / f"{name}.npy"), str(folder / "weights.pt")]
        running[name] = subprocess.Popen(
            words, env=bare | {CAPS[0]: name}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    said = {name: one.communicate() for name, one in running.items()}
    for name, one in running.items():
        assert one.returncode == 0, said[name][1]
    return {name: (json.loads(out), np.load(folder / f"{name}.npy")) for name, (out, _) in said.items()}


@pytest.mark.skipif(not HERE, reason="no set of instructions that oneDNN can be limited to")
def test_every_network_is_right_by_every_way(outcomes):
    for name, (said, _) in outcomes.items():
        assert [one for one in said["networks"] if one["wrong"]] == [], name
        assert all(one["predicts"] and one["trains"] for one in said["networks"]), name


@pytest.mark.skipif(not HERE, reason="no set of instructions that oneDNN can be limited to")
def test_labels_are_the_same_up_to_a_hundredth_of_dice(outcomes):
    first = outcomes[HERE[0]][1] > 0
    for name, (said, labels) in outcomes.items():
        here = labels > 0
        assert 2 * (first & here).sum() / (first.sum() + here.sum()) > 0.99, name
        assert said["dice"] == pytest.approx(outcomes[HERE[0]][0]["dice"], abs=0.01) and said["dice"] > 0.7, name
