"""Domain-randomised synthesis: labels and images that vary, and are functions of their seed and number."""

import numpy as np
import pytest
from scipy.ndimage import find_objects, label

from cytoshift.core.errors import UserError
from cytoshift.core.rng import stream
from cytoshift.core.voxel import Voxel
from cytoshift.data.labelled import DrawnImages
from cytoshift.represent import BCD
from cytoshift.synth import Randomised, draw_pair
from cytoshift.synth.crowd import Kinds, crowd
from cytoshift.synth.fields import linear, noise, pool_weights, spline

FLAT, DEEP = Voxel((1.0, 1.0), "px"), Voxel((1.0, 1.0, 1.0), "px")
CASES = [(Randomised(diameter=(10, 30)), (96, 96), FLAT), (Randomised(diameter=(8, 14)), (24, 32, 40), DEEP)]
everywhere = pytest.mark.parametrize(("law", "shape", "voxel"), CASES, ids=("2d", "3d"))


@everywhere
def test_the_same_generator_draws_the_same_pair_and_another_one_another(law, shape, voxel):
    first, again, other = (draw_pair(law, shape, voxel, stream(0, i)) for i in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not np.array_equal(first[0], other[0])


@everywhere
def test_images_are_in_range_and_objects_are_numbered_and_in_one_piece(law, shape, voxel):
    for i in range(12):
        image, labels = draw_pair(law, shape, voxel, stream(0, "pieces", i))
        assert image.shape == labels.shape == shape and image.dtype == np.float32 and labels.dtype == np.int32
        assert image.min() >= -1 and image.max() <= 1
        boxes = find_objects(labels)
        assert all(box is not None for box in boxes)
        assert all(label(labels[box] == i + 1)[1] == 1 for i, box in enumerate(boxes))


@everywhere
def test_sizes_are_those_asked_for(law, shape, voxel):
    apart = law.model_copy(update={"cover": (0.05, 0.15)})
    found = []
    for i in range(30):
        labels = draw_pair(apart, shape, voxel, stream(0, "sizes", i))[1]
        inner = labels[tuple(slice(1, -1) for _ in shape)]
        cut = set(np.unique(labels)) - set(np.unique(inner)) | set(np.unique(np.concatenate(
            [face.ravel() for axis in range(labels.ndim) for face in (labels.take(0, axis), labels.take(-1, axis))]
        )))  # fmt: skip
        counts = np.bincount(labels.ravel())
        found += [counts[k] for k in range(1, len(counts)) if k not in cut]
    factor = {2: 4 / np.pi, 3: 6 / np.pi}[len(shape)]
    median = np.median((factor * np.array(found)) ** (1 / len(shape)))
    assert law.diameter[0] * 0.8 < median < law.diameter[1]


def test_polarity_is_dark_where_it_is_asked_for():
    law = Randomised(diameter=(14, 24), tissue=0, walls=0, dark=1, cover=(0.2, 0.4))
    sides = []
    for i in range(16):
        image, labels = draw_pair(law, (96, 96), FLAT, stream(0, "dark", i))
        sides.append(image[labels > 0].mean() < image[labels == 0].mean())
    assert np.mean(sides) > 0.8


def test_voxels_may_be_flat():
    law = Randomised(diameter=(4.0, 6.0))
    _, labels = draw_pair(law, (16, 48, 48), Voxel((1.0, 0.4, 0.4), "um"), stream(0, 3))
    sizes = [[s.stop - s.start for s in box] for box in find_objects(labels)]
    assert np.median([y / max(z, 1) for z, y, _ in sizes]) > 1.5


def test_objects_of_less_than_two_voxels_are_refused():
    with pytest.raises(UserError, match="less than two voxels"):
        draw_pair(Randomised(diameter=(1.5, 30)), (64, 64), FLAT, stream(0))
    with pytest.raises(UserError, match="one size per axis"):
        draw_pair(Randomised(diameter=(10, 30)), (64, 64, 64), FLAT, stream(0))


def test_fields_have_unit_variance_and_weights_sum_to_one():
    for shape, cell in (((256, 256), 4.0), ((48, 48, 48), 3.0), ((200, 200), 1.0)):
        assert noise(shape, np.array(cell), stream(0, "field")).std() == pytest.approx(1, abs=0.15)
    for weights in (spline(40, 3.3, 0.2), linear(40, 13), pool_weights(40, 13)):
        assert weights.sum(axis=1) == pytest.approx(np.ones(len(weights)), abs=1e-5)


@everywhere
def test_samples_of_the_stream_are_functions_of_their_number(law, shape, voxel):
    patch = tuple(n // 2 for n in shape)
    one, two = (DrawnImages(law, BCD(), voxel, patch, 3) for _ in range(2))
    image, target = one.sample(5)
    assert image.shape == (1, *patch) and target.shape == (3, *patch)
    two.sample(4)
    again = two.sample(5)
    assert np.array_equal(image, again[0]) and np.array_equal(target, again[1])
    assert not np.array_equal(image, DrawnImages(law, BCD(), voxel, patch, 4).sample(5)[0])


def test_most_patches_show_objects():
    domain = DrawnImages(Randomised(diameter=(10, 30)), BCD(), FLAT, (64, 64), 0)
    assert np.mean([domain.sample(i)[1][0].any() for i in range(24)]) > 0.8


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 90, 90), (1, 1, 1)), ((1, 90, 90), (4, 1, 1)), ((24, 40, 40), (1, 1, 1)), ((8, 40, 40), (4, 1, 1))],
)
def test_voxels_that_are_passed_over_are_outside(shape, size, monkeypatch):
    """The bound of an object's extent saves time and changes no voxel: without it the crowd is the same."""
    kinds, size = Kinds(
        lobes=(0.2, 0.22), bend=(0.1, 0.1), rough=(0.1, 0.12), cover=(0.5, 1.3), elongation=(0.4, 0.4),
        spindle=(0.6, 0.6),
    ), np.array(size, float)  # fmt: skip
    with_bound = [crowd(kinds, 12.0, shape, size, np.random.default_rng(seed)) for seed in range(4)]
    monkeypatch.setattr("cytoshift.synth.crowd.outer_radii", lambda moved, inverse, bumps: np.full(len(bumps), 1e6))
    for seed, found in enumerate(with_bound):
        without = crowd(kinds, 12.0, shape, size, np.random.default_rng(seed))
        assert found.labels.max() > 3
        assert np.array_equal(found.labels, without.labels) and np.array_equal(found.depth, without.depth)
