"""Distances between two sets of features, each against a formula that is written differently."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist

from cytoshift.losses.align import LADDER, VoxelSample, coral, mmd, to_vectors
from cytoshift.losses.reversal import dann_schedule, domain_entropy, reverse_gradient
from cytoshift.nets.discriminator import DomainClassifier


def draw(n, m, channels, seed=0, shift=0.5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, channels)), shift + 1.5 * rng.normal(size=(m, channels))


def torched(*arrays):
    return [torch.from_numpy(a.astype(np.float32)) for a in arrays]


def mmd_by_hand(x, y):
    """As the sum over all pairs, from scipy's distances in float64."""
    spread = np.sort(pdist(np.concatenate([x, y]), "sqeuclidean"))
    middle = spread[(len(spread) - 1) // 2]  # the lower of two middle ones, as torch takes it
    total = 0.0
    for width in LADDER:
        kernel = lambda a, b: np.exp(-cdist(a, b, "sqeuclidean") / (2 * width * middle))  # noqa: B023
        total += kernel(x, x).sum() / len(x) ** 2 + kernel(y, y).sum() / len(y) ** 2
        total -= 2 * kernel(x, y).sum() / (len(x) * len(y))
    return total / len(LADDER)


@given(n=st.integers(1, 30), m=st.integers(1, 30), channels=st.integers(1, 9), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_mmd_is_the_sum_over_pairs(n, m, channels, seed):
    x, y = draw(n, m, channels, seed)
    assert mmd(*torched(x, y)).item() == pytest.approx(mmd_by_hand(x, y), abs=2e-5)


@given(n=st.integers(1, 30), m=st.integers(1, 30), channels=st.integers(1, 9), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_coral_is_numpys_covariance(n, m, channels, seed):
    x, y = draw(n, m, channels, seed)
    zero = np.zeros((channels, channels))
    c_x, c_y = (np.atleast_2d(np.cov(a, rowvar=False)) if len(a) > 1 else zero for a in (x, y))
    expected = np.linalg.norm(c_x - c_y, "fro") ** 2 / (4 * channels**2)
    assert coral(*torched(x, y)).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("distance", [mmd, coral])
def test_constant_single_and_equal_features_have_numbers_and_gradients(distance):
    same = torch.ones(5, 3)
    for x, y in ((same, same), (torch.randn(1, 3), torch.randn(1, 3)), (same, same + 1), (same[:1], same[:1])):
        x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
        value = distance(x, y)
        value.backward()
        assert math.isfinite(value.item()) and value.item() >= -1e-6
        assert x.grad.isfinite().all() and y.grad.isfinite().all()
        if torch.equal(x, y):
            assert value.item() == pytest.approx(0, abs=1e-6) and not x.grad.any()
    x = torch.randn(20, 3)
    assert distance(x, x).item() == pytest.approx(0, abs=1e-6)
    odd = torch.full((7, 3), 0.1)
    assert distance(odd[:4], odd[4:]).item() == pytest.approx(0, abs=1e-6)  # not the rounding of a mean


def test_mmd_sees_a_shift_of_the_mean_and_coral_a_change_of_the_spread():
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    assert mmd(x, x + 3) > 0.5 and coral(x, x + 3).item() == pytest.approx(0, abs=1e-6)
    assert coral(x, 3 * x) > 1 and mmd(x, x[torch.randperm(200)]).item() == pytest.approx(0, abs=1e-6)


def test_where_most_features_are_equal_the_mean_distance_is_the_scale():
    x = torch.full((7, 3), 0.1)
    x[6] = 5.0
    kernel = np.mean([math.exp(-21 / 6 / (2 * width)) for width in LADDER])  # 6 of 21 pairs are apart
    assert mmd(x[:4], x[4:]).item() == pytest.approx((2 - 2 * kernel) / 9, rel=1e-4)


def test_two_separate_points_are_not_further_apart_than_two():
    """A batch of one feature map each, the authors' case: no gradient but from what the bandwidth follows."""
    for scale in (1e-3, 1.0, 1e3):
        near = mmd(scale * torch.zeros(1, 50), scale * torch.ones(1, 50)).item()
        assert near == pytest.approx(mmd_by_hand(np.zeros((1, 50)), np.ones((1, 50))), rel=1e-4)
        assert 0 < near < 2


def test_mmd_does_not_fall_where_features_shrink():
    x, y = torched(*draw(40, 40, 5))
    assert mmd(1e-2 * x, 1e-2 * y).item() == pytest.approx(mmd(x, y).item(), rel=1e-3)
    assert mmd(x + 100, y + 100).item() == pytest.approx(mmd(x, y).item(), rel=1e-2)  # far from the origin


@pytest.mark.parametrize("distance", [mmd, coral])
def test_gradients_are_those_of_differences(distance):
    x, y = torched(*draw(6, 7, 3))
    x.requires_grad_()
    distance(x, y).backward()
    at = (2, 1)
    if distance is mmd:  # the bandwidth holds still
        spread = pdist(np.concatenate([x.detach(), y]).astype(np.float64), "sqeuclidean")
        middle = np.sort(spread)[(len(spread) - 1) // 2]
        fixed = lambda a, b: (
            sum(
                np.exp(-cdist(a, a, "sqeuclidean") / (2 * w * middle)).mean()
                - 2 * np.exp(-cdist(a, b, "sqeuclidean") / (2 * w * middle)).mean()
                for w in LADDER
            )
            / len(LADDER)
        )
    else:
        fixed = lambda a, b: ((np.cov(a.T) - np.cov(b.T)) ** 2).sum() / (4 * 9)
    moved = []
    for step in (1e-5, -1e-5):
        shifted = x.detach().numpy().astype(np.float64)
        shifted[at] += step
        moved.append(fixed(shifted, y.numpy().astype(np.float64)))
    assert x.grad[at].item() == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-3)


@pytest.mark.parametrize("ndim", [2, 3])
def test_vectors_are_those_of_the_voxels(ndim):
    features = torch.arange(2 * 3 * 4**ndim).float().view(2, 3, *[4] * ndim)
    flat = to_vectors(features)
    assert flat.shape == (2 * 4**ndim, 3)
    assert torch.equal(flat[1], features[(0, slice(None), *[0] * (ndim - 1), 1)])
    assert torch.equal(flat[4**ndim], features[(1, slice(None), *[0] * ndim)])
    assert torch.equal(VoxelSample(1000)(features), flat)
    some = VoxelSample(10)(features)
    assert some.shape == (10, 3) and all((flat == row).all(1).any() for row in some)


def test_what_is_drawn_goes_on_after_a_checkpoint():
    features = torch.randn(1, 2, 20, 20)
    whole = VoxelSample(5, seed=3)
    first, second = whole(features), whole(features)
    assert not torch.equal(first, second)
    assert torch.equal(VoxelSample(5, seed=3)(features), first) and not torch.equal(
        VoxelSample(5, seed=4)(features), first
    )
    part = VoxelSample(5, seed=3)
    part(features)
    again = VoxelSample(5, seed=99)
    again.load_state_dict(part.state_dict())
    assert torch.equal(again(features), second)


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0])
def test_a_reversed_gradient_has_the_other_sign_and_the_scale(scale):
    x = torch.randn(4, 3, requires_grad=True)
    through = reverse_gradient(x, scale)
    assert torch.equal(through, x)
    (through * torch.arange(3.0)).sum().backward()
    assert torch.equal(x.grad, -scale * torch.arange(3.0).expand(4, 3))


def test_the_schedule_rises_from_zero_to_one():
    assert dann_schedule(0.0) == 0
    assert dann_schedule(0.1) == pytest.approx(math.tanh(0.5)) and dann_schedule(1.0) == pytest.approx(math.tanh(5))


def test_entropy_weighs_both_domains_alike():
    x, y = torch.tensor([0.5, -1.0]), torch.tensor([2.0])
    p = lambda z: 1 / (1 + math.exp(-z))
    expected = -0.5 * (math.log(1 - p(0.5)) + math.log(1 - p(-1.0))) / 2 - 0.5 * math.log(p(2.0))
    assert domain_entropy(x, y).item() == pytest.approx(expected, rel=1e-6)
    assert domain_entropy(0 * x, 0 * y).item() == pytest.approx(math.log(2))


def test_a_classifier_looks_at_single_voxels():
    tell = DomainClassifier(2, 3, 4)
    x = torch.randn(1, 3, 5, 5)
    other = x.clone()
    other[..., 2, 2] += 1
    changed = (tell(x) != tell(other))[0, 0]
    assert changed[2, 2] and changed.sum() == 1
