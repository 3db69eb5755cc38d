import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import kstest

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.synth import PRIORS, Count, Eccentricity, Elastic, Fibres, Lognormal, Prior, SemiMajor, draw_labels
from cytoshift.synth.ellipses import gap_offsets, semi_axes, smooth_objects
from cytoshift.synth.raster import CIRCLE, SPHERE, keep_largest, radius
from cytoshift.synth.solids import bend_space, dents, fibres, frames, spline

PX2, PX3 = Voxel((1, 1)), Voxel((1, 1, 1))
NO_STENCIL = np.zeros((0, 3), np.int64)


def draw(prior, shape, voxel=None, seed=0):
    return draw_labels(prior, shape, voxel or (PX2 if len(shape) == 2 else PX3), np.random.default_rng(seed))


def ids(labels):
    return np.unique(labels)[1:] if (labels == 0).any() else np.unique(labels)


def pieces(labels):
    return [int(ndimage.label(labels == i)[1]) for i in ids(labels)]


def closest(labels, voxel):
    """Smallest distance between voxel centres of two objects."""
    return min(
        ndimage.distance_transform_edt(labels != i, voxel.size)[(labels != i) & (labels > 0)].min() for i in ids(labels)
    )


@settings(max_examples=40, deadline=None)
@given(
    flat=st.booleans(),
    seed=st.integers(0, 10_000),
    low=st.floats(0.6, 6),
    wide=st.floats(1, 2.5),
    elongation=st.floats(1, 6),
    irregularity=st.sampled_from([0.0, 0.1, 0.3]),
    clustering=st.sampled_from([0.0, 1.0]),
    extras=st.sampled_from(["none", "elastic", "smooth", "both", "fibres"]),
    gap=st.sampled_from([0.0, 1.0, 2.5]),
    border=st.sampled_from(["window", "clip", "inside"]),
    z=st.sampled_from([1.0, 2.5]),
)
def test_instances_are_dense_whole_and_apart(
    flat, seed, low, wide, elongation, irregularity, clustering, extras, gap, border, z
):
    voxel = PX2 if flat else Voxel((z, 1.0, 1.0))
    shape = (40, 50) if flat else (10, 24, 26)
    prior = Prior(
        diameter=(max(low, 1.0), max(low, 1.0) * wide),
        density=Count(objects=(20, 20), patch=tuple(n * s for n, s in zip(shape, voxel.size))),
        elongation=(1, elongation),
        irregularity=irregularity,
        clustering=clustering,
        min_gap=gap,
        border=border,
        elastic=Elastic(amplitude=2, wavelength=12) if extras in ("elastic", "both") else None,
        smoothing=1.2 if extras in ("smooth", "both") else 0.0,
        fibres=Fibres(spacing=15, spread=3) if extras == "fibres" else None,
        tries=20,
    )
    labels = draw(prior, shape, voxel, seed)
    assert labels.shape == shape and labels.dtype == np.int32
    assert (labels == draw(prior, shape, voxel, seed)).all()
    assert ids(labels).tolist() == list(range(1, labels.max() + 1))
    assert pieces(labels) == [1] * labels.max()
    if gap and labels.max() > 1:
        assert closest(labels, voxel) > gap


def test_a_single_ellipse_is_the_formula():
    prior = Prior(diameter=SemiMajor(semi_major=(9, 9)), elongation=(1.5, 1.5), density=(1e-3, 1e-3), border="inside")
    labels = draw(prior, (33, 35), seed=3)
    assert labels.max() == 1
    y, x = np.nonzero(labels)
    points = np.stack([y, x]) + 0.5
    centre = points.mean(axis=1, keepdims=True)
    spread = np.linalg.eigvalsh(np.cov(points - centre, bias=True))
    assert 2 * np.sqrt(spread[::-1]) == pytest.approx([9, 6], rel=0.02)  # variance of a disc is r^2 / 4
    assert len(y) == pytest.approx(np.pi * 9 * 6, rel=0.02)


