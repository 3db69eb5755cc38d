"""Images of any format as OME-Zarr: the same voxels, axes and calibration, after a kill as well."""

import contextlib

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cytoshift.cli.convert import convert
from cytoshift.cli.main import app
from cytoshift.cli.synth import synth
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data import copy as copying
from cytoshift.data.copy import copy_array
from cytoshift.data.store import ImageStore, LabelStore, part_folder
from cytoshift.data.volumes import ImageSource, open_labels, open_volumes
from cytoshift.synth.mosaic import Mosaic

UM = Voxel((2.0, 0.5, 0.5), "um")


def run(*arguments):
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("ngff", ["0.4", "0.5"])
def test_a_hyperstack_keeps_axes_channels_and_calibration(tmp_path, ngff):
    image = np.random.default_rng(0).integers(0, 4000, (3, 5, 2, 40, 50)).astype(np.uint16)  # t z c y x
    metadata = {"axes": "TZCYX", "unit": "micron", "spacing": 2.0, "Labels": ["dna", "golgi"]}
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(2, 2), metadata=metadata)
    said = run(tmp_path / "a.tif", tmp_path / "a.ome.zarr", "--ngff", ngff)
    assert "tczyx, 3 x 2 x 5 x 40 x 50 voxels of 2 x 0.5 x 0.5 um, uint16" in said
    for channel in (0, 1):
        frames = open_volumes(ImageSource(paths=str(tmp_path / "a.ome.zarr"), channel=channel))
        assert [frame.voxel for frame in frames] == [UM] * 3
        assert all((frame.load() == image[t, :, channel]).all() for t, frame in enumerate(frames))
    assert ngff == "0.4" or "channel 1 (golgi)" in frames[0].origin
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    models = pytest.importorskip("ome_zarr_models")
    assert f"v{ngff.replace('.', '')}" in type(models.open_ome_zarr(group)).__module__


