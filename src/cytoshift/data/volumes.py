"""Images as lazy volumes. Axes, voxel size, dtype and channel are read from the file or declared, never guessed."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import centre_box
from ..core.errors import UserError
from ..core.lazy_array import LazyArray
from ..core.provenance import SayOnce
from ..core.settings import parse
from ..core.voxel import PIXEL, Voxel
from .axes import channel_names, choose_channel, choose_frames, resolve_axes, stacking_axis, voxel_size
from .bad_files import BadFiles, list_names
from .channel_axis import split_channels
from .find import FoundFiles, find_files, group_paths, refuse_name, unique_names
from .formats import pictures
from .image_source import ImageSource as ImageSource
from .image_source import image_source as image_source
from .lazy import RegionArray, SpatialView, StackedArray, refuse_pieces
from .picture import Picture

MASKS = ("_mask", "_masks", "_label", "_labels", "_seg", "_cp_masks")  # how labels beside their images are called
IN_MEMORY = 2_000_000_000  # bytes of raw images that are kept in memory
LOOKED_INTO = 2**28  # bytes of an image that is read before others go on without it


@dataclass(frozen=True, eq=False)
class Volume:
    """One image with its spatial axes and one frame. Nothing is read before it is indexed.

    Parameters
    ----------
    name
        Of the file or array.
    array
        (Y, X) or (Z, Y, X) with the type as stored; (C, Y, X) or (C, Z, Y, X) with several channels, or with labels of
        several classes. Index it by slices, or read all of it with `load`.
    axes
        "yx" or "zyx".
    voxel
        Voxel size.
    origin
        Where it comes from, for messages.
    channel_names
        What its file calls the channels, all that it has.
    well
        Of a plate, the well that it belongs to.
    frame
        Of a file with an axis t: which frame, from 0, and how many the file has. Default: None.

    Examples
    --------
    >>> volume = Volume("a", np.zeros((4, 6), np.uint8), "yx", Voxel((0.5, 0.5), "um"), "an array")
    >>> volume.shape, volume.load().dtype
    ((4, 6), dtype('uint8'))
    """

    name: str  # unique in what was opened, fit for a file name
    array: LazyArray | NDArray[np.generic]  # an image that is in memory already is as good
    axes: Literal["yx", "zyx"]
    voxel: Voxel
    origin: str  # file, series, level, channel and frame, for a human
    channel_names: tuple[str, ...] = ()
    well: str = ""
    frame: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(*S), without channels."""
        return tuple(self.array.shape)[-len(self.axes) :]

    @property
    def channels(self) -> int:
        return 1 if len(self.array.shape) == len(self.axes) else int(self.array.shape[0])

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    def load(self) -> NDArray[np.generic]:
        """The whole image in memory."""
        return np.asarray(self.array[...])


def load_small(volumes: Sequence[Volume], memory: float | None = None) -> list[Any]:
    """Their arrays, to be sliced: all in memory if there is room, else the small ones; others are read when sliced.

    memory: bytes for all of them, IN_MEMORY by default. Raises UserError where one that is larger can only be read
    whole.
    """
    memory = IN_MEMORY if memory is None else memory
    room = memory if sum(v.array.nbytes for v in volumes) <= memory else memory / len(volumes)
    for volume in volumes:
        if volume.array.nbytes > room:
            refuse_pieces(volume.array, volume.origin, 4 * memory, allow="")
    return [v.load() if v.array.nbytes <= room else v.array for v in volumes]


def open_volumes(source: ImageSource | str | Path) -> list[Volume]:
    """Open every image of a source, in natural order. A file with several series or frames gives several.

    Parameters
    ----------
    source
        A path (file, folder or glob), or an `ImageSource` with what the files do not say.

    Returns
    -------
    list of Volume
        Nothing is read until a volume is indexed.

    Raises
    ------
    UserError
        Where something is missing, damaged or ambiguous. The sentence names the setting that settles it.

    Examples
    --------
    >>> import tempfile
    >>> from cytoshift.data.write import write_image
    >>> place = Path(tempfile.mkdtemp()) / "cells.tif"
    >>> _ = write_image(place, np.zeros((4, 6), np.uint8), Voxel((0.5, 0.5), "um"), "yx")
    >>> [volume] = open_volumes(place)
    >>> volume.load().shape, str(volume.voxel)
    ((4, 6), '0.5 x 0.5 um')
    """
    skip = isinstance(source, ImageSource) and source.skip_bad
    return leave_out_odd(open_source(source, labels=False), skip)


