"""A volume as the network sees it, of any size: normalised, on the working grid, padded; read box by box."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices
from ..core.errors import UserError
from ..core.normalise import Scale, Scales
from ..core.voxel import Voxel
from ..data.resample import Axis, image_at, working_shape
from ..data.volumes import Volume
from .network import LEAST, up

FAR = 4  # standard deviations of the Gaussian that shrinking takes


@dataclass(frozen=True, eq=False)
class Working:
    """Reads like the array (C, *S) that `network.pad` makes of a whole volume, but each box when it is asked for.

    voxel: of the working grid. step: what the network's input is a multiple of.
    """

    volume: Volume
    scale: Scale | Scales
    voxel: Voxel
    step: tuple[int, ...]

    @cached_property
    def inside(self) -> tuple[int, ...]:
        """The working grid without padding, (*S)."""
        return working_shape(self.volume.shape, self.volume.voxel, self.voxel)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """With channels and padding, (C, *S)."""
        return (
            self.volume.channels,
            *up(tuple(max(n, LEAST * m) for n, m in zip(self.inside, self.step)), self.step),
        )

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """Voxels of the volume in one of the working grid."""
        return tuple(own / new for own, new in zip(self.volume.shape, self.inside))

    def __getitem__(self, region: Slices) -> NDArray[np.float32]:
        """A box (C, *T); the channels are read all."""
        boxes = [(s.start, min(s.stop, n), s.stop) for s, n in zip(region[1:], self.inside)]
        axes, own = [], []
        for (start, stop, _), ratio, n in zip(boxes, self.ratios, self.volume.shape):
            places = centres(slice(start, stop), ratio)
            room = around(places, ratio, n)
            own.append(room)
            axes.append(Axis(places - room.start, ratio))
        array: Any = self.volume.array
        raw: NDArray[np.generic] = array[(..., *own)]
        if raw.dtype.kind == "f" and not np.isfinite(raw).all():
            raise UserError(
                f"{self.volume.name} holds NaN or infinite values; replace them (for example by the background)"
            )
        image = self.scale(raw).reshape(-1, *raw.shape[-len(own) :])
        drawn = np.stack([image_at(np.ascontiguousarray(channel), axes) for channel in image])
        padding = [(0, 0), *((0, end - stop) for _, stop, end in boxes)]
        return np.pad(drawn, padding, mode="reflect") if any(after for _, after in padding) else drawn

    def needed(self, own: Slices) -> Slices:
        """The box of the working grid that a box of the volume is interpolated from."""
        out = []
        for box, ratio, n in zip(own, self.ratios, self.inside):
            out.append(around(centres(box, 1 / ratio), 1 / ratio, n))
        return tuple(out)

    def back(self, channels: NDArray[np.float32], room: Slices, own: Slices) -> NDArray[np.float32]:
        """Channels (K, *room) of the working grid -> (K, *own) of the volume's, as `run.inferred` brings them back."""
        axes = []
        for box, at, ratio in zip(own, room, self.ratios):
            axes.append(Axis(centres(box, 1 / ratio) - at.start, 1 / ratio))
        return np.stack([image_at(channel, axes) for channel in channels])


def centres(box: slice, ratio: float) -> NDArray[np.float64]:
    """Where the voxels of a box lie on another grid, whose voxels are `ratio` times as many."""
    places: NDArray[np.float64] = (np.arange(box.start, box.stop) + 0.5) * ratio - 0.5
    whole = np.rint(places)
    return np.where(np.abs(places - whole) < 1e-9, whole, places)


def around(places: NDArray[np.float64], ratio: float, length: int) -> slice:
    """The voxels that an interpolation at these places reads; `ratio` of them become one."""
    far = ceil(FAR * (ratio - 1) / 2) if ratio > 1 else 0
    first, last = floor(places[0]) - far, floor(places[-1]) + 1 + far
    return slice(min(max(first, 0), length - 1), max(min(last + 1, length), 1))
