"""cytoshift new: a run.yaml that says where its numbers come from, and the sentences where it cannot."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from cytoshift.cli.new import new
from cytoshift.configure.recipe import overlay_settings, round_digits, scale_to_cover, settings, survey_images
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse, read_yaml
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import ImageSource
from cytoshift.data.write import write_image, write_labels
from cytoshift.synth import Lognormal, Prior, draw_labels, pair
from cytoshift.synth.phantoms import phantom
from cytoshift.train.run_settings import Run


def recipe(source, **more):
    return settings(survey_images(source), **more)


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Folder of two sparse phantoms, and their truth's median diameter."""
    folder = tmp_path_factory.mktemp("flat")
    sizes = []
    for i in range(2):
        image, labels, voxel = phantom("sparse-2d", 1, (192, 192), i)
        write_image(folder / f"{i}.tif", image, voxel, "yx")
        sizes += [2 * np.sqrt((labels == k).sum() * voxel.volume / np.pi) for k in range(1, labels.max() + 1)]
    return folder, float(np.median(sizes))


@pytest.fixture(scope="module")
def written(flat, tmp_path_factory):
    out = tmp_path_factory.mktemp("new") / "run.yaml"
    new("adgan", [str(flat[0])], out=out)
    return out


def test_what_is_written_is_a_run_with_the_objects_of_the_images(written, flat):
    run = parse(Run, read_yaml(written))
    assert run.data.images.paths == str(flat[0])
    assert run.prior.diameter.median == pytest.approx(flat[1], rel=0.25) and run.prior.unit == "um"
    assert run.data.normalise.invert is False and run.patch == (96, 96)
    assert run.represent.kind == "semantic" and run.represent.smallest < run.prior.diameter.median
    assert run.options["width"] == 16 and run.train.steps == 2000


def test_of_few_images_a_patch_shows_a_part(flat, tmp_path):
    small, _, voxel = phantom("sparse-2d", 1, (120, 192), 5)
    write_image(tmp_path / "small.tif", small, voxel, "yx")
    assert recipe(ImageSource(paths=str(tmp_path))).patch == (60, 96)


def test_every_group_is_explained(written):
    text = written.read_text()
    for group in ("data", "patch", "prior", "represent", "options", "train"):
        before = text[: text.index(f"\n{group}:")]
        assert before.splitlines()[-1].startswith("# ")
    assert "bright objects in 2 of 2 images" in " ".join(text.splitlines()[0:2])
    assert max(len(line) for line in text.splitlines()) < 130


def test_the_preview_stands_beside_it(written):
    picture = np.asarray(Image.open(written.with_suffix(".png")))
    assert picture.ndim == 3 and picture.shape[1] > 3 * 320 and picture.std() > 20


def test_settings_are_not_replaced_by_accident(written, flat):
    with pytest.raises(UserError, match=r"run.yaml already exists; pass --overwrite"):
        new("adgan", [str(flat[0])], out=written)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"method": "adgun"}, r"no method 'adgun' that segments, there are adgan"),
        ({"preset": "paper-3d"}, r"adgan has no preset 'paper-3d' for 2D images, it has paper-2d, laptop-2d"),
        ({"polarity": "white"}, r"`polarity=white` does not exist here, there are auto, bright, dark"),
        ({"represent": "bcd"}, r"`represent=bcd` does not exist here, there are ternary, semantic"),
        ({"images": ["nowhere"]}, r"nowhere"),
    ],
)
def test_what_cannot_be_is_one_sentence(flat, tmp_path, wish, sentence):
    with pytest.raises(UserError, match=sentence):
        new(**{"method": "adgan", "images": [str(flat[0])], "out": tmp_path / "r.yaml", **wish})
    assert not (tmp_path / "r.yaml").exists()


def test_dark_objects_are_inverted(tmp_path):
    image, _, voxel = phantom("sparse-2d", 1, (192, 192))
    write_image(tmp_path / "dark.tif", 255 - image, voxel, "yx")
    run = recipe(ImageSource(paths=str(tmp_path / "dark.tif")), represent="ternary")
    assert run.data.normalise.invert is True and run.represent.kind == "ternary"


def test_a_stack_is_learnt_from_as_it_is_where_its_objects_are_deep_enough(tmp_path):
    image, _, voxel = phantom("hl60-3d-00", 0, (40, 96, 96))
    write_image(tmp_path / "stack.tif", image, voxel, "zyx")
    run = recipe(ImageSource(paths=str(tmp_path / "stack.tif")))
    assert run.data.voxel is None and run.prior.diameter.median / voxel.size[0] >= 9
    assert run.patch == (24, 48, 48) and run.data.augment.bias_field > 0


