"""A network over an image of any size: whole where it fits, in overlapping tiles that agree where it does not.

tiled = TiledNetwork(segmenter, image, tiling)    image (C, *S): normalised, on the working grid, padded
tiled.blend()                                    (K, *S): all tiles, each blended into the next
tiled.predict([window, ...])                       (B, K, *T): the network over windows (C, *T) of the image
tiled.margin                                       voxels around a box that the network has to see
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from itertools import combinations, islice
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file
from safetensors.torch import save as serialise

from ..core.atomic import atomic_path
from ..core.blocks import Slices
from ..core.settings import Settings
from ..core.threads import THREADS, own_cores
from ..model import Segmenter
from ..nets.folded import has_frozen_norms
from ..nets.norms import MeasuredNorms, Statistics
from .tiles import Cover, fit_tile, place_tiles
from .ways import Precision, Way, compute, one_thread, proven_way

Image = NDArray[np.float32]
Progress = Callable[[int, int], None]  # tiles done, tiles in all
LEAST = 4  # a padded axis has so many multiples at least: the coarsest level of a network must have room to reflect
WINDOWS = 4  # go through the network together when statistics are measured ...
ROUNDS = 8  # ... so many times at most; fewer where they would see more than the image has
MOST = 4  # tiles of the default size that are predicted at the same time take 1 to 2 GB
FELT = 0.03  # a voxel is changed by a cut that moves its channels by more ...
SHARE = 0.99  # ... and the cut is over where so many voxels of a plane are not


class Tiling(Settings):
    """How an image is cut for the network. Voxels are those of the working grid.

    voxels: the network sees so many at once at most, which bounds its memory. An image that is not larger goes
        through whole, a larger one in tiles; in tiles of a quarter where the network is not shipped with its
        statistics, as four of them are seen together when these are measured.
    tile: another size of the largest tile; a smaller image goes through whole.
    overlap: of neighbouring tiles. batch: tiles that go through together.
    precision: "auto" takes bfloat16 where it is faster and agrees with 32 bits (ways.py), 32 bits elsewhere.
    mirror: the network sees every tile mirrored along all its axes in turn, and the results are averaged: four times
        the work in 2D, eight times in 3D, for somewhat truer outlines.
    """

    voxels: int = Field(2**21, ge=1)
    tile: tuple[int, ...] | None = None
    overlap: int = Field(12, ge=0)
    batch: int = Field(1, ge=1)
    precision: Precision = "auto"
    mirror: bool = False


class Boxes(Protocol):
    """A normalised image (C, *S) on the working grid, padded; an array, or what is read box by box like one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, region: Any, /) -> Image: ...