def test_diameters_are_physical():
    rng = np.random.default_rng(1)
    for voxel in (Voxel((0.5, 0.25), "um"), Voxel((0.6, 0.25, 0.25), "um")):
        prior = Prior(diameter=(3.8, 4.2), density=(4e-3, 4e-3), border="inside", irregularity=0.03, unit="um")
        shape = (80, 160) if voxel.ndim == 2 else (30, 60, 60)
        sizes = np.concatenate([np.bincount(draw_labels(prior, shape, voxel, rng).ravel())[1:] for _ in range(20)])
        volumes = sizes * voxel.volume
        diameters = 2 * np.sqrt(volumes / np.pi) if voxel.ndim == 2 else (6 * volumes / np.pi) ** (1 / 3)
        assert len(sizes) > 30
        assert diameters.mean() == pytest.approx(4, rel=0.015)
        assert diameters.min() > 3.5 and diameters.max() < 4.5


def test_axial_stretch_keeps_the_volume():
    shape = (48, 48, 48)
    sizes = {}
    for axial in (1.0, 2.0):
        prior = Prior(
            diameter=(16, 16),
            elongation=(1, 1),
            axial=axial,
            density=Count(objects=(1, 1), patch=shape),
            border="inside",
        )
        points = np.argwhere(draw(prior, shape, seed=2))
        sizes[axial] = len(points)
        extent = np.ptp(points, axis=0) + 1
        assert extent[0] / extent[1] == pytest.approx(axial, rel=0.1)
    assert sizes[2.0] == pytest.approx(sizes[1.0], rel=0.02)


def test_the_papers_axes():
    prior = PRIORS["fluo-n2dl-hela"]
    axes = semi_axes(prior, 4000, 2, np.random.default_rng(0))
    ratio = axes[:, 1] / axes[:, 0]
    assert 13 <= axes[:, 0].min() < 13.1 and 17.9 < axes[:, 0].max() <= 18
    assert np.sqrt(1 - 0.75**2) <= ratio.min() < 0.67 and 0.96 < ratio.max() <= np.sqrt(1 - 0.25**2)
    assert (np.diff(semi_axes(prior, 50, 3, np.random.default_rng(0)), axis=1) <= 0).all()


@pytest.mark.parametrize("name", PRIORS)
def test_presets_of_table_9(name):
    prior = PRIORS[name]
    assert isinstance(prior.density, Count) and isinstance(prior.diameter, SemiMajor)
    assert isinstance(prior.elongation, Eccentricity) and prior.min_gap == 0 and prior.border == "clip"
    shape = tuple(int(n) for n in prior.density.patch)
    if len(shape) == 3:  # the same density on a smaller patch
        shape = (32, 64, 64)
    labels = draw(prior, shape)
    share = np.prod(shape) / np.prod(prior.density.patch)
    assert labels.max() <= np.ceil(prior.density.objects[1] * share)
    if len(shape) == 2:
        assert labels.max() >= prior.density.objects[0]
    with pytest.raises(UserError, match="counts in px"):
        draw(prior, shape, Voxel((0.5,) * len(shape), "um"))


def test_rotations_are_uniform():
    rng = np.random.default_rng(0)
    turned = frames(rng.standard_normal((4000, 3)), False, rng)
    assert np.allclose(turned @ turned.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(turned), 1)
    for i in range(3):
        for j in range(3):  # each coordinate of a uniform direction on the sphere is uniform
            assert kstest(turned[:, i, j], "uniform", args=(-1, 2)).pvalue > 1e-4
    plane = frames(rng.standard_normal((2000, 3)), True, rng)
    assert (plane[:, 0, :2] == 0).all() and (plane[:, 0, 2] == 1).all()
    angle = np.arctan2(plane[:, 1, 0], plane[:, 2, 0])
    assert kstest(angle, "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(64, 80), (16, 32, 40)])
def test_a_window_looks_the_same_everywhere(shape):
    """Cut out of a larger field: as full at the rim as in the middle. Centres inside alone leave the rim emptier."""
    disc = np.pi * 9 / 4 if len(shape) == 2 else np.pi * 27 / 6  # of diameter 3
    share = 0.04
    filled = {}
    for border in ("window", "clip"):
        prior = Prior(diameter=(3, 3), elongation=(1, 1), density=(share / disc, share / disc), border=border)
        rng = np.random.default_rng(5)
        voxel = PX2 if len(shape) == 2 else PX3
        mean = np.mean([draw_labels(prior, shape, voxel, rng) > 0 for _ in range(150)], axis=0)
        filled[border] = float(mean[0].mean()), float(mean[3:-3].mean())
    assert filled["window"][0] == pytest.approx(share, rel=0.1)
    assert filled["window"][1] == pytest.approx(share, rel=0.1)
    assert filled["clip"][0] < 0.85 * share


def test_inside_cuts_nothing():
    prior = Prior(diameter=(8, 12), density=(5e-3, 5e-3), border="inside", elastic=Elastic(amplitude=2, wavelength=20))
    labels = draw(prior, (64, 64))
    assert labels.max() > 8
    assert not np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).any()


