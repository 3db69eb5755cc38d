"""How learning rates rise and fall, and what weight decay spares."""

import pytest
import torch
from torch import nn

from cytoshift.train.run_settings import Train
from cytoshift.train.step import optimizers, rate


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({"decay_from": 0.5}, [1, 1, 1, 0.5]),
        ({"decay_from": 1.0}, [1, 1, 1, 1]),
        ({"decay_from": 0.0}, [1, 0.75, 0.5, 0.25]),
        ({"decay_from": 0.0, "fall": "cosine"}, [1, 0.8536, 0.5, 0.1464]),
        ({"decay_from": 1.0, "warm_up": 50}, [0.001, 0.5005, 1, 1]),
    ],
)
def test_rates_of_the_four_quarters(settings, factors):
    train = Train(steps=100, **settings)
    assert [rate(step, step / 100, train) for step in (0, 25, 50, 75)] == pytest.approx(factors, abs=1e-4)


def test_adamw_spares_biases_and_norms():
    player = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2))
    train = Train(optimizer="adamw", weight_decay=0.1)
    decayed, spared = optimizers({"net": player}, train)["net"].param_groups
    assert [p.ndim for p in decayed["params"]] == [4]
    assert decayed["weight_decay"] == 0.1
    assert len(spared["params"]) == 3
    assert spared["weight_decay"] == 0


def test_adam_moves_all_of_a_player_alike():
    (group,) = optimizers({"net": nn.Conv2d(1, 2, 3)}, Train())["net"].param_groups
    assert isinstance(optimizers({"net": nn.Conv2d(1, 2, 3)}, Train())["net"], torch.optim.Adam)
    assert len(group["params"]) == 2
