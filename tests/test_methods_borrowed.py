"""Methods that borrow labels: each against its equations, and CySGAN's four passes against six plain ones."""

import pytest
import torch

import paper_networks
from cytoshift.core.batch import LabelledBatch, LabelledPair, UnlabelledBatch, UnlabelledPair
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.losses.adversarial import discriminator_loss, generator_loss
from cytoshift.methods import METHODS, Task
from cytoshift.methods.cyclegan import patchgan
from cytoshift.represent import BCD, Semantic
from cytoshift.train.run_settings import Run
from tiny_methods import BORROWED, batch_of, build, optimizers_of, step, terms_of

both = pytest.mark.parametrize("ndim", [2, 3])


def gradients(method, update):
    """As the loop takes them; by name."""
    method.zero_grad(set_to_none=True)
    for objective in update.objectives:
        total = sum(objective.terms.values())
        total.backward(inputs=list(objective.moves.parameters()), retain_graph=True)
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}


def six_passes(method, batch):
    """CySGAN's objective as the authors' trainer has it: every synthesised image once more, cut off, for its labels."""
    lam, F, G, represent = method.options, method.F, method.G, method.represent
    (x, s, x_clean), (y, y_clean) = batch
    l1 = lambda a, b: (a - b).abs().mean()
    near = lambda scores: (scores - 1).pow(2).mean()
    xy, s_x = F(x)
    xyx, _ = G(xy)
    _, s_xy = G(xy.detach())
    yx, s_y = G(y)
    yxy, _ = F(yx)
    _, s_yx = F(yx.detach())
    s_y, s_yx = represent.activate(s_y), represent.activate(s_yx)
    return {
        "cycle_x": lam.cycle * l1(xyx, x_clean),
        "cycle_y": lam.cycle * l1(yxy, y_clean),
        "fool_x": near(method.discriminator_x(yx)),
        "fool_y": near(method.discriminator_y(xy)),
        "segment_x": represent.loss(s_x, s),
        "segment_xy": represent.loss(s_xy, s),
        "agree": lam.agree * l1(s_y, s_yx),
        "shape_y": near(method.discriminator_s(s_y)),
        "shape_yx": near(method.discriminator_s(s_yx)),
    }


@both
def test_cysgan_equals_six_plain_passes(ndim):
    method = build("cysgan", ndim, cycle=3.0, agree=2.0)
    with torch.no_grad():  # as they start alike, a mistake of one for the other would not be seen
        for p in method.G.parameters():
            p.mul_(1 + 0.3 * torch.rand_like(p))
    batch = batch_of(method, ndim)
    update = next(method.step(batch, 0.0))
    ours = gradients(method, update)

    expected = six_passes(method, batch)
    got = terms_of(update)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name].item() == pytest.approx(value.item(), rel=1e-5), name

    method.zero_grad(set_to_none=True)
    sum(expected.values()).backward()
    generators = {n: p.grad for n, p in method.named_parameters() if n.startswith(("F.", "G."))}
    assert ours.keys() == generators.keys()  # and no gradient of a discriminator
    for name, gradient in generators.items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(ours[name], gradient, rtol=1e-5, atol=1e-5 * max(scale, 1e-3), msg=name)


def test_cysgan_reads_each_image_once():
    """Four passes of the generators a step, and no weight gradient of a discriminator while they move."""
    method = build("cysgan")
    passes, wasted = [], []
    for net in (method.F.segment, method.G.segment):
        net.register_forward_hook(lambda *_: passes.append(1))
    update = next(method.step(batch_of(method), 0.0))
    hooks = [p.register_hook(lambda _: wasted.append(1)) for p in method.players()["discriminators"].parameters()]
    gradients(method, update)
    assert len(passes) == 4
    assert len(hooks) > 0 and not wasted


def test_cysgan_discriminators_see_clean_images_and_true_labels_as_real():
    method = build("cysgan")
    batch = batch_of(method)
    (_, s, x_clean), (_, y_clean) = batch
    seen = {}
    for name in ("discriminator_x", "discriminator_y", "discriminator_s"):
        getattr(method, name).register_forward_hook(lambda _m, args, _o, name=name: seen.__setitem__(name, args[0]))
    optimizers = optimizers_of(method)
    step(method, optimizers, batch)
    for name, real in (("discriminator_x", x_clean), ("discriminator_y", y_clean), ("discriminator_s", s)):
        assert torch.equal(seen[name][: len(real)], real), name
        assert not seen[name].requires_grad
    assert len(seen["discriminator_s"]) == 3 * len(s)  # both segmentations of y are fakes


