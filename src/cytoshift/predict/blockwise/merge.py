"""(4) Linked objects become one; whole objects are measured and filtered, and get their last names, 1..N.

    roots      the linked objects, a few at the faces of the blocks, in a forest
    first      table by table, in the order of the blocks: how many objects stay
    second     table by table: their last names, on disk for the block that writes them

In memory are the linked objects and the table of one block at a time. Names rise with the block in which an object has
its first part, and there with its label: whatever the order in which blocks were finished, they come out alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_path
from ...labels.filters import EXACT
from ...labels.objects import Objects
from ...represent.base import ball
from .job import ROW, Job, load, save
from .link import name_of

Names = NDArray[np.uint64]


@dataclass(eq=False)
class MergedObjects:
    """Objects of several parts. P parts, C objects."""

    names: Names  # (P,), ascending
    whole: NDArray[np.int64]  # (P,) which object each is a part of
    root: Names  # (C,) the lowest name of its parts, ascending
    table: NDArray[np.void]  # (C,) sums over its parts

    def find(self, names: Names) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which of these are parts, and of which objects those that are."""
        if not self.names.size:
            return np.zeros(names.shape, bool), np.zeros(0, np.int64)
        place = np.minimum(np.searchsorted(self.names, names), self.names.size - 1)
        there = self.names[place] == names
        return there, self.whole[place[there]]


def merge(job: Job, part: int) -> None:
    """Write for each block what its labels are called in the end, and the rows of the objects that begin in it."""
    linked = connected_names(links_of(job, part), ROW)
    for number, table in tables(job, part):
        there, whole = linked.find(name_of(number, table["id"]))
        add_rows(linked.table, whole, table[there])
    stays = is_large_enough(job, part, linked.table)
    last = np.zeros(linked.root.size, np.uint64)  # names of objects of several parts
    total, sizes = 0, job.folder / "merged" / f"{part}" / "sizes.bin"
    with atomic_path(sizes) as beside, beside.open("wb") as file:
        for number, table in tables(job, part):
            names = name_of(number, table["id"])
            there, whole = linked.find(names)
            begins = there.copy()
            begins[there] = (linked.root[whole] == names[there]) & stays[whole]
            alone = ~there
            alone[alone] = is_large_enough(job, part, table[alone])
            called = np.zeros(table.size, np.uint64)
            fresh = alone | begins
            called[fresh] = total + 1 + np.arange(int(fresh.sum()), dtype=np.uint64)
            total += int(fresh.sum())
            last[whole[begins[there]]] = called[begins]
            called[there] = last[whole]
            out = np.zeros(int(table["id"].max(initial=0)) + 1, np.uint64)
            out[table["id"]] = called
            save(job.file("merged", part, number), out)
            begun = table.copy()
            begun[there] = linked.table[whole]
            save(job.file("rows", part, number), begun[fresh])
            begun[fresh]["voxels"].astype(np.int64).tofile(file)
    summary = np.array([total], np.uint64)
    save(job.folder / "merged" / f"{part}" / "total.npy", summary)


def links_of(job: Job, part: int) -> Names:
    found = [load(job.file("links", part, number)) for number in range(len(job.grid))]
    return np.concatenate(found) if found else np.empty((0, 2), np.uint64)


def tables(job: Job, part: int) -> Iterator[tuple[int, NDArray[np.void]]]:
    for number in range(len(job.grid)):
        yield number, load(job.file("objects", part, number))


def connected_names(pairs: Names, row: np.dtype) -> MergedObjects:
    """The connected parts of a graph of names, named by the lowest; with tables that are still empty."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, index = np.unique(pairs, return_inverse=True)
    index = index.reshape(-1, 2)
    graph = coo_array((np.ones(len(index), bool), (index[:, 0], index[:, 1])), shape=(names.size, names.size))
    _, component = connected_components(graph, directed=False)
    _, first, whole = np.unique(component, return_index=True, return_inverse=True)
    order = np.argsort(first)  # objects by the lowest name of their parts
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    table = np.zeros(order.size, row)
    table["low"] = np.iinfo(np.int64).max
    return MergedObjects(names, rank[whole], names[first[order]], table)


def add_rows(table: NDArray[np.void], whole: NDArray[np.int64], parts: NDArray[np.void]) -> None:
    """Rows of parts to the rows of their objects."""
    for key in ("voxels", "total", "sure"):
        np.add.at(table[key], whole, parts[key])
    np.minimum.at(table["low"], whole, parts["low"])
    np.maximum.at(table["high"], whole, parts["high"])


def is_large_enough(job: Job, part: int, table: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which whole objects are large enough: as `pipeline.decode` filters them."""
    voxel, options = job.volume.voxel, job.plan.options
    smallest = job.parts[part].represent.smallest_object
    size = table["voxels"] * voxel.volume * EXACT
    if options.min_size is not None or smallest is None:
        return np.asarray(size >= (options.min_size or 0.0))
    axes = slice(3 - voxel.ndim, 3)
    cut = (table["low"][:, axes] <= 0).any(1) | (table["high"][:, axes] >= np.array(job.plan.shape)).any(1)
    limit = np.where(cut, ball(smallest / 2, voxel.ndim), ball(smallest, voxel.ndim))
    return np.asarray(size >= limit)


def rows_of(job: Job, part: int) -> Iterator[NDArray[np.void]]:
    """The rows of all objects by their last names, block by block."""
    for number in range(len(job.grid)):
        yield load(job.file("rows", part, number))


def objects_of_rows(job: Job, rows: NDArray[np.void], ids: Names) -> Objects:
    """Size and place of whole objects."""
    voxel = job.volume.voxel
    here = slice(3 - voxel.ndim, 3)
    centroid = rows["total"][:, here] / rows["voxels"][:, None] * np.array(voxel.size)
    return Objects(ids, rows["voxels"], centroid, rows["low"][:, here], rows["high"][:, here], voxel, job.plan.shape)