def leave_out_odd(volumes: list[Volume], skip: bool) -> list[Volume]:
    """Images of one kind of axes and one dtype. skip: leaves out those that are unlike most others, and says so.

    Raises UserError where they differ.
    """
    for what, kind in (("axes", lambda v: v.axes), ("dtypes", lambda v: v.dtype.name)):
        values = [kind(volume) for volume in volumes]
        usual = Counter(values).most_common(1)[0][0] if skip else values[0]
        odd = [volume for volume, value in zip(volumes, values) if value != usual]
        if not odd:
            continue
        if not skip:
            pair = f"{volumes[0].origin} is {usual}, {odd[0].origin} is {kind(odd[0])}"
            more = f" (and {list_names([one.name for one in odd[1:]])} too)" if len(odd) > 1 else ""
            raise UserError(f"the images differ in their {what}: {pair}{more}; {odd_image_hint(odd[0])}")
        for volume in odd:
            SayOnce.say(f"left out {volume.origin}: it is {kind(volume)}, but most others are {usual}")
        volumes = [volume for volume, value in zip(volumes, values) if value == usual]
    return volumes


def odd_image_hint(odd: Volume) -> str:
    """What to do with an image that is unlike the others."""
    return f"take out {odd.name}, which looks like a mask" if odd.name.endswith(MASKS) else "open them apart"


def open_labels(source: ImageSource | str | Path) -> list[Volume]:
    """Open every label image of a source. Object ids have to be whole numbers; colours are refused.

    A mask of true and false (or of one bit) is read as one object, 1. The indices of a palette are the ids. Of an
    OME-Zarr image, its labels are opened.

    Parameters
    ----------
    source
        A path (file, folder or glob), or an `ImageSource`.

    Returns
    -------
    list of Volume
        Nothing is read until a volume is indexed.

    Raises
    ------
    UserError
        As `open_volumes`. Negative ids raise when they are read.

    Examples
    --------
    >>> import tempfile
    >>> from cytoshift.data.write import write_labels
    >>> place = Path(tempfile.mkdtemp()) / "labels.tif"
    >>> _ = write_labels(place, np.array([[0, 1], [2, 2]]), Voxel((0.5, 0.5), "um"), "yx")
    >>> int(open_labels(place)[0].load().max())
    2
    """
    return open_source(source, labels=True)


def open_source(source: ImageSource | str | Path, labels: bool) -> list[Volume]:
    if not isinstance(source, ImageSource):
        source = parse(ImageSource, {"paths": source}, "image options")
    if isinstance(source.channel, tuple):
        if labels:
            raise UserError("labels of several classes are one file or folder for each class; pass one channel")
        each = [open_source(source.model_copy(update={"channel": channel}), labels) for channel in source.channel]
        if source.skip_bad:  # of an image, one channel may be there and another one not
            whole = set.intersection(*({volume.name for volume in volumes} for volumes in each))
            each = [[volume for volume in volumes if volume.name in whole] for volumes in each]
        return [
            stack_channels(list(channels), f"with channel {list_numbers(source.channel[1:])}")
            for channels in zip(*each)
        ]
    arguments = [source.paths] if isinstance(source.paths, str) else source.paths
    if not arguments:
        raise UserError("no path is given; pass a file, a folder or a glob")
    found = group_paths([find_files(argument, labels, source.suffix, source.without) for argument in arguments])
    bad = BadFiles(sum(len(one.files) for one in found))
    pairs = [pair for one in found for pair in volumes_of_files(one, source, labels, bad)]
    bad.refuse(source.skip_bad, bool(pairs))
    ending = unicodedata.normalize("NFC", source.suffix or "")
    names = unique_names([volume.name.removesuffix(ending) for _, volume in pairs], [path for path, _ in pairs])
    return [crop_volume(replace(volume, name=name), source.crop or {}) for name, (_, volume) in zip(names, pairs)]


