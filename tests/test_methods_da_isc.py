"""DA-ISC against its equations, and stacks whose sections lie as far apart as those of another microscope."""

import math

import numpy as np
import pytest
import tifffile
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as entropy

from cytoshift.configure.source_labels import (
    assume_same_size,
    settings_from_source,
    survey_source,
    to_commented_yaml,
)
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.sections import space_sections
from cytoshift.data.volumes import ImageSource, Volume, open_volumes
from cytoshift.methods.da_isc import sections
from cytoshift.model import Segmenter
from cytoshift.predict.pipeline import segment
from cytoshift.represent import Semantic
from cytoshift.train.domain_streams import domain_streams, source_pairs
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from tiny_methods import batch_of, build, terms_of


def test_terms_are_the_equations():
    method = build("da_isc", 3, Semantic(), cross=0.3, ramp=0.5, adversarial=0.2)
    (x, s), (y, _) = batch = batch_of(method, 3)
    body = method.step(batch, 0.25)
    terms = terms_of(next(body))
    with torch.no_grad():
        s_x, s_y = method.net(x), method.net(y)
        r_x, r_y = (method.residual(method.net.decode(method.net.encode(one))[0]) for one in (x, y))
        change = torch.stack([(s[:, :, k] > 0.5) != (s[:, :, k + 1] > 0.5) for k in range(s.shape[2] - 1)], 2)
        cross = []
        for k in range(y.shape[2] - 1):
            for near, far in ((k, k + 1), (k + 1, k)):
                said = (s_y[:, :, near] > 0) != (r_y[:, :, k] > 0)
                cross.append(entropy(s_y[:, :, far], said.float()))
        fool = [
            entropy(judge(sections(one.sigmoid())), torch.zeros(()).expand_as(judge(sections(one.sigmoid()))))
            for judge, one in ((method.discriminator_s, s_y), (method.discriminator_r, r_y))
        ]
        expected = {
            "segment": method.represent.loss(s_x, s),
            "residual": entropy(r_x, change.float()),
            "cross": 0.3 * math.exp(-5 * 0.5**2) * 2 * torch.stack(cross).mean(),
            "fool_s": 0.2 * fool[0],
            "fool_r": 0.2 * fool[1],
        }
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(
        {k: v.item() for k, v in expected.items()}, rel=1e-4
    )
    told = terms_of(next(body))
    assert set(told) == {"s", "r"} and all(v.item() == pytest.approx(math.log(2), abs=0.05) for v in told.values())


def test_pseudo_labels_train_the_network_alone():
    """A residual that moved with them would be led to whatever makes sections agree."""
    method = build("da_isc", 3)
    terms = terms_of(next(method.step(batch_of(method, 3), 1.0)))
    terms["cross"].backward()
    assert all(p.grad is None for p in method.residual.parameters())
    assert any(p.grad is not None and p.grad.any() for p in method.net.parameters())


def stack(depth, array=None):
    array = np.arange(depth * 6).reshape(depth, 2, 3) if array is None else array
    return Volume("s", array, "zyx", Voxel((0.005, 0.004, 0.004), "um"), "an array")


def test_every_section_is_in_one_of_the_spaced_stacks():
    whole = stack(11)
    found = space_sections(whole, 3)
    assert [one.shape[0] for one in found] == [4, 4, 3] and len({one.name for one in found}) == 3
    assert all(one.voxel == Voxel((0.015, 0.004, 0.004), "um") for one in found)
    for k, one in enumerate(found):
        assert np.array_equal(one.load(), whole.array[k::3]) and one.array.dtype == whole.array.dtype
        assert np.array_equal(one.array[1:3, 1, ::2], whole.array[k::3][1:3, 1, ::2])
    assert space_sections(whole, 1) == [whole]


def test_channels_stay_with_their_sections():
    array = np.arange(2 * 4 * 6).reshape(2, 4, 2, 3)
    two = space_sections(stack(4, array), 2)[1]
    assert np.array_equal(two.array[...], array[:, 1::2])


