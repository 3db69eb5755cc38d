"""`cytoshift new --channels`: settings of several classes, each measured in its own channel."""

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.configure.class_settings import refuse_noise
from cytoshift.configure.recipe import survey_images
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse, read_yaml
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import ImageSource, open_volumes
from cytoshift.methods import METHODS
from cytoshift.synth import PAIR_PRIORS, Prior, draw_labels, draw_pairs
from cytoshift.train.domain_streams import domain_streams
from cytoshift.train.run_settings import Run
from cytoshift.train.start import build, working_voxel


def new(*words) -> str:
    result = CliRunner().invoke(app, ["new", *map(str, words)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Nuclei of 20 pixels in channel 0, Golgi of 10 in channel 1."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(2):
        channels = []
        for diameter, density, light in ((20.0, 0.0008, 900), (10.0, 0.0006, 500)):
            prior = Prior(diameter=(0.95 * diameter, 1.05 * diameter), density=(density, density), min_gap=2.0)
            labels = draw_labels(prior, (200, 200), Voxel((1.0, 1.0)), rng)
            channels.append(100 + light * (labels > 0) + rng.normal(0, 10, labels.shape))
        metadata = {"axes": "CYX", "unit": "pixel"}
        tifffile.imwrite(folder / f"{i}.tif", np.stack(channels).astype(np.uint16), imagej=True, metadata=metadata)
    return folder


def run_of(path) -> Run:
    return parse(Run, read_yaml(path), str(path))


def test_each_class_is_measured_in_its_channel(images, tmp_path):
    out = tmp_path / "run.yaml"
    said = new("mask_cyclegan", "--images", images, "--channels", "golgi=1,nuclei=0", "-o", out)
    run = run_of(out)
    assert run.data.images.channel == (1, 0) and len(run.data.normalise) == 2
    assert run.represent.names == ("golgi", "nuclei") and run.represent.belongs == {"golgi": "nuclei"}
    golgi, nuclei = (run.priors[name].diameter.median for name in ("golgi", "nuclei"))
    assert golgi == pytest.approx(10, rel=0.2) and nuclei == pytest.approx(20, rel=0.2)
    assert run.represent.reach == pytest.approx(golgi, rel=0.01)
    small = run.represent.classes["golgi"].smallest
    assert small < golgi and small < run.represent.classes["nuclei"].smallest
    assert 1.5 < run.represent.weights["golgi"] <= 3.5 and run.represent.weights["nuclei"] == 1
    assert "golgi: " in said and "nuclei: " in said and out.with_suffix(".png").exists()
    text = out.read_text()
    assert "# golgi: " in text and "weights: of the classes in the losses" in text
    volumes = open_volumes(run.data.images)
    method = build(run, working_voxel(run, volumes), volumes[0].channels)
    assert method.exported_spec().channels == method.exported_spec().out == 2


def test_the_preset_of_the_paper_stretches_as_the_paper(images, tmp_path):
    out = tmp_path / "run.yaml"
    new("mask_cyclegan", "--images", images, "--channels", "nuclei=0", "--preset", "paper", "-o", out)
    run = run_of(out)
    assert [(one.low, one.high) for one in run.data.normalise] == [(95, 98)]
    assert (
        run.represent.names == ("nuclei",)
        and not run.represent.belongs
        and run.train.lr_multipliers == {"discriminators": 0.2}
    )


def test_a_preset_has_the_contrast_of_the_paper_alone(images, tmp_path):
    out = tmp_path / "run.yaml"
    new("mask_cyclegan", "--images", images, "--channels", "nuclei=0", "--preset", "stretched", "-o", out)
    run = run_of(out)
    assert [(one.low, one.high) for one in run.data.normalise] == [(95, 98)] and run.options["width"] == 16


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("mask_cyclegan", "--channels", "golgi"), "is not a list of classes and channels; write for example golgi=0,"),
        (("mask_cyclegan", "--channels", "a=0,a=1"), "is not a list of classes and channels"),
        (("mask_cyclegan", "--channels", "a=0,b=7"), "has no channel 7"),
        (("mask_cyclegan", "--channels", "a=0", "--channel", "1"), "leave one of them out"),
        (("mask_cyclegan", "--channel", "0", "--cells", "retina"), "pass --channels golgi=0,nuclei=1"),
        (("mask_cyclegan", "--channels", "golgi=1,nuclei=0", "--cells", "liver"), "only retina, ss-seg-cyclegan"),
        (("adgan", "--channels", "golgi=1,nuclei=0"), "adgan segments one class; leave --channels out"),
    ],
)
def test_wishes_that_do_not_fit_are_one_sentence(images, tmp_path, words, sentence):
    with pytest.raises(UserError, match=sentence):
        new(*words, "--images", images, "-o", tmp_path / "run.yaml")


