"""Images of several channels and labels of several classes: one place, one pose, numbers of each channel."""

import numpy as np
import pytest
import tifffile

from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation, Scales, measure
from cytoshift.core.rng import stream
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.augment import Augment
from cytoshift.data.corrupt import Corrupt
from cytoshift.data.labelled import LabelledImages
from cytoshift.data.streams import BiasFieldImages, Images, SyntheticMasks, draw_classes
from cytoshift.data.volumes import (
    ImageSource,
    Volume,
    crop_volume,
    image_source,
    open_labels,
    open_volumes,
    stack_channels,
)
from cytoshift.represent import Classes
from cytoshift.synth import Prior, draw_labels

CUBE = Voxel((1.0, 1.0, 1.0))
STRETCH = Normalisation(low=95, high=98)
PAIR = parse(Classes, {"classes": {"golgi": {"kind": "semantic"}, "nuclei": {"kind": "ternary"}}})


def places(shape=(6, 20, 24), channels=2) -> np.ndarray:
    """Every voxel is its own number, and the same one in each channel but for the thousands."""
    ramp = np.arange(np.prod(shape)).reshape(shape)
    return np.stack([ramp + 10_000 * c for c in range(channels)]).astype(np.uint16)


def volume(array: np.ndarray, name: str = "a") -> Volume:
    return Volume(name, array, "zyx", CUBE, name)


@pytest.fixture
def files(tmp_path):
    for i in range(2):
        image = np.moveaxis(places(channels=3) + i, 0, 1)  # ImageJ stores z, c, y, x
        metadata = {"axes": "ZCYX", "spacing": 2.0, "unit": "micron"}
        tifffile.imwrite(tmp_path / f"{i}.tif", image, imagej=True, resolution=(2, 2), metadata=metadata)
    return tmp_path


def test_channels_of_a_file_come_in_the_order_asked_for(files):
    first, second = open_volumes(image_source(str(files), channel="2,0"))
    assert first.shape == (6, 20, 24) and first.channels == 2 and first.voxel == Voxel((2.0, 0.5, 0.5), "um")
    assert np.array_equal(first.load(), places(channels=3)[[2, 0]])
    assert np.array_equal(second.array[:, 1:3, 4, 5:9], places(channels=3)[[2, 0], 1:3, 4, 5:9] + 1)
    assert "channel 2, with channel 0" in first.origin
    (one, _) = open_volumes(image_source(str(files), channel="1"))
    assert one.channels == 1 and one.load().shape == (6, 20, 24)
    assert ImageSource(paths="a", channel=[1]).channel == 1


def test_a_crop_is_one_of_all_channels(files):
    source = ImageSource(paths=str(files), channel=[0, 1], crop={"x": (0.5, 1.0)})
    assert np.array_equal(open_volumes(source)[0].load(), places(channels=3)[:2, ..., 12:])
    assert np.array_equal(crop_volume(volume(places()), {"z": (0, 0.5)}).load(), places()[:, :3])


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ("0,3", "has no channel 3; .*pass `channel` with one of 0, 1, 2"),
        ("0,x", "has no channel x; .*pass `channel` with one of 0, 1, 2"),
        ("1,1", "channels are different numbers"),
    ],
)
def test_channels_that_are_not_there_are_one_sentence(files, channel, words):
    with pytest.raises(UserError, match=words):
        open_volumes(image_source(str(files), channel=channel))


def test_labels_have_one_channel_and_one_grid(files):
    with pytest.raises(UserError, match="one file or folder for each class"):
        open_labels(image_source(str(files), channel="0,1"))
    with pytest.raises(UserError, match="need one grid"):
        stack_channels([volume(places()[0]), volume(places()[0, 1:])], "nuclei")
    small, large = np.full((2, 3, 4), 200, np.uint8), np.full((2, 3, 4), 60_000, np.uint16)
    both = stack_channels([volume(small), volume(large)], "with nuclei")
    assert both.dtype == np.uint16 and both.load()[:, 0, 0, 0].tolist() == [200, 60_000]