def stack_channels(volumes: list[Volume], words: str) -> Volume:
    """Volumes of one grid as the channels of one, or as the classes of labels; `words` say what came to the first."""
    first = volumes[0]
    if odd := next((one for one in volumes if one.shape != first.shape), None):
        raise UserError(
            f"{first.origin} has the shape {first.shape}, but {odd.origin} {odd.shape}; channels need one grid of "
            f"voxels"
        )
    return replace(first, array=StackedArray(tuple(one.array for one in volumes)), origin=f"{first.origin}, {words}")


def list_numbers(numbers: tuple[int | str, ...]) -> str:
    return ", ".join(map(str, numbers))


def volumes_of_files(
    found: FoundFiles, source: ImageSource, labels: bool, bad: BadFiles | None = None
) -> list[tuple[Path, Volume]]:
    """Volumes of the files that one argument stands for, each with the file it comes from.

    bad: keeps the files that cannot be read; without it, as of slices of a stack, the first one raises.
    """
    stored: list[tuple[Path, Picture]] = []
    collect = bad.collect if bad and bad.count > 1 else nullcontext
    for path in found.files:
        with collect(path):
            refuse_name(path)
            for picture in pictures(path, found.part, source.level, labels):
                # Every file of a multi-file OME set opens the whole set.
                if not picture.members or all(picture.members != other.members for _, other in stored):
                    stored.append((path, picture))
    if not stored:
        return []
    if found.name is not None and source.axes and stacking_axis(stored[0][1], source.axes):
        if bad:
            bad.refuse(skip=False, others=True)  # a stack without one of its slices is another one
        single = source.model_copy(update={"axes": source.axes[1:], "voxel": (1.0, 1.0), "unit": PIXEL})
        slices = [volume for _, picture in stored for volume in volumes_of_array(picture, single, labels)]
        if source.axes[0] == "z":
            return [(stored[0][0], stack_slices(found.name, slices, source, stored[0][1]))]
        source = source.model_copy(update={"axes": source.axes[1:]})
    alone = len(stored) > 1 and len({path for path, _ in stored}) == 1 and found.part is None
    out = []
    try:
        for path, picture in stored:
            with collect(path):
                opened = volumes_of_array(picture, source, labels)
                if source.skip_bad and bad and bad.count > 1:
                    decode_small(opened)
                out += [(path, volume) for volume in opened]
        return out
    except UserError as error:
        if alone and (number := first_that_opens([picture for _, picture in stored], source, labels)) is not None:
            place = f"{stored[0][0]}::{number}"
            raise UserError(f"{error}; or read series {number} alone, as {place}") from None
        raise


def decode_small(volumes: Sequence[Volume]) -> None:
    """Read images that are not large, as some damage shows only then. Raises UserError."""
    for volume in volumes:
        if volume.array.nbytes <= LOOKED_INTO:
            volume.load()


def first_that_opens(stored: list[Picture], source: ImageSource, labels: bool) -> int | None:
    """The number of the first image of a file that can be read as it is wished for; None where none can."""
    for number, picture in enumerate(stored):
        try:
            volumes_of_array(picture, source, labels)
        except UserError:
            continue
        return number
    return None


def volumes_of_array(picture: Picture, source: ImageSource, labels: bool) -> list[Volume]:
    """One volume per frame of a stored array."""
    check_numbers(picture, labels)
    axes = resolve_axes(picture, source.axes)
    spatial: Literal["yx", "zyx"] = "zyx" if "z" in axes else "yx"
    if not {"y", "x"} <= set(axes):
        raise UserError(f"{picture.origin} has the axes '{axes}', but an image needs y and x; pass `axes`")
    if labels and "s" in axes and len(picture.colours) > 1:
        raise UserError(f"labels in {picture.origin} are RGB colours; save the object ids as one gray channel")
    assert not isinstance(source.channel, tuple), "several channels are opened one by one"
    channel_axis, channel = choose_channel(picture, axes, source.channel)
    steps = picture.array.shape[axes.index("t")] if "t" in axes else 1
    shape = tuple(picture.array.shape[axes.index(a)] for a in spatial)
    voxel = voxel_size(picture, spatial, shape, source.voxel, source.unit)
    names = tuple(channel_names(picture, channel_axis)) if channel_axis else ()
    volumes = []
    for frame in choose_frames(picture, steps, source.frames):
        at = {"t": frame, channel_axis: channel}
        fixed = tuple(None if a in spatial else at.get(a, 0) for a in axes)
        colours = axes.index("s") if channel is None else None
        order = tuple(axes.index(a) for a in spatial)
        words = [picture.origin]
        if channel is None:
            words.append("luminance of RGB")
        elif channel_axis and picture.array.shape[axes.index(channel_axis)] > 1:
            words.append(f"channel {channel}" + (f" ({names[channel]})" if channel < len(names) else ""))
        if steps > 1:
            words.append(f"frame {frame} of {steps}")
        name = f"{picture.name}_t{frame:0{len(str(steps - 1))}d}" if steps > 1 else picture.name
        origin = ", ".join(words)
        view = SpatialView(picture.array, fixed, order, colours, labels, origin)
        there = (frame, steps) if steps > 1 else None
        volumes.append(Volume(name, view, spatial, voxel, origin, names, picture.well, there))
    return volumes


