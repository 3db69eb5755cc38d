"""Trainings that are made to fail, of which the monitor says how, and healthy ones, in which it is silent.

Small networks on small phantoms, some hundred steps each: half a minute of one core a run.
"""

import json

import pytest
import torch

from cytoshift.core.settings import parse
from cytoshift.data.write import write_image, write_labels
from cytoshift.synth import PHANTOMS, pair, phantom
from cytoshift.train import loop
from cytoshift.train.settings import Run

pytestmark = pytest.mark.slow

STEPS = 160
TRAIN = {
    "steps": STEPS, "batch": 1, "precision": "32", "log_every": 4, "sheet_every": 10, "checkpoint_every": 100,
    "accelerator": "cpu", "ema": 0.9, "betas": [0.5, 0.99],
}  # fmt: skip
WORKING = (1.3, 1.3)  # um
UNET = {"widths": (8, 8), "stem": 3, "plus": False, "non_local": False}
OPTIONS = {
    "adgan": {"width": 6, "critic": 6, "hidden": 12, "blocks": 1, "stem": 3, "up": 4},
    "cyclegan": {"width": 6, "blocks": 1, "stem": 3, "up": "linear", "residual": True, "critic": (8, 8), "pool": 20},
    "cysgan": UNET | {"critic": (8, 8), "cycle": 10.0, "agree": 2.0, "residual": True, "warm": 0.15,
                      "norm_first": False, "pool": 20},
    "feature": UNET | {"critic": (8, 8), "deep": (8,), "pool": 20},
    "supervised": UNET,
}  # fmt: skip
LR = {"adgan": 4e-4, "cyclegan": 4e-4, "cysgan": 1e-3, "feature": 1e-3, "supervised": 1e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """PHANTOM/images and PHANTOM/labels; PAIR/SIDE/images and so on."""
    out = tmp_path_factory.mktemp("phantoms")
    for name in ("sparse-2d", "dense-2d"):
        for i in range(2):
            keep(out / name, *phantom(name, 0, (160, 160), i), i)
    for side in ("source", "target"):
        for i in range(2):
            keep(out / "pair" / side, *pair("em-to-expansion-2d", side, 0, (160, 160), i), i)
    return out


def keep(folder, image, labels, voxel, i):
    write_image(folder / "images" / f"{i}.tif", image, voxel, "yx")
    write_labels(folder / "labels" / f"{i}.tif", labels, voxel, "yx")


def run_of(method, target, source=None, seed=0, prior=None, invert=False, options=None, **train):
    """target, source: folders of images and labels. prior: name of the phantom whose masks are drawn."""
    lent = (
        {"images": {"paths": str(source / "images")}, "labels": {"paths": str(source / "labels")}, "voxel": WORKING}
        if source
        else None
    )
    return parse(
        Run,
        {
            "method": method,
            "seed": seed,
            "data": {"images": {"paths": str(target / "images")}, "normalise": {"invert": invert}, "voxel": WORKING},
            "source": lent,
            "patch": (32, 32),
            "prior": PHANTOMS[prior].prior.model_dump() if prior else None,
            "represent": {"kind": "semantic" if method == "adgan" else "bcd"},
            "options": OPTIONS[method] | (options or {}),
            "train": TRAIN | {"lr": LR[method]} | train,
        },
    )


def failures(run, out):
    """Train; the step and the symptom of every warning."""
    torch.set_num_threads(1)
    loop.learn(run, out, quiet=True)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    words = [row["note"] for row in rows if row.get("note", "").startswith("warning at step ")]
    return [(int(w.split()[3][:-1]), w.split(": ", 1)[1]) for w in words]
