"""Augmentations are sampled numbers and pure transforms; what image and labels share fits exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.augment import (
    Augment,
    Misalign,
    MissingSections,
    Rescale,
    SamplingGrid,
    lay_steps,
    sample_bias_field,
    sample_elastic,
    sample_misalign,
    sample_missing_sections,
    sample_warp,
)
from cytoshift.data.corrupt import (
    LAPTOP,
    LAPTOP_2D,
    PAPER,
    PAPER_2D,
    Band,
    Corrupt,
    CutBlur,
    CutNoise,
    Gray,
    MissingParts,
    MotionBlur,
    sample_corruptions,
    sample_cut_blur,
    sample_cut_noise,
    sample_gray,
    sample_missing_parts,
    sample_motion_blur,
)
from cytoshift.data.streams import BiasFieldImages, Images
from cytoshift.data.volumes import Volume

SAMPLERS = [sample_cut_noise, sample_cut_blur, sample_motion_blur, sample_missing_parts]
CHANCES = [name for name, field in Corrupt.model_fields.items() if field.default == 0.0]
ISOTROPIC = {2: Voxel((1, 1)), 3: Voxel((1, 1, 1))}


def texture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, shape).astype(np.float32)


def always(corrupt: Corrupt) -> Corrupt:
    """The same with everything that it does at all done every time."""
    return corrupt.model_copy(update={name: 1.0 for name in CHANCES if getattr(corrupt, name) > 0})


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("patch", [(32, 48), (8, 24, 32), (1, 16, 16)])
def test_corruptions_replay_and_leave_their_input_alone(sampler, patch):
    image = texture(*patch)
    before = image.copy()
    for seed in range(5):
        step = sampler(PAPER if len(patch) == 3 else PAPER_2D, patch, np.random.default_rng(seed))
        assert step == sampler(PAPER if len(patch) == 3 else PAPER_2D, patch, np.random.default_rng(seed))
        once, twice = step(image), step(image)
        assert once.dtype == np.float32 and once.shape == patch
        assert np.array_equal(once, twice)
        assert np.array_equal(image, before)
        assert np.abs(once).max() <= 1


def test_gray_is_contrast_then_brightness_then_a_power():
    image = np.array([-1, -0.5, 0, 1], np.float32)
    assert np.allclose(Gray(1, 0, 1)(image), image)
    assert np.allclose(Gray(1, 0.1, 1)(image), [-0.8, -0.3, 0.2, 1])  # clipped at the top
    assert np.allclose(Gray(0.5, 0, 2)(image), 2 * np.array([0, 0.125, 0.25, 0.5]) ** 2 - 1)
    drawn = [sample_gray(PAPER, np.random.default_rng(seed)) for seed in range(300)]
    assert 0.85 <= min(g.contrast for g in drawn) < 0.87 and 1.13 < max(g.contrast for g in drawn) <= 1.15
    assert min(g.brightness for g in drawn) >= -0.15 and max(g.brightness for g in drawn) <= 0.15
    assert 0.5 <= min(g.exponent for g in drawn) < 0.52 and 1.9 < max(g.exponent for g in drawn) <= 2


def test_cut_noise_stays_in_its_box():
    image = np.zeros((6, 20, 20), np.float32)
    box = (slice(1, 3), slice(4, 12), slice(5, 15))
    out = CutNoise(box, 0.6, seed=3)(image)
    changed = np.zeros(image.shape, bool)
    changed[box] = True
    assert np.array_equal(out != 0, changed)
    assert 0.55 < np.abs(out).max() <= 0.6 and abs(out[box].mean()) < 0.1


def test_cut_blur_shows_means_of_cells():
    image = texture(2, 12, 12)
    out = CutBlur((slice(0, 1), slice(2, 9), slice(0, 12)), cell=3)(image)
    assert np.allclose(out[0, 2:5, 3:6], image[0, 2:5, 3:6].mean())
    assert np.allclose(out[0, 8, 0:3], image[0, 8, 0:3].mean())  # the last cell is what is left
    assert np.array_equal(out[1], image[1]) and np.array_equal(out[0, :2], image[0, :2])


def test_motion_blur_smears_its_sections_along_one_axis():
    image = np.zeros((3, 9, 9), np.float32)
    image[:, 4, 4] = 1
    out = MotionBlur((1,), -2, 3)(image)
    assert np.array_equal(out[0], image[0]) and np.array_equal(out[2], image[2])
    assert np.allclose(out[1, 3:6, 4], 1 / 3) and np.isclose(out[1].sum(), 1)


def test_missing_parts_show_the_mean_of_their_section():
    image = texture(2, 20, 20)
    out = MissingParts((Band(1, (0, 10), (20, 10), half=2),))(image)
    assert np.array_equal(out[0], image[0])
    assert np.allclose(out[1, :, 8:13], image[1].mean())
    assert np.array_equal(out[1, :, :8], image[1, :, :8]) and np.array_equal(out[1, :, 13:], image[1, :, 13:])
    slanted = Band(0, (0, 0), (20, 20), half=1.5).mask((20, 20))
    assert np.array_equal(slanted, np.abs(np.subtract.outer(np.arange(20), np.arange(20))) <= 2)


def test_no_two_sections_in_a_row_miss_parts_and_the_first_is_no_exception():
    hits = np.zeros(9)
    for seed in range(600):
        bands = sample_missing_parts(PAPER, (9, 32, 32), np.random.default_rng(seed)).bands
        sections = [band.section for band in bands]
        assert np.diff(sections).min() > 1 if len(sections) > 1 else True
        hits[sections] += 1
    assert np.allclose(hits / 600, 0.9 / 1.9, atol=0.07)


def test_lengths_follow_the_patch():
    small, large = ((5, 64, 64), (5, 128, 128))
    for sampler, length in [
        (sample_motion_blur, lambda s: s.length),
        (sample_cut_noise, lambda s: s.box[-1].stop - s.box[-1].start),
        (sample_missing_parts, lambda s: s.bands[0].half),
    ]:
        one, two = (length(sampler(PAPER, patch, np.random.default_rng(0))) for patch in (small, large))
        assert abs(2 * one - two) <= 2
    paper = (17, 129, 129)  # on it, lengths are the paper's own
    assert sample_motion_blur(PAPER, paper, np.random.default_rng(0)).length == 11
    assert len(sample_motion_blur(PAPER, paper, np.random.default_rng(0)).sections) == 2
    assert len(sample_missing_sections(PAPER, paper, np.random.default_rng(0)).lost) == 2
    assert {sample_cut_blur(PAPER, paper, np.random.default_rng(s)).cell for s in range(99)} == set(range(2, 9))
    shifts = [sample_misalign(PAPER, paper, ISOTROPIC[3], np.random.default_rng(s)).shift for s in range(200)]
    assert 14 <= np.abs(shifts).max() <= 16


def test_nothing_is_on_unless_asked_for():
    rng = np.random.default_rng(0)
    assert sample_corruptions(Corrupt(), (8, 32, 32), rng) == ()
    assert sample_warp(Corrupt(), (8, 32, 32), (0, 0, 0), ISOTROPIC[3], rng) == ()
    for name in CHANCES:
        if name not in ("cut_out", "blur"):  # for other methods
            assert getattr(PAPER, name) > 0 and getattr(LAPTOP, name) > 0
        only = Corrupt(**{name: 1.0})
        steps = sample_corruptions(only, (8, 32, 32), rng)
        steps += sample_warp(only, (8, 32, 32), (0, 0, 0), ISOTROPIC[3], rng)
        assert len(steps) == (name != "gray")


@pytest.mark.parametrize("preset", [PAPER, PAPER_2D, LAPTOP, LAPTOP_2D])
def test_presets_are_settings(preset):
    assert Corrupt.model_validate_json(preset.model_dump_json()) == preset


def test_what_cannot_be_is_refused():
    for preset in (PAPER_2D, LAPTOP_2D):
        assert preset.fits(2, Normalisation()) is preset
    with pytest.raises(
        UserError, match="misalign moves sections against each other, but the images are 2D; set it to 0"
    ):
        PAPER.fits(2, Normalisation())
    with pytest.raises(UserError, match="gray needs intensities between two ends, zscore has none"):
        PAPER.fits(3, Normalisation(kind="zscore"))
    with pytest.raises(UserError, match=r"1\.2 to 0\.8 does not"):
        parse(Corrupt, {"rescale_range": (1.2, 0.8)})
    with pytest.raises(UserError, match="cut_noise"):
        parse(Corrupt, {"cut_noise": 1.5})


@pytest.mark.parametrize("patch", [(7, 9), (4, 7, 9)])
def test_a_plain_grid_takes_the_patch_as_it_is(patch):
    window = texture(*(n + 4 for n in patch))
    inside = tuple(slice(2, 2 + n) for n in patch)
    first = (-2,) * len(patch)
    grid = SamplingGrid.identity(patch)
    assert grid.reach() == ((0,) * len(patch), patch)
    assert np.array_equal(grid.take(window, first), window[inside])
    wide = SamplingGrid.identity(patch, (2,) * len(patch))
    assert wide.reach() == (first, tuple(n + 2 for n in patch))
    assert np.array_equal(wide.take(window, first), window)
    assert np.array_equal(wide.without_halo((2,) * len(patch)).take(window, first), window[inside])


def test_sections_shift_alone_or_with_all_behind_them():
    window = texture(4, 12, 12)
    for alone, moved in ((True, [2]), (False, [2, 3])):
        grid = Misalign(2, alone, (1, -2), 0.0)(SamplingGrid.identity((4, 6, 6)))
        out = grid.take(window, (0, -3, -3))
        for z in range(4):
            y, x = (4, 1) if z in moved else (3, 3)
            assert np.array_equal(out[z], window[z, y : y + 6, x : x + 6])


def test_a_quarter_turn_of_a_section_is_rot90():
    window = texture(3, 9, 9)
    out = Misalign(1, True, (0, 0), np.pi / 2)(SamplingGrid.identity((3, 9, 9))).take(window, (0, 0, 0))
    assert np.array_equal(out[0], window[0])
    assert np.allclose(out[1], np.rot90(window[1], -1), atol=1e-4) or np.allclose(
        out[1], np.rot90(window[1]), atol=1e-4
    )


def test_lost_sections_are_skipped():
    window = texture(10, 5, 5)
    grid = MissingSections((1, 3))(SamplingGrid.identity((4, 5, 5), (2, 0, 0)))
    assert grid.sections.tolist() == [-2, -1, 0, 2, 4, 5, 6, 7]
    assert np.array_equal(grid.without_halo((2, 0, 0)).take(window, (-2, 0, 0)), window[[2, 4, 6, 7]])


def test_rescale_makes_objects_larger_about_the_centre():
    y, x = np.ogrid[:41, :41]
    disc = (np.hypot(y - 20, x - 20) < 6).astype(np.uint8)
    grid = Rescale((2.0, 1.0))(SamplingGrid.identity((41, 41)))
    first, last = grid.reach()
    assert first == (10, 0) and last == (31, 41)
    out = grid.take_labels(disc[10:31], first)
    rows, columns = np.flatnonzero(out.any(1)), np.flatnonzero(out.any(0))
    assert len(columns) == 11 and 21 <= len(rows) <= 23 and abs(rows.mean() - 20) <= 0.5


def test_elastic_field_has_the_wanted_spread_and_is_smooth():
    grid = SamplingGrid.identity((129, 129))
    fields = np.stack([sample_elastic(PAPER, grid, 129, np.random.default_rng(s)).displacement for s in range(10)])
    assert abs(fields.std() - 0.69) < 0.04
    assert np.abs(np.diff(fields, axis=-1)).std() < 0.2 * fields.std()
    assert np.abs(fields).max() < 4


@given(seed=st.integers(0, 10_000), deep=st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_window_holds_all_places(seed, deep):
    """What a grid takes from its own window is what it takes from a volume that is larger than all windows."""
    patch, halo = ((6, 16, 16), (2, 3, 3)) if deep else ((16, 16), (3, 3))
    corrupt = always(PAPER if deep else PAPER_2D)
    steps = sample_warp(corrupt, patch, halo, ISOTROPIC[len(patch)], np.random.default_rng(seed))
    assert len(steps) == (4 if deep else 2)
    grid = lay_steps(steps, SamplingGrid.identity(patch, halo))
    whole, origin = texture(*(n + 60 for n in patch)), (-30,) * len(patch)
    first, last = grid.reach()
    window = whole[tuple(slice(a + 30, b + 30) for a, b in zip(first, last))]
    assert np.allclose(grid.take(window, first), grid.take(whole, origin), atol=1e-3)
    labels = (whole > 0).astype(np.uint8) + 1
    window = labels[tuple(slice(a + 30, b + 30) for a, b in zip(first, last))]
    assert np.array_equal(grid.take_labels(window, first), grid.take_labels(labels, origin))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64, np.uint64])
def test_ids_are_exact_in_every_dtype(dtype):
    largest = np.iinfo(dtype).max
    labels = np.zeros((40, 40), dtype)
    labels[10:20, 10:20], labels[20:30, 15:25] = largest, largest - 1
    steps = sample_warp(always(PAPER_2D), (20, 20), (0, 0), ISOTROPIC[2], np.random.default_rng(1))
    out = lay_steps(steps, SamplingGrid.identity((20, 20))).take_labels(labels, (-10, -10))
    assert out.dtype == dtype and set(np.unique(out)) == {0, largest - 1, largest}


def test_image_and_labels_are_taken_from_the_same_places():
    y, x = np.ogrid[:80, :80]
    labels = ((np.hypot(y % 20 - 10, x % 20 - 10) < 7) * (1 + y // 20 * 4 + x // 20)).astype(np.uint16)
    labels = np.broadcast_to(labels, (16, 80, 80)).copy()
    for seed in range(5):
        steps = sample_warp(always(PAPER), (8, 40, 40), (0, 0, 0), ISOTROPIC[3], np.random.default_rng(seed))
        grid = lay_steps(steps, SamplingGrid.identity((8, 40, 40)))
        image = grid.take((labels > 0).astype(np.float32), (-4, -20, -20))
        agree = (image > 0.5) == (grid.take_labels(labels, (-4, -20, -20)) > 0)
        assert agree.mean() > 0.98  # linear and nearest differ on the outlines only


def test_a_shade_leaves_the_ground_dark_and_replays():
    image = np.full((24, 48, 48), -0.9, np.float32)
    image[8:16, 10:30, 10:30] = 0.5
    light = sample_bias_field(0.7, image.shape, np.random.default_rng(0))
    again = sample_bias_field(0.7, image.shape, np.random.default_rng(0))
    shaded = light(image)
    assert np.array_equal(shaded, again(image)) and shaded.dtype == np.float32
    assert np.allclose(shaded[image < 0], -0.9), "what does not rise above the ground stays"
    assert shaded[image > 0].std() > 0.05 and np.all(light.gain <= 2 ** (0.7 * 1.5) * 1.001)


def test_only_the_image_is_shaded_and_without_a_shade_all_is_as_before():
    rng = np.random.default_rng(0)
    array = rng.integers(0, 255, (64, 64), dtype=np.uint8)
    parts = ([Volume("a", array, "yx", Voxel((1.0, 1.0)), "a")], Normalisation(), Voxel((1.0, 1.0)), (32, 32), 0)
    (plain,) = Images(*parts).sample(3)
    image, clean = BiasFieldImages(*parts).sample(3)
    assert np.array_equal(image, plain) and np.array_equal(clean, plain)
    image, clean = BiasFieldImages(*parts, Augment(bias_field=0.7)).sample(3)
    assert np.array_equal(clean, plain) and not np.array_equal(image, plain)
