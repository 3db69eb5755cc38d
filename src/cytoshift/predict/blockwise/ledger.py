"""Which blocks of which pass are finished, and whether what they have left is still there and can be read.

One small text file per pass, that survives whatever kills the process:

    predict.log     the first line is the key of the pass, a hash of all that decides about its numbers ...
                    ... and each further one the number of a finished block

Only the process that gives out the work writes here, a whole line at a time, after the results of the block lie on the
disk. A line that a kill or a full disk has cut off is taken for not written.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ...core.blocks import Slices
from ...core.errors import UserError
from .job import TABLES, DamagedFile, Job
from .plan import PassName, pass_title


class Ledger:
    """The finished blocks of one pass.

    key: hash of the inputs of the pass. Where the file has another, nothing of it counts any more: `fresh` says so.
    """

    def __init__(self, folder: Path, name: str, key: str) -> None:
        self.path = folder / f"{name}.log"
        self.key = key
        self.done, whole, found = read(self.path)
        self.fresh = found != key
        if self.fresh:
            self.done = set()
            write(self.path, f"{key}\n".encode(), anew=True)
        elif self.path.stat().st_size > whole:
            os.truncate(self.path, whole)

    def add(self, number: int) -> None:
        write(self.path, f"{number}\n".encode())
        self.done.add(number)

    def strike(self, numbers: Collection[int]) -> None:
        """These are not finished after all."""
        self.done -= set(numbers)
        rows = "".join(f"{row}\n" for row in [self.key, *sorted(self.done)])
        write(self.path, rows.encode(), anew=True)


def read(path: Path) -> tuple[set[int], int, str | None]:
    """Numbers, how many bytes of the file are whole lines, and the key."""
    if not path.is_file():
        return set(), 0, None
    whole = path.read_bytes().rpartition(b"\n")[0]
    key, *rows = whole.decode(errors="replace").split("\n")
    if not all(row.isdecimal() for row in rows):
        return set(), 0, None  # no ledger of ours: nothing counts
    return {int(row) for row in rows}, len(whole) + 1, key


def write(path: Path, content: bytes, anew: bool = False) -> None:
    """At the end of the file, or in its place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if anew else "ab") as file:
            file.write(content)
    except OSError as error:
        raise UserError(
            f"cannot note what is finished in {path}: {error.strerror}; free space or choose another output with "
            "`out`, the same command goes on where this one stopped"
        ) from error


def digest(*parts: Any) -> str:
    """A hash of JSON values, settings and bytes."""
    out = hashlib.blake2b(digest_size=16)
    for part in parts:
        out.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode())
        out.update(b"\0")
    return out.hexdigest()


def missing_blocks(job: Job, name: PassName, numbers: Collection[int]) -> list[int]:
    """Finished blocks of which files are not there any more."""
    return [number for number in sorted(numbers) if not all(path.exists() for path in files(job, name, number))]


def unreadable_blocks(job: Job, name: PassName, numbers: Collection[int]) -> list[int]:
    """Finished blocks of which files are not there, or cannot be read."""
    out = missing_blocks(job, name, numbers)
    return sorted({*out, *(number for number in numbers if number not in out and not is_sound(job, name, number))})


def is_sound(job: Job, name: PassName, number: int) -> bool:
    try:
        for array, region in regions(job, name, number):
            array[region]
        for path in files(job, name, number):
            if path.suffix == ".npy":
                np.load(path, allow_pickle=False)
    except (ValueError, RuntimeError, EOFError):
        return False
    return True


def regions(job: Job, name: PassName, number: int) -> Iterator[tuple[Any, Slices]]:
    """The parts of stored arrays that a block has written."""
    if name == "predict":
        for tile in job.tiles_of(number):
            yield job.channels, (slice(tile, tile + 1), *(slice(None),) * (len(job.plan.shape) + 1))
    elif name == "decode":
        for part in range(len(job.parts)):
            row = job.row(part, number)
            room = job.room(job.grid[number])
            yield job.labels, (slice(row, row + 1), *(slice(0, r.stop - r.start) for r in room))


def files(job: Job, name: PassName, number: int) -> Iterator[Path]:
    """What a block has left."""
    for array, region in regions(job, name, number):
        yield from chunks(array, region)
    for kind in TABLES.get(name, ()):
        for part in range(len(job.parts)):
            yield job.file(kind, part, number)
    if name == "merge":
        for part, block in product(range(len(job.parts)), range(len(job.grid))):
            yield job.file("merged", part, block)
            yield job.file("rows", part, block)
        for part in range(len(job.parts)):
            yield job.folder / "merged" / f"{part}" / "total.npy"
            yield job.folder / "merged" / f"{part}" / "sizes.bin"


def chunks(array: Any, region: Slices) -> Iterator[Path]:
    """The files of a Zarr array that hold a region."""
    ranges = []
    for part, n, size in zip(region, array.shape, array.chunks):
        start, stop, _ = part.indices(n)
        ranges.append(range(start // size, -(-stop // size)))
    for place in product(*ranges):
        yield Path(array.store.root, array.path, "c", *map(str, place))


def mend(job: Job, error: DamagedFile) -> str:
    """Strike out what cannot be read any more, so that the same command does it again."""
    found = []
    for name in ("predict", "decode", "link", "merge", "audit"):
        key = read(job.folder / "ledger" / f"{name}.log")[2]
        if key is None:
            break
        ledger = Ledger(job.folder / "ledger", name, key)
        if bad := unreadable_blocks(job, name, ledger.done):
            ledger.strike(bad)
            for path in (path for number in bad for path in files(job, name, number)):
                path.unlink(missing_ok=True)  # a part of a chunk cannot be written over a chunk that cannot be read
            found.append(f"{len(bad)} of {pass_title(name)}")
    if not found:
        return f"{error}; give the same command again"
    return f"stored blocks in {job.folder} are damaged ({', '.join(found)}); the same command makes them again"
