"""Methods that bring the features of two domains together: each against its equation, written out once more."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as entropy

from cytoshift.core.batch import LabelledBatch, LabelledPair, UnlabelledPair
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.losses.align import VoxelSample, coral, mmd
from cytoshift.methods import METHODS
from cytoshift.methods.mean_teacher import SHARE, ramp, weights
from cytoshift.represent import BCD, Semantic
from tiny_methods import batch_of, build, optimizers_of, step, terms_of

both = pytest.mark.parametrize("ndim", [2, 3])
LEVELLED = ("mmd", "coral", "dann")


def numbers(update):
    return {name: value.item() for name, value in terms_of(update).items()}


@both
@pytest.mark.parametrize("represent", [BCD(), Semantic()])
@pytest.mark.parametrize("name", ["mmd", "coral"])
def test_distances_of_every_level_are_weighed_and_added(name, represent, ndim):
    method = build(name, ndim, represent, lambdas=(0.3, 2.0))
    (x, s), (y, _) = batch = batch_of(method, ndim)
    with torch.no_grad():
        f_x, f_y = method.net.encode(x), method.net.encode(y)  # one domain at a time
        flat = (
            VoxelSample(64, seed=0) if name == "mmd" else lambda f: torch.cat([a.reshape(a.shape[0], -1).T for a in f])
        )
        distance = {"mmd": mmd, "coral": coral}[name]
        expected = {"segment": represent.loss(method.net(x), s).item()}
        for i, weight in enumerate((0.3, 2.0)):
            expected[f"level_{i}"] = weight * distance(flat(f_x[i]), flat(f_y[i])).item()
    assert numbers(next(method.step(batch, 0.0))) == pytest.approx(expected, rel=1e-4)


@both
def test_dann_takes_the_entropy_of_every_level_and_turns_it_around_for_the_encoder(ndim):
    lambdas, progress = (0.3, 2.0), 0.2
    method = build("dann", ndim, lambdas=lambdas)
    (x, s), (y, _) = batch = batch_of(method, ndim)
    strength = 2 / (1 + math.exp(-10 * progress)) - 1

    f_x, f_y = method.net.encode(x), method.net.encode(y)
    levels = []
    for i in range(2):
        d_x, d_y = method.tell[str(i)](f_x[i]), method.tell[str(i)](f_y[i])
        levels.append((entropy(d_x, torch.zeros_like(d_x)) + entropy(d_y, torch.ones_like(d_y))) / 2)
    segment = method.represent.loss(method.net(x), s)
    net, tell = list(method.net.parameters()), list(method.tell.parameters())
    against = sum(weight * level for weight, level in zip(lambdas, levels))
    expected_net = torch.autograd.grad(segment - strength * against, net, retain_graph=True)
    expected_tell = torch.autograd.grad(sum(levels), tell)

    update = next(method.step(batch, progress))
    terms = terms_of(update)
    values = {"segment": segment.item(), "level_0": levels[0].item(), "level_1": levels[1].item()}
    assert numbers(update) == pytest.approx(values, rel=1e-4)
    sum(terms.values()).backward()
    for parameter, expected in zip(net + tell, expected_net + expected_tell):
        scale = expected.abs().max().item()
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-5 * max(scale, 1e-3))


def test_dann_moves_every_classifier_and_lets_the_encoder_alone_at_first():
    method = build("dann", lambdas=(1.0, 1.0))
    before = {name: p.clone() for name, p in method.tell.named_parameters()}
    step(method, optimizers_of(method), batch_of(method))
    assert all(not torch.equal(p, before[name]) for name, p in method.tell.named_parameters())

    (x, _), (y, _) = batch = batch_of(method)
    terms = terms_of(next(method.step(batch, 0.0)))
    method.zero_grad()
    (terms["level_0"] + terms["level_1"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in method.net.parameters())
    assert len(x) == len(y)


@both
def test_ynet_draws_both_domains_again_as_they_were(ndim):
    method = build("ynet", ndim, lambda_s=0.5, lambda_t=0.25)
    (x, s, x_clean), (y, y_clean) = batch = batch_of(method, ndim)
    with torch.no_grad():
        shapes = [f.shape[2:] for f in method.net.encode(x)]
        again = lambda image: method.redraw(method.net.encode(image)[-1], shapes)
        expected = {
            "segment": method.represent.loss(method.net(x), s).item(),
            "redraw_x": 0.5 * ((again(x) - x_clean) ** 2).mean().item(),
            "redraw_y": 0.25 * ((again(y) - y_clean) ** 2).mean().item(),
        }
    assert again(x).shape == x.shape
    assert numbers(next(method.step(batch, 0.0))) == pytest.approx(expected, rel=1e-4)


def test_the_second_decoder_sees_the_bottleneck_alone_and_any_size():
    method = build("ynet")
    x = torch.rand(1, 1, 21, 27)
    features = method.net.encode(x)
    drawn = method.reconstruct(features)
    assert drawn.shape == x.shape
    assert torch.equal(method.reconstruct([0 * features[0], features[1]]), drawn)


def test_ynet_learns_to_draw_again():
    method = build("ynet", lambda_s=1.0, lambda_t=1.0)
    optimizers, batch = optimizers_of(method, 1e-2), batch_of(method)
    smooth = torch.linspace(-1, 1, 24).expand(2, 1, 24, 24).contiguous()
    batch = method.batch(LabelledPair(smooth, batch.source.target, smooth), UnlabelledPair(-smooth, -smooth))
    first = step(method, optimizers, batch)
    for _ in range(40):
        last = step(method, optimizers, batch)
    for name in ("net/redraw_x", "net/redraw_y"):
        assert last[name] < 0.3 * first[name]


@both
def test_the_mean_teacher_is_the_mean_of_its_student(ndim):
    method = build("mean_teacher", ndim, decay=0.3)
    start = [p.clone() for p in method.net.parameters()]
    optimizers = optimizers_of(method)
    step(method, optimizers, batch_of(method, ndim, 0))
    assert all(torch.equal(t, p) for t, p in zip(method.teacher.network.parameters(), start))  # as its student was
    now = [p.clone() for p in method.net.parameters()]
    step(method, optimizers, batch_of(method, ndim, 1))
    for mean, old, new in zip(method.teacher.network.parameters(), start, now):
        torch.testing.assert_close(mean, old / 11 + new * 10 / 11)  # young: 1 / (1 + 10) is below 0.3


@both
def test_mean_teacher_terms_are_the_equation(ndim):
    method = build("mean_teacher", ndim, confidence_threshold=0.6, consistency=3.0, ramp=0.5)
    with torch.no_grad():
        method.net.head[-1].weight.mul_(5)  # so that some voxels are sure
        (x, s), (y, y_clean) = batch = batch_of(method, ndim)
        update = next(method.step(batch, 0.25))
        logits = method.net(y_clean)  # the teacher begins as its student is
        t, p = method.represent.activate(logits), method.represent.activate(method.net(y))
        far, sides = (p - t).square().mean(1)[:, None], [logits[:, :1].sigmoid() >= 0.6, logits[:, :1].sigmoid() <= 0.4]
        assert all(0.01 < side.float().mean() < 0.9 for side in sides)
        agree = sum(far[side].mean() / 2 for side in sides)
        expected = {"segment": method.represent.loss(method.net(x), s), "agree": 3 * math.exp(-1.25) * agree}
    assert numbers(update) == pytest.approx({k: v.item() for k, v in expected.items()}, rel=1e-4)


def test_few_sure_voxels_of_a_side_do_not_count_for_many():
    logits = torch.full((1, 1, 100, 100), -4.0)
    logits[..., 0, :2] = 4.0
    logits[..., 1, :] = 0.5  # not sure
    found = weights(logits, 0.8)
    assert found[..., 0, :2].sum() == pytest.approx(2 / (2 * SHARE * 10_000)) and not found[..., 1, :].any()
    assert found[..., 2:, :].sum() + found[..., 0, 2:].sum() == pytest.approx(0.5)
    assert not weights(torch.zeros(1, 1, 8, 8), 0.8).any()


def test_the_teacher_learns_by_its_student_alone():
    method = build("mean_teacher")
    terms = terms_of(next(method.step(batch_of(method), 1.0)))
    sum(terms.values()).backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    assert ramp(0.0, 0.3) == pytest.approx(math.exp(-5)) and ramp(0.3, 0.3) == ramp(1.0, 0.0) == 1


@pytest.mark.parametrize("name", LEVELLED)
def test_lambdas_rise_with_depth_and_switch_levels_off(name):
    kind = METHODS[name]
    wish = {"widths": (8, 8, 16), "stem": 3, "plus": False, "non_local": False}
    assert kind.settings(**wish, bottleneck=2.0).ladder() == (0.5, 1.0, 2.0)
    method = build(name, widths=(8, 8, 16), lambdas=(0.0, 0.0, 1.0))
    assert set(numbers(next(method.step(batch_of(method), 0.5)))) == {"segment", "level_2"}
    with pytest.raises(UserError, match="need one weight for each of 3 levels"):
        parse(kind.settings, wish | {"lambdas": (1.0,)}, "options")
    with pytest.raises(UserError, match="must not be negative"):
        parse(kind.settings, wish | {"lambdas": (1.0, 0.0, -1.0)}, "options")


@pytest.mark.parametrize("name", (*LEVELLED, "ynet", "mean_teacher"))
def test_what_is_shipped_is_the_network_of_supervised(name):
    assert build(name).exported_spec() == build("supervised").exported_spec()
    assert type(build(name).network()) is type(build("supervised").network())


@pytest.mark.parametrize("name", ["dann", "ynet"])
def test_losses_that_are_means_over_samples_add_up_over_processes(name):
    """Two samples at once cost the mean of what each costs alone; of the distances `losses.align` says otherwise, and
    the mean teacher's means are over what it is sure of in the samples of a process."""
    method = build(name)
    batch = batch_of(method)
    alone = lambda i: method.batch(*(type(part)(*(t[i : i + 1] for t in part)) for part in batch))
    whole, first, second = (numbers(next(method.step(b, 0.5))) for b in (batch, alone(0), alone(1)))
    assert whole == pytest.approx({k: (first[k] + second[k]) / 2 for k in whole}, rel=1e-4)


