"""The one way from an image to its instances.

    pipeline = Pipeline.of_image(segmenter, image, voxel, options)    one image in memory
    pipeline = Pipeline.of_volume(segmenter, volume, scale, options)  a volume of any size, read box by box
    channels = pipeline.channels()                                    or of a box: pipeline.channels(box)
    found = pipeline.instances(channels)

(1) normalise   by numbers of the whole volume, or of the data set that the model was trained on
(2) resample    to the voxel size the network works at
(3) network     over all tiles, blended; or over one box with a margin; activated to channels in their ranges
(4) resample    the channels, back to the volume's own grid
(5) decode      channels to instances, without the small ones, their holes filled; of several classes one by one

`predict` takes an image as one box. `blockwise` keeps the tiles of the same network on disk and decodes the boxes of a
grid. `live` asks for boxes when somebody looks at them, `trust` for a few boxes of a large volume.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.blocks import Slices, relative_region
from ..core.errors import UserError
from ..core.no_data import missing_voxels, refuse_infinite
from ..core.normalise import Scale, Scales, measure
from ..core.settings import parse
from ..core.text import count_of
from ..core.voxel import PIXEL, Voxel
from ..data.channel_axis import split_channels
from ..data.volumes import Volume
from ..labels.filters import fill_holes_in_place, filter_small
from ..labels.ids import relabel
from ..labels.objects import Objects, measure_objects, objects
from ..labels.owners import Owners, assign_owners
from ..labels.stitching import BY_SECTION
from ..metrics.confidence import mean_over_objects
from ..model import Segmenter
from ..represent import Part, Representation, RepresentationSettings
from ..represent.base import StoredChannels, ball
from .calibration import refuse_voxels
from .network import Progress, TiledNetwork, Tiling, multiple, predict_whole, widen_box
from .raw import Raw, round_to_eight_bits
from .working import InMemory, Working

Labels = NDArray[np.int32]
Missing = NDArray[np.bool_] | None
SMALL = 2**22  # voxels of an image that stays in memory as it was read, to measure intensities in it


class Options(Tiling):
    """Options of one call; the default of each is the model's value.

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
    belongs: dict[tuple[str, str], Owners]  # which objects of the first class belong to which of the second
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