class TiledNetwork:
    """A segmenter's network over one image; every box comes from the same statistics and the same way to compute.

    Parameters
    ----------
    segmenter : its network, and its representation to activate the channels.
    image : (C, *S), normalised, padded to multiples of what the network needs.
    tiling : sizes in voxels of the working grid, and the precision.
    size : of the largest tile, (*T); by default that of `largest_tile`.
    statistics : of the norms, where they were measured before; by default they are measured on the image.
    """

    def __init__(
        self, segmenter: Segmenter, image: Boxes, tiling: Tiling, size: tuple[int, ...] | None = None,
        statistics: Statistics | None = None,
    ) -> None:  # fmt: skip
        self.segmenter, self.image, self.tiling, self.measured = segmenter, image, tiling, statistics
        self.size = largest_tile(segmenter, image.shape[1:], tiling) if size is None else size

    @cached_property
    def cover(self) -> Cover:
        """The tiles."""
        return Cover(self.image.shape[1:], self.size, self.tiling.overlap, multiple(self.segmenter))

    @property
    def is_one_tile(self) -> bool:
        """Whether the image goes through as one tile."""
        return len(self.cover) == 1

    @cached_property
    def statistics(self) -> Statistics:
        """Of the norms, for boxes of the image."""
        if self.measured is not None:
            return self.measured
        return measure(self.segmenter, self.image, self.size, self.tiling.precision)

    @cached_property
    def way(self) -> Way:
        """The way to compute the network in this process, on this processor."""
        return self.choose_way(self.statistics)

    @cached_property
    def margin(self) -> tuple[int, ...]:
        """Voxels around a box that the network has to see, so that its channels are those of the whole image."""
        return margin(self)

    def window(self, number: int) -> Image:
        """What a tile sees, (C, *T)."""
        return self.image[(slice(None), *self.cover[number].region)]

    def choose_way(self, statistics: Statistics | None) -> Way:
        return proven_way(self.segmenter, self.image, self.size, self.tiling.precision, statistics).way

    def prepare(self) -> None:
        """Find out what all boxes share, before several threads ask for it."""
        assert self.way, "a way to compute is always found"

    def prove(self) -> None:
        """Find out which way to compute the network is right, as `blend` would."""
        if self.is_one_tile and not has_frozen_norms(self.segmenter.network):
            self.choose_way(None)
        else:
            self.prepare()

    def predict(self, windows: Sequence[Image]) -> Image:
        """Channels (B, K, *T) of windows (C, *T) of one shape."""
        return forward(self.segmenter, windows, self.tiling.mirror, self.way, self.statistics)

    def blend(self, progress: Progress | None = None) -> Image:
        """Channels (K, *S) of the whole image: its tiles, each blended into the next."""
        cover, batch = self.cover, self.tiling.batch
        if self.is_one_tile:
            (out,) = predict_whole([self])
            if progress is not None:
                progress(1, 1)
            return out
        self.prepare()
        groups = [range(first, min(first + batch, len(cover))) for first in range(0, len(cover), batch)]
        out = np.zeros((0,), dtype=np.float32)
        done, beside = 0, windows_at_once()
        with ThreadPoolExecutor(beside) as pool:
            for first in range(0, len(groups), beside):
                some = groups[first : first + beside]
                predicted = pool.map(self.predict, ([self.window(number) for number in group] for group in some))
                for group, channels in zip(some, predicted):  # in order: sums of other orders differ
                    if not done:
                        out = np.zeros((channels.shape[1], *self.image.shape[1:]), dtype=np.float32)
                    for tile, one in zip(map(cover.__getitem__, group), channels):
                        out[(slice(None), *tile.region)] += one * tile.weight
                    done += len(group)
                    if progress is not None:
                        progress(done, len(cover))
        return out


def predict_whole(networks: Sequence[TiledNetwork]) -> list[Image]:
    """Channels (K, *S) of images of one shape that each are one tile, in one pass of one segmenter's network.

    One tile sees all of its image, so norms that are not frozen take its own statistics.
    """
    first = networks[0]
    own = first.statistics if has_frozen_norms(first.segmenter.network) else None
    windows = [network.window(0) for network in networks]
    return list(forward(first.segmenter, windows, first.tiling.mirror, first.choose_way(own), own))


def probabilities(segmenter: Segmenter, image: Image, tiling: Tiling, progress: Progress | None = None) -> Image:
    """Normalised image (*S) or (C, *S) on the working grid, of any size -> activated channels (K, *S)."""
    step = multiple(segmenter)
    space = image.shape[-len(step) :]
    out = TiledNetwork(segmenter, pad_to_step(image.reshape(-1, *space), step), tiling).blend(progress)
    return out[(slice(None), *(slice(n) for n in space))]


