"""Squassh: deconvolution and segmentation in one, objects of constant intensity behind a Gaussian PSF, in 2D and 3D.

Paul, Cardinale and Sbalzarini 2013 (the energy and its split Bregman method), Rizk et al. 2014 (the pipeline):
background, a convex energy over the whole image, connected regions, then each region with intensities of its own.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..core.settings import Settings
from ..core.voxel import Voxel
from ..labels.ids import relabel
from .split_bregman import Array, two_regions

AXIAL_SIGMAS = 3.0  # times the lateral sigma: a confocal microscope's PSF
REGION_MARGIN = 2  # voxels around a region, beside the reach of the PSF, in which its outline may move
DIM_BACKGROUND = 0.0003  # intensity of the background at first, as Squassh has it: a Poisson model needs some
LOCAL_ROUNDS = 3  # of intensities, then outline, of each region


class Squassh(Settings):
    """Settings of Squassh. Lengths in pixels, the finest side of a voxel.

    psf: sigma of the lateral PSF; 0: none. psf_axial: along z; None: three times `psf`.
    regularisation: weight of the length of outlines, for an image of 0 to 1.
    least_intensity: of an object, as a share of the brightest.
    background: side of the window in which the background is the floor, several times the diameter of an object; None:
        the darkest voxel is the background.
    noise: what intensities spread by.
    local: each region is segmented once more with intensities of its own.
    smallest: voxels of the smallest object. iterations: of the solver, at most; tolerance: change at which it stops.
    """

    psf: float = Field(1.0, ge=0)
    psf_axial: float | None = Field(None, ge=0)
    regularisation: float = Field(0.05, gt=0)
    least_intensity: float = Field(0.15, gt=0, lt=1)
    background: float | None = Field(None, gt=1)
    noise: Literal["poisson", "gauss"] = "poisson"
    local: bool = True
    smallest: int = Field(5, ge=1)
    iterations: int = Field(151, ge=1)
    tolerance: float = Field(1e-3, gt=0)


def segment_by_regions(
    image: NDArray[np.generic], voxel: Voxel, options: Squassh | None = None, dark: bool = False
) -> NDArray[np.int32]:
    """Find objects as Squassh does: regions of constant intensity, as the PSF blurs them.

    Objects whose regions touch are one: Squassh was made for vesicles and organelles that lie apart.

    Parameters
    ----------
    image : (*S) of any real dtype, 2D or 3D. NaN is no data.
    voxel : size of a voxel. Lengths are in multiples of its finest side.
    options : settings; None: Squassh's defaults.
    dark : objects are darker than what is around them.

    Returns
    -------
    (*S) int32, labels 1..N.

    Examples
    --------
    >>> y, x = np.indices((32, 48))
    >>> image = 10 + 90.0 * ((np.hypot(y - 16, x - 12) < 6) | (np.hypot(y - 16, x - 34) < 6))
    >>> int(segment_by_regions(image, Voxel((1.0, 1.0)), Squassh(psf=0)).max())
    2
    """
    options = options or Squassh()
    scale = np.array(voxel.size) / min(voxel.size)
    raw = np.asarray(image)
    known = np.isfinite(raw) if raw.dtype.kind == "f" else np.ones(raw.shape, bool)
    if not known.any():
        return np.zeros(raw.shape, np.int32)
    values = np.where(known, raw, 0).astype(np.float32)
    values[~known] = values[known].max() if dark else values[known].min()
    if dark:
        values = values.max() - values
    if options.background is not None:
        values -= rolling_background(values, options.background / scale)
    values -= values.min()
    if not values.any():
        return np.zeros(raw.shape, np.int32)
    values /= values.max()
    psf = psf_sigmas(options, raw.ndim) / scale
    soft = two_regions(values, known, psf, scale, (DIM_BACKGROUND, 1.0), options)
    regions = connected_regions((soft >= options.least_intensity) & known, options.smallest)
    if options.local and regions.any():
        regions = refine_regions(values, known, regions, psf, scale, options)
    return relabel(regions)


def psf_sigmas(options: Squassh, ndim: int) -> NDArray[np.float64]:
    """Sigmas of the PSF along each axis, in multiples of the finest side of a voxel."""
    axial = AXIAL_SIGMAS * options.psf if options.psf_axial is None else options.psf_axial
    return np.array([axial, options.psf, options.psf][-ndim:])


def rolling_background(image: Array, window: NDArray[np.floating]) -> Array:
    """The floor of an image (*S): the lowest within a window, then the highest of these, smoothed.

    A grey opening by a box, which leaves out whatever is narrower than the window, as a rolling ball does.
    """
    from scipy import ndimage

    size = [max(int(side), 1) for side in window[-2:]]
    size = [1] * (image.ndim - 2) + size  # plane by plane, as in ImageJ
    floor = ndimage.grey_opening(image, size=size, mode="nearest")
    smooth = ndimage.uniform_filter(floor, size=size, mode="nearest")
    return np.minimum(np.asarray(smooth, np.float32), image)


def connected_regions(mask: NDArray[np.bool_], smallest: int) -> NDArray[np.int32]:
    """Parts that touch by a face, an edge or a corner, without those below `smallest` voxels."""
    from scipy import ndimage

    found, _ = ndimage.label(mask, np.ones((3,) * mask.ndim, bool))
    labels = np.asarray(found, np.int32)
    stays = np.bincount(labels.ravel()) >= smallest
    stays[0] = False
    return np.where(stays[labels], labels, 0).astype(np.int32)


def refine_regions(
    image: Array,
    known: NDArray[np.bool_],
    regions: NDArray[np.int32],
    psf: NDArray[np.float64],
    scale: NDArray[np.floating],
    options: Squassh,
) -> NDArray[np.int32]:
    """Each region again, in the voxels that are nearer to it than to others, with its own intensities.

    A region may fall apart, since its own background is brighter than that of the image.
    """
    from scipy import ndimage

    reach = [int(np.ceil(3 * sigma)) + REGION_MARGIN for sigma in psf]
    boxes = ndimage.find_objects(regions)
    places = ndimage.distance_transform_edt(regions == 0, sampling=scale, return_distances=False, return_indices=True)
    cells = regions[tuple(places)]
    out = np.zeros(regions.shape, np.int32)
    for number, box in enumerate(boxes, 1):
        if box is None:
            continue
        wide = tuple(slice(max(s.start - far, 0), s.stop + far) for s, far in zip(box, reach))
        mine = (cells[wide] == number) & known[wide]
        mask = refine_region(image[wide], mine, regions[wide] == number, psf, scale, options)
        parts = connected_regions(mask & mine, options.smallest)
        np.copyto(out[wide], parts + out.max(), where=parts > 0)
    return out


def refine_region(
    image: Array, mine: NDArray[np.bool_], mask: NDArray[np.bool_], psf: NDArray[np.float64],
    scale: NDArray[np.floating], options: Squassh,
) -> NDArray[np.bool_]:  # fmt: skip
    """Intensities of region and surroundings, then the outline that these ask for, in turns; all arrays (*S)."""
    for _ in range(LOCAL_ROUNDS):
        low, high = two_intensities(image, mine, mask, psf)
        if high <= low or high < options.least_intensity:
            return np.zeros(mask.shape, bool)
        # Dim objects have the same say against the length of their outline as bright ones
        levels = max(low / high, DIM_BACKGROUND), 1.0
        soft = two_regions(image / np.float32(high), mine, psf, scale, levels, options)
        before, mask = mask, (soft >= 0.5) & mine
        if not mask.any() or np.array_equal(mask, before):
            break
    return mask


def two_intensities(
    image: Array, mine: NDArray[np.bool_], mask: NDArray[np.bool_], psf: NDArray[np.float64]
) -> tuple[float, float]:
    """Intensities outside and inside of a mask whose blurred image fits best, by least squares."""
    from scipy import ndimage

    seen = ndimage.gaussian_filter(mask.astype(np.float64), psf)[mine]
    design = np.stack([1 - seen, seen], axis=1)
    (low, high), *_ = np.linalg.lstsq(design, image[mine].astype(np.float64), rcond=None)
    return max(float(low), 0.0), float(high)