class Pipeline:
    """A segmenter on one image: `channels` of a box, `instances` of channels.

    Parameters
    ----------
    segmenter : network, representation and the voxel size of the working grid.
    grid : the image as the network sees it.
    options : wishes; what is not wished for is the model's.
    network : where tiles and statistics are known already.
    """

    def __init__(
        self, segmenter: Segmenter, grid: InMemory | Working, options: Options, network: TiledNetwork | None = None
    ) -> None:
        self.segmenter, self.grid, self.options, self.voxel = segmenter, grid, options, grid.volume_voxel
        self._network = network

    @classmethod
    def of_image(cls, segmenter: Segmenter, image: NDArray[np.float32], voxel: Voxel, options: Options) -> "Pipeline":
        """Of a normalised image (*S) or (C, *S) in memory."""
        return cls(segmenter, InMemory(image, voxel, segmenter.voxel, multiple(segmenter)), options)

    @classmethod
    def of_volume(cls, segmenter: Segmenter, volume: Volume, scale: Scale | Scales, options: Options) -> "Pipeline":
        """Of a volume of any size, normalised by `scale` and read box by box."""
        return cls(segmenter, Working(volume, scale, segmenter.voxel, multiple(segmenter)), options)

    @cached_property
    def network(self) -> TiledNetwork:
        """Over all of the image; its boxes share tiles, statistics and the way to compute."""
        return self._network or self.tile_image()

    def tile_image(self) -> TiledNetwork:
        image = self.grid.pad() if isinstance(self.grid, InMemory) else self.grid
        return TiledNetwork(self.segmenter, image, self.options)

    @cached_property
    def represent(self) -> RepresentationSettings:
        """The model's representation with the threshold that is wished for."""
        return decoder(self.segmenter, self.options)

    @cached_property
    def parts(self) -> list[Part]:
        """The classes; of a single one its name is ""."""
        return list(self.represent.parts())

    def channels(self, box: Slices | None = None, progress: Progress | None = None) -> NDArray[np.float32]:
        """Activated channels on the volume's own grid.

        Parameters
        ----------
        box : region of the volume, which the network sees with its margin; without it all of the image, in tiles
            that are blended.
        progress : called with the numbers of tiles that are done and of all.

        Returns
        -------
        (K, *box) float32, in the ranges of the representation.

        Raises
        ------
        UserError : where the network gives NaN or infinite values.
        """
        space = self.grid.space if box is None else tuple(side.stop - side.start for side in box)
        if self.grid.is_constant:  # nothing to see, but a network that divides by its variance sees something
            return np.zeros((len(self.represent.channels), *space), dtype=np.float32)
        if isinstance(self.grid, InMemory):
            assert box is None, "an image in memory goes through as one box"
            return self.grid.to_volume_grid(refuse_nonfinite(self.tile_image().blend(progress)))
        box = tuple(slice(0, n) for n in space) if box is None else box
        room = self.grid.needed_region(box)
        seen = widen_box(room, self.network.margin, self.grid.step, self.grid.shape[1:])
        (channels,) = self.windows([seen])
        inner = np.ascontiguousarray(channels[(slice(None), *relative_region(room, seen))])
        return self.grid.to_volume_grid(inner, room, box)

    def windows(self, regions: Sequence[Slices], grid: Working | None = None) -> NDArray[np.float32]:
        """Channels (B, K, *T) of regions of one shape of the working grid; `grid`: one that has them in memory."""
        assert isinstance(self.grid, Working), "an image in memory goes through as one box"
        grid = grid or self.grid
        if grid.is_constant:
            shape = tuple(side.stop - side.start for side in regions[0])
            return np.zeros((len(regions), len(self.represent.channels), *shape), dtype=np.float32)
        return refuse_nonfinite(self.network.predict([grid[(slice(None), *region)] for region in regions]))

    def instances(
        self, channels: StoredChannels, missing: Missing = None, image: NDArray[np.generic] | None = None
    ) -> dict[str, Instances]:
        """Channels (K, *S) -> the objects of each class, by name.

        missing: (*S) where the image has no data. image: the raw image, (*S) or (C, *S), where shapes and intensities
        are to be measured.
        """
        found = {}
        for part in self.parts:
            mine = channels[part.channels]
            labels = decode(part.represent, mine, self.voxel, self.options, missing)
            confidence = mean_over_objects(part.represent.confidence(mine), labels)
            table = objects(labels, self.voxel) if image is None else measure_objects(labels, self.voxel, image)
            found[part.name] = Instances(labels, table, confidence)
        return found

    def pairs(self, found: dict[str, Instances]) -> dict[tuple[str, str], Owners]:
        """Which objects belong to which, for all classes of which that is asked."""
        wish = self.options.reach
        return {
            (member, owner): assign_owners(
                found[member].labels, found[owner].labels, self.voxel, reach if wish is None else wish
            )
            for member, owner, reach in self.represent.pairs
        }


def segment(segmenter: Segmenter, volume: Volume, progress: Progress | None = None, **wishes: Any) -> Labels:
    """Instances (*S) 1..N of a volume, on its own grid, (K, *S) of several classes. `wishes` are fields of `Options`.

    Raises UserError where volume and model do not fit, and for a wish that is unknown or out of range.

    >>> segment(Segmenter.load("runs/x/model"), open_volumes("cells.tif")[0], min_size=20.0)  # doctest: +SKIP
    """
    options = parse(Options, wishes, "segment")
    return next(predict_group(segmenter, [volume], options, progress)).labels