def windows_at_once() -> int:
    """Groups of tiles that are predicted at the same time: one for every THREADS cores, MOST at most."""
    return min(max(own_cores() // THREADS, 1), MOST)


def largest_tile(segmenter: Segmenter, shape: tuple[int, ...], tiling: Tiling) -> tuple[int, ...]:
    """The size of tiles for a padded image; its own shape where it goes through whole."""
    step = multiple(segmenter)
    if tiling.tile is None:
        whole = int(np.prod(shape)) <= tiling.voxels
        return shape if whole else fit_tile(shape, tiling.voxels // tile_group(segmenter), step)
    return round_up(tuple(max(t, LEAST * m) for t, m in zip(tiling.tile, step)), step)


def tile_in_memory(segmenter: Segmenter, shape: tuple[int, ...], tiling: Tiling, memory: float) -> tuple[int, ...]:
    """`largest_tile`, or a smaller one where the network has not so many bytes."""
    size, step, room = largest_tile(segmenter, shape, tiling), multiple(segmenter), memory / footprint(segmenter)
    if prod(size) > room:
        least = tuple(LEAST * m for m in step)
        size = round_up(tuple(map(max, fit_tile(shape, max(int(room / tile_group(segmenter)), 1), step), least)), step)
    return size


def footprint(segmenter: Segmenter) -> float:
    """Bytes that the network holds per voxel of its input, about: three times its widest layer with its input."""
    size = tuple(LEAST * m for m in multiple(segmenter))
    most = 0

    def note(_: Any, given: Any, out: Any) -> None:
        nonlocal most
        tensors = [t for t in (*given, out) if isinstance(t, torch.Tensor)]
        most = max(most, sum(t.numel() for t in tensors))

    leaves = [m for m in segmenter.network.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    device = next(segmenter.network.parameters()).device
    try:
        with torch.inference_mode():
            segmenter.network(torch.zeros((1, segmenter.spec.channels, *size), device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return 3 * 4 * most / prod(size) + 16


def tile_group(segmenter: Segmenter) -> int:
    """How many tiles the network has to see at once."""
    return 1 if has_frozen_norms(segmenter.network) else WINDOWS


def measure(segmenter: Segmenter, image: Boxes, size: tuple[int, ...], precision: Precision) -> Statistics:
    """Statistics of the norms for boxes of an image (C, *S): of the whole of it where it is one tile, else of windows
    as large as its tiles.

    Windows of tile size, because near its rim a window is not what the image is. A network that is shipped with its
    statistics needs none.
    """
    if has_frozen_norms(segmenter.network):
        return {}
    space = image.shape[1:]
    way = proven_way(segmenter, image, size, precision, None).way
    if size == space:
        places, together, rounds = iter([tuple(slice(0, n) for n in space)]), 1, 1
    else:
        size = tuple(min(t, n) for t, n in zip(size, space))
        places, together = place_tiles(space, size, multiple(segmenter)), WINDOWS
        rounds = min(max(round(int(np.prod(space)) / (WINDOWS * int(np.prod(size)))), 1), ROUNDS)
    measured = MeasuredNorms(segmenter.network)
    for _ in range(rounds):
        windows = [image[(slice(None), *place)] for place in islice(places, together)]
        forward(replace(segmenter, network=measured.network), windows, False, way, None)
    return measured.statistics


def forward(
    segmenter: Segmenter, images: Sequence[Image], mirror: bool, way: Way, statistics: Statistics | None
) -> NDArray[np.float32]:
    """Images (C, *tile) of one shape through the network together: (B, K, *tile) activated, float32.

    mirror: averaged over all mirrorings.
    """
    device, single = next(segmenter.network.parameters()).device, one_thread(segmenter)

    def compute_once(images: Sequence[Image]) -> Image:
        return compute(segmenter, torch.from_numpy(np.stack(images)).to(device), way, statistics, single)

    if not mirror:
        return compute_once(images)
    space = range(1, images[0].ndim)
    mirrorings = [axes for n in range(len(space) + 1) for axes in combinations(space, n)]
    total: Image = np.zeros(1, dtype=np.float32)
    for axes in mirrorings:
        turned = compute_once([np.ascontiguousarray(np.flip(image, axes)) for image in images])
        total = total + np.flip(turned, tuple(axis + 1 for axis in axes))
    return np.asarray(total / len(mirrorings), dtype=np.float32)


def margin(network: TiledNetwork) -> tuple[int, ...]:
    """How deep the network feels that its image ends, in voxels of the working grid: its effective receptive field.

    A window from the middle is halved along each axis. From the depth returned on, and up to the largest difference
    of FELT for all but 1 - SHARE of the voxels of a plane, either half comes out as it does in one piece. Networks see
    much farther in principle, but with weights that do not matter. A multiple of what the input is a multiple of.
    """
    step, shape = multiple(network.segmenter), network.image.shape[1:]
    size = fit_tile(shape, network.tiling.voxels // 4, step)
    place = next(islice(place_tiles(shape, size, step), 1))
    window = network.image[(slice(None), *place)]
    whole = network.predict([window])[0]
    out = []
    for axis, (n, m) in enumerate(zip(size, step)):
        middle = n // 2 // m * m
        depth = 0
        if middle >= m:
            for half, backwards in ((slice(0, middle), True), (slice(middle, n), False)):
                at = (*(slice(None),) * (axis + 1), half)
                if (half.stop - half.start) < 2 * m:
                    continue
                part = network.predict([np.ascontiguousarray(window[at])])[0]
                depth = max(depth, changed_planes(np.abs(part - whole[at]), axis + 1, backwards))
        out.append(min(-(-depth // m) * m, max(n // 2 // m * m, m)))
    return tuple(out)


def changed_planes(change: Image, axis: int, backwards: bool) -> int:
    """How many planes from the cut on are changed, (K, *S); `backwards` where the cut is at the end of the axis."""
    planes = np.moveaxis(change, axis, 0).reshape(change.shape[axis], -1)
    if backwards:
        planes = planes[::-1]
    changed = np.flatnonzero(np.quantile(planes, SHARE, axis=1) > FELT)
    return int(changed[-1]) + 1 if changed.size else 0


def widen_box(region: Slices, margin: tuple[int, ...], step: tuple[int, ...], shape: tuple[int, ...]) -> Slices:
    """A box with its margin, from and to multiples of `step`, inside of `shape` and at least LEAST steps long."""
    out = []
    for r, far, m, n in zip(region, margin, step, shape):
        start = max((r.start - far) // m * m, 0)
        stop = min(-(-(r.stop + far) // m) * m, n)
        if stop - start < LEAST * m:
            start = max(min(start, n - LEAST * m), 0)
            stop = min(start + LEAST * m, n)
        out.append(slice(start, stop))
    return tuple(out)


def multiple(segmenter: Segmenter) -> tuple[int, ...]:
    """What each axis of the network's input must be a multiple of."""
    return tuple(int(m) for m in np.broadcast_to(np.asarray(segmenter.network.multiple), len(segmenter.axes)))


def pad_to_step(image: Image, step: tuple[int, ...]) -> Image:
    """(C, *S) reflected beyond its ends up to a multiple of `step`, and to LEAST steps where it is smaller."""
    space = image.shape[1:]
    target = round_up(tuple(max(n, LEAST * m) for n, m in zip(space, step)), step)
    return np.pad(image, [(0, 0), *((0, t - n) for n, t in zip(space, target))], mode="reflect")


def round_up(shape: tuple[int, ...], step: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // m) * m for n, m in zip(shape, step))


STATISTICS = "statistics.safetensors"


def save_statistics(statistics: Statistics, path: Path) -> None:
    named = {
        f"{name}.{what}": numbers.cpu().contiguous()
        for name, pair in statistics.items()
        for what, numbers in zip(("mean", "variance"), pair)
    }
    with atomic_path(path) as beside:
        beside.write_bytes(serialise(named))  # `save_file` would write for the owner alone


def load_statistics(path: Path, device: torch.device) -> Statistics:
    found = load_file(path, device=str(device))
    names = (name.removesuffix(".mean") for name in found if name.endswith(".mean"))
    return {name: (found[f"{name}.mean"], found[f"{name}.variance"]) for name in names}
