"""Thresholds are tuned where truth is known, on what the network draws of the source."""

import numpy as np
import pytest
import torch
from torch import nn

from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data.labelled import LabelledImages
from cytoshift.data.volumes import Volume
from cytoshift.represent import BCD, Affinity, Semantic, Ternary
from cytoshift.represent.threshold_search import with_value
from cytoshift.train.tune import labelled_middle, tune
from tiny_methods import build

VOXEL = Voxel((1.0, 1.0))


def discs() -> np.ndarray:
    y, x = np.mgrid[:64, :96]
    labels = np.zeros((64, 96), np.uint8)
    for i, (cy, cx) in enumerate([(16, 16), (16, 48), (48, 30), (45, 75)], 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 100] = i
    return labels


def source(represent, working=VOXEL) -> LabelledImages:
    labels = discs()
    image = np.where(labels > 0, 200, 20).astype(np.uint8)
    volumes = [Volume(name, array, "yx", VOXEL, name) for name, array in (("image", image), ("labels", labels))]
    return LabelledImages(
        [volumes[0]], [volumes[1]], Normalisation(), working, (32, 32), 0, None, None, represent
    )  # fmt: skip


class Timid(nn.Module):
    """Draws every object, but is never sure: probabilities up to 0.55, distances up to 0.3."""

    multiple = 1

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        inside = self.scale * (x > 0)
        likely = torch.logit(0.05 + 0.5 * inside)
        return torch.cat([likely, torch.full_like(x, -3.0), torch.atanh(0.6 * inside - 0.3)], dim=1)


def test_a_timid_network_gets_thresholds_that_suit_it():
    represent = BCD(voxels=20, seed_voxels=5)
    found = tune(Timid(), source(represent), represent)
    assert found.before == 0 and found.after == pytest.approx(1, abs=0.02)
    assert found.represent.seed_foreground < 0.6 and found.represent.seed_distance < 0.3
    assert "seed_foreground 0.9 -> 0.5" in found.sentence(represent)


def test_thresholds_that_are_good_stay():
    represent = BCD(voxels=20, seed_voxels=5, threshold=0.3, seed_foreground=0.5, seed_distance=0.2)
    found = tune(Timid(), source(represent), represent)
    assert found.represent == represent and found.after == found.before
    assert "all kept" in found.sentence(represent)


def test_what_does_not_fit_the_other_thresholds_is_not_tried():
    assert with_value(BCD(threshold=0.7), "seed_foreground", 0.5) is None
    assert with_value(BCD(), "seed_foreground", 0.9) is None, "it is that already"
    assert with_value(BCD(), "seed_foreground", 0.8) == BCD(seed_foreground=0.8)


@pytest.mark.parametrize("represent", [BCD(), Semantic(), Ternary(), Affinity(offsets=((1, 0), (0, 1)))])
def test_tunable_thresholds_are_settings_of_the_decoder(represent):
    for knob, values in represent.tunable_thresholds.items():
        assert getattr(represent, knob) in values, "the default is among them"


def test_the_source_comes_on_the_working_grid_and_no_more_of_it_than_asked_for():
    represent = BCD()
    image, labels = labelled_middle(source(represent, Voxel((2.0, 2.0))), 0, 1e9)
    assert image.shape == labels.shape == (32, 48)
    image, labels = labelled_middle(source(represent), 0, 64 * 96 / 4)
    assert image.shape == labels.shape == (32, 48) and set(np.unique(labels)) <= set(range(5))


def test_cysgan_is_rehearsed_on_the_source_in_the_look_of_the_target():
    method = build("cysgan")
    x = torch.rand(1, 1, 24, 24)
    with torch.no_grad():
        assert torch.allclose(method.source_domain_network()(x), method.G(method.F(x)[0])[1], atol=1e-5)
    assert build("supervised").source_domain_network() is not None
