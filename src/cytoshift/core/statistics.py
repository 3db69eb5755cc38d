"""Mean, spread and exact percentiles of images of any size, from the counts of their blocks.

A voxel has a key of 16 or 32 bits that rises with its intensity: an 8- or 16-bit integer is its own key, any other
number is rounded to float32, whose bits rise with it once negative ones are turned round. So

  (1) count    voxels by the upper 16 bits of their keys: all there is to know of 8- and 16-bit images
  (2) refine   for the others, count voxels by the lower 16 bits, in the few bins that hold a percentile's neighbours

Counts of blocks add up in any order, so that percentiles are those of all voxels, whatever the blocks.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .blocks import Slices, chunk_boxes
from .errors import UserError
from .no_data import known_values

KEY_BINS = 1 << 16  # one for every value of half a key of 32 bits
COUNTED_VOXELS = 1 << 20  # that are counted at once: what is made of them on the way stays in the processor's cache
READ_VOXELS = 1 << 24  # that are read at once
SIGN_BIT = np.uint32(1 << 31)


class Sliceable(Protocol):
    """An array in memory, or one that is read when it is sliced."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, region: Slices, /) -> NDArray[np.generic]: ...


@dataclass(frozen=True, eq=False)
class PartialStatistics:
    """Counts of some voxels; parts of different voxels add up."""

    counts: NDArray[np.int64]  # (bins that are looked into, KEY_BINS)
    moments: NDArray[np.float64]  # (3,): number, mean and sum of squared differences to it

    def __add__(self, other: "PartialStatistics") -> "PartialStatistics":
        (n, mean, square), (m, other_mean, other_square) = self.moments, other.moments
        if not n or not m:
            return PartialStatistics(self.counts + other.counts, self.moments if n else other.moments)
        apart = other_mean - mean  # Chan et al. 1983
        joined = (n + m, mean + apart * m / (n + m), square + other_square + apart**2 * n * m / (n + m))
        return PartialStatistics(self.counts + other.counts, np.array(joined))


@dataclass(frozen=True)
class StatisticsPass:
    """One look at a block. bins: (1) if empty, or else the upper halves that (2) looks into."""

    wide: bool  # keys of 32 bits
    bins: tuple[int, ...] = ()

    def __call__(self, block: NDArray[np.generic]) -> PartialStatistics:
        total = PartialStatistics(np.zeros((max(len(self.bins), 1), KEY_BINS), np.int64), np.zeros(3))
        flat = block.reshape(-1)
        for start in range(0, flat.size, COUNTED_VOXELS):
            total += self.measure_block(flat[start : start + COUNTED_VOXELS])
        return total

    def measure_block(self, values: NDArray[np.generic]) -> PartialStatistics:
        if not self.wide:
            counts = np.bincount(narrow_keys(values), minlength=KEY_BINS)[None]
            return PartialStatistics(counts, np.zeros(3))
        keys = wide_keys(known_values(values))
        upper = keys >> 16
        if self.bins:
            lower = [np.bincount(keys[upper == one] & 0xFFFF, minlength=KEY_BINS) for one in self.bins]
            return PartialStatistics(np.stack(lower), np.zeros(3))
        counts = np.bincount(upper, minlength=KEY_BINS)[None]
        if not is_finite(counts[0]):
            return PartialStatistics(counts, np.zeros(3))
        exact = known_values(values).astype(np.float64)
        if not exact.size:
            return PartialStatistics(counts, np.zeros(3))
        mean = exact.mean()
        return PartialStatistics(counts, np.array([exact.size, mean, np.square(exact - mean).sum()]))


# Runs a pass over all blocks of some arrays and adds up what it gives; names tell two passes over one image apart.
Engine = Callable[[str, StatisticsPass, Sequence[Sliceable]], PartialStatistics]


@dataclass(frozen=True)
class Summary:
    """Numbers of all voxels of an image, or of several."""

    mean: float
    std: float
    percentiles: tuple[float, ...]  # as they were asked for


