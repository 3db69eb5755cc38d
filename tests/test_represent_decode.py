"""Channels to labels: decode(encode(y)) = y, the watersheds by eye, and no statistics of the block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cytoshift.core.voxel import Voxel
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.represent import Semantic, Ternary
from cytoshift.represent.base import hysteresis
from cytoshift.represent.watershed import grow, peaks

PIXELS = Voxel((1.0, 1.0))
SCENES = {  # shape, voxel size, radii in its unit
    "2D": ((64, 64), (1.0, 1.0), (4.0, 10.0)),
    "2D, half micrometres": ((64, 64), (0.5, 0.5), (3.0, 5.0)),
    "2D, flat pixels": ((40, 64), (2.0, 1.0), (7.0, 12.0)),
    "3D": ((20, 40, 40), (1.0, 1.0, 1.0), (5.0, 9.0)),
    "3D, coarse slices": ((14, 44, 44), (2.0, 0.7, 0.7), (5.0, 8.0)),
}


def ellipsoids(seed: int, shape: tuple[int, ...], voxel: Voxel, radii: tuple[float, float]) -> np.ndarray:
    """Rotated ellipsoids that touch but do not overlap, some cut by the border, none with less than 40 voxels."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, voxel.size)], indexing="ij"), -1)
    labels = np.zeros(shape, np.int32)
    for _ in range(50):
        centre = rng.uniform(0, np.array(shape) * voxel.size)
        axes = rng.uniform(*radii) * np.append(1, rng.uniform(0.65, 1, len(shape) - 1))
        turn = np.linalg.qr(rng.standard_normal((len(shape),) * 2))[0]
        inside = ((((grid - centre) @ turn) / axes) ** 2).sum(-1) <= 1
        if inside.sum() >= 40 and not labels[inside].any():
            labels[inside] = labels.max() + 1
    return labels


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(SCENES)), st.sampled_from(["half", "thin"]))
def test_ternary_brings_every_object_back(seed, scene, edge):
    shape, size, radii = SCENES[scene]
    voxel = Voxel(size, "um")
    labels = ellipsoids(seed, shape, voxel, radii)
    representation = Ternary(edge="half" if edge == "half" else 1.5 * min(size))
    back = representation.decode(representation.encode(labels, voxel), voxel)
    assert back.dtype == np.int32 and ((back > 0) == (labels > 0)).all()
    table = overlap(labels, back)
    found = match(table, 0.5)
    assert found.f1 == 1
    assert found.iou >= 0.97 * found.tp


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(SCENES)))
def test_semantic_splits_most_of_what_touches(seed, scene):
    shape, size, radii = SCENES[scene]
    voxel = Voxel(size, "um")
    labels = ellipsoids(seed, shape, voxel, radii)
    representation = Semantic()
    back = representation.decode(representation.encode(labels, voxel), voxel)
    assert ((back > 0) == (labels > 0)).all()
    assert match(overlap(labels, back), 0.5).f1 >= 0.85


