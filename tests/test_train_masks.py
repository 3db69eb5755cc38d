"""Methods and recipes that learn from synthetic masks, from `new` to a model that segments."""

import json

import numpy as np
import pytest
import torch
from tifffile import imread

from cytoshift import synth
from cytoshift.configure import Requests, configure
from cytoshift.configure.recipe import overlay_settings
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.data.volumes import ImageSource, open_volumes
from cytoshift.data.write import write_image
from cytoshift.losses.basic import l1, mean_squared, squared_to_value
from cytoshift.losses.noise import GaussianNoise
from cytoshift.methods import METHODS, TWO_STAGES
from cytoshift.methods.munit import pyramid
from cytoshift.model import Segmenter
from cytoshift.nets.discriminator import HistogramDiscriminator
from cytoshift.predict.pipeline import segment
from cytoshift.predict.translate import draw_styles
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from tiny_methods import MASKS, SMALL, batch_of, build, terms_of

UNET = {"widths": (8, 8), "stem": 3, "plus": False, "non_local": False}
RECIPES = tuple(name for name, one in TWO_STAGES.items() if one.learns_from_masks)
FIRST = {name: SMALL[TWO_STAGES[name].translator.name] for name in RECIPES}
SHORT = {"train": {"steps": 2, "batch": 1, "precision": "32", "samples_every": 2}}


def phantom(folder, preset, shape, axes):
    image, _, voxel = synth.phantom(preset, 0, shape=shape)
    write_image(folder / "images" / "a.tif", image, voxel, axes)
    return ImageSource(paths=str(folder / "images"))


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    return phantom(tmp_path_factory.mktemp("flat"), "sparse-2d", (192, 192), "yx")


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    return phantom(tmp_path_factory.mktemp("deep"), "hl60-3d-50", (40, 96, 96), "zyx")


def short_run(method, images, **more):
    ndim = len(open_volumes(images)[0].shape)
    options = {"translate": FIRST[method], "segment": UNET, "pairs": 2} if method in FIRST else SMALL[method]
    asked = Requests(represent=more.pop("represent", None))
    run = configure(method, images, requests=asked).run.model_dump(mode="json")
    size = {"patch": (32, 32) if ndim == 2 else (24, 24, 24)}
    return parse(Run, overlay_settings(run | {"options": {}}, SHORT | size | {"options": options} | more), "a test")


@pytest.mark.parametrize("method", [name for name in MASKS if name not in ("adgan", "mask_cyclegan")] + [*RECIPES])
@pytest.mark.parametrize("ndim", [2, 3])
def test_every_way_from_masks_ends_in_a_model_that_segments(method, ndim, flat, deep, tmp_path):
    images = flat if ndim == 2 else deep
    model = Segmenter.load(fit(short_run(method, images), tmp_path / "run", quiet=True))
    volume = open_volumes(images)[0]
    assert segment(model, volume).shape == volume.shape
    assert json.loads((tmp_path / "run" / "model" / "model.json").read_text())["card"]["method"] == method


def test_pairs_are_drawn_once_and_are_of_one_grid(flat, tmp_path):
    run = short_run("deepsynth", flat, represent="bcd")
    first = fit(run, tmp_path / "run", quiet=True)
    there = sorted((tmp_path / "run" / "translated" / "images").iterdir())
    assert [path.name for path in there] == ["000.tif", "001.tif"]
    labels = imread(tmp_path / "run" / "translated" / "labels" / "000.tif")
    image = imread(there[0])
    assert image.shape == labels.shape == (64, 64) and labels.max() >= 1 and np.abs(image).max() <= 1
    before = [path.stat().st_mtime_ns for path in there]
    weights = (first / "weights.safetensors").read_bytes()
    (first / "weights.safetensors").unlink()
    assert (fit(run, tmp_path / "run", quiet=True) / "weights.safetensors").read_bytes() == weights
    assert [path.stat().st_mtime_ns for path in there] == before


def test_the_papers_preset_of_a_recipe_is_that_of_both_its_papers(flat):
    run = configure("cgunet", flat, requests=Requests(preset="paper")).run
    assert run.options["translate"] == METHODS["mask_cyclegan"].presets["zhu-2d"]["options"]
    assert (run.first_stage().lr, run.first_stage().batch, run.train.lr) == (2e-4, 1, 2e-3)
    assert run.patch[0] == run.patch[1] >= 24 and run.represent.threshold == 0.5
    assert TWO_STAGES["cgunet"].papers == ("bohland2019synthetic", "zhu2017cyclegan", "ronneberger2015unet")


