"""Methods for several channels and classes: the weighted losses by another way, counts that do not fit, a whole run."""

import contextlib

import numpy as np
import pytest
import tifffile
import torch
import yaml

from cytoshift.core.batch import BiasFieldBatch, MaskBatch
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.data.volumes import ImageSource, open_volumes
from cytoshift.methods import METHODS, Task
from cytoshift.methods.base import channel_weights, stretch_channels
from cytoshift.model import Segmenter
from cytoshift.nets.resnet import ResNetSpec
from cytoshift.predict.pipeline import Options, predict
from cytoshift.represent import BCD, Classes, Semantic
from cytoshift.train.domain_streams import mask_drawer
from cytoshift.train.fit import fit
from cytoshift.train.monitor import Monitor
from cytoshift.train.run_settings import Run
from cytoshift.train.step import train_step
from tiny_methods import ORGANELLES, SMALL, VOXELS, batch_of, build, optimizers_of, terms_of

TINY = {"width": 4, "blocks": 1, "stem": 3, "discriminator": [4, 4], "pool": 4}


def made(represent, channels, ndim=2, **options):
    torch.manual_seed(0)
    kind = METHODS["mask_cyclegan"]
    return kind(Task(VOXELS[ndim], represent, channels), kind.settings(**SMALL["mask_cyclegan"] | options))


def drawn_batch(method, ndim=2, channels=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    space = {2: (24, 24), 3: (8, 16, 16)}[ndim]
    image = 2 * torch.rand((2, channels, *space), generator=rng) - 1
    mask = (torch.rand((2, len(method.task.represent.channels), *space), generator=rng) > 0.7).float()
    return method.batch(BiasFieldBatch(image, image), MaskBatch(mask))


def test_losses_are_those_of_the_paper_class_by_class():
    """|.|_w by loops over samples and channels, with the weights as the paper writes them."""
    method = build("mask_cyclegan")
    batch = batch_of(method)
    shaded = BiasFieldBatch(0.5 * batch.images.image, batch.images.image)
    a, clean, b = shaded.image, shaded.clean, 2 * batch.masks.target - 1

    def far(x, y):
        each = [[(x[n, c] - y[n, c]).abs().mean().item() for c in range(2)] for n in range(len(x))]
        return np.mean([(3.5 * golgi + 1.0 * nuclei) / 2 for golgi, nuclei in each])

    with torch.no_grad():
        G_AB, G_BA = (lambda x: (method.to_mask(x) / 2).tanh()), (lambda x: method.to_volume(x).tanh())
        ab, ba, aa, bb = G_AB(a), G_BA(b), G_BA(a), G_AB(b)
        aba, bab = G_BA(ab), G_AB(ba)
        fool = ((method.discriminator_masks(ab) - 1) ** 2).mean() + ((method.discriminator_volumes(ba) - 1) ** 2).mean()
    expected = {
        "cycle": 10 * (far(aba, clean) + far(bab, b)),
        "identity": 5 * (far(aa, clean) + far(bb, b)),
        "fool": fool.item(),
    }
    update = next(method.step(batch._replace(images=shaded), 0.0))
    terms = {k: v.item() for objective in update.objectives for k, v in objective.terms.items()}
    assert terms == pytest.approx(expected, rel=1e-4)


def test_vox2vox_pays_five_times_the_dice_and_its_discriminator_sees_image_and_mask():
    method = build("vox2vox", represent=ORGANELLES)
    x, t = batch_of(method).source
    updates = method.step(batch_of(method), 0.0)
    with torch.no_grad():
        s = method.net(x).sigmoid()
        each = [1 - (2 * (p * q).sum() + 1) / (p.sum() + q.sum() + 1) for n in range(2) for p, q in zip(s[n], t[n])]
        told = [method.discriminator(torch.cat([x, 2 * mask - 1], 1)) for mask in (t, s)]
    first, second = (terms_of(next(updates)) for _ in range(2))
    assert first["dice"].item() == pytest.approx(5 * float(np.mean(each)), rel=1e-5)
    assert first["fool"].item() == pytest.approx(((told[1] - 1) ** 2).mean().item(), rel=1e-5)
    expected = ((told[0] - 1) ** 2).mean() + (told[1] ** 2).mean()
    assert second["pairs"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_channel_has_the_weight_of_its_class_and_all_lie_between_the_same_ends():
    pair = Classes(classes={"golgi": Semantic(), "nuclei": BCD()}, weights={"golgi": 3.5})
    assert channel_weights(pair) == (3.5, 1.0, 1.0, 1.0) and channel_weights(BCD()) == (1.0, 1.0, 1.0)
    channels = torch.tensor([0.25, 0.0, 1.0, -0.5]).view(1, 4, 1, 1)
    assert stretch_channels(pair, channels).flatten().tolist() == [-0.5, -1.0, 1.0, -0.5]
    method = made(pair, 2, identity=0.0)
    assert method.weights_a.tolist() == [3.5, 1.0] and method.weights_b.tolist() == [3.5, 1.0, 1.0, 1.0]
    assert made(pair, 3, identity=0.0).weights_a.tolist() == [1.0, 1.0, 1.0]  # no channel is of one class


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(
    ("ways", "channels"),
    [(("semantic",), 1), (("semantic", "ternary"), 2), (("ternary", "bcd"), 2), (("bc", "semantic", "bcd"), 3)],
)
def test_one_two_and_three_classes_take_a_step(ways, channels, ndim):
    represent = parse(Classes, {"classes": {f"class{i}": {"kind": way} for i, way in enumerate(ways)}})
    same = len(represent.channels) == channels
    method = made(represent, channels, ndim, **({} if same else {"identity": 0.0}))
    batch = drawn_batch(method, ndim, channels)
    terms = train_step(method, optimizers_of(method), batch, 0.0, contextlib.nullcontext)
    assert ("generators/identity" in terms) == same and all(torch.isfinite(value) for value in terms.values())
    pictures = {name: value.float().numpy() for name, value in method.sample_images(batch).items()}
    assert pictures["image to mask"].shape[1] == len(ways) and pictures["mask to image"].shape[1] == channels
    Monitor(method.monitor_spec()).pictures(pictures)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, r"options.identity sets an identity loss, .* but these have 4 and 2; set options.identity to 0"),
        ({"identity": 0.0, "residual": True}, r"options.residual sets .*; set options.residual to false"),
    ],
)
def test_what_compares_volumes_and_masks_needs_as_many_channels(options, words):
    pair = Classes(classes={"golgi": Semantic(), "nuclei": BCD()})
    with pytest.raises(UserError, match=words):
        made(pair, 2, **options)


