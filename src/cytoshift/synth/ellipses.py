"""A prior and a generator -> a label image of ellipses or ellipsoids, bent and dented if asked for."""

import numpy as np
from numpy.typing import NDArray

from ..core.blocks import grow_region
from ..core.errors import UserError
from ..core.voxel import PIXEL, Voxel
from .prior import Count, Eccentricity, Groups, Lognormal, Prior, Range, SemiMajor, prior_of_patch

FULLEST = 20  # a density this far beyond what fits is a mistake in its unit, not a crowd


def draw_labels(prior: Prior, shape: tuple[int, ...], voxel: Voxel, rng: np.random.Generator) -> NDArray[np.int32]:
    """Synthetic label image with objects of a prior.

    Every object is one face-connected component, and no two overlap. Larger objects are placed first; an object that
    finds no place after `prior.tries` attempts is left out.

    Parameters
    ----------
    prior
        Sizes, shapes and density of the objects.
    shape
        (Y, X) or (Z, Y, X) in voxels.
    voxel
        Voxel size, in the unit of the prior.
    rng
        Random generator. The same state gives the same array.

    Returns
    -------
    array
        Labels 1..n without gaps, 0 is background.

    Raises
    ------
    UserError
        Where prior, shape and voxel size do not fit each other.

    References
    ----------
    Yao et al. 2021 (AD-GAN), section 5.3.2 and eq. 8. Here positions, rotations (uniform on SO(3)) and counts are in
    physical space.

    Examples
    --------
    >>> from cytoshift.synth import Prior
    >>> prior = Prior(diameter=(6, 8), density=(0.002, 0.004))
    >>> labels = draw_labels(prior, (64, 64), Voxel((1.0, 1.0)), np.random.default_rng(0))
    >>> labels.shape, bool(labels.max() > 1)
    ((64, 64), True)
    """
    from .raster import Canvas, Rule, Scene, keep_largest, place_objects
    from .solids import bend_space, fibres, solids

    prior = prior_of_patch(prior, rng)
    check_prior(prior, shape, voxel)
    flat = len(shape) == 2
    size = np.array([1.0, *voxel.size] if flat else voxel.size, dtype=np.float64)
    labels = np.zeros((1, *shape) if flat else shape, np.int32)
    extent = size * labels.shape
    axes, region = draw_sizes(prior, extent, flat, rng)
    paths, ways = fibres(prior.fibres, extent, flat, rng)
    objects = solids(prior, axes, ways, flat, rng)
    spread = prior.fibres.spread if prior.fibres else 0.0
    rule = Rule(region, prior.border == "inside", prior.clustering, prior.min_gap, prior.tries, paths, spread)
    stencil = gap_offsets(prior.min_gap, size, flat)
    space = bend_space(prior.elastic, labels.shape, size, rng)
    canvas = Canvas(labels, np.zeros(labels.shape, np.uint8), space, size, stencil)
    count = place_objects(Scene(canvas, objects, rule), rng)
    if prior.smoothing:
        count = smooth_objects(labels, prior.smoothing / size, stencil)
    keep_largest(labels, count)
    return labels[0] if flat else labels


def check_prior(prior: Prior, shape: tuple[int, ...], voxel: Voxel) -> None:
    """One sentence for each way in which a prior does not fit the image."""
    if len(shape) != voxel.ndim or min(shape) < 1:
        raise UserError(f"masks of shape {shape} do not fit voxels of {voxel}; give one positive size per axis")
    if prior.unit and prior.unit != voxel.unit:
        raise UserError(
            f"the prior counts in {prior.unit}, but the voxels are {voxel}; "
            + ("declare the voxel size" if voxel.unit == PIXEL else "give diameters and densities in um")
        )
    if isinstance(prior.density, Count) and len(prior.density.patch) != voxel.ndim:
        raise UserError(
            f"the prior counts objects per {len(prior.density.patch)}D patch, but the image is {voxel.ndim}D; "
            f"set density.patch to {voxel.ndim} numbers"
        )
    if (largest := 2 * largest_radius(prior)) < min(voxel.size):
        raise UserError(
            f"objects of {largest:.3g} {voxel.unit} at most are smaller than a voxel ({voxel}); check diameter and unit"
        )


