"""Training on synthetic images, and models for objects of any size that are fitted to images."""

from dataclasses import replace

import numpy as np
import pytest

from cytoshift.cli.new import new
from cytoshift.configure.randomise import settings
from cytoshift.configure.recipe import overlay_settings, survey_images
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse, read_yaml
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import ImageSource, open_volumes
from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from cytoshift.predict.pipeline import predict
from cytoshift.synth.phantoms import phantom
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from cytoshift.trust import size_fit
from cytoshift.trust.size_fit import AROUND, fit_segmenter, plausible_sizes
from cytoshift.trust.size_fit import fit as to_images

TINY = {"options.widths": [8, 8], "train.steps": 3, "train.batch": 1, "train.precision": "32", "tune": False}


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Folder of two phantoms of 14.5 um nuclei, at 0.65 um."""
    folder = tmp_path_factory.mktemp("flat")
    for i in range(2):
        image, _, voxel = phantom("sparse-2d", 1, (192, 192), i)
        write_image(folder / f"{i}.tif", image, voxel, "yx")
    return folder


@pytest.fixture(scope="module")
def model(flat, tmp_path_factory):
    """A model of three steps, for nuclei of any size."""
    run = parse(
        Run,
        overlay_settings(settings(survey_images(ImageSource(paths=str(flat)))).model_dump(mode="json"), TINY),
        "tiny",
    )
    trained = Segmenter.load(fit(run, tmp_path_factory.mktemp("run") / "run", quiet=True))
    pixel = Voxel((1.0, 1.0), "px")
    objects = {
        "": trained.card["objects"][""]
        | {"unit": "px", "diameter": {q: 20.0 for q in trained.card["objects"][""]["diameter"]}}
    }
    return replace(trained, voxel=pixel, diameter=20.0, card=trained.card | {"objects": objects})


def test_settings_draw_objects_as_large_as_those_seen(flat, tmp_path):
    out = tmp_path / "run.yaml"
    new("randomised", [str(flat)], out=out)
    run = parse(Run, read_yaml(out))
    assert run.randomised.diameter[0] < 14.5 < run.randomised.diameter[1] < 30
    assert run.represent.kind == "bcd" and run.tune and run.prior is None
    assert out.with_suffix(".png").exists() and "\nrandomised:" in out.read_text()


def test_a_training_in_3d_learns_from_synthetic_images_and_tunes_on_others(tmp_path):
    image, _, voxel = phantom("hl60-3d-25", 1, (24, 48, 48))
    write_image(tmp_path / "volume.tif", image, voxel, "zyx")
    run = settings(survey_images(ImageSource(paths=str(tmp_path))))
    changes = TINY | {"tune": True, "patch": [8, 24, 24]}
    run = parse(Run, overlay_settings(run.model_dump(mode="json"), changes), "tiny")
    found = Segmenter.load(fit(run, tmp_path / "run", quiet=True))
    assert found.axes == "zyx" and found.card["method"] == "randomised" and found.card["objects"][""]["objects"]


def test_a_method_without_randomised_says_what_is_missing(flat, tmp_path):
    run = settings(survey_images(ImageSource(paths=str(flat)))).model_dump(mode="json")
    with pytest.raises(UserError, match="the settings do not describe them"):
        fit(parse(Run, overlay_settings(run, TINY | {"randomised": None}), "tiny"), tmp_path / "run", quiet=True)


def test_a_model_for_any_size_is_kept_and_read(model, tmp_path):
    again = Segmenter.load(model.save(tmp_path / "model"))
    assert again.diameter == 20.0 and '"diameter": 20.0' in (tmp_path / "model" / "model.json").read_text()
    plain = replace(model, diameter=None).save(tmp_path / "plain")
    assert Segmenter.load(plain).diameter is None and '"diameter": null' not in (plain / "model.json").read_text()


def test_it_works_where_objects_are_as_many_voxels_across_as_it_asks_for(model, flat):
    volumes = open_volumes(ImageSource(paths=str(flat)))
    found = to_images(model, volumes)
    side = found.segmenter.voxel.size[0]
    assert found.segmenter.voxel.unit == "um" and found.diameter / side == pytest.approx(20.0)
    assert found.polarity == "bright" and not found.segmenter.normalisation.invert
    assert found.segmenter.representation.smallest == pytest.approx(model.representation.smallest * side)
    assert found.segmenter.card["objects"][""]["diameter"]["50"] == pytest.approx(20 * side)
    assert predict(found.segmenter, volumes[0]).labels.shape == volumes[0].shape


def test_what_is_given_is_not_measured(model, flat):
    volumes = open_volumes(ImageSource(paths=str(flat)))
    found = to_images(model, volumes, diameter=26.0, polarity="dark")
    assert found.segmenter.voxel.size == (1.3, 1.3) and found.segmenter.normalisation.invert
    assert found.numbers() == {"diameter": 26.0, "polarity": "dark"}


def test_images_are_not_made_finer_without_end(model, flat):
    volumes = open_volumes(ImageSource(paths=str(flat)))
    assert fit_segmenter(model, volumes, 0.01, "bright").voxel.size[0] == pytest.approx(0.65 / 3)


def test_other_models_and_other_images_are_refused(model, flat, tmp_path):
    volumes = open_volumes(ImageSource(paths=str(flat)))
    with pytest.raises(UserError, match="trained for one size"):
        to_images(replace(model, diameter=None), volumes, diameter=3.0)
    with pytest.raises(UserError, match="was not fitted"):
        predict(model, volumes[0])
    write_image(tmp_path / "deep.tif", np.zeros((8, 32, 32), np.uint8), Voxel((1.0, 1.0, 1.0)), "zyx")
    with pytest.raises(UserError, match="works on 'yx' images"):
        to_images(model, open_volumes(ImageSource(paths=str(tmp_path / "deep.tif"))))


def test_images_with_objects_of_other_sizes_have_a_voxel_size_of_their_own(model, flat, tmp_path):
    small = open_volumes(ImageSource(paths=str(flat)))
    for volume in small:
        image = volume.load()
        write_image(tmp_path / f"{volume.name}.tif", image, volume.voxel, "yx")
        write_image(
            tmp_path / f"{volume.name}-large.tif", np.kron(image, np.ones((2, 2), image.dtype)), volume.voxel, "yx"
        )
    volumes = open_volumes(ImageSource(paths=str(tmp_path)))
    found = to_images(model, volumes)
    large = [found.segmenter.sides[one.name] for one in volumes if one.name.endswith("large")]
    others = [found.segmenter.sides[one.name] for one in volumes if not one.name.endswith("large")]
    # Twice as large, of which half is believed.
    assert np.mean(large) / np.mean(others) == pytest.approx(2**0.5, rel=0.1)
    assert "from image to image" in found.sentence and found.numbers()["sides"] == found.segmenter.sides
    again = Segmenter.load(found.segmenter.save(tmp_path / "model"))
    fitted = again.for_image(volumes[0].name)
    side = found.segmenter.sides[volumes[0].name]
    assert fitted.voxel.size == (side, side) and not fitted.sides
    assert fitted.representation.smallest == pytest.approx(model.representation.smallest * side)
    assert again.for_image("another").voxel == again.voxel
    together = [predict(found.segmenter, one).labels for one in volumes[:2]]
    alone = [predict(found.segmenter.for_image(one.name), one).labels for one in volumes[:2]]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone))


def test_objects_of_volumes_that_had_been_several_in_one_are_looked_at_again(model, flat, monkeypatch):
    volumes = open_volumes(ImageSource(paths=str(flat)))
    measured = survey_images(ImageSource(paths=str(flat))).measured
    size = measured.whole_diameters[50]
    seen = lambda fitted, parts: size / 2 if fitted.voxel.size[0] * 20 < 0.8 * size else size
    monkeypatch.setattr(size_fit, "found_diameter", seen)
    sure = replace(measured, confidence=0.8, evidence=measured.evidence | {"characteristic_diameter": size})
    sure = replace(sure, elongation=sure.elongation | {50: 1.0})
    closer = size_fit.choose_size(model, volumes, replace(sure, ndim=3), "bright", lambda share: None)
    assert closer.diameter == pytest.approx(size / 2) and closer.found == pytest.approx(size / 2)
    assert "a closer look finds objects" in closer.sentence
    assert size_fit.choose_size(model, volumes, sure, "bright", lambda share: None).diameter == pytest.approx(size)
    certain = replace(sure, ndim=3, confidence=0.95)
    assert size_fit.choose_size(model, volumes, certain, "bright", lambda share: None).diameter == pytest.approx(size)


def test_sizes_that_do_not_settle_lead_back_to_what_was_measured(model, flat, monkeypatch):
    volumes = open_volumes(ImageSource(paths=str(flat)))
    measured = survey_images(ImageSource(paths=str(flat))).measured
    size = measured.whole_diameters[50]
    monkeypatch.setattr(size_fit, "found_diameter", lambda fitted, parts: 0.7 * fitted.voxel.size[0] * 20)
    for ndim in (2, 3):
        sure = replace(measured, ndim=ndim, evidence=measured.evidence | {"characteristic_diameter": size})
        sure = replace(sure, confidence=0.8, elongation=sure.elongation | {50: 1.0})
        kept = size_fit.choose_size(model, volumes, sure, "bright", lambda share: None)
        assert kept.diameter == pytest.approx(size) and kept.found == pytest.approx(0.7 * size, rel=0.01)
        assert "so this leads nowhere" in kept.sentence


def test_images_of_one_size_share_it(model, flat):
    volumes = open_volumes(ImageSource(paths=str(flat)))
    assert not to_images(model, volumes).segmenter.sides
    assert not to_images(model, volumes, diameter=26.0).segmenter.sides


def test_an_unsure_measurement_has_more_than_one_diameter(flat):
    seen = survey_images(ImageSource(paths=str(flat))).measured
    size = seen.whole_diameters[50]
    sure = replace(seen, confidence=0.9, evidence=seen.evidence | {"characteristic_diameter": size})
    assert plausible_sizes(sure) == [size]
    assert plausible_sizes(replace(sure, confidence=0.1)) == pytest.approx([size, size / AROUND, size * AROUND])
    apart = replace(sure, evidence=sure.evidence | {"characteristic_diameter": 2 * size})
    assert len(plausible_sizes(apart)) == 3
    pieces = seen.elongation | {50: 2.0}
    assert len(plausible_sizes(replace(sure, elongation=pieces))) == 1
    assert len(plausible_sizes(replace(sure, elongation=pieces, ndim=3))) == 3  # pieces of walls between cells


def test_only_what_is_not_measured_is_cured_by_a_diameter(tmp_path):
    one = Voxel((1.0, 1.0), "px")
    broken = np.full((64, 64), np.nan, np.float32)
    for name, image, cured in (("nan", broken, False), ("flat", np.full((64, 64), 7, np.uint8), True)):
        write_image(tmp_path / f"{name}.tif", image, one, "yx")
        with pytest.raises(UserError) as error:
            size_fit.measure_objects(open_volumes(str(tmp_path / f"{name}.tif")), None, None, lambda _: None)
        assert ("`diameter`" in str(error.value)) == cured