def test_a_residual_generator_starts_at_no_change_in_every_channel():
    method = made(ORGANELLES, 2, residual=True)
    x = drawn_batch(method).images.image * 0.9
    with torch.no_grad():
        assert torch.allclose(method.mask_of(x), x, atol=1e-5) and torch.allclose(method.volume_of(x), x, atol=1e-5)
        assert torch.allclose(method.network()(x).sigmoid(), (x + 1) / 2, atol=1e-5)
    with pytest.raises(UserError, match=r"changes of an image of 3 channels need as many out, there are 2"):
        parse(ResNetSpec, {"ndim": 2, "channels": 3, "out": 2, "kernels": [[3, 3]] * 3,
                           "strides": [[1, 1], [2, 2], [2, 2]], "residual_image": True})  # fmt: skip


def test_the_monitor_names_the_class_that_vanished():
    method = build("mask_cyclegan")
    rng = np.random.default_rng(0)
    blobs = np.where(rng.random((4, 2, 6, 6)) > 0.6, 1.0, -1.0).repeat(4, 2).repeat(4, 3).astype(np.float32)
    good, gone = blobs.copy(), blobs.copy()
    gone[:, 0] = -1
    pictures = {"image": blobs, "mask": blobs, "mask to image": good, "image to mask": gone}
    monitor = Monitor(method.monitor_spec())
    found = [monitor.pictures(pictures) for _ in range(3)][-1]
    assert [symptom.key for symptom in found] == ["vanished: image to mask (golgi)"]