def test_the_count_scales_with_the_patch():
    prior = Prior(diameter=(2, 3), density=Count(objects=(10, 20), patch=(100, 100)), border="clip")
    counts = [draw(prior, (200, 100), seed=seed).max() for seed in range(40)]
    assert min(counts) >= 19 and max(counts) <= 40 and np.mean(counts) == pytest.approx(30, rel=0.1)
    assert {draw(prior, (100, 100), seed=seed).max() for seed in range(60)} >= {10, 15, 20}
    assert draw(Prior(diameter=(2, 3), density=(0, 0)), (20, 20)).max() == 0


def touching_share(labels):
    pairs = set()
    for axis in range(labels.ndim):
        a, b = np.moveaxis(labels, axis, 0)[:-1].ravel(), np.moveaxis(labels, axis, 0)[1:].ravel()
        met = (a != b) & (a > 0) & (b > 0)
        pairs |= set(a[met]) | set(b[met])
    return len(pairs) / max(labels.max(), 1)


@pytest.mark.parametrize("shape", [(160, 160), (24, 64, 64)])
def test_clustering_makes_objects_touch(shape):
    share = []
    for clustering in (0.0, 0.5, 1.0):
        prior = Prior(
            diameter=(9, 12),
            density=Count(objects=(20, 20), patch=tuple(float(n) for n in shape)),
            clustering=clustering,
            border="clip",
        )
        share.append(np.mean([touching_share(draw(prior, shape, seed=seed)) for seed in range(4)]))
    assert share[0] < 0.4 < 0.5 < share[1] < share[2] and share[2] > 0.9


def test_fibres_gather():
    law = Fibres(spacing=60, spread=3)
    extent = np.array([1.0, 200.0, 200.0])
    paths, ways = fibres(law, extent, True, np.random.default_rng(4))
    assert paths.shape == (len(ways), 256, 3) and np.allclose(np.linalg.norm(ways, axis=1), 1)
    assert (ways[:, 0] == 0).all()
    assert paths[..., 1:].min() > -20 and paths[..., 1:].max() < 220
    prior = Prior(diameter=(6, 8), density=(2e-3, 2e-3), elongation=(2, 2), fibres=law)
    share = {}
    for name, kind in (("fibres", prior), ("even", prior.model_copy(update={"fibres": None}))):
        filled = draw(kind, (200, 200), seed=4) > 0
        share[name] = filled.reshape(8, 25, 8, 25).mean(axis=(1, 3)).std()
    assert share["fibres"] > 2 * share["even"]


def test_crowds_end_in_time():
    prior = Prior(diameter=(6, 9), density=(0.1, 0.1), tries=30)
    draw(prior, (96, 96))
    start = time.perf_counter()
    labels = draw(prior, (96, 96), seed=1)
    assert time.perf_counter() - start < 1
    assert 0.5 < (labels > 0).mean() < 0.9


def test_samples_differ_by_seed():
    prior = PRIORS["fluo-n2dl-hela"]
    assert (draw(prior, (128, 128), seed=0) != draw(prior, (128, 128), seed=1)).any()


def test_harmonics_have_zero_mean_and_unit_rms():
    angle = np.linspace(0, 2 * np.pi, 10_000, endpoint=False)
    height = (np.arange(10_000) + 0.5) / 5_000 - 1  # uniform on the sphere
    for table, cosine in ((CIRCLE, np.cos(angle)), (SPHERE, height)):
        values = np.stack([np.polynomial.polynomial.polyval(cosine, row) for row in table])
        assert values.mean(axis=1) == pytest.approx(np.zeros(4), abs=1e-6)
        assert (values**2).mean(axis=1) == pytest.approx(np.ones(4), rel=1e-5)
        assert np.abs(values).max(axis=1) == pytest.approx(table.sum(axis=1), rel=2e-3)
    bumps, bounds = dents(0.3, 500, False, np.random.default_rng(0))
    assert bumps.shape == (500, 4, 4) and bounds.min() >= 0.5 and bounds.max() <= 1.5
    bumps, _ = dents(0.05, 4000, True, np.random.default_rng(0))
    assert np.sqrt((bumps[..., 0] ** 2).sum(axis=1).mean()) == pytest.approx(0.05, rel=0.05)


