"""A volume as the network sees it: normalised, on the working grid, padded. In memory, or of any size and read box by
box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices, extent, relative_region
from ..core.no_data import refuse_infinite
from ..core.normalise import Scale, Scales
from ..core.voxel import Voxel
from ..data.resample import ResampledAxis, image_at, resample, working_shape
from ..data.volumes import Volume
from .network import LEAST, pad_to_step, round_up

HELD_BYTES = 2e8  # bytes of a volume that are kept for the boxes that share them
GAUSSIAN_SIGMAS = 4  # standard deviations of the Gaussian that shrinking takes


@dataclass(frozen=True, eq=False)
class InMemory:
    """A normalised image (*S) or (C, *S), and the array (C, *T) that the network sees of it.

    volume_voxel: voxel size of the image. voxel: of the working grid. step: what the network's input is a multiple of.
    """

    image: NDArray[np.float32]
    volume_voxel: Voxel
    voxel: Voxel
    step: tuple[int, ...]

    @cached_property
    def space(self) -> tuple[int, ...]:
        """The image's own grid, (*S)."""
        return self.image.shape[-self.volume_voxel.ndim :]

    @cached_property
    def extent(self) -> tuple[int, ...]:
        """The working grid without padding."""
        return working_shape(self.space, self.volume_voxel, self.voxel)

    def pad(self) -> NDArray[np.float32]:
        """With channels and padding, (C, *T)."""
        return pad_to_step(resample(self.image, self.extent).reshape(-1, *self.extent), self.step)

    @cached_property
    def is_constant(self) -> bool:
        """Whether there is nothing to see."""
        return bool(self.image.min() == self.image.max())

    def to_volume_grid(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Channels (K, *T) -> (K, *S) on the image's own grid, in the range that they had."""
        inside = channels[(slice(None), *(slice(n) for n in self.extent))]
        if self.extent == self.space:
            return inside
        return np.stack([np.clip(resample(c, self.space), c.min(), c.max()) for c in inside])


@dataclass(frozen=True, eq=False)
class Working:
    """Reads like the array of `InMemory`, but each box when it is asked for.

    voxel: of the working grid. step: what the network's input is a multiple of.
    """

    volume: Volume
    scale: Scale | Scales
    voxel: Voxel
    step: tuple[int, ...]

    @property
    def volume_voxel(self) -> Voxel:
        return self.volume.voxel

    @property
    def space(self) -> tuple[int, ...]:
        return self.volume.shape

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to see in all of the volume."""
        scales = self.scale.each if isinstance(self.scale, Scales) else (self.scale,)
        return all(scale.gain == 0 for scale in scales)

    @cached_property
    def extent(self) -> tuple[int, ...]:
        """The working grid without padding, (*S)."""
        return working_shape(self.volume.shape, self.volume.voxel, self.voxel)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """With channels and padding, (C, *S)."""
        return (
            self.volume.channels,
            *round_up(tuple(max(n, LEAST * m) for n, m in zip(self.extent, self.step)), self.step),
        )

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """Voxels of the volume in one of the working grid."""
        return tuple(own / new for own, new in zip(self.volume.shape, self.extent))

    def source(self, box: Slices) -> list[tuple[slice, ResampledAxis]]:
        """Of each axis what a box (*T) reads of the volume, and where its voxels lie in that."""
        out = []
        for side, inside, ratio, n in zip(box, self.extent, self.ratios, self.volume.shape):
            places = centres(slice(side.start, min(side.stop, inside)), ratio)
            room = surrounding_voxels(places, ratio, n)
            out.append((room, ResampledAxis(places - room.start, ratio)))
        return out

    def read_boxes(self, boxes: Sequence[Slices]) -> "Working":
        """The same, with what some boxes (*T) read of the volume in memory: where they overlap, chunks are read once.

        Where that is more than HELD_BYTES, each box reads for itself.
        """
        read = [[room for room, _ in self.source(box)] for box in boxes]
        room = tuple(slice(min(s.start for s in along), max(s.stop for s in along)) for along in zip(*read))
        if prod(extent(room)) * self.volume.channels * self.volume.dtype.itemsize > HELD_BYTES:
            return self
        array: Any = self.volume.array
        part: Any = MemoryBox(array[(..., *room)], room, array.shape)
        return replace(self, volume=replace(self.volume, array=part))

    def __getitem__(self, region: Slices) -> NDArray[np.float32]:
        """A box (C, *T); the channels are read all."""
        own, axes = zip(*self.source(region[1:]))
        array: Any = self.volume.array
        raw: NDArray[np.generic] = array[(..., *own)]
        refuse_infinite(raw, self.volume.name)
        image = self.scale(raw).reshape(-1, *raw.shape[-len(own) :])
        drawn = np.stack([image_at(np.ascontiguousarray(channel), list(axes)) for channel in image])
        padding = [(0, 0), *((0, s.stop - min(s.stop, n)) for s, n in zip(region[1:], self.extent))]
        return np.pad(drawn, padding, mode="reflect") if any(after for _, after in padding) else drawn

    def needed_region(self, own: Slices) -> Slices:
        """The box of the working grid that a box of the volume is interpolated from."""
        out = []
        for box, ratio, n in zip(own, self.ratios, self.extent):
            out.append(surrounding_voxels(centres(box, 1 / ratio), 1 / ratio, n))
        return tuple(out)

    def to_volume_grid(self, channels: NDArray[np.float32], room: Slices, own: Slices) -> NDArray[np.float32]:
        """Channels (K, *room) of the working grid -> (K, *own) of the volume's own."""
        axes = []
        for box, at, ratio in zip(own, room, self.ratios):
            axes.append(ResampledAxis(centres(box, 1 / ratio) - at.start, 1 / ratio))
        return np.stack([image_at(channel, axes) for channel in channels])


@dataclass(frozen=True, eq=False)
class MemoryBox:
    """A box of an array that is in memory: read by the places of the array, (..., *slices) within the box."""

    part: Any
    room: Slices
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        kind: np.dtype[Any] = self.part.dtype
        return kind

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[np.generic]:
        found: NDArray[np.generic] = self.part[(..., *relative_region(key[1:], self.room))]
        return found


def centres(box: slice, ratio: float) -> NDArray[np.float64]:
    """Where the voxels of a box lie on another grid, whose voxels are `ratio` times as many."""
    places: NDArray[np.float64] = (np.arange(box.start, box.stop) + 0.5) * ratio - 0.5
    whole = np.rint(places)
    return np.where(np.abs(places - whole) < 1e-9, whole, places)


def surrounding_voxels(places: NDArray[np.float64], ratio: float, length: int) -> slice:
    """The voxels that an interpolation at these places reads; `ratio` of them become one."""
    far = ceil(GAUSSIAN_SIGMAS * (ratio - 1) / 2) if ratio > 1 else 0
    first, last = floor(places[0]) - far, ceil(places[-1]) + far
    return slice(min(max(first, 0), length - 1), max(min(last + 1, length), 1))