def test_cysgan_without_restoration_goes_back_to_what_was_read():
    whole, without = build("cysgan"), build("cysgan", restore=False)
    batch = batch_of(whole)
    (x, s, _), (y, _) = batch
    plain = whole.batch(LabelledPair(x, s, x), UnlabelledPair(y, y))
    expected = step(whole, optimizers_of(whole), plain)
    got = step(without, optimizers_of(without), batch)
    assert {k: v.item() for k, v in got.items()} == {k: v.item() for k, v in expected.items()}


def test_cysgan_warms_up_by_labels_and_cycle_alone():
    method = build("cysgan", warm_up=0.5)
    batch = batch_of(method)
    early, late = (terms_of(next(method.step(batch, progress))) for progress in (0.49, 0.5))
    games = {"fool_x", "fool_y", "shape_y", "shape_yx", "agree"}
    assert {name for name in early if early[name] == 0} == games
    assert all(value > 0 for value in late.values())


def test_cysgan_identity_term_is_there_only_with_a_weight():
    method = build("cysgan", identity=5.0)
    (x, s, x_clean), (y, y_clean) = batch = batch_of(method)
    terms = terms_of(next(method.step(batch, 0.0)))
    assert terms["identity_x"].item() == pytest.approx(5 * (method.G(x)[0] - x_clean).abs().mean().item(), rel=1e-5)
    assert terms["identity_y"].item() == pytest.approx(5 * (method.F(y)[0] - y_clean).abs().mean().item(), rel=1e-5)
    assert s.shape[1] == 3


@both
def test_a_residual_translation_starts_at_the_image(ndim):
    method = build("cysgan", ndim, residual=True)
    x = batch_of(method, ndim).source.image.clamp(-0.99, 0.99)
    assert torch.allclose(method.F(x)[0], x, atol=1e-5)
    terms = terms_of(next(method.step(batch_of(method, ndim), 0.0)))
    sum(terms.values()).backward()
    assert all(p.grad.abs().sum() > 0 for p in method.F.draw)  # it can leave from there


@both
@pytest.mark.parametrize("represent", [BCD(), Semantic()])
def test_cysgan_ships_the_plain_segmenter(ndim, represent):
    """What segments the target is the network of `supervised`, and gives what the generator gave."""
    method, plain = build("cysgan", ndim, represent), build("supervised", ndim, represent)
    assert method.exported_spec() == plain.exported_spec()
    assert type(method.network()) is type(plain.network())
    x = batch_of(method, ndim).target.image
    with torch.no_grad():
        torch.testing.assert_close(method.network()(x), method.G(x)[1], rtol=1e-4, atol=1e-5)


def test_the_papers_generator_is_the_default():
    voxel = Voxel((2.5, 0.325, 0.325), "um")
    method = METHODS["cysgan"](Task(voxel, BCD()), METHODS["cysgan"].settings())
    assert method.options.unet(voxel, 4) == paper_networks.cysgan_generator(voxel)
    assert sum(p.numel() for p in method.F.parameters()) == sum(
        p.numel() for p in paper_networks.cysgan_generator(voxel).build().parameters()
    )


@both
def test_cyclegan_terms_are_the_equations(ndim):
    method = build("cyclegan", ndim)
    both = method.network()
    F, G = (lambda a: both.to_target(a).tanh()), (lambda a: both.to_source(a).tanh())
    (x,), (y,) = batch = batch_of(method, ndim)
    l1 = lambda a, b: (a - b).abs().mean().item()
    with torch.no_grad():
        xy, yx = F(x), G(y)
        expected = {
            "fool": ((method.discriminator_target(xy) - 1) ** 2).mean()
            + ((method.discriminator_source(yx) - 1) ** 2).mean(),
            "cycle": 10 * (l1(G(xy), x) + l1(F(yx), y)),
            "identity": 5 * (l1(F(y), y) + l1(G(x), x)),
        }
        told = ((method.discriminator_target(y) - 1) ** 2).mean() + (method.discriminator_target(xy) ** 2).mean()
    body = method.step(batch, 0.0)
    got, discriminators = terms_of(next(body)), terms_of(next(body))
    assert {k: v.item() for k, v in got.items()} == pytest.approx({k: float(v) for k, v in expected.items()}, rel=1e-4)
    assert discriminators["target"].item() == pytest.approx(told.item(), rel=1e-4)


