"""From a raw volume to its instances.

(1) normalise   by numbers of the whole volume, or of the data set that the model was trained on
(2) resample    to the voxel size the network works at
(3) network     whole, or in tiles that are blended; activated to channels in [0, 1]
(4) resample    the channels, back to the volume's own grid
(5) decode      channels to instances, without the small ones, their holes filled; of several classes one by one
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.errors import UserError
from ..core.normalise import Scale, Scales, measure
from ..core.settings import parse
from ..core.voxel import PIXEL, Voxel
from ..data.resample import resample, working_shape
from ..data.several import apart
from ..data.volumes import Volume
from ..labels.belong import Belonging, belonging
from ..labels.filters import fill_own, filter_small
from ..labels.ids import relabel
from ..labels.objects import Objects, objects
from ..metrics.scores import mean_over_objects
from ..model import Segmenter
from ..represent import Representation, RepresentationSettings
from ..represent.base import StoredChannels, ball
from .calibration import refuse_voxels
from .network import Progress, Tiling, probabilities
from .raw import Raw, rounded

Labels = NDArray[np.int32]


class Options(Tiling):
    """Wishes of one call; what is not wished for is the model's.

    threshold: of the foreground, in (0, 1). min_size: objects with less area (2D) or volume (3D) are left out, in
    unit ** ndim of the voxel size; by default those smaller than the model's smallest, and of those that the edge
    of the volume cuts only what is left with less than half of its diameter.
    max_hole: larger holes of an object stay open, in the same unit; 0 fills none, by default all are filled.
    reach: largest distance between objects that belong together, in the same unit.
    any_voxel_size: voxels that are 20 times as large as the model's, or as small, are meant to be.
    """

    threshold: float | None = Field(None, gt=0, lt=1)
    min_size: float | None = Field(None, ge=0)
    max_hole: float | None = Field(None, ge=0)
    reach: float | None = Field(None, ge=0)
    any_voxel_size: bool = Field(False, exclude=True)  # decides whether there are numbers, and about none of them


@dataclass(frozen=True, eq=False)
class Instances:
    """Objects of one class on the volume's own grid, and how sure the network is of each."""

    labels: Labels  # (*S), 1..N
    table: Objects  # N objects
    confidence: NDArray[np.float64]  # (N,) mean foreground probability, in [0, 1]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found in one volume."""

    classes: dict[str, Instances]  # by name; of a single class its name is ""
    belongs: dict[tuple[str, str], Belonging]  # which objects of the first class belong to which of the second
    seconds: dict[str, float]  # of the stages: read, network, decode
    raw: Raw | None = None  # what was decoded, where that was to be kept

    @property
    def labels(self) -> Labels:
        """(*S), or (K, *S) of several classes."""
        found = [one.labels for one in self.classes.values()]
        return found[0] if "" in self.classes else np.stack(found)

    @property
    def table(self) -> Objects:
        """Of a single class."""
        return self.classes[""].table

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Of a single class."""
        return self.classes[""].confidence


def segment(segmenter: Segmenter, volume: Volume, progress: Progress | None = None, **wishes: Any) -> Labels:
    """Instances (*S) 1..N of a volume, on its own grid, (K, *S) of several classes. `wishes` are fields of `Options`.

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
    scale = measured(segmenter, volume, raw)
    read = time.perf_counter()
    image = scale(raw)
    channels = inferred(segmenter, image, volume.voxel, options, progress)
    drawn = time.perf_counter()
    representation = decoder(segmenter, options)
    kept = rounded(image, clips(scale), channels, representation) if keep else None
    del image
    found = {
        part.name: instances(part.represent, channels[part.channels], volume.voxel, options)
        for part in representation.parts()
    }
    belongs = paired(representation, found, volume.voxel, options)
    seconds = {"read": read - started, "network": drawn - read, "decode": time.perf_counter() - drawn}
    return Prediction(found, belongs, seconds, kept)


def instances(represent: Representation, channels: NDArray[np.float32], voxel: Voxel, options: Options) -> Instances:
    """The objects of one class from its channels (K, *S)."""
    labels = decoded(represent, channels, voxel, options)
    confidence = mean_over_objects(represent.confidence(channels), labels)
    return Instances(labels, objects(labels, voxel), confidence)


