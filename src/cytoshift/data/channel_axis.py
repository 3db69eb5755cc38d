"""Arrays with channels or classes in front, (C, *S), beside those of a single one, (*S)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lazy import StackedArray


def split_channels(array: Any, ndim: int) -> list[Any]:
    """The C channels of an array (C, *S) with `ndim` spatial axes, still lazy; for (*S) a list of the array itself."""
    if len(array.shape) == ndim:
        return [array]
    return list(array.slices) if isinstance(array, StackedArray) else [array[i] for i in range(len(array))]


def map_channels(function: Callable[[Any], NDArray], array: Any, ndim: int) -> NDArray:
    """Apply a function of (*S) to every channel of (C, *S), and stack the results; for (*S) apply it once."""
    if len(array.shape) == ndim:
        return function(array)
    return np.stack([function(one) for one in split_channels(array, ndim)])
