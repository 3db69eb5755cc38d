"""From a labelled source and raw target images to a model: every method that borrows labels, in a few steps."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml

from cytoshift.configure.recipe import overlay_settings, survey_images
from cytoshift.configure.source_labels import (
    add_source_notes,
    adopt_source_sizes,
    assume_same_size,
    learns_from_source,
    settings_from_source,
    survey_source,
)
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import ImageSource, open_volumes
from cytoshift.data.write import write_image, write_labels
from cytoshift.methods import METHODS, TWO_STAGES
from cytoshift.model import Segmenter
from cytoshift.nets.chain import ChainSpec, LookupSpec
from cytoshift.predict.pipeline import segment
from cytoshift.synth import pair
from cytoshift.train.domain_streams import domain_streams
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from cytoshift.train.stages import STAGES

UNET = {"widths": (8, 8), "stem": 3, "plus": False, "non_local": False}
GAN = {"width": 4, "blocks": 1, "stem": 3, "discriminator": (4, 8)}
TINY = {
    "cysgan": UNET | {"discriminator": (4, 8), "norm_first": False},
    "supervised": UNET,
    "feature": UNET | {"discriminator": (4, 8)},
    "mmd": UNET,
    "coral": UNET,
    "dann": UNET,
    "ynet": UNET,
    "mean_teacher": UNET,
} | {name: {"segment": UNET, "translate": GAN} for name, one in TWO_STAGES.items() if not one.learns_from_masks}
PIXEL = Voxel((1.0, 1.0), "px")
SHORT = {"train": {"steps": 2, "batch": 1, "precision": "32", "samples_every": 2}, "patch": (32, 32)}


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Folders of one labelled source image and one target image."""
    folder = tmp_path_factory.mktemp("sides")
    for side in ("source", "target"):
        image, labels, voxel = pair("em-to-expansion-2d", side, 0, shape=(128, 128))
        write_image(folder / side / "images" / "a.tif", image, voxel, "yx")
        write_labels(folder / side / "labels" / "a.tif", labels, voxel, "yx")
    return folder


@pytest.fixture(scope="module")
def known(sides):
    where = lambda *parts: ImageSource(paths=str(sides.joinpath(*parts)))
    return survey_images(where("target", "images")), survey_source(where("source", "images"), where("source", "labels"))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """The same in 3D."""
    folder = tmp_path_factory.mktemp("volumes")
    for side in ("source", "target"):
        image, labels, voxel = pair("em-to-expansion", side, 0, shape=(24, 96, 96))
        write_image(folder / side / "images" / "a.tif", image, voxel, "zyx")
        write_labels(folder / side / "labels" / "a.tif", labels, voxel, "zyx")
    where = lambda *parts: ImageSource(paths=str(folder.joinpath(*parts)))
    return survey_images(where("target", "images")), survey_source(where("source", "images"), where("source", "labels"))


def settings(known, method):
    run = settings_from_source(*known, method=method).model_dump(mode="json")
    kept = {name: value for name, value in run["options"].items() if name in ("cycle",)}
    return parse(Run, overlay_settings(run | {"options": {}}, SHORT | {"options": kept | TINY[method]}), "a test")


@pytest.mark.parametrize("method", TINY)
def test_every_way_ends_in_a_model_that_segments(known, method, tmp_path):
    run = settings(known, method)
    model = fit(run, tmp_path / "run", quiet=True)
    target = open_volumes(run.data.images)[0]
    assert segment(Segmenter.load(model), target).shape == target.shape


def test_a_recipe_that_was_stopped_goes_on(known, tmp_path, monkeypatch):
    run = settings(known, "cyclegan-xy")
    first = fit(run, tmp_path / "run", quiet=True)
    weights = (first / "weights.safetensors").read_bytes()
    (first / "weights.safetensors").unlink()
    drawn = (tmp_path / "run" / "translated" / "images" / "a.tif").stat().st_mtime_ns
    again = fit(run, tmp_path / "run", quiet=True)
    assert (again / "weights.safetensors").read_bytes() == weights
    assert (tmp_path / "run" / "translated" / "images" / "a.tif").stat().st_mtime_ns == drawn


def test_two_processes_log_the_losses_of_the_joint_batch(known, tmp_path):
    """CySGAN in two processes with a batch of 1 against one with a batch of 2.

    Every loss is a mean over samples, balance and norms are each sample's own, and the pools of fakes, of which each
    process has its own, show the newest until they are full. What is left is the order of sums, which Adam makes
    larger where a gradient is almost nothing.
    """
    train = {"steps": 3, "log_every": 1, "samples_every": 3, "accelerator": "cpu"}
    base = settings(known, "cysgan").model_dump(mode="json") | {"tune": False}
    two = parse(Run, overlay_settings(base, {"train": train | {"batch": 1, "devices": 2}}), "a test")
    one = parse(Run, overlay_settings(base, {"train": train | {"batch": 2}}), "a test")
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(two.model_dump(mode="json")))
    command = [sys.executable, "-m", "cytoshift", "train", str(tmp_path / "two.yaml"), "-o", str(tmp_path / "two")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "--quiet"], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    fit(one, tmp_path / "one", quiet=True)
    for step, (a, b) in enumerate(zip(losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True), 1):
        assert a.keys() == b.keys() and len(a) == 14 and a["step"] == b["step"] == step
        assert b == pytest.approx(a, rel=1e-5 if step == 1 else 1e-3)