def test_slices_labels_colours_and_what_lies_in_an_image(tmp_path):
    stack = np.random.default_rng(0).integers(0, 9, (4, 20, 30)).astype(np.int32)
    (tmp_path / "s").mkdir()
    for z, plane in enumerate(stack.astype(np.uint8)):
        tifffile.imwrite(tmp_path / "s" / f"s_{z}.tif", plane)
    run(tmp_path / "s", tmp_path / "a.ome.zarr", "--axes", "zyx", "--voxel", "2,0.5,0.5", "--unit", "um")
    (again,) = open_volumes(tmp_path / "a.ome.zarr")
    assert (again.load() == stack).all() and again.voxel == UM
    np.save(tmp_path / "l.npy", stack)
    options = "--axes", "zyx", "--voxel", "2,0.5,0.5", "--unit", "um", "--labels"
    run(tmp_path / "l.npy", f"{tmp_path / 'a.ome.zarr'}::labels/nuclei", *options)
    assert (open_labels(tmp_path / "a.ome.zarr")[0].load() == stack).all()
    np.save(tmp_path / "other.npy", stack[:, 1:])
    place, more = f"{tmp_path / 'a.ome.zarr'}::labels/other", {"axes": "zyx", "voxel": "2,0.5,0.5", "unit": "um"}
    with pytest.raises(UserError, match=r"has the shape \(4, 19, 30\), .* \(4, 20, 30\); pass labels of this very"):
        convert([str(tmp_path / "other.npy")], place, labels=True, **more)
    assert not (tmp_path / "a.ome.zarr" / "labels" / "other").exists()
    colours = np.random.default_rng(0).integers(0, 255, (16, 20, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb")
    run(tmp_path / "rgb.tif", tmp_path / "rgb.ome.zarr", "--voxel", "1,1", "--unit", "px")
    assert (
        open_volumes(ImageSource(paths=str(tmp_path / "rgb.ome.zarr"), channel=2))[0].load() == colours[..., 2]
    ).all()


def test_what_cannot_be_converted_is_said(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((16, 16), np.uint8))
    files, more = [str(tmp_path / f"{n}.tif") for n in "ab"], {"voxel": "1,1", "unit": "px"}
    with pytest.raises(UserError, match=r"2 images were found.*convert"):
        convert(files, str(tmp_path / "o.ome.zarr"), **more)
    with pytest.raises(UserError, match="does not say which format"):
        convert(files[:1], str(tmp_path / "o.png"), **more)
    with pytest.raises(UserError, match="already exists"):
        convert(files[:1], files[1], **more)
    with pytest.raises(UserError, match=r"only 0.4 and 0.5"):
        convert(files[:1], str(tmp_path / "o.ome.zarr"), ngff="0.3", **more)


class Breaks:
    """An array that can be read so many times."""

    chunks = None

    def __init__(self, array, reads=10**9):
        self.array, self.shape, self.dtype, self.reads = array, array.shape, array.dtype, reads

    def __getitem__(self, region):
        self.reads -= 1
        if self.reads < 0:
            raise KeyboardInterrupt
        return self.array[region]


def test_a_copy_goes_on_after_a_kill(tmp_path):
    image = np.random.default_rng(0).integers(1, 99, (8, 40, 50)).astype(np.uint8)
    create = lambda: ImageStore.create(tmp_path / "a.zarr", image.shape, "uint8", UM, "zyx", chunks=(4, 8, 8))
    memory = copying.COPIES_OF_A_BOX * 4 * 8 * 56.0  # a box of chunks along x; 10 boxes
    with contextlib.suppress(KeyboardInterrupt):
        copy_array(Breaks(image, 9 + 4), create(), "a", memory)
    assert (create()[:4, :32] > 0).all() and (create()[4:] == 0).all()
    with (part_folder(tmp_path / "a.zarr") / ".copied").open("a") as notes:
        notes.write("1")  # a line that a killed process has not ended
    with contextlib.suppress(KeyboardInterrupt):
        copy_array(Breaks(image, 9 + 2), create(), "a", memory)
    store, rest = create(), Breaks(image)
    assert copy_array(rest, store, "a", memory) == 6 and 10**9 - rest.reads == 9 + 4
    assert (store[...] == image).all()
    assert copy_array(Breaks(image + 1), create(), "a", memory) == 0 and (create()[...] == image + 1).all()
    path = create().finish()
    assert not list(path.glob(".*")) and (open_volumes(path)[0].load() == image + 1).all()


def test_too_little_memory_is_said(tmp_path):
    store = ImageStore.create(tmp_path / "a.zarr", (8, 40, 50), "uint8", UM, "zyx")
    with pytest.raises(UserError, match=r"in pieces of 8 x 40 x 50 voxels, .* allow more by `memory`"):
        copy_array(np.zeros((8, 40, 50), np.uint8), store, "a", 1000.0)


@settings(max_examples=10, deadline=None)
@given(data=st.data(), preset=st.sampled_from(["sparse-2d", "dense-3d"]))
def test_any_box_of_a_mosaic_is_that_of_the_whole(data, preset):
    mosaic = MOSAICS[preset]
    low = [data.draw(st.integers(0, n - 1)) for n in mosaic.shape]
    region = tuple(slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(low, mosaic.shape))
    for layer, whole in zip((mosaic.image, mosaic.labels), WHOLES[preset]):
        assert (layer[region] == whole[region]).all() and layer[region].dtype == whole.dtype


MOSAICS = {"sparse-2d": Mosaic.of("sparse-2d", 1, (400, 620)), "dense-3d": Mosaic.of("dense-3d", 1, (60, 150, 170))}
WHOLES = {
    name: [m.image[(slice(None),) * len(m.shape)], m.labels[(slice(None),) * len(m.shape)]]
    for name, m in MOSAICS.items()
}


def test_objects_of_a_mosaic_are_whole_and_have_one_id_each():
    from scipy.ndimage import label

    mosaic, labels = MOSAICS["sparse-2d"], WHOLES["sparse-2d"][1]
    ids = np.unique(labels[labels > 0])
    assert ids.size > 60 and ids.max() <= mosaic.last_ids[-1]
    assert all(label(labels == i)[1] == 1 for i in ids[::7])
    crossed = labels[:, mosaic.tile[1] - 1] * labels[:, mosaic.tile[1]]
    assert not crossed.any()
    assert not all(n % t == 0 for n in (64, 128, 256) for t in mosaic.tile)


def test_synth_writes_a_large_image_with_its_truth(tmp_path):
    out = tmp_path / "m.ome.zarr"
    synth("sparse-2d", out, seed=1, shape="400,620")
    mosaic = MOSAICS["sparse-2d"]
    (image,), (labels,) = open_volumes(out), open_labels(f"{out}::labels/truth")
    assert (image.load() == WHOLES["sparse-2d"][0]).all() and image.voxel == mosaic.voxel == labels.voxel
    assert (labels.load() == WHOLES["sparse-2d"][1]).all()
    with pytest.raises(UserError, match="pass --shape"):
        synth("sparse-2d", tmp_path / "n.ome.zarr")
    with pytest.raises(UserError, match=r"has at least \(256, 256\)"):
        Mosaic.of("sparse-2d", 0, (100, 300))


def test_a_store_of_labels_keeps_its_kind(tmp_path):
    store = LabelStore.create(tmp_path / "a.zarr", (8, 8), "uint8", Voxel((1.0, 1.0)), "yx")
    copy_array(np.full((8, 8), 3, np.uint8), store, "a", 1e6)
    assert (open_labels(store.finish())[0].load() == 3).all()
