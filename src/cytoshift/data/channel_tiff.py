"""Images of several channels as OME-TIFF."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.voxel import MICROMETRE, Voxel


def write_stack(path: Path, image: NDArray[np.generic], voxel: Voxel, axes: str, names: Sequence[str]) -> Path:
    """Write channels (C, Y, X) or (C, Z, Y, X) with their names and the voxel size, whole or not at all.

    path: `.tif` or `.tiff`; what is inside is OME-TIFF in any case. axes: the spatial ones.
    Raises UserError for another suffix and where names, axes and voxel do not fit the array.
    """
    import tifffile

    path = Path(path)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise UserError(f"{path} cannot be written as '{path.suffix}'; several channels are written as .tif")
    if image.ndim != len(axes) + 1 or voxel.ndim != len(axes) or len(names) != image.shape[0]:
        raise UserError(
            f"an image of shape {image.shape} with axes 'c{axes}', voxel size {voxel} and channels "
            f"{', '.join(names)} cannot be written; give one name per channel and one size per spatial axis"
        )
    metadata: dict[str, Any] = {"axes": f"C{axes.upper()}", "Channel": {"Name": list(names)}}
    for axis, size in zip(axes.upper(), voxel.size):
        unit = "µm" if voxel.unit == MICROMETRE else "pixel"
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, image, ome=True, photometric="minisblack", compression="zlib", metadata=metadata,
            bigtiff=image.nbytes > 2**31,
        )  # fmt: skip
    return path
