"""NumPy's npy, which says nothing but shape and dtype; and the masks in Cellpose's `_seg.npy`.

A `_seg.npy` is a pickled dictionary. Unpickling runs whatever code a file names, so it is never unpickled: its stream
is read with stand-ins for the names that NumPy's arrays need, which build arrays of plain numbers and nothing else, and
every other name is refused. NumPy's own names are not admitted either: their states can be forged so that they read
memory that is not theirs.
"""

import mmap
import pickle
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ..picture import UNKNOWN, Picture, explain_read_errors, name_stem

CELLPOSE = "_seg.npy"
MASKS = "masks"  # their name in the dictionary
PLAIN = "biuf"  # kinds of numbers that labels can be
MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


@dataclass(frozen=True)
class NumpyArray:
    """An npy file, mapped into memory for each read."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: None = None

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        with explain_read_errors(self.path):
            return np.array(np.load(self.path, mmap_mode="r", allow_pickle=False)[region])


@dataclass(frozen=True)
class CellposeArray:
    """The masks of a `_seg.npy`, which can only be read whole."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        return self.shape

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        return cellpose_masks(self.path)[region]


def open_npy(path: Path, labels: bool) -> Picture:
    """An npy file. Arrays of Python objects are refused, but for labels in the layout of Cellpose."""
    with explain_read_errors(path):
        with path.open("rb") as file:
            shape, dtype = read_header(file)
        if not dtype.hasobject:
            if 0 not in shape:
                np.load(path, mmap_mode="r", allow_pickle=False)  # refuses a file that is shorter than its header says
            return Picture(NumpyArray(path, shape, dtype), UNKNOWN * len(shape), name_stem(path), str(path))
        if not path.name.endswith(CELLPOSE):
            raise UserError(f"{path} holds Python objects, which are never loaded; save an array of plain numbers")
        if not labels:
            raise UserError(f"{path} holds masks of Cellpose and no image; pass the image, or read it as labels")
    masks = cellpose_masks(path)
    axes = "yx" if masks.ndim == 2 else UNKNOWN * masks.ndim
    return Picture(CellposeArray(path, masks.shape, masks.dtype), axes, name_stem(path), f"{path}, masks of Cellpose")


def read_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype; the file is left where the data begin."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    return tuple(shape), dtype


def cellpose_masks(path: Path) -> NDArray[np.generic]:
    """The array "masks" of a `_seg.npy`, without unpickling it.

    Raises UserError where the file holds anything but plain containers, text, numbers and arrays of numbers.
    """
    with explain_read_errors(path), path.open("rb") as file:
        read_header(file)
        # A map: a length that the stream only claims to have takes no memory.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            stream.seek(file.tell())
            try:
                found = ArrayReader(stream, path).load()
            except (pickle.UnpicklingError, TypeError, AttributeError) as error:
                raise ValueError(f"no data as Cellpose writes them: {error}") from error
    if isinstance(found, StoredArray) and len(found.items) == 1:
        found = found.items[0]
    masks = found.get(MASKS) if isinstance(found, dict) else None
    if not isinstance(masks, StoredArray) or masks.array is None:
        stock = ", ".join(sorted(map(str, found))[:20]) if isinstance(found, dict) else "no dictionary"
        raise UserError(f"{path} has no masks as Cellpose writes them, it holds {stock}; save its masks as TIFF or PNG")
    return masks.array


class Name:
    """A name of NumPy in the stream. Nothing can be set on it, and it does what is written here when it is called."""

    __slots__ = ("_name",)
    _name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise ValueError(f"the stream sets '{name}' of a name")

    def __setstate__(self, _: Any) -> None:
        raise ValueError("the stream gives a state to a name")

    def __call__(self, *arguments: Any) -> "StoredArray | StoredType | int | float":
        if self._name == "_reconstruct":
            return StoredArray()
        if self._name == "dtype":
            return StoredType(str(arguments[0]))
        if self._name == "scalar" and len(arguments) == 2 and isinstance(arguments[0], StoredType):
            return np.frombuffer(arguments[1], arguments[0].numbers())[0].item()
        raise ValueError(f"the stream calls numpy.{self._name}")


class StoredType:
    """A dtype in the stream: its code and its byte order, and no flags."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: str) -> None:
        self._code = code
        self._order: Literal["<", ">", "=", "|"] = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
            raise ValueError("the state of a dtype is none")
        self._order = state[1]

    @property
    def is_object(self) -> bool:
        return self._code in ("O8", "O4", "O", "|O")

    def numbers(self) -> np.dtype:
        """The dtype, of numbers only."""
        dtype = np.dtype(self._code)
        if dtype.kind not in PLAIN or dtype.hasobject:
            raise ValueError(f"an array is of the type {self._code}, which is no number")
        return dtype.newbyteorder(self._order)


class StoredArray:
    """An array in the stream: one of numbers, or the objects of one of objects."""

    __slots__ = ("array", "items")

    def __init__(self) -> None:
        self.array: NDArray[np.generic] | None = None
        self.items: list[Any] = []

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, StoredType) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError("the state of an array is none")
        if kind.is_object:
            if not isinstance(data, list):
                raise ValueError("an array of objects has none")
            self.items = data
            return
        dtype = kind.numbers()
        if not isinstance(data, bytes | bytearray) or len(data) != prod(shape) * dtype.itemsize:
            raise ValueError(f"an array of shape {tuple(shape)} has another number of bytes")
        self.array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


class ArrayReader(pickle._Unpickler):
    """Reads a pickle in Python's slow way, as the fast one takes whatever memory a stream asks for. No name of it is
    imported."""

    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if module in MODULES and name in ("_reconstruct", "ndarray", "dtype", "scalar"):
            return Name(name)
        raise UserError(
            f"{self.path} asks for {module}.{name}, which no array of numbers needs, so it is not read; save the masks "
            "as TIFF or PNG"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("the stream refers to something outside of it")

    def get_extension(self, code: int) -> None:
        raise ValueError("the stream uses the extension registry")
