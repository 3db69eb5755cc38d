"""The smallest files of each kind that people bring, with the writer that made them.

`KINDS` has a row for each: how it is written, whose writer that is, and the words that a command needs to read it. All
show the same nuclei, `CELLS` with labels `LABELS`, in 3D `STACK` with `STACK_LABELS`, and their voxels are 0.5 um wide.
"""

import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from predicting import nuclei

CELLS, LABELS = nuclei((96, 80), 14, 0)
STACK, STACK_LABELS = nuclei((12, 48, 40), 8, 1)
SIZE, DEPTH = 0.5, 1.0  # um
UNITS = {"y": "micrometer", "x": "micrometer"}
OURS = "here, by hand after the format's description"


@dataclass(frozen=True)
class Kind:
    """A kind of input. make: writes an image and gives its path. writer: whose it is. words: of every command.

    needs: a module without which it cannot be written or read. stack: it is 3D. labels: it can hold object ids too.
    """

    title: str
    suffix: str
    make: Callable[[Path, np.ndarray], object]
    writer: str
    words: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    stack: bool = False
    labels: bool = True


def plain(path: Path, image: np.ndarray) -> None:
    tifffile.imwrite(path, image, photometric="minisblack")


def imagej(path: Path, image: np.ndarray) -> None:
    """A hyperstack of two channels."""
    both = np.stack([image[:, ::-1], image], 1)  # z, c, y, x
    metadata = {"axes": "ZCYX", "unit": "um", "spacing": DEPTH, "Labels": ["GFP", "DAPI"]}
    tifffile.imwrite(path, both, imagej=True, resolution=(1 / SIZE, 1 / SIZE), metadata=metadata)


def ome_tiff(path: Path, image: np.ndarray) -> None:
    metadata = {"axes": "CYX", "Channel": {"Name": ["GFP", "DAPI"]}}
    metadata |= {f"PhysicalSize{axis}": SIZE for axis in "XY"} | {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    tifffile.imwrite(path, np.stack([image[::-1], image]), ome=True, photometric="minisblack", metadata=metadata)


def pyramid(path: Path, image: np.ndarray) -> None:
    """OME-TIFF in tiles with a coarser level."""
    metadata = {"axes": "YX", **{f"PhysicalSize{axis}": SIZE for axis in "XY"}}
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
        file.write(image, subifds=1, tile=(32, 32), photometric="minisblack", metadata=metadata)
        file.write(image[::2, ::2], subfiletype=1, tile=(32, 32), photometric="minisblack")


def photo(path: Path, image: np.ndarray) -> None:
    eight = (image // 16).clip(0, 255).astype(np.uint8) if image.max() > 255 else image.astype(np.uint8)
    Image.fromarray(eight).save(path)


def npy(path: Path, image: np.ndarray) -> None:
    np.save(path, image)


def hdf5(path: Path, image: np.ndarray) -> None:
    """As ilastik exports it."""
    axes = [{"key": key, "typeFlags": 2, "resolution": 0, "description": ""} for key in "zyx"]
    with h5py.File(path, "w") as file:
        data = file.create_dataset("exported_data", data=image, chunks=(4, 24, 20))
        data.attrs["axistags"] = json.dumps({"axes": axes})
        data.attrs["element_size_um"] = (DEPTH, SIZE, SIZE)


def imaris(path: Path, image: np.ndarray) -> None:
    """Two channels, the arrays longer than the image along z, a coarser level."""
    letters = lambda text: np.array(list(str(text)), "S1")
    with h5py.File(path, "w") as file:
        about = file.create_group("DataSetInfo/Image").attrs
        for number, (letter, n, size) in enumerate(zip("XYZ", image.shape[::-1], (SIZE, SIZE, DEPTH))):
            about[letter], about[f"ExtMin{number}"] = letters(n), letters(10.0)
            about[f"ExtMax{number}"] = letters(10 + n * size)
        about["Unit"] = letters("um")
        for channel, name in enumerate(("GFP", "DAPI")):
            file.create_group(f"DataSetInfo/Channel {channel}").attrs["Name"] = letters(name)
            for level, step in enumerate((1, 2)):
                shown = image[::-1] if channel == 0 else image
                shown = shown[:, ::step, ::step]
                group = file.create_group(f"DataSet/ResolutionLevel {level}/TimePoint 0/Channel {channel}")
                for letter, n in zip("ZYX", shown.shape):
                    group.attrs[f"ImageSize{letter}"] = letters(n)
                padded = np.pad(shown, [(0, 4), (0, 0), (0, 0)])
                group.create_dataset("Data", data=padded, chunks=(8, 24, 20), compression="gzip")


def ome_zarr(version: str) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, image: np.ndarray) -> None:
        from ome_zarr.format import FormatV04, FormatV05
        from ome_zarr.writer import write_image

        group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
        write_image(
            np.stack([image[::-1], image]), group, axes="cyx", scale={"y": SIZE, "x": SIZE}, axes_units=UNITS,
            scale_factors=[{"y": 2, "x": 2}], fmt=FormatV04() if version == "0.4" else FormatV05(),
        )  # fmt: skip
        names = {"omero": {"channels": [{"label": name} for name in ("GFP", "DAPI")]}}
        group.attrs.update(names if version == "0.4" else {"ome": {**group.attrs["ome"], **names}})

    return write


def plate(path: Path, image: np.ndarray) -> None:
    """Two wells of two fields."""
    from ome_zarr.format import FormatV04
    from ome_zarr.writer import write_image, write_plate_metadata, write_well_metadata

    group = zarr.open_group(path, mode="w", zarr_format=2)
    write_plate_metadata(group, ["A"], ["1", "2"], ["A/1", "A/2"], fmt=FormatV04())
    for well in ("A/1", "A/2"):
        inside = group.require_group(well)
        write_well_metadata(inside, ["0", "1"], fmt=FormatV04())
        for field in range(2):
            write_image(
                np.roll(image, 8 * field, axis=1), inside.require_group(str(field)), axes="yx", scale_factors=[],
                scale={"y": SIZE, "x": SIZE}, axes_units=UNITS, fmt=FormatV04(),
            )  # fmt: skip


def zipped(path: Path, image: np.ndarray) -> None:
    """The files of a folder in a zip, not compressed once more."""
    folder = path.with_name("zipped.ome.zarr")
    ome_zarr("0.5")(folder, image)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, file.relative_to(folder).as_posix())
    shutil.rmtree(folder)


