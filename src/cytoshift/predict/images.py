"""Many images, each in one piece: groups of them are the tasks that an engine gives out.

Small images that follow each other are one group and go through the network together. A group has the same images
whatever was finished before and whoever does it, so the labels are the same bytes for any number of workers and after
any kill. Every finished image is whole on disk: the same request goes on with the images that are missing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch

from ..core.settings import Settings
from ..data.volumes import Volume
from ..model import Segmenter
from .blockwise.engine import Engine
from .calibration import working_voxels
from .outputs import Outputs
from .pipeline import Options, Pipeline, measure_scale, predict_group
from .ways import Proofs, proofs, remember

TOGETHER = 2**18  # voxels of the working grid that go through the network together, in some 100 MB


@dataclass(frozen=True, eq=False)
class Group:
    """Images of one task. outputs: where their results go. missing: names of those that are not finished."""

    outputs: Outputs
    missing: frozenset[str]


class SharedRequest(Settings):
    """Everything that all groups of a request share and that a worker of another process needs."""

    model: Path
    device: str
    options: Options


Seconds = dict[str, float]  # of the stages of an image
Progress = Callable[[Volume, int, int], None]  # image, tiles done, tiles in all


def group_all(segmenter: Segmenter, outputs: Outputs) -> list[Group]:
    """All images of a request in their order; those that are finished as well, as they belong to a group."""
    out, together, size = list[Group](), list[Volume](), 0
    for volume in outputs.volumes:
        voxels = working_voxels(segmenter.for_image(volume.name), volume)
        if together and (size + voxels > TOGETHER or volume.shape != together[0].shape):
            out.append(group_images(outputs, together))
            together, size = [], 0
        together.append(volume)
        size += voxels
    return [*out, group_images(outputs, together)]


def group_images(outputs: Outputs, volumes: Sequence[Volume]) -> Group:
    missing = frozenset(volume.name for volume in volumes if not outputs.is_finished(volume))
    return Group(outputs.of(volumes), missing)


def segment_images(
    segmenter: Segmenter, model: Path, outputs: Outputs, options: Options, engine: Engine,
    progress: Progress = lambda *_: None,
) -> Iterator[dict[Volume, Seconds]]:  # fmt: skip
    """Segment what is missing; yields the images of each group that is finished, with the seconds of their stages.

    model: folder of the segmenter, from which workers of other processes load it; they have to see it, the images and
    the outputs. progress: of the tiles of a large image, where it is in this process.
    """
    todo = [one for one in group_all(segmenter, outputs) if one.missing]
    if not todo:
        return
    alone = engine.here and len(todo) == 1
    known = {} if alone else proofs_of(segmenter, outputs.volumes[0], options)
    if engine.here:
        results = engine(partial(write_group, segmenter, options, progress), todo)
    else:
        device = str(next(segmenter.network.parameters()).device)
        shared = SharedRequest(model=model.absolute(), device=device, options=options)
        results = engine(partial(write_group_of, shared, known), todo)
    for done, seconds in results:
        yield {volume: seconds[volume.name] for volume in done.outputs.volumes if volume.name in seconds}


def write_group(segmenter: Segmenter, options: Options, progress: Progress, group: Group) -> dict[str, Seconds]:
    """Segment the images of a group and write those that are missing: their seconds, by name."""
    outputs = group.outputs
    step = partial(progress, outputs.volumes[0])
    found = predict_group(segmenter, outputs.volumes, options, step, outputs.raw is not None, measure=True)
    seconds = {}
    for volume, prediction in zip(outputs.volumes, found):
        if volume.name in group.missing:
            outputs.write(volume, prediction)
            seconds[volume.name] = prediction.seconds
    return seconds


def write_group_of(shared: SharedRequest, found: Proofs, group: Group) -> dict[str, Seconds]:
    """`write_group` in another process, which loads the model once and computes as the first process does."""
    segmenter = load_once(shared.model, shared.device)
    remember(segmenter, found)
    return write_group(segmenter, shared.options, lambda *_: None, group)


@lru_cache(maxsize=1)
def load_once(model: Path, device: str) -> Segmenter:
    return Segmenter.load(model, torch.device(device))


def proofs_of(segmenter: Segmenter, volume: Volume, options: Options) -> Proofs:
    """Which ways to compute the network agree with the plain one, found out on one image for all workers."""
    raw, segmenter = volume.load(), segmenter.for_image(volume.name)
    image = measure_scale(segmenter, volume, raw)(raw)
    Pipeline.of_image(segmenter, image, volume.voxel, options).tile_image().prove()
    return proofs(segmenter)
