"""Results as files that other programs open, with the calibration of the image they belong to."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.voxel import MICROMETRE, Voxel
from ..labels.dtypes import smallest_dtype
from .multiscale import Ngff, chunks_of, create_level, describe_levels, keep_notes, list_labels, place_inside
from .picture import name_stem
from .pyramid import build_pyramid

CLASSIC_TIFF_BYTES = 2**32 - 2**25  # bytes of pixels that fit into a TIFF with 32-bit offsets, headers aside
IMAGEJ_TYPES = (np.uint8, np.uint16, np.float32)  # what ImageJ's own TIFFs hold


def write_labels(
    path: Path | str, labels: NDArray[np.generic], voxel: Voxel, axes: str, ngff: Ngff = "0.5", mark: str | None = None
) -> Path:
    """Write a label image with its calibration. The file is written whole or not at all.

    Parameters
    ----------
    path
        `.tif` or `.tiff`: an ImageJ TIFF, or OME-TIFF for `.ome.tif` and where ImageJ's TIFF cannot hold the array;
        BigTIFF above 4 GB. `.zarr`: an OME-Zarr pyramid. `image.ome.zarr::labels/nuclei`: labels inside an OME-Zarr
        image.
    labels
        (Y, X) or (Z, Y, X) integers from 0. Stored with the smallest unsigned type that holds them.
    voxel
        Voxel size.
    axes
        "yx" or "zyx".
    ngff
        Version of OME-Zarr, "0.5" (Zarr v3) or "0.4" (Zarr v2). Labels inside an image take that of the image.
        Default: "0.5".
    mark
        What the labels are known by: the software of a TIFF, an attribute of an OME-Zarr.

    Returns
    -------
    Path
        The place that was written.

    Raises
    ------
    UserError
        For ids that are not whole numbers from 0, and for places that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "labels.tif"
    >>> write_labels(place, np.array([[0, 1], [2, 2]]), Voxel((0.5, 0.5), "um"), "yx").name
    'labels.tif'
    """
    labels = np.asarray(labels)
    check_array(labels, voxel, axes, "labels")
    if labels.dtype.kind not in "uib":
        raise UserError(f"labels are {labels.dtype}, but object ids are whole numbers; round them to an integer dtype")
    if labels.min() < 0:
        raise UserError(f"labels hold {labels.min()}, but object ids start at 0; renumber them")
    return write_array(
        Path(path), labels.astype(smallest_dtype(int(labels.max())), copy=False), voxel, axes, ngff, True, mark
    )


def write_image(path: Path | str, image: NDArray[np.generic], voxel: Voxel, axes: str, ngff: Ngff = "0.5") -> Path:
    """Write an image with its calibration. The file is written whole or not at all.

    Parameters
    ----------
    path
        As of `write_labels`, without labels inside an image.
    image
        (Y, X) or (Z, Y, X) of uint8, uint16 or float32.
    voxel
        Voxel size.
    axes
        "yx" or "zyx".
    ngff
        As of `write_labels`.

    Returns
    -------
    Path
        The place that was written.

    Raises
    ------
    UserError
        For other types, and for places that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "image.tif"
    >>> write_image(place, np.zeros((4, 4), np.uint8), Voxel((0.5, 0.5), "um"), "yx").name
    'image.tif'
    """
    image = np.asarray(image)
    check_array(image, voxel, axes, "image")
    if image.dtype.newbyteorder("=") not in IMAGEJ_TYPES:
        raise UserError(
            f"image is {image.dtype}, but only uint8, uint16 and float32 are written; convert it to one of these"
        )
    return write_array(Path(path), image, voxel, axes, ngff, False)


def check_array(array: NDArray[np.generic], voxel: Voxel, axes: str, what: str) -> None:
    if axes not in ("yx", "zyx") or array.ndim != len(axes) or voxel.ndim != len(axes):
        raise UserError(f"{what} of shape {array.shape} with axes '{axes}' and voxel size {voxel} cannot be written; "
                        "all three need one entry per axis of yx or zyx")  # fmt: skip
    if array.size == 0:
        raise UserError(f"{what} of shape {array.shape} hold nothing to write; check the step before")


def write_array(
    path: Path, array: NDArray[np.generic], voxel: Voxel, axes: str, ngff: Ngff, labels: bool, mark: str | None = None
) -> Path:
    head, inside, part = str(path).partition("::")
    suffix = Path(head).suffix.lower()
    if inside and labels:
        return write_into(Path(head), part, array, voxel, axes, mark)
    if suffix in (".tif", ".tiff") and not inside:
        with atomic_path(path) as temporary:
            write_tiff(temporary, array, array.shape, array.dtype, voxel, axes, is_ome_name(path), mark)
    elif suffix == ".zarr" and not inside:
        with atomic_path(path) as temporary:
            write_ngff(temporary, array, voxel, axes, ngff, labels, name_stem(path), mark)
    else:
        raise UserError(f"{path} cannot be written as '{suffix}'; choose .tif, .ome.tif or .ome.zarr")
    return path


def is_ome_name(path: Path) -> bool:
    """Whether a TIFF is to be an OME-TIFF: cells.ome.tif."""
    return Path(path.stem).suffix.lower() == ".ome"


def write_tiff(
    path: Path, pages: NDArray[np.generic] | Iterator[NDArray[np.generic]], shape: tuple[int, ...], dtype: np.dtype,
    voxel: Voxel, axes: str, ome: bool, mark: str | None = None,
) -> None:  # fmt: skip
    """ImageJ's own TIFF where it can hold the array, or else OME-TIFF, or else (64-bit ids) tifffile's JSON.

    pages: the array, or its planes (Y, X) one after the other. axes: of the array, with t in front of those of a voxel
    where there are frames.
    """
    import tifffile

    physical = voxel.unit == MICROMETRE
    big = prod(shape) * dtype.itemsize > CLASSIC_TIFF_BYTES
    common: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib"}
    common |= {"software": mark} if mark else {}
    common |= {} if isinstance(pages, np.ndarray) else {"shape": shape, "dtype": dtype}
    metadata: dict[str, Any] = {"axes": axes.upper()}
    if dtype.itemsize == 8:  # neither ImageJ nor OME knows 64-bit integers
        metadata |= {"voxel": list(voxel.size), "unit": voxel.unit}
        tifffile.imwrite(path, pages, bigtiff=big, metadata=metadata, **common)
    elif ome or big or dtype not in IMAGEJ_TYPES:
        for axis, size in zip(axes.upper()[-voxel.ndim :], voxel.size):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm" if physical else "pixel"}
        tifffile.imwrite(path, pages, ome=True, bigtiff=big, metadata=metadata, **common)
    else:
        metadata |= {"unit": "micron" if physical else "pixel"}
        metadata |= {"spacing": voxel.size[0]} if voxel.ndim == 3 else {}
        per_unit = (1 / voxel.size[-1], 1 / voxel.size[-2])
        tifffile.imwrite(path, pages, imagej=True, resolution=per_unit, metadata=metadata, **common)


def write_ngff(
    folder: Path, array: NDArray[np.generic], voxel: Voxel, axes: str, ngff: Ngff, labels: bool, name: str,
    mark: str | None = None,
) -> None:  # fmt: skip
    """A multiscale image in a new folder."""
    import zarr

    group = zarr.create_group(folder, zarr_format=2 if ngff == "0.4" else 3)
    levels = build_pyramid(array, voxel.size, labels)
    for number, (level, _) in enumerate(levels):
        stored = create_level(group, number, level.shape, level.dtype, axes, chunks_of(level.shape, voxel.ndim))
        stored[...] = level
    describe_levels(group, [factors for _, factors in levels], voxel, axes, labels, name)
    if mark:
        keep_notes(group, {"request": mark})


def write_into(image: Path, part: str, labels: NDArray[np.generic], voxel: Voxel, axes: str, mark: str | None) -> Path:
    """Labels of an OME-Zarr image, where NGFF keeps them: image/labels/<name>."""
    place, ngff = place_inside(image, part)
    with atomic_path(place) as temporary:
        write_ngff(temporary, labels, voxel, axes, ngff, True, place.name, mark)
    list_labels(image, place.name, ngff)
    return place
