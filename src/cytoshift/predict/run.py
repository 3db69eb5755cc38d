"""From a raw volume to its instances.

(1) normalise   by numbers of the whole volume, or of the data set that the model was trained on
(2) resample    to the voxel size the network works at
(3) network     whole, or in tiles that are blended; activated to channels in [0, 1]
(4) resample    the channels, back to the volume's own grid
(5) decode      channels to instances, without the small ones, their holes filled
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.errors import UserError
from ..core.normalise import Scale
from ..core.settings import parse
from ..core.voxel import PIXEL, Voxel
from ..data.resample import resample, working_shape
from ..data.volumes import Volume
from ..labels.filters import fill_holes, filter_small
from ..labels.ids import relabel
from ..labels.objects import Objects, objects
from ..metrics.scores import mean_over_objects
from ..model import Segmenter
from ..represent import Representation
from ..represent.base import ball
from .network import Progress, Tiling, probabilities
from .raw import Raw, rounded

Labels = NDArray[np.int32]


class Options(Tiling):
    """Wishes of one call; what is not wished for is the model's.

    threshold: of the foreground, in (0, 1). min_size: objects with less area (2D) or volume (3D) are left out, in
    unit ** ndim of the voxel size; by default those smaller than the model's smallest, and of those that the edge
    of the volume cuts only what is left with less than half of its diameter.
    max_hole: larger holes of an object stay open, in the same unit; 0 fills none, by default all are filled.
    """

    threshold: float | None = Field(None, gt=0, lt=1)
    min_size: float | None = Field(None, ge=0)
    max_hole: float | None = Field(None, ge=0)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Instances of one volume on its own grid, and how sure the network is of each."""

    labels: Labels  # (*S), 1..N
    table: Objects  # N objects
    confidence: NDArray[np.float64]  # (N,) mean foreground probability, in [0, 1]
    seconds: dict[str, float]  # of the stages: read, network, decode
    raw: Raw | None = None  # what was decoded, where that was to be kept


def segment(segmenter: Segmenter, volume: Volume, progress: Progress | None = None, **wishes: Any) -> Labels:
    """Instances (*S) 1..N of a volume, on its own grid. `wishes` are fields of `Options`.

    Raises UserError where volume and model do not fit, and for a wish that is unknown or out of range.

    >>> segment(Segmenter.load("runs/x/model"), open_volumes("cells.tif")[0], min_size=20.0)  # doctest: +SKIP
    """
    return predict(segmenter, volume, parse(Options, wishes, "segment"), progress).labels


def predict(
    segmenter: Segmenter,
    volume: Volume,
    options: Options | None = None,
    progress: Progress | None = None,
    keep: bool = False,
) -> Prediction:
    """`segment`, with the table of objects, their confidences and the times; with `keep`, its raw form too."""
    options = options or Options()
    refuse_strangers(segmenter, volume, options)
    started = time.perf_counter()
    raw = volume.load()
    scale = measured(segmenter, volume.name, raw)
    read = time.perf_counter()
    image = scale(raw)
    channels = inferred(segmenter, image, volume.voxel, options, progress)
    drawn = time.perf_counter()
    representation = decoder(segmenter, options)
    kept = rounded(image, scale.clip, channels, representation.channels) if keep else None
    del image
    labels = decoded(representation, channels, volume.voxel, options, segmenter.representation.smallest)
    table = objects(labels, volume.voxel)
    confidence = mean_over_objects(representation.foreground(channels), labels)
    seconds = {"read": read - started, "network": drawn - read, "decode": time.perf_counter() - drawn}
    return Prediction(labels, table, confidence, seconds, kept)


def refuse_strangers(segmenter: Segmenter, volume: Volume, options: Options) -> None:
    """Raises UserError where axes, unit or channels of the volume are not those that the model works with.

    So do wishes that do not fit: all that can be known before any work is done.
    """
    if volume.axes != segmenter.axes:
        flat = len(volume.axes) > len(segmenter.axes)
        cure = "segment its slices as 2D images" if flat else "pass --axes if its slices are to make one stack"
        raise UserError(
            f"the model works on '{segmenter.axes}' images, {volume.name} has the axes '{volume.axes}'; {cure}, or "
            f"train a model on images like it"
        )
    if volume.voxel.unit != segmenter.voxel.unit:
        ones = ",".join("1" for _ in volume.axes)
        pixels = f"pass --voxel {ones} --unit {PIXEL} to have its pixels taken as those of the training"
        lengths = f"pass its voxel size, as in --voxel {ones} --unit um"
        cure = pixels if segmenter.voxel.unit == PIXEL else lengths
        raise UserError(
            f"the model works at {segmenter.voxel} per voxel, {volume.name} has {volume.voxel}, and the one cannot be "
            f"turned into the other; {cure}"
        )
    if segmenter.spec.channels != 1:
        raise UserError(
            f"the model takes images of {segmenter.spec.channels} channels, {volume.name} is one channel; take a model "
            f"that was trained on one"
        )
    if options.tile is not None and (len(options.tile) != len(volume.axes) or min(options.tile) < 1):
        raise UserError(
            f"tile {','.join(map(str, options.tile))} asked for, {volume.name} has the axes '{volume.axes}'; give one "
            f"positive size per axis"
        )
    decoder(segmenter, options)


def decoder(segmenter: Segmenter, options: Options) -> Representation:
    """The model's representation with the threshold that is wished for."""
    if options.threshold is None:
        return segmenter.representation
    return segmenter.representation.with_threshold(options.threshold)


def measured(segmenter: Segmenter, name: str, raw: NDArray[np.generic]) -> Scale:
    """The numbers that normalise this volume; never those of a tile."""
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise UserError(f"{name} holds NaN or infinite values; replace them (for example by the background)")
    return segmenter.scale or segmenter.normalisation.measure([raw])


def inferred(
    segmenter: Segmenter, image: NDArray[np.float32], voxel: Voxel, options: Options, progress: Progress | None
) -> NDArray[np.float32]:
    """Normalised image (*S) -> channels (K, *S) on the same grid, in the range of the representation."""
    if image.min() == image.max():  # nothing to see, but a network that divides by its variance sees something
        return np.zeros((len(segmenter.representation.channels), *image.shape), dtype=np.float32)
    working = resample(image, working_shape(image.shape, voxel, segmenter.voxel))
    channels = probabilities(segmenter, working, options, progress)
    if not np.isfinite(channels).all():
        raise UserError("the network gives values that are no numbers; try --precision 32, or train the model again")
    if channels.shape[1:] == image.shape:
        return channels
    return np.stack([np.clip(resample(c, image.shape), c.min(), c.max()) for c in channels])


def decoded(
    representation: Representation, channels: NDArray[np.float32], voxel: Voxel, options: Options,
    smallest: float | None,
) -> Labels:  # fmt: skip
    """Channels (K, *S) -> instances (*S), 1..N, without small ones, holes filled."""
    labels = representation.decode(channels, voxel)
    if options.max_hole != 0:
        limit = np.inf if options.max_hole is None else options.max_hole
        labels = np.asarray(fill_holes(labels, voxel, limit), dtype=np.int32)
    if options.min_size is not None or smallest is None:
        return relabel(filter_small(labels, options.min_size or 0.0, voxel))
    return relabel(filter_small(labels, ball(smallest, voxel.ndim), voxel, ball(smallest / 2, voxel.ndim)))
