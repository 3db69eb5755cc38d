import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import kstest

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.shape_library import drawer, open_library
from cytoshift.synth import (
    PAIR_PRIORS,
    CellBody,
    Count,
    Elastic,
    Gap,
    Layers,
    PairPrior,
    Shapes,
    count_pairs,
    draw_pairs,
)
from cytoshift.synth.cells import GOLGI, NUCLEI
from cytoshift.synth.library import cutouts
from cytoshift.synth.organelles import draw_shapes, heights, radii, tilted_directions

CUBE = Voxel((1.0, 1.0, 1.0))
SMALL = {
    "nucleus": CellBody(semi_axes=((3, 5), (2, 3), (2, 3))),
    "golgi": CellBody(semi_axes=((1.5, 2),)),
    "density": (3e-3, 3e-3),
}


def prior(**change):
    return PairPrior(**{**SMALL, **change})


def draw(kind, shape=(24, 28, 32), voxel=CUBE, seed=0):
    return draw_pairs(kind, shape, voxel, np.random.default_rng(seed))


def ids(labels):
    return set(np.unique(labels).tolist()) - {0}


def centres(labels):
    """(n, 3) of every object, by id."""
    found = sorted(ids(labels))
    return np.array(ndimage.center_of_mass(labels > 0, labels, found)).reshape(-1, 3) + 0.5, found


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    z=st.sampled_from([1.0, 2.5]),
    distance=st.sampled_from([(0, 6), (4, 4), Gap(gap=(-1, 2)), Gap(gap=(0.5, 0.5))]),
    overlap=st.sampled_from([0.0, 0.3, 1.0]),
    mingle=st.booleans(),
    gap=st.sampled_from([0.0, 1.5]),
    border=st.sampled_from(["window", "clip", "inside"]),
    solo=st.sampled_from([(0, 0), (0.3, 0.2), (0, 1)]),
    bent=st.booleans(),
    dented=st.sampled_from([0.0, 0.1]),
    layers=st.sampled_from([None, Layers(spacing=20, thickness=8)]),
)
def test_cells_are_numbered_whole_and_apart(
    seed, z, distance, overlap, mingle, gap, border, solo, bent, dented, layers
):
    voxel, shape = Voxel((z, 1.0, 1.0)), (12, 24, 26)
    kind = prior(
        nucleus=CellBody(semi_axes=((3, 5), (2, 3), (2, 3)), spread=0.1, irregularity=dented),
        density=Count(objects=(15, 25), patch=tuple(n * s for n, s in zip(shape, voxel.size))),
        distance=distance,
        overlap=overlap,
        mingle=mingle,
        min_gap=gap,
        border=border,
        solo_nuclei=solo[0],
        solo_golgi=solo[1],
        elastic=Elastic(amplitude=1.5, wavelength=12) if bent else None,
        layers=layers,
        tries=30,
    )
    labels = draw(kind, shape, voxel, seed)
    golgi, nuclei = labels
    assert labels.shape == (2, *shape) and labels.dtype == np.int32
    assert (labels == draw(kind, shape, voxel, seed)).all()
    assert ids(golgi) | ids(nuclei) == set(range(1, labels.max() + 1))
    assert ids(golgi) & ids(nuclei) == set(count_pairs(labels).tolist())
    assert all(ndimage.label(mask == i)[1] == 1 for mask in labels for i in ids(mask))
    both = (golgi > 0) & (nuclei > 0)
    assert mingle or (golgi[both] == nuclei[both]).all()
    if not bent:  # what is bent may lose a part that hangs on by less than a face
        for i in count_pairs(labels):
            mine = golgi == i
            assert (nuclei[mine] == i).mean() <= overlap + 1e-9 + 0.2 * (overlap > 0)
    if gap:
        for mask in labels:
            for i in ids(mask):
                others = (mask > 0) & (mask != i)
                away = ndimage.distance_transform_edt(mask != i, voxel.size)
                assert not others.any() or away[others].min() > gap
    if solo == (0, 1):
        assert not nuclei.any()


