"""Normalisation of volumes that do not fit into memory: passes block by block, continued after a kill.

A pass writes down what it has so far in a file of its own (a megabyte), with a fingerprint of what it looks at. The
same pass over the same volume goes on from there; over another it begins again.
"""

import hashlib
import itertools
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path
from ..core.blocks import Slices
from ..core.errors import UserError
from ..core.normalise import Recipe, Scale, Scales, measure
from ..core.statistics import KEY_BINS, PartialStatistics, Sliceable, StatisticsPass, cover_blocks
from .channel_axis import split_channels
from .volumes import Volume

CUBES, CUBE = 3, 8  # a fingerprint looks at cubes of 8 voxels, three along every axis
BLOCKS_TOGETHER = 16  # blocks that are under way together
NOTE_SECONDS = 20.0  # seconds between two notes of what is done
Run = Callable[
    [Callable[[Slices], PartialStatistics], Iterable[Slices]], Iterable[PartialStatistics]
]  # `map`, or what an engine has for it


def measure_scale(recipe: Recipe, volume: Volume, notes: Path | None = None, run: Run = map) -> Scale | Scales:
    """The numbers that normalise a volume of any size, channel by channel, from all its voxels.

    notes: folder for what is known so far, so that the same call after a kill goes on; without one nothing is kept.
    run: has a function called on every block, gives the results in order.
    Exact percentiles: in one pass over 8- and 16-bit integers, else in two over the intensities as float32.
    Raises UserError for infinite values, and for nothing but NaN, naming the volume.
    """
    try:
        return measure(
            recipe, [split_channels(volume.array, len(volume.axes))], CountingEngine(volume.origin, notes, run)
        )
    except UserError as error:
        raise UserError(f"{volume.origin}: {error}") from None


@dataclass(frozen=True)
class CountingEngine:
    """An engine of `core.statistics` that notes what it has counted."""

    origin: str
    notes: Path | None = None
    run: Run = map

    def __call__(self, name: str, look: StatisticsPass, arrays: Sequence[Sliceable]) -> PartialStatistics:
        places = [(number, region) for number, array in enumerate(arrays) for region in cover_blocks(array)]
        key = "" if self.notes is None else self.key(look, arrays, len(places))
        file = None if self.notes is None else self.notes / f"{name}.npz"
        done, total = read_counts(file, key, look)
        noted = time.monotonic()
        for number, inside in itertools.groupby(places[done:], key=lambda place: place[0]):
            regions = [region for _, region in inside]
            for start in range(0, len(regions), BLOCKS_TOGETHER):
                batch = regions[start : start + BLOCKS_TOGETHER]
                for part in self.run(partial(count_block, look, arrays[number]), batch):
                    total += part
                done += len(batch)
                if file and (time.monotonic() - noted > NOTE_SECONDS or done == len(places)):
                    append_counts(file, key, done, total)
                    noted = time.monotonic()
        return total

    def key(self, look: StatisticsPass, arrays: Sequence[Sliceable], count: int) -> str:
        """A pass continues only if this is the same."""
        return json.dumps([self.origin, look.wide, look.bins, count, *(fingerprint(array) for array in arrays)])


def count_block(look: StatisticsPass, array: Sliceable, region: Slices) -> PartialStatistics:
    return look(np.asarray(array[region]))


def read_counts(file: Path | None, key: str, look: StatisticsPass) -> tuple[int, PartialStatistics]:
    """How many blocks were counted before, and what they gave."""
    nothing = PartialStatistics(np.zeros((max(len(look.bins), 1), KEY_BINS), np.int64), np.zeros(3))
    if file is None or not file.is_file():
        return 0, nothing
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return 0, nothing
            return int(kept["done"]), PartialStatistics(kept["counts"], kept["moments"])
    except (OSError, ValueError, LookupError, zipfile.BadZipFile):  # damaged: counted again
        return 0, nothing


def append_counts(file: Path, key: str, done: int, total: PartialStatistics) -> None:
    with atomic_path(file) as temporary:
        np.savez(temporary, key=key, done=done, counts=total.counts, moments=total.moments)


def fingerprint(array: Any) -> str:
    """A short text that differs between arrays of other shapes, dtypes or voxels, as far as some cubes tell."""
    digest = hashlib.sha256(f"{tuple(array.shape)} {np.dtype(array.dtype).str}".encode())
    starts = [sorted({round((n - min(n, CUBE)) * i / (CUBES - 1)) for i in range(CUBES)}) for n in array.shape]
    for at in itertools.product(*starts):
        cube: NDArray[np.generic] = np.asarray(array[tuple(slice(a, a + CUBE) for a in at)])
        digest.update(np.ascontiguousarray(cube).tobytes())
    return digest.hexdigest()[:32]
