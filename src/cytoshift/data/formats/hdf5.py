"""HDF5: `file.h5::raw`."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ...core.voxel import MICROMETRE, PIXEL
from ..orientation import UnsignedArray
from ..picture import AXES, UNKNOWN, Picture, StoredArray, explain_read_errors, known_extent
from . import PictureRequest

# Where BigDataViewer keeps images: 16 bits without a sign, as HDF5's of Java had none of these.
BIGDATAVIEWER = re.compile(r"t\d{5,}/s\d{2,}/\d+/cells")


@dataclass(frozen=True)
class Hdf5Array:
    """One dataset; the file is opened anew for each read."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...] | None

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        with explain_read_errors(self.path), h5py.File(self.path, "r") as file:
            return np.asarray(file[self.key][region])


def open_pictures(request: PictureRequest) -> list[Picture]:
    """The dataset named behind '::', or the only one there is."""
    path, name, part = request.path, request.name, request.part
    with h5py.File(path, "r") as file:
        keys = datasets(file)
        stock = ", ".join(keys[:20]) + f" and {len(keys) - 20} more" * (len(keys) > 20) or "no dataset"
        if part is None and len(keys) != 1:
            cure = f"write {path}::{largest_image(file, keys)}" if keys else "save an array into it"
            raise UserError(f"one dataset of {path} must be named, it has {stock}; {cure}")
        key = keys[0] if part is None else part.strip("/")
        if key not in keys:
            raise UserError(f"{path} has no dataset '{key}', it has {stock}; write one of these behind '::'")
        dataset = file[key]
        axes, extents, units = metadata(dataset)
        array: StoredArray = Hdf5Array(path, key, dataset.shape, dataset.dtype, dataset.chunks)
        origin = f"{path}::{key}"
        if BIGDATAVIEWER.fullmatch(key) and dataset.dtype == np.int16 and "dataType" not in dataset.attrs:
            array, origin = UnsignedArray(array), f"{origin}, int16 read as the uint16 that BigDataViewer means"
        return [Picture(array, axes, name, origin, extents, units)]


def largest_image(file: h5py.File, keys: list[str]) -> str:
    """The largest dataset that may be an image; tables beside it are smaller, and coarser levels of a pyramid too."""
    arrays = [key for key in keys if file[key].ndim >= 2 and file[key].dtype.kind in "uifb"]
    return max(arrays, key=lambda key: file[key].size, default=keys[0])


def datasets(group: h5py.Group, prefix: str = "", above: tuple[h5py.Group, ...] = ()) -> list[str]:
    """Paths of all datasets below a group; a link back to a group above is not followed."""
    above = (*above, group)
    found = []
    for name, item in group.items():
        if isinstance(item, h5py.Dataset):
            found.append(prefix + name)
        elif isinstance(item, h5py.Group) and item not in above:
            found += datasets(item, f"{prefix}{name}/", above)
    return found


def metadata(dataset: h5py.Dataset) -> tuple[str, dict[str, float], dict[str, str]]:
    """Axes from ilastik's axistags or from dimension labels; voxel extents (z, y, x) from element_size_um.

    Our own files have element_size_px where nobody declared a length.
    """
    axes = UNKNOWN * dataset.ndim
    labels = [dimension.label for dimension in dataset.dims]
    if "axistags" in dataset.attrs:
        labels = [tag.get("key", "") for tag in json.loads(dataset.attrs["axistags"]).get("axes", [])]
    if len(labels) == dataset.ndim and all(len(label) == 1 and label.lower() in AXES for label in labels):
        axes = "".join(labels).lower()
    unit = PIXEL if f"element_size_{PIXEL}" in dataset.attrs else MICROMETRE
    size = [known_extent(float(s)) for s in np.atleast_1d(dataset.attrs.get(f"element_size_{unit}", []))]
    extents = {axis: s for axis, s in zip("zyx"[-len(size) :], size) if s} if len(size) in (2, 3) else {}
    return axes, extents, dict.fromkeys(extents, unit)