# --- from files to a model and back -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    """Two volumes of 6 x 40 x 44 with Golgi in channel 1 and nuclei in channel 0, and labels of each."""
    folder = tmp_path_factory.mktemp("stacks")
    rng = np.random.default_rng(0)
    for i in range(2):
        golgi, nuclei = np.zeros((2, 6, 40, 44), np.uint8)
        for n, (y, x) in enumerate([(4, 5), (6, 26), (24, 8 + i), (26, 30)], 1):
            nuclei[1:5, y : y + 10, x : x + 11] = n
            golgi[2:4, y + 3 : y + 7, x + 3 : x + 7] = n
        image = np.stack([500 + 900 * (nuclei > 0), 300 + 700 * (golgi > 0)]) + rng.normal(0, 40, (2, 6, 40, 44))
        metadata = {"axes": "ZCYX", "spacing": 2.0, "unit": "micron"}
        for name, array in (
            ("images", np.moveaxis(image, 0, 1).astype(np.uint16)),
            ("golgi", golgi),
            ("nuclei", nuclei),
        ):
            (folder / name).mkdir(exist_ok=True)
            said = metadata if name == "images" else metadata | {"axes": "ZYX"}
            tifffile.imwrite(folder / name / f"{i}.tif", array, imagej=True, resolution=(1, 1), metadata=said)
    return folder


def settings(stacks, method="mask_cyclegan", **changed):
    data = {
        "method": method,
        "data": {
            "images": {"paths": str(stacks / "images"), "channel": [1, 0]},
            "normalise": [{"low": 50, "high": 99.8}, {"low": 40, "high": 98}],
        },
        "patch": (8, 24, 24) if method != "mask_cyclegan" else (24, 24, 24),
        "represent": {
            "kind": "classes",
            "classes": {"golgi": {"kind": "semantic", "smallest": 3.0}, "nuclei": {"kind": "ternary", "smallest": 6.0}},
            "weights": {"golgi": 3.5}, "belongs": {"golgi": "nuclei"}, "reach": 3.0,
        },
        "options": TINY,
        "train": {"steps": 3, "batch": 1, "samples_every": 2, "log_every": 1, "accelerator": "cpu", "precision": "32"},
    }  # fmt: skip
    return data | changed


PRIORS = {
    "golgi": {"diameter": [3, 5], "density": [0.0005, 0.001]},
    "nuclei": {"diameter": [8, 12], "density": [0.0003, 0.0005]},
}


CELLS = {
    "kind": "pairs", "nucleus": {"semi_axes": [[4, 6]]}, "golgi": {"semi_axes": [[2, 3]]}, "density": [0.0005, 0.001],
}  # fmt: skip


def test_masks_of_cells_come_in_the_order_of_the_classes(stacks):
    run = parse(Run, settings(stacks, cells=CELLS))
    turned = run.represent.model_copy(update={"classes": dict(reversed(run.represent.classes.items()))})
    alone = run.represent.model_copy(update={"classes": {"nuclei": run.represent.classes["nuclei"]}})
    draw = lambda represent: mask_drawer(run.model_copy(update={"represent": represent}))(
        (24, 24, 24), VOXELS[3], np.random.default_rng(0)
    )
    labels = draw(run.represent)
    assert labels.shape == (2, 24, 24, 24) and 0 < (labels[0] > 0).sum() < (labels[1] > 0).sum()
    assert np.array_equal(draw(turned), labels[::-1]) and np.array_equal(draw(alone), labels[1:])


def test_a_run_of_two_classes_ships_a_model_that_segments_both(stacks, tmp_path):
    run = parse(Run, settings(stacks, priors=PRIORS))
    model = fit(run, tmp_path / "run", quiet=True)
    assert parse(Run, yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())) == run
    segmenter = Segmenter.load(model)
    assert segmenter.spec.channels == 2 and segmenter.spec.frozen and segmenter.spec.mask
    assert segmenter.representation.names == ("golgi", "nuclei")
    assert segmenter.normalisation[1].high == 98
    volume = open_volumes(ImageSource(paths=str(stacks / "images" / "0.tif"), channel=[1, 0]))[0]
    whole = predict(segmenter, volume, Options(precision="32"), keep=True)
    assert whole.labels.shape == (2, 6, 40, 44) and whole.raw.names[:2] == ("image 0", "image 1")
    assert whole.raw.channels.shape == (4, 6, 40, 44)
    # statistics are those of all images, so tiles agree with the whole but for what lies beyond their rims
    parts = predict(segmenter, volume, Options(precision="32", tile=(8, 24, 24), overlap=12), keep=True)
    assert np.abs(parts.raw.channels.astype(int) - whole.raw.channels).mean() < 6


