import numpy as np
import pytest
from scipy import ndimage

from cytoshift.cli.synth import synth
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.labels.objects import objects
from cytoshift.synth import PAIRS, pair
from cytoshift.synth.expansion import Expansion
from cytoshift.synth.optics import Camera, Debris
from cytoshift.synth.pairs import SIDES, SWELLING, TISSUE, smooth_landscape
from cytoshift.synth.ultrastructure import (
    ARTEFACTS,
    Sections,
    Ultrastructure,
    cut_section,
    damage_section,
    draw_walls,
    mosaic,
    nearest_object,
)

SMALL = {2: (128, 144), 3: (16, 72, 80)}
QUIET = Ultrastructure(sections=Sections(brightness=0, contrast=0, drift=0, artefacts=0, shading=0), noise=0)


def rng(seed=0):
    return np.random.default_rng(seed)


def small(name, side, seed=0, index=0):
    return pair(name, side, seed, SMALL[len(PAIRS[name].shape)], index)


def ball(shape=(12, 48, 48), radius=2.2):
    grid = (np.indices(shape).T + 0.5 - np.array(shape) / 2) * TISSUE.size
    away = np.sqrt((grid**2).sum(axis=-1).T)
    return (away < radius).astype(np.int32)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", PAIRS)
def test_a_seed_gives_the_same_bytes_and_another_something_else(name, side):
    image, labels, voxel = small(name, side)
    assert image.shape == labels.shape == SMALL[image.ndim] and voxel.ndim == image.ndim and voxel.unit == "um"
    assert image.dtype == (np.uint8 if side == "source" else np.uint16) and labels.dtype == np.int32
    assert (np.unique(labels) == np.arange(labels.max() + 1)).all() and labels.max() > 3
    again = small(name, side)
    assert again[0].tobytes() == image.tobytes() and again[1].tobytes() == labels.tobytes()
    assert (small(name, side, index=1)[1] != labels).any()
    assert (small(name, side, seed=1)[1] != labels).any()


@pytest.mark.parametrize(("name", "shape"), [("em-to-expansion", (24, 112, 112)), ("em-to-expansion-2d", (224, 224))])
def test_sides_show_different_samples_of_one_population(name, shape):
    samples = {side: [pair(name, side, 0, shape, index=k)[:2] for k in range(2)] for side in SIDES}
    assert not any((a == b).all() for (_, a), (_, b) in zip(samples["source"], samples["target"]))
    voxel = Voxel(TISSUE.size[-len(shape) :], "um")
    medians = [np.median(np.concatenate([whole(labels, voxel) for _, labels in samples[side]])) for side in SIDES]
    assert medians[0] == pytest.approx(medians[1], rel=0.12)
    assert all(13 < median / voxel.size[-1] < 21 for median in medians)  # laptop-sized: 14 to 20 voxels in the plane
    fill = [np.mean([(labels > 0).mean() for _, labels in samples[side]]) for side in SIDES]
    assert fill[0] == pytest.approx(fill[1], abs=0.1) and min(fill) > 0.18
    # Bright on one side; on the other no threshold finds them, in either direction.
    assert all(contrast(image, labels) > 1 for image, labels in samples["target"])
    assert all(-0.8 < contrast(image, labels) < 0.2 for image, labels in samples["source"])


def contrast(image, labels):
    """Inside minus outside, in standard deviations of the image."""
    return (image[labels > 0].mean() - image[labels == 0].mean()) / image.std()


def whole(labels, voxel):
    """Diameters of the objects that no border cuts."""
    cut_ids = np.concatenate([np.unique(labels.take([0, -1], axis=axis)) for axis in range(labels.ndim)])
    found = objects(labels, voxel)
    return found.diameter[~np.isin(np.arange(1, labels.max() + 1), cut_ids)]


def test_nuclei_are_in_one_piece_and_apart_in_the_plane():
    _, labels, _ = small("em-to-expansion", "source")
    for own, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == own)[1] == 1
    for axis in (1, 2):
        a, b = np.moveaxis(labels, axis, 0)[1:], np.moveaxis(labels, axis, 0)[:-1]
        assert not ((a != b) & (a > 0) & (b > 0)).any()


def test_in_electron_micrographs_the_envelope_is_darker_than_both_its_sides():
    labels = ball()
    image = QUIET.image(labels, TISSUE, rng()).astype(float)
    depth = ndimage.distance_transform_edt(labels, sampling=TISSUE.size)
    away = ndimage.distance_transform_edt(labels == 0, sampling=TISSUE.size)
    envelope = image[(depth > 0) & (depth < 0.25)].mean()
    assert envelope < image[depth > 1].mean() - 10
    assert envelope < image[(away > 0.2) & (away < 0.45)].mean() - 20


def test_sections_have_a_fate_of_their_own():
    section = np.full((40, 60), 0.5, np.float32)
    size = np.array(TISSUE.size[1:])
    calm = Sections(brightness=0, contrast=0, drift=0, artefacts=0, shading=0)
    assert cut_section(section, size, calm, rng()) == pytest.approx(section)
    bright = [cut_section(section, size, calm.model_copy(update={"brightness": 0.1}), rng(k)).mean() for k in range(20)]
    assert 0.05 < np.std(bright) < 0.2
    striped = np.tile(np.arange(60, dtype=np.float32) % 8 / 8, (40, 1))
    moved = cut_section(striped, size, calm.model_copy(update={"drift": 0.2}), rng())
    assert abs(moved - striped).mean() > 0.02


