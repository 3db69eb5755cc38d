"""Objects measured in images whose truth is known, and what is said about images that have none."""

import itertools
import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy import ndimage

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.measure import estimate as module
from cytoshift.measure.estimate import decide_polarity, estimate, outlines
from cytoshift.measure.measurement import QUANTILES
from cytoshift.measure.scale import ScaleSpace

PIXEL = Voxel((1.0, 1.0))


def field(shape, count, radius, seed=0, spread=0.15, noise=0.05, blur=1.0, gap=1.0, glow=0.0):
    """(image float32, true diameters): balls that do not overlap, of varied size and brightness, cut at the border."""
    rng = np.random.default_rng(seed)
    at = np.indices(shape).astype(np.float32)
    image = np.zeros(shape, dtype=np.float32)
    placed = []
    for _ in range(3000):
        if len(placed) == count:
            break
        centre, r = rng.uniform(0, shape), radius * np.exp(spread * rng.standard_normal())
        if all(np.linalg.norm(centre - other) > r + s + gap for other, s in placed):
            placed.append((centre, r))
            box = tuple(slice(max(int(c - r), 0), int(c + r) + 2) for c in centre)
            ball = sum((a[box] - c) ** 2 for a, c in zip(at, centre)) <= r**2
            image[box][ball] = np.exp(0.25 * rng.standard_normal())
    image = ndimage.gaussian_filter(image, blur) + noise * rng.standard_normal(shape)
    slope = glow * sum(np.linspace(0, 1, n).reshape([-1 if a == i else 1 for a in range(len(shape))]) ** 2
                       for i, n in enumerate(shape))  # fmt: skip
    return (image + slope).astype(np.float32), np.array([2 * r for _, r in placed])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain", {}),
        ("dense", {"count": 150, "spread": 0.05, "gap": 0.5}),
        ("noisy", {"noise": 1.0}),
        ("glow", {"glow": 5.0}),
        ("blurred", {"blur": 3.0, "gap": 3.0}),
        ("varied", {"spread": 0.4}),
        ("small", {"radius": 3.5}),
    ],
)
def test_sizes_number_and_polarity_of_disks(name, options, sign):
    image, truth = field((256, 256), **{"count": 50, "radius": 10, "seed": 3} | options)
    seen = estimate([sign * image], [PIXEL])
    assert seen.polarity == ("bright" if sign > 0 else "dark")
    assert seen.polarity_confidence > 0.9
    assert seen.whole_diameters[50] == pytest.approx(np.median(truth), rel=0.15)
    assert seen.objects == pytest.approx(len(truth), rel=0.15)
    assert seen.confidence > 0.5
    low, high = np.percentile(truth, [25, 75])
    assert seen.diameters[5] < low and seen.diameters[95] > high


def test_balls_in_coarse_slices_in_micrometres():
    volume, truth = field((60, 96, 96), 25, 9)
    seen = estimate([volume[::3]], [Voxel((1.5, 0.5, 0.5), "um")])
    assert (seen.unit, seen.ndim) == ("um", 3)
    assert seen.whole_diameters[50] == pytest.approx(np.median(truth) / 2, rel=0.15)
    assert seen.objects == pytest.approx(len(truth), abs=3)
    assert seen.density[50] == pytest.approx(seen.objects / (60 * 96 * 96 / 8), rel=0.01)
    assert seen.axial_elongation == pytest.approx(1, abs=0.2)


def test_what_is_stretched_along_z_is_said_to_be():
    volume, _ = field((24, 96, 96), 20, 9, seed=1)
    seen = estimate([volume], [Voxel((3.0, 1.0, 1.0))])
    assert seen.axial_elongation > 1.5
    assert any("longer along z" in note for note in seen.notes)


