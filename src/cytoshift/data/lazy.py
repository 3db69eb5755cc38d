"""Lazy views: the spatial axes of a stored array, in order, one channel and one frame of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.lazy_array import LazyArray
from .picture import StoredArray

# Rec. 709, the weights of scikit-image's rgb2gray.
LUMINANCE = (0.2125, 0.7154, 0.0721)


@dataclass(frozen=True, eq=False)
class SpatialView(LazyArray):
    """Spatial axes of `stored`.

    fixed: per stored axis, the index to take, or None for a spatial axis (and for the colours of a luminance).
    order: stored axes that become the axes of the view.
    colours: the stored axis of red, green and blue to weigh into their luminance, or None.
    labels: object ids, none of which may be negative; whole numbers that are stored as floats are ids, too.
    """

    stored: StoredArray
    fixed: tuple[int | None, ...]
    order: tuple[int, ...]
    colours: int | None = None
    labels: bool = False
    origin: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.stored.shape[axis] for axis in self.order)

    @property
    def dtype(self) -> np.dtype:
        """Native byte order, which is the only one that torch takes; a mask of true and false counts as 0 and 1."""
        native = np.dtype(self.stored.dtype).newbyteorder("=")
        if self.labels and native.kind == "f":
            return np.dtype(np.uint32)
        return np.dtype(np.uint8) if native.kind == "b" else native

    @property
    def chunks(self) -> tuple[int, ...] | None:
        stored = self.stored.chunks
        return stored and tuple(stored[axis] for axis in self.order)

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        wanted = [slice(0, 3) if at is None else slice(at, at + 1) for at in self.fixed]
        for axis, part in zip(self.order, region):
            wanted[axis] = part
        data = self.stored.read(tuple(wanted))
        if self.colours is not None:
            grey = np.tensordot(data, np.asarray(LUMINANCE), axes=(self.colours, 0))
            grey = grey if self.dtype.kind == "f" else np.rint(grey)
            data = np.expand_dims(grey.astype(self.dtype), self.colours)
        rest = tuple(axis for axis in range(data.ndim) if axis not in self.order)
        data = data.transpose((*self.order, *rest)).reshape([data.shape[axis] for axis in self.order])
        if self.labels and data.dtype.kind == "f":
            data = whole_numbers(data, self.origin)
        if self.labels and data.dtype.kind == "i" and data.min() < 0:
            raise UserError(f"labels in {self.origin} hold {data.min()}; objects are 1, 2, 3 ... on background 0")
        return data


def whole_numbers(values: NDArray[Any], origin: str) -> NDArray[np.uint32]:
    """Object ids that are stored as floats; NaN, which is no data, is background.

    Raises UserError for what is no whole number, and for those that are too large for floats to tell them apart.
    """
    known = np.where(np.isnan(values), 0, values)
    odd = known != np.rint(known)
    if odd.any() or known.min() < 0:
        value = known[odd][0] if odd.any() else known.min()
        raise UserError(
            f"labels in {origin} hold {value:g}, but object ids are whole numbers on background 0; save labels as "
            "uint16 or uint32"
        )
    limit = min(2.0 ** (np.finfo(values.dtype).nmant + 1), 2.0**32 - 1)
    if known.max() > limit:
        raise UserError(
            f"labels in {origin} hold {known.max():.0f}, but {values.dtype} tells whole numbers apart only up to "
            f"{limit:.0f}; save labels as uint32"
        )
    return known.astype(np.uint32)


@dataclass(frozen=True, eq=False)
class StackedArray(LazyArray):
    """Images of one shape, one behind the other along a new first axis."""

    slices: Sequence[LazyArray | NDArray[np.generic]]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.slices), *map(int, self.slices[0].shape))

    @property
    def dtype(self) -> np.dtype:
        """One that holds the numbers of all."""
        return reduce(np.promote_types, {image.dtype for image in self.slices})

    @property
    def chunks(self) -> tuple[int, ...] | None:
        inner = getattr(self.slices[0], "chunks", None)
        return inner and (1, *inner)

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        return np.stack([image[region[1:]] for image in self.slices[region[0]]])


@dataclass(frozen=True, eq=False)
class RegionArray(LazyArray):
    """A box of another array; `region` has a slice of step 1 for each of its axes."""

    whole: LazyArray | NDArray[np.generic]
    region: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(part.stop - part.start for part in self.region)

    @property
    def dtype(self) -> np.dtype:
        return self.whole.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        return getattr(self.whole, "chunks", None)

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        moved = (slice(a.start + b.start, a.start + b.stop, b.step) for a, b in zip(self.region, region))
        return np.asarray(self.whole[tuple(moved)])


@dataclass(frozen=True, eq=False)
class StridedArray(LazyArray):
    """Every so manieth voxel of another array, from the first one on."""

    whole: LazyArray | NDArray[np.generic]
    steps: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(-(-n // s) for n, s in zip(self.whole.shape, self.steps))

    @property
    def dtype(self) -> np.dtype:
        return self.whole.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        stored = getattr(self.whole, "chunks", None)
        return stored and tuple(max(c // s, 1) for c, s in zip(stored, self.steps))

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        places = (slice(r.start * s, (r.stop - 1) * s + 1, s * r.step) for r, s in zip(region, self.steps))
        return np.asarray(self.whole[tuple(places)])


def smallest_piece(array: Any) -> tuple[int, ...]:
    """Shape of the piece that is always read whole, channels and colours included; () if any box can be read."""
    if isinstance(array, SpatialView):
        array = array.stored
    elif isinstance(array, StackedArray):
        return smallest_piece(array.slices[0])
    elif isinstance(array, RegionArray):
        return smallest_piece(array.whole)
    chunks: tuple[int, ...] = getattr(array, "chunks", None) or ()
    return tuple(min(c, n) for c, n in zip(chunks, array.shape))


def refuse_pieces(array: Any, origin: str, memory: float, allow: str = "or allow more by `memory`") -> None:
    """Raises UserError where the smallest part of a file that can be read is larger than half of `memory` in bytes.

    allow: another cure than to convert the image.
    """
    sizes = smallest_piece(array)
    held = int(np.prod(sizes)) * array.dtype.itemsize
    if sizes and 2 * held > memory:
        words = " x ".join(str(n) for n in sizes if n > 1)
        raise UserError(
            f"{origin} is stored in pieces of {words} voxels, {held / 1e9:.3g} GB each, which can only be read whole; "
            f"write it in smaller ones first, by 'cytoshift convert' with `memory={memory_needed(held)}GB`"
            + f", {allow}"
            * bool(allow)
        )


def memory_needed(held: int) -> int:
    """Gigabytes that `convert` needs for pieces of so many bytes: twice that, and the program."""
    return int(2 * held / 1e9) + 2
