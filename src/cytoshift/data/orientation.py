"""Stored arrays as viewers show them: turned by the orientation of a camera, white as the largest number."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from .picture import Picture, StoredArray

T = TypeVar("T")

# TIFF tag 274 and EXIF: whether rows and columns change places, and which axes of the result are then mirrored (y, x).
ORIENTATIONS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True)
class StoredView:
    """What is made of a stored array when it is read; shape, type and chunks are those of the array."""

    stored: StoredArray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.stored.shape)

    @property
    def dtype(self) -> np.dtype:
        return self.stored.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        return self.stored.chunks


@dataclass(frozen=True)
class OrientedArray(StoredView):
    """An array whose axes `y` and `x` are shown transposed, mirrored, or both.

    transposed: y and x change places first. mirrored: then y, x, or both are reversed.
    """

    y: int
    x: int
    transposed: bool
    mirrored: tuple[bool, bool]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.swap_axes(tuple(self.stored.shape))

    @property
    def chunks(self) -> tuple[int, ...] | None:
        chunks = self.stored.chunks
        return chunks if chunks is None else self.swap_axes(tuple(chunks))

    def swap_axes(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if not self.transposed:
            return sizes
        out = list(sizes)
        out[self.y], out[self.x] = sizes[self.x], sizes[self.y]
        return tuple(out)

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        wanted, back = list(region), [slice(None)] * len(region)
        for axis, mirror in zip((self.y, self.x), self.mirrored):
            if mirror:
                places = range(self.shape[axis])[region[axis]]
                last = self.shape[axis] - 1
                wanted[axis] = slice(last - places[-1], last - places[0] + 1, places.step)
                back[axis] = slice(None, None, -1)
        if self.transposed:
            wanted[self.y], wanted[self.x] = wanted[self.x], wanted[self.y]
        data = self.stored.read(tuple(wanted))
        if self.transposed:
            data = data.swapaxes(self.y, self.x)
        return data[tuple(back)]


@dataclass(frozen=True)
class InvertedArray(StoredView):
    """Numbers of which 0 is white, as those of which `white` is."""

    white: int

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        data = self.stored.read(region)
        return np.subtract(data.dtype.type(self.white), data)


@dataclass(frozen=True)
class UnsignedArray(StoredView):
    """Integers whose bits are those of unsigned ones."""

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"u{self.stored.dtype.itemsize}")

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        data = self.stored.read(region)
        return data.astype(data.dtype.newbyteorder("="), copy=False).view(self.dtype)


def apply_orientation(picture: Picture, orientation: int) -> Picture:
    """The picture as its orientation (1 to 8; any other number is 1) has it shown, which its origin says."""
    turn = ORIENTATIONS.get(orientation)
    if turn is None:
        return picture
    if not {"y", "x"} <= set(picture.axes):
        raise UserError(
            f"{picture.origin} must be turned by its orientation {orientation}, but its axes are not known; save it "
            "upright"
        )
    transposed, *mirrored = turn
    y, x = picture.axes.index("y"), picture.axes.index("x")
    array = OrientedArray(picture.array, y, x, transposed, (mirrored[0], mirrored[1]))
    return replace(
        picture, array=array, origin=f"{picture.origin}, turned by its orientation {orientation}",
        extents=swap_yx(picture.extents) if transposed else picture.extents,
        units=swap_yx(picture.units) if transposed else picture.units,
    )  # fmt: skip


def swap_yx(known: dict[str, T]) -> dict[str, T]:
    """What is known of y and of x, exchanged."""
    return {{"y": "x", "x": "y"}.get(axis, axis): value for axis, value in known.items()}
