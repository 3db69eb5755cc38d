"""Pictures for a page: small files, whole or not at all."""

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path
from ..core.provenance import add_mark

QUALITY = 82  # of JPEG


def save_jpeg(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """An RGB picture (H, W, 3) uint8."""
    from PIL import Image

    with atomic_path(path) as beside:
        Image.fromarray(np.ascontiguousarray(rgb)).save(beside, format="JPEG", quality=QUALITY, optimize=True)
    return path


def save_layer(path: Path, rgba: NDArray[np.uint8]) -> Path:
    """A layer (H, W, 4) uint8 of few colours, as a PNG with a palette."""
    from PIL import Image

    # As one number per pixel: rows of four take a hundred times as long to sort
    codes = np.ascontiguousarray(rgba, np.uint8).view(np.uint32)[..., 0]
    present = np.unique(codes)
    if len(present) > 256:
        raise ValueError(f"a layer has a palette of 256 colours, this one has {len(present)}")
    colours = present.view(np.uint8).reshape(-1, 4)
    picture = Image.fromarray(np.searchsorted(present, codes).astype(np.uint8))
    picture.putpalette(colours[:, :3].tobytes())
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True, transparency=colours[:, 3].tobytes())
    with atomic_path(path) as beside:
        beside.write_bytes(add_mark(buffer.getvalue()))
    return path
