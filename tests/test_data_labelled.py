"""Streams of labelled images and of pairs: one sample is one function of seed and index."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from cytoshift.core.batch import LabelledBatch, LabelledPair, UnlabelledPair
from cytoshift.core.errors import UserError
from cytoshift.core.lazy_array import LazyArray
from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data import volumes
from cytoshift.data.augment import Augment
from cytoshift.data.corrupt import LAPTOP, LAPTOP_2D, PAPER, Corrupt
from cytoshift.data.labelled import ImagePairs, LabelledImages, LabelledPairs, crop_reflected
from cytoshift.data.resample import ResampledAxis, image_at, resample, resample_labels
from cytoshift.data.streams import Batches
from cytoshift.data.volumes import Volume
from cytoshift.represent import Semantic
from cytoshift.represent.distance import distances
from cytoshift.synth.phantoms import phantom

STILL = Augment(flips=False, rotations=False)
MINMAX = Normalisation(kind="minmax")


@dataclass
class Ids:
    """A representation that shows the labels themselves and what was encoded."""

    channels = ("id",)
    seen: tuple[int, ...] = ()

    def encode(self, labels, voxel):
        self.seen = labels.shape
        return labels.astype(np.float32)[None]


class Depth(Ids):
    def encode(self, labels, voxel):
        return distances(labels, voxel)[None]


def volume(array: np.ndarray, size: tuple[float, ...] | None = None, name: str = "a") -> Volume:
    return Volume(name, array, "zyx"[-array.ndim :], Voxel(size or (1.0,) * array.ndim), "made here")


def balls(*shape: int, radius: float = 6, step: int = 16) -> np.ndarray:
    """A lattice of discs or balls with ids from 1."""
    places = np.indices(shape)
    inside = sum((p % step - step / 2) ** 2 for p in places) < radius**2
    cells = np.ravel_multi_index([p // step for p in places], [-(-n // step) for n in shape])
    return (inside * (cells + 1)).astype(np.uint16)


def pairs(
    labels: np.ndarray, patch, *, kind=LabelledPairs, corrupt=None, seed=0, working=None, augment=STILL, rep=None
):
    """Images that are bright where the labels are, so that what a sample shows of both can be compared."""
    image = np.where(labels > 0, 200, 20).astype(np.uint8)
    size = working or (1.0,) * labels.ndim
    return kind(
        [volume(image)], [volume(labels, name="b")], MINMAX, Voxel(size), patch, seed, augment, corrupt, rep or Ids()
    )


@pytest.mark.parametrize("patch", [(48, 32), (12, 24, 40)])
def test_without_corruption_the_twins_are_one_and_the_target_fits(patch):
    domain = pairs(balls(*(n + 20 for n in patch)), patch, augment=Augment())
    for index in range(5):
        image, target, clean = domain.sample(index)
        assert image.shape == target.shape == clean.shape == (1, *patch)
        assert image.dtype == target.dtype == clean.dtype == np.float32
        assert np.array_equal(image, clean)
        assert np.array_equal(clean > 0, target > 0)


@pytest.mark.parametrize(("patch", "corrupt"), [((48, 48), LAPTOP_2D), ((12, 40, 40), PAPER)])
def test_geometry_is_shared_and_corruption_is_not(patch, corrupt):
    corrupt = corrupt.model_copy(update={"gray": 0.0})
    domain = pairs(balls(*(n + 20 for n in patch)), patch, corrupt=corrupt, augment=Augment())
    corrupted = 0
    for index in range(8):
        image, target, clean = domain.sample(index)
        assert ((clean > 0) == (target > 0)).mean() > 0.97  # linear and nearest differ on the outlines
        corrupted += not np.array_equal(image, clean)
        assert np.abs(image).max() <= 1
    assert corrupted >= 4


def test_the_clean_twin_does_not_depend_on_the_corruption():
    labels = balls(20, 60, 60)
    with_all, without = (
        PAPER,
        PAPER.model_copy(update=dict.fromkeys(["cut_noise", "cut_blur", "motion_blur", "missing_parts"], 0.0)),
    )
    for index in range(4):
        _, target, clean = pairs(labels, (8, 32, 32), corrupt=with_all).sample(index)
        image, same_target, same_clean = pairs(labels, (8, 32, 32), corrupt=without).sample(index)
        assert np.array_equal(clean, same_clean) and np.array_equal(target, same_target)
        assert np.array_equal(image, same_clean)


def test_one_corruption_changes_its_own_place_only():
    domain = pairs(balls(20, 60, 60), (10, 40, 40), corrupt=Corrupt(gray=1.0, elastic=1.0, cut_noise=1.0))
    image, _, clean = domain.sample(0)
    places = np.nonzero(image[0] != clean[0])
    assert [int(p.max() - p.min()) + 1 for p in places] == [4, 16, 16]


def test_a_sample_is_a_function_of_seed_and_index():
    labels = balls(24, 64, 64)
    one, two = (pairs(labels, (8, 32, 32), corrupt=PAPER, augment=Augment()) for _ in range(2))
    later = [one.sample(index) for index in (5, 3)]
    again = [two.sample(index) for index in (3, 5)][::-1]
    for first, second in zip(later, again):
        assert all(np.array_equal(a, b) for a, b in zip(first, second))
    assert not np.array_equal(later[0][0], later[1][0])
    assert not np.array_equal(pairs(labels, (8, 32, 32), corrupt=PAPER, seed=1).sample(5)[0], later[0][0])


def test_labelled_images_are_labelled_pairs_without_the_twin():
    labels = balls(60, 60)
    with_twin = pairs(labels, (32, 32), corrupt=LAPTOP_2D).sample(2)
    without = pairs(labels, (32, 32), corrupt=LAPTOP_2D, kind=LabelledImages).sample(2)
    assert len(without) == 2 and all(np.array_equal(a, b) for a, b in zip(with_twin, without))


def test_ids_survive_everything():
    labels = balls(24, 64, 64) + np.uint16(60_000) * (balls(24, 64, 64) > 0)
    domain = pairs(labels, (12, 32, 32), corrupt=PAPER, working=(0.7, 0.8, 0.8))
    for index in range(4):
        assert np.isin(domain.sample(index)[1], labels).all()


def test_targets_are_encoded_with_what_lies_around_the_patch():
    labels = np.zeros((200, 200), np.uint16)
    labels[:, 50:150] = 1  # a bar that no patch sees whole
    representation = Ids()
    pairs(labels, (64, 64), rep=representation).sample(0)
    assert representation.seen == (80, 80)
    domain = pairs(labels, (64, 64), rep=Depth())
    for index in range(6):
        _, target, clean = domain.sample(index)
        truth = distances(labels, Voxel((1, 1)))[100]
        known = truth <= 8  # the halo is that wide
        starts = [
            s
            for s in range(137)
            if np.array_equal(target[0, 0][known[s : s + 64]], truth[s : s + 64][known[s : s + 64]])
        ]
        assert starts and any(np.array_equal(clean[0, 0] > 0, truth[s : s + 64] > 0) for s in starts)


def test_volumes_smaller_than_the_patch_are_continued_by_reflection():
    domain = pairs(balls(3, 20, 20), (8, 32, 32), corrupt=PAPER, augment=Augment())
    for index in range(6):
        assert all(field.shape == (1, 8, 32, 32) and np.isfinite(field).all() for field in domain.sample(index))


def test_patches_reach_the_borders():
    labels = np.zeros((64, 64), np.uint16)
    labels[0], labels[-1] = 1, 2
    seen = set().union(*(np.unique(pairs(labels, (32, 32)).sample(index)[1]) for index in range(200)))
    assert {1, 2} <= seen


def test_patches_with_few_objects_are_mostly_drawn_again():
    labels = np.zeros((256, 256), np.uint16)
    labels[123:133, 123:133] = 1
    domain = pairs(labels, (64, 64))
    filled = np.mean([(domain.sample(index)[1] > 0).mean() > 0.0035 for index in range(60)])
    assert 0.4 < filled < 0.95  # of patches anywhere, one in seven holds the object
    empty = pairs(np.zeros((64, 64), np.uint16), (32, 32), corrupt=LAPTOP_2D)
    assert not empty.sample(0)[1].any()


@pytest.mark.parametrize("size", [(0.5, 0.5, 0.5), (2.0, 1.0, 1.0), (0.6, 1.7, 1.7)])
def test_image_and_labels_come_to_the_working_voxel_together(size):
    domain = pairs(balls(40, 80, 80, radius=7), (12, 24, 24), working=size)
    for index in range(4):
        _, target, clean = domain.sample(index)
        # Beyond the outlines, where nearest, smoothed and linear differ by half a voxel
        assert ((clean > 0) == (target > 0)).mean() > 0.9
        assert set(np.unique(target)) <= set(np.unique(balls(40, 80, 80, radius=7)))


@pytest.mark.parametrize("size", [1.0, 0.37, 1.3, 2.6])
def test_image_and_labels_are_read_at_the_same_places(size):
    """The image tells its x, the labels theirs."""
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8), (200, 200)).copy()
    corrupt = Corrupt(rescale=1.0, elastic=1.0)
    arguments = (MINMAX, Voxel((size, size)), (32, 32), 0, Augment(), corrupt, Ids())
    domain = LabelledPairs([volume(ramp)], [volume(ramp.astype(np.uint16) + 1)], *arguments)
    for index in range(5):
        _, target, clean = domain.sample(index)
        x = (clean + 1) / 2 * 199
        inside = (x > 8) & (x < 191)  # reflection turns the ramp back
        assert np.abs(x - (target - 1))[inside].max() < 0.51 + size / 2 + 0.25 * (size < 1)


def test_lazy_volumes_give_the_same_samples(monkeypatch):
    class Stored(LazyArray):
        def __init__(self, array):
            self.array = array

        def fetch(self, region):
            return self.array[region]

        shape = property(lambda self: self.array.shape)
        dtype = property(lambda self: self.array.dtype)

    labels = balls(20, 50, 50)
    image = np.where(labels > 0, 200, 20).astype(np.uint8)
    arguments = (MINMAX, Voxel((1, 1, 1)), (8, 32, 32), 0, Augment(), LAPTOP, Ids())
    loaded = LabelledPairs([volume(image)], [volume(labels)], *arguments).sample(1)
    monkeypatch.setattr(volumes, "IN_MEMORY", 0)
    lazy = LabelledPairs([volume(Stored(image))], [volume(Stored(labels))], *arguments)
    assert isinstance(lazy.labels[0], Stored)
    assert all(np.array_equal(a, b) for a, b in zip(loaded, lazy.sample(1)))


def test_dark_objects_are_inverted_in_both_twins():
    labels = balls(60, 60)
    image = np.where(labels > 0, 20, 200).astype(np.uint8)
    domain = ImagePairs([volume(image)], Normalisation(kind="minmax", invert=True), Voxel((1, 1)), (32, 32), 0, STILL)
    corrupted, clean = domain.sample(0)
    assert np.array_equal(corrupted, clean) and (clean > 0).mean() < 0.5


def test_batches_of_pairs():
    labels = balls(16, 40, 40)
    image = [volume(np.where(labels > 0, 200, 20).astype(np.uint8))]
    unlabelled = ImagePairs(image, MINMAX, Voxel((1, 1, 1)), (8, 24, 24), 0, Augment(gamma=0.5), LAPTOP)
    for domain in (unlabelled, pairs(labels, (8, 24, 24)), pairs(labels, (8, 24, 24), kind=LabelledImages)):
        batch = Batches(dict, {"x": domain}, 3)[2]["x"]
        assert type(batch) in (UnlabelledPair, LabelledPair, LabelledBatch)
        assert all(part.shape == (3, 1, 8, 24, 24) and part.dtype == torch.float32 for part in batch)


def test_labels_that_do_not_belong_are_refused():
    image, labels = volume(np.zeros((32, 32), np.uint8)), np.zeros((32, 32), np.uint16)
    arguments = (Normalisation(), Voxel((1, 1)), (16, 16), 0, None, None, Ids())
    with pytest.raises(UserError, match="1 images and 2 label images"):
        LabelledPairs([image], [volume(labels), volume(labels)], *arguments)
    with pytest.raises(UserError, match="pair images with labels of the same grid"):
        LabelledPairs([image], [volume(labels[1:])], *arguments)
    with pytest.raises(UserError, match="ids are whole numbers"):
        LabelledPairs([image], [volume(labels.astype(np.float32))], *arguments)
    with pytest.raises(UserError, match="the images are 2D"):
        ImagePairs([image], Normalisation(), Voxel((1, 1)), (16, 16), 0, None, PAPER)


def test_cut_reflects_as_often_as_needed():
    array = np.arange(6).reshape(2, 3)
    for starts, size in [((0, 1), (2, 2)), ((-1, -4), (5, 12)), ((1, 2), (3, 3)), ((3, 7), (2, 2))]:
        wide = np.pad(array, 12, mode="symmetric")
        region = tuple(slice(12 + a, 12 + a + s) for a, s in zip(starts, size))
        assert np.array_equal(crop_reflected(array, starts, size), wide[region])


@pytest.mark.parametrize("shape", [(9, 20, 31), (18, 40, 70), (20, 15, 20), (5, 7, 12)])
def test_axis_by_axis_is_resample(shape):
    image = np.random.default_rng(0).random((9, 20, 31), np.float32)
    axes = [ResampledAxis.to_length(old, new) for old, new in zip(image.shape, shape)]
    inside = tuple(slice(n // 3, n - n // 3) for n in shape)  # the ends are continued otherwise
    assert np.allclose(image_at(image, axes)[inside], resample(image, shape)[inside], atol=2e-3)
    assert np.allclose(image_at(image[0], axes[1:])[inside[1:]], resample(image[0], shape[1:])[inside[1:]], atol=2e-3)


def by_hand(labels: np.ndarray, factor: int) -> np.ndarray:
    """The recipe on fine voxels, object by object."""
    from scipy.ndimage import gaussian_filter

    steps = labels
    for axis in range(labels.ndim):
        steps = steps.repeat(factor, axis)
    ids = np.unique(labels)[1:]
    blurred = np.stack([gaussian_filter((steps == i).astype(np.float64), factor / 2, mode="nearest") for i in ids])
    return np.where(blurred.sum(0) > 0.5, ids[blurred.argmax(0)], 0)


@pytest.mark.parametrize("shape", [(40, 40), (12, 14, 16)])
def test_labels_grow_smoothly(shape):
    labels = balls(*shape, radius=4.7, step=9)  # some of them touch
    out = resample_labels(labels, tuple(4 * n for n in shape))
    assert out.dtype == labels.dtype and np.array_equal(np.unique(out), np.unique(labels))
    assert (out == by_hand(labels, 4)).mean() > 0.995
    coarse = np.bincount(labels.ravel())[1:] * 4.0 ** len(shape)
    fine = np.bincount(out.ravel())[1:]
    large = coarse > 20 * 4 ** len(shape)
    assert np.abs(fine / np.maximum(coarse, 1) - 1)[large].max() < 0.1


def test_growing_labels_come_close_to_the_truth():
    _, truth, _ = phantom("dense-2d", 0, (120, 120))
    coarse = truth[1::3, 1::3]
    smooth, steps = resample_labels(coarse, (120, 120)), coarse.repeat(3, 0).repeat(3, 1)
    assert (smooth != truth).mean() < 0.75 * (steps != truth).mean()


def test_thin_objects_keep_their_voxels_and_gaps_stay_open():
    labels = np.zeros((3, 8, 8), np.uint64)
    labels[1, 2, 2] = 2**63 + 5  # of one voxel
    labels[:, 5:, :4], labels[:, 5:, 5:] = 7, 9  # one voxel apart
    out = resample_labels(labels, (9, 24, 24))
    assert set(np.unique(out).tolist()) == {0, 7, 9, 2**63 + 5}
    assert (out == 2**63 + 5).sum() == 27
    assert not out[4, 20, 13] and out[4, 20, 10] == 7 and out[4, 20, 17] == 9


def test_labels_shrink_to_the_nearest_voxel():
    labels = balls(30, 30)
    assert np.array_equal(resample_labels(labels, (10, 10)), labels[1::3, 1::3])
    assert resample_labels(labels, (30, 30)) is labels or np.array_equal(resample_labels(labels, (30, 30)), labels)
    mixed = resample_labels(labels, (60, 10))
    assert mixed.shape == (60, 10) and np.isin(mixed, labels).all()


def test_patches_are_chosen_to_be_covered_as_much_as_those_of_the_target():
    """A volume with objects in its left half alone, and a target that is covered everywhere, or nowhere."""
    labels = np.zeros((64, 256), np.uint16)
    labels[::2, :128] = 1
    image = Volume("a", labels.astype(np.uint8) * 200, "yx", Voxel((1.0, 1.0)), "a")
    truth = Volume("a", labels, "yx", Voxel((1.0, 1.0)), "a")
    share = {}
    for wish in (0.0, 0.5):
        source = LabelledImages(
            [image], [truth], Normalisation(), Voxel((1.0, 1.0)), (32, 32), 0, None, None, Semantic()
        )  # fmt: skip
        source.covered = np.full(8, wish)
        share[wish] = np.mean([source.sample(i)[1].mean() for i in range(16)])
    assert share[0.0] < 0.1 and share[0.5] > 0.4
