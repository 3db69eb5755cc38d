"""How images were understood, in words that JSON can keep."""

from collections.abc import Sequence
from typing import Any

from ..core.errors import UserError
from .find import find_files
from .formats import pictures
from .volumes import ImageSource, Volume

LISTED = 40  # images


def with_all_channels(source: ImageSource) -> ImageSource:
    """The source with all channels that its first file declares, where none is chosen and the file knows which axis
    they lie along; colours stay a choice."""
    if source.channel is not None or source.axes is not None:
        return source
    try:
        found = find_files(source.paths if isinstance(source.paths, str) else source.paths[0], False, source.suffix)
        first = pictures(found.files[0], found.part, source.level)[0]
    except (UserError, IndexError):  # whoever opens it says what is wrong
        return source
    count = first.array.shape[first.axes.index("c")] if "c" in first.axes else 1
    return source.model_copy(update={"channel": tuple(range(count))}) if count > 1 else source


def describe_images(volumes: Sequence[Volume]) -> dict[str, Any]:
    """Number of images, and of the first LISTED each one's name, origin, axes, shape, type, channels and voxel size."""
    return {
        "count": len(volumes),
        "each": [
            {
                "name": volume.name, "origin": volume.origin, "axes": volume.axes, "shape": list(volume.shape),
                "dtype": str(volume.dtype), "channels": volume.channels, "voxel": list(volume.voxel.size),
                "unit": volume.voxel.unit,
            }
            for volume in volumes[:LISTED]
        ],
    }  # fmt: skip