def test_a_coarse_stack_is_learnt_from_at_cubic_voxels(tmp_path):
    image, _, _ = phantom("hl60-3d-00", 0, (40, 96, 96))
    coarse = Voxel((1.6, 0.4, 0.4), "um")
    write_image(tmp_path / "stack.tif", image[::2], coarse, "zyx")
    run = recipe(ImageSource(paths=str(tmp_path / "stack.tif")))
    working = run.data.voxel
    assert working[0] < 1 and 9 <= run.prior.diameter.median / working[1] <= 24
    assert all(n % 4 == 0 and n >= 24 for n in run.patch)


def test_a_volume_beyond_memory_is_measured_from_what_is_read_of_it(flat, monkeypatch):
    source = ImageSource(paths=str(flat[0]))
    whole = survey_images(source).measured
    monkeypatch.setattr("cytoshift.data.volumes.IN_MEMORY", 0)
    assert survey_images(source).measured == whole


def test_large_objects_are_shrunk_to_what_the_networks_see(tmp_path):
    y, x = np.indices((600, 600))
    image = np.zeros((600, 600), np.uint8)
    for row in range(75, 600, 150):
        for column in range(75, 600, 150):
            image[(y - row) ** 2 + (x - column) ** 2 < 45**2] = 200
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "large.tif", image + rng.integers(0, 20, image.shape, dtype=np.uint8))
    run = recipe(ImageSource(paths=str(tmp_path / "large.tif"), voxel=(1.0, 1.0), unit="px"))
    assert run.prior.diameter.median == pytest.approx(90, rel=0.1)
    assert run.data.voxel == (pytest.approx(3.75, rel=0.1),) * 2


def test_masks_come_to_cover_what_images_cover():
    voxel, patch = Voxel((1.0, 1.0)), (96, 96)
    guess = Prior(diameter=Lognormal(median=12), density=(1e-3, 2e-3), clustering=0.3)
    found = scale_to_cover(guess, 0.12, voxel, patch)
    drawn = [draw_labels(found, patch, voxel, np.random.default_rng(i)) > 0 for i in range(64)]
    assert np.mean(drawn) == pytest.approx(0.12, rel=0.15)


def test_small_things():
    assert round_digits(0.00123456) == 0.00123
    assert overlay_settings({"a": {"b": 1}, "c": 2}, {"a": {"d": 3}, "c": 4}) == {"a": {"b": 1, "d": 3}, "c": 4}
    assert overlay_settings({"a": {"kind": "x"}}, {"a.b.c": 1}) == {"a": {"kind": "x", "b": {"c": 1}}}


def test_a_survey_says_what_it_saw(flat):
    assert survey_images(ImageSource(paths=str(flat[0])), "bright").sentence().startswith(("1", "2", "3", "4", "5"))


def test_borrowed_labels_need_a_method_that_borrows(flat, tmp_path):
    where, out = str(flat[0]), tmp_path / "run.yaml"
    with pytest.raises(
        UserError, match="method 'cysgan' learns from labelled images, but none are given; pass `source`"
    ):
        new("cysgan", [where], out=out)
    with pytest.raises(UserError, match="method 'adgan' learns without labels; leave out `source`"):
        new("adgan", [where], source=(where, where), out=out)
    with pytest.raises(UserError, match="no method 'unet' that segments, there are adgan, cysgan"):
        new("unet", [where], out=out)
    assert not out.exists()


def test_settings_that_borrow_labels(tmp_path):
    for side in ("source", "target"):
        image, labels, voxel = pair("em-to-expansion-2d", side, 0, shape=(128, 128))
        write_image(tmp_path / side / "images" / "a.tif", image, voxel, "yx")
        write_labels(tmp_path / side / "labels" / "a.tif", labels, voxel, "yx")
    source = (str(tmp_path / "source" / "images"), str(tmp_path / "source" / "labels"))
    new("cysgan", [str(tmp_path / "target" / "images")], source=source, out=tmp_path / "run.yaml")
    run = parse(Run, read_yaml(tmp_path / "run.yaml"))
    assert run.source.normalise.invert and not run.data.normalise.invert and run.represent.kind == "bcd"
    assert np.asarray(Image.open(tmp_path / "run.png")).std() > 20
