"""Images of any size: judged in one piece, or where they are large, in boxes spread over them.

A box is judged as an image of its own, but for two things. Its intensities are normalised by the numbers of the whole
image, as they were when its labels were made. And it reads a halo of half of the largest object, as each object counts
in the box that its centre lies in. The criteria of the image are the means over its objects' boxes.

A network that normalises what it sees by the mean of it sees a box, where `segment` let it see windows of the whole: of
a volume that is very uneven, boxes come out a little less steady than the labels are.
"""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np

from ..core.blocks import Block, BlockGrid
from ..data.lazy import refuse_pieces
from ..data.resumable_statistics import measure_scale
from ..data.volumes import Volume, box_volume
from ..model import Segmenter
from ..predict.blockwise.plan import grow_block
from ..predict.calibration import CONTEXT_VOXELS, expected_extent
from ..predict.pipeline import Options, refuse_mismatch
from .judge import WHOLE_VOXELS, Told, judge, predict_views, refuse_other_labels, share_of_progress, silent
from .trust_tables import JudgedLabels, join_boxes

ROOM_BYTES = 2e9  # bytes that a part of a file may take while it is read
BOX_VOXELS = 2**23  # voxels that a box reads
SIDE_MULTIPLE = 16  # voxels: the sides of boxes are multiples of it
BOXES = 32  # boxes


def judge_image(
    segmenter: Segmenter, volume: Volume, labels: Mapping[str, Volume], most: int = BOXES, notes: Path | None = None,
    told: Told = silent,
) -> list[JudgedLabels]:  # fmt: skip
    """Each class of an image of any size; nothing larger than a box is in memory where that has more than WHOLE_VOXELS.

    labels: of each class, by name, "" of a single one. most: boxes that are judged of a large image, evenly drawn from
    all. notes: folder for what is known of its intensities, so that the same call after a kill has them.
    Raises UserError where labels, volume and model do not fit.
    """
    if prod(volume.shape) <= WHOLE_VOXELS:
        found = judge(segmenter, volume, {name: one.load() for name, one in labels.items()}, told=told)
        return [JudgedLabels.of(volume, name, one) for name, one in found.items()]
    segmenter = segmenter.for_image(volume.name)
    refuse_mismatch(segmenter, volume, Options(any_voxel_size=True))
    refuse_other_labels(segmenter, volume, labels)
    for read in (volume, *labels.values()):
        refuse_pieces(read.array, read.origin, ROOM_BYTES, allow="")
    scale = segmenter.scale or measure_scale(segmenter.normalisation, volume, notes)
    chosen = sample_boxes(segmenter, volume, most)
    out: dict[str, list[JudgedLabels]] = {name: [] for name, *_ in segmenter.representation.parts()}
    for number, box in enumerate(chosen):
        part = box_volume(volume, box.read)
        mine = {name: np.asarray(one.array[box.read]) for name, one in labels.items()}
        seen = predict_views(segmenter, part, scale=scale, told=share_of_progress(told, number, len(chosen)))
        for name, one in judge(segmenter, part, mine, seen).items():
            out[name].append(JudgedLabels.of(part, name, one).crop(box))
    return [join_boxes(volume, name, each) for name, each in out.items()]


def sample_boxes(segmenter: Segmenter, volume: Volume, most: int) -> Sequence[Block]:
    """At most so many of the boxes of a volume, drawn without regard to rows and planes; always the same ones."""
    objects, _ = expected_extent(segmenter, volume.voxel)
    halo = tuple(-(-o // 2) + CONTEXT_VOXELS for o in objects)
    size = grow_block(volume.shape, tuple(min(SIDE_MULTIPLE, n) for n in volume.shape), halo, BOX_VOXELS)
    grid = BlockGrid(volume.shape, size, halo)
    if len(grid) <= most:
        return grid
    return [grid[int(i)] for i in sorted(np.random.default_rng(0).choice(len(grid), most, replace=False))]