def draw_sizes(
    prior: Prior, extent: NDArray[np.float64], flat: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many objects, how large, and where centres may lie: semi-axes (N, 3) longest first, region (2, 3).

    In the plane, the third semi-axis is 1 and means nothing.
    """
    real = np.array([not flat, True, True])
    law = prior.density
    assert not isinstance(law, Groups), "draw_labels has chosen one of the groups"
    wish = expected_number(law, extent[real], rng)
    ndim = int(real.sum())
    if wish * middle_diameter(prior) ** ndim / 2 > FULLEST * float(np.prod(extent[real])):
        raise UserError(
            f"the density asks for {wish:.3g} objects of about {middle_diameter(prior):.3g}, more than {FULLEST} times "
            "what the image has room for; check density and unit"
        )
    region = np.stack([np.zeros(3), extent])
    if prior.border == "window":  # of this many, some lie outside of the patch and reach in
        margin = largest_radius(prior) * real
        region = np.stack([-margin, extent + margin])
        wish *= float(np.prod((region[1] - region[0])[real]) / np.prod(extent[real]))
    number = int(wish + rng.random())  # rounded up or down by chance: right on average
    axes = semi_axes(prior, number, ndim, rng)
    return axes[np.argsort(-axes.prod(axis=1))], region


def expected_number(law: Count | Range, extent: NDArray[np.float64], rng: np.random.Generator) -> float:
    """How many objects an area or a volume should have."""
    if isinstance(law, Count):
        share = float(np.prod(extent) / np.prod(law.patch))
        return share * float(rng.integers(law.objects[0], law.objects[1] + 1))
    return float(np.prod(extent)) * rng.uniform(*law)


def largest_radius(prior: Prior) -> float:
    """About how far an object reaches from its centre: as a typical large one, not as the rarest."""
    law = prior.diameter
    if isinstance(law, SemiMajor):
        return law.semi_major[1]
    radius = (law.median * min(1 + 2 * law.sigma, law.clip[1]) if isinstance(law, Lognormal) else law[1]) / 2
    stretch = 1.0 if isinstance(prior.elongation, Eccentricity) else prior.elongation[1] ** 0.5
    return radius * stretch


def middle_diameter(prior: Prior) -> float:
    law = prior.diameter
    if isinstance(law, Lognormal):
        return law.median
    return sum(law.semi_major) if isinstance(law, SemiMajor) else sum(law) / 2


def semi_axes(prior: Prior, number: int, ndim: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(number, 3) semi-axes, the longest first; each shorter one draws its own ratio."""
    law = prior.elongation
    if isinstance(law, Eccentricity):
        ratios = np.sqrt(1 - rng.uniform(*law.eccentricity, (number, ndim - 1)) ** 2)
    else:
        ratios = 1 / rng.uniform(*law, (number, ndim - 1))
    relative = np.concatenate([np.ones((number, 1)), -np.sort(-ratios, axis=1)], axis=1)
    mean = relative.prod(axis=1) ** (1 / ndim)  # radius of the disc or ball of the same size
    size = prior.diameter
    if isinstance(size, SemiMajor):
        longest = rng.uniform(*size.semi_major, number)
    elif isinstance(size, Lognormal):
        factor = np.exp(size.sigma * rng.standard_normal(number)).clip(*size.clip)
        longest = size.median / 2 * factor / mean
    else:
        longest = rng.uniform(*size, number) / 2 / mean
    axes = np.ones((number, 3))
    axes[:, :ndim] = relative * longest[:, None]
    return axes


def gap_offsets(gap: float, size: NDArray[np.float64], flat: bool) -> NDArray[np.int64]:
    """(M, 3) steps from a voxel to those that a gap keeps free; none for a gap of 0."""
    if gap == 0:
        return np.zeros((0, 3), np.int64)
    reach = np.floor(gap / size).astype(int) * [not flat, True, True]
    grid = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    near = ((grid * size) ** 2).sum(axis=1) <= gap**2
    return grid[near].astype(np.int64)


def smooth_objects(labels: NDArray[np.int32], sigma: NDArray[np.float64], stencil: NDArray[np.int64]) -> int:
    """Round every object off, in place: blurred and cut at one half. Returns the number that is left.

    Blurred disjoint objects sum to at most one, so at most one of them exceeds one half anywhere. The border of
    the image is taken for a cut, not for an end. sigma: in voxels.
    """
    from scipy.ndimage import find_objects, gaussian_filter

    from .raster import reshape_object

    sigma = np.where(np.array(labels.shape) > 1, sigma, 0)
    margin = np.ceil(3 * sigma).astype(int) + 1
    before = labels.copy()
    boxes = find_objects(before)
    for own, box in enumerate(boxes, start=1):
        wide = grow_region(box, margin.tolist(), labels.shape)
        rounded = gaussian_filter((before[wide] == own).astype(np.float32), sigma, mode="nearest", truncate=3) > 0.5
        reshape_object(labels, stencil, np.array([s.start for s in wide]), rounded, own)
    left = np.unique(labels)
    left = left[left > 0]
    number = np.zeros(len(boxes) + 1, np.int32)
    number[left] = np.arange(1, len(left) + 1)
    labels[...] = number[labels]
    return len(left)