def test_rates_are_those_of_the_players(stacks, tmp_path):
    run = settings(stacks, priors=PRIORS)
    stranger = run | {"train": run["train"] | {"lr_multipliers": {"discriminator": 0.2}}}
    with pytest.raises(
        UserError, match=r"train.lr_multipliers names 'discriminator', but mask_cyclegan has generators, discriminators"
    ):
        fit(parse(Run, stranger), tmp_path / "a", quiet=True)
    still = run | {"train": run["train"] | {"lr_multipliers": {"discriminators": 1e-12}}}
    torch.manual_seed(0)
    fit(parse(Run, still), tmp_path / "b", quiet=True)
    saved = torch.load(tmp_path / "b" / "checkpoints" / "last.pt", weights_only=True)
    rate = {name: saved[name]["param_groups"][0]["lr"] for name in ("generators", "discriminators")}
    assert rate["discriminators"] == pytest.approx(1e-12 * rate["generators"])


@pytest.mark.parametrize("method", ["supervised", "vox2vox"])
def test_both_classes_are_learnt_from_a_folder_for_each(stacks, tmp_path, method):
    labels = {name: {"paths": str(stacks / name)} for name in ("nuclei", "golgi")}
    data = settings(stacks, method, options=SMALL[method])
    images = data["data"]["images"]
    data["source"] = {"images": images, "labels": labels, "normalise": data["data"]["normalise"], "fraction": 0.5}
    model = Segmenter.load(fit(parse(Run, data), tmp_path / "run", quiet=True))
    assert model.spec.channels == 2 and model.spec.out == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"priors": {"golgi": PRIORS["golgi"]}}, "priors has the classes golgi, but represent has golgi, nuclei"),
        ({"prior": PRIORS["golgi"]}, "prior is of one class, but represent has golgi, nuclei"),
        ({"priors": PRIORS, "tune": True}, "tune finds thresholds of one class"),
        ({"priors": PRIORS, "cells": CELLS}, "prior, priors and cells all describe the synthetic masks"),
        (
            {"cells": CELLS, "represent": {"kind": "semantic"}},
            "cells draws golgi and nuclei, but represent has no classes",
        ),
        ({"priors": PRIORS, "represent": {"kind": "semantic"}}, "priors has the classes golgi, nuclei, .* none"),
    ],
)
def test_settings_of_classes_that_do_not_fit(stacks, changed, words):
    with pytest.raises(UserError, match=words):
        parse(Run, settings(stacks, **changed))


def test_methods_of_one_channel_or_class_say_so(stacks, tmp_path):
    one = {"represent": {"kind": "semantic"}, "prior": PRIORS["nuclei"], "options": {}, "patch": (24, 24, 24)}
    with pytest.raises(UserError, match=r"adgan takes images of one channel, .*, or take supervised, mask_cyclegan"):
        fit(parse(Run, settings(stacks, "adgan", **one)), tmp_path / "a", quiet=True)
    alone = settings(stacks, "adgan", priors=PRIORS, options={}, patch=(24, 24, 24))
    alone["data"] = {"images": {"paths": str(stacks / "images"), "channel": 0}}
    with pytest.raises(UserError, match=r"adgan segments one class, but represent has several"):
        fit(parse(Run, alone), tmp_path / "a", quiet=True)
    short = settings(stacks, priors=PRIORS)
    short["data"] = short["data"] | {"normalise": [{"low": 50}]}
    fit(parse(Run, short | {"train": short["train"] | {"steps": 1}}), tmp_path / "b", quiet=True)  # one for all
    short["data"]["normalise"] = [{"low": 50}] * 3
    with pytest.raises(UserError, match="normalise is given for 3 channels, but the images have 2"):
        fit(parse(Run, short), tmp_path / "c", quiet=True)
