"""NIfTI through nibabel: the extra `formats`."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ..picture import Picture, explain_read_errors, format_suffix, known_extent
from . import PictureRequest

AXES = "xyztc"  # NIfTI's fifth dimension holds the components of a vector


@dataclass(frozen=True)
class NiftiArray:
    """The array (X, Y, Z ...) of a file, opened anew for each read. A packed file can only be read whole."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        return self.shape if format_suffix(self.path).endswith(".gz") else None

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        with explain_read_errors(self.path):
            return np.asarray(open_image(self.path).dataobj[region]).astype(self.dtype, copy=False)


def open_image(path: Path) -> Any:
    """nibabel's image, of which nothing but the header is read."""
    nibabel = importlib.import_module("nibabel")
    try:
        return nibabel.load(path)
    except nibabel.filebasedimages.ImageFileError as error:
        raise UserError(f"{path} does not hold a NIfTI image, or is cut short; copy or save it again") from error


def open_pictures(request: PictureRequest) -> list[Picture]:
    """An image, its voxel sizes as the header has them. The affine's rotation and mirroring change no voxel."""
    path, name = request.path, request.name
    image = open_image(path)
    header = image.header
    shape = tuple(map(int, image.shape))
    if len(shape) > len(AXES) or image.get_data_dtype().fields:
        raise UserError(f"{path} has the shape {shape} and the type {image.get_data_dtype()}; save it as gray")
    plain = (image.dataobj.slope, image.dataobj.inter) == (1, 0)
    dtype = image.get_data_dtype().newbyteorder("=") if plain else np.dtype(np.float32)
    space = header.get_xyzt_units()[0]
    extents = {axis: e for axis, e in zip("xyz", map(known_extent, map(float, header.get_zooms()))) if e}
    units = dict.fromkeys(extents, {"micron": "um"}.get(space, space)) if space != "unknown" else {}
    return [Picture(NiftiArray(path, shape, dtype), AXES[: len(shape)], name, str(path), extents, units)]