def test_sizes_are_those_of_the_prior():
    voxel = Voxel((0.5, 0.4, 0.4), "um")
    kind = prior(
        nucleus=CellBody(semi_axes=((5, 6), (3, 3.5), (2.5, 3))),
        golgi=CellBody(semi_axes=((2, 2.5),)),
        density=(5e-4, 5e-4),
        border="inside",
        unit="um",
    )
    labels = draw(kind, (48, 60, 64), voxel)
    assert len(count_pairs(labels)) == labels.max() >= 5
    for mask, body in zip(labels, (kind.golgi, kind.nucleus)):
        low, high = np.array(body.semi_axes * (3 // len(body.semi_axes))).T
        for i in ids(mask):
            points = np.argwhere(mask == i) * voxel.size
            moments = np.linalg.eigvalsh(np.cov(points.T, bias=True))[::-1]
            axes = np.sqrt(5 * moments)
            assert (axes > low - 0.25).all() and (axes < high + 0.25).all()
            volume = len(points) * voxel.volume
            assert 0.93 * low.prod() < volume / (4 / 3 * np.pi) < 1.07 * high.prod()


def test_drawn_axes_stay_within_the_prior():
    body = CellBody(semi_axes=((17, 30), (8, 13), (8, 13)), spread=0.1)
    axes = radii(body, 5000, np.random.default_rng(0))
    assert (np.diff(axes, axis=1) <= 0).all() and axes.max() <= body.longest == pytest.approx(30 * np.exp(0.2))
    balls = radii(CellBody(semi_axes=((5, 9),)), 100, np.random.default_rng(0))
    assert (np.ptp(balls, axis=1) == 0).all() and balls.min() >= 5 and balls.max() <= 9


def test_golgi_are_as_far_as_asked_for():
    kind = prior(distance=(6, 7), border="inside", density=(1e-3, 1e-3))
    labels = draw(kind, (40, 48, 48))
    golgi, of_golgi = centres(labels[GOLGI])
    nuclei, of_nuclei = centres(labels[NUCLEI])
    assert of_golgi == of_nuclei and len(of_golgi) > 15
    away = np.linalg.norm(golgi - nuclei, axis=1)
    assert away.min() > 5.5 and away.max() < 7.5


@pytest.mark.parametrize(("angle", "low", "high"), [((0, 0), 0.93, 1.0), ((90, 90), 0.0, 0.3)])
def test_golgi_lie_at_the_pole_or_beside(angle, low, high):
    ball = CellBody(semi_axes=((2, 2),))
    long = CellBody(semi_axes=((8, 8), (3, 3), (3, 3)))
    kind = prior(nucleus=long, golgi=ball, angle=angle, distance=Gap(gap=(1, 1)), border="inside")
    labels = draw(kind, (40, 48, 48))
    golgi, names = centres(labels[GOLGI])
    nuclei, _ = centres(labels[NUCLEI])
    assert len(names) > 5
    for name, a, b in zip(names, golgi, nuclei):
        axis = np.linalg.eigh(np.cov(np.argwhere(labels[NUCLEI] == name).T))[1][:, -1]
        assert low <= abs(axis @ (a - b)) / np.linalg.norm(a - b) <= high + 1e-9
        assert np.linalg.norm(a - b) == pytest.approx((8 if angle[0] == 0 else 3) + 1 + 2, abs=0.6)


def test_directions_out_of_the_plane():
    rng = np.random.default_rng(0)
    assert (tilted_directions((0, 0), 50, rng)[:, 0] == 0).all()
    way = tilted_directions((0, 90), 4000, rng)
    assert np.allclose(np.linalg.norm(way, axis=1), 1)
    for axis in range(3):
        assert kstest(way[:, axis], "uniform", args=(-1, 2)).pvalue > 1e-4
    z = np.abs(tilted_directions((30, 60), 500, rng)[:, 0])
    assert z.min() >= 0.5 and z.max() <= np.sqrt(0.75)


def test_z_covers_the_volume():
    """The paper's masks all lie about the middle plane; these do not."""
    kind = prior(
        nucleus=CellBody(semi_axes=((2, 2),)),
        golgi=CellBody(semi_axes=((1.2, 1.2),)),
        distance=(3, 4),
        density=(2e-3, 2e-3),
        border="clip",
        mingle=True,
    )
    z = np.concatenate([centres(draw(kind, (64, 24, 24), seed=seed)[NUCLEI])[0][:, 0] for seed in range(8)])
    assert len(z) > 300
    assert kstest(z, "uniform", args=(0, 64)).statistic < 0.08
    paper = PAIR_PRIORS["ss-seg-cyclegan"].model_copy(update={"density": (2e-5, 2e-5), "border": "window"})
    full = np.mean([draw(paper, (48, 64, 64), seed=seed)[NUCLEI] > 0 for seed in range(12)], axis=(0, 2, 3))
    assert full.min() > 0.4 * full.max() > 0


def test_the_density_is_that_of_the_prior():
    kind = prior(density=(1e-3, 2e-3), border="inside", solo_nuclei=0.25, solo_golgi=0.25)
    counts, kinds = [], np.zeros(3)
    for seed in range(25):
        labels = draw(kind, (20, 30, 40), seed=seed)
        counts.append(labels.max())
        pairs = len(count_pairs(labels))
        kinds += [pairs, len(ids(labels[NUCLEI])) - pairs, len(ids(labels[GOLGI])) - pairs]
    assert min(counts) >= 20 and max(counts) <= 48 and 27 < np.mean(counts) < 44
    assert kinds / kinds.sum() == pytest.approx([0.5, 0.25, 0.25], abs=0.06)
    assert draw(prior(density=(0, 0))).max() == 0
    assert draw(prior(density=Count(objects=(7, 7), patch=(24, 28, 32)), border="inside")).max() == 7


def test_a_window_looks_the_same_everywhere():
    kind = prior(density=(6e-4, 6e-4), mingle=True)
    full = np.mean([draw(kind, (20, 24, 24), seed=seed) > 0 for seed in range(150)], axis=0)
    for mask in full:
        assert mask[[0, -1]].mean() == pytest.approx(mask[5:-5].mean(), rel=0.25)


def test_layers():
    quantiles = heights(Layers(spacing=50, thickness=10, between=0), 0, 200, np.random.default_rng(1))
    assert (np.diff(quantiles) >= 0).all() and quantiles[0] == 0 and quantiles[-1] == 200
    y = np.interp(np.random.default_rng(2).random(4000) * (len(quantiles) - 1), np.arange(len(quantiles)), quantiles)
    phase = np.angle(np.exp(2j * np.pi * y / 50).mean()) / (2 * np.pi) * 50
    apart = (y - phase + 25) % 50 - 25
    assert apart.std() == pytest.approx(5, abs=0.6)
    assert heights(None, -3, 40, np.random.default_rng(0)).tolist() == [-3, 40]


def test_crowds_end_in_time():
    kind = prior(density=(0.05, 0.05), tries=20)
    draw(kind)
    start = time.process_time()
    labels = draw(kind, seed=1)
    assert time.process_time() - start < 2
    assert 0.2 < (labels[NUCLEI] > 0).mean() < 0.9
    far = prior(
        overlap=0.0, distance=(0, 0), border="inside"
    )  # no Golgi fits: nobody is laid, and nobody tries for ever
    assert draw(far).max() == 0


def ball(radius, stretch=1.0):
    side = int(2 * radius * stretch) + 3
    grid = np.indices((side,) * 3) - side // 2
    return ((grid / np.array([1, 1, stretch]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) <= radius**2


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("shapes") / "shapes.npz"
    nuclei = {f"nuclei_{i:03d}": ball(3, 1 + i / 2).astype(np.uint8) for i in range(3)}
    golgi = {f"Golgi_{i:03d}": ball(2 + i / 2) for i in range(2)}
    np.savez_compressed(path, **nuclei, **golgi, about=np.array("made here"))
    return path


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000), z=st.sampled_from([1.0, 2.0]), bent=st.booleans(), overlap=st.sampled_from([0.0, 1.0])
)
def test_shapes_are_laid_like_solids(library, seed, z, bent, overlap):
    kind = Shapes(
        path=str(library), density=(1.5e-3, 1.5e-3), overlap=overlap, scale=(0.9, 1.2),
        elastic=Elastic(amplitude=1, wavelength=10) if bent else None,
    )  # fmt: skip
    shape, voxel = (14, 26, 28), Voxel((z, 1.0, 1.0))
    make = drawer(kind)
    labels = make(shape, voxel, np.random.default_rng(seed))
    assert (labels == make(shape, voxel, np.random.default_rng(seed))).all()
    assert labels.shape == (2, *shape) and labels.dtype == np.int32
    assert ids(labels) == set(range(1, labels.max() + 1))
    golgi, nuclei = labels
    both = (golgi > 0) & (nuclei > 0)
    assert (golgi[both] == nuclei[both]).all() and (bent or overlap or not both.any())
    assert all(ndimage.label(mask == i)[1] == 1 for mask in labels for i in ids(mask))


def test_shapes_keep_their_size(library):
    kind = Shapes(path=str(library), density=(6e-4, 6e-4), border="inside", voxel=(2, 2, 2), axes="xyz")
    found = open_library(kind)
    assert len(found.nuclei.grids) == 3 and len(found.golgi.grids) == 2
    assert found.nuclei.radii[2] == pytest.approx([12, 6, 6], rel=0.05)
    labels = draw_shapes(kind, found, (60, 60, 60), CUBE, np.random.default_rng(0))
    volumes = sorted(8 * int(ball(3, 1 + i / 2).sum()) for i in range(3))
    for i in ids(labels[NUCLEI]):
        size = (labels[NUCLEI] == i).sum()
        assert min(abs(size / volume - 1) for volume in volumes) < 0.1
    assert len(ids(labels[NUCLEI])) > 10


def test_a_cutout_unturned_is_the_mask():
    from cytoshift.synth.raster import mask_at

    mask = np.zeros((4, 3, 5), bool)
    mask[1:, 0, 2:] = mask[2, :, 3] = True
    found = cutouts([mask], (1, 1, 1), (1, 1))
    grid = found.grids[0]
    side = len(grid)
    steps = (np.arange(side) + 0.5) / (side / 2) - 1
    again = np.array([[[mask_at(grid, p, q, r) for r in steps] for q in steps] for p in steps])
    assert np.allclose(again, grid) and grid.sum() == mask.sum()
    reach = np.linalg.norm(np.stack(np.nonzero(grid)) + 0.5 - side / 2, axis=0).max() / (side / 2)
    assert reach < found.bounds[0, 1] <= 1


def test_speed():
    """50 pairs in 64^3 cost a small part of a training step."""
    kind = PAIR_PRIORS["retina"].model_copy(update={"density": (50 / 64**3, 50 / 64**3), "layers": None})
    draw(kind, (64, 64, 64))
    start = time.process_time()
    labels = draw(kind, (64, 64, 64), seed=1)
    assert time.process_time() - start < 0.5 and len(count_pairs(labels)) > 20


@pytest.mark.parametrize(
    ("change", "shape", "voxel", "words"),
    [
        ({}, (10, 10), Voxel((1, 1)), "in 3D only, not in .*; give z, y and x"),
        ({}, (10, 10, 10), Voxel((1, 1)), "in 3D only"),
        ({"unit": "um"}, (10, 10, 10), CUBE, "declare the voxel size"),
        ({"unit": "px"}, (10, 10, 10), Voxel((1, 1, 1), "um"), "in um"),
        ({"density": Count(objects=(1, 2), patch=(9, 9))}, (10, 10, 10), CUBE, "density.patch to 3 numbers"),
        ({"nucleus": CellBody(semi_axes=((0.1, 0.2),))}, (10, 10, 10), CUBE, "smaller than a voxel"),
        ({"density": (3.0, 4.0)}, (10, 10, 10), CUBE, "check density and unit"),
    ],
)
def test_what_does_not_fit_is_one_sentence(change, shape, voxel, words):
    with pytest.raises(UserError, match=words) as error:
        draw(prior(**change), shape, voxel)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tilt": (0, 120)}, "0 <= low <= high <= 90"),
        ({"density": (2, 1)}, "needs 0 <= low <= high"),
        ({"distance": (-6, 6)}, "needs 0 <= low <= high"),
        ({"distance": {"gap": (2, 1)}}, "needs low <= high"),
        ({"distance": "near"}, "from centre to centre or"),
        ({"density": 4}, "per unit volume or"),
        ({"solo_nuclei": 0.6, "solo_golgi": 0.6}, "together they are at most 1"),
        ({"golgi": {"semi_axes": [[0, 1]]}}, "needs 0 < low <= high"),
    ],
)
def test_settings_say_what_fits(change, words):
    with pytest.raises(UserError, match=words):
        parse(PairPrior, {**SMALL, **change})
    with pytest.raises(UserError, match="z, y and x in the order"):
        parse(Shapes, {"path": "a.npz", "density": [0, 1], "axes": "czy"})


def test_libraries_that_are_none(tmp_path):
    def opened(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return open_library(Shapes(path=str(tmp_path / "a.npz"), density=(0, 1)))

    with pytest.raises(UserError, match="does not exist"):
        open_library(Shapes(path=str(tmp_path / "none.npz"), density=(0, 1)))
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(UserError, match="not readable as npz"):
        open_library(Shapes(path=str(tmp_path / "text.npz"), density=(0, 1)))
    np.save(tmp_path / "one.npy", ball(2))
    with pytest.raises(UserError, match="a single array"):
        open_library(Shapes(path=str(tmp_path / "one.npy"), density=(0, 1)))
    with pytest.raises(UserError, match=r"no shapes of golgi.*golgi\.\.\.; there are nuclei_0"):
        opened(nuclei_0=ball(2))
    with pytest.raises(UserError, match=r"'golgi_0' \(4, 4\) float64 is not a binary shape in 3D"):
        opened(nuclei_0=ball(2), golgi_0=np.ones((4, 4)))
