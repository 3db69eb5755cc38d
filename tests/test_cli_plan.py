"""The arithmetic of very large volumes: what grows with what, and what is said of it."""

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.cli.plan import plan
from cytoshift.core.errors import UserError
from cytoshift.predict.blockwise.forecast import Rates, forecast, measured_rates


def said(*arguments):
    result = CliRunner().invoke(app, ["plan", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_what_grows_with_what():
    rates = Rates(**measured_rates()[0], storage=1e15, link=1e15)
    small = forecast((2000, 2000, 2000), rates, 1)
    large, shared = (forecast((4000, 4000, 4000), rates, workers) for workers in (1, 8))
    assert large.voxels == 8 * small.voxels and 4 < large.blocks / small.blocks < 10
    assert large.objects == pytest.approx(8 * small.objects) and large.tables == pytest.approx(8 * small.tables)
    assert large.stages[1].seconds == pytest.approx(8 * small.stages[1].seconds)
    assert large.stages[1].seconds == pytest.approx(8 * shared.stages[1].seconds)
    assert 1 < large.inflation < 2 and large.ledger == 9 * (4 * large.blocks + large.voxels / 2**24)
    assert {stage.bound for stage in large.stages} == {"computing", "one process"}


def test_slow_storage_is_what_bounds():
    made = forecast((4000, 4000, 4000), Rates(**measured_rates()[0], storage=1e6, card=1e9), 64)
    assert [stage.bound for stage in made.stages[:3]] == ["storage"] * 3
    assert any("more GPUs change nothing" in words for words in made.limits)
    made = forecast((4000, 4000, 4000), Rates(**measured_rates()[0], link=1e4, card=1e9), 64)
    assert made.stages[1].bound == "network"


def test_of_a_petabyte_it_is_said_what_breaks():
    words = said("--shape", "100000,100000,100000", "--workers", "64", "--rate", "card=5e7")
    assert "1e+15 voxels" in words and "ids of 64 bits" in words and "files of chunks" in words
    assert "64, each with a GPU of 50 Mvoxel/s" in words and "card 5e+07" in words


def test_an_image_in_2d_and_wishes_that_cannot_be_met(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((300, 400), np.uint8))
    assert "1.2e+05 voxels" in said(str(tmp_path / "a.tif"))
    for arguments, words in (
        ({}, "no volume was given"),
        ({"shape": "1,2,3,4"}, "no image has the shape"),
        ({"shape": "9,9", "rate": ["card"]}, "is not NAME=NUMBER"),
        ({"shape": "9,9", "rate": ["cards=3"]}, "'cards' is not a setting"),
        ({"shape": "9,9", "rate": ["card=-1"]}, "card = -1"),
    ):
        with pytest.raises(UserError, match=words):
            plan(**{"workers": 1, "memory": "16GB", "objects": 32.0, "image": None, "shape": None, "axes": None,
                    "rate": None} | arguments)  # fmt: skip