def predict(
    segmenter: Segmenter,
    volume: Volume,
    options: Options | None = None,
    progress: Progress | None = None,
    keep: bool = False,
) -> Prediction:
    """`segment`, with the table of objects, their confidences and the times; with `keep`, its raw form too."""
    return next(predict_group(segmenter, [volume], options, progress, keep, measure=True))


def predict_group(
    segmenter: Segmenter,
    volumes: Sequence[Volume],
    options: Options | None = None,
    progress: Progress | None = None,
    keep: bool = False,
    measure: bool = False,
) -> Iterator[Prediction]:
    """`predict` of images that fit into memory together. Small ones of one shape go through the network together.

    measure: shapes and intensities of the objects, too.
    """
    options = options or Options()
    images, scales, pipelines, read, missing, kept_raw = [], [], [], [], list[Missing](), []
    for volume in volumes:
        fitted = segmenter.for_image(volume.name)
        refuse_mismatch(fitted, volume, options)
        started = time.perf_counter()
        raw = volume.load()
        missing.append(missing_voxels(raw, len(volume.axes), volume.name))
        scales.append(measure_scale(fitted, volume, raw))
        images.append(scales[-1](raw))
        pipelines.append(Pipeline.of_image(fitted, images[-1], volume.voxel, options))
        read.append(time.perf_counter() - started)
        kept_raw.append(raw if raw.size <= SMALL else None)  # a large one is read again, rather than kept in memory
    del raw
    started = time.perf_counter()
    channels = channels_together(pipelines, progress)
    network = (time.perf_counter() - started) / len(volumes)
    for i, (pipeline, mine) in enumerate(zip(pipelines, channels)):
        started = time.perf_counter()
        kept = round_to_eight_bits(images[i], clip_ranges(scales[i]), mine, pipeline.represent) if keep else None
        raw_image = (volumes[i].load() if kept_raw[i] is None else kept_raw[i]) if measure else None
        found = pipeline.instances(mine, missing[i], raw_image)
        belongs = pipeline.pairs(found)
        seconds = {"read": read[i], "network": network, "decode": time.perf_counter() - started}
        yield Prediction(found, belongs, seconds, kept)


def channels_together(pipelines: Sequence[Pipeline], progress: Progress | None = None) -> list[NDArray[np.float32]]:
    """The channels (K, *S) of images in memory. Those that the network sees whole and in one shape share a pass."""
    if len(pipelines) == 1:
        return [pipelines[0].channels(progress=progress)]
    out: dict[int, NDArray[np.float32]] = {}
    alike: dict[tuple[int, ...], list[int]] = {}
    tiled = [None if pipeline.grid.is_constant else pipeline.tile_image() for pipeline in pipelines]
    for number, (pipeline, network) in enumerate(zip(pipelines, tiled)):
        if network is None or not network.is_one_tile:
            out[number] = pipeline.channels()
        else:
            alike.setdefault(tuple(network.image.shape), []).append(number)
    for numbers in alike.values():
        for number, channels in zip(numbers, predict_whole([one for n in numbers if (one := tiled[n])])):
            grid = pipelines[number].grid
            assert isinstance(grid, InMemory), "the images of a group are in memory"
            out[number] = grid.to_volume_grid(refuse_nonfinite(channels))
    return [out[number] for number in range(len(pipelines))]