def discs(*centres: tuple[float, float, float], shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    y, x = np.indices(shape)
    out = np.zeros(shape, np.int32)
    for label, (cy, cx, r) in enumerate(centres, 1):
        out[((y - cy) ** 2 + (x - cx) ** 2 <= r * r) & (out == 0)] = label
    return out


@pytest.mark.parametrize("scale", [0.7, 1.0, 2.0])
def test_one_saddle_serves_discs_of_every_size(scale):
    two = discs((20 * scale, 20 * scale, 10 * scale), (20 * scale, 38 * scale, 10 * scale),
                shape=(int(40 * scale), int(60 * scale)))  # fmt: skip
    decoded = Semantic().decode(Semantic().encode(two, PIXELS), PIXELS)
    assert match(overlap(two, decoded), 0.9).f1 == 1
    assert Semantic(split="components").decode(Semantic().encode(two, PIXELS), PIXELS).max() == 1
    assert Semantic(saddle=0.0).decode(Semantic().encode(two, PIXELS), PIXELS).max() == 1


def test_a_bump_smaller_than_any_object_is_no_object():
    labels = discs((20, 22, 12), (20, 37, 3.6))
    channels = Semantic().encode(labels, PIXELS)
    assert Semantic().decode(channels, PIXELS).max() == 2
    assert Semantic(smallest=40.0).decode(channels, PIXELS).max() == 1


def test_hysteresis_drops_what_is_nowhere_sure():
    channels = np.zeros((1, 20, 40), np.float32)
    channels[0, 5:15, 5:15], channels[0, 5:15, 25:35] = 0.45, 0.9
    for representation in (Semantic(), Ternary()):
        assert representation.decode(channels, PIXELS).max() == 1
        assert representation.model_copy(update={"sure": 0.3}).decode(channels, PIXELS).max() == 2


def test_a_piece_without_a_core_is_an_object_of_its_own():
    channels = np.zeros((1, 20, 40), np.float32)
    channels[0, 5:15, 5:15], channels[0, 8:12, 25:29] = 1.0, 0.6
    assert Ternary().decode(channels, PIXELS).max() == 2
    assert Ternary(smallest=12.0).decode(channels, PIXELS).max() == 1  # 16 pixels are less than a disc of 6


def test_a_speck_of_core_is_no_marker():
    channels = np.zeros((1, 30, 60), np.float32)
    channels[0, 5:25, 5:50] = 0.5
    channels[0, 10:20, 10:20] = channels[0, 10:20, 35:45] = 1.0
    channels[0, 14:17, 26:29] = 1.3
    assert Ternary().decode(channels, PIXELS).max() == 3
    assert Ternary(smallest=15.0).decode(channels, PIXELS).max() == 2


def test_holes_are_filled_before_distances_are_taken():
    labels = discs((20, 30, 14))
    channels = Semantic().encode(labels, PIXELS)
    channels[0, 18:22, 22:25] = 0
    assert Semantic().decode(channels, PIXELS)[20, 23] == 0
    filled = Semantic(smallest=20.0).decode(channels, PIXELS)
    assert filled.max() == 1 and (filled == labels).all()
    assert Ternary(smallest=20.0).decode(channels, PIXELS)[20, 23] == 1
    assert Semantic(smallest=3.0).decode(channels, PIXELS)[20, 23] == 0  # 12 pixels are more than a disc of 3


def test_sizes_are_physical():
    channels = np.zeros((1, 20, 40), np.float32)
    channels[0, 5:15, 5:15], channels[0, 8:12, 25:29] = 1.0, 0.6
    assert Ternary(smallest=1.2).decode(channels, Voxel((0.1, 0.1), "um")).max() == 1
    assert Ternary(smallest=1.2).decode(channels, Voxel((1.0, 1.0), "um")).max() == 2


@pytest.mark.parametrize("representation", [Semantic(smallest=6.0), Ternary(smallest=6.0), Ternary(edge=1.5)])
def test_a_block_decodes_like_the_whole(representation):
    rng = np.random.default_rng(3)
    voxel = Voxel((1.0, 1.0))
    labels = ellipsoids(5, (80, 160), voxel, (4.0, 8.0))
    channels = np.clip(representation.encode(labels, voxel) + 0.1 * rng.standard_normal((1, 80, 160)), 0, 1)
    whole = representation.decode(channels.astype(np.float32), voxel)
    block = representation.decode(channels[:, :, :100].astype(np.float32), voxel)
    # Objects that end well before the cut, the same and whole in both.
    for label in np.unique(whole[:, :70]):
        columns = np.flatnonzero((whole == label).any(axis=0))
        if label and columns.max() < 70:
            ids = np.unique(block[whole[:, :100] == label])
            assert len(ids) == 1 and (block == ids[0]).sum() == (whole == label).sum()


@pytest.mark.parametrize("representation", [Semantic(), Ternary(), Semantic(split="components")])
def test_nothing_and_everything(representation):
    for shape, voxel in (((6, 7), PIXELS), ((4, 6, 7), Voxel((1.0, 1.0, 1.0)))):
        for level, number in ((0.0, 0), (0.3, 0), (1.0, 1)):
            labels = representation.decode(np.full((1, *shape), level, np.float32), voxel)
            assert labels.shape == shape and labels.dtype == np.int32 and (labels == number).all()


def test_hills_by_eye():
    height = np.array([[1, 3, 2.9, 3.2, 1, 2, 0.5]], np.float32)
    mask = np.array([[1, 1, 1, 1, 1, 1, 0]], bool)
    # The pass at 2.9 is above 0.9 x 3, that at 1 below 0.9 x 2; it goes with its higher neighbour.
    assert peaks(height, mask, 0.9, 0.0).tolist() == [[1, 1, 1, 1, 1, 2, 0]]
    assert peaks(height, mask, 0.9, 2.5).tolist() == [[1, 1, 1, 1, 1, 1, 0]]  # a peak of 2 is below the lowest
    assert peaks(height, mask, 1.0, 0.0).max() == 3
    assert peaks(height, mask, 0.0, 0.0).max() == 1


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_pieces_stay_that_hold_a_sure_voxel(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=3)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    low = rng.random(shape) < data.draw(st.sampled_from([0.2, 0.5, 0.9]))
    sure = low & (rng.random(shape) < 0.1)
    pieces, _ = ndimage.label(low)
    np.testing.assert_array_equal(hysteresis(low, sure), low & np.isin(pieces, np.unique(pieces[sure])))


def hills_one_by_one(height: np.ndarray, mask: np.ndarray, saddle: float, lowest: float) -> np.ndarray:
    """What the docstring of `peaks` says, voxel after voxel."""
    places = sorted(map(tuple, np.argwhere(mask)), key=lambda at: (-height[at], at))
    hill: dict[tuple, tuple] = {}
    root: dict[tuple, tuple] = {}

    def top(peak):
        while root[peak] != peak:
            peak = root[peak]
        return peak

    for at in places:
        near = [tuple(np.add(at, step)) for axis in np.eye(len(at), dtype=int) for step in (axis, -axis)]
        near = sorted((n for n in near if n in hill), key=lambda n: (-height[n], n))
        hill[at] = hill[near[0]] if near else root.setdefault(at, at)
        for n in sorted(near):
            high, low = sorted((top(hill[at]), top(hill[n])), key=places.index)
            if high != low and (height[at] >= saddle * height[low] or height[low] < lowest):
                root[low] = high
    names = [peak for peak in places if peak in root and root[peak] == peak]
    out = np.zeros(mask.shape, np.int32)
    for at, peak in hill.items():
        out[at] = 1 + names.index(top(peak))
    return out


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_hills_are_those_of_one_voxel_after_the_other(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=2, max_size=3)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    height = rng.integers(0, data.draw(st.sampled_from([2, 5, 1000])), shape).astype(np.float32)  # ties, and none
    mask = rng.random(shape) < 0.8
    limits = data.draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])), data.draw(st.sampled_from([0.0, 2.0]))
    np.testing.assert_array_equal(peaks(height, mask, *limits), hills_one_by_one(height, mask, *limits))


def test_floods_by_eye():
    mask = np.ones((1, 9), bool)
    markers = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 2]])
    flat = np.zeros((1, 9), np.int16)
    assert grow(markers, flat, mask)[0, [0, 1, 2, 3, 5, 6, 7, 8]].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    ridge = np.array([[0, 1, 2, 9, 2, 1, 1, 1, 0]], np.int16)
    assert grow(markers, ridge, mask)[0, [2, 4]].tolist() == [1, 2]  # the ridge is the border
    gap = mask.copy()
    gap[0, 4] = False
    assert grow(np.array([[1] + [0] * 8]), flat, gap).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("shape", [(24, 30), (8, 9, 10)])
def test_floods_are_those_of_scikit_image(shape):
    from skimage.segmentation import watershed

    rng = np.random.default_rng(0)
    priority = rng.permutation(720).reshape(shape).astype(np.int16)  # no two alike: ties are broken by chance there
    mask = rng.random(shape) < 0.9
    markers = np.zeros(shape, np.int32)
    markers.ravel()[rng.choice(720, 12, replace=False)] = np.arange(1, 13)
    markers[~mask] = 0
    assert (grow(markers, priority, mask) == watershed(priority, markers, mask=mask)).all()