def nifti(path: Path, image: np.ndarray) -> None:
    import nibabel

    one = nibabel.Nifti1Image(np.ascontiguousarray(image.transpose(2, 1, 0)), np.diag([SIZE, SIZE, DEPTH, 1.0]))
    one.header.set_xyzt_units("micron")
    nibabel.save(one, path)


def mrc(path: Path, image: np.ndarray) -> None:
    import mrcfile

    with mrcfile.new(path) as file:
        file.set_data(image.astype(np.uint16))
        file.set_volume()
        file.voxel_size = (SIZE * 1e4, SIZE * 1e4, DEPTH * 1e4)


def lsm(path: Path, image: np.ndarray) -> None:
    """Planes of three channels, with the structure of Zeiss and the names of its channels."""
    names = b"".join(struct.pack("<I", len(name) + 1) + name + b"\0" for name in (b"GFP", b"DAPI", b"RFP"))
    colours = struct.pack("<IIIIII", 24 + 12 + len(names), 3, 3, 24, 36, 0) + bytes(12) + names
    planes = np.stack([image[:, ::-1], image, image // 2], 1)
    size = sum(np.dtype(kind).itemsize for _, kind in tifffile.TIFF.CZ_LSMINFO)

    def info(offset: int) -> bytes:
        known = {
            "MagicNumber": 0x0400494C, "StructureSize": size, "DimensionX": image.shape[2],
            "DimensionY": image.shape[1], "DimensionZ": image.shape[0], "DimensionChannels": 3, "DimensionTime": 1,
            "DataType": 2, "VoxelSizeX": SIZE * 1e-6, "VoxelSizeY": SIZE * 1e-6, "VoxelSizeZ": DEPTH * 1e-6,
            "OffsetChannelColors": offset,
        }  # fmt: skip
        out = b""
        for name, kind in tifffile.TIFF.CZ_LSMINFO:
            count = int(kind[:-2] or 1) if kind[-2] in "iuf" and kind[0].isdigit() and len(kind) > 2 else 1
            code = {"u4": "I", "i4": "i", "f8": "d", "u2": "H"}[kind[-2:]]
            out += struct.pack(f"<{count}{code}", *([known.get(name, 0)] + [0] * (count - 1)))
        return out

    def write(offset: int) -> None:
        with tifffile.TiffWriter(path, byteorder="<") as file:
            for number, plane in enumerate(planes):
                tags = [(34412, 1, len(info(0)), info(offset), True)] if number == 0 else []
                file.write(
                    plane, planarconfig="separate", photometric="minisblack", extratags=tags, metadata=None,
                    subfiletype=0, software=False,
                )  # fmt: skip
                file.write(np.zeros((3, 8, 8), np.uint8), planarconfig="separate", photometric="rgb", metadata=None,
                           subfiletype=1)  # fmt: skip

    write(0)
    write(path.stat().st_size)
    with path.open("ab") as file:
        file.write(colours)


def svs(path: Path, image: np.ndarray) -> None:
    """The slide in colours, a thumbnail, a coarser level, the label of the glass."""
    light = 255 - (image // 16).clip(0, 230).astype(np.uint8)
    slide = np.stack([light, light // 2 + 100, light], -1)
    about = f"Aperio Image Library v1.0\n80x96 [0,0 80x96] (32x32) JPEG/RGB Q=70|AppMag = 20|MPP = {SIZE}"
    with tifffile.TiffWriter(path) as file:
        file.write(slide, tile=(32, 32), photometric="rgb", description=about, metadata=None)
        file.write(slide[::4, ::4].copy(), photometric="rgb", metadata=None)
        file.write(slide[::2, ::2].copy(), tile=(32, 32), photometric="rgb", description=about, metadata=None)
        file.write(np.zeros((20, 20, 3), np.uint8), photometric="rgb", metadata=None, subfiletype=1)
        file.write(np.zeros((20, 30, 3), np.uint8), photometric="rgb", metadata=None, subfiletype=9)


def qptiff(path: Path, image: np.ndarray) -> None:
    """A page for each channel, a thumbnail, a coarser level."""
    text = (
        '<?xml version="1.0" encoding="utf-16"?><PerkinElmer-QPI-ImageDescription>{}</PerkinElmer-QPI-ImageDescription>'
    )
    both = (image[::-1], image)
    names = ("<Name>GFP</Name>", "<Name>filter 1</Name><Biomarker>DAPI</Biomarker>")
    resolution = {"resolution": (1e4 / SIZE, 1e4 / SIZE), "resolutionunit": "CENTIMETER"}
    how = {"photometric": "minisblack", "metadata": None, "software": "PerkinElmer-QPI"}
    with tifffile.TiffWriter(path) as file:
        for name, one in zip(names, both):
            file.write(one, tile=(32, 32), description=text.format(name), **resolution, **how)
        file.write(np.zeros((24, 20, 3), np.uint8), photometric="rgb", metadata=None)
        for name, one in zip(names, both):
            file.write(one[::2, ::2].copy(), tile=(32, 32), description=text.format(name), **how)


def czi(path: Path, image: np.ndarray) -> None:
    writer: ModuleType = pytest.importorskip("pylibCZIrw.czi")
    with writer.create_czi(str(path)) as file:
        for c, z in np.ndindex(2, len(image)):
            plane = (image[::-1] if c == 0 else image)[z]
            file.write(data=np.ascontiguousarray(plane)[..., None], plane={"C": c, "Z": z, "T": 0})
        file.write_metadata(
            document_name="a", channel_names={0: "GFP", 1: "DAPI"}, scale_x=SIZE * 1e-6, scale_y=SIZE * 1e-6,
            scale_z=DEPTH * 1e-6,
        )  # fmt: skip


VOXEL2, VOXEL3 = ("--voxel", "0.5,0.5", "--unit", "um"), ("--voxel", "1,0.5,0.5", "--unit", "um")
DAPI = ("--channel", "DAPI")
KINDS = (
    Kind("TIFF", ".tif", plain, "tifffile", VOXEL2),
    Kind("ImageJ TIFF", ".tif", imagej, "tifffile", DAPI, stack=True, labels=False),
    Kind("OME-TIFF", ".ome.tif", ome_tiff, "tifffile", DAPI, labels=False),
    Kind("OME-TIFF with a pyramid", ".ome.tif", pyramid, "tifffile"),
    Kind("LSM", ".lsm", lsm, OURS, DAPI, stack=True, labels=False),
    Kind("SVS", ".svs", svs, OURS, ("--channel", "luminance"), labels=False),
    Kind("QPTIFF", ".qptiff", qptiff, OURS, DAPI, labels=False),
    Kind("PNG", ".png", photo, "Pillow", VOXEL2),
    Kind("JPEG", ".jpg", photo, "Pillow", VOXEL2, labels=False),
    Kind("NumPy", ".npy", npy, "NumPy", VOXEL2),
    Kind("HDF5 of ilastik", ".h5", hdf5, "h5py", stack=True),
    Kind("Imaris", ".ims", imaris, "h5py, " + OURS, DAPI, stack=True, labels=False),
    Kind("OME-Zarr 0.4", ".ome.zarr", ome_zarr("0.4"), "ome-zarr", DAPI, ("ome_zarr",), labels=False),
    Kind("OME-Zarr 0.5", ".ome.zarr", ome_zarr("0.5"), "ome-zarr", DAPI, ("ome_zarr",), labels=False),
    Kind("Zipped OME-Zarr", ".ozx", zipped, "ome-zarr", DAPI, ("ome_zarr",), labels=False),
    Kind("HCS plate", ".zarr", plate, "ome-zarr", needs=("ome_zarr",)),
    Kind("NIfTI", ".nii.gz", nifti, "nibabel", needs=("nibabel",), stack=True),
    Kind("MRC", ".mrc", mrc, "mrcfile", needs=("mrcfile",), stack=True),
    Kind("CZI", ".czi", czi, "pylibCZIrw, of Zeiss", DAPI, ("pylibCZIrw", "bioio_czi"), stack=True, labels=False),
)
