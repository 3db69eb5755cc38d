"""(3) Which objects of two blocks are one: judged where both see, at what parts the regions that they write.

    block a  wwwwwwwwwwwwww|hhhhhh
    block b          hhhhhh|wwwwwwwwwwwwww
    compared            ====                   `reach` voxels to each side

Only objects that have voxels in the region that their block writes take part: those that live in a halo alone are cut
by its rim, and what they seem to be one with need not be one. So no object is linked through a third block that has no
part in it, and with "best" no object to two of one neighbour.
"""

import numpy as np
from numpy.typing import NDArray

from ...labels.overlap import overlap
from ...represent.base import Link
from .job import Job, load

NAME_BITS = 32  # of a name: the number of the block above, the object's label in the block below
SAME_OBJECT_IOU = 0.5  # least IoU of two objects that are one


def name_of(number: int, labels: NDArray[np.integer]) -> NDArray[np.uint64]:
    """The 64-bit names of a block's objects, unique in the volume."""
    return (np.uint64(number) << np.uint64(NAME_BITS)) | labels.astype(np.uint64)


def links(job: Job, part: int, rule: Link, number: int) -> NDArray[np.uint64]:
    """Pairs of names (P, 2) that are one object: of a block and its later neighbours."""
    grid, reach = job.grid, job.plan.reach
    found = [np.empty((0, 2), np.uint64)]
    mine = owned_labels(job, part, number)
    for other in grid.later_neighbours(number):
        slab = grid.interface(grid[number], grid[other], reach)
        pairs = RULES[rule](job.read_labels(part, number, slab), job.read_labels(part, other, slab))
        theirs = owned_labels(job, part, other)
        pairs = pairs[np.isin(pairs[:, 0], mine) & np.isin(pairs[:, 1], theirs)]
        found.append(np.stack([name_of(number, pairs[:, 0]), name_of(other, pairs[:, 1])], axis=1))
    return np.concatenate(found)


def owned_labels(job: Job, part: int, number: int) -> NDArray[np.int32]:
    """Labels of the objects with voxels in the region that a block writes."""
    return np.asarray(load(job.file("objects", part, number))["id"], dtype=np.int32)


def best_pairs(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int64]:
    """Pairs (P, 2) of objects that are each other's best match, with an IoU of SAME_OBJECT_IOU or more; both (*S).

    >>> best_pairs(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 7, 7]])).tolist()
    [[1, 5], [2, 7]]
    """
    table = overlap(a, b)
    pairs = table.pairs.at_least(SAME_OBJECT_IOU)
    # From SAME_OBJECT_IOU = 1/2 on, an object that has two such partners shares half with each, and with neither more.
    order = np.lexsort((pairs.pred, pairs.truth, -pairs.iou))
    truth, pred = pairs.truth[order], pairs.pred[order]
    first = np.zeros(order.size, bool)
    first[np.unique(truth, return_index=True)[1]] = True
    second = np.zeros(order.size, bool)
    second[np.unique(pred, return_index=True)[1]] = True
    mutual = first & second
    ids_a, ids_b = table.truth_ids[truth[mutual]], table.pred_ids[pred[mutual]]
    return np.stack([ids_a, ids_b], axis=1).astype(np.int64)


def touching_pairs(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int64]:
    """Pairs (P, 2) of objects that share a voxel; both (*S)."""
    table = overlap(a, b)
    both = (table.truth > 0) & (table.pred > 0)
    return np.stack([table.truth[both], table.pred[both]], axis=1).astype(np.int64)


RULES = {"best": best_pairs, "contact": touching_pairs}