def test_each_channel_has_its_own_stretch():
    image = np.stack([np.arange(1000), 5 * np.arange(1000)]).reshape(2, 10, 10, 10)
    scale = measure(STRETCH, [list(image)])
    assert isinstance(scale, Scales)
    drawn = scale(image)
    assert np.allclose(drawn[0], drawn[1], atol=1e-4)
    low, high = np.percentile(image[0], (95, 98))
    assert np.allclose(drawn[0], np.clip(2 * (image[0] - low) / (high - low) - 1, -1, 1), atol=1e-3)
    assert 0.94 < (drawn == -1).mean() < 0.96
    one = measure((STRETCH, Normalisation(kind="minmax")), [list(image)])
    assert one.each[0] == scale.each[0] and one.each[1].offset == 2497.5
    with pytest.raises(UserError, match="normalise is given for 2 channels, but the images have 1"):
        measure((STRETCH, STRETCH), [[image[0]]])


def test_patches_show_all_channels_at_one_place_and_in_one_pose():
    domain = Images([volume(places())], Normalisation(kind="range", low=0, high=20_000), CUBE, (4, 8, 8), seed=0)
    for index in range(6):
        (image,) = domain.sample(index)
        raw = np.rint((image + 1) * 10_000)
        assert image.shape == (2, 4, 8, 8)
        assert np.array_equal(raw[1] - raw[0], np.full((4, 8, 8), 10_000))


def test_a_thin_volume_is_continued_by_reflection_in_all_channels():
    stay = Augment(flips=False, rotations=False)
    domain = Images([volume(places())], Normalisation(kind="range", low=0, high=20_000), CUBE, (12, 8, 8), 0, stay)
    (image,) = domain.sample(0)
    assert np.array_equal(image[:, 2], image[:, 3]) and np.array_equal(image[:, 8], image[:, 9])
    assert np.array_equal(image[:, 0], image[:, 5])


def test_a_window_is_taken_where_one_channel_shows_something():
    image = np.zeros((2, 4, 64, 64), np.float32)
    image[1, :, 50:58, 50:58] = 1
    domain = Images([volume(image)], Normalisation(kind="minmax"), CUBE, (4, 24, 24), seed=0)
    shown = [domain.sample(i)[0][1].max() for i in range(10)]
    assert sum(value > 0 for value in shown) >= 6  # a sixth of all windows do
    assert domain.foreground_share(np.stack([image[0], 2 * image[1] - 1]), 0) == pytest.approx((8 * 8) / 64**2)


def test_every_channel_has_its_own_light():
    domain = BiasFieldImages([volume(places())], Normalisation(), CUBE, (4, 8, 8), 0, augment=Augment(bias_field=0.7))
    shaded, clean = domain.sample(0)
    assert shaded.shape == clean.shape == (2, 4, 8, 8)
    gain = shaded - clean
    assert np.abs(gain[0]).max() > 0.01 and not np.allclose(gain[0], gain[1], atol=1e-3)


def test_masks_of_several_classes_are_drawn_class_by_class():
    priors = {
        "golgi": Prior(diameter=(3, 5), density=(0.001, 0.002)),
        "nuclei": Prior(diameter=(8, 12), density=(0.0005, 0.001)),
    }
    draw = draw_classes(priors)
    domain = SyntheticMasks(draw, PAIR, CUBE, (12, 24, 24), seed=3)
    (mask,) = domain.sample(0)
    labels = draw((12, 24, 24), CUBE, stream(3, "masks", 0))
    assert labels.shape == (2, 12, 24, 24) and np.array_equal(mask, PAIR.encode(labels, CUBE))
    assert np.array_equal(labels[0], draw_labels(priors["golgi"], (12, 24, 24), CUBE, stream(3, "masks", 0)))


def test_labels_of_classes_stay_with_the_channels_of_their_image():
    rng = np.random.default_rng(0)
    labels = np.zeros((2, 8, 40, 40), np.int32)
    labels[0, 2:6, 5:12, 8:20], labels[1, 1:7, 3:16, 5:30], labels[1, 1:7, 20:32, 10:30] = 1, 1, 2
    image = (labels > 0) * 1000.0 + rng.normal(0, 1, labels.shape)
    still = Corrupt(elastic=1.0, gray=1.0, cut_noise=1.0)
    levels = Normalisation(kind="range", low=0, high=1000)
    arguments = ([volume(image.astype(np.float32))], [volume(labels)], levels, CUBE, (8, 24, 24), 0)
    for corrupt in (None, still):
        domain = LabelledImages(*arguments, Augment(), corrupt, PAIR)
        for index in range(4):
            seen, target = domain.sample(index)
            assert seen.shape == target.shape == (2, 8, 24, 24)
            if corrupt is None:
                assert np.array_equal(seen > 0, target > 0.25)
