"""How images were understood, in words that JSON can keep."""

from collections.abc import Sequence
from typing import Any

from .volumes import Volume

LISTED = 40  # images


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