def test_each_artefact_does_what_it_is_called():
    texture = 0.5 + 0.1 * rng().standard_normal((120, 120)).astype(np.float32)
    size = np.array(TISSUE.size[1:])
    done = {kind: damage_section(texture, kind, size, rng(3)) for kind in ARTEFACTS}
    assert all(section.shape == texture.shape and section.dtype == np.float32 for section in done.values())
    assert 0.005 < (done["fold"] < 0.15).mean() < 0.2
    assert 0.02 < (done["gap"] > 0.9).mean() < 0.5
    assert done["dirt"].mean() < texture.mean() and (done["dirt"] < 0.15).any()
    assert done["unfocused"].std() < 0.6 * texture.std()


def test_puncta_make_nuclei_rough_and_the_stack_is_long_along_z():
    labels = ball()
    rough, smooth = (Expansion(glow=glow).image(labels, TISSUE, rng()).astype(float) for glow in (0.5, 0.0))
    assert rough[labels > 0].std() > 1.2 * smooth[labels > 0].std()
    point = np.zeros((21, 41, 41), np.int32)
    point[10, 20, 20] = 1
    optics = Expansion().optics
    bare = optics.model_copy(update={"haze": 0, "background": 0, "attenuation": None, "debris": Debris()})
    spot = Expansion(
        glow=0,
        cytoplasm=0,
        stray=0,
        damp=0,
        optics=bare.model_copy(update={"camera": Camera(photons=1e6, read=0, full=1e5, offset=0.03, bits=12)}),
    )
    grey = spot.image(point, TISSUE, rng()).astype(float) - 0.03 * 4095
    z, _, x = TISSUE.size
    along = np.sqrt((grey[:, 20, 20] * ((np.arange(21) - 10) * z) ** 2).sum() / grey[:, 20, 20].sum())
    across = np.sqrt((grey[10, 20] * ((np.arange(41) - 20) * x) ** 2).sum() / grey[10, 20].sum())
    assert along > 2 * across


def test_the_raw_pair_declares_other_scales_on_each_side():
    source, target = (small("em-to-expansion-raw", side)[2] for side in SIDES)
    assert source.size == (0.3, 0.3, 0.3)
    assert target.size == pytest.approx((2.5, 1.3, 1.3))  # 0.325 um, four by four
    assert TISSUE.size == pytest.approx([s / SWELLING for s in target.size])


def test_tissue_without_nuclei_is_tissue():
    empty = np.zeros((6, 40, 40), np.int32)
    image = Ultrastructure().image(empty, TISSUE, rng())
    assert 80 < image.mean() < 160 and image.std() > 5
    assert Expansion().image(empty, TISSUE, rng()).mean() < 1000
    flat = Ultrastructure().image(np.zeros((40, 40), np.int32), Voxel((0.2, 0.2), "um"), rng())
    assert flat.shape == (40, 40)


def test_parts():
    row = np.array([[[1, 1, 2], [1, 1, 2], [0, 0, 0]]])
    assert (draw_walls(row)[0] == [[0, 1, 0], [1, 1, 1], [0, 0, 0]]).all()
    away, own = nearest_object(np.array([[[3, 0, 0, 0, 5]]]), np.array([1.0, 1.0, 0.5]))
    assert (own == [[[3, 3, 3, 5, 5]]]).all() or (own == [[[3, 3, 5, 5, 5]]]).all()
    assert (away == [[[0, 0.5, 1.0, 0.5, 0]]]).all()
    cells = mosaic((4, 30, 30), 1.0, np.array([0.3, 0.2, 0.2]), rng())
    number = len(np.unique(cells))
    assert 20 < number < 80  # 43 um^3 of cells of 1 um^3
    field = smooth_landscape((8, 64, 64), np.array([8.0, 16.0, 16.0]), rng())
    assert field.shape == (8, 64, 64) and np.abs(np.diff(field, axis=2)).max() < 0.5


def test_wrong_wishes_name_the_cure():
    with pytest.raises(UserError, match="there is no pair 'em'; there are em-to-expansion"):
        pair("em", "source", 0)
    with pytest.raises(UserError, match="no side 'left'; it has source and target"):
        pair("em-to-expansion", "left", 0)
    with pytest.raises(UserError, match="give 3 sizes"):
        pair("em-to-expansion", "source", 0, (64, 64))
    for look in (Ultrastructure(), Expansion()):
        with pytest.raises(UserError, match="one size per axis"):
            look.image(np.zeros((8, 8), int), TISSUE, rng())
    with pytest.raises(UserError, match="declare the voxel size"):
        Ultrastructure().image(np.zeros((8, 8, 8), int), Voxel((2, 1, 1)), rng())


def test_the_verb_writes_both_sides(tmp_path, capsys):
    import tifffile

    synth("em-to-expansion", tmp_path, number=2, seed=3, shape="8x48x56")
    for side in SIDES:
        names = ["em-to-expansion_000.tif", "em-to-expansion_001.tif"]
        assert sorted(path.name for path in (tmp_path / side / "images").iterdir()) == names
        image, labels, _ = pair("em-to-expansion", side, 3, (8, 48, 56), index=1)
        assert (tifffile.imread(tmp_path / side / "images" / names[1]) == image).all()
        assert (tifffile.imread(tmp_path / side / "labels" / names[1]) == labels).all()
    assert (tmp_path / "contact.png").exists() and "on each side" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"there are sparse-2d, .*em-to-expansion-2d"):
        synth("hela", tmp_path)