def fields(x, s, y):
    return {
        LabelledBatch: LabelledBatch(x, s),
        LabelledPair: LabelledPair(x, s, x),
        UnlabelledPair: UnlabelledPair(y, y),
    }


def squares(rng, count, low, high):
    """Noisy images in [-1, 1] with one square each, of a gray value over another, and where it is."""
    image, mask = 0.1 * torch.randn(count, 1, 24, 24, generator=rng) + low, torch.zeros(count, 1, 24, 24)
    for i, (row, column) in enumerate(torch.randint(2, 12, (count, 2), generator=rng).tolist()):
        mask[i, :, row : row + 10, column : column + 10] = 1
    return (image + (high - low) * mask).clamp(-1, 1), mask


@pytest.mark.parametrize("name", (*LEVELLED, "ynet", "mean_teacher"))
def test_learns_squares_of_the_source_within_thirty_steps(name):
    rng = torch.Generator().manual_seed(0)
    method = build(name, represent=Semantic())
    optimizers = optimizers_of(method, lr=1e-2)
    for i in range(30):
        (x, s), (y, _) = squares(rng, 4, -0.8, 0.8), squares(rng, 4, -0.6, 0.4)
        made = fields(x, s, y)
        step(method, optimizers, method.batch(*(made[k] for k in method.batch.__annotations__.values())), i / 30)
    x, s = squares(rng, 8, -0.8, 0.8)
    with torch.no_grad():
        found = method.network()(x) > 0
    assert 2 * (found * s).sum() / (found.sum() + s.sum()) > 0.9


@pytest.mark.parametrize("name", ["mmd", "coral"])
def test_features_come_closer(name):
    """The same network and data, with and without the term: the distance between the domains falls by it."""
    ends = {}
    for weight in (0.0, 20.0):
        rng = torch.Generator().manual_seed(0)
        method = build(name, represent=Semantic(), lambdas=(0.0, weight))
        optimizers = optimizers_of(method, lr=1e-2)
        for _ in range(20):
            (x, s), (y, _) = squares(rng, 4, -0.8, 0.8), squares(rng, 4, -0.2, 0.2)
            step(method, optimizers, method.batch(LabelledBatch(x, s), UnlabelledPair(y, y)))
        with torch.no_grad():
            f_x, f_y = method.encode(x, y)
        flat = [f[-1].movedim(1, -1).flatten(0, 2) for f in (f_x, f_y)]
        ends[weight] = {"mmd": mmd, "coral": coral}[name](*flat).item()
    assert ends[20.0] < 0.5 * ends[0.0]
