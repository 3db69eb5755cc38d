"""Any lazy volume as OME-Zarr 0.5 that exists only while somebody looks at it: its metadata, and its chunks on demand.

A TIFF, a folder of frames, a data set in HDF5 or labels that a network draws are then one thing to a viewer, with
axes, units and levels; nothing of them is read before a chunk is asked for.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ..core.blocks import extent
from ..core.voxel import MICROMETRE
from ..data.levels import PyramidVolume

CHUNK = {2: (512, 512), 3: (64, 64, 64)}  # of arrays that are not stored in pieces
SMALL_CHUNK, LARGE_CHUNK = 2**18, 2**22  # voxels of a chunk that is sent
DIGITS = 20  # of a number in a path
JSON = "application/json"
BYTES = "application/octet-stream"
FRONT = "t"  # what stands before y and x is frames: channels are layers of their own


@dataclass(frozen=True, eq=False)
class VirtualZarr:
    """A volume under the paths of a Zarr group: zarr.json, 0/zarr.json, 0/c/0/0/0, 1/zarr.json ..."""

    image: PyramidVolume
    name: str
    labels: bool = False

    @property
    def axes(self) -> str:
        """Letters of all axes."""
        space = self.image.volume.axes
        return FRONT * (len(self.image.levels[0].array.shape) - len(space)) + space

    @cached_property
    def chunks(self) -> list[tuple[int, ...]]:
        """Of each level."""
        return [chunk_shape(level.array, len(self.image.volume.axes)) for level in self.image.levels]

    @property
    def dtype(self) -> np.dtype:
        """What is sent: browsers know neither float64 nor, as ids of objects, negative numbers."""
        stored = self.image.levels[0].array.dtype
        if stored.kind == "f":
            return np.dtype("<f4")
        if self.labels or stored.kind == "b":
            return np.dtype(f"<u{stored.itemsize}")
        return stored.newbyteorder("<")

    def get(self, path: str) -> tuple[bytes, str]:
        """What lies under a path, and its type. Raises KeyError where there is nothing."""
        parts = path.split("/")
        if parts == ["zarr.json"]:
            return encode_json(self.group), JSON
        if max(map(len, parts)) > DIGITS:
            raise KeyError(path[:DIGITS])
        if not parts[0].isdecimal() or int(parts[0]) >= len(self.image.levels):
            raise KeyError(path)
        level = int(parts[0])
        if parts[1:] == ["zarr.json"]:
            return encode_json(self.array(level)), JSON
        rank = len(self.axes)
        if len(parts) != rank + 2 or parts[1] != "c" or not all(part.isdecimal() for part in parts[2:]):
            raise KeyError(path)
        return self.chunk(level, tuple(map(int, parts[2:]))), BYTES

    @property
    def group(self) -> dict[str, Any]:
        """zarr.json of the image."""
        voxel = self.image.volume.voxel
        front = len(self.axes) - voxel.ndim
        size = (1.0,) * front + voxel.size
        unit = {"unit": "micrometer"} if voxel.unit == MICROMETRE else {}
        named = [{"name": a, "type": "time"} if a == FRONT else {"name": a, "type": "space", **unit} for a in self.axes]
        datasets = []
        for number, level in enumerate(self.image.levels):
            scale = [s * f for s, f in zip(size, level.factors)]
            shift = [s * (f - 1) / 2 for s, f in zip(size, level.factors)]
            changes = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
            datasets.append({"path": str(number), "coordinateTransformations": changes})
        said = {"version": "0.5", "multiscales": [{"name": self.name, "axes": named, "datasets": datasets}]}
        return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": said}}

    def array(self, level: int) -> dict[str, Any]:
        """zarr.json of one level."""
        return {
            "zarr_format": 3, "node_type": "array", "shape": list(self.image.levels[level].array.shape),
            "data_type": self.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.chunks[level])}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}}, "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "dimension_names": list(self.axes), "attributes": {},
        }  # fmt: skip

    def chunk(self, level: int, index: tuple[int, ...]) -> bytes:
        """One chunk, filled up with zeros beyond the end of the image. Raises KeyError where there is none."""
        array, chunk = self.image.levels[level].array, self.chunks[level]
        box = tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(index, chunk, array.shape))
        if any(side.start >= side.stop for side in box):
            raise KeyError("/".join(map(str, index)))
        part = np.asarray(array[box]).astype(self.dtype, copy=False)
        if part.shape != chunk:
            part = np.pad(part, [(0, c - n) for c, n in zip(chunk, extent(box))])
        return part.tobytes()


def encode_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def chunk_shape(array: Any, space: int) -> tuple[int, ...]:
    """What is sent at once: whole pieces of what is stored, as those are read whole; neither many nor huge ones."""
    shape = array.shape
    stored = getattr(array, "chunks", None)
    size = list(stored or ((1,) * (len(shape) - space) + CHUNK[space]))
    size = [min(c, n) for c, n in zip(size, shape)]
    while prod(size) > LARGE_CHUNK:
        axis = max(range(len(size)), key=lambda a: size[a])
        size[axis] = -(-size[axis] // 2)
    front = len(size) - space
    while prod(size) * 2 <= SMALL_CHUNK:
        rest = [a for a in range(front, len(size)) if size[a] < shape[a]]
        if not rest:
            break
        axis = min(rest, key=lambda a: size[a])
        size[axis] = min(2 * size[axis], shape[axis])
    return tuple(size)
