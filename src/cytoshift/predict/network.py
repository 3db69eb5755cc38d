"""A network over an image of any size: whole where it fits, in tiles that agree where it does not."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ..core.settings import Settings
from ..core.threads import THREADS
from ..model import Segmenter
from ..nets.folded import steady
from .norms import Pooled
from .tiles import Tile, fitting, spread, tiles
from .ways import Precision, Way, compute, proven

Progress = Callable[[int, int], None]  # tiles done, tiles in all
LEAST = 4  # a padded axis has so many multiples at least: the coarsest level of a network must have room to reflect
WINDOWS = 4  # go through the network together when statistics are measured ...
ROUNDS = 8  # ... so many times at most; fewer where they would see more than the image has
MOST = 4  # tiles of the default size that are drawn at the same time take 1 to 2 GB


class Tiling(Settings):
    """How an image is cut for the network. Voxels are those of the working grid.

    voxels: the network sees so many at once at most, which bounds its memory. An image that is not larger goes
        through whole, a larger one in tiles; in tiles of a quarter where the network is not shipped with its
        statistics, as four of them are seen together when these are measured.
    tile: another size of the largest tile; a smaller image goes through whole.
    overlap: of neighbouring tiles. batch: tiles that go through together.
    precision: "auto" takes bfloat16 where it is faster and agrees with 32 bits (ways.py), 32 bits elsewhere.
    mirror: the network sees every tile mirrored along all its axes in turn, and what it draws is averaged: four times
        the work in 2D, eight times in 3D, for somewhat truer outlines.
    """

    voxels: int = Field(2**21, ge=1)
    tile: tuple[int, ...] | None = None
    overlap: int = Field(12, ge=0)
    batch: int = Field(1, ge=1)
    precision: Precision = "auto"
    mirror: bool = False


def probabilities(
    segmenter: Segmenter, image: NDArray[np.float32], tiling: Tiling, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Normalised image (*S) or (C, *S) on the working grid -> activated channels (K, *S).

    Each tile is blended into the next.
    """
    step = multiple(segmenter)
    space = image.shape[-len(step) :]
    padded = pad(image.reshape(-1, *space), step)
    size = largest(segmenter, padded.shape[1:], tiling)
    pieces = tiles(padded.shape[1:], size, tiling.overlap, step)
    several = len(pieces) > 1 or steady(segmenter.network)
    pooled = measure(segmenter, padded, size, tiling.precision) if several else None
    way = proven(segmenter, padded, size, tiling.precision, pooled).way

    def drawn(group: list[Tile]) -> NDArray[np.float32]:
        own = pooled and pooled.fresh()
        return drawn_of(segmenter, [padded[(slice(None), *piece.region)] for piece in group], tiling, way, own)

    groups = [pieces[first : first + tiling.batch] for first in range(0, len(pieces), tiling.batch)]
    out: NDArray[np.float32] | None = None
    done, beside = 0, at_a_time()
    with ThreadPoolExecutor(beside) as pool:
        for first in range(0, len(groups), beside):
            some = groups[first : first + beside]
            for group, channels in zip(some, pool.map(drawn, some)):  # in order: sums of other orders differ
                if out is None:
                    out = np.zeros((channels.shape[1], *padded.shape[1:]), dtype=np.float32)
                for piece, one in zip(group, channels):
                    out[(slice(None), *piece.region)] += one * piece.weight
                done += len(group)
                if progress is not None:
                    progress(done, len(pieces))
    assert out is not None, "an image has at least one tile"
    return out[(slice(None), *(slice(n) for n in space))]


def at_a_time() -> int:
    """Groups of tiles that are drawn at the same time: one for every THREADS cores, MOST at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores // THREADS, 1), MOST)


def largest(segmenter: Segmenter, shape: tuple[int, ...], tiling: Tiling) -> tuple[int, ...]:
    """The size of tiles for a padded image; its own shape where it goes through whole."""
    step = multiple(segmenter)
    if tiling.tile is None:
        whole = int(np.prod(shape)) <= tiling.voxels
        return shape if whole else fitting(shape, tiling.voxels // together(segmenter), step)
    return up(tuple(max(t, LEAST * m) for t, m in zip(tiling.tile, step)), step)


def together(segmenter: Segmenter) -> int:
    """How many tiles the network has to see at once."""
    return 1 if steady(segmenter.network) else WINDOWS


def measure(segmenter: Segmenter, padded: NDArray[np.float32], size: tuple[int, ...], precision: Precision) -> Pooled:
    """Statistics of the instance norms for a whole image (C, *S), from windows as large as its tiles.

    Windows of tile size, because near its rim a window is not what the image is. A network that is shipped with its
    statistics needs none.
    """
    pooled = Pooled()
    if steady(segmenter.network):
        pooled.freeze()
        return pooled
    space = padded.shape[1:]
    size = tuple(min(t, n) for t, n in zip(size, space))
    way = proven(segmenter, padded, size, precision, None).way
    rounds = min(max(round(int(np.prod(space)) / (WINDOWS * int(np.prod(size)))), 1), ROUNDS)
    places = spread(space, size, multiple(segmenter))
    for _ in range(rounds):
        windows = [padded[(slice(None), *place)] for place in islice(places, WINDOWS)]
        forward(segmenter, windows, way, pooled)
    pooled.freeze()
    return pooled


def drawn_of(
    segmenter: Segmenter, images: list[NDArray[np.float32]], tiling: Tiling, way: Way, pooled: Pooled | None
) -> NDArray[np.float32]:
    """`forward`, averaged over all mirrorings where that is wished for."""
    if not tiling.mirror:
        return forward(segmenter, images, way, pooled)
    space = range(1, images[0].ndim)
    ways = [axes for n in range(len(space) + 1) for axes in combinations(space, n)]
    total: NDArray[np.float32] = np.zeros(1, dtype=np.float32)
    for axes in ways:
        turned = [np.ascontiguousarray(np.flip(image, axes)) for image in images]
        drawn = forward(segmenter, turned, way, pooled)
        total = total + np.flip(drawn, tuple(axis + 1 for axis in axes))
    return np.asarray(total / len(ways), dtype=np.float32)


def forward(
    segmenter: Segmenter, images: list[NDArray[np.float32]], way: Way, pooled: Pooled | None
) -> NDArray[np.float32]:
    """Images (C, *tile) of one shape through the network together: (B, K, *tile) activated, float32."""
    device = next(segmenter.network.parameters()).device
    return compute(segmenter, torch.from_numpy(np.stack(images)).to(device), way, pooled)


def multiple(segmenter: Segmenter) -> tuple[int, ...]:
    """What each axis of the network's input must be a multiple of."""
    return tuple(int(m) for m in np.broadcast_to(np.asarray(segmenter.network.multiple), len(segmenter.axes)))


def pad(image: NDArray[np.float32], step: tuple[int, ...]) -> NDArray[np.float32]:
    """(C, *S) reflected beyond its ends up to a multiple of `step`, and to LEAST steps where it is smaller."""
    space = image.shape[1:]
    target = up(tuple(max(n, LEAST * m) for n, m in zip(space, step)), step)
    return np.pad(image, [(0, 0), *((0, t - n) for n, t in zip(space, target))], mode="reflect")


def up(shape: tuple[int, ...], step: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // m) * m for n, m in zip(shape, step))