@both
def test_the_discriminator_of_cyclegan_is_the_papers_where_voxels_are_cubes(ndim):
    assert patchgan(Voxel((1.0,) * ndim), (64, 128, 256, 512)) == paper_networks.patchgan(ndim)


@both
def test_feature_terms_are_the_equations(ndim):
    method = build("feature", ndim)
    (x, s), (y,) = batch = batch_of(method, ndim)
    with torch.no_grad():
        z_x, z_y = method.net.encode(x), method.net.encode(y)
        (fine_x, s_x), (fine_y, s_y) = method.net.decode(z_x), method.net.decode(z_y)
        predicted = method.represent.activate(torch.cat([s_x, s_y]))
        expected = {
            "segment": method.represent.loss(s_x, s),
            "shape": 0.1 * generator_loss(method.discriminator_s, predicted),
            "fine": 0.1 * generator_loss(method.discriminator_fine, fine_y),
            "deep": 0.1 * generator_loss(method.discriminator_deep, z_y[-1]),
        }
        told = {
            "s": discriminator_loss(method.discriminator_s, s, predicted),
            "fine": discriminator_loss(method.discriminator_fine, fine_x, fine_y),
            "deep": discriminator_loss(method.discriminator_deep, z_x[-1], z_y[-1]),
        }
    body = method.step(batch, 0.0)
    for terms, wanted in ((terms_of(next(body)), expected), (terms_of(next(body)), told)):
        numbers = {name: value.item() for name, value in wanted.items()}
        assert {name: value.item() for name, value in terms.items()} == pytest.approx(numbers, rel=1e-4)


@both
@pytest.mark.parametrize("name", BORROWED)
def test_pictures_are_gray_images_of_the_batch(name, ndim):
    method = build(name, ndim)
    batch = batch_of(method, ndim)
    pictures = method.sample_images(batch)
    assert torch.equal(pictures["source"], batch.source.image)
    assert len(pictures) >= 3
    for title, picture in pictures.items():
        assert picture.shape == batch.source.image.shape, title
        assert picture.min() >= -1 and picture.max() <= 1, title


def squares(rng, count, bright):
    """(count, 1, 24, 24) noisy images in [-1, 1] with one square each, and where it is."""
    image, mask = -0.8 + 0.1 * torch.randn(count, 1, 24, 24, generator=rng), torch.zeros(count, 1, 24, 24)
    for i, (row, column) in enumerate(torch.randint(2, 12, (count, 2), generator=rng).tolist()):
        mask[i, :, row : row + 10, column : column + 10] = 1
    return (image + (bright + 0.8) * mask).clamp(-1, 1), mask


@pytest.mark.parametrize("name", ["supervised", "feature"])
def test_learns_squares_within_thirty_steps(name):
    rng = torch.Generator().manual_seed(0)
    method = build(name, represent=Semantic())
    optimizers = optimizers_of(method, lr=1e-2)
    for _ in range(30):
        x, s = squares(rng, 4, bright=0.8)
        y, _ = squares(rng, 4, bright=0.2)
        domains = {"source": LabelledBatch(x, s), "target": UnlabelledBatch(y)}
        batch = method.batch(*(domains[field] for field in method.batch._fields))
        step(method, optimizers, batch)
    x, s = squares(rng, 8, bright=0.8)
    with torch.no_grad():
        found = method.network()(x) > 0
    dice = 2 * (found * s).sum() / (found.sum() + s.sum())
    assert dice > 0.9


def test_a_run_names_a_method_that_there_is():
    data = {
        "method": "cysgun", "data": {"images": {"paths": "x"}}, "patch": (32, 32),
        "prior": {"diameter": [6, 12], "density": [0.002, 0.01]}, "represent": {"kind": "semantic"},
    }  # fmt: skip
    with pytest.raises(
        UserError, match="method = 'cysgun': there are adgan, cysgan, supervised, randomised, cyclegan, feature"
    ):
        parse(Run, data)
