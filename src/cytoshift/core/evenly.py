"""A few of many, spread evenly over all of them; always the same ones."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def take_evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, from first to last.

    >>> take_evenly("abcde", 3)
    ['a', 'c', 'e']
    """
    return [items[int(i)] for i in np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round())]


def first_of_parts(items: Sequence[T], most: int) -> list[T]:
    """The first of each of at most so many equal parts.

    >>> first_of_parts("abcdef", 3)
    ['a', 'c', 'e']
    """
    count = min(most, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def middles_of_parts(total: int, count: int) -> list[int]:
    """Numbers below `total` in the middle of so many equal parts.

    >>> middles_of_parts(6, 3)
    [1, 3, 5]
    """
    return [int((i + 0.5) * total / count) for i in range(count)]
