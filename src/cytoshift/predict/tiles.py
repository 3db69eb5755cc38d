"""Overlapping tiles of equal size, blended by weights that sum to one.

image   |------------------------------|
tile a  |aaaaaaaa==|                        weight 1, falling over the overlap ...
tile b          |==bbbbbbbb==|              ... in which that of b rises by as much
tile c                    |==cccccccccc|
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices, grid_index, grid_number, relative_region
from ..core.compiled import njit
from ..represent.base import StoredChannels


@dataclass(frozen=True, eq=False)
class Tile:
    region: Slices  # where it lies in the image
    weights: tuple[NDArray[np.float32], ...]  # one (n,) per axis, n its length along that axis

    @property
    def weight(self) -> NDArray[np.float32]:
        """The product of the axes' weights, (*tile)."""
        out = np.ones((1,) * len(self.weights), dtype=np.float32)
        for axis, along in enumerate(self.weights):
            out = out * along.reshape([-1 if a == axis else 1 for a in range(len(self.weights))])
        return out


@dataclass(frozen=True)
class Cover(Sequence[Tile]):
    """An image covered by tiles of one size, in C order; the sum of the weights is 1 in every voxel.

    shape: of the image; size: largest tile, made smaller where as many smaller ones do. overlap: at least, in
    voxels, half a tile at most. step: shape and size are multiples of it, and so is the place of every tile: a
    strided network then samples the same voxels in all of them.
    """

    shape: tuple[int, ...]
    size: tuple[int, ...]
    overlap: int
    step: tuple[int, ...]

    @cached_property
    def axes(self) -> list[list[tuple[slice, NDArray[np.float32]]]]:
        """Slices and weights along each axis."""
        return [cuts(n, t, self.overlap, m) for n, t, m in zip(self.shape, self.size, self.step)]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Tiles along each axis."""
        return tuple(map(len, self.axes))

    @cached_property
    def extent(self) -> tuple[int, ...]:
        """Of every tile."""
        return tuple(parts[0][1].size for parts in self.axes)

    def __len__(self) -> int:
        return prod(self.counts)

    def __getitem__(self, number: int) -> Tile:  # type: ignore[override]  # there are no slices of it
        parts = [along[i] for along, i in zip(self.axes, grid_index(number, self.counts))]
        return Tile(tuple(s for s, _ in parts), tuple(w for _, w in parts))

    def number(self, index: tuple[int, ...]) -> int:
        """The place of the tile with that index along each axis."""
        return grid_number(index, self.counts)

    def cells(self, region: Slices) -> Iterator[tuple[Slices, list[int]]]:
        """A region cut wherever a tile begins or ends: boxes, and the tiles that reach into each, ascending."""
        along = []
        for parts, room in zip(self.axes, region):
            met = [(i, s) for i, (s, _) in enumerate(parts) if s.start < room.stop and room.start < s.stop]
            ends = {end for _, s in met for end in (s.start, s.stop) if room.start < end < room.stop}
            places = [room.start, *sorted(ends), room.stop]
            along.append([
                (slice(start, stop), [i for i, s in met if s.start < stop and start < s.stop])
                for start, stop in pairwise(places)
            ])  # fmt: skip
        for cell in product(*along):
            yield tuple(s for s, _ in cell), [self.number(index) for index in product(*(each for _, each in cell))]


Along = NDArray[np.float32]
Read = Callable[[int, Slices], StoredChannels]  # of a tile, by its number, a box (K, *S)


def blend_tiles(out: NDArray[Any], cover: Cover, room: Slices, read: Read) -> None:
    """The sum of the weighted tiles in a region, (K, *room): float32, or uint8 and rounded.

    Each tile is read once. Most voxels belong to one tile, with a weight of 1, and are copied.
    """
    flat = (1,) * (3 - len(room))  # axes that an image has less than a volume
    parts: dict[int, tuple[Slices, StoredChannels]] = {}  # where a tile meets the room, and what is there
    for cell, numbers in cover.cells(room):
        for number in (n for n in numbers if n not in parts):
            for passed in [n for n, (met, _) in parts.items() if met[0].stop <= cell[0].start]:
                del parts[passed]
            region = cover[number].region
            met = tuple(slice(max(t.start, r.start), min(t.stop, r.stop)) for t, r in zip(region, room))
            parts[number] = met, read(number, relative_region(met, region))
        place = out[(slice(None), *relative_region(cell, room))]
        if len(numbers) == 1:
            met, part = parts[numbers[0]]
            place[...] = part[(slice(None), *relative_region(cell, met))]
        else:
            sums = np.zeros(place.shape, np.float32)
            for number in numbers:
                tile, (met, part) = cover[number], parts[number]
                along = [w[at] for w, at in zip(tile.weights, relative_region(cell, tile.region))]
                corner = [s.start for s in relative_region(cell, met)]
                add(
                    sums.reshape(len(sums), *flat, *sums.shape[1:]), part.reshape(len(part), *flat, *part.shape[1:]),
                    (*(0 for _ in flat), *corner), *[np.ones(1, np.float32) for _ in flat], *along,
                )  # fmt: skip
            place[...] = round_sums(sums.ravel()).reshape(sums.shape) if out.dtype == np.uint8 else sums


@njit
def add(
    sums: NDArray[np.float32], part: StoredChannels, corner: tuple[int, int, int], z: Along, y: Along, x: Along
) -> None:
    """Add a box of a part (K, Z, Y, X), from a corner of it on, times its weights along each axis."""
    for k in range(sums.shape[0]):
        for i in range(z.size):
            for j in range(y.size):
                along = z[i] * y[j]
                row, given = sums[k, i, j], part[k, corner[0] + i, corner[1] + j, corner[2] : corner[2] + x.size]
                for m in range(x.size):
                    row[m] += np.float32(given[m]) * (along * x[m])


@njit
def round_sums(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """To whole numbers from 0 to 255; flat."""
    out = np.empty(values.size, np.uint8)
    for n in range(values.size):
        out[n] = np.uint8(min(max(values[n] + np.float32(0.5), np.float32(0)), np.float32(255)))
    return out


def cuts(length: int, size: int, overlap: int, step: int) -> list[tuple[slice, NDArray[np.float32]]]:
    """Slices and weights along one axis."""
    if size >= length:
        return [(slice(0, length), np.ones(length, dtype=np.float32))]
    overlap = min(overlap, size // 2)
    count = -(-(length - overlap) // (size - overlap))
    size = -(-(length + (count - 1) * overlap) // (count * step)) * step
    starts = [round(i * (length - size) / (count - 1) / step) * step for i in range(count)]
    places = np.arange(size) + 0.5
    ramp = np.sin(np.pi / 2 * np.clip(np.minimum(places, size - places) / max(overlap, 1), 0, 1)) ** 2
    total = np.zeros(length)
    for start in starts:
        total[start : start + size] += ramp
    return [(slice(s, s + size), (ramp / total[s : s + size]).astype(np.float32)) for s in starts]


def fit_tile(shape: tuple[int, ...], voxels: int, step: tuple[int, ...]) -> tuple[int, ...]:
    """The largest tile of at most `voxels` voxels, as cubic as the image allows, in multiples of `step`."""
    size = list(shape)
    rest = float(voxels)
    by_length = sorted(range(len(shape)), key=lambda axis: shape[axis])
    for done, axis in enumerate(by_length):  # what a short axis leaves over goes to the longer ones
        side = rest ** (1 / (len(shape) - done))
        size[axis] = min(shape[axis], max(int(side // step[axis]), 1) * step[axis])
        rest /= size[axis]
    return tuple(size)


def place_tiles(shape: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> Iterator[Slices]:
    """Endless places of a window of that size, evenly spread over the image, the same every time.

    The sequence of Roberts (2018), which has low discrepancy in any number of dimensions: place i of axis a is the
    fractional part of 1/2 + i / g^(a + 1), with g^(d + 1) = g + 1. Centres run over the whole image, so that its rim
    is seen as often as its middle.
    """
    ratio = {1: 1.618033988749895, 2: 1.324717957244746, 3: 1.2207440846057596}[len(shape)]
    index = 0
    while True:
        starts = []
        for axis, (n, w, m) in enumerate(zip(shape, size, step)):
            centre = (0.5 + index * ratio ** -(axis + 1)) % 1.0 * n
            starts.append(min(max(int((centre - w / 2) // m) * m, 0), n - w))
        yield tuple(slice(s, s + w) for s, w in zip(starts, size))
        index += 1
