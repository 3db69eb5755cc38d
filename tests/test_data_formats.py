"""Every format that is read: what its files say is kept, what they do not say is declared, and nothing is guessed."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.lazy import LUMINANCE
from cytoshift.data.volumes import image_source, open_labels, open_volumes

PX2, PX3 = Voxel((1.0, 1.0)), Voxel((2.0, 1.0, 1.0))
STACK = {"axes": "zyx", "voxel": "2,1,1", "unit": "px"}


def ramp(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def one(path: Path | str, **flags):
    (volume,) = open_volumes(image_source(path, **flags))
    return volume


# --- TIFF ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "uint32", "float32", "float64"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_plain_tiff_of_any_number_and_layout(tmp_path, dtype, options):
    image = ramp(5, 40, 30, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", **options)
    volume = one(tmp_path / "a.tif", **STACK)
    assert (volume.axes, volume.shape, volume.voxel, volume.name) == ("zyx", (5, 40, 30), PX3, "a")
    assert volume.dtype == np.dtype(dtype) and volume.load().dtype.isnative
    assert (volume.load() == image).all()
    assert (volume.array[1:5:2, 7, -4:] == image[1:5:2, 7, -4:]).all()


def test_a_plain_2d_image_needs_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ramp(20, 30), metadata=None, resolution=(72, 72), resolutionunit="INCH")
    volume = one(tmp_path / "a.tif")
    assert (volume.axes, volume.voxel) == ("yx", PX2)  # dots per inch are for printers
    assert one(tmp_path / "a.tif", voxel="0.5,0.25", unit="um").voxel == Voxel((0.5, 0.25), "um")


@pytest.mark.parametrize("unit", [b"micron", b"um", b"\\u00B5m", b"\\u03BCm", "µm".encode(), "µm".encode("latin-1")])
def test_imagej_hyperstack_with_channels_and_frames(tmp_path, unit):
    image = ramp(3, 4, 2, 16, 20)  # t z c y x
    metadata = {"axes": "TZCYX", "unit": "u" * len(unit), "spacing": 1.5}
    tifffile.imwrite(tmp_path / "h.tif", image, imagej=True, metadata=metadata, resolution=(1 / 0.2, 1 / 0.3))
    content = (tmp_path / "h.tif").read_bytes()  # as other programs spell it
    (tmp_path / "h.tif").write_bytes(content.replace(b"unit=" + b"u" * len(unit), b"unit=" + unit))
    volumes = open_volumes(image_source(tmp_path / "h.tif", channel=1))
    assert [v.name for v in volumes] == ["h_t0", "h_t1", "h_t2"]
    assert volumes[0].voxel == Voxel((1.5, 0.3, 0.2), "um")
    for t, volume in enumerate(volumes):
        assert (volume.load() == image[t, :, 1]).all()
    (last,) = open_volumes(image_source(tmp_path / "h.tif", channel=0, frames="2"))
    assert (last.load() == image[2, :, 0]).all() and "frame 2 of 3" in last.origin


def test_imagej_without_a_unit_is_not_calibrated(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ramp(5, 6), imagej=True, resolution=(3, 3))
    assert one(tmp_path / "a.tif").voxel == PX2
    tifffile.imwrite(tmp_path / "d.tif", ramp(5, 6), imagej=True, resolution=(3, 3), metadata={"unit": " "})
    assert one(tmp_path / "d.tif").voxel == PX2
    tifffile.imwrite(tmp_path / "b.tif", ramp(4, 5, 6), imagej=True, metadata={"axes": "ZYX", "spacing": 2.0})
    assert one(tmp_path / "b.tif", voxel="2,1,1", unit="px").voxel == PX3
    tifffile.imwrite(
        tmp_path / "c.tif", ramp(4, 5, 6), imagej=True, metadata={"axes": "ZYX", "spacing": 2, "unit": "pixel"}
    )
    assert one(tmp_path / "c.tif").voxel == PX3


def test_imagej_colour_map_is_only_for_the_eye(tmp_path):
    image = ramp(16, 16, dtype="uint8")
    table = np.zeros((3, 256), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, colormap=table.astype(np.uint16), photometric="palette")
    assert (one(tmp_path / "a.tif").load() == image).all()


def test_ome_tiff_in_its_own_unit(tmp_path):
    metadata = {"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    for axis, size in zip("XYZ", (100, 100, 400)):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
    image = ramp(2, 4, 10, 12)
    tifffile.imwrite(tmp_path / "a.ome.tif", image, ome=True, metadata=metadata, photometric="minisblack")
    volume = one(tmp_path / "a.ome.tif", channel=1)
    assert volume.voxel == Voxel((0.4, 0.1, 0.1), "um") and volume.name == "a"
    assert "channel 1 (GFP)" in volume.origin and (volume.load() == image[1]).all()
    with pytest.raises(UserError, match="0 DAPI, 1 GFP"):
        one(tmp_path / "a.ome.tif")


def test_levels_of_a_tiff_pyramid_keep_their_physical_size(tmp_path):
    image = ramp(64, 48)
    with tifffile.TiffWriter(tmp_path / "p.ome.tif", ome=True) as file:
        sizes = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        file.write(image, subifds=1, tile=(16, 16), metadata=sizes)
        file.write(image[::2, ::2], subfiletype=1, tile=(16, 16))
    volume = one(tmp_path / "p.ome.tif", level=1)
    assert volume.voxel == Voxel((1.0, 1.0), "um") and (volume.load() == image[::2, ::2]).all()
    assert (volume.array[3:9, 5:7] == image[::2, ::2][3:9, 5:7]).all()


def test_every_series_of_a_file_is_a_volume(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        file.write(ramp(10, 12), metadata=None)
        file.write(ramp(8, 9), metadata=None)
    first, second = open_volumes(tmp_path / "s.tif")
    assert (first.name, second.name) == ("s_s0", "s_s1") and second.shape == (8, 9)
    assert one(f"{tmp_path / 's.tif'}::1").shape == (8, 9)


def test_a_set_of_ome_files_is_one_image(tmp_path):
    uuids = ["urn:uuid:00000000-0000-0000-0000-00000000000" + n for n in "12"]
    planes = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="z{z}.ome.tif">{uuid}</UUID></TiffData>'
        for z, uuid in enumerate(uuids)
    )
    pixels = (
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="6" SizeY="5" SizeZ="2" SizeC="1" SizeT="1" '
        f'PhysicalSizeX="1" PhysicalSizeY="1" PhysicalSizeZ="2"><Channel ID="C:0"/>{planes}</Pixels>'
    )
    image = ramp(2, 5, 6)
    for z, uuid in enumerate(uuids):
        schema = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
        xml = f'<?xml version="1.0"?><OME {schema} UUID="{uuid}"><Image ID="Image:0">{pixels}</Image></OME>'
        tifffile.imwrite(tmp_path / f"z{z}.ome.tif", image[z], description=xml, metadata=None)
    volume = one(tmp_path)
    assert volume.shape == (2, 5, 6) and (volume.load() == image).all()
    (tmp_path / "z1.ome.tif").unlink()
    with pytest.raises(UserError, match="incomplete"):
        one(tmp_path)


# --- PNG, JPEG, npy, HDF5, Zarr ---------------------------------------------------------------------------------------


def test_gray_png_of_8_and_16_bits(tmp_path):
    for name, dtype in (("a", "uint8"), ("b", "uint16")):
        image = ramp(12, 9, dtype=dtype) * 2
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        volume = one(tmp_path / f"{name}.png")
        assert volume.dtype == dtype and (volume.load() == image).all()
        assert (volume.array[2:5, 1:9:3] == image[2:5, 1:9:3]).all()


def test_rgb_needs_a_channel_and_alpha_is_left_out(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (8, 10, 4), dtype=np.uint8)
    Image.fromarray(image[..., :3]).save(tmp_path / "rgb.png")
    Image.fromarray(image).save(tmp_path / "rgba.png")
    tifffile.imwrite(tmp_path / "rgb.tif", image[..., :3])
    tifffile.imwrite(
        tmp_path / "planar.tif", np.moveaxis(image[..., :3], -1, 0), photometric="rgb", planarconfig="separate"
    )
    for name in ("rgb.png", "rgba.png", "rgb.tif", "planar.tif"):
        assert (one(tmp_path / name, channel=2).load() == image[..., 2]).all()
        gray = one(tmp_path / name, channel="luminance")
        assert gray.dtype == np.uint8 and (gray.load() == np.rint(image[..., :3] @ np.array(LUMINANCE))).all()
        assert (gray.array[3, 2:4] == gray.load()[3, 2:4]).all()
        with pytest.raises(UserError, match="`channel=luminance`, or `channel=0`, 1 or 2"):
            one(tmp_path / name)
        with pytest.raises(UserError, match="pass `channel` with one of 0 red, 1 green, 2 blue"):
            one(tmp_path / name, channel=3)


def test_16_bit_colours_keep_their_bits(tmp_path):
    import imagecodecs

    image = ramp(6, 7, 3) * 500
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(image))
    assert (one(tmp_path / "deep.png", channel=1).load() == image[..., 1]).all()


def test_gray_with_alpha_is_gray(tmp_path):
    image = np.stack([ramp(6, 7, dtype="uint8"), np.full((6, 7), 255, np.uint8)], axis=-1)
    Image.fromarray(image).save(tmp_path / "la.png")
    assert (one(tmp_path / "la.png").load() == image[..., 0]).all()


def test_palette_of_an_image_is_colour_and_of_labels_an_id(tmp_path):
    ids = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(ids).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "p.png")
    assert one(tmp_path / "p.png", channel=0).load().tolist() == [[10, 40], [70, 40]]
    assert open_labels(tmp_path / "p.png")[0].load().tolist() == ids.tolist()


def test_one_bit_is_a_mask_and_no_image(tmp_path):
    mask = np.eye(9, dtype=bool)
    Image.fromarray(mask).save(tmp_path / "m.png")
    tifffile.imwrite(tmp_path / "m.tif", mask)
    np.save(tmp_path / "m.npy", mask)
    for name in ("m.png", "m.tif", "m.npy"):
        (volume,) = open_labels(tmp_path / name)
        assert volume.dtype == np.uint8 and (volume.load() == mask).all()
        with pytest.raises(UserError, match="true and false"):
            one(tmp_path / name)


def test_jpeg(tmp_path):
    Image.fromarray(np.full((16, 16), 77, np.uint8)).save(tmp_path / "a.jpg", quality=95)
    assert abs(int(one(tmp_path / "a.jpg").load().mean()) - 77) <= 1


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path, order):
    image = np.asarray(ramp(4, 5, 6), order=order)
    np.save(tmp_path / "a.npy", image)
    assert (one(tmp_path / "a.npy", **STACK).array[1:3, ::2] == image[1:3, ::2]).all()
    assert (one(tmp_path / "a.npy", **{**STACK, "axes": "xyz"}).load() == image.T).all()
    np.save(tmp_path / "b.npy", image[:1])
    assert one(tmp_path / "b.npy").axes == "yx"  # an axis of length 1 carries nothing
    assert one(tmp_path / "b.npy", **STACK).shape == (1, 5, 6)  # unless it is declared


def test_hdf5_by_dataset_with_its_metadata(tmp_path):
    image = ramp(3, 4, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = image
        file["seg/ids"] = image.astype(np.uint32)
        file["raw"].attrs["element_size_um"] = (2.0, 0.5, 0.5)
        file["raw"].attrs["axistags"] = json.dumps({"axes": [{"key": a} for a in "zyx"]})
    volume = one(f"{tmp_path / 'a.h5'}::raw")
    assert volume.voxel == Voxel((2.0, 0.5, 0.5), "um") and (volume.load() == image).all()
    (labels,) = open_labels(image_source(f"{tmp_path / 'a.h5'}::/seg/ids", **STACK))
    assert (labels.array[1] == image[1]).all()
    with pytest.raises(UserError, match=r"it has raw, seg/ids; write .*/a\.h5::raw"):
        one(tmp_path / "a.h5")


def test_hdf5_whose_groups_lead_back_to_themselves(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/raw"] = ramp(4, 5)
        file["g/above"] = file["g"]
    assert (one(tmp_path / "a.h5", axes="yx").load() == ramp(4, 5)).all()


def ngff(folder: Path, image: np.ndarray, axes: list[dict], version: int, **extra) -> Path:
    """A hand-made OME-Zarr of two levels."""
    group = zarr.create_group(folder, zarr_format=version)
    for number, step in enumerate((1, 2)):
        level = image[..., ::step, ::step]
        group.create_array(str(number), shape=level.shape, dtype=level.dtype)[...] = level
    scales = [[*([1.0] * (image.ndim - 3)), 2.0, 0.5 * step, 0.5 * step] for step in (1, 2)]
    datasets = [
        {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": s}]} for n, s in enumerate(scales)
    ]
    said = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets, **extra}]}
    said |= {"omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}}
    group.attrs.update(said if version == 2 else {"ome": {"version": "0.5", **said}})
    return folder


SPACE = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
TIMED = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *SPACE]


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_levels_channels_and_frames(tmp_path, version):
    image = ramp(2, 2, 3, 8, 10)
    path = ngff(tmp_path / "a.ome.zarr", image, TIMED, version)
    volumes = open_volumes(image_source(path, channel=1, level=1))
    assert [v.name for v in volumes] == ["a_t0", "a_t1"] and volumes[0].voxel == Voxel((2.0, 1.0, 1.0), "um")
    assert (volumes[1].load() == image[1, 1, :, ::2, ::2]).all() and "GFP" in volumes[1].origin
    assert (open_volumes(image_source(path, channel=0))[0].array[1, 2:4] == image[0, 0, 1, 2:4]).all()


def test_the_scale_of_the_whole_ome_zarr_image_counts_too(tmp_path):
    whole = {"coordinateTransformations": [{"type": "scale", "scale": [3.0, 10.0, 10.0]}]}
    path = ngff(tmp_path / "a.zarr", ramp(3, 8, 10), SPACE, 2, **whole)
    assert one(path).voxel == Voxel((6.0, 5.0, 5.0), "um")


def test_ome_zarr_without_a_scale_has_no_voxel_size(tmp_path):
    """A unit of the axes says nothing of it, nor does a scale of another number of axes."""
    for number, scale in enumerate(([], [{"type": "scale", "scale": [0.5]}])):
        path = ngff(tmp_path / f"{number}.zarr", ramp(3, 8, 10), SPACE, 3)
        said = json.loads((path / "zarr.json").read_text())
        for level in said["attributes"]["ome"]["multiscales"][0]["datasets"]:
            level["coordinateTransformations"] = scale
        (path / "zarr.json").write_text(json.dumps(said))
        with pytest.raises(UserError, match=r"voxel size of .* is not in its metadata"):
            one(path)


def test_ome_zarr_without_a_unit_asks_for_it(tmp_path):
    path = ngff(tmp_path / "a.zarr", ramp(3, 8, 10), [{"name": a, "type": "space"} for a in "zyx"], 3)
    with pytest.raises(UserError, match=r"voxel size 2,0\.5,0\.5 of .* has no unit in its metadata; pass `unit=um`"):
        one(path)
    assert one(path, unit="nm").voxel == Voxel((0.002, 0.0005, 0.0005), "um")


@pytest.mark.parametrize("version", [2, 3])
def test_bare_zarr_array_and_group(tmp_path, version):
    image = ramp(3, 8, 10)
    zarr.create_array(tmp_path / "a.zarr", data=image, zarr_format=version)
    assert (one(tmp_path / "a.zarr", **STACK).load() == image).all()
    group = zarr.create_group(tmp_path / "g.zarr", zarr_format=version)
    group.create_array("raw/s0", data=image)
    assert (one(tmp_path / "g.zarr", **STACK).load() == image).all()
    group.create_array("other", data=image + 1)
    assert (one(f"{tmp_path / 'g.zarr'}::raw/s0", **STACK).load() == image).all()
    with pytest.raises(UserError, match="it has other, raw/s0; write"):
        one(tmp_path / "g.zarr")


def test_zarr_dimension_names_are_axes(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=ramp(3, 8, 10), dimension_names=["z", "y", "x"])
    assert one(tmp_path / "a.zarr", voxel="2,1,1", unit="px").axes == "zyx"


def test_images_of_a_bioformats2raw_collection(tmp_path):
    root = zarr.create_group(tmp_path / "b.zarr", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for name in ("0", "1"):
        ngff(tmp_path / "b.zarr" / name, ramp(3, 8, 10), SPACE, 2)
    assert [v.name for v in open_volumes(tmp_path / "b.zarr")] == ["b_s0", "b_s1"]


def test_libraries_that_do_not_fit_each_other_are_no_damage_of_the_file(tmp_path, monkeypatch):
    """As tifffile 2025.5.10 and zarr 3.0.8: the file is whole, and its reader cannot be called."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))

    def unfit(*args, **kwargs):
        raise TypeError("Unsupported type for store_like: 'ZarrTiffStore'")

    monkeypatch.setattr(tifffile.TiffFile, "series", property(unfit))
    with pytest.raises(
        UserError, match=r"TypeError: Unsupported type .* see whether 'cytoshift doctor' finds"
    ) as caught:
        open_volumes(tmp_path / "a.tif")
    assert "damaged" not in str(caught.value)