def test_a_recipe_from_masks_takes_no_source(flat):
    with pytest.raises(UserError, match="method 'adgan-unet' learns without labels; leave out `source`"):
        configure("adgan-unet", flat, source=object(), requests=Requests())


def test_a_model_with_one_way_draws_no_images(flat, tmp_path):
    run = short_run("munit", flat)
    model = Segmenter.load(fit(run, tmp_path / "run", quiet=True))
    with pytest.raises(UserError, match="this translator draws no images from masks"):
        draw_styles(model, open_volumes(flat)[0], 2)
    with pytest.raises(UserError, match="MUNIT draws no images from masks; take a method that translates both ways"):
        build("munit").drawing_network()


def test_spcyclegan_terms_are_the_paper_equations():
    method = build("spcyclegan")
    batch = batch_of(method)
    a, b = batch.images.image, 2 * batch.masks.target - 1
    with torch.no_grad():
        F, G, H = (
            lambda x: method.to_mask(x).sigmoid() * 2 - 1,
            lambda x: method.to_volume(x).tanh(),
            lambda x: method.third(x).sigmoid() * 2 - 1,
        )
        ba = G(b)
        wanted = {"spatial": 10 * mean_squared(H(ba), b), "cycle": 10 * (l1(G(F(a)), a) + l1(F(ba), b))}
    terms = terms_of(next(method.step(batch, 0.0)))
    for name, value in wanted.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-4), name


def test_munit_terms_are_the_paper_equations():
    method = build("munit", cycle=10.0)
    batch = batch_of(method)
    a, b = batch.images.image, 2 * batch.masks.target - 1
    noise = GaussianNoise(0)
    with torch.no_grad():
        c_a, c_b, s_a, s_b = method.content_a(a), method.content_b(b), method.style_a(a), method.style_b(b)
        r_a, r_b = noise(s_a), noise(s_b)
        ab, ba = method.decode_b(c_a, r_b), method.decode_a(c_b, r_a)
        c_ab, c_ba = method.content_b(ab), method.content_a(ba)
        judged = lambda judges, x: sum(
            squared_to_value(judge(one), 1) for judge, one in zip(judges, pyramid(x, 2), strict=True)
        )
        wanted = {
            "reconstruct": 10 * (l1(method.decode_a(c_a, s_a), a) + l1(method.decode_b(c_b, s_b), b)),
            "content": l1(c_ab, c_a) + l1(c_ba, c_b),
            "style": l1(method.style_b(ab), r_b) + l1(method.style_a(ba), r_a),
            "cycle": 10 * (l1(method.decode_a(c_ab, s_a), a) + l1(method.decode_b(c_ba, s_b), b)),
            "fool": judged(method.discriminators_b, ab) + judged(method.discriminators_a, ba),
        }
    terms = terms_of(next(method.step(batch, 0.0)))
    assert terms.keys() == wanted.keys()
    for name, value in wanted.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-4), name


def test_ufdn_weights_fall_and_rise_with_the_training():
    method = build("ufdn")
    assert [method.reconstruct_weight(t) for t in (0.0, 0.002, 0.004, 1.0)] == pytest.approx([100, 50.5, 1, 1])
    assert [method.code_weight(t) for t in (0.0, 0.02, 0.04, 1.0)] == pytest.approx([0, 0.5, 1, 1])
    late = terms_of(next(method.step(batch_of(method), 1.0)))
    assert late["code"].item() > 0.1


def test_the_noise_of_udct_falls_by_a_tenth_each_epoch():
    method, seen = build("udct"), []
    method.add_noise = lambda x, sigma: seen.append(sigma) or x
    for progress in (0.0, 1 / 200):
        next(method.step(batch_of(method), progress))
    assert sorted(set(seen)) == pytest.approx([0.18, 0.2])  # of [-1, 1]: 0.1 of [0, 1]


def test_a_histogram_discriminator_sees_values_and_no_places():
    torch.manual_seed(0)
    judge, x = HistogramDiscriminator(1, bins=16), torch.rand(2, 1, 12, 12, requires_grad=True)
    moved = x.flatten(2)[..., torch.randperm(144)].view_as(x)
    assert torch.allclose(judge(x), judge(moved), atol=1e-6)
    judge(x).sum().backward()
    assert x.grad.abs().min() > 0
    assert judge(torch.rand(3, 1, 5, 6, 7)).shape == (3, 1)


def test_noise_goes_on_from_a_checkpoint():
    one, other = GaussianNoise(1), GaussianNoise(2)
    one(torch.zeros(5))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(torch.zeros(5)), other(torch.zeros(5)))
