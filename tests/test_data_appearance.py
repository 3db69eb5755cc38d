"""Labelled patches with other intensities: labels stay, the same seed gives the same, each part does what it says."""

import numpy as np
import pytest

from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data.appearance import (
    SEEN_RANGE,
    Appearance,
    change_appearance,
    mix_amplitudes,
    through_curve,
    through_kernel,
)
from cytoshift.data.augment import Augment
from cytoshift.data.labelled import LabelledImages
from cytoshift.data.streams import Images
from cytoshift.data.volumes import Volume
from cytoshift.represent import Semantic
from cytoshift.synth import phantom, repaint

MINMAX = Normalisation(kind="minmax")
PARTS = ("repaint", "curve", "convolve", "levels", "amplitude")


@pytest.fixture(scope="module")
def sample():
    return phantom("dense-2d", seed=3, shape=(96, 96))


def stream_of(sample, law: Appearance | None, patch=(48, 48)) -> LabelledImages:
    voxel = Voxel((1.0, 1.0), "px")
    image, labels = Volume("a", sample[0], "yx", voxel, "made"), Volume("a", sample[1], "yx", voxel, "made")
    made = LabelledImages([image], [labels], MINMAX, voxel, patch, 0, Augment(), None, Semantic())
    made.appearance = law or Appearance()
    made.target = Images([Volume("b", sample[0].astype(np.float32) ** 2, "yx", voxel, "made")], MINMAX, voxel, patch, 1)
    return made


@pytest.mark.parametrize("part", PARTS)
def test_each_part_changes_the_image_alone_and_is_a_function_of_seed_and_index(sample, part):
    law = Appearance(**{part: 1.0})
    plain, changed, again = stream_of(sample, None), stream_of(sample, law), stream_of(sample, law)
    for index in range(4):
        image, target = changed.sample(index)
        assert image.dtype == np.float32 and image.shape == (1, 48, 48) and np.isfinite(image).all()
        assert image.min() >= SEEN_RANGE[0] and image.max() <= SEEN_RANGE[1]
        np.testing.assert_array_equal(target, plain.sample(index)[1])
        np.testing.assert_array_equal(image, again.sample(index)[0])
    assert any(np.abs(changed.sample(i)[0] - plain.sample(i)[0]).max() > 0.02 for i in range(4))


def test_chances_are_those_of_the_settings(sample):
    plain, changed = stream_of(sample, None), stream_of(sample, Appearance(repaint=0.5))
    same = [np.array_equal(plain.sample(i)[0], changed.sample(i)[0]) for i in range(40)]
    assert 10 <= sum(same) <= 30


def test_a_curve_rises_and_keeps_black_and_white():
    line = np.linspace(-1, 1, 101, dtype=np.float32)
    for seed in range(20):
        bent = through_curve(line, np.random.default_rng(seed))
        assert (np.diff(bent) >= 0).all()
        np.testing.assert_allclose(bent[[0, -1]], [-1, 1], atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 40), (6, 24, 24)])
def test_a_kernel_keeps_mean_and_bright_objects_and_stays_in_its_section(shape):
    image = np.full(shape, -0.5, np.float32)
    image[..., 8:16, 8:16] = 0.5
    for seed in range(12):
        changed = through_kernel(image, np.random.default_rng(seed))
        assert changed.shape == shape and abs(changed.mean() - image.mean()) < 1e-3
        assert changed[..., 10:14, 10:14].mean() > changed[..., 20:, 20:].mean()
    alone = np.zeros((3, 16, 16), np.float32)
    alone[1, 8, 8] = 1
    changed = through_kernel(alone, np.random.default_rng(1))
    np.testing.assert_allclose(changed[0], changed[2])
    assert np.ptp(changed[0]) < 1e-6


def test_amplitudes_of_the_image_itself_change_nothing_and_low_ones_lend_the_mean():
    rng = np.random.default_rng(0)
    image, other = rng.normal(0, 0.2, (32, 32)).astype(np.float32), np.full((32, 32), 0.7, np.float32)
    np.testing.assert_allclose(mix_amplitudes(image, image, 0.1), image, atol=1e-5)
    assert abs(abs(mix_amplitudes(image, other, 0.0).mean()) - 0.7) < 1e-4


def test_levels_are_those_of_the_target():
    rng = np.random.default_rng(0)
    image, other = rng.normal(0, 0.2, (32, 32)).astype(np.float32), rng.uniform(0.2, 0.4, (32, 32)).astype(np.float32)
    seen = change_appearance(Appearance(levels=1), image, rng, lambda _: other)
    assert abs(np.median(seen) - np.median(other)) < 0.02 and seen.std() < 0.1


@pytest.mark.parametrize("shape, size", [((64, 64), (1.0, 1.0)), ((8, 48, 48), (3.0, 1.0, 1.0))])
def test_repainted_objects_are_bright_or_dark_as_asked(shape, size):
    labels = np.zeros(shape, np.int32)
    labels[..., 5:20, 5:20], labels[..., 20:40, 5:20], labels[..., 25:40, 25:40] = 7, 3, 900000
    voxel = Voxel(size, "um")
    brighter = {0.0: 0, 1.0: 0}
    for dark in brighter:
        for seed in range(10):
            image = repaint(labels, voxel, np.random.default_rng(seed), dark)
            assert image.shape == shape and image.dtype == np.float32 and np.abs(image).max() <= 1
            brighter[dark] += np.median(image[labels > 0]) > np.median(image[labels == 0])
    assert brighter[0.0] >= 8 and brighter[1.0] <= 2


def test_an_empty_patch_can_be_repainted():
    assert np.isfinite(repaint(np.zeros((24, 24), np.int32), Voxel((1.0, 1.0), "px"), np.random.default_rng(0))).all()
