"""What every method owes to the loop, in 2D and 3D."""

import copy
import math

import pytest
import torch

from cytoshift.core.batch import Shaded
from cytoshift.core.settings import parse
from cytoshift.losses.basic import l1, to_value
from cytoshift.methods import METHODS, Task
from cytoshift.nets.translator import IMAGE, MASK, code
from cytoshift.represent import Semantic
from cytoshift.train.settings import Train
from cytoshift.train.step import Diverged, Mean, train_step
from tiny_methods import VOXELS, batch_of, build, optimizers_of, shape_of, step

everywhere = pytest.mark.parametrize(("name", "ndim"), [(m, n) for m in METHODS for n in (2, 3)])


@everywhere
def test_every_parameter_has_one_owner(name, ndim):
    method = build(name, ndim)
    owned = [id(p) for player in method.players().values() for p in player.parameters()]
    assert sorted(owned) == sorted({id(p) for p in method.parameters() if p.requires_grad})


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
    x = torch.rand(shape_of(name, ndim))
    channels = 1 if name in ("adgan", "cyclegan") else len(method.task.represent.channels)
    again = method.shipped().build()
    network = method.network().to_target if name == "cyclegan" else method.network()
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        out = method.network()(x)
        assert out.shape == (len(x), channels, *x.shape[2:])
        assert torch.equal(again.eval()(x), out)


@everywhere
def test_the_network_is_always_the_same_module(name, ndim):
    """The running mean of its weights is swapped into it, and must arrive."""
    method = build(name, ndim)
    network = method.network()
    assert method.network() is network
    mine = {id(p) for p in method.parameters()}
    assert all(id(p) in mine for p in network.parameters())


@everywhere
def test_a_step_in_bfloat16_is_finite_and_near(name, ndim):
    half = lambda: torch.autocast("cpu", torch.bfloat16)
    whole, rounded = build(name, ndim), build(name, ndim)
    batch = batch_of(whole, ndim)
    expected = step(whole, optimizers_of(whole), batch)
    got = train_step(rounded, optimizers_of(rounded), batch, 0.0, half)
    assert {k: v.item() for k, v in got.items()} == pytest.approx({k: v.item() for k, v in expected.items()}, rel=0.1)
    assert all(p.isfinite().all() for p in rounded.parameters())


@pytest.mark.parametrize(("name", "preset"), [(m, p) for m, kind in METHODS.items() for p in kind.presets])
def test_presets_are_settings_that_there_are(name, preset):
    kind, fixed = METHODS[name], METHODS[name].presets[preset]
    ndim = int(preset[-2])
    options = parse(kind.settings, fixed["options"], preset)
    parse(Train, fixed["train"], preset)
    assert len(fixed.get("patch", (0,) * ndim)) == ndim
    if preset.startswith("laptop"):
        method = kind(Task(VOXELS[ndim], Semantic()), options)
        assert sum(p.numel() for p in method.network().parameters()) < 2e6


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
    ("supervised", 2): {
        "net/segment": 3.45265,
    },
    ("supervised", 3): {
        "net/segment": 3.57041,
    },
    ("cysgan", 2): {
        "generators/cycle_x": 0.62115,
        "generators/cycle_y": 0.63228,
        "generators/fool_y": 1.35772,
        "generators/segment_x": 3.11669,
        "generators/agree": 0.21479,
        "generators/shape_yx": 0.88199,
        "generators/fool_x": 1.22489,
        "generators/segment_xy": 3.06221,
        "generators/shape_y": 0.88193,
        "critics/x": 1.30514,
        "critics/y": 1.58299,
        "critics/s": 1.00338,
    },
    ("cysgan", 3): {
        "generators/cycle_x": 0.61242,
        "generators/cycle_y": 0.61056,
        "generators/fool_y": 1.43144,
        "generators/segment_x": 3.19491,
        "generators/agree": 0.2085,
        "generators/shape_yx": 0.85896,
        "generators/fool_x": 1.23867,
        "generators/segment_xy": 3.11051,
        "generators/shape_y": 0.85333,
        "critics/x": 1.354,
        "critics/y": 1.62326,
        "critics/s": 1.01125,
    },
    ("cyclegan", 2): {
        "generators/fool": 2.05553,
        "generators/cycle": 10.27815,
        "generators/identity": 5.15175,
        "critics/source": 1.17185,
        "critics/target": 0.9714,
    },
    ("cyclegan", 3): {
        "generators/fool": 1.95004,
        "generators/cycle": 10.21552,
        "generators/identity": 5.14344,
        "critics/source": 1.01308,
        "critics/target": 0.89495,
    },
    ("feature", 2): {
        "net/segment": 3.45183,
        "net/shape": 0.04456,
        "net/fine": 0.05507,
        "net/deep": 0.15469,
        "critics/s": 0.82825,
        "critics/fine": 0.72579,
        "critics/deep": 1.60028,
    },
    ("feature", 3): {
        "net/segment": 3.57025,
        "net/shape": 0.04551,
        "net/fine": 0.05372,
        "net/deep": 0.15356,
        "critics/s": 0.78912,
        "critics/fine": 0.78191,
        "critics/deep": 1.61541,
    },
    ("mmd", 2): {
        "net/segment": 3.45291,
        "net/level_0": 0.00586194,
        "net/level_1": 0.0221533,
    },
    ("mmd", 3): {
        "net/segment": 3.57128,
        "net/level_0": 0.0066492,
        "net/level_1": 0.0113165,
    },
    ("coral", 2): {
        "net/segment": 3.45219,
        "net/level_0": 0.000578007,
        "net/level_1": 0.00311895,
    },
    ("coral", 3): {
        "net/segment": 3.57066,
        "net/level_0": 0.000154222,
        "net/level_1": 0.00110278,
    },
    ("dann", 2): {
        "net/segment": 3.45265,
        "net/level_0": 0.719438,
        "net/level_1": 0.700886,
    },
    ("dann", 3): {
        "net/segment": 3.57041,
        "net/level_0": 0.719796,
        "net/level_1": 0.700964,
    },
    ("ynet", 2): {
        "net/segment": 3.45265,
        "net/redraw_x": 0.000402262,
        "net/redraw_y": 0.000389562,
    },
    ("ynet", 3): {
        "net/segment": 3.57042,
        "net/redraw_x": 0.000397733,
        "net/redraw_y": 0.000398195,
    },
    ("mask_cyclegan", 2): {
        "generators/fool": 1.92459,
        "generators/cycle": 33.77124,
        "generators/identity": 16.85464,
        "critics/volumes": 0.89007,
        "critics/masks": 0.8302,
    },
    ("mask_cyclegan", 3): {
        "generators/fool": 2.00308,
        "generators/cycle": 33.53505,
        "generators/identity": 16.74007,
        "critics/volumes": 1.03718,
        "critics/masks": 0.98128,
    },
    ("vox2vox", 2): {
        "net/fool": 1.93442,
        "net/dice": 2.22506,
        "critic/pairs": 2.2292,
    },
    ("vox2vox", 3): {
        "net/fool": 1.89516,
        "net/dice": 2.20755,
        "critic/pairs": 2.15889,
    },
    ("mean_teacher", 2): {
        "net/segment": 3.45256,
        "net/agree": 0.0038733778,
    },
    ("mean_teacher", 3): {
        "net/segment": 3.5704,
        "net/agree": 0.0039835460,
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
    bad = batch._replace(images=Shaded(*(batch.images.image * math.nan,) * 2))
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
