"""Labels of images by a vote of label images (labels.vote): whole images, and volumes larger than memory by boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices
from ..core.errors import UserError
from ..data.copy import Run, copy_array
from ..data.lazy import LazyArray
from ..data.store import LabelStore
from ..data.volumes import Volume
from ..labels.objects import Objects, join_objects, objects
from ..labels.vote import Election, elect
from .outputs import Outputs, write_rows
from .pipeline import Instances, Prediction

WHOLE = 2**26  # voxels of an image that is painted in one piece
BOX = 2**22  # voxels of a box whose objects are measured at once


@dataclass(frozen=True, eq=False)
class VotedArray(LazyArray):
    """What an election gives, painted where it is sliced."""

    election: Election
    voters: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.voters[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int32)

    def fetch(self, region: Slices) -> NDArray[np.int32]:
        return self.election.paint([np.asarray(one[region]) for one in self.voters])


def vote_image(
    outputs: Outputs, volume: Volume, voters: Sequence[Volume], least: float | None, groups: Sequence[int] | None,
    memory: float, run: Run = map,
) -> Objects:  # fmt: skip
    """Write the labels of one image, and the table of its objects with their votes; the objects.

    Parameters
    ----------
    outputs
        Where results go.
    volume
        Names the image and has its voxel size.
    voters
        Label images of it.
    least, groups
        As of `labels.vote.elect`.
    memory
        Bytes that are used at a time.

    Raises
    ------
    UserError
        Where the shapes of the voters differ.
    """
    for one in voters[1:]:
        if one.shape != voters[0].shape:
            raise UserError(
                f"{one.origin} has the shape {one.shape}, {voters[0].origin} {voters[0].shape}; pass labels of one "
                "and the same image"
            )
    election = elect([one.array for one in voters], least, groups, memory)
    painted = VotedArray(election, tuple(one.array for one in voters))
    whole = tuple(slice(0, n) for n in volume.shape)
    if prod(volume.shape) <= WHOLE:
        labels = painted.fetch(whole)
        table = objects(labels, volume.voxel)
        outputs.write(volume, Prediction({"": Instances(labels, table, votes_of(election, table))}, {}, {}))
        return table
    place = outputs.labels(volume)
    store = LabelStore.create(place, volume.shape, np.dtype(np.uint32), volume.voxel, volume.axes)
    copy_array(painted, store, volume.origin, memory, run)
    rows = max(1, BOX // prod(volume.shape[1:]))
    parts = []
    for start in range(0, volume.shape[0], rows):
        box = (slice(start, min(start + rows, volume.shape[0])), *whole[1:])
        parts.append((objects(store[box], volume.voxel), tuple(side.start for side in box)))
    table = join_objects(parts, volume.voxel)
    found = Instances(np.zeros((0,) * len(volume.shape), np.int32), table, votes_of(election, table))
    write_rows(outputs.part(volume), volume.name, Prediction({"": found}, {}, {}))
    store.finish(run, {"request": outputs.claims.mark})
    return table


def votes_of(election: Election, table: Objects) -> NDArray[np.float64]:
    """(N,) of the objects that have a voxel."""
    return election.votes[table.ids.astype(np.int64) - 1]
