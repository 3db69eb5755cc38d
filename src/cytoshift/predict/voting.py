"""Labels of images by a vote of label images (labels.vote): whole images, and volumes larger than memory by boxes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import Slices, grow_region, relative_region
from ..core.errors import UserError
from ..core.lazy_array import LazyArray
from ..data.copy import Run, copy_array
from ..data.store import LabelStore
from ..data.volumes import Volume
from ..data.write import write_labels
from ..labels.objects import Objects, join_objects, measure_objects, measure_parts, objects
from ..labels.pseudo import MARGIN_VOXELS, SURE_VOTE, pseudo_labels
from ..labels.regionprops import Columns
from ..labels.vote import Election, elect
from .outputs import Outputs, write_rows
from .pipeline import Instances, Prediction

WHOLE_VOXELS = 2**26  # voxels of an image that is painted in one piece
BOX_VOXELS = 2**22  # voxels of a box whose objects are measured at once

Confidence = Callable[[NDArray[np.float64]], NDArray[np.float64]]


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

    def fetch(self, region: Slices) -> NDArray[np.generic]:
        return self.election.paint([np.asarray(one[region]) for one in self.voters])


class PseudoLabelArray(VotedArray):
    """Labels to train with (labels.pseudo), painted where they are sliced."""

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint32)

    def fetch(self, region: Slices) -> NDArray[np.generic]:
        wide = grow_region(region, (MARGIN_VOXELS,) * len(region), self.shape)
        labels = pseudo_labels(self.election, [np.asarray(one[wide]) for one in self.voters])
        return labels[relative_region(region, wide)]


def write_pseudo_labels(
    place: Path, volume: Volume, voters: Sequence[Any], groups: Sequence[int] | None = None, *, memory: float = 4e9,
    run: Run = map, mark: str | None = None,
) -> None:  # fmt: skip
    """Write labels of an image to train a network with, from label images of it that vote.

    Objects whose vote is high keep their numbers. Those whose vote is low, and a margin around them, are
    `labels.pseudo.IGNORED`, the `ignore_id` of the training. All else is background.

    Parameters
    ----------
    place
        File of the labels: .tif; .ome.zarr for a volume larger than memory, which is written box by box.
    volume
        Names the image and has its axes and voxel size.
    voters
        Two or more label images (*S) of it: arrays, or what gives boxes of them.
    groups
        As of `labels.vote.elect`.
    memory
        Bytes that are used at a time.
    run
        What runs a function over boxes.
    mark
        Of the request that the labels are of, see `predict.claims`.

    Raises
    ------
    UserError
        As `labels.vote.elect`, and where the place cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from cytoshift.core.voxel import Voxel
    >>> square = np.zeros((16, 16), np.uint8)
    >>> square[4:8, 4:8] = 1
    >>> image = Volume("a", square, "yx", Voxel((1.0, 1.0)), "made here")
    >>> write_pseudo_labels(Path(tempfile.mkdtemp()) / "a.tif", image, [square, square])
    """
    painted = PseudoLabelArray(elect(voters, SURE_VOTE, groups, memory), tuple(voters))
    if prod(painted.shape) <= WHOLE_VOXELS:
        write_labels(place, painted[...], volume.voxel, volume.axes, mark=mark)
        return
    store = LabelStore.create(place, painted.shape, painted.dtype, volume.voxel, volume.axes)
    copy_array(painted, store, volume.origin, memory, run)
    store.finish(run, {"request": mark})


def slabs(shape: tuple[int, ...]) -> Iterator[Slices]:
    """Boxes that go over an image along its first axis."""
    rows = max(1, BOX_VOXELS // prod(shape[1:]))
    for start in range(0, shape[0], rows):
        yield (slice(start, min(start + rows, shape[0])), *(slice(0, n) for n in shape[1:]))


def vote_image(
    outputs: Outputs, volume: Volume, voters: Sequence[Volume], least: float | None, groups: Sequence[int] | None,
    memory: float, run: Run = map, confidence: Confidence = lambda votes: votes, image: Volume | None = None,
) -> Election:  # fmt: skip
    """Write the labels of one image, and the table of its objects with their votes; the election.

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
    confidence
        Function from votes (N,) to the confidence that the table has; the vote itself by default.
    image
        What the labels are of, where intensities are to be measured in it.

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
    if prod(volume.shape) <= WHOLE_VOXELS:
        labels = election.paint([np.asarray(one.array[whole]) for one in voters])
        table = measure_objects(labels, volume.voxel, None if image is None else image.load())
        sure = confidence(votes_of(election, table))
        outputs.write(volume, Prediction({"": Instances(labels, table, sure)}, {}, {}))
        return election
    place = outputs.written_labels(volume)
    store = LabelStore.create(place, volume.shape, np.dtype(np.uint32), volume.voxel, volume.axes)
    copy_array(painted, store, volume.origin, memory, run)
    parts = [(objects(store[box], volume.voxel), tuple(side.start for side in box)) for box in slabs(volume.shape)]
    table = measure_all(store, join_objects(parts, volume.voxel), image)
    found = Instances(np.zeros((0,) * len(volume.shape), np.int32), table, confidence(votes_of(election, table)))
    write_rows(outputs.part(volume), volume.name, Prediction({"": found}, {}, {}))
    store.finish(run, {"request": outputs.claims.mark})
    return election


def measure_all(labels: LabelStore, table: Objects, image: Volume | None) -> Objects:
    """Objects of a large image with their shapes and intensities; each is measured with the slab that it begins in."""
    measured: Columns = {}
    first = table.low[:, 0]
    for box in slabs(labels.shape):
        here = np.flatnonzero((first >= box[0].start) & (first < box[0].stop))
        mine = replace(
            table, ids=table.ids[here], voxels=table.voxels[here], centroid=table.centroid[here], low=table.low[here],
            high=table.high[here],
        )  # fmt: skip
        for name, values in measure_parts(labels, None if image is None else image.array, mine, box).items():
            measured.setdefault(name, np.full(table.ids.size, np.nan))[here] = values
    return replace(table, measured=measured)


def votes_of(election: Election, table: Objects) -> NDArray[np.float64]:
    """(N,) of the objects that have a voxel."""
    return election.votes[table.ids.astype(np.int64) - 1]