def paired(
    represent: Representation, found: dict[str, Instances], voxel: Voxel, options: Options
) -> dict[tuple[str, str], Belonging]:
    """Which objects belong to which, for all classes of which that is asked."""
    return {
        (member, owner): belonging(
            found[member].labels, found[owner].labels, voxel, reach if options.reach is None else options.reach
        )
        for member, owner, reach in represent.pairs
    }


def refuse_strangers(segmenter: Segmenter, volume: Volume, options: Options) -> None:
    """Raises UserError where axes, unit or channels of the volume are not those that the model works with.

    So do wishes that do not fit: all that can be known before any work is done.
    """
    if segmenter.diameter is not None:
        raise UserError(
            f"the model is for objects of any size and was not fitted to {volume.name}; fit it with "
            "cytoshift.trust.fit.fit(model, volumes), as 'cytoshift segment' does"
        )
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
    if segmenter.spec.channels != volume.channels:
        wanted = segmenter.spec.channels
        numbers = ",".join(map(str, range(wanted)))
        one = "choose the one of the training by --channel"
        cure = (
            one if wanted == 1 else f"pass --channel with {wanted} numbers in the order of the training, as {numbers}"
        )
        raise UserError(
            f"the model takes images of {wanted} channel{'s' * (wanted > 1)}, {volume.name} was opened with "
            f"{volume.channels}; {cure}"
        )
    if not options.any_voxel_size:
        refuse_voxels(segmenter, volume)
    if options.reach is not None and not segmenter.representation.pairs:
        raise UserError("reach asked for, but no objects of this model belong to others; leave --reach out")
    if options.tile is not None and (len(options.tile) != len(volume.axes) or min(options.tile) < 1):
        raise UserError(
            f"tile {','.join(map(str, options.tile))} asked for, {volume.name} has the axes '{volume.axes}'; give one "
            f"positive size per axis"
        )
    decoder(segmenter, options)


def decoder(segmenter: Segmenter, options: Options) -> RepresentationSettings:
    """The model's representation with the threshold that is wished for."""
    if options.threshold is None:
        return segmenter.representation
    return segmenter.representation.with_threshold(options.threshold)


def measured(segmenter: Segmenter, volume: Volume, raw: NDArray[np.generic]) -> Scale | Scales:
    """The numbers that normalise this volume; never those of a tile."""
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise UserError(f"{volume.name} holds NaN or infinite values; replace them (for example by the background)")
    return segmenter.scale or measure(segmenter.normalisation, [apart(raw, len(volume.axes))])


def clips(scale: Scale | Scales) -> list[tuple[float, float]]:
    """The range of each channel of a normalised image."""
    return [one.clip for one in scale.each] if isinstance(scale, Scales) else [scale.clip]


def inferred(
    segmenter: Segmenter, image: NDArray[np.float32], voxel: Voxel, options: Options, progress: Progress | None
) -> NDArray[np.float32]:
    """Normalised image (*S) or (C, *S) -> channels (K, *S) on the same grid, in the range of the representation."""
    space = image.shape[-voxel.ndim :]
    if image.min() == image.max():  # nothing to see, but a network that divides by its variance sees something
        return np.zeros((len(segmenter.representation.channels), *space), dtype=np.float32)
    working = resample(image, working_shape(space, voxel, segmenter.voxel))
    channels = probabilities(segmenter, working, options, progress)
    if not np.isfinite(channels).all():
        raise UserError("the network gives values that are no numbers; try --precision 32, or train the model again")
    if channels.shape[1:] == space:
        return channels
    return np.stack([np.clip(resample(c, space), c.min(), c.max()) for c in channels])


def decoded(represent: Representation, channels: StoredChannels, voxel: Voxel, options: Options) -> Labels:
    """Channels (K, *S) -> instances (*S), 1..N, without small ones, holes filled."""
    labels, smallest = represent.decode(channels, voxel), represent.smallest_object
    if options.max_hole != 0:
        limit = np.inf if options.max_hole is None else options.max_hole
        labels = fill_own(labels, voxel, limit)
    if options.min_size is not None or smallest is None:
        return relabel(filter_small(labels, options.min_size or 0.0, voxel))
    return relabel(filter_small(labels, ball(smallest, voxel.ndim), voxel, ball(smallest / 2, voxel.ndim)))
