"""Compiles the loops over voxels, and decides in one place where their machine code is kept.

numba keeps it in NUMBA_CACHE_DIR, beside the source or in the user's cache folder: the first of them that can be
written. Where none can, as in a read-only container without a home directory, numba refuses to decorate a function;
here the code is kept in a private folder among the temporary files, or compiled anew by each process without one.
"""

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core.caching import FunctionCache

P = ParamSpec("P")
R = TypeVar("R")


class PersistentCache(FunctionCache):
    """numba's cache of a function, whose trouble with files costs a compilation and not the command."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # another user's file, or cut short as the machine crashed: the loop is compiled anew
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(Exception):  # a full disk or quota, or as above
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


def cache_of(function: Callable[..., Any]) -> PersistentCache | None:
    """The cache of a function, None where no folder can be written."""
    settings: Any = numba.config
    source = Path(function.__code__.co_filename).parent
    # Without a home directory numba takes "~/.cache" as it stands, and would fill a folder "~" wherever the user works.
    home = Path(os.path.expanduser("~")).is_absolute() or os.environ.get("XDG_CACHE_HOME")
    if home or settings.CACHE_DIR or os.access(source, os.W_OK):
        with contextlib.suppress(RuntimeError):  # "cannot cache function ...: no locator available"
            return PersistentCache(function)
    if (place := private_folder()) is None:
        return None
    # For this function alone: other libraries decide for themselves.
    before, settings.CACHE_DIR = settings.CACHE_DIR, str(place)
    try:
        return PersistentCache(function)
    except RuntimeError:
        return None
    finally:
        settings.CACHE_DIR = before


def private_folder() -> Path | None:
    """A folder among the temporary files that this user alone can write to; None where there is none.

    What lies in it is run, so a folder that somebody else has made in advance is not taken.
    """
    if sys.platform == "win32":
        return None
    try:
        temporary = Path(tempfile.gettempdir())
        if temporary == Path.cwd():  # Python's last resort; what is left there would lie among the user's files
            return None
        path = temporary / f"cytoshift-compiled-{os.getuid()}"
        path.mkdir(mode=0o700, exist_ok=True)
        there = path.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(there.st_mode) and there.st_uid == os.getuid() and not there.st_mode & 0o077
    return path if private else None


def cache_folder() -> Path | None:
    """Where the machine code of this package is kept; None where it is compiled anew in each process."""
    cache = cache_of(cache_of)
    return Path(cache.cache_path) if cache else None