@pytest.mark.parametrize(
    "convert",
    [
        lambda image: np.clip(40 + 60 * image, 0, 255).astype(np.uint8),
        lambda image: np.clip(60_000 + 500 * image, 0, 65_535).astype(np.uint16),
        lambda image: (1000 * image).astype(np.int32),
        lambda image: image.astype(np.float64) * 1e-6,
        lambda image: image > 0.5,
    ],
    ids=["uint8", "uint16", "int32", "float64", "bool"],
)
def test_the_type_and_range_of_the_image_do_not_matter(convert):
    image, _ = field((160, 160), 20, 9)
    assert estimate([convert(image)], [PIXEL]).diameters[50] == pytest.approx(
        estimate([image], [PIXEL]).diameters[50], rel=0.05
    )


def test_hot_pixels_do_not_matter():
    image, _ = field((160, 160), 20, 9)
    hot = np.clip(200 * image + 500, 0, None).astype(np.uint16)
    plain = estimate([hot], [PIXEL])
    hot[[3, 70, 100], [9, 33, 140]] = 65_535
    assert estimate([hot], [PIXEL]).diameters[50] == pytest.approx(plain.diameters[50], rel=0.02)


def test_units_scale_lengths_and_densities_and_nothing_else():
    image, _ = field((160, 160), 20, 9)
    pixels, micrometres = estimate([image], [PIXEL]), estimate([image], [Voxel((0.25, 0.25), "um")])
    for q in QUANTILES:
        assert micrometres.diameters[q] == pytest.approx(pixels.diameters[q] / 4)
    assert micrometres.density[50] == pytest.approx(pixels.density[50] * 16)
    assert micrometres.elongation == pytest.approx(pixels.elongation)
    assert micrometres.foreground == pytest.approx(pixels.foreground)


def test_images_are_pooled_and_told_apart():
    small, large = field((160, 160), 30, 6)[0], field((160, 160), 8, 16)[0]
    seen = estimate([small, large], [PIXEL, PIXEL])
    assert [round(image.diameter / 2) for image in seen.images] == pytest.approx([6, 16], rel=0.2)
    assert seen.diameters[25] < 16 < seen.diameters[95]
    assert seen.density[5] < seen.density[95]
    assert sum(image.objects for image in seen.images) == seen.objects


def test_an_empty_image_among_others_counts_as_empty():
    full, empty = field((160, 160), 20, 9)[0], field((160, 160), 0, 9)[0]
    both, one = estimate([full, empty], [PIXEL] * 2), estimate([full], [PIXEL])
    assert both.diameters == one.diameters
    assert both.images[1].objects == 0 and both.images[1].diameter is None
    assert both.foreground == pytest.approx(one.foreground / 2)
    assert any("1 of 2 images show nothing" in note for note in both.notes)


def test_one_object_is_measured_and_called_rough():
    seen = estimate([field((128, 128), 1, 10, spread=0, seed=4)[0]], [PIXEL])
    assert seen.objects == 1
    assert seen.diameters[50] == pytest.approx(20, rel=0.1)
    assert seen.confidence < 0.5
    assert any("only 1 objects" in note for note in seen.notes)


