"""One file per family of formats: path -> pictures, with what the file says and nothing guessed."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from ...core.errors import UserError
from ..picture import Picture

TIFF = (".tif", ".tiff", ".btf", ".tf8")
PHOTO = (".png", ".jpg", ".jpeg")
HDF5 = (".h5", ".hdf5", ".hdf")
NUMPY = (".npy",)
ZARR = (".zarr",)
VENDOR = (".czi", ".nd2", ".lif")
READ = 2**28  # bytes of chunks that are decoded at once
MARKS = ("zarr.json", ".zgroup", ".zarray")  # one of these makes a folder Zarr
SUFFIXES = TIFF + PHOTO + NUMPY + HDF5 + ZARR + VENDOR


def pictures(path: Path, part: str | None = None, level: int = 0, labels: bool = False) -> list[Picture]:
    """Every image of one file (or Zarr folder).

    part: what stands behind '::', a dataset of HDF5, a group of Zarr, or the number of a series or scene.
    level: of a pyramid, 0 the finest. labels: colours of a palette are object ids, and the labels of an OME-Zarr
    image are meant, not the image.
    Raises UserError where the suffix is not supported, the file is damaged, or `part` or `level` is not there.
    """
    # Each family is imported where it is needed: zarr and h5py cost half a second that a folder of TIFFs need not pay.
    suffix = path.suffix.lower()
    if path.is_dir():
        from . import ngff

        return ngff.pictures(path, part, level, labels)
    if suffix in TIFF:
        from . import tiff

        return tiff.pictures(path, part, level, labels)
    if suffix in HDF5:
        from . import hdf5

        return hdf5.pictures(path, part, level)
    if suffix in VENDOR:
        from . import vendor

        return vendor.pictures(path, part, level)
    if suffix in PHOTO + NUMPY:
        from . import png_jpeg

        if part is not None:
            raise UserError(f"{path} has no part '{part}', it holds one image; leave '::{part}' out")
        refuse_level(path, level)
        return [png_jpeg.open_npy(path) if suffix in NUMPY else png_jpeg.open_png_jpeg(path, labels)]
    raise UserError(
        f"{path} has the suffix '{suffix}', but only {', '.join(SUFFIXES)} can be read; convert it, for example to TIFF"
    )


def is_zarr(folder: Path) -> bool:
    """Whether a folder holds a Zarr group or array, whatever it is called."""
    return any((folder / mark).is_file() for mark in MARKS)


@contextmanager
def limit_concurrency(array: Any) -> Iterator[None]:
    """Zarr reads ten chunks at once; of large ones as few as fit into READ bytes."""
    import zarr

    held = prod(array.chunks) * array.dtype.itemsize
    if held * 10 <= READ:
        yield
        return
    with zarr.config.set({"async.concurrency": max(READ // held, 1)}):
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
