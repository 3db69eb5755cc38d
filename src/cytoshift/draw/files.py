"""Pictures for a page: small files, whole or not at all."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import replacing

QUALITY = 82  # of JPEG


def save_jpeg(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """An RGB picture (H, W, 3) uint8."""
    from PIL import Image

    with replacing(path) as beside:
        Image.fromarray(np.ascontiguousarray(rgb)).save(beside, format="JPEG", quality=QUALITY, optimize=True)
    return path


def save_layer(path: Path, rgba: NDArray[np.uint8]) -> Path:
    """A layer (H, W, 4) uint8 of few colours, as a PNG with a palette."""
    from PIL import Image

    colours, inverse = np.unique(rgba.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) > 256:
        raise ValueError(f"a layer has a palette of 256 colours, this one has {len(colours)}")
    picture = Image.fromarray(inverse.reshape(rgba.shape[:2]).astype(np.uint8), mode="P")
    picture.putpalette(colours[:, :3].tobytes())
    with replacing(path) as beside:
        picture.save(beside, format="PNG", optimize=True, transparency=colours[:, 3].tobytes())
    return path
