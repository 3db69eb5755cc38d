"""Which state is shipped: the rule on hand-made states, its criteria on arrays, and a run that follows it."""

import json

import numpy as np
import pytest
import tifffile
import torch

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.label_pairs import leave_out
from cytoshift.data.volumes import Volume, open_volumes
from cytoshift.methods import METHODS
from cytoshift.model import Segmenter
from cytoshift.train.domain_streams import domain_streams, split_source
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from cytoshift.train.snapshot_rule import SnapshotScore, certainty, choose_snapshot, cover_agreement, view_agreement

TYX = {"axes": "tyx", "voxel": (1.0, 1.0), "unit": "px"}


def test_the_source_comes_first_and_then_the_target():
    good, better, best = (
        SnapshotScore(10, 0.9, 0.9, 0.80),
        SnapshotScore(20, 0.8, 0.9, 0.89),
        SnapshotScore(30, 0.7, 0.9, 0.90),
    )
    assert choose_snapshot([good, better, best]) is better, "0.80 is too far from the best on the source"
    assert choose_snapshot([SnapshotScore(10, 0.9, 0.9), SnapshotScore(20, 0.8, 0.9)]).step == 10
    assert choose_snapshot([SnapshotScore(10, 0.9, 0.9), SnapshotScore(20, 0.9, 0.9)]).step == 20, (
        "the later one of two alike"
    )
    assert choose_snapshot([SnapshotScore(10, 0.9, 0.9, cover=0.2), SnapshotScore(20, 0.8, 0.9, cover=0.9)]).step == 20


def test_criteria_are_one_at_best():
    mask = np.zeros((1, 2, 4, 4), np.float32)
    mask[0, 0, :2], mask[0, 1, 0, 0] = 1, 1
    assert view_agreement(mask, mask) == pytest.approx(1) and certainty(mask) == pytest.approx(1, abs=1e-3)
    assert view_agreement(mask, np.flip(mask, 2)) == pytest.approx(0)
    half = mask.copy()
    half[0, 0, 1] = 0  # 4 voxels of 8: a Dice of 2/3, and 1 of the other class
    assert view_agreement(mask, half) == pytest.approx((2 / 3 + 1) / 2)
    assert view_agreement(0 * mask, 0 * mask) == 0, "nothing found twice is no steadiness"
    assert certainty(np.full_like(mask, 0.5)) == pytest.approx(0)
    assert cover_agreement(mask, np.array([0.5, 1 / 8])) == pytest.approx((1 + 0.5) / 2)
    assert cover_agreement(mask, None) is None


def test_what_is_held_is_not_learnt_from():
    volumes = [Volume(f"{i}", np.full((4, 10), i), "yx", Voxel((1.0, 1.0)), f"{i}") for i in range(4)]
    pairs = [(volume, volume) for volume in volumes]
    kept, held = leave_out(pairs, 0.25)
    assert [one.name for one, _ in kept] == ["0", "1", "3"] and [one.name for one, _ in held] == ["2"]
    kept, held = leave_out(pairs[:1], 0.2)
    assert kept[0][0].shape == (4, 8) and held[0][1].shape == (4, 2), "the last piece of the longer axis"


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("sections"), np.random.default_rng(0)
    raw, mask = rng.normal(60, 8, (4, 48, 48)), np.zeros((4, 48, 48), np.uint8)
    for z in range(4):
        for y, x in ((10, 12), (34, 16 + 4 * z)):
            mask[z, y - 6 : y + 6, x - 6 : x + 6] = 1
    raw[mask > 0] += 120
    tifffile.imwrite(folder / "raw.tif", raw.clip(0, 255).astype(np.uint8), photometric="minisblack")
    tifffile.imwrite(folder / "mask.tif", mask, photometric="minisblack")
    return folder


def settings(folder, **train) -> Run:
    short = {"steps": 6, "batch": 1, "precision": "32", "samples_every": 6, "accelerator": "cpu"}
    images = {"paths": str(folder / "raw.tif"), **TYX}
    labels = {"paths": str(folder / "mask.tif"), **TYX}
    data = {
        "method": "supervised", "patch": (32, 32), "represent": {"kind": "semantic"}, "train": short | train,
        "options": {"widths": (8, 8), "stem": 3, "plus": False, "non_local": False}, "data": {"images": images},
        "source": {"images": images, "labels": labels, "mask_above": 0, "held_out": 0.25},
    }  # fmt: skip
    return parse(Run, data, "a test")


def test_a_run_ships_the_state_that_the_rule_chooses(sections, tmp_path):
    run = settings(sections, snapshots=3, select="rule")
    kept, held = split_source(run)
    assert len(kept) == 3 and len(held) == 1 and held[0][0].name not in {image.name for image, _ in kept}
    model = fit(run, tmp_path / "run", quiet=True)
    table = json.loads((tmp_path / "run" / "selection.json").read_text())
    assert [row["step"] for row in table] == [2, 4, 6] and all(0 <= row["source"] <= 1 for row in table)
    (best,) = [row["step"] for row in table if row["chosen"]]
    shipped, there = Segmenter.load(model), Segmenter.load(tmp_path / "run" / "snapshots" / f"{best:06d}")
    assert shipped.card["selected"]["step"] == best
    for one, other in zip(shipped.network.state_dict().values(), there.network.state_dict().values()):
        assert torch.equal(one, other)


def test_nothing_to_select_from_is_one_sentence(sections):
    with pytest.raises(UserError, match="select is rule, but snapshots = 0 leaves no choice; set it to 5 or more"):
        settings(sections, select="rule")


def test_domains_hold_back_what_is_held(sections):
    run = settings(sections)
    volumes = open_volumes(run.data.images)
    eaten = domain_streams(run, METHODS["supervised"].batch, volumes, volumes[0].voxel)
    assert len(eaten["source"].arrays) == 3
