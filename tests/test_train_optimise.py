"""How learning rates rise and fall, and what weight decay spares."""

import pytest
import torch
from torch import nn

from cytoshift.methods import METHODS
from cytoshift.train.checkpoint import load
from cytoshift.train.run_settings import Train
from cytoshift.train.step import optimizers, rate


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({"decay_from": 0.5}, [1, 1, 1, 0.5]),
        ({"decay_from": 1.0}, [1, 1, 1, 1]),
        ({"decay_from": 0.0}, [1, 0.75, 0.5, 0.25]),
        ({"decay_from": 0.0, "schedule": "cosine"}, [1, 0.8536, 0.5, 0.1464]),
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


class Players(nn.Module):
    def __init__(self):
        super().__init__()
        self.discriminator_x = nn.Conv2d(1, 2, 3)


def test_a_checkpoint_with_old_names_of_players_goes_on(tmp_path):
    before, after = Players(), Players()
    old = {key.replace("discriminator", "critic"): value for key, value in before.state_dict().items()}  # old name
    adam, fresh = (torch.optim.Adam(one.parameters(), lr=lr) for one, lr in ((before, 0.5), (after, 0.1)))
    parts = {"method": old, "critics": adam.state_dict()}  # old name
    torch.save({"step": 3, "elapsed": 1.0, **parts}, tmp_path / "last.pt")
    assert load(tmp_path / "last.pt", {"method": after, "discriminators": fresh}) == (3, 1.0)
    assert (
        torch.equal(after.discriminator_x.weight, before.discriminator_x.weight) and fresh.param_groups[0]["lr"] == 0.5
    )


@pytest.mark.parametrize("name", ["adgan", "cyclegan", "cysgan", "feature", "mask_cyclegan", "vox2vox"])
def test_the_old_name_of_a_discriminator_in_settings_still_works(name):
    kind = METHODS[name].settings
    width = kind().discriminator
    assert kind.model_validate({"critic": width}) == kind(discriminator=width)  # old name
    assert Train(rates={"critics": 0.2}).lr_multipliers == {"discriminators": 0.2}  # old name
