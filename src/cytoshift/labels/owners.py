"""Which object of one kind belongs to which of another: Golgi to nuclei."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel
from .ids import compact_labels
from .overlap import overlap


@dataclass(frozen=True, eq=False)
class Owners:
    """Of each of N objects, by ascending id, the one of the other kind that it belongs to."""

    ids: NDArray[np.uint64]  # (N,)
    owner: NDArray[np.uint64]  # (N,) id of the other kind, 0 where none is near enough
    distance: NDArray[np.float64]  # (N,) from surface to surface, in the unit of the voxel; 0 of one that overlaps

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """For a CSV file: objects that belong to none have the owner 0."""
        return {"id": self.ids, "owner": self.owner, "distance": self.distance}


def assign_owners(labels: NDArray[np.generic], others: NDArray[np.generic], voxel: Voxel, reach: float) -> Owners:
    """For every object of `labels` (*S) the one of `others` (*S) that it shares most voxels with, or else the nearest.

    reach: largest distance between the centres of the two nearest voxels, less half a voxel for each surface, in the
    unit of the voxel; beyond it an object belongs to none. An object has one owner at most, an owner any number.
    Raises UserError where the shapes differ.

    >>> nuclei, golgi = np.array([[1, 1, 0, 0, 2]]), np.array([[0, 1, 0, 7, 0]])
    >>> found = assign_owners(golgi, nuclei, Voxel((1.0, 1.0)), 1.0)
    >>> found.owner.tolist(), found.distance.tolist()
    ([1, 2], [0.0, 0.0])
    """
    table = overlap(others, labels)
    mine, theirs = compact_labels(labels), compact_labels(others)
    owner, distance = np.zeros(len(mine.ids), np.int64), np.full(len(mine.ids), np.inf)
    most = np.zeros(len(mine.ids), np.int64)
    for other, own, count in zip(table.pairs.truth, table.pairs.pred, table.pairs.count):
        if count > most[own]:
            most[own], owner[own], distance[own] = count, other + 1, 0.0
    if theirs.ids.size and (distance > 0).any():
        find_nearest(mine.labels, theirs.labels, voxel, owner, distance)
    owner[distance > reach] = 0
    return Owners(mine.ids, np.append(np.uint64(0), theirs.ids)[owner], distance)


def find_nearest(
    mine: NDArray[np.int32], theirs: NDArray[np.int32], voxel: Voxel,
    owner: NDArray[np.int64], distance: NDArray[np.float64],
) -> None:  # fmt: skip
    """Write the nearest of the others into `owner` and `distance` (N,) for the objects that overlap none."""
    from scipy.ndimage import distance_transform_edt

    far, places = distance_transform_edt(theirs == 0, sampling=voxel.size, return_indices=True)
    alone = (mine > 0) & (np.append(0.0, distance) > 0)[mine]
    ids = mine[alone] - 1
    nearest = theirs[tuple(places)][alone]
    order = np.lexsort((nearest, far[alone], ids))
    first = order[np.unique(ids[order], return_index=True)[1]]
    owner[ids[first]] = nearest[first]
    distance[ids[first]] = np.maximum(far[alone][first] - min(voxel.size), 0)
