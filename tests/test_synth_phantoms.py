import numpy as np
import pytest

from cytoshift.cli.inputs import whole_numbers
from cytoshift.cli.synth import synth
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.synth import PHANTOMS, Optics, phantom, render
from cytoshift.synth.optics import Camera, Debris, Stain, blob, domes, draw_debris, grain, record_photons

UM = Voxel((0.5, 0.5), "um")
BARE = Optics(
    haze=0, background=0, gradient=0, mottle=0, stain=Stain(variation=0, chromatin=0, nucleoli=(0, 0), dome=0)
)  # fmt: skip


def disc(shape=(64, 64), radius=12):
    grid = np.indices(shape) - np.array(shape).reshape(-1, *[1] * len(shape)) // 2
    return ((grid**2).sum(axis=0) < radius**2).astype(np.int32)


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", PHANTOMS)
def test_every_preset_is_a_microscope_image(name):
    kind = PHANTOMS[name]
    shape = (96, 112) if len(kind.shape) == 2 else (32, 96, 88)
    image, labels, voxel = phantom(name, 0, shape)
    assert image.shape == labels.shape == shape and voxel == kind.voxel and voxel.unit == "um"
    assert image.dtype == (np.uint8 if kind.optics.camera.bits == 8 else np.uint16) and labels.dtype == np.int32
    assert labels.max() >= 1
    inside, outside = image[labels > 0], image[labels == 0]
    assert np.median(inside) > 1.5 * np.median(outside)
    assert (image == np.iinfo(image.dtype).max).mean() < 0.02  # hardly anything saturates
    again = phantom(name, 0, shape)
    assert (again[0] == image).all() and (again[1] == labels).all()
    assert (phantom(name, 0, shape, index=1)[1] != labels).any()
    assert (phantom(name, 1, shape)[1] != labels).any()


def test_presets_come_in_levels():
    assert {f"hl60-3d-{level}{noise}" for level in ("00", "25", "50", "75") for noise in ("", "-noisy")} < set(PHANTOMS)
    assert [PHANTOMS[f"hl60-3d-{level}"].prior.clustering for level in ("00", "25", "50", "75")] == [0, 0.25, 0.5, 0.75]


def test_wrong_wishes_name_the_cure():
    with pytest.raises(UserError, match="there is no preset 'hela'; there are sparse-2d, dense-2d"):
        phantom("hela", 0)
    with pytest.raises(UserError, match="give 2 sizes"):
        phantom("sparse-2d", 0, (8, 64, 64))
    with pytest.raises(UserError, match="at least 8"):
        phantom("sparse-2d", 0, (4, 64))
    with pytest.raises(UserError, match="one size per axis"):
        render(np.zeros((8, 8, 8), int), UM, BARE, rng())


def test_an_empty_field_is_background_and_noise():
    image = render(np.zeros((64, 64), np.int32), UM, Optics(gradient=0, mottle=0, background=0.1), rng())
    camera = Camera()
    expected = (camera.offset + 0.1 * camera.photons / camera.full) * 65535
    assert image.mean() == pytest.approx(expected, rel=0.02)


def test_noise_is_poisson_and_read_noise():
    camera = Camera(photons=100, read=5, full=4000, offset=0.1)
    grey = record_photons(np.ones((300, 300), np.float32), camera, rng()).astype(float)
    photons = (grey / 65535 - 0.1) * 4000
    assert photons.mean() == pytest.approx(100, rel=0.01)
    assert photons.var() == pytest.approx(100 + 25, rel=0.03)


@pytest.mark.parametrize(("bits", "dtype", "top"), [(8, np.uint8, 255), (12, np.uint16, 4095), (16, np.uint16, 65535)])
def test_the_camera_saturates_at_its_depth(bits, dtype, top):
    image = record_photons(np.full((8, 8), 99, np.float32), Camera(bits=bits), rng())
    assert image.dtype == dtype and (image == top).all()


def test_the_point_spread_is_longer_along_z():
    labels = np.zeros((41, 41, 41), np.int32)
    labels[20, 20, 20] = 1
    quiet = BARE.model_copy(update={"camera": Camera(photons=1e7, read=0, full=1e6, offset=0), "psf": (1.0, 2.0)})
    image = render(labels, Voxel((1.0, 0.5, 0.5), "um"), quiet, rng()).astype(float)
    for axis, size, sigma in ((0, 1.0, 2.0), (1, 0.5, 1.0), (2, 0.5, 1.0)):
        profile = image.sum(axis=tuple({0, 1, 2} - {axis}))
        where = (np.arange(41) - 20) * size
        assert np.sqrt((profile * where**2).sum() / profile.sum()) == pytest.approx(sigma, rel=0.05)


