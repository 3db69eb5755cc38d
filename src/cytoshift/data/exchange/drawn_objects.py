"""Objects that somebody drew, as outlines or as run lengths, and the label images that they make."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ...core.lazy_array import LazyArray
from ..frames import Series
from ..volumes import Volume

Rings = list[NDArray[np.float64]]  # (P, 2) each, x and y of corners, in pixels
Corner = tuple[int, int]  # row and column


@dataclass(frozen=True, eq=False)
class DrawnObject(ABC):
    """An object in a plane. label: None where nothing says it. z, t: from 0, None where the file does not say them."""

    label: int | None
    z: int | None
    t: int | None

    @abstractmethod
    def bounds(self) -> tuple[Corner, Corner]:
        """Rows and columns that it lies in: the first, and the one behind the last."""

    @abstractmethod
    def mask(self, start: Corner, stop: Corner) -> NDArray[np.bool_]:
        """Which pixels of a window it covers."""


@dataclass(frozen=True, eq=False)
class DrawnOutline(DrawnObject):
    """parts: the object is all of them together. A ring within a ring of the same part is a hole."""

    parts: list[Rings]

    def bounds(self) -> tuple[Corner, Corner]:
        rings = [ring for part in self.parts for ring in part]
        left, top = np.floor(np.min([ring.min(0) for ring in rings], axis=0)).tolist()
        right, bottom = np.ceil(np.max([ring.max(0) for ring in rings], axis=0)).tolist()
        return (int(top), int(left)), (int(bottom) + 1, int(right) + 1)

    def mask(self, start: Corner, stop: Corner) -> NDArray[np.bool_]:
        """Pixels with their centre in an odd number of the rings of a part."""
        from skimage.draw import polygon

        found = np.zeros((stop[0] - start[0], stop[1] - start[1]), bool)
        for rings in self.parts:
            inside = np.zeros_like(found)
            for ring in rings:
                rows, columns = polygon(ring[:, 1] - 0.5 - start[0], ring[:, 0] - 0.5 - start[1], inside.shape)
                inside[rows, columns] ^= True
            found |= inside
        return found


@dataclass(frozen=True, eq=False)
class DrawnMask(DrawnObject):
    """first, behind: where runs of its pixels begin and end, counted down the columns. size: height and width."""

    first: NDArray[np.int64]
    behind: NDArray[np.int64]
    size: tuple[int, int]

    @property
    def height(self) -> int:
        return self.size[0]

    def bounds(self) -> tuple[Corner, Corner]:
        (left, tops), (right, bottoms) = (np.divmod(one, self.height) for one in (self.first, self.behind - 1))
        whole = bool((left < right).any())  # a run from column to column has the foot of one and the head of the next
        rows = (0, self.height) if whole else (int(tops.min()), int(bottoms.max()) + 1)
        return (rows[0], int(left[0])), (rows[1], int(right[-1]) + 1)

    def mask(self, start: Corner, stop: Corner) -> NDArray[np.bool_]:
        low, high = start[1] * self.height, stop[1] * self.height
        chosen = slice(np.searchsorted(self.behind, low, "right"), np.searchsorted(self.first, high))
        first, behind = self.first[chosen].clip(low), self.behind[chosen].clip(max=high)
        lengths = behind - first
        before = np.cumsum(lengths) - lengths
        columns, rows = np.divmod(np.arange(lengths.sum()) + np.repeat(first - before, lengths), self.height)
        there = (rows >= start[0]) & (rows < stop[0])
        found = np.zeros((stop[0] - start[0], stop[1] - start[1]), bool)
        found[rows[there] - start[0], columns[there] - start[1]] = True
        return found


@dataclass(frozen=True, eq=False)
class DrawnLabels(LazyArray):
    """The label image of a frame, drawn where it is read. Where two objects cover a pixel, the first has it.

    full_shape: (Y, X) or (Z, Y, X). objects: of each slice (0 of a plane) the label, the bounds and the object, in
    their order. seen: labels of which a pixel has been drawn.
    """

    full_shape: tuple[int, ...]
    kind: np.dtype
    objects: dict[int, list[tuple[int, tuple[Corner, Corner], DrawnObject]]]
    seen: set[int] = field(default_factory=set)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.full_shape

    @property
    def dtype(self) -> np.dtype:
        return self.kind

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        rows, columns = region[-2:]
        slices = range(1) if len(region) == 2 else range(region[0].start, region[0].stop, region[0].step)
        drawn = np.zeros((len(slices), rows.stop - rows.start, columns.stop - columns.start), self.kind)
        for plane, z in zip(drawn, slices):
            for label, ((top, left), (bottom, right)), one in self.objects.get(z, []):
                start = max(top, rows.start), max(left, columns.start)
                stop = min(bottom, rows.stop), min(right, columns.stop)
                if start[0] >= stop[0] or start[1] >= stop[1]:
                    continue
                window = plane[
                    start[0] - rows.start : stop[0] - rows.start, start[1] - columns.start : stop[1] - columns.start
                ]
                free = one.mask(start, stop) & (window == 0)
                if free.any():
                    window[free] = label
                    self.seen.add(label)
        thinned = drawn[:, :: rows.step, :: columns.step]
        return thinned if len(region) == 3 else thinned[0]

    def unseen(self) -> set[int]:
        """Labels without a pixel of their own, once all of the image has been read."""
        return {label for plane in self.objects.values() for label, _, _ in plane} - self.seen


def draw_objects(found: Sequence[DrawnObject], series: Series) -> list[Volume]:
    """Label images of an image's frames.

    Parameters
    ----------
    found
        Objects. Those without a label become objects of their own, one for each, with numbers above the others.
        Where two cover a pixel, the first has it.
    series
        The image that they belong to.

    Returns
    -------
    list of Volume
        One for each frame, with `DrawnLabels`, which are drawn when they are read.

    Raises
    ------
    UserError
        Where an object lies in a plane that the image does not have, or wholly outside of it.

    Examples
    --------
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.data.frames import series_of
    >>> image = Volume("cells", np.zeros((3, 6)), "yx", Voxel((1.0, 1.0)), "an array")
    >>> square = DrawnOutline(7, None, None, [[np.array([[1.0, 0.0], [3.0, 0.0], [3.0, 2.0], [1.0, 2.0]])]])
    >>> draw_objects([square], series_of([image])[0])[0].load()
    array([[0, 7, 7, 0, 0, 0],
           [0, 7, 7, 0, 0, 0],
           [0, 0, 0, 0, 0, 0]], dtype=uint16)
    """
    first = series.frames[0]
    depth = first.shape[0] if first.axes == "zyx" else 1
    fresh = max((one.label for one in found if one.label is not None), default=0)
    planes: list[dict[int, list[Any]]] = [{} for _ in series.frames]
    for one in found:
        if one.label is None:
            fresh += 1
        z, t = place_of_plane(one, depth, series)
        start, stop = one.bounds()
        if min(stop) <= 0 or any(low >= size for low, size in zip(start, first.shape[-2:])):
            raise UserError(
                f"an outline lies outside of {series.name}, which is {first.shape[-1]} x {first.shape[-2]} pixels; "
                "pass the image that it was drawn on as `like`"
            )
        planes[t].setdefault(z, []).append((fresh if one.label is None else one.label, (start, stop), one))
    if fresh >= 2**32:
        raise UserError(
            f"outlines of {series.name} have the id {fresh}, but ids go up to {2**32 - 1}; give smaller ones"
        )
    kind = np.dtype(np.uint16 if fresh < 2**16 else np.uint32)
    return [replace(frame, array=DrawnLabels(frame.shape, kind, each)) for frame, each in zip(series.frames, planes)]


def place_of_plane(one: DrawnObject, depth: int, series: Series) -> tuple[int, int]:
    """Slice and frame of an outline. ImageJ has one number for the planes of a stack, of slices or of frames."""
    z, t = one.z, one.t
    if depth == 1 and len(series.frames) > 1 and t is None:
        z, t = None, z
    z, t = z or 0, t or 0
    if not (0 <= z < depth and 0 <= t < len(series.frames)):
        raise UserError(
            f"an outline lies in slice {z + 1} of frame {t + 1}, but {series.name} has {depth} and "
            f"{len(series.frames)}; pass the image that it was drawn on as `like`"
        )
    return z, t