def test_bounds_of_the_radius_hold_everywhere():
    random = np.random.default_rng(1)
    for flat in (True, False):
        bumps, bounds = dents(0.1, 20, flat, random)
        way = random.standard_normal((500, 3)) * [1, 1, not flat]
        for i in range(20):
            seen = [radius(bumps[i], CIRCLE if flat else SPHERE, *w) for w in way]
            assert bounds[i, 0] - 0.01 < min(seen) and max(seen) < bounds[i, 1] + 0.01


def test_bending_is_bounded_and_has_no_folds():
    basis = spline(np.linspace(0, 5, 101))
    assert np.allclose(basis.sum(axis=1), 1) and (basis >= 0).all()
    law = Elastic(amplitude=2, wavelength=12)
    field = bend_space(law, (12, 20, 24), np.array([2.0, 1.0, 1.0]), np.random.default_rng(0))
    assert field.shape == (3, 12, 20, 24) and field.dtype == np.float32
    assert 0.3 < np.abs(field).max() <= 2
    slopes = [np.abs(np.diff(field, axis=axis + 1)).max() / size for axis, size in enumerate((2.0, 1.0, 1.0))]
    assert max(slopes) < 1 / 3
    plane = bend_space(law, (1, 20, 24), np.ones(3), np.random.default_rng(0))
    assert (plane[0] == 0).all() and np.abs(plane[1:]).max() > 0.3


def test_offsets_of_a_gap():
    assert gap_offsets(0.0, np.ones(3), False).shape == (0, 3)
    assert sorted(map(tuple, gap_offsets(1.0, np.ones(3), True))) == [
        (0, -1, 0), (0, 0, -1), (0, 0, 0), (0, 0, 1), (0, 1, 0),
    ]  # fmt: skip
    assert np.abs(gap_offsets(2.0, np.array([2.0, 1.0, 1.0]), False)).max(axis=0).tolist() == [1, 2, 2]


def test_keep_largest():
    labels = np.array([[1, 1, 0, 1], [0, 0, 2, 2], [2, 0, 2, 0]], np.int32)[None]
    keep_largest(labels, 2)
    assert labels[0].tolist() == [[1, 1, 0, 0], [0, 0, 2, 2], [0, 0, 2, 0]]


def test_smoothing_rounds_and_renumbers():
    labels = np.zeros((1, 16, 24), np.int32)
    labels[0, 3:13, 3:11] = 1
    labels[0, 7, 11:16] = 1  # a spike
    labels[0, 2, 20] = 2  # too small to survive
    labels[0, 10:16, 18:24] = 3  # cut by the corner of the image
    assert smooth_objects(labels, np.full(3, 1.5), NO_STENCIL) == 2
    assert labels[0, 7, 13:].max() == 0 and labels[0, 3, 3] == 0 and labels[0, 8, 5] == 1
    assert labels[0, 2, 20] == 0 and ids(labels).tolist() == [1, 2]
    assert labels[0, 15, 23] == 2 and labels[0, 10, 18] == 0


@pytest.mark.parametrize(
    ("change", "shape", "voxel", "words"),
    [
        ({}, (10, 10, 10), PX2, "one positive size per axis"),
        ({}, (0, 10), PX2, "one positive size per axis"),
        ({"unit": "um"}, (10, 10), PX2, "declare the voxel size"),
        ({"unit": "px"}, (10, 10), Voxel((1, 1), "um"), "in um"),
        ({"diameter": (0.2, 0.4)}, (10, 10), PX2, "smaller than a voxel"),
        ({"diameter": Lognormal(median=0.2)}, (10, 10), PX2, "smaller than a voxel"),
        ({"density": Count(objects=(1, 2), patch=(9, 9, 9))}, (10, 10), PX2, "density.patch to 2 numbers"),
        ({"density": (3.0, 4.0)}, (100, 100), PX2, "check density and unit"),
    ],
)
def test_what_does_not_fit_is_one_sentence(change, shape, voxel, words):
    prior = Prior(**{"diameter": (5, 8), "density": (0.01, 0.01), **change})
    with pytest.raises(UserError, match=words) as error:
        draw(prior, shape, voxel)
    assert "\n" not in str(error.value)
