"""Arrays in memory as volumes: declared and refused like those of a file that says nothing about itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .picture import UNKNOWN, Picture
from .volumes import ImageSource, Volume, list_numbers, stack_channels, volumes_of_array


@dataclass(frozen=True, eq=False)
class MemoryArray:
    """A stored array (see `picture.Stored`) that is in memory."""

    array: NDArray[Any]
    chunks: None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        return self.array[region]


def of_array(array: NDArray[Any], name: str, source: ImageSource, labels: bool = False) -> list[Volume]:
    """The volumes of an array, one for each frame.

    Parameters
    ----------
    array
        Of any axes that `source` declares; two axes are y and x without it.
    name
        Of the volumes, and of the array in errors.
    source
        Axes, voxel size, channel and frames; its paths are not looked at.
    labels
        The array holds object ids.

    Raises
    ------
    UserError
        Where axes or voxel size are needed and not declared, or do not fit.
    """
    picture = Picture(MemoryArray(np.asarray(array)), UNKNOWN * array.ndim, name, name)
    if not isinstance(source.channel, tuple):
        return volumes_of_array(picture, source, labels)
    each = [volumes_of_array(picture, source.model_copy(update={"channel": one}), labels) for one in source.channel]
    return [
        stack_channels(list(channels), f"with channel {list_numbers(source.channel[1:])}") for channels in zip(*each)
    ]
