"""What every method owes to the loop, in 2D and 3D."""

import contextlib
import copy
import math

import numpy as np
import pytest
import torch

from cytoshift.core.batch import Masks, Unlabelled
from cytoshift.losses.basic import l1, to_value
from cytoshift.methods import METHODS
from cytoshift.nets.translator import IMAGE, MASK, code
from cytoshift.train.step import Diverged, Mean, rate, train_step

SMALL = {"adgan": {"width": 4, "critic": 4, "hidden": 8, "blocks": 1, "pool": 3}}
SHAPES = {2: (2, 1, 32, 32), 3: (2, 1, 24, 32, 32)}
everywhere = pytest.mark.parametrize(("name", "ndim"), [(m, n) for m in METHODS for n in (2, 3)])


def build(name, ndim, **options):
    torch.manual_seed(0)
    kind = METHODS[name]
    return kind(ndim, kind.settings(**SMALL[name] | options), seed=0)


def batch_of(method, ndim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: torch.rand(SHAPES[ndim], generator=generator)
    made = {Unlabelled: lambda: Unlabelled(2 * draw() - 1), Masks: lambda: Masks((draw() > 0.7).float())}
    kinds = method.batch.__annotations__.values()
    return method.batch(*(made[kind]() for kind in kinds))


def optimizers_of(method, lr=1e-3):
    return {name: torch.optim.Adam(p.parameters(), lr, (0.5, 0.99)) for name, p in method.players().items()}


def step(method, optimizers, batch):
    return train_step(method, optimizers, batch, 0.0, contextlib.nullcontext)


@everywhere
def test_every_parameter_has_one_owner(name, ndim):
    method = build(name, ndim)
    owned = [id(p) for player in method.players().values() for p in player.parameters()]
    assert sorted(owned) == sorted({id(p) for p in method.parameters()})


@everywhere
def test_each_update_moves_its_player_and_no_other(name, ndim):
    method = build(name, ndim)
    optimizers, batch = optimizers_of(method), batch_of(method, ndim)
    body = method.step(batch, 0.0)
    for update in body:
        before = copy.deepcopy(method.state_dict())
        for i, objective in enumerate(update.objectives):
            total = sum(objective.terms.values())
            assert math.isfinite(total.item())
            inputs = list(objective.moves.parameters())
            total.backward(inputs=inputs, retain_graph=i + 1 < len(update.objectives))
        optimizers[update.player].step()
        optimizers[update.player].zero_grad()
        for player, module in method.players().items():
            moved = [not torch.equal(p, before[key]) for key, p in named(method, module)]
            assert any(moved) if player == update.player else not any(moved)
            # a bias before an instance norm has no effect; every weight must move
            if player == update.player:
                still = [key for (key, p), m in zip(named(method, module), moved) if not m and p.ndim > 1]
                assert not still, f"{update.player} leaves {still}"


def named(method, module):
    mine = {id(p) for p in module.parameters()}
    return [(key, p) for key, p in method.named_parameters() if id(p) in mine]


@everywhere
def test_the_network_gives_logits_of_the_image_size_and_is_rebuilt_from_its_spec(name, ndim):
    method = build(name, ndim).eval()
    x = torch.rand(SHAPES[ndim])
    again = method.shipped().build()
    again.load_state_dict(method.network().state_dict())
    with torch.no_grad():
        out = method.network()(x)
        assert out.shape == x.shape
        assert torch.equal(again.eval()(x), out)


@everywhere
def test_state_survives_a_checkpoint(name, ndim, tmp_path):
    """Three steps, a checkpoint, two more: the same numbers as five in a row."""
    whole, part = build(name, ndim), build(name, ndim)
    batches = [batch_of(whole, ndim, seed) for seed in range(5)]
    o_whole, o_part = optimizers_of(whole), optimizers_of(part)
    expected = [step(whole, o_whole, b) for b in batches][-1]
    for b in batches[:3]:
        step(part, o_part, b)
    saved = {"method": part.state_dict(), **{k: o.state_dict() for k, o in o_part.items()}}
    torch.save(saved, tmp_path / "x.pt")
    loaded = torch.load(tmp_path / "x.pt", weights_only=True)
    fresh = build(name, ndim)
    o_fresh = optimizers_of(fresh)
    fresh.load_state_dict(loaded["method"])
    for k, o in o_fresh.items():
        o.load_state_dict(loaded[k])
    got = [step(fresh, o_fresh, b) for b in batches[3:]][-1]
    assert {k: v.item() for k, v in got.items()} == {k: v.item() for k, v in expected.items()}


# Golden losses: a change that moves them says so in its commit message.
GOLDEN = {
    ("adgan", 2): {
        "generators/reconstruct": 29.72749,
        "generators/cycle": 29.44495,
        "generators/content": 3.59863,
        "generators/fool": 1.20363,
        "critic/reconstructed": 1.35792,
        "critic/translated": 0.33451,
    },
    ("adgan", 3): {
        "generators/reconstruct": 30.95888,
        "generators/cycle": 30.98471,
        "generators/content": 4.23803,
        "generators/fool": 1.62971,
        "critic/reconstructed": 0.90168,
        "critic/translated": 0.4329,
    },
}


@everywhere
def test_golden_losses_of_the_second_step(name, ndim):
    method = build(name, ndim)
    optimizers = optimizers_of(method)
    step(method, optimizers, batch_of(method, ndim, 0))
    terms = step(method, optimizers, batch_of(method, ndim, 1))
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(GOLDEN[name, ndim], rel=2e-3)


def test_adgan_terms_are_the_paper_equations():
    """Each term against passes made one by one, a are images, b masks."""
    method = build("adgan", 2)
    batch = batch_of(method, 2)
    a, b = batch.images.image, 2 * batch.masks.target - 1
    E, G, D, A, B = method.encode, method.decode, method.critic, code(a, IMAGE), code(b, MASK)
    with torch.no_grad():
        c_a, c_b = E(a, A), E(b, B)
        aa, bb, ab, ba = G(c_a, A).tanh(), G(c_b, B).tanh(), G(c_a, B).tanh(), G(c_b, A).tanh()
        c_ab, c_ba = E(ab, B), E(ba, A)
        aba, bab = G(c_ab, A).tanh(), G(c_ba, B).tanh()
        fool = to_value(D(ab)[:, MASK], 1) + to_value(D(ba)[:, IMAGE], 1)
        fool = fool + to_value(D(aa)[:, IMAGE], 0) + to_value(D(bb)[:, MASK], 0)
    expected = {
        "reconstruct": 20 * (l1(aa, a) + l1(bb, b)),
        "cycle": 20 * (l1(aba, a) + l1(bab, b)),
        "content": l1(c_ab, c_a) + l1(c_ba, c_b),
        "fool": fool,
    }
    update = next(method.step(batch, 0.0))
    terms = {k: v for objective in update.objectives for k, v in objective.terms.items()}
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-4), name


