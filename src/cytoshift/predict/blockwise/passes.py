"""The passes of blockwise work, each a function of a job and the number of a block.

  (1) predict   the network over its tiles, as in one piece: channels of 8 bits    [groups of tiles in any order]
  (2) decode    channels of a block and its halo to objects, and a table of them   [blocks in any order]
  (3) link      which objects of a block and of its later neighbours are one       [blocks in any order]
  (4) merge     linked objects get one name, whole ones are filtered, 1..N         [one task, see merge.py]
  (5) write     the labels of a block by their last names, into OME-Zarr           [blocks in any order]
  (6) audit     what faces of blocks look like, against planes half way between;   [blocks in any order]
                and what the objects that begin in a block look like, as they leave

What a pass leaves lies in the folder of the job (see job.py); nothing else is handed on, and no block waits for
another of its own pass.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...core.blocks import Slices, extent, relative_region
from ...core.errors import UserError
from ...labels.ids import L
from ...labels.kernels import moments, sums
from ...labels.objects import measure_parts
from ..pipeline import decode_filled
from .audit import seams
from .job import ROW, DamagedFile, Job, job_of, load, save
from .link import links
from .merge import merge, objects_of_rows
from .plan import PassName

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # a disk, a quota, a limit, and what became read-only


def run_task(name: PassName, folder: str, stamp: str, number: int) -> None:
    """One block of one pass: what travels to a worker."""
    job = job_of(folder, stamp)
    with damaged_as_error(job):
        WORK[name](job, number)


def work_of(name: PassName, job: Job) -> Callable[[int], None]:
    return partial(run_task, name, str(job.folder), job.stamp)


def numbers_of(name: PassName, job: Job) -> range:
    """The tasks of a pass."""
    return range({"merge": 1, "predict": len(job.tasks)}.get(name, len(job.grid)))


@contextmanager
def damaged_as_error(job: Job) -> Iterator[None]:
    """Chunks that do not hold what they should, and disks that hold no more."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"cannot write {job.folder}: {error.strerror}; free space or choose another output with `out`, the same "
            f"command goes on where this one stopped"
        ) from error
    except (ValueError, RuntimeError, EOFError) as error:
        words = str(error).lower()
        if "checksum" in words or "blosc" in words or "decompress" in words:
            raise DamagedFile(f"a stored block in {job.folder} is damaged ({error})") from error
        raise


def predict(job: Job, number: int) -> None:
    """(1) The channels of a group of tiles."""
    every, batch = job.tiles_of(number), job.plan.options.batch
    todo = [tile for tile in every if not job.is_empty_tile(tile)]
    for tile in set(every) - set(todo):
        job.channels[tile] = 0
    if not todo:
        return
    grid = job.working.read_boxes([job.cover[tile].region for tile in todo])
    for first in range(0, len(todo), batch):
        group = todo[first : first + batch]
        for tile, channels in zip(group, job.pipeline.windows([job.cover[one].region for one in group], grid)):
            job.channels[tile] = job.represent.to_stored(channels)


def decode(job: Job, number: int) -> None:
    """(2) The objects of one block, class by class."""
    block = job.grid[number]
    if job.is_empty(block.read):
        for place in range(len(job.parts)):
            save(job.file("objects", place, number), np.zeros(0, ROW))
            job.labels[(job.row(place, number), *(slice(0, n) for n in extent(job.room(block))))] = 0
        return
    missing = job.missing(block.read)
    for place, part in enumerate(job.parts):
        channels = job.stored_channels(part.channels, block.read)
        labels = decode_filled(part.represent, channels, job.volume.voxel, job.plan.options, missing)
        inner = labels[block.inner]
        confidence = part.represent.confidence(channels[(slice(None), *block.inner)])
        sure = sums(inner.ravel(), np.ascontiguousarray(confidence).ravel(), int(inner.max(initial=0)))
        save(job.file("objects", place, number), rows(inner, sure, block.write))
        room = job.room(block)
        kept = labels[relative_region(room, block.read)]
        job.labels[(job.row(place, number), *(slice(0, n) for n in kept.shape))] = kept


def stack(plane: NDArray[L]) -> NDArray[L]:
    """(Y, X) or (Z, Y, X) as (Z, Y, X)."""
    return plane.reshape((1,) * (3 - plane.ndim) + plane.shape)


def rows(labels: NDArray[np.int32], certain: NDArray[np.float64], at: Slices) -> NDArray[np.void]:
    """The table of the objects of a write region `at`, (*S); places are the volume's, z is 0 in 2D."""
    count = int(labels.max(initial=0))
    voxels, total, low, high = moments(stack(labels), count)
    here = np.flatnonzero(voxels)
    corner = np.array([*(0,) * (3 - labels.ndim), *(s.start for s in at)])
    out = np.zeros(here.size, ROW)
    out["id"], out["voxels"], out["sure"] = here + 1, voxels[here], certain[here]
    out["total"] = total[here] + voxels[here, None] * corner
    out["low"], out["high"] = low[here] + corner, high[here] + corner
    return out


def write(job: Job, number: int) -> None:
    """(5) The labels of one block as they leave."""
    block = job.grid[number]
    for place, store in enumerate(job.stores):
        names = load(job.file("merged", place, number)).astype(store.dtype)
        store[block.write] = names[job.read_labels(place, number, block.write)]


def audit(job: Job, number: int) -> None:
    """(6) What the faces of one block look like, and the objects that begin in it."""
    for place, store in enumerate(job.stores):
        save(job.file("seams", place, number), seams(job, place, store, number))
        save(job.file("measured", place, number), measure_begun(job, place, number))


def measure_begun(job: Job, place: int, number: int) -> NDArray[np.void]:
    """Shapes and intensities of the objects of a class whose first part lies in a block, a record for each."""
    rows, names = load(job.file("rows", place, number)), np.unique(load(job.file("merged", place, number)))
    found = objects_of_rows(job, rows, names[names.size - len(rows) :])  # others in the block have begun before it
    columns = measure_parts(job.stores[place], job.volume.array, found, job.grid[number].write)
    out = np.zeros(found.ids.size, [(name, np.float64) for name in columns])
    for name, values in columns.items():
        out[name] = values
    return out


def link(job: Job, number: int) -> None:
    """(3) Which objects of one block and of its later neighbours are one."""
    for place, part in enumerate(job.parts):
        save(job.file("links", place, number), links(job, place, part.represent.link, number))


def join(job: Job, _: int) -> None:
    """(4) All classes, one after the other."""
    for place in range(len(job.parts)):
        merge(job, place)


WORK: dict[PassName, Callable[[Job, int], None]] = {
    "predict": predict, "decode": decode, "link": link, "merge": join, "write": write, "audit": audit,
}  # fmt: skip