def losses(folder):
    """The lines of log.jsonl that are steps."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row for row in rows if "step" in row]


def test_both_sides_come_to_one_size_and_polarity(known):
    survey, source = known
    run = settings_from_source(survey, source)
    assert source.dark and run.source.normalise.invert and not run.data.normalise.invert
    for one in (run, settings_from_source(survey, replace(source, alone=0.9))):
        ratio = one.source.voxel[0] / (one.data.voxel or survey.volumes[0].voxel.size)[0]
        assert ratio == pytest.approx(source.diameter / survey.measured.whole_diameters[50], rel=0.01)


def test_where_both_sides_are_calibrated_small_differences_in_size_are_not_believed(known):
    survey, source = known
    seen = survey.measured.whole_diameters[50]
    larger = lambda times: replace(source, diameters={q: times * seen for q in source.diameters})
    near, far = adopt_source_sizes(survey, larger(1.3)), adopt_source_sizes(survey, larger(1.6))
    assert near.measured.whole_diameters[50] == pytest.approx(1.3 * seen)
    assert "1.30 times as large" in near.measured.notes[-1] and near.sentence() == survey.sentence()
    drawn = settings_from_source(near, larger(1.3))
    assert drawn.source.voxel == pytest.approx(drawn.data.voxel, rel=0.01)
    assert far is survey
    pixels = replace(survey, measured=replace(survey.measured, unit="px"))
    assert adopt_source_sizes(pixels, larger(1.3)) is pixels


def test_what_makes_a_game_of_discriminators_fail_is_said_beforehand(known):
    survey, source = known
    crowd = lambda objects, foreground, share: (
        replace(survey, measured=replace(survey.measured, objects=objects, foreground=foreground)),
        replace(source, share=share),
    )
    said = lambda method, *numbers: add_source_notes(*crowd(*numbers), method).measured.notes[
        len(survey.measured.notes) :
    ]
    assert said("cysgan", 200, 0.2, 0.1) == ()
    (few,) = said("cysgan", 8, 0.2, 0.2)
    assert "shows 8 objects" in few
    (crowded,) = said("cyclegan-xy", 200, 0.2, 0.05)
    assert "5 % of the source and 20 % of the target" in crowded
    assert said("supervised", 8, 0.2, 0.01) == said("mmd", 8, 0.2, 0.01) == ()


def test_what_lends_labels_and_what_does_not():
    assert (
        learns_from_source("cysgan")
        and learns_from_source("histogram-xy")
        and not learns_from_source("adgan")
        and not learns_from_source("deepsynth")
        and not learns_from_source("nobody")
    )
    assert set(STAGES) == set(TWO_STAGES)


def test_settings_that_lack_a_side_say_so(known, tmp_path):
    run = settings(known, "cysgan").model_copy(update={"source": None})
    with pytest.raises(UserError, match="method 'cysgan' borrows labels, but the settings have no source"):
        fit(run, tmp_path / "a", quiet=True)
    run = settings(known, "cysgan").model_copy(update={"method": "adgan", "options": {}})
    with pytest.raises(UserError, match="learns from synthetic masks, and the settings have no prior"):
        fit(run, tmp_path / "b", quiet=True)


def test_a_translator_alone_is_no_segmenter(known, tmp_path):
    run = settings(known, "cyclegan-xy").model_copy(update={"method": "cyclegan", "options": GAN})
    with pytest.raises(UserError, match="cyclegan only translates and cannot segment; take cyclegan-xy"):
        fit(run, tmp_path / "a", quiet=True)


def test_a_table_of_gray_values_is_numpys():
    import torch

    knots = LookupSpec(ndim=2, knots_in=(-1.0, -0.2, 0.5), knots_out=(-0.5, 0.0, 1.0))
    x = np.linspace(-1.5, 1.5, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    expected = np.interp(x, knots.knots_in, knots.knots_out)
    np.testing.assert_allclose(knots.build()(torch.from_numpy(x)).numpy(), expected, atol=1e-6)
    with pytest.raises(ValueError, match="knots_in must rise"):
        LookupSpec(ndim=2, knots_in=(0.0, 0.0), knots_out=(0.0, 1.0))
    assert ChainSpec.model_fields["kind"].default == "chain"


@pytest.mark.parametrize("method", ["cysgan", "cyclegan"])
def test_the_source_comes_with_the_intensities_of_the_target(known, method):
    """Means and spreads of what methods eat of both sides, with and without matched levels."""
    apart = {}
    for wish in (False, True):
        run = settings_from_source(*known, method="cysgan")
        run = run.model_copy(update={"method": method, "source": run.source.model_copy(update={"match_levels": wish})})
        volumes = open_volumes(run.data.images)
        eaten = domain_streams(run, METHODS[method].batch, volumes, volumes[0].voxel)
        seen = [np.concatenate([v.ravel() for v in eaten[name].values()]) for name in eaten]
        apart[wish] = abs(seen[0].mean() - seen[1].mean()) + abs(seen[0].std() - seen[1].std())
    assert apart[True] < 0.02 < 0.1 < apart[False]


def test_brightness_alone_finds_plain_objects_and_not_those_of_electron_microscopy(known, tmp_path):
    truth = np.zeros((64, 64), np.uint8)
    truth[8:24, 8:24], truth[40:56, 30:50] = 1, 2
    noise = np.random.default_rng(0).integers(0, 40, truth.shape)
    write_image(tmp_path / "images" / "a.tif", (200 - 120 * (truth > 0) + noise).astype(np.uint8), PIXEL, "yx")
    write_labels(tmp_path / "labels" / "a.tif", truth, PIXEL, "yx")
    plain = survey_source(*(ImageSource(paths=str(tmp_path / kind)) for kind in ("images", "labels")))
    assert plain.dark and plain.alone > 0.95
    assert "brightness alone finds them with a Dice of 0.9" in plain.sentence()
    assert known[1].alone < 0.5


def test_volumes_that_are_far_apart_get_a_stronger_game(volumes, known):
    survey, source = volumes
    far, near = settings_from_source(survey, source), settings_from_source(survey, replace(source, alone=0.9))
    assert source.alone < 0.6 and far.source.match_levels and not near.source.match_levels
    assert (far.options["cycle"], far.options["adversarial"]) == (2, 1)
    assert (near.options["cycle"], near.options["adversarial"]) == (10, 0.2)
    stages = settings_from_source(survey, source, method="cyclegan-xy")
    assert stages.source.match_levels and stages.options["translate"]["cycle"] == 2
    assert not settings_from_source(survey, source, method="histogram-xy").source.match_levels
    assert settings_from_source(survey, source, "paper").options == {}
    survey, source = known
    flat, alike = settings_from_source(survey, source), settings_from_source(survey, replace(source, alone=0.9))
    across = lambda run: survey.measured.whole_diameters[50] / (run.data.voxel or survey.volumes[0].voxel.size)[0]
    assert source.alone < 0.6 and not flat.source.match_levels and flat.options["adversarial"] == 1
    assert across(flat) == pytest.approx(10, rel=0.02) and max(flat.patch) <= 64
    assert 10 < across(alike) < 32 and alike.options["adversarial"] == 0.2


def test_patches_are_repainted_where_modalities_are_far_apart_and_the_target_was_measured(volumes, known):
    for survey, source in (volumes, known):
        repainted = lambda pair=(survey, source), **way: settings_from_source(*pair, **way).source.appearance.repaint
        assert repainted() == repainted(method="supervised") == 1
        assert repainted(represent="semantic") == 0 and repainted(preset="paper") == 0
        assert settings_from_source(survey, replace(source, alone=0.9)).source.appearance.is_plain
        same = assume_same_size(survey.source, source)
        assert settings_from_source(same, source).source.appearance.is_plain


def test_a_training_with_source_labels_begins_from_a_model(known, tmp_path):
    survey, source = known
    run = settings_from_source(survey, source, method="cysgan", start="nuclei-2d")
    assert run.start == "nuclei-2d" and "widths" not in run.options and run.train.lr == 3e-4
    short = run.model_copy(update={"train": run.train.model_copy(update={"steps": 2})})
    model = Segmenter.load(fit(short, tmp_path / "run", quiet=True))
    assert model.spec.widths == (24, 48, 96, 192)
    with pytest.raises(UserError, match="'cyclegan-xy' begins from no model; leave `start` out, or take cysgan"):
        settings_from_source(survey, source, method="cyclegan-xy", start="nuclei-2d")
    with pytest.raises(UserError, match="nuclei-3d` is a model for 'zyx' images and bcd, but these are 'yx' and bcd"):
        settings_from_source(survey, source, start="nuclei-3d")
    with pytest.raises(UserError, match="is a model for 'yx' images and bcd, but these are 'yx' and semantic"):
        settings_from_source(survey, source, start="nuclei-2d", represent="semantic")
    with pytest.raises(UserError, match="nothing-there"):
        settings_from_source(survey, source, start="nothing-there")


def test_repainting_several_classes_is_refused(known, tmp_path):
    survey, source = known
    plain = settings_from_source(survey, source, method="supervised").model_dump(mode="json")
    both = {"kind": "classes", "classes": {"one": {"kind": "semantic"}, "two": {"kind": "semantic"}}}
    given = plain["source"] | {"labels": {"one": plain["source"]["labels"], "two": plain["source"]["labels"]}}
    run = parse(Run, plain | {"represent": both, "source": given, "tune": False}, "a test")
    with pytest.raises(UserError, match="paints objects of one class in one channel, but these have several"):
        fit(run, tmp_path / "run", quiet=True)
