"""Labels that a model computes for the region that a viewer shows: block by block, on demand.

A small volume is segmented whole, and its labels are those of `segment`. In a large one, a block is segmented with its
halo when a part of it is read. The id of an object is then the number of its first voxel: two blocks that both see it
whole give it the same id, and no pass has to link them. An object that is longer than the halo has several ids.
"""

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import BlockGrid, extent, relative_region, split_region
from ..core.lazy_array import LazyArray
from ..core.no_data import missing_voxels
from ..core.normalise import Scale, Scales, measure
from ..data.channel_axis import split_channels
from ..data.multiscale import CHUNK
from ..data.volumes import Volume
from ..model import Segmenter
from .calibration import CONTEXT_VOXELS, expected_extent
from .pipeline import Options, Pipeline, decode, predict, refuse_mismatch

WHOLE_VOXELS = 2**23  # voxels of a volume that goes through in one piece
KEPT_BLOCKS = 4096  # blocks that are remembered, packed
Ids = NDArray[np.uint64]


@dataclass(eq=False)
class LiveSegmentation:
    """A model on a volume. `classes` are arrays to be read; whoever reads waits for the network.

    rough: the volume on a coarse level, whose intensities normalise a large one; else all its voxels are read once.
    Raises UserError where volume and model do not fit.
    """

    segmenter: Segmenter
    volume: Volume
    rough: Volume
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        self.segmenter = self.segmenter.for_image(self.volume.name)
        refuse_mismatch(self.segmenter, self.volume, self.options)
        self.lock = Lock()
        self.blocks: OrderedDict[int, list[bytes]] = OrderedDict()

    @property
    def is_whole(self) -> bool:
        return prod(self.volume.shape) <= WHOLE_VOXELS

    @cached_property
    def grid(self) -> BlockGrid:
        if self.is_whole:
            return BlockGrid(self.volume.shape, self.volume.shape, (0,) * len(self.volume.shape))
        objects, _ = expected_extent(self.segmenter, self.volume.voxel)
        return BlockGrid(self.volume.shape, CHUNK[len(self.volume.shape)], tuple(n + CONTEXT_VOXELS for n in objects))

    @cached_property
    def classes(self) -> dict[str, "LiveClass"]:
        parts = self.segmenter.representation.parts()
        return {part.name: LiveClass(self, number) for number, part in enumerate(parts)}

    @cached_property
    def scale(self) -> Scale | Scales:
        if self.segmenter.scale is not None:
            return self.segmenter.scale
        return measure(self.segmenter.normalisation, [split_channels(self.rough.array, len(self.rough.axes))])

    @cached_property
    def pipeline(self) -> Pipeline:
        return Pipeline.of_volume(self.segmenter, self.volume, self.scale, self.options)

    def block(self, number: int, draw: bool = True) -> list[Ids] | None:
        """Labels of each class in a write region; None if the block is not there and should not be computed now."""
        shape = extent(self.grid[number].write)
        with self.lock:
            if number not in self.blocks:
                if not draw:
                    return None
                self.blocks[number] = [zlib.compress(found.tobytes(), 1) for found in self.ids_in_block(number)]
                if len(self.blocks) > KEPT_BLOCKS:
                    self.blocks.popitem(last=False)
            packed = self.blocks[number]
        return [np.frombuffer(zlib.decompress(one), np.uint64).reshape(shape) for one in packed]

    def ids_in_block(self, number: int) -> list[Ids]:
        """Predict and decode a block."""
        if self.is_whole:
            prediction = predict(self.segmenter, self.volume, self.options)
            return [one.labels.astype(np.uint64) for one in prediction.classes.values()]
        block, pipeline = self.grid[number], self.pipeline
        represent = pipeline.represent
        stored = np.empty((len(represent.channels), *extent(block.read)), represent.stored_dtype)
        for box in split_region(block.read, self.grid.size):
            stored[(slice(None), *relative_region(box, block.read))] = represent.to_stored(pipeline.channels(box))
        array: Any = self.volume.array
        raw = array[(..., *block.read)] if self.volume.dtype.kind == "f" else np.empty(0)
        missing = missing_voxels(np.asarray(raw), len(block.read), self.volume.name)
        out = []
        for part in pipeline.parts:
            labels = decode(part.represent, stored[part.channels], self.volume.voxel, self.options, missing)
            named = global_ids(labels, tuple(side.start for side in block.read), self.volume.shape)
            out.append(np.ascontiguousarray(named[block.inner]))
        return out


@dataclass(frozen=True, eq=False)
class LiveClass(LazyArray):
    """The labels of one class, read box by box. seen: only what has been drawn by then, background elsewhere."""

    live: LiveSegmentation
    number: int
    seen: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.live.volume.shape

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint64)

    @property
    def chunks(self) -> tuple[int, ...]:
        return tuple(min(c, n) for c, n in zip(CHUNK[len(self.shape)], self.shape))

    def fetch(self, region: tuple[slice, ...]) -> Ids:
        out = np.zeros(tuple(len(range(s.start, s.stop, s.step)) for s in region), np.uint64)
        grid = self.live.grid
        for index in product(*(range(r.start // n, -(-r.stop // n)) for r, n in zip(region, grid.size))):
            found = self.live.block(grid.number(index), draw=not self.seen)
            if found is not None:
                copy_block(out, found[self.number], region, grid[grid.number(index)].write)
        return out


def copy_block(out: Ids, block: Ids, region: tuple[slice, ...], place: tuple[slice, ...]) -> None:
    """What of a block at `place` lies in a region, every so manieth voxel of it, to where it belongs in `out`."""
    here, there = [], []
    for r, w in zip(region, place):
        first = max(-(-(w.start - r.start) // r.step), 0)  # the first place of `out` that lies in the block
        start, stop = r.start + first * r.step, min(r.stop, w.stop)
        count = len(range(start, stop, r.step))
        here.append(slice(first, first + count))
        there.append(slice(start - w.start, start - w.start + max((count - 1) * r.step + 1, 0), r.step))
    out[tuple(here)] = block[tuple(there)]


def global_ids(labels: NDArray[np.int32], corner: tuple[int, ...], shape: tuple[int, ...]) -> Ids:
    """Labels of a box at `corner` of a volume, each object called by the number of its first voxel there, from 1.

    >>> global_ids(np.array([[0, 2], [2, 1]], np.int32), (1, 1), (4, 4))
    array([[ 0,  7],
           [ 7, 11]], dtype=uint64)
    """
    ids, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    places = np.stack(np.unravel_index(first, labels.shape)) + np.array(corner)[:, None]
    names = np.ravel_multi_index(tuple(places), shape).astype(np.uint64) + np.uint64(1)
    names[ids == 0] = 0
    return np.asarray(names[inverse.reshape(labels.shape)])
