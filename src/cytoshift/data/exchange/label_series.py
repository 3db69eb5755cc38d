"""Label images plane by plane, whatever their axes and size."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..frames import Series

READ_VOXELS = 2**25  # voxels that are read at once, where chunks hold several planes

Measurements = Mapping[int, Mapping[str, float]]  # of the objects of a frame, by id


@dataclass(frozen=True, eq=False)
class LabelSeries:
    """Labels to be written: of one image, or of the frames of one file.

    series: label images (*S), read when they are needed. image: name of the image file. kind: class of the objects, ""
    where nobody named it. measurements: of the objects of each frame; empty where there are none.
    """

    series: Series
    image: str = ""
    kind: str = ""
    measurements: tuple[Measurements, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.series.name

    @property
    def depth(self) -> int:
        """Slices of a frame."""
        return self.series.frames[0].shape[0] if "z" in self.series.axes else 1

    def measurements_of(self, frame: int) -> Measurements:
        return self.measurements[frame] if self.measurements else {}


class Plane(NamedTuple):
    """labels: (Y, X). t, z: from 0, and None where the image has no such axis."""

    labels: NDArray[np.generic]
    t: int | None
    z: int | None


def planes_of(series: Series) -> Iterator[Plane]:
    """All planes, slabs of whole chunks at a time."""
    for t, volume in enumerate(series.frames):
        frame = t if series.is_timed else None
        if volume.axes == "yx":
            yield Plane(np.asarray(volume.array[...]), frame, None)
            continue
        depth, plane = volume.shape[0], volume.shape[1] * volume.shape[2]
        chunks = getattr(volume.array, "chunks", None)
        step = max(1, min(chunks[-3] if chunks else 1, READ_VOXELS // plane))
        for first in range(0, depth, step):
            slab = np.asarray(volume.array[first : min(first + step, depth)])
            for z, labels in enumerate(slab, first):
                yield Plane(labels, frame, z)
