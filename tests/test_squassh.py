"""Squassh on phantoms whose PSF is known: outlines are where they are, and not where they are blurred to."""

import numpy as np
import pytest
from scipy import ndimage

from cytoshift.core.voxel import Voxel
from cytoshift.predict.split_bregman import divergence, fit_data, gradient, operators, two_regions
from cytoshift.predict.squassh import Squassh, rolling_background, segment_by_regions, two_intensities

FLAT, DEEP = Voxel((1.0, 1.0)), Voxel((2.0, 1.0, 1.0), "um")
LEVELS = (200, 120, 60)


def scene(ndim, sigma, background=20):
    """Three objects of different intensity, blurred, with photon noise; and the truth. sigma: of the finest side."""
    shape, scale = ((64, 96), (1, 1)) if ndim == 2 else ((16, 48, 72), (2, 1, 1))
    centres = ((20, 20), (24, 54), (46, 80)) if ndim == 2 else ((8, 16, 14), (8, 30, 36), (7, 18, 56))
    truth = np.zeros(shape, int)
    for number, centre in enumerate(centres, 1):
        off = sum(((axis - place) * side) ** 2 for axis, place, side in zip(np.indices(shape), centre, scale))
        truth[off <= 8**2] = number
    psf = [sigma * (3 if ndim == 3 and axis == 0 else 1) / side for axis, side in enumerate(scale)]
    image = ndimage.gaussian_filter(np.array([0, *LEVELS], float)[truth], psf) + background
    return np.random.default_rng(0).poisson(image).astype(np.uint16), truth


def ious(found, truth):
    best = []
    for number in range(1, truth.max() + 1):
        mine = truth == number
        named = np.bincount(found[mine]).argmax()
        best.append(((found == named) & mine).sum() / ((found == named) | mine).sum() if named else 0.0)
    return np.array(best)


@pytest.mark.parametrize("noise", ["poisson", "gauss"])
@pytest.mark.parametrize("ndim, sigma, least", [(2, 2.0, 0.9), (2, 3.0, 0.9), (3, 1.0, 0.85)])
def test_outlines_are_those_before_the_blur(ndim, sigma, least, noise):
    image, truth = scene(ndim, sigma)
    voxel = FLAT if ndim == 2 else DEEP
    found = segment_by_regions(image, voxel, Squassh(psf=sigma, noise=noise))
    assert found.max() == 3 and found.dtype == np.int32
    assert ious(found, truth).min() > least


def test_with_the_psf_outlines_are_tighter_than_without():
    image, truth = scene(2, 3.0)
    for local in (False, True):
        with_psf, without = (
            segment_by_regions(image, FLAT, Squassh(psf=psf, local=local)) for psf in (3.0, 0.0)
        )  # fmt: skip
        assert ious(with_psf, truth).mean() > ious(without, truth).mean() + 0.05
    bright = truth == 1  # a bright object's blur spreads it over a threshold for all
    named, plain = (segment_by_regions(image, FLAT, Squassh(psf=psf, local=False)) for psf in (3.0, 0.0))
    assert (named == named[20, 20]).sum() < (plain == plain[20, 20]).sum()
    assert (plain == plain[20, 20]).sum() > 1.2 * bright.sum()


def test_intensities_of_their_own_make_outlines_of_dim_and_bright_objects_right():
    image, truth = scene(2, 2.0)
    local, whole = (segment_by_regions(image, FLAT, Squassh(psf=2.0, local=each)) for each in (True, False))
    assert ious(local, truth).mean() > ious(whole, truth).mean() + 0.03


def test_dim_objects_go_by_their_intensity_and_specks_by_their_size():
    image, _ = scene(2, 1.0)
    assert segment_by_regions(image, FLAT, Squassh(least_intensity=0.45)).max() == 2
    assert segment_by_regions(image, FLAT, Squassh(smallest=1000)).max() == 0


def test_uneven_background_is_taken_off():
    image, truth = scene(2, 1.0)
    uneven = image + np.linspace(0, 100, image.shape[1])
    plain, even = (segment_by_regions(uneven, FLAT, Squassh(background=window)) for window in (None, 40))
    assert ious(even, truth).min() > 0.8 > ious(plain, truth).min()
    floor = rolling_background(uneven.astype(np.float32), np.array([40.0, 40.0]))
    assert (floor <= uneven.astype(np.float32)).all()


def test_dark_objects_and_voxels_without_data():
    image, truth = scene(2, 1.0)
    seen = 1000.0 - image
    seen[:, 70:] = np.nan
    found = segment_by_regions(seen, FLAT, dark=True)
    assert ious(found, np.where(truth < 3, truth, 0)).min() > 0.85 and not found[:, 70:].any()


@pytest.mark.parametrize("image", [np.zeros((16, 16), np.uint8), np.full((4, 9, 9), np.nan), np.full((9, 9), 7.0)])
def test_where_nothing_is_nothing_is_found(image):
    assert not segment_by_regions(image, Voxel((1.0,) * image.ndim)).any()


def test_the_gaussian_and_the_gradient_are_what_they_are_called():
    from scipy.fft import dctn, idctn

    rng = np.random.default_rng(1)
    u, g, scale = rng.random((12, 16)).astype(np.float32), rng.random((2, 12, 16)).astype(np.float32), np.array([2, 1])
    assert (gradient(u, scale) * g).sum() == pytest.approx((u * divergence(g, scale)).sum(), rel=1e-4)
    blur, curved = operators(u.shape, np.array([1.5, 1.5]), scale)
    waves = dctn(u, norm="ortho")
    np.testing.assert_allclose(idctn(waves * curved, norm="ortho"), divergence(gradient(u, scale), scale), atol=1e-4)
    blurred = ndimage.gaussian_filter(u, 1.5, mode="reflect", truncate=6)
    np.testing.assert_allclose(idctn(waves * blur, norm="ortho"), blurred, atol=1e-3)


@pytest.mark.parametrize("noise", ["gauss", "poisson"])
def test_the_step_of_the_data_is_the_least_of_its_energy(noise):
    image, near, levels = np.float32([[0.3, 0.9]]), np.float32([[0.6, 0.2]]), (0.1, 0.8)
    found = fit_data(near, image, np.array([[True, True]]), levels, noise)
    grid = np.linspace(-0.1, 2, 200001)[:, None]
    mu = levels[0] + (levels[1] - levels[0]) * grid
    with np.errstate(invalid="ignore"):
        data = (mu - image) ** 2 / 2 if noise == "gauss" else mu - image * np.log(mu)
    best = grid[np.nanargmin(data + (grid - near) ** 2 / 2, axis=0), 0]
    np.testing.assert_allclose(found[0], best, atol=1e-3)


def test_two_flat_regions_are_found_back_whatever_the_start():
    image = np.zeros((24, 32), np.float32)
    image[6:18, 8:24] = 1
    known = np.ones(image.shape, bool)
    soft = two_regions(image, known, np.zeros(2), np.ones(2), (0.0003, 1.0), Squassh(psf=0, tolerance=1e-5))
    assert ((soft > 0.5) == (image > 0.5)).mean() > 0.99
    low, high = two_intensities(3 * image + 1, known, image > 0.5, np.zeros(2))
    assert (low, high) == pytest.approx((1, 4))