def test_light_fades_with_depth():
    labels = np.ones((40, 12, 12), np.int32)
    optics = BARE.model_copy(update={"attenuation": 20.0, "camera": Camera(photons=400, read=0, offset=0)})
    image = render(labels, Voxel((1.0, 1.0, 1.0), "um"), optics, rng()).mean(axis=(1, 2))
    assert image[30] / image[10] == pytest.approx(np.exp(-1), rel=0.03)


def test_nuclei_differ_and_have_texture():
    labels = np.zeros((60, 200), np.int32)
    for own in range(6):
        labels[10:50, 5 + 32 * own : 33 + 32 * own] = own + 1
    flat = render(labels, UM, BARE, rng()).astype(float)
    levels = BARE.model_copy(update={"stain": BARE.stain.model_copy(update={"variation": 0.4})})
    varied = render(labels, UM, levels, rng()).astype(float)
    mean = lambda image: np.array([image[15:45, 12 + 32 * own : 26 + 32 * own].mean() for own in range(6)])
    assert mean(flat).std() / mean(flat).mean() < 0.02 < 0.15 < mean(varied).std() / mean(varied).mean()
    textured = BARE.model_copy(update={"stain": BARE.stain.model_copy(update={"chromatin": 0.4, "grain": 1.5})})
    core = render(labels, UM, textured, rng())[15:45, 12:26].astype(float)
    assert core.std() > 2 * flat[15:45, 12:26].std()
    dark = BARE.model_copy(update={"stain": BARE.stain.model_copy(update={"nucleoli": (3, 3)})})
    assert render(labels, UM, dark, rng())[15:45, 12:26].mean() < 0.97 * flat[15:45, 12:26].mean()


def test_grain_is_band_passed():
    noise = grain((256, 256), np.array([3.0, 3.0]), rng())
    assert noise.std() == pytest.approx(1, rel=1e-3) and abs(noise.mean()) < 0.02
    power = np.abs(np.fft.fft2(noise))[0] ** 2
    assert power[8:24].mean() > 5 * power[1:3].mean() and power[8:24].mean() > 100 * power[80:128].mean()


def test_a_dome_is_high_in_the_middle():
    dome = domes(disc(), np.ones(2))
    assert dome[32, 32] == pytest.approx(1, abs=1e-3) and dome[32, 21] < 0.5
    assert (domes(np.ones((4, 4), int), np.ones(2)) == 1).all()


def test_debris_glows_and_stays_inside():
    light = draw_debris((40, 50, 60), np.array([1.0, 0.5, 0.5]), Debris(specks=0.01, ghosts=0.001, ghost=(4, 8)), rng())
    assert light.shape == (40, 50, 60) and light.min() >= 0 and 0.3 < light.max() < 4
    assert draw_debris((8, 8), np.ones(2), Debris(), rng()).max() == 0
    corner = np.zeros((9, 9), np.float32)
    blob(corner, np.array([0.0, 9.0]), np.array([1.0, 2.0]), 2.0)
    assert np.unravel_index(corner.argmax(), corner.shape) == (0, 8)


def test_the_verb_writes_pairs_and_a_contact_sheet(tmp_path, capsys):
    import tifffile
    from PIL import Image

    synth("dense-2d", tmp_path, number=2, seed=3, shape="64,96")
    synth("hl60-3d-25", tmp_path, number=1, shape="12x40x48")
    for folder in ("images", "labels"):
        names = sorted(path.name for path in (tmp_path / folder).iterdir())
        assert names == ["dense-2d_000.tif", "dense-2d_001.tif", "hl60-3d-25_000.tif"]
    image, labels, _ = phantom("dense-2d", 3, (64, 96), index=1)
    assert (tifffile.imread(tmp_path / "images" / "dense-2d_001.tif") == image).all()
    assert (tifffile.imread(tmp_path / "labels" / "dense-2d_001.tif") == labels).all()
    with Image.open(tmp_path / "contact.png") as sheet:
        assert sheet.width > 600 and sheet.height > 200
    assert "contact.png" in capsys.readouterr().out
    with pytest.raises(UserError, match="--shape"):
        whole_numbers("64;64", "--shape")
