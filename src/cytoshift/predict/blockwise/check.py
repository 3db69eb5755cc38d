"""Whether what finished blocks have left is still there, and whether it can be read."""

from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ...core.blocks import Slices
from .job import Job
from .plan import PassName

KINDS: dict[PassName, tuple[str, ...]] = {"decode": ("objects",), "link": ("links",), "audit": ("seams", "measured")}


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
    for kind in KINDS.get(name, ()):
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