@pytest.mark.parametrize(("axes", "shape"), [("yx", (8, 8)), ("zyx", (3, 8, 8))])
def test_too_few_sections_are_refused(axes, shape):
    image = Volume("s", np.zeros(shape), axes, Voxel((1.0,) * len(axes)), "a.tif")
    with pytest.raises(UserError, match=r"section_step=2 needs stacks .* a\.tif"):
        space_sections(image, 2)


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    """A source of 8 thin sections and a target of 4 thick ones: dark tubes that wander."""
    folder, rng = tmp_path_factory.mktemp("stacks"), np.random.default_rng(0)
    y, x = np.indices((48, 48))
    for side, depth, gap in (("source", 8, 1), ("target", 4, 2)):
        mask = np.stack([(y - 20 - gap * z) ** 2 + (x - 24) ** 2 < 81 for z in range(depth)])
        raw = rng.normal(160, 8, mask.shape) - 80 * mask
        tifffile.imwrite(folder / f"{side}.tif", raw.astype(np.uint8), photometric="minisblack")
        tifffile.imwrite(folder / f"{side}-mask.tif", mask.astype(np.uint8), photometric="minisblack")
    return folder


def settings(folder, **changes):
    where = lambda name, z: {"paths": str(folder / name), "axes": "zyx", "voxel": (z, 5, 5), "unit": "nm"}
    return parse(
        Run,
        {
            "method": "da_isc",
            "patch": (2, 32, 32),
            "represent": {"kind": "semantic"},
            "options": {"widths": (8, 8), "stem": 3, "plus": False, "non_local": False, "discriminator": (4, 4)},
            "train": {"steps": 3, "batch": 1, "precision": "32", "samples_every": 3, "accelerator": "cpu"},
            "data": {"images": where("target.tif", 10)},
            "source": {
                "images": where("source.tif", 5),
                "labels": where("source-mask.tif", 5),
                "mask_above": 0,
                "section_step": 2,
            },
        }
        | changes,
        "test",
    )


def test_pairs_of_sections_are_learnt_from_and_a_stack_is_segmented(stacks, tmp_path):
    run = settings(stacks)
    found = source_pairs(run.source)
    assert {image.voxel.size for image, _ in found} == {(0.01, 0.005, 0.005)}
    assert [image.shape for image, _ in found] == [truth.shape for _, truth in found] == [(4, 48, 48)] * 2
    volumes, method = open_volumes(run.data.images), build("da_isc", 3)
    streams = domain_streams(run, method.batch, volumes, volumes[0].voxel)
    image, target = streams["source"].sample(0)
    assert image.shape == (1, 2, 32, 32) and target.shape == (1, 2, 32, 32)
    labels = segment(Segmenter.load(fit(run, tmp_path / "run", quiet=True)), volumes[0])
    assert labels.shape == (4, 48, 48)


def test_new_settings_space_the_sections_and_take_pairs(stacks):
    where = lambda name, z: ImageSource(paths=str(stacks / name), axes="zyx", voxel=(z, 5, 5), unit="nm")
    stock = survey_source(where("source.tif", 5), where("source-mask.tif", 5), mask_above=0)
    target = assume_same_size(where("target.tif", 15), stock)
    made = settings_from_source(target, stock, method="da_isc", represent="semantic")
    assert made.source.section_step == 3 and made.patch[0] == 2
    assert "section_step: every" in to_commented_yaml(made, target, stock)
    others = settings_from_source(target, stock, method="dann", represent="semantic")
    assert others.source.section_step == 1 and others.patch[0] > 2


def test_single_sections_and_flat_patches_are_refused(stacks):
    with pytest.raises(UserError, match=r"da_isc needs images in 3D.*zyx"):
        settings(stacks, patch=(32, 32))
    with pytest.raises(UserError, match="at least 2"):
        settings(stacks, patch=(1, 32, 32))
    with pytest.raises(UserError, match="multiples of 4"):
        settings(stacks, patch=(2, 30, 32))


def test_a_voxel_in_another_unit_is_refused_before_anything_is_read(stacks):
    """Nanometres where micrometres are wanted: a patch would have taken terabytes."""
    run = settings(stacks)
    run = run.model_copy(update={"data": run.data.model_copy(update={"voxel": (10.0, 5.0, 5.0)})})
    volumes = open_volumes(run.data.images)
    with pytest.raises(UserError, match=r"times as long as the image target.*data\.voxel.*in um"):
        domain_streams(run, build("da_isc", 3).batch, volumes, Voxel(run.data.voxel, "um"))
