"""All channels and frames of one image as one lazy array, to be written as they are."""

from dataclasses import dataclass
from typing import Any

from ..core.errors import UserError
from ..core.voxel import Voxel
from .axes import resolve_axes, stacking_axis
from .find import find_files
from .formats import pictures
from .lazy import StackedArray
from .picture import Picture
from .volumes import ImageSource, open_labels, open_volumes


@dataclass(frozen=True, eq=False)
class GatheredImage:
    """One image with everything along its axes."""

    array: Any  # lazy
    axes: str  # yx or zyx, with t and c in front where there are several
    voxel: Voxel
    origin: str
    channels: tuple[str, ...]  # names along c, where the file has some


def gather_image(source: ImageSource, labels: bool = False) -> GatheredImage:
    """The image that `source` stands for: all frames, and all channels unless one is chosen.

    Raises UserError for several images, and for whatever `open_volumes` refuses.
    """
    paths = [source.paths] if isinstance(source.paths, str) else source.paths
    if not paths:
        raise UserError("no path is given; pass a file, a folder or a glob")
    found = find_files(paths[0])
    first = pictures(found.files[0], found.part, source.level, labels)[0]
    several = found.name is not None and source.axes is not None and stacking_axis(first, source.axes)
    axes = resolve_axes(first, source.axes[1:] if several and source.axes else source.axes)
    letter, names = channel_axis(first, axes)
    count = len(names) or (first.array.shape[axes.index(letter)] if letter else 1)
    if source.channel is None and count > 1 and not labels:
        source = source.model_copy(update={"channel": tuple(range(count))})
    else:
        names = ()
    volumes = open_labels(source) if labels else open_volumes(source)
    series = "t" in axes or bool(several and source.axes and source.axes[0] == "t")
    alike = {(volume.array.shape, volume.voxel) for volume in volumes}
    if len(volumes) > 1 and (not series or len(alike) > 1):
        raise UserError(
            f"{len(volumes)} images were found, {volumes[0].origin} and {volumes[1].origin} among them; convert them "
            "one by one, or pass `axes` if they are the slices (zyx) or frames (tyx) of one"
        )
    one = volumes[0]
    frames = "t" if len(volumes) > 1 else ""
    array = StackedArray(tuple(volume.array for volume in volumes)) if frames else one.array
    return GatheredImage(array, frames + ("c" if one.channels > 1 else "") + one.axes, one.voxel, one.origin, names)


def channel_axis(picture: Picture, axes: str) -> tuple[str, tuple[str, ...]]:
    """The axis of the channels, "" without one, and what they are called."""
    lengths = dict(zip(axes, picture.array.shape))
    if lengths.get("c", 1) > 1:
        return "c", picture.channels if len(picture.channels) == lengths["c"] else ()
    return ("s", picture.colours) if "s" in axes else ("", ())
