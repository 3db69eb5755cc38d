"""Foreground, contour and distance: channels by eye and against scipy, losses by hand, and the labels back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from cytoshift.core.errors import UserError
from cytoshift.core.settings import Settings, parse
from cytoshift.core.voxel import Voxel
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.represent import BC, BCD, Affinity, Representation, RepresentationSettings
from cytoshift.represent.distance import signed_distance

PIXELS = Voxel((1.0, 1.0))
SCENES = {  # shape, voxel size, radii in its unit, contour
    "2D": ((80, 80), (1.0, 1.0), (5.0, 10.0), "slice"),
    "2D, half micrometres": ((80, 80), (0.5, 0.5), (3.0, 5.0), "slice"),
    "2D, flat pixels": ((50, 80), (2.0, 1.0), (8.0, 12.0), "slice"),
    "3D": ((24, 44, 44), (1.0, 1.0, 1.0), (5.0, 9.0), "slice"),
    "3D, outlined along z too": ((24, 44, 44), (1.0, 1.0, 1.0), (6.0, 9.0), "volume"),
    "3D, coarse slices": ((14, 44, 44), (2.0, 0.7, 0.7), (5.0, 8.0), "slice"),
    "3D, very coarse slices": ((10, 48, 48), (2.5, 0.5, 0.5), (5.0, 8.0), "volume"),
}


def crowd(seed: int, shape: tuple[int, ...], voxel: Voxel, radii: tuple[float, float]) -> np.ndarray:
    """Rotated ellipsoids that touch but do not overlap, some cut by the border, none with less than 60 voxels."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, voxel.size)], indexing="ij"), -1)
    labels = np.zeros(shape, np.int32)
    for _ in range(60):
        centre = rng.uniform(0, np.array(shape) * voxel.size)
        axes = rng.uniform(*radii) * np.append(1, rng.uniform(0.7, 1, len(shape) - 1))
        turn = np.linalg.qr(rng.standard_normal((len(shape),) * 2))[0]
        inside = ((((grid - centre) @ turn) / axes) ** 2).sum(-1) <= 1
        if inside.sum() >= 60 and not labels[inside].any():
            labels[inside] = labels.max() + 1
    return labels


def agreement(truth: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """Twice the objects found, and all objects of both: their ratio is F1, and they add up."""
    counts = match(overlap(truth, found), 0.5)
    return 2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn


@pytest.mark.parametrize("flood", ["foreground", "distance", "without"])
@pytest.mark.parametrize("scene", list(SCENES))
def test_every_crowd_comes_back(scene, flood):
    shape, size, radii, contour = SCENES[scene]
    voxel = Voxel(size, "um")
    common = {"contour": "volume" if "coarse" in scene and flood == "without" else contour, "smallest": 1.2 * radii[0]}
    representation = BC(**common) if flood == "without" else BCD(**common, flood=flood)
    found = every = 0
    for seed in range(3):
        labels = crowd(seed, shape, voxel, radii)
        back = representation.decode(representation.encode(labels, voxel), voxel)
        assert back.dtype == np.int32 and not back[labels == 0].any()
        hits, of = agreement(labels, back)
        found, every = found + hits, every + of
    assert every >= 50 and found >= 0.98 * every


def test_the_thresholds_of_the_usage_page_bring_nuclei_of_its_size_back():
    voxel = Voxel((1.0, 1.0, 1.0))
    labels = crowd(3, (30, 50, 50), voxel, (6.0, 9.0))
    labels[np.bincount(labels.ravel())[labels] < 400] = 0  # what the border leaves of some
    found, every = agreement(labels, BCD().decode(BCD().encode(labels, voxel), voxel))
    assert every > 20 and found == every


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(7, 9), (4, 6, 5)]).flatmap(lambda shape: arrays(np.int32, shape, elements=st.integers(0, 3))),
    st.tuples(*[st.sampled_from([0.3, 1.0, 2.5])] * 3),
)
def test_distances_are_signed_and_each_object_has_its_own_scale(labels, size):
    size = size[: labels.ndim]
    found = signed_distance(labels, Voxel(size, "um"))
    assert found.dtype == np.float32
    if not labels.any():
        assert (found == -1).all()
        return
    depth = {}
    for label in np.unique(labels[labels > 0]):
        inside = labels == label
        if inside.all():
            assert (found == 1).all()
            return
        alone = distance_transform_edt(inside, sampling=size)
        depth[label] = alone.max()
        np.testing.assert_allclose(found[inside], alone[inside] / depth[label], rtol=1e-5)
    background = labels == 0
    nearest = {k: distance_transform_edt(labels != k, sampling=size) for k in depth}
    closest = np.min(list(nearest.values()), axis=0)
    # Of objects that are equally near, either may be the one whose depth counts.
    fits = [
        np.isclose(nearest[k], closest, rtol=1e-5) & np.isclose(found, -np.minimum(closest / depth[k], 1), rtol=1e-5)
        for k in depth
    ]
    assert np.any(fits, axis=0)[background].all()