def stack_slices(name: str, slices: list[Volume], source: ImageSource, first: Picture) -> Volume:
    """2D files as the slices of one stack."""
    for image in slices:
        if image.axes != "yx":
            raise UserError(f"{image.origin} is not 2D, but axes '{source.axes}' stack 2D files; leave `axes` out")
        for what in ("shape", "dtype"):
            if getattr(image, what) != getattr(slices[0], what):
                pair = f"{slices[0].origin} has {getattr(slices[0], what)}, {image.origin} {getattr(image, what)}"
                raise UserError(f"slices of one stack differ in their {what}: {pair}; take out what does not belong")
    stack = StackedArray(tuple(image.array for image in slices))
    origin = f"{len(slices)} slices, {slices[0].origin} to {slices[-1].origin}"
    voxel = voxel_size(replace(first, origin=origin), "zyx", stack.shape, source.voxel, source.unit)
    return Volume(name, stack, "zyx", voxel, origin)


def crop_volume(volume: Volume, crop: Mapping[Any, tuple[float, float]]) -> Volume:
    """The box of a volume between two parts of its extent along some axes, (0, 1) being all of it; at least a voxel."""
    if not crop:
        return volume
    if stranger := next((axis for axis in crop if axis not in volume.axes), None):
        raise UserError(f"cannot crop along {stranger}, {volume.origin} has the axes {volume.axes}; leave it out")
    region = []
    for axis, n in zip(volume.axes, volume.shape):
        first, last = (round(part * n) for part in crop.get(axis, (0.0, 1.0)))
        region.append(slice(min(first, n - 1), max(last, min(first, n - 1) + 1)))
    words = ", ".join(f"{a} {p.start} to {p.stop}" for a, p in zip(volume.axes, region) if a in crop)
    return replace(box_volume(volume, tuple(region)), origin=f"{volume.origin}, {words}")


def box_volume(volume: Volume, region: tuple[slice, ...]) -> Volume:
    """A box of a volume, one slice of step 1 for each of its axes; nothing is read yet."""
    parts = tuple(RegionArray(one, region) for one in split_channels(volume.array, len(volume.axes)))
    return replace(volume, array=parts[0] if len(volume.array.shape) == len(volume.axes) else StackedArray(parts))


def crop_middle(volume: Volume, voxels: int) -> Volume:
    """The middle of an image, at most so many voxels of it."""
    return volume if prod(volume.shape) <= voxels else box_volume(volume, centre_box(volume.shape, voxels))


def check_numbers(picture: Picture, labels: bool) -> None:
    """Refuse what is no intensity, or no object id, and arrays without any."""
    dtype, origin = picture.array.dtype, picture.origin
    if 0 in picture.array.shape:
        raise UserError(f"{origin} is empty, its shape is {picture.array.shape}; save it again")
    if len(picture.array.shape) < 2:
        raise UserError(f"{origin} has the shape {picture.array.shape}, but an image needs y and x; pass another array")
    if labels and dtype.kind not in "uibf":
        raise UserError(
            f"labels in {origin} are {dtype}, but object ids are whole numbers; save them as uint16 or uint32"
        )
    if labels:
        return
    if dtype.kind == "b":
        raise UserError(f"{origin} holds only true and false and no intensities; save it as uint8 if it is an image")
    if dtype.kind == "c":
        raise UserError(f"{origin} holds complex numbers; save their magnitude as float32")
    if dtype.kind not in "uif":
        raise UserError(f"{origin} has the dtype {dtype}, which has no intensities; save it as integers or float32")
