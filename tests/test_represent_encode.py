"""Labels to channels: levels that can be checked by eye, and distances against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.represent import Representation, Semantic, Ternary
from cytoshift.represent.distance import distances

GRAY = np.float32(127 / 255)
PIXELS = Voxel((1.0, 1.0))


def levels(representation: Representation, labels: np.ndarray, voxel: Voxel = PIXELS) -> np.ndarray:
    """0 background, 1 edge, 2 core."""
    channels = representation.encode(labels, voxel)
    assert channels.dtype == np.float32 and channels.shape == (1, *labels.shape)
    assert set(np.unique(channels)) <= {np.float32(0), GRAY, np.float32(1)}
    return np.select([channels[0] == 1, channels[0] == GRAY], [2, 1])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(7, 9), (4, 6, 5)]).flatmap(lambda shape: arrays(np.int16, shape, elements=st.integers(0, 3))),
    st.tuples(*[st.sampled_from([0.3, 1.0, 2.5])] * 3),
)
def test_distances_are_those_of_each_object_alone(labels, size):
    size = size[: labels.ndim]
    found = distances(labels, Voxel(size, "um"))
    assert (found[labels == 0] == 0).all()
    for label in np.unique(labels[labels > 0]):
        inside = labels == label
        alone = distance_transform_edt(inside, sampling=size)
        if inside.all():
            alone[:] = np.inf
        np.testing.assert_allclose(found[inside], alone[inside], rtol=1e-6)


def test_semantic_is_one_inside():
    labels = np.array([[0, 3, 3], [900_000, 0, 3]])
    assert levels(Semantic(), labels).tolist() == [[0, 2, 2], [2, 0, 2]]


def test_half_of_the_depth_is_edge():
    labels = np.zeros((9, 9), np.int32)
    labels[1:8, 1:8] = 1  # depth 1 2 3 4 3 2 1 along the middle: below 2 is edge
    seen = levels(Ternary(), labels)
    assert seen[4].tolist() == [0, 1, 2, 2, 2, 2, 2, 1, 0]
    assert seen[1].tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0]


def test_no_edge_along_the_cut_of_the_border():
    labels = np.zeros((5, 8), np.int32)
    labels[:, 4:] = 1  # depth 1 2 3 4, deepest at the border
    assert levels(Ternary(), labels)[2].tolist() == [0, 0, 0, 0, 1, 2, 2, 2]


def test_a_thin_edge_has_its_width():
    labels = np.zeros((1, 20), np.int32)
    labels[0, 2:16] = 1
    assert (
        levels(Ternary(edge=2.0), np.repeat(labels, 5, 0))[2].tolist()
        == [0] * 2 + [1] * 2 + [2] * 10 + [1] * 2 + [0] * 4
    )
    half = Voxel((0.5, 0.5), "um")
    assert levels(Ternary(edge=0.5), labels, half)[0].tolist() == [0] * 2 + [1] + [2] * 12 + [1] + [0] * 4


def test_a_thin_edge_leaves_small_objects_a_core():
    labels = np.zeros((7, 7), np.int32)
    labels[2:5, 2:5] = 1
    assert levels(Ternary(edge=50.0), labels)[3, 3] == 2


def test_cores_of_touching_objects_share_no_face():
    labels = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 4, axis=0)
    assert levels(Ternary(edge=1.0), labels)[1].tolist() == [2, 2, 2, 1, 1, 2, 2, 2]
    # Slices of 4 um: one slice is deeper than half of the depth, but two objects that meet there stay apart.
    stack = np.zeros((6, 9, 9), np.int32)
    stack[:3, 1:8, 1:8], stack[3:, 1:8, 1:8] = 1, 2
    seen = levels(Ternary(), stack, Voxel((4.0, 1.0, 1.0), "um"))
    assert not ((seen[2] == 2) & (seen[3] == 2) & (distances(stack, Voxel((4.0, 1.0, 1.0), "um"))[2] < 4)).any()


@pytest.mark.parametrize("representation", [Semantic(), Ternary(), Ternary(edge=1.0)])
def test_nothing_everything_and_huge_ids(representation):
    assert (levels(representation, np.zeros((4, 5), np.uint8)) == 0).all()
    assert (levels(representation, np.full((4, 5), 7, np.uint16)) == 2).all()
    assert (levels(representation, np.full((4, 5, 6), 2**40), Voxel((1.0, 1.0, 1.0))) == 2).all()


def test_edge_and_core_are_both_foreground():
    channels = np.array([[0.0, GRAY / 2, GRAY, 1.0]], np.float32)
    np.testing.assert_allclose(Ternary().foreground(channels), [0, 0.5, 1, 1])
    np.testing.assert_allclose(Semantic().foreground(channels), channels[0])


@pytest.mark.parametrize("representation", [Semantic(), Ternary()])
def test_the_loss_is_least_where_the_levels_are_met(representation):
    import torch

    target = torch.tensor([[[[0.0, 127 / 255, 1.0]]]])
    met = torch.logit(target.clamp(1e-4, 1 - 1e-4))
    assert torch.allclose(representation.activate(met), target, atol=2e-4)
    at = representation.loss(met, target)
    assert all(representation.loss(met + shift, target) > at for shift in (-0.5, 0.5))


def test_settings_that_contradict_themselves_are_refused():
    with pytest.raises(UserError, match=r"sure = 0\.2 must not be below threshold = 0\.4"):
        parse(Semantic, {"threshold": 0.4, "sure": 0.2})
    with pytest.raises(UserError, match=r"thresholds 0\.7 and 0\.3 must rise"):
        parse(Ternary, {"thresholds": (0.7, 0.3)})
    with pytest.raises(UserError, match=r"sure = 0\.1 must not be below the first threshold"):
        parse(Ternary, {"sure": 0.1})
    with pytest.raises(UserError, match="edge"):
        parse(Ternary, {"edge": -1})


def test_another_threshold_keeps_the_rest():
    assert Semantic(saddle=0.8).with_threshold(0.7) == Semantic(saddle=0.8, threshold=0.7, sure=0.7)
    assert Ternary(edge=2.0).with_threshold(0.3).thresholds == (0.3, 191 / 255)
