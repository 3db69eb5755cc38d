"""NumPy's npy, which says nothing but shape and dtype; and the masks in Cellpose's `_seg.npy`.

A `_seg.npy` is a pickled dictionary. Unpickling runs whatever code a file names, so it is never unpickled:
`pickletools` takes the stream apart into its steps, which is data and runs nothing, and `StreamReader` follows those
that plain containers, text, numbers and arrays of numbers need. Every other step is refused, and every name but four of
NumPy's. These four stand for classes of this file and not for NumPy's own, whose states can be forged so that they read
memory that is not theirs.
"""

import mmap
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ..picture import UNKNOWN, Picture, explain_read_errors
from . import PictureRequest

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
        with explain_read_errors(self.path):
            return cellpose_masks(self.path)[region]


def open_pictures(request: PictureRequest) -> list[Picture]:
    """An npy file. Arrays of Python objects are refused, but for labels in the layout of Cellpose."""
    path, name = request.path, request.name
    with path.open("rb") as file:
        shape, dtype = read_header(file)
    if not dtype.hasobject:
        if 0 not in shape:
            np.load(path, mmap_mode="r", allow_pickle=False)  # refuses a file that is shorter than its header says
        return [Picture(NumpyArray(path, shape, dtype), UNKNOWN * len(shape), name, str(path))]
    if not path.name.endswith(CELLPOSE):
        raise UserError(f"{path} holds Python objects, which are never loaded; save an array of plain numbers")
    if not request.labels:
        raise UserError(f"{path} holds masks of Cellpose and no image; pass the image, or read it as labels")
    masks = cellpose_masks(path)
    axes = "yx" if masks.ndim == 2 else UNKNOWN * masks.ndim
    return [Picture(CellposeArray(path, masks.shape, masks.dtype), axes, name, f"{path}, masks of Cellpose")]


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
    with path.open("rb") as file:
        read_header(file)
        # A map: a length that the stream only claims to have takes no memory.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            stream.seek(file.tell())
            try:
                found = StreamReader(path).read(stream)
            except (TypeError, LookupError) as error:
                raise ValueError(f"no data as Cellpose writes them: {error}") from error
    if isinstance(found, StoredArray) and len(found.items) == 1:
        found = found.items[0]
    masks = found.get(MASKS) if isinstance(found, dict) else None
    if not isinstance(masks, StoredArray) or masks.array is None:
        stock = ", ".join(sorted(map(str, found))[:20]) if isinstance(found, dict) else "no dictionary"
        raise UserError(f"{path} has no masks as Cellpose writes them, it holds {stock}; save its masks as TIFF or PNG")
    return masks.array


@dataclass(frozen=True)
class Name:
    """One of NumPy's names in the stream. It does what is written here when the stream calls it."""

    name: str

    def call(self, arguments: tuple[Any, ...]) -> "StoredArray | StoredType | int | float":
        if self.name == "_reconstruct":
            return StoredArray()
        if self.name == "dtype":
            return StoredType(str(arguments[0]))
        if self.name == "scalar" and len(arguments) == 2 and isinstance(arguments[0], StoredType):
            number: int | float = np.frombuffer(arguments[1], arguments[0].numbers())[0].item()
            return number
        raise ValueError(f"the stream calls numpy.{self.name}")


class StoredType:
    """A dtype in the stream: its code and its byte order, and no flags."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: str) -> None:
        self._code = code
        self._order: Literal["<", ">", "=", "|"] = "="

    def build(self, state: Any) -> None:
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

    def build(self, state: Any) -> None:
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


# Steps that push what they hold.
LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": set}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
SILENT = ("PROTO", "FRAME")
NAMES = ("_reconstruct", "ndarray", "dtype", "scalar")


@dataclass
class StreamReader:
    """Follows the steps of a stream. path: of the file, for its sentences."""

    path: Path
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)  # lengths of the stack
    memo: dict[int, Any] = field(default_factory=dict)

    def read(self, stream: Any) -> Any:
        """What the stream holds. Raises UserError for names, ValueError for steps that such data do not need."""
        for step, argument, _ in pickletools.genops(stream):
            if step.name == "STOP":
                return self.stack.pop()
            if step.name not in SILENT:
                self.follow(step.name, argument)
        raise ValueError("the stream has no end")

    def follow(self, step: str, argument: Any) -> None:
        stack = self.stack
        if step in LITERALS:
            stack.append(argument)
        elif step in CONSTANTS:
            stack.append(CONSTANTS[step])
        elif step in EMPTY:
            stack.append(EMPTY[step]())
        elif step in TUPLES:
            stack[-TUPLES[step] :] = [tuple(stack[-TUPLES[step] :])]
        elif step == "MARK":
            self.marks.append(len(stack))
        elif step in ("TUPLE", "LIST", "DICT", "FROZENSET"):
            self.gather(step)
        elif step in ("SETITEM", "SETITEMS", "APPEND", "APPENDS", "ADDITEMS"):
            self.fill(step)
        elif step == "MEMOIZE" or step.endswith("PUT"):
            self.memo[len(self.memo) if step == "MEMOIZE" else argument] = stack[-1]
        elif step.endswith("GET"):
            stack.append(self.memo[argument])
        elif step == "GLOBAL":
            stack.append(self.look_up(*argument.split(" ", 1)))
        elif step == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            stack.append(self.look_up(module, name))
        elif step == "REDUCE":
            arguments, name = stack.pop(), stack.pop()
            if not isinstance(name, Name):
                raise ValueError("the stream calls what is no name")
            stack.append(name.call(arguments))
        elif step == "BUILD":
            state, target = stack.pop(), stack[-1]
            if not isinstance(target, StoredArray | StoredType):
                raise ValueError("the stream gives a state to what has none")
            target.build(state)
        else:
            raise ValueError(f"the stream has a step {step}, which such data do not need")

    def since_mark(self) -> list[Any]:
        """What has been pushed since the last mark, which is taken off."""
        place = self.marks.pop()
        found = self.stack[place:]
        del self.stack[place:]
        return found

    def gather(self, step: str) -> None:
        items = self.since_mark()
        if step == "DICT":
            self.stack.append(dict(zip(items[::2], items[1::2], strict=True)))
        else:
            self.stack.append({"TUPLE": tuple, "LIST": list, "FROZENSET": frozenset}[step](items))

    def fill(self, step: str) -> None:
        if step.endswith("S"):
            items = self.since_mark()
        else:
            count = 2 if step == "SETITEM" else 1
            items = self.stack[-count:]
            del self.stack[-count:]
        target = self.stack[-1]
        if step.startswith("SETITEM") and type(target) is dict:
            target.update(zip(items[::2], items[1::2], strict=True))
        elif step.startswith("APPEND") and type(target) is list:
            target.extend(items)
        elif step == "ADDITEMS" and type(target) is set:
            target.update(items)
        else:
            raise ValueError("the stream fills what is no container")

    def look_up(self, module: str, name: str) -> Name:
        if module in MODULES and name in NAMES:
            return Name(name)
        raise UserError(
            f"{self.path} asks for {module}.{name}, which no array of numbers needs, so it is not read; save the masks "
            "as TIFF or PNG"
        )
