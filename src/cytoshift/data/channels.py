"""What networks draw as HDF5, in the layout of PyTorch Connectomics: channels first, 8 bits, one dataset "vol0"."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path
from ..core.voxel import Voxel

DATASET, MADE_BY = "vol0", "cytoshift"
CHUNK = {2: (256, 256), 3: (16, 128, 128)}


def write_channels(
    path: Path, channels: NDArray[np.uint8], names: tuple[str, ...], voxel: Voxel, axes: str, words: str
) -> Path:
    """Write channels (C, Y, X) or (C, Z, Y, X) into a new file, whole or not at all.

    The dataset is chunked and compressed (gzip). Its dimensions are labelled c and `axes`; attributes: the `names` of
    the channels, `element_size_um` (`element_size_px` where nobody declared a length) and `words` for `made_by`.

    >>> import h5py
    >>> pred = h5py.File("pred.h5")["vol0"][:]  # doctest: +SKIP
    """
    import h5py

    chunks = (1, *(min(c, n) for c, n in zip(CHUNK[len(axes)], channels.shape[1:])))
    with atomic_path(path) as beside, h5py.File(beside, "w") as file:
        dataset = file.create_dataset(DATASET, data=channels, chunks=chunks, compression="gzip")
        for dimension, letter in zip(dataset.dims, "c" + axes):
            dimension.label = letter
        dataset.attrs["channels"] = names
        dataset.attrs[f"element_size_{voxel.unit}"] = voxel.size
        dataset.attrs[MADE_BY] = words
    return path


def made_by(path: Path) -> str | None:
    """The words that a file was written with; None where `write_channels` has not written it."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            words = file[DATASET].attrs[MADE_BY]
    except (OSError, KeyError):  # no HDF5, or that of somebody else
        return None
    return str(words)
