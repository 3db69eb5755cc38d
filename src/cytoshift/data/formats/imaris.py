"""Imaris: HDF5 with a pyramid, an array for each channel and time, and the extents of the whole in micrometres."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ..picture import Picture, explain_read_errors, known_extent
from . import PictureRequest, number_range

IMAGE = "DataSetInfo/Image"
AXES_OF = {"x": 0, "y": 1, "z": 2}  # numbers of the extents ExtMin0 to ExtMax2


@dataclass(frozen=True)
class ImarisArray:
    """One level (T, C, Z, Y, X); what its arrays are padded with is left out. The file is opened anew for each read."""

    path: Path
    level: int
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...] | None

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        times, channels = (range(n)[part] for n, part in zip(self.shape[:2], region[:2]))
        with explain_read_errors(self.path), h5py.File(self.path, "r") as file:
            each = [np.asarray(file[data_key(self.level, t, c)][region[2:]]) for t in times for c in channels]
        return np.stack(each).reshape(len(times), len(channels), *each[0].shape)


def open_pictures(request: PictureRequest) -> list[Picture]:
    """The image, all times and channels of it."""
    path, name, level = request.path, request.name, request.level
    with h5py.File(path, "r") as file:
        if "DataSet" not in file:
            raise UserError(f"{path} holds no image of Imaris; save it again, or give it the suffix .h5 if it is HDF5")
        levels = count(file["DataSet"], "ResolutionLevel")
        if not 0 <= level < levels:
            raise UserError(f"{path} has no level {level}, it has {levels}; pass `level` {number_range(levels)}")
        times = count(file[f"DataSet/ResolutionLevel {level}"], "TimePoint")
        channels = count(file[f"DataSet/ResolutionLevel {level}/TimePoint 0"], "Channel")
        data = file[data_key(level, 0, 0)]
        space, finest = space_of(file, level), space_of(file, 0)
        about = file[IMAGE].attrs if IMAGE in file else {}
        extents = {
            axis: extent
            for axis, fine, coarse in zip("zyx", finest, space)
            if (extent := voxel_extent(about, axis, fine)) and (extent := extent * fine / coarse)
        }
        names = [text(file[f"DataSetInfo/Channel {c}"].attrs.get("Name"))
                 for c in range(channels) if f"DataSetInfo/Channel {c}" in file]  # fmt: skip
        chunks = data.chunks and (1, 1, *data.chunks)
        array = ImarisArray(path, level, (times, channels, *space), np.dtype(data.dtype), chunks)
        steps = f", level {level} of {levels}" if levels > 1 else ""
        unit = text(about.get("Unit")) or "um"
        named = tuple(name or "" for name in names) if any(names) else ()
        return [Picture(array, "tczyx", name, f"{path}{steps}", extents, dict.fromkeys(extents, unit), named)]


def data_key(level: int, time: int, channel: int) -> str:
    return f"DataSet/ResolutionLevel {level}/TimePoint {time}/Channel {channel}/Data"


def count(group: h5py.Group, what: str) -> int:
    return sum(name.startswith(f"{what} ") for name in group)


def space_of(file: h5py.File, level: int) -> tuple[int, ...]:
    """Sizes (z, y, x) of a level without its padding. Raises UserError where they do not fit the array."""
    data = file[data_key(level, 0, 0)]
    attributes = data.parent.attrs
    said = [text(attributes.get(f"ImageSize{axis}")) for axis in "ZYX"]
    sizes = tuple(int(words) if words else n for words, n in zip(said, data.shape))
    if len(data.shape) != 3 or any(not 0 < size <= n for size, n in zip(sizes, data.shape)) or not prod(sizes):
        raise UserError(f"{file.filename} declares the sizes {sizes} for an array of {data.shape}; save it again")
    return sizes


def voxel_extent(about: Any, axis: str, size: int) -> float | None:
    """Extent of a voxel of the finest level."""
    ends = [text(about.get(f"Ext{end}{AXES_OF[axis]}")) for end in ("Max", "Min")]
    if None in ends:
        return None
    try:
        high, low = (float(end or "") for end in ends)
    except ValueError:
        return None
    return known_extent(round((high - low) / size, 9))


def text(value: Any) -> str | None:
    """Words that Imaris keeps as arrays of single characters."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip("\0 ")
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value).strip("\0 ")
    return b"".join(np.asarray(value).astype("S1").ravel().tolist()).decode(errors="replace").strip("\0 ")
