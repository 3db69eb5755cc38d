"""A lazy array of any size into an OME-Zarr, box by box, continued after a kill."""

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.atomic import atomic_path
from ..core.blocks import Slices, chunk_boxes
from ..core.errors import UserError
from .lazy import refuse_pieces
from .resumable_statistics import fingerprint
from .store import COPIED, Store

COPIES_OF_A_BOX = 6  # of the memory one box takes: it is there as read, as wanted and in pieces that are compressed
Run = Callable[[Callable[[Slices], None], Iterable[Slices]], Iterable[None]]  # `map`, or what an engine has for it


def copy_array(
    array: Any, store: Store, origin: str, memory: float, run: Run = map, tell: Callable[[int, int], None] | None = None
) -> int:
    """Fill a store with an array of its shape; the number of boxes that had been copied before.

    array: whatever has a shape and gives what it is sliced for. memory: bytes for one process. run: has a function
    called on every box, gives the results in order. tell: is called with the boxes that are done and all of them.
    A store that was begun with another array is begun again.
    """
    refuse_pieces(array, origin, memory)
    voxels = int(memory / COPIES_OF_A_BOX / max(np.dtype(array.dtype).itemsize, 1))
    if voxels < np.prod(store.unit):
        raise UserError(
            f"{store.path} is written in pieces of {' x '.join(map(str, store.unit))} voxels, and "
            f"{memory / 1e9:.3g} GB are not enough for one; allow more by `memory`"
        )
    places = list(chunk_boxes(store.shape, store.unit, voxels))
    told = json.dumps([fingerprint(array), len(places)])
    key = hashlib.sha256(told.encode()).hexdigest()
    file = store.folder / COPIED
    before = copied_boxes(file, key)
    if before is None and store.continued:
        store.begin()
    with store.explain_write_errors():
        with atomic_path(file) as temporary:
            temporary.write_text(f"{key}\n{before or 0}\n")
        with file.open("a") as done:
            todo = places[before or 0 :]
            for number, _ in enumerate(run(partial(copy_box, array, store), todo), start=len(places) - len(todo) + 1):
                print(number, file=done, flush=True)
                if tell:
                    tell(number, len(places))
    return before or 0


def copy_box(array: Any, store: Store, region: Slices) -> None:
    store[region] = np.asarray(array[region])


def copied_boxes(file: Path, key: str) -> int | None:
    """How many boxes are there; None where something else is, or nothing."""
    try:
        first, *numbers = file.read_text().split("\n")[:-1]  # a killed process may not have ended its last line
    except (OSError, UnicodeDecodeError, ValueError):
        return None
    return int(numbers[-1]) if first == key and numbers and numbers[-1].isdecimal() else None