@pytest.mark.parametrize("sigma", [0, 1, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_is_refused_or_not_trusted(sigma, seed):
    noise = np.random.default_rng(seed).standard_normal((160, 160))
    noise = ndimage.gaussian_filter(noise, sigma) if sigma else noise
    try:
        seen = estimate([noise], [PIXEL])
    except UserError as error:
        assert "none stands out" in str(error)
        return
    assert seen.confidence < 0.5
    assert seen.notes


def test_a_declared_polarity_is_taken_and_contradicted_in_a_note():
    image, _ = field((160, 160), 20, 9)
    assert estimate([image], [PIXEL], "bright").diameters == estimate([image], [PIXEL]).diameters
    seen = estimate([image], [PIXEL], "dark")
    assert seen.polarity == "dark" and seen.polarity_confidence == 0
    assert any("declared dark" in note for note in seen.notes)


def test_one_contrary_image_does_not_turn_the_vote():
    def image(asymmetry):
        return ScaleSpace(10, 5, 5, 1, asymmetry)

    assert decide_polarity([image(4), image(4), image(3), image(-400)])[0] == "bright"
    assert decide_polarity([image(-2)] * 9)[0] == "dark"
    assert decide_polarity([image(-2)] * 9)[1] > decide_polarity([image(-2)])[1]
    assert decide_polarity([image(0.5)])[1] == 0


def test_a_large_image_is_sampled_and_its_density_kept(monkeypatch):
    image = field((512, 512), 220, 9)[0]
    whole = estimate([image], [PIXEL])
    monkeypatch.setattr(module, "LOOKED_AT_VOXELS", 120_000)
    part = estimate([image], [PIXEL])
    assert part.objects < 0.6 * whole.objects
    assert part.diameters[50] == pytest.approx(whole.diameters[50], rel=0.05)
    assert part.density[50] == pytest.approx(whole.density[50], rel=0.1)


def test_outlines_say_where_they_lie():
    image, truth = field((160, 160), 20, 9)
    (box, array, labels, grid), = outlines(image, PIXEL, ScaleSpace(18, 50, 50, 0.0, 9), "bright")  # fmt: skip
    assert box == (slice(0, 160), slice(0, 160))
    assert array.shape == labels.shape == (160, 160) and grid == PIXEL
    assert labels.max() == pytest.approx(len(truth), abs=2)


def test_the_result_is_plain_and_repeatable():
    image, _ = field((96, 96), 8, 9)
    first, second = (json.dumps(asdict(estimate([image], [PIXEL])), allow_nan=False) for _ in range(2))
    assert first == second
    assert {"5", "25", "50", "75", "95"} == set(json.loads(first)["diameters"])


ONE = np.random.default_rng(0).random((32, 32)).astype(np.float32)


@pytest.mark.parametrize(
    ("images", "voxels", "polarity", "sentence"),
    [
        ([], [], None, "there is no image"),
        ([ONE], [PIXEL, PIXEL], None, "1 images but 2 voxel sizes"),
        ([ONE], [PIXEL], "black", "polarity 'black' is not known"),
        ([ONE, ONE], [PIXEL, Voxel((1.0, 1.0), "um")], None, "differ in dimensions or unit"),
        ([np.zeros((32, 32, 3))], [PIXEL], None, "its voxel size has 2 axes"),
        ([ONE[:10]], [PIXEL], None, "too small"),
        ([ONE + 1j], [PIXEL], None, "complex"),
        ([np.full((32, 32), np.nan)], [PIXEL], None, "nothing but NaN"),
        ([np.full((32, 32), np.inf)], [PIXEL], None, "infinite"),
        ([ONE.astype(np.float32), 1e38 * ONE.astype(np.float32)], [PIXEL] * 2, None, "image 1 holds .* too large"),
        ([1e300 * ONE.astype(np.float64)], [PIXEL], None, "too large to compute with"),
        ([np.ones((32, 32))], [PIXEL], None, "none stands out"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(images, voxels, polarity, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        estimate(images, voxels, polarity)
    assert "\n" not in str(error.value)


def test_an_image_that_cannot_be_measured_is_named():
    with pytest.raises(UserError, match=r"^b is 10 x "):
        estimate([ONE, ONE[:10]], [PIXEL, PIXEL], names=["a", "b"])
    with pytest.raises(UserError, match="a has 2 in px, b 2 in um"):
        estimate([ONE, ONE], [PIXEL, Voxel((1.0, 1.0), "um")], names=["a", "b"])


def test_pieces_of_walls_are_not_trusted():
    rng, walls = np.random.default_rng(0), np.zeros((48, 64, 64))
    for z, y, x in itertools.product(range(6, 48, 12), range(8, 64, 16), range(8, 64, 16)):
        walls[z : z + 2, y - 6 : y + 6, x - 6 : x + 6] = 1
    walls = ndimage.gaussian_filter(walls, 1) + 0.01 * rng.standard_normal(walls.shape)
    seen = estimate([walls], [Voxel((1.0, 1.0, 1.0), "px")], "bright")
    assert seen.evidence["shape"] < 0.5 and seen.confidence < 0.5
    assert any("pieces of walls" in note for note in seen.notes)