@pytest.mark.parametrize("aligned", [True, False])
def test_adgan_decoder_learns_from_reconstruction_alone(aligned):
    method = build("adgan", 2, aligned=aligned)
    update = next(method.step(batch_of(method, 2), 0.0))
    decoder = {id(p) for p in method.decode.parameters()}
    for objective in update.objectives:
        moves_decoder = any(id(p) in decoder for p in objective.moves.parameters())
        assert moves_decoder == ("reconstruct" in objective.terms or not aligned)


def test_a_term_that_is_no_number_stops_before_anything_moves():
    method = build("adgan", 2)
    batch = batch_of(method, 2)
    before = copy.deepcopy(method.state_dict())
    bad = batch._replace(images=Unlabelled(batch.images.image * math.nan))
    with pytest.raises(Diverged, match="generators/"):
        step(method, optimizers_of(method), bad)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items() if isinstance(v, torch.Tensor))


def test_running_mean_is_young_at_first_and_swaps_back():
    net = torch.nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(0.0)
    mean = Mean(net, 0.5)
    net.weight.data.fill_(1.0)
    mean.update(net, step=1)  # decay 1/11
    assert mean.weights[0].item() == pytest.approx(10 / 11)
    mean.swap(net)
    assert net.weight.item() == pytest.approx(10 / 11)
    mean.swap(net)
    assert net.weight.item() == 1.0


def test_learning_rate_is_constant_then_falls_to_zero():
    assert [rate(p, 0.5) for p in (0, 0.49, 0.75, 1.0)] == [1.0, 1.0, 0.5, 0.0]
    assert np.isclose(rate(0.999, 1.0), 1.0)
