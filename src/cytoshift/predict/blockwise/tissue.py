"""Where a slide shows something: found once on a coarse copy, so that the network looks nowhere else.

What is brighter than the empty slide (or darker, for a model of dark objects) is tissue, with its holes and a margin
around it. The rest has no channels and no objects. Intensities are normalised by those of the whole slide all the same,
so labels on tissue are those of a slide that is segmented everywhere.
"""

from dataclasses import dataclass
from math import ceil, floor, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_path
from ...core.blocks import Slices
from ...core.errors import UserError
from ...core.no_data import known_values
from ...core.normalise import Recipe, recipes
from ...data.volumes import ImageSource, Volume, open_volumes

FILE = "tissue.npy"
LOOKED_AT = 4_000_000  # voxels of the coarse copy at most
TISSUE_MARGIN = 2  # voxels of the coarse copy around tissue, at least


@dataclass(frozen=True, eq=False)
class Tissue:
    """A mask (*S) on a coarse grid over all of a volume."""

    mask: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Of the volume."""
        return float(self.mask.mean())

    def meets(self, region: Slices, shape: tuple[int, ...]) -> bool:
        """Whether there is tissue in a region of a grid of that shape over the same volume."""
        part = tuple(
            slice(min(floor(r.start * m / n), m - 1), min(ceil(r.stop * m / n), m))
            for r, m, n in zip(region, self.mask.shape, shape)
        )
        return bool(self.mask[part].any())

    def save(self, folder: Path) -> None:
        with atomic_path(folder / FILE) as beside, beside.open("wb") as file:
            np.save(file, self.mask)

    @classmethod
    def load(cls, folder: Path) -> "Tissue":
        return cls(np.load(folder / FILE, allow_pickle=False))


def find_tissue(volume: Volume, source: ImageSource | None, normalise: Recipe, objects: tuple[int, ...]) -> Tissue:
    """The tissue of a volume, on the finest level of its pyramid that is small, or else on voxels at equal distances.

    source: how the volume was opened, to open its coarser levels. normalise: of the model, which says whether objects
    are dark. objects: extent of the largest one that is expected. Raises UserError where nothing stands out.
    """
    from scipy import ndimage

    coarse = coarse_copy(volume, source)
    channels = coarse.reshape(-1, *coarse.shape[-len(volume.axes) :])
    margin = [max(ceil(o * m / n), TISSUE_MARGIN) for o, m, n in zip(objects, channels.shape[1:], volume.shape)]
    each = recipes(normalise)
    mask = np.zeros(channels.shape[1:], bool)
    for number, channel in enumerate(channels):
        mask |= stands_out(channel, each[min(number, len(each) - 1)].invert)
    if not mask.any():
        raise UserError(f"{volume.name} shows no tissue, it has one intensity everywhere; leave `tissue` out")
    mask = np.asarray(ndimage.binary_fill_holes(mask))
    return Tissue(ndimage.maximum_filter(mask, [2 * m + 1 for m in margin]))


def coarse_copy(volume: Volume, source: ImageSource | None) -> NDArray[np.generic]:
    """(*S) or (C, *S) of at most LOOKED_AT voxels."""
    array: Any = volume.array
    level = source.level if source is not None else 0
    while source is not None and prod(array.shape[-len(volume.axes) :]) > LOOKED_AT:
        level += 1
        try:
            found = open_volumes(source.model_copy(update={"level": level, "skip_bad": False}))
        except UserError:  # no such level
            break
        same = next((one for one in found if one.name == volume.name), None)
        if same is None:
            break
        array = same.array
    space = array.shape[-len(volume.axes) :]
    step = max(ceil((prod(space) / LOOKED_AT) ** (1 / len(space))), 1)
    return np.asarray(array[(..., *(slice(None, None, step) for _ in space))])


def stands_out(channel: NDArray[np.generic], dark: bool) -> NDArray[np.bool_]:
    """What is brighter than the background (or darker): above the lower one of Otsu's threshold and the triangle's,
    which finds the foot of a peak that is much larger than all else."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu, threshold_triangle

    values = channel.astype(np.float32)
    known = known_values(values.ravel())
    if not known.size or known.min() == known.max():
        return np.zeros(channel.shape, bool)
    values = np.where(np.isnan(values), known.max() if dark else known.min(), values)
    smooth = ndimage.gaussian_filter(-values if dark else values, 1.0)
    level = min(threshold_otsu(smooth), threshold_triangle(smooth))  # type: ignore[no-untyped-call]
    return np.asarray(smooth > level)