def test_pairs_of_cells_bring_their_own_sizes_and_weights(tmp_path):
    """What noise makes of a dim channel does not matter then."""
    rng = np.random.default_rng(0)
    labels = draw_pairs(PAIR_PRIORS["retina"], (32, 96, 96), Voxel((1.0, 1.0, 1.0)), rng)
    image = 100 + 900 * (labels > 0) + rng.normal(0, 20, labels.shape)
    metadata = {"axes": "ZCYX", "spacing": 1.0, "unit": "pixel"}
    stored = np.moveaxis(image, 0, 1).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored, imagej=True, resolution=(1, 1), metadata=metadata)
    out = tmp_path / "run.yaml"
    images = ("--images", tmp_path / "a.tif", "--voxel", "1,1,1", "--unit", "px")
    new("mask_cyclegan", *images, "--channels", "nuclei=1,golgi=0", "--cells", "retina", "-o", out)
    run = run_of(out)
    assert run.cells == PAIR_PRIORS["retina"] and run.priors is None and run.data.images.channel == (1, 0)
    assert run.represent.belongs == {"golgi": "nuclei"} and 4 < run.represent.reach < 9
    assert 1.5 < run.represent.weights["golgi"] <= 3.5 and run.represent.weights["nuclei"] == 1
    golgi, nuclei = run.data.normalise[1], run.data.normalise[0]
    assert 95 < golgi.low < 99 < golgi.high < 100 and 75 < nuclei.low < 93 < nuclei.high < 99.5
    with pytest.raises(UserError, match="draws golgi and nuclei, not cells, golgi; use these names for the channels"):
        new("mask_cyclegan", *images, "--channels", "cells=1,golgi=0", "--cells", "retina", "-o", tmp_path / "b.yaml")
    CliRunner().invoke(app, ["info", str(tmp_path / "a.tif"), "--channel", "0,1", "-o", str(tmp_path / "t.png")],
                       catch_exceptions=False)  # fmt: skip
    assert (tmp_path / "t.png").exists()


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    """Two-channel stacks with a folder of labels for each class, as `synth retina` writes them."""
    folder = tmp_path_factory.mktemp("stacks")
    CliRunner().invoke(app, ["synth", "retina", "-n", "2", "--shape", "24,48,48", "-o", str(folder)],
                       catch_exceptions=False)  # fmt: skip
    return folder


@pytest.mark.parametrize("labels", ["{}/labels", "golgi={0}/labels/golgi,nuclei={0}/labels/nuclei"])
def test_labels_of_several_classes_teach(stacks, tmp_path, labels):
    out, images = tmp_path / "run.yaml", stacks / "images"
    words = ("--target", images, "--channels", "golgi=0,nuclei=1", "--represent", "ternary", "-o", out)
    said = new("vox2vox", "--source", images, labels.format(stacks), *words)
    run = run_of(out)
    assert run.represent.names == ("golgi", "nuclei") and run.represent.classes["golgi"].kind == "ternary"
    assert list(run.source.labels) == ["golgi", "nuclei"] and run.source.images.channel == (0, 1) and not run.tune
    assert run.represent.belongs == {"golgi": "nuclei"} and run.represent.weights["golgi"] > 1
    assert "golgi: the source has" in said and "# Images and the labels of each class." in out.read_text()
    volumes = open_volumes(run.data.images)
    eaten = domain_streams(run, METHODS["vox2vox"].batch, volumes, working_voxel(run, volumes))
    image, target = eaten["source"].sample(0)
    assert image.shape[0] == target.shape[0] == 2 and out.with_suffix(".png").exists()


def test_labels_that_are_not_there_are_one_sentence(stacks, tmp_path):
    images = stacks / "images"
    words = ("--target", images, "--channels", "golgi=0,axons=1", "-o", tmp_path / "run.yaml")
    with pytest.raises(
        UserError, match="has no folder 'axons'; put the labels of each class into a folder of its name"
    ):
        new("supervised", "--source", images, stacks / "labels", *words)
    with pytest.raises(UserError, match="does not say where the labels of golgi, axons are; give a folder that holds"):
        new("supervised", "--source", images, "golgi=x", *words)
    with pytest.raises(UserError, match="--source-channel 0 does not have one number for each of golgi, axons"):
        new("supervised", "--source", images, stacks / "labels", *words, "--source-channel", "0")


def test_noise_in_a_channel_is_told_and_not_measured(tmp_path):
    rng = np.random.default_rng(0)
    pale = rng.poisson(4.0, (24, 64, 64))
    pale[10:14, 20:24, 20:24] += 12  # one small Golgi in the noise
    metadata = {"axes": "ZYX", "spacing": 1.0, "unit": "pixel"}
    tifffile.imwrite(tmp_path / "a.tif", pale.astype(np.uint8), imagej=True, resolution=(1, 1), metadata=metadata)
    survey = survey_images(ImageSource(paths=str(tmp_path / "a.tif"), voxel=(1, 1, 1), unit="px"), "bright")
    assert survey.measured.confidence < 0.5 and any("threshold has cut" in note for note in survey.measured.notes)
    with pytest.raises(UserError, match=r"golgi cannot be measured in channel 0: .* as noise would be; pass `cells"):
        refuse_noise("golgi", survey, 0)
