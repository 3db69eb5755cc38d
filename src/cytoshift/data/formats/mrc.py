"""MRC (maps, tomograms) through mrcfile: the extra `formats`."""

import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ..picture import UNKNOWN, Picture, explain_read_errors, known_extent
from . import PictureRequest


@dataclass(frozen=True)
class MrcArray:
    """The array of a file, mapped into memory for each read."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: None = None

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        with explain_read_errors(self.path), map_file(self.path) as file:
            return np.array(file.data[region])


def map_file(path: Path) -> Any:
    mrcfile = importlib.import_module("mrcfile")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # what mrcfile warns of is a file longer or shorter than it says
        try:
            return mrcfile.mmap(path, mode="r")
        except RuntimeWarning as warning:
            raise ValueError(str(warning)) from warning


def open_pictures(request: PictureRequest) -> list[Picture]:
    """An image, a volume, or a stack of images, whose first axis the file does not name."""
    path = request.path
    with map_file(path) as file:
        header, data = file.header, file.data
        order = [int(header[name]) for name in ("mapc", "mapr", "maps")]
        if sorted(order) != [1, 2, 3]:
            raise UserError(f"{path} says that its axes are {order}, which are none; save it again")
        columns_first = ["xyz"[number - 1] for number in order]
        axes = "".join(reversed(columns_first))[-data.ndim :] if data.ndim < 4 else "tzyx"
        if file.is_image_stack():  # images of a movie or a tilt series, or the slices of a tomogram
            axes = UNKNOWN + axes[1:]
        sizes = {axis: known_extent(float(file.voxel_size[axis])) for axis in "xyz"}
        extents = {axis: round(extent, 6) for axis, extent in sizes.items() if extent}
        array = MrcArray(path, tuple(map(int, data.shape)), data.dtype)
        return [Picture(array, axes, request.name, str(path), extents, dict.fromkeys(extents, "angstrom"))]