def test_the_cut_of_the_border_is_no_surface():
    labels = np.zeros((5, 12), np.int32)
    labels[:, 6:] = 1  # depths 1 to 6, deepest at the border
    expected = [-1, -5 / 6, -4 / 6, -3 / 6, -2 / 6, -1 / 6, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1]
    channels = BCD().encode(labels, PIXELS)
    np.testing.assert_allclose(channels[2], np.tile(expected, (5, 1)), rtol=1e-6)
    assert channels[1].tolist() == [[0] * 4 + [1] * 4 + [0] * 4] * 5


def test_what_touches_is_outlined_on_both_sides():
    labels = np.repeat([[1] * 6 + [7] * 6], 4, axis=0)
    assert BC(dilate=0).encode(labels, PIXELS)[1].tolist() == [[0] * 5 + [1, 1] + [0] * 5] * 4
    assert BC(dilate=1).encode(labels, PIXELS)[1].tolist() == [[0] * 4 + [1] * 4 + [0] * 4] * 4


def test_the_outline_of_slices_is_that_of_pytorch_connectomics():
    from scipy.ndimage import binary_dilation, correlate1d

    voxel = Voxel((1.0, 1.0, 1.0))
    labels = crowd(0, (10, 40, 40), voxel, (4.0, 8.0))
    differs = [correlate1d(labels.astype(float), [1, 0, -1], axis, mode="reflect") != 0 for axis in (1, 2)]
    edge = binary_dilation(differs[0] | differs[1], np.ones((1, 3, 3)))
    assert (BC().encode(labels, voxel)[1] == edge).all()


def test_along_z_the_deepest_slice_stays():
    labels = np.zeros((8, 12, 12), np.int32)
    labels[1:4, 1:11, 1:11], labels[4:7, 1:11, 1:11] = 1, 2
    coarse = Voxel((2.0, 1.0, 1.0))
    flat = BC().encode(labels, coarse)[1]
    assert not flat[1:7, 4:8, 4:8].any()
    outlined = BC(contour="volume").encode(labels, coarse)[1]
    assert outlined[:, 5, 5].tolist() == [1, 1, 0, 1, 1, 0, 1, 1]
    voxels = BC(contour="volume", seed_voxels=4)
    assert voxels.decode(voxels.encode(labels, coarse), coarse).max() == 2


@pytest.mark.parametrize("representation", [BC(), BCD(), BC(contour="volume")])
def test_nothing_everything_and_huge_ids(representation):
    for shape, voxel in (((20, 22), PIXELS), ((9, 10, 11), Voxel((1.0, 1.0, 1.0)))):
        empty = representation.encode(np.zeros(shape, np.uint8), voxel)
        assert empty.dtype == np.float32 and empty.shape == (len(representation.channels), *shape)
        assert not empty[:2].any() and not representation.decode(empty, voxel).any()
        full = representation.encode(np.full(shape, 2**40), voxel)
        assert (full[0] == 1).all() and (full[1] == 0).all() and (representation.decode(full, voxel) == 1).all()
        assert not representation.decode(np.zeros_like(full), voxel).any()