def summary(arrays: Sequence[Sliceable], percentiles: tuple[float, ...], engine: Engine | None = None) -> Summary:
    """The numbers of all voxels of `arrays`, in one pass where all are integers of one dtype and at most 16 bits.

    percentiles: in [0, 100], linear between neighbours as numpy.percentile has them. Intensities of more than 16 bits,
    and floats, are taken as float32. NaN is no data and counts nowhere. Raises UserError for infinite values, and where
    there are no data.
    """
    engine = engine or sequential_engine
    dtypes = {np.dtype(array.dtype) for array in arrays}
    wide = len(dtypes) > 1 or not all(dtype.kind in "uib" and dtype.itemsize <= 2 for dtype in dtypes)
    first = engine("count", StatisticsPass(wide), arrays)
    upper = first.counts[0]
    if wide and not is_finite(upper):
        raise UserError("the image holds infinite values; replace them (by NaN, which is read as no data)")
    total = int(upper.sum())
    if not total:
        raise UserError("the image holds nothing but NaN, which is no data; leave it out")
    places = [(total - 1) * (q / 100) for q in percentiles]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    bins = np.searchsorted(np.cumsum(upper), ranks, side="right")
    if wide:
        before = np.concatenate([[0], np.cumsum(upper)])
        unique = tuple(dict.fromkeys(bins.tolist()))
        finer = dict(zip(unique, engine("refine", StatisticsPass(wide, unique), arrays).counts if unique else ()))
        lower = [
            np.searchsorted(np.cumsum(finer[b]), rank - before[b], side="right")
            for b, rank in zip(bins.tolist(), ranks)
        ]
        found = values_of(bins.astype(np.uint32) << np.uint32(16) | np.array(lower, np.uint32))
        mean, std = first.moments[1], math.sqrt(first.moments[2] / total)
    else:
        lowest = lowest_of(dtypes.pop())
        found = (bins + lowest).astype(np.float32)
        mean, std = mean_and_std(upper, lowest)
    at = dict(zip(ranks, found))
    ends = ((at[math.floor(p)], at[math.ceil(p)], p - math.floor(p)) for p in places)
    return Summary(float(mean), float(std), tuple(interpolate(*end) for end in ends))


def interpolate(low: np.float32, high: np.float32, part: float) -> float:
    """`part` of the way from `low` to `high`, to the last bit as numpy.percentile rounds it."""
    apart = high - low
    return float(low + np.float64(apart) * part if part < 0.5 else high - np.float64(apart) * (1 - part))


def mean_and_std(counts: NDArray[np.int64], lowest: int) -> tuple[float, float]:
    """Mean and standard deviation of the integers lowest, lowest + 1, ... that were counted."""
    occur = np.flatnonzero(counts)
    total = sum(counts[occur].tolist())
    mean = sum((value + lowest) * n for value, n in zip(occur.tolist(), counts[occur].tolist())) / total
    squares = np.square(occur + lowest - mean) @ counts[occur].astype(np.float64)
    return mean, math.sqrt(squares / total)


def sequential_engine(_: str, look: StatisticsPass, arrays: Sequence[Sliceable]) -> PartialStatistics:
    """The engine for one process: block after block."""
    total = PartialStatistics(np.zeros((1, KEY_BINS), np.int64), np.zeros(3))
    for array in arrays:
        for region in cover_blocks(array):
            total += look(np.asarray(array[region]))
    return total


def cover_blocks(array: Sliceable) -> Iterator[Slices]:
    """Boxes that cover an array, of at most READ_VOXELS or of one of its chunks."""
    return chunk_boxes(array.shape, getattr(array, "chunks", None), READ_VOXELS)


def is_finite(upper: NDArray[np.int64]) -> bool:
    """Whether none of the upper halves of keys is that of infinity (or NaN), whose exponent is all ones."""
    return not (upper[:0x80].any() or upper[0xFF80:].any())


def lowest_of(dtype: np.dtype[Any]) -> int:
    return int(np.iinfo(dtype).min) if dtype.kind == "i" else 0


def narrow_keys(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Integers of at most 16 bits to 0..65535."""
    return values if values.dtype.kind in "ub" else values.astype(np.int32) - lowest_of(values.dtype)


def wide_keys(values: NDArray[np.generic]) -> NDArray[np.uint32]:
    """Numbers to integers that rise with them as float32.

    >>> wide_keys(np.array([-2.0, -1.0, 0.0, 1.0])).argsort()
    array([0, 1, 2, 3])
    """
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return np.where(bits & SIGN_BIT, ~bits, bits | SIGN_BIT)


def values_of(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    """What `wide_keys` was given."""
    return np.where(keys & SIGN_BIT, keys ^ SIGN_BIT, ~keys).view(np.float32)
