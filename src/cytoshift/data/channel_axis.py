"""Arrays with channels or classes in front, (C, *S), beside those of a single one, (*S)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lazy import StackedArray


def split_channels(array: Any, ndim: int) -> list[Any]:
    """The C channels of (C, *S), `ndim` spatial axes, as lazy as they were; of (*S) the one that it is."""
    if len(array.shape) == ndim:
        return [array]
    return list(array.slices) if isinstance(array, StackedArray) else [array[i] for i in range(len(array))]


def map_channels(function: Callable[[Any], NDArray], array: Any, ndim: int) -> NDArray:
    """A function of (*S) over every channel of (C, *S), stacked again; of (*S) the function alone."""
    if len(array.shape) == ndim:
        return function(array)
    return np.stack([function(one) for one in split_channels(array, ndim)])
