"""The size of objects, from what a network finds in parts of the images."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import Volume
from cytoshift.labels.ids import relabel
from cytoshift.model import Segmenter
from cytoshift.model.shipped import model_folder
from cytoshift.trust import size_fit
from predicting import volume

PIXEL = Voxel((1.0, 1.0), "px")


def discs(shape, rng):
    """Labels of discs with diameters from 10 to 40, which do not touch, and their median diameter."""
    labels, diameters, grid = np.zeros(shape, np.int32), [], np.indices(shape)
    for number, corner in enumerate(np.ndindex(*(n // 44 for n in shape)), 1):
        diameter = rng.uniform(10, 40)
        middle = [44 * c + rng.uniform(diameter / 2, 44 - diameter / 2) for c in corner]
        labels[sum((axis - m) ** 2 for axis, m in zip(grid, middle)) <= (diameter / 2) ** 2] = number
        diameters.append(diameter)
    return labels, float(np.median(diameters))


@pytest.fixture
def find_all(monkeypatch):
    """The model finds what is there."""
    monkeypatch.setattr(
        size_fit, "predict", lambda model, part: SimpleNamespace(labels=relabel(np.asarray(part.load(), np.int32)))
    )


def test_only_images_that_are_measured_are_read(monkeypatch):
    read = []
    seen = lambda count: SimpleNamespace(count=count, evidence={"silent_images": 0.0})
    monkeypatch.setattr(size_fit, "MOST_IMAGES", 2)
    monkeypatch.setattr(size_fit, "load_small", lambda volumes, room: read.extend(one.name for one in volumes))
    monkeypatch.setattr(size_fit, "estimate", lambda images, voxels, *rest: seen(len(voxels)))
    many = [replace(volume(np.zeros((20, 20), np.uint8)), name=str(number)) for number in range(5)]
    assert size_fit.measure_objects(many, None, None, lambda done: None) == seen(2) and read == ["0", "4"]


def test_a_size_belongs_to_the_image_that_it_was_measured_in(monkeypatch):
    monkeypatch.setattr(size_fit, "MOST_IMAGES", 2)
    many = [replace(volume(np.zeros((20, 20), np.uint8)), name=str(number)) for number in range(5)]
    seen = SimpleNamespace(
        whole_diameters={50: 10.0},
        images=[SimpleNamespace(diameter=10.0, objects=9), SimpleNamespace(diameter=40.0, objects=9)],
    )
    assert size_fit.image_diameters(many, seen, 10.0) == {"0": 10.0, "4": 20.0}


def test_parts_with_few_whole_objects_are_not_taken_for_small_objects(find_all):
    rng = np.random.default_rng(0)
    labels, median = discs((880, 880), rng)
    corners = rng.integers(0, 800, (60, 2))
    parts = [volume(labels[y : y + 80, x : x + 80]) for y, x in corners]
    seen = [size_fit.objects(relabel(part.load()), PIXEL, ((True, True),) * 2) for part in parts]
    plain = np.median(np.concatenate([one.diameter[one.whole] for one in seen]))
    found = size_fit.found_diameter(None, parts)
    assert plain < 0.88 * median < 0.92 * median < found < 1.05 * median


def test_an_object_that_nearly_fills_its_part_is_one_of_several(find_all):
    labels = np.zeros((80, 80), np.int32)
    labels[1:-1, 1:40] = 1
    for number in range(20):
        labels[4 * number + 1 : 4 * number + 3, 50:78] = 2 + number
    assert size_fit.found_diameter(None, [volume(labels)]) < 10


def test_a_single_image_shows_as_much_as_three():
    large = volume(np.zeros((2000, 2000), np.uint8))
    (alone,) = size_fit.sample([large], 1.0)
    three = size_fit.sample([large] * 3, 1.0)
    assert np.prod(alone.shape) == pytest.approx(3 * np.prod(three[0].shape), rel=0.02)
    assert len(three) == 3 and np.prod(three[0].shape) == pytest.approx(size_fit.SAMPLE[2], rel=0.02)


@pytest.mark.parametrize("kind", ["nuclei-2d", "nuclei-3d"])
def test_noise_alone_is_no_object_unless_somebody_says_how_large_objects_are(kind):
    rng = np.random.default_rng(0)
    flat = kind == "nuclei-2d"
    voxel = Voxel((0.5, 0.5) if flat else (1.0, 0.5, 0.5))
    noise = rng.poisson(3, (128, 128) if flat else (24, 64, 64)).astype(np.uint8)
    image = Volume("noise", noise, "yx" if flat else "zyx", voxel, "made here")
    with pytest.raises(UserError, match="nothing stands out from the noise in 1 image"):
        size_fit.fit(Segmenter.load(model_folder(kind)), [image])
    assert size_fit.fit(Segmenter.load(model_folder(kind)), [image], 8.0).diameter == 8.0
