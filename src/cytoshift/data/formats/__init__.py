"""One file per family of formats: path -> pictures, with what the file says and nothing guessed."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from ...core.errors import UserError
from ..picture import Picture, explain_read_errors, format_suffix, name_stem

TIFF = (".tif", ".tiff", ".btf", ".tf8", ".lsm", ".svs", ".qptiff")
PHOTO = (".png", ".jpg", ".jpeg")
HDF5 = (".h5", ".hdf5", ".hdf")
IMARIS = (".ims",)
NUMPY = (".npy",)
ZARR = (".zarr",)
ZIPPED = (".ozx", ".zarr.zip")
NIFTI = (".nii", ".nii.gz")
MRC = (".mrc", ".rec", ".map")
VENDOR = (".czi", ".nd2", ".lif")
# What needs an extra is called so in a sentence.
READERS = dict.fromkeys(NIFTI, "NIfTI") | dict.fromkeys(MRC, "MRC") | {s: f"a {s[1:].upper()} file" for s in VENDOR}
OUTLINES = (".json", ".geojson", ".roi")  # of objects, which are no image
DECODED_BYTES = 2**28  # bytes of chunks that are decoded at once
OBJECTS = "masks"  # the folder of an image that has one mask for each object
MARKS = ("zarr.json", ".zgroup", ".zarray")  # one of these makes a folder Zarr
SUFFIXES = TIFF + PHOTO + NUMPY + HDF5 + IMARIS + ZARR + ZIPPED + NIFTI + MRC + VENDOR


def pictures(path: Path, part: str | None = None, level: int = 0, labels: bool = False) -> list[Picture]:
    """Every image of one file (or Zarr folder).

    part: what stands behind '::', a dataset of HDF5, a group of Zarr, or the number of a series or scene.
    level: of a pyramid, 0 the finest. labels: colours of a palette are object ids, and the labels of an OME-Zarr
    image are meant, not the image.
    Raises UserError where the suffix is not supported, the file is damaged, or `part` or `level` is not there.
    """
    # Each family is imported where it is needed: zarr and h5py cost half a second that a folder of TIFFs need not pay.
    suffix, name = format_suffix(path), name_stem(path)
    with explain_read_errors(path):
        if path.is_dir() and path.name == OBJECTS and suffix not in ZARR and not is_zarr(path):
            from . import object_masks

            return [object_masks.open_object_masks(path)]
        if path.is_dir() or suffix in ZIPPED:
            from . import ngff

            return ngff.open_zarr(path, name, part, level, labels)
        if suffix in TIFF:
            from . import tiff

            return tiff.open_tiff(path, name, part, level, labels)
        if suffix in IMARIS + NIFTI + MRC + PHOTO + NUMPY and part is not None:
            raise UserError(f"{path} has no part '{part}', it holds one image; leave '::{part}' out")
        if suffix in IMARIS:
            from . import imaris

            return [imaris.open_imaris(path, name, level)]
        if suffix in HDF5 + NUMPY + PHOTO + NIFTI + MRC + VENDOR:
            refuse_level(path, level)
        if suffix in HDF5:
            from . import hdf5

            return [hdf5.open_hdf5(path, name, part)]
        if suffix in NUMPY:
            from . import npy

            return [npy.open_npy(path, name, labels)]
        if suffix in PHOTO:
            from . import png_jpeg

            return [png_jpeg.open_png_jpeg(path, name, labels)]
        if suffix in READERS:
            return open_with_extra(path, name, suffix, part)
    if suffix in OUTLINES:
        raise UserError(
            f"{path} is no image; if it holds outlines of objects, cytoshift convert makes labels of them, with the "
            "image that they were drawn on as `like`"
        )
    raise UserError(
        f"{path} has the suffix '{suffix}', but only {', '.join(SUFFIXES)} can be read; convert it, for example to TIFF"
    )


def open_with_extra(path: Path, name: str, suffix: str, part: str | None) -> list[Picture]:
    """What is read by a library that is no part of the required set. Raises UserError where it is not installed."""
    from . import mrc, nifti, vendor

    try:
        if suffix in VENDOR:
            return vendor.open_scenes(path, name, part)
        return [nifti.open_nifti(path, name) if suffix in NIFTI else mrc.open_mrc(path, name)]
    except ModuleNotFoundError as error:
        extra = "czi" if suffix == ".czi" else "formats"
        raise UserError(
            f"{path} is {READERS[suffix]}, which needs the extra '{extra}' ({error.name} is missing); run pip install "
            f"'cytoshift[{extra}]'"
        ) from None


def is_zarr(folder: Path) -> bool:
    """Whether a folder holds a Zarr group or array, whatever it is called."""
    return any((folder / mark).is_file() for mark in MARKS)


@contextmanager
def limit_concurrency(array: Any) -> Iterator[None]:
    """Zarr reads ten chunks at once; of large ones as few as fit into DECODED_BYTES."""
    import zarr

    held = prod(array.chunks) * array.dtype.itemsize
    if held * 10 <= DECODED_BYTES:
        yield
        return
    with zarr.config.set({"async.concurrency": max(DECODED_BYTES // held, 1)}):
        yield


def refuse_level(path: Path, level: int) -> None:
    """Refuse a pyramid level of a format that has none."""
    if level != 0:
        raise UserError(f"{path} has no level {level}, it is not a pyramid; leave `level` out")


def number_range(count: int) -> str:
    """The numbers of `count` things, for a sentence."""
    return "0" if count == 1 else f"0 to {count - 1}"


def select_series(path: Path, part: str | None, count: int, what: str) -> list[int]:
    """Which series (or scenes) of `count` are meant: all, or the one that stands behind '::'."""
    if part is None:
        return list(range(count))
    if not part.isdecimal() or int(part) >= count:
        raise UserError(f"{path} has no {what} '{part}', it has {count}; write {path.name}::{number_range(count)}")
    return [int(part)]