def bumps(representation: BC | BCD, voxel: Voxel, shape: tuple[int, ...]) -> np.ndarray:
    """Channels of a crowd as a network may draw them: soft and noisy."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(4)
    channels = representation.encode(crowd(2, shape, voxel, (5.0, 9.0)), voxel)
    noise = gaussian_filter(rng.standard_normal(channels.shape), [0] + [1.5] * len(shape))
    soft = np.stack([gaussian_filter(channel, 0.7) for channel in channels]) + 0.1 * noise / noise.std()
    low = np.array([0, 0, -1])[: len(soft)].reshape(-1, *[1] * len(shape))
    return np.clip(soft, low, 1).astype(np.float32)


@pytest.mark.parametrize("representation", [BC(smallest=3.0), BCD(smallest=3.0), BCD(smallest=3.0, flood="distance")])
def test_a_block_decodes_like_the_whole(representation):
    channels = bumps(representation, PIXELS, (80, 160))
    whole = representation.decode(channels, PIXELS)
    block = representation.decode(channels[:, :, :110], PIXELS)
    compared = 0
    for label in np.unique(whole[:, :70]):
        columns = np.flatnonzero((whole == label).any(axis=0))
        if label and columns.max() < 70:  # one that ends well before the cut is the same in both
            ids = np.unique(block[whole[:, :110] == label])
            assert len(ids) == 1 and (block == ids[0]).sum() == (whole == label).sum()
            compared += 1
    assert compared >= 10


def test_the_decoder_is_bcd_watershed_but_for_ties():
    from cytoshift import bcd_watershed

    voxel = Voxel((1.0, 1.0, 1.0))
    channels = bumps(BCD(), voxel, (20, 50, 50))
    ours, page = BCD().decode(channels, voxel), bcd_watershed(channels)
    assert ((ours > 0) == (page > 0)).all() and match(overlap(page, ours), 0.9).f1 == 1
    pairs = np.unique(np.stack([ours[ours > 0], page[ours > 0]]), axis=1, return_counts=True)[1]
    assert np.sort(pairs)[::-1][: ours.max()].sum() >= 0.99 * (ours > 0).sum()


def test_the_distance_parts_what_the_foreground_does_not():
    channels = np.ones((3, 9, 30), np.float32)
    channels[1] = 0
    x = np.arange(30)
    channels[2] = np.where(x < 20, 1 - np.abs(x - 8) / 12, 1 - np.abs(x - 25) / 5.5)  # meet between 19 and 20
    for flood, border in (("foreground", 19), ("distance", 20)):
        labels = BCD(flood=flood, seed_voxels=4, voxels=4).decode(channels, PIXELS)
        assert labels.max() == 2
        assert ((labels == 1).sum(axis=1) == border).all()


def test_sizes_are_physical_with_a_smallest_object():
    labels = np.zeros((60, 60), np.int32)
    labels[5:17, 5:17], labels[30:56, 30:56] = 1, 2  # sides of 12 and 26 pixels
    for side, few, many in ((1.0, 10.0, 30.0), (0.25, 2.5, 7.5)):
        voxel = Voxel((side, side), "um")
        channels = BCD().encode(labels, voxel)
        assert BCD(smallest=few).decode(channels, voxel).max() == 2
        assert BCD(smallest=many).decode(channels, voxel).max() == 1
    assert BCD().decode(channels, voxel).max() == 1  # 144 voxels are less than 256
    assert BCD(smallest=4.0).sizes(PIXELS) == (1, 4) and BCD().sizes(PIXELS) == (32, 256)


def test_losses_by_hand():
    import torch

    target = torch.tensor([[[1.0, 0, 0, 0]], [[1, 1, 0, 0]]])  # (B = 2, K = 1, 4): a quarter and a half foreground
    logits = torch.zeros_like(target)
    # Cross-entropy log 2 each, weights 3, 1, 1, 1 and 1, 1, 1, 1; Dice 1 - (1 + 100) / (3 + 100), 1 - 102 / 104.
    entropy = np.log(2) * (6 / 4 + 1) / 2
    dice = (2 / 103 + 2 / 104) / 2
    two = torch.cat([target, target], 1)
    assert float(BC().loss(logits.expand_as(two), two)) == pytest.approx(2 * (entropy + 0.5 * dice), rel=1e-5)
    assert float(BC(dice=0).loss(logits.expand_as(two), two)) == pytest.approx(2 * entropy, rel=1e-5)
    three = torch.cat([two, torch.full_like(target, -0.5)], 1)
    drawn = torch.cat([logits, logits, torch.full_like(target, 0.3)], 1)
    off = (np.tanh(0.3) + 0.5) ** 2
    assert float(BCD().loss(drawn, three)) == pytest.approx(2 * (entropy + 0.5 * dice) + 5 * off, rel=1e-5)
    rare = torch.zeros(1, 2, 1000)
    rare[..., 0] = 1  # one in a thousand counts as one in twenty
    weighed = np.log(2) * (19 + 999) / 1000
    assert float(BC(dice=0).loss(torch.zeros_like(rare), rare)) == pytest.approx(2 * weighed, rel=1e-5)


@pytest.mark.parametrize("representation", [BC(), BCD()])
def test_the_loss_is_least_where_the_target_is_met(representation):
    import torch

    labels = np.zeros((16, 16), np.int32)
    labels[3:12, 4:13] = 1
    target = torch.from_numpy(representation.encode(labels, PIXELS))[None]
    met = torch.cat([torch.logit(target[:, :2].clamp(1e-3, 0.999)), torch.atanh(target[:, 2:].clamp(-0.999, 0.999))], 1)
    assert torch.allclose(representation.activate(met), target, atol=2e-3)
    at = representation.loss(met, target)
    assert all(representation.loss(met + shift, target) > at for shift in (-3, 3))
    logits = torch.zeros_like(met, requires_grad=True)
    representation.loss(logits, target).backward()
    assert all(channel.abs().max() > 0 for channel in logits.grad[0])


def test_another_threshold_keeps_the_rest():
    assert BCD(seed_distance=0.4).with_threshold(0.5) == BCD(seed_distance=0.4, threshold=0.5)
    assert BC().with_threshold(0.95) == BC(threshold=0.95, seed_foreground=0.95)
    with pytest.raises(UserError, match="threshold 2"):
        BC().with_threshold(2.0)


def test_settings_are_told_apart_by_kind_and_checked():
    class Holder(Settings):
        represent: RepresentationSettings

    for representation in (BC(dilate=2), BCD(contour="volume", smallest=3.0), Affinity(offsets=FLAT)):
        held: Representation = parse(Holder, {"represent": representation.model_dump()}).represent
        assert held == representation
    with pytest.raises(UserError, match=r"seed_foreground = 0\.9 must not be below threshold = 0\.95"):
        parse(BCD, {"threshold": 0.95})
    with pytest.raises(UserError, match=r"seed_distance = 0\.1 must not be below distance = 0\.3"):
        parse(BCD, {"distance": 0.3, "seed_distance": 0.1})


FLAT = ((1, 0), (0, 1))


def test_affinities_by_eye():
    labels = np.array([[1, 1, 2, 2, 0, 3]])
    vertical, along = Affinity(offsets=FLAT).encode(labels, PIXELS)
    assert along.tolist() == [[1, 1, 0, 1, 0, 0]]  # the first pair reaches beyond the border, where 1 goes on
    assert vertical.tolist() == [[1, 1, 1, 1, 0, 1]]
    far = Affinity(offsets=(*FLAT, (0, -2)))
    assert far.encode(labels, PIXELS)[2].tolist() == [[0, 0, 0, 0, 0, 1]]
    assert far.channels == ("+1,0", "0,+1", "0,-2")


@pytest.mark.parametrize("scene", list(SCENES))
def test_every_crowd_comes_back_from_affinities(scene):
    shape, size, radii, _ = SCENES[scene]
    voxel = Voxel(size, "um")
    offsets = FLAT if len(shape) == 2 else ((3, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -9, 4))
    representation = Affinity(offsets=offsets, smallest=1.2 * radii[0])
    found = every = 0
    for seed in range(3):
        labels = crowd(seed, shape, voxel, radii)
        channels = representation.encode(labels, voxel)
        assert channels.shape == (len(offsets), *shape) and channels.dtype == np.float32
        back = representation.decode(channels, voxel)
        assert not back[labels == 0].any()
        hits, of = agreement(labels, back)
        found, every = found + hits, every + of
    assert every >= 50 and found >= 0.98 * every


def test_affinities_of_nothing_and_everything():
    representation = Affinity(offsets=FLAT)
    for labels in (np.zeros((20, 20), int), np.full((20, 20), 2**40)):
        assert (representation.decode(representation.encode(labels, PIXELS), PIXELS) == (labels > 0)).all()
    with pytest.raises(UserError, match=r"have 2 axes, the image 3; give offsets such as \(\(1, 0, 0\)"):
        representation.encode(np.zeros((4, 4, 4), int), Voxel((1.0, 1.0, 1.0)))
    with pytest.raises(UserError, match="need every face neighbour"):
        parse(Affinity, {"offsets": ((0, 0, 1), (0, 2, 0))})
    with pytest.raises(UserError, match="two or three whole numbers"):
        parse(Affinity, {"offsets": ((0, 1), (0, 1, 0))})


def test_affinities_are_learned_from_both_kinds_of_pairs():
    import torch

    representation = Affinity(offsets=FLAT)
    labels = np.zeros((16, 16), np.int32)
    labels[3:12, 4:9], labels[3:12, 9:14] = 1, 2
    target = torch.from_numpy(representation.encode(labels, PIXELS))[None]
    met = torch.logit(target.clamp(1e-3, 0.999))
    at = representation.loss(met, target)
    assert all(representation.loss(met + shift, target) > at for shift in (-3, 3))
    drawn = representation.activate(met)[0].numpy()
    assert ((representation.foreground(drawn) > 0.5) == (labels > 0)).all()
    assert representation.with_threshold(0.8) == Affinity(offsets=FLAT, threshold=0.8, seed=0.8)
