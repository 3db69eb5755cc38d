"""The metadata that a file has for one of its arrays, before the user has declared anything."""

import struct
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError

AXES = "tczyxs"  # time, channel, z, y, x, samples of a colour
UNKNOWN = "?"  # an axis whose meaning the file does not say
RGB = ("red", "green", "blue")
PACKED = (".nii.gz", ".zarr.zip")  # suffixes of formats that are packed once more

# What the format libraries raise on a file that is damaged, cut short or not what its suffix says. Not TypeError: calls
# between libraries that do not fit each other end so, and the file is not the reason.
DAMAGE = (OSError, EOFError, struct.error, ValueError, RuntimeError, LookupError, ArithmeticError, AssertionError)


class StoredArray(Protocol):
    """An array on disk. Holds no open handle, so that threads can share it and workers receive it pickled."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """What is read whole whenever a part of it is wanted; None where rows lie behind each other, to be mapped."""
        ...

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        """The region, one slice per axis with start, stop and a positive step; the axes stay as many."""
        ...


@dataclass(frozen=True)
class Picture:
    """One array of a file, with whatever the file says about it and nothing else."""

    array: StoredArray
    axes: str  # one letter of AXES per axis, or UNKNOWN
    name: str  # becomes the name of the volume
    origin: str  # path, and which part of the file this is, for a human
    extents: dict[str, float] = field(default_factory=dict)  # of one voxel, by axis, in `units`
    units: dict[str, str] = field(default_factory=dict)  # by axis, as the file spells them
    channels: tuple[str, ...] = ()  # names along axis c
    members: tuple[str, ...] = ()  # files and series that hold it, where it is spread over several files
    colours: tuple[str, ...] = ()  # names along axis s that hold colour (an alpha sample behind them is left out)
    well: str = ""  # of a plate, which it belongs to


class FileGone(UserError):
    """A file or folder that was opened is there no longer."""


@contextmanager
def explain_read_errors(path: Path | str) -> Iterator[None]:
    """Turn what a format library raises on a damaged file into one sentence."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise FileGone(f"{path} does not exist or misses a part; check the path") from error
    except PermissionError as error:
        raise UserError(f"{path} may not be read; change its permissions") from error
    except DAMAGE as error:
        raise UserError(
            f"{path} cannot be read ({reason(error)}); it is damaged or cut short, copy or save it again"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # libraries have classes of their own for what they do not understand
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {reason(error)}); see whether 'cytoshift doctor' finds a "
            "library that does not fit; if another program opens it, save it from there as TIFF, else copy it again"
        ) from error


def reason(error: Exception) -> str:
    """What a library says, in short and on one line."""
    return " ".join(str(error).split())[:120] or type(error).__name__


def format_suffix(path: Path) -> str:
    """What a file name ends with that tells the format, in small letters: '.tif', '.nii.gz'.

    >>> format_suffix(Path("a.b.NII.gz")), format_suffix(Path("a.ome.tif"))
    ('.nii.gz', '.tif')
    """
    name = Path(path).name.lower()
    return next((double for double in PACKED if name.endswith(double) and name != double), Path(name).suffix)


def name_stem(path: Path) -> str:
    """File name without the suffix of its format: 'a.b' for 'a.b.ome.tif'. Accents are composed: names of one look are
    one name, from whatever disk they come."""
    name = Path(path).name
    suffix = format_suffix(path)
    name = unicodedata.normalize("NFC", name[: -len(suffix)] if suffix else name)
    return name[:-4] if name.lower().endswith(".ome") and len(name) > 4 else name


def known_extent(extent: float | str | None) -> float | None:
    """A voxel extent of a file, or None where it holds a placeholder: nothing, zero, negative or not a number."""
    try:
        value = float(extent) if extent is not None else 0.0
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
