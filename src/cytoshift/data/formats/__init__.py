"""One file per family of formats: path -> pictures, with what the file says and nothing guessed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

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
OUTLINES = (".json", ".geojson", ".roi")  # of objects, which are no image
DECODED_BYTES = 2**28  # bytes of chunks that are decoded at once
OBJECTS = "masks"  # the folder of an image that has one mask for each object
MARKS = ("zarr.json", ".zgroup", ".zarray")  # one of these makes a folder Zarr


class PictureRequest(NamedTuple):
    """What is to be read of a file. name: of the image. part, level, labels: as of `pictures`."""

    path: Path
    name: str
    part: str | None
    level: int
    labels: bool


@dataclass(frozen=True)
class ImageFormat:
    """A family of formats.

    module: of this folder; its `open_pictures` reads a file. suffixes: of its files. has_parts: a file may hold several
    images, and `part` says which. has_levels: it may be a pyramid. extra: of the package, whose library reads it; ""
    where the base does. called: in the sentence that asks for the extra.
    """

    module: str
    suffixes: tuple[str, ...] = ()
    has_parts: bool = False
    has_levels: bool = False
    extra: str = ""
    called: str = ""

    def read(self, request: PictureRequest) -> list[Picture]:
        """The pictures of a file. Raises UserError where it has no such part or level, or its library is missing."""
        path = request.path
        if request.part is not None and not self.has_parts:
            raise UserError(f"{path} has no part '{request.part}', it holds one image; leave '::{request.part}' out")
        if not self.has_levels:
            refuse_level(path, request.level)
        try:
            # Imported where it is needed: zarr and h5py cost half a second that a folder of TIFFs need not pay.
            return list(import_module(f".{self.module}", __name__).open_pictures(request))
        except ModuleNotFoundError as error:
            if not self.extra:
                raise
            raise UserError(
                f"{path} is {self.called}, which needs the extra '{self.extra}' ({error.name} is missing); run pip "
                f"install 'cytoshift[{self.extra}]'"
            ) from None


OBJECT_MASKS = ImageFormat("object_masks")  # a folder, known by its name
NGFF = ImageFormat("ngff", ZARR + ZIPPED, has_parts=True, has_levels=True)
FORMATS = (
    ImageFormat("tiff", TIFF, has_parts=True, has_levels=True),
    ImageFormat("png_jpeg", PHOTO),
    ImageFormat("npy", NUMPY),
    ImageFormat("hdf5", HDF5, has_parts=True),
    ImageFormat("imaris", IMARIS, has_levels=True),
    NGFF,
    ImageFormat("nifti", NIFTI, extra="formats", called="NIfTI"),
    ImageFormat("mrc", MRC, extra="formats", called="MRC"),
    ImageFormat("vendor", (".czi",), has_parts=True, extra="czi", called="a CZI file"),
    ImageFormat("vendor", (".nd2",), has_parts=True, extra="formats", called="a ND2 file"),
    ImageFormat("vendor", (".lif",), has_parts=True, extra="formats", called="a LIF file"),
)
BY_SUFFIX = {suffix: one for one in FORMATS for suffix in one.suffixes}
SUFFIXES = tuple(BY_SUFFIX)


def pictures(path: Path, part: str | None = None, level: int = 0, labels: bool = False) -> list[Picture]:
    """Every image of one file (or Zarr folder).

    part: what stands behind '::', a dataset of HDF5, a group of Zarr, or the number of a series or scene.
    level: of a pyramid, 0 the finest. labels: colours of a palette are object ids, and the labels of an OME-Zarr
    image are meant, not the image.
    Raises UserError where the suffix is not supported, the file is damaged, or `part` or `level` is not there.
    """
    request = PictureRequest(path, name_stem(path), part, level, labels)
    with explain_read_errors(path):
        return image_format(path).read(request)


def image_format(path: Path) -> ImageFormat:
    """How a file or folder is read. Raises UserError where it is not."""
    suffix = format_suffix(path)
    if path.is_dir():
        is_masks = path.name == OBJECTS and suffix not in ZARR and not is_zarr(path)
        return OBJECT_MASKS if is_masks else NGFF
    if suffix in OUTLINES:
        raise UserError(
            f"{path} is no image; if it holds outlines of objects, cytoshift convert makes labels of them, with the "
            "image that they were drawn on as `like`"
        )
    if suffix in ZARR:
        raise UserError(f"{path} is a file, and an OME-Zarr is a folder; copy the folder whole, or zip it as .zarr.zip")
    if suffix not in BY_SUFFIX:
        raise UserError(
            f"{path} has the suffix '{suffix}', but only {', '.join(SUFFIXES)} can be read; convert it, for example to "
            "TIFF"
        )
    return BY_SUFFIX[suffix]


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