def refuse_mismatch(segmenter: Segmenter, volume: Volume, options: Options) -> None:
    """Raises UserError where axes, unit or channels of the volume are not those that the model works with.

    So do options that do not fit: all that can be known before any work is done.
    """
    if segmenter.diameter is not None:
        raise UserError(
            f"the model is for objects of any size and was not fitted to {volume.name}; fit it with "
            "cytoshift.trust.size_fit.fit(model, volumes), as 'cytoshift segment' does"
        )
    if volume.axes != segmenter.axes:
        flat = len(volume.axes) > len(segmenter.axes)
        cure = BY_SECTION if flat else "pass `axes` if its slices are to make one stack"
        raise UserError(
            f"the model works on '{segmenter.axes}' images, but {volume.name} has the axes '{volume.axes}'; {cure}, or "
            f"train a model on images like it"
        )
    if volume.voxel.unit != segmenter.voxel.unit:
        ones = ",".join("1" for _ in volume.axes)
        pixels = f"pass `voxel` {ones} `unit` {PIXEL} to have its pixels taken as those of the training"
        lengths = f"pass its voxel size, as in `voxel` {ones} `unit=um`"
        cure = pixels if segmenter.voxel.unit == PIXEL else lengths
        raise UserError(
            f"the model works at {segmenter.voxel} per voxel, but {volume.name} has {volume.voxel}, and one cannot be "
            f"turned into the other; {cure}"
        )
    if segmenter.spec.channels != volume.channels:
        wanted, cure = segmenter.spec.channels, "choose the one of the training by `channel`"
        if wanted > 1:
            numbers = ",".join(map(str, range(wanted)))
            cure = f"pass `channel` with {wanted} numbers in the order of the training, as {numbers}"
        raise UserError(
            f"the model takes images of {count_of(wanted, 'channel')}, {volume.name} was opened with "
            f"{volume.channels}; {cure}"
        )
    if options.reach is not None and not segmenter.representation.pairs:
        raise UserError("`reach` has no use here, as no objects of this model belong to others; leave it out")
    if options.tile is not None and (len(options.tile) != len(volume.axes) or min(options.tile) < 1):
        raise UserError(
            f"tile {','.join(map(str, options.tile))} does not fit {volume.name} with the axes '{volume.axes}'; give "
            f"one positive size per axis"
        )
    decoder(segmenter, options)
    if not options.any_voxel_size:
        refuse_voxels(segmenter, volume)


def decoder(segmenter: Segmenter, options: Options) -> RepresentationSettings:
    """The model's representation with the threshold that is wished for."""
    if options.threshold is None:
        return segmenter.representation
    return segmenter.representation.with_threshold(options.threshold)


def measure_scale(segmenter: Segmenter, volume: Volume, raw: NDArray[np.generic]) -> Scale | Scales:
    """The numbers that normalise this volume; never those of a tile. Raises UserError for infinite values."""
    refuse_infinite(raw, volume.name)
    return segmenter.scale or measure(segmenter.normalisation, [split_channels(raw, len(volume.axes))])


def clip_ranges(scale: Scale | Scales) -> list[tuple[float, float]]:
    """The range of each channel of a normalised image."""
    return [one.clip for one in scale.each] if isinstance(scale, Scales) else [scale.clip]


def refuse_nonfinite(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raises UserError where a network gives NaN or infinite values."""
    if not np.isfinite(channels).all():
        raise UserError("the network gives NaN or infinite values; try `precision=32`, or train the model again")
    return channels


def decode_filled(
    represent: Representation, channels: StoredChannels, voxel: Voxel, options: Options, missing: Missing = None
) -> Labels:
    """Channels (K, *S) -> all objects (*S), holes filled; what a block can say of objects that its rim cuts.

    missing: (*S) where the image has no data, and no object.
    """
    labels = represent.decode(channels, voxel)
    if options.max_hole != 0 and labels.any():
        labels = fill_holes_in_place(labels, voxel, np.inf if options.max_hole is None else options.max_hole)
    if missing is not None:
        labels[missing] = 0
    return labels


def decode(
    represent: Representation, channels: StoredChannels, voxel: Voxel, options: Options, missing: Missing = None
) -> Labels:
    """Channels (K, *S) -> instances (*S), 1..N, without small ones, holes filled. missing: see `decode_filled`."""
    labels = decode_filled(represent, channels, voxel, options, missing)
    smallest = represent.smallest_object
    if options.min_size is not None or smallest is None:
        return relabel(filter_small(labels, options.min_size or 0.0, voxel))
    return relabel(filter_small(labels, ball(smallest, voxel.ndim), voxel, ball(smallest / 2, voxel.ndim)))
