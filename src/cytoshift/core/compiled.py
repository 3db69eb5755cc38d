"""Compiles the loops over voxels, and decides in one place where their machine code is kept.

numba keeps it in NUMBA_CACHE_DIR, beside the source or in the user's cache folder: the first of them that can be
written. Where none can, as in a read-only container without a home directory, numba refuses to decorate a function;
here each process compiles it anew.
"""

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core.caching import FunctionCache

P = ParamSpec("P")
R = TypeVar("R")


class Kept(FunctionCache):
    """numba's cache of a function, whose trouble with files costs a compilation and not the command."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except (OSError, EOFError, pickle.UnpicklingError):  # another user's file, or cut short as the machine crashed
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):  # a full disk or quota, or as above
            super().save_overload(sig, data)


def njit(function: Callable[P, R]) -> Callable[P, R]:
    """`numba.njit` without Python's lock; the machine code is kept for other processes where a folder can be written.

    Parameters
    ----------
    function
        What numba can compile; arrays are its arguments.

    Returns
    -------
    Callable
        The compiled function.
    """
    dispatcher: Any = numba.njit(nogil=True)(function)
    if (cache := cache_of(function)) is not None:
        dispatcher._cache = cache
    compiled: Callable[P, R] = dispatcher
    return compiled


def cache_of(function: Callable[..., Any]) -> Kept | None:
    """The cache of a function, None where numba finds no folder to write to."""
    try:
        return Kept(function)
    except RuntimeError:  # "cannot cache function ...: no locator available"
        return None


def folder() -> Path | None:
    """Where the machine code of this package is kept; None where it is compiled anew in each process."""
    cache = cache_of(cache_of)
    return Path(cache.cache_path) if cache else None
