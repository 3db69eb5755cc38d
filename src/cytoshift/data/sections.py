"""Every n-th section of a stack, as sections of another microscope lie further apart."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.lazy_array import LazyArray
from ..core.voxel import Voxel
from .volumes import Volume


@dataclass(frozen=True, eq=False)
class EveryNthSection(LazyArray):
    """Sections `first`, `first + step`, ... of an array (..., Z, Y, X). Only these are read."""

    stored: Any
    step: int
    first: int

    @property
    def shape(self) -> tuple[int, ...]:
        *channels, depth, height, width = self.stored.shape
        return (*channels, len(range(self.first, depth, self.step)), height, width)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.stored.dtype)

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        *channels, along, rows, columns = region
        wanted = range(self.first, self.stored.shape[-3], self.step)[along]
        return np.stack([self.stored[(*channels, z, rows, columns)] for z in wanted], axis=-3)


def space_sections(volume: Volume, step: int) -> list[Volume]:
    """A stack as `step` stacks: of each, sections lie so many times as far apart. All sections are in one of them.

    Raises UserError for a single section, and where there would be stacks of one section.

    >>> stack = Volume("a", np.arange(5)[:, None, None], "zyx", Voxel((2.0, 1.0, 1.0)), "an array")
    >>> [one.load().ravel().tolist() for one in space_sections(stack, 2)]
    [[0, 2, 4], [1, 3]]
    """
    if step == 1:
        return [volume]
    if volume.axes != "zyx" or volume.shape[0] < 2 * step:
        have = f"has {volume.shape[0]} sections" if volume.axes == "zyx" else f"is '{volume.axes}'"
        raise UserError(
            f"source.section_step={step} needs stacks (axes zyx) of at least {2 * step} sections, but {volume.origin} "
            f"{have}; take a smaller step"
        )
    depth, *plane = volume.voxel.size
    voxel = Voxel((depth * step, *plane), volume.voxel.unit)
    return [
        replace(volume, name=f"{volume.name}_z{k}", array=EveryNthSection(volume.array, step, k), voxel=voxel)
        for k in range(step)
    ]
