"""Intensities of one domain as if they were the other's: matched histograms of whole volumes, measured once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.normalise import sample_voxels

KNOTS = 1024  # of the table at most; all 256 levels of 8-bit images have their own


@dataclass(frozen=True)
class Lookup:
    """Rising intensities and what becomes of them, linear in between, the ends beyond; numbers only, for a file."""

    knots_in: tuple[float, ...]
    knots_out: tuple[float, ...]

    def __call__(self, raw: NDArray) -> NDArray[np.float32]:
        """Raw intensities (any shape, any real dtype) to float32."""
        if raw.dtype in (np.uint8, np.uint16) and raw.size >= (count := 256**raw.dtype.itemsize):
            levels = np.arange(count)  # each is looked up once
            return np.interp(levels, self.knots_in, self.knots_out).astype(np.float32)[raw]
        return np.interp(raw, self.knots_in, self.knots_out).astype(np.float32)


@dataclass(frozen=True)
class MatchedScale:
    """A scale, and a table over what it gives: raw intensities to the levels of another domain."""

    scale: Callable[[NDArray[np.generic]], NDArray[np.float32]]
    lookup: Lookup

    def __call__(self, raw: NDArray[np.generic]) -> NDArray[np.float32]:
        return self.lookup(self.scale(raw))


def histogram_lookup(source: list[Any], reference: list[Any]) -> Lookup:
    """The table after which the intensities of all of `source` are distributed like those of all of `reference`.

    source, reference: arrays of any shapes, each a list that counts as one. The intensity that a part q of the source
    does not exceed becomes the one that a part q of the reference does not exceed (as in scikit-image's
    match_histograms, CySGAN's "Histogram"). The table keeps at most KNOTS intensities, equally frequent ones.
    """
    values, shares = distribution(source)
    wanted, wanted_shares = distribution(reference)
    matched = np.interp(shares, wanted_shares, wanted)
    if len(values) > KNOTS:
        even = np.searchsorted(shares, np.linspace(shares[0], 1, KNOTS))
        keep = np.unique(np.clip(even, 0, len(values) - 1))
        values, matched = values[keep], matched[keep]
    return Lookup(tuple(map(float, values)), tuple(map(float, matched)))


def distribution(arrays: list[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intensities that occur, rising, and which part of all voxels does not exceed each.

    8- and 16-bit arrays in memory are counted voxel by voxel, others are heard on a regular grid of some millions.
    """
    counts: dict[float, int] = {}
    for array in arrays:
        if isinstance(array, np.ndarray) and array.dtype in (np.uint8, np.uint16):
            number = np.bincount(array.ravel())
            values = np.flatnonzero(number)
            number = number[values]
        else:
            values, number = np.unique(sample_voxels(array), return_counts=True)
        if not len(values) or not np.isfinite(values).all():
            raise UserError("an image to be matched is empty, or holds infinite values; replace them")
        for value, n in zip(values.tolist(), number.tolist()):
            counts[value] = counts.get(value, 0) + n
    rising = np.array(sorted(counts), np.float64)
    cumulative = np.cumsum([counts[value] for value in rising.tolist()])
    return rising, cumulative / cumulative[-1]
