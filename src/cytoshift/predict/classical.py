"""Classical segmentation: blur, threshold, distance transform, watershed. Nothing is learnt: the floor of tables."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.normalise import Normalisation
from ..core.settings import Settings
from ..core.voxel import Voxel
from ..labels.filters import filter_small
from ..labels.ids import relabel
from ..represent.watershed import peaks

SIGMA = {2: 1.0, 3: 1.5}
LOWEST_HILL = 2.0  # voxels: a shallower hill of the distance map is a dent of the outline, not an object


class Classical(Settings):
    """Numbers of the pipeline. Lengths in multiples of the finest side of a voxel.

    threshold: Otsu's of the image, or Otsu's of what is left when its mean around (Gaussian of `window`) is taken
        off ("local": for uneven background).
    sigma: of the Gaussian before the threshold; None: 1 in 2D, 1.5 in 3D.
    saddle: two hills of the distance map are one object if the way between them falls to no less than this
        share of the lower peak.
    smallest: equivalent diameter of the smallest object kept.
    """

    threshold: Literal["otsu", "local"] = "otsu"
    sigma: float | None = Field(None, ge=0)
    window: float = Field(25.0, gt=0)
    saddle: float = Field(0.9, gt=0, le=1)
    smallest: float = Field(5.0, ge=0)


def segment_classically(
    image: NDArray[np.generic], voxel: Voxel, options: Classical | None = None, dark: bool = False
) -> NDArray[np.int32]:
    """Image (*S) of any real dtype, 2D or 3D -> labels (*S), 1..N. dark: objects are darker than what is around them.

    The defaults are what did well over all of the benchmark's own data sets: a floor that is not made low.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    options = options or Classical()
    finest = min(voxel.size)
    blur = [(SIGMA[image.ndim] if options.sigma is None else options.sigma) * finest / s for s in voxel.size]
    scale = Normalisation(invert=dark).measure([image])
    smooth = ndimage.gaussian_filter(scale(np.asarray(image)), blur)
    if options.threshold == "local":
        smooth -= ndimage.gaussian_filter(smooth, [options.window * finest / s for s in voxel.size])
    if smooth.min() == smooth.max():
        return np.zeros(image.shape, np.int32)
    mask = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))  # type: ignore[no-untyped-call]
    # The same blur rounds the distance map off, so that a rough outline does not cut its object in two.
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask, sampling=voxel.size), blur)
    labels = peaks(distance.astype(np.float32), mask, options.saddle, LOWEST_HILL * finest)
    diameter = options.smallest * finest
    size = np.pi / 4 * diameter**2 if image.ndim == 2 else np.pi / 6 * diameter**3
    return relabel(filter_small(labels, size, voxel))
