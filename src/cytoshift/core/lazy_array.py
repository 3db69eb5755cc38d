"""Arrays that are read when they are sliced, by slices of any step and by numbers."""

import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Index = Any  # int, slice, Ellipsis or a tuple of them


class LazyArray:
    """Basic indexing (slices with a positive step, integers, an ellipsis) over a `fetch` of slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def dtype(self) -> np.dtype:
        raise NotImplementedError

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read whole whenever a part of it is wanted; None where any box is read as it is."""
        return None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        raise NotImplementedError

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        region, dropped = complete_index(index, self.shape)
        lengths = tuple(len(range(s.start, s.stop, s.step)) for s in region)
        if 0 in lengths:
            data = np.empty(lengths, self.dtype)
        else:
            data = np.ascontiguousarray(self.fetch(region), dtype=self.dtype)
        return data.squeeze(axis=dropped) if dropped else data

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.generic]:
        if copy is False:
            raise ValueError("a lazy volume can be read only by a copy")
        data = self[...]
        return data if dtype is None else data.astype(dtype, copy=False)


def complete_index(index: Index, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[int, ...]]:
    """One slice per axis with numbers for start, stop and step; and the axes that an integer removes."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    if len(parts) != len(shape):
        raise IndexError(f"{len(parts)} indices for an array of {len(shape)} axes")
    region: list[slice] = []
    dropped: list[int] = []
    for axis, (part, n) in enumerate(zip(parts, shape)):
        if isinstance(part, slice):
            start, stop, step = part.indices(n)
            if step < 1:
                raise IndexError("a lazy volume is read forwards: the step of a slice must be positive")
            region.append(slice(start, max(stop, start), step))
        else:
            at = range(n)[operator.index(part)]  # negative counts from the end, out of range raises
            region.append(slice(at, at + 1, 1))
            dropped.append(axis)
    return tuple(region), tuple(dropped)
