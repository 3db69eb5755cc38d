"""A prior and a generator -> label images of nuclei and their Golgi, which know each other."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.voxel import PIXEL, Voxel
from .cells import GOLGI, NUCLEI, CellBody, Cells, Gap, Layers, PairPrior, Shapes
from .ellipses import FULLEST, expected_number, gap_offsets
from .prior import Count

if TYPE_CHECKING:
    from .library import Library
    from .solids import PosedSolids

Array = NDArray[np.float64]
HEIGHT_QUANTILES = 512  # quantiles of the cells' height in layers


class Crowd(NamedTuple):
    """Which cells there are, and where the centres of nuclei (or of Golgi alone) may lie."""

    has: NDArray[np.bool_]  # (N, 2) a Golgi, a nucleus
    region: Array  # (2, 3) low and high corner


def draw_pairs(prior: PairPrior, shape: tuple[int, ...], voxel: Voxel, rng: np.random.Generator) -> NDArray[np.int32]:
    """Synthetic nuclei and Golgi, each a label image of its own.

    Cells have the numbers 1..n. A nucleus and its Golgi have the same number. A cell without one of them leaves its
    number out of that class. Within a class, every object is one face-connected component, and no two overlap. Cells
    with larger nuclei are placed first.

    Parameters
    ----------
    prior
        Sizes, shapes, distances and density of nuclei and Golgi.
    shape
        (Y, X) or (Z, Y, X) in voxels.
    voxel
        Voxel size, in the unit of the prior.
    rng
        Random generator. The same state gives the same array.

    Returns
    -------
    array
        (2, Z, Y, X): Golgi first, as in `CLASSES`. 0 is background.

    Raises
    ------
    UserError
        Where prior, shape and voxel size do not fit each other.

    References
    ----------
    Rosa, Narotamo and Silveira (SS-Seg-CycleGAN), section II.B. Here places, directions and counts are in physical
    space.

    Examples
    --------
    >>> from cytoshift.synth import PAIR_PRIORS
    >>> voxel = Voxel((1.0, 1.0, 1.0))
    >>> labels = draw_pairs(PAIR_PRIORS["retina"], (16, 48, 48), voxel, np.random.default_rng(0))
    >>> labels.shape
    (2, 16, 48, 48)
    """
    check_prior(prior, shape, voxel, 2 * prior.nucleus.middle)
    crowd = draw_crowd(prior, reach(prior, prior.nucleus.longest, prior.golgi.longest), shape, voxel, rng)
    number, bent = len(crowd.has), prior.elastic.amplitude if prior.elastic else 0.0
    axes = radii(prior.nucleus, number, rng)
    axes = axes[np.argsort(-axes.prod(axis=1))]
    nuclei = ellipsoids(prior.nucleus, axes, tilted_directions(prior.tilt, number, rng), bent, rng)
    anyhow = rng.standard_normal((number, 3))
    golgi = ellipsoids(prior.golgi, radii(prior.golgi, number, rng), anyhow, bent, rng)
    return lay_cells(prior, crowd, golgi, nuclei, shape, voxel, rng)


def draw_shapes(
    prior: Shapes, library: "Library", shape: tuple[int, ...], voxel: Voxel, rng: np.random.Generator
) -> NDArray[np.int32]:
    """`draw_pairs` with nuclei and Golgi from a library of real shapes. Pairs are combined at random.

    Parameters
    ----------
    prior
        Where the library is, and how dense the cells lie.
    library
        The shapes, as `data.shape_library` reads them.
    shape
        (Y, X) or (Z, Y, X) in voxels.
    voxel
        Voxel size, in the unit of the prior.
    rng
        Random generator. The same state gives the same array.

    Returns
    -------
    array
        (2, Z, Y, X), as of `draw_pairs`.

    Raises
    ------
    UserError
        Where prior, shape and voxel size do not fit each other.

    Examples
    --------
    >>> draw_shapes(prior, library, (16, 48, 48), voxel, rng)  # doctest: +SKIP
    """
    check_prior(prior, shape, voxel, 2 * library.nuclei.middle)
    crowd = draw_crowd(prior, reach(prior, library.nuclei.longest, library.golgi.longest), shape, voxel, rng)
    number, bent = len(crowd.has), prior.elastic.amplitude if prior.elastic else 0.0
    nuclei = library.nuclei.draw(tilted_directions(prior.tilt, number, rng), bent, rng)
    golgi = library.golgi.draw(rng.standard_normal((number, 3)), bent, rng)
    return lay_cells(prior, crowd, golgi, nuclei, shape, voxel, rng)


def count_pairs(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Numbers of the cells that have both a Golgi and a nucleus.

    Parameters
    ----------
    labels
        (2, *S), as `draw_pairs` numbers them.

    Returns
    -------
    array
        Ascending numbers.

    Examples
    --------
    >>> count_pairs(np.array([[1, 1, 0, 3, 4], [0, 1, 2, 3, 0]])).tolist()
    [1, 3]
    """
    numbers = np.intersect1d(labels[GOLGI], labels[NUCLEI])
    return numbers[numbers > 0].astype(np.int64)


def check_prior(prior: Cells, shape: tuple[int, ...], voxel: Voxel, diameter: float) -> None:
    """One sentence for each way in which a prior does not fit the volume."""
    if len(shape) != 3 or voxel.ndim != 3 or min(shape) < 1:
        raise UserError(
            f"nuclei and Golgi are drawn in 3D only, not in the shape {shape} with voxels of {voxel}; give z, y and x"
        )
    if prior.unit and prior.unit != voxel.unit:
        raise UserError(
            f"the prior counts in {prior.unit}, but the voxels are {voxel}; "
            + ("declare the voxel size" if voxel.unit == PIXEL else "give sizes and densities in um")
        )
    if isinstance(prior.density, Count) and len(prior.density.patch) != 3:
        raise UserError(
            f"the prior counts cells per {len(prior.density.patch)}D patch, but the volume is 3D; "
            "set density.patch to 3 numbers"
        )
    if diameter < min(voxel.size):
        raise UserError(
            f"nuclei of about {diameter:.3g} {voxel.unit} are smaller than a voxel ({voxel}); check sizes and unit"
        )
    per_volume = (
        prior.density.objects[1] / np.prod(prior.density.patch)
        if isinstance(prior.density, Count)
        else prior.density[1]
    )
    if per_volume * diameter**3 / 2 > FULLEST:
        raise UserError(
            f"the density asks for {per_volume:.3g} nuclei of about {diameter:.3g} per {voxel.unit}^3, more than "
            f"{FULLEST} times what there is room for; check density and unit"
        )


def draw_crowd(prior: Cells, margin: float, shape: tuple[int, ...], voxel: Voxel, rng: np.random.Generator) -> Crowd:
    """How many cells, of which kind, and where. margin: how far outside a cell may lie and still be seen."""
    extent = np.array(voxel.size) * shape
    wish = expected_number(prior.density, extent, rng)
    region = np.stack([np.zeros(3), extent])
    if prior.border == "window":  # of this many, some lie outside of the volume and reach in
        region = np.stack([-np.full(3, margin), extent + margin])
        wish *= float((region[1] - region[0]).prod() / extent.prod())
    number = int(wish + rng.random())  # rounded up or down by chance: right on average
    lot = rng.random(number)
    has = np.ones((number, 2), bool)
    has[lot < prior.solo_nuclei, GOLGI] = False
    has[lot >= 1 - prior.solo_golgi, NUCLEI] = False
    return Crowd(has, region)


def reach(prior: Cells, nucleus: float, golgi: float) -> float:
    """How far a cell may extend from the centre of its nucleus. nucleus, golgi: their largest radii."""
    away = prior.distance.gap[1] + nucleus + golgi if isinstance(prior.distance, Gap) else prior.distance[1]
    return max(nucleus, away + golgi)


def radii(body: CellBody, number: int, rng: np.random.Generator) -> Array:
    """(number, 3) semi-axes, the longest first."""
    low, high = np.array(body.semi_axes).T
    axes = np.broadcast_to(rng.uniform(low, high, (number, len(low))), (number, 3))
    common = np.exp(body.spread * np.clip(rng.standard_normal((number, 1)), -2, 2))
    return -np.sort(-axes * common)


def tilted_directions(tilt: tuple[float, float], number: int, rng: np.random.Generator) -> Array:
    """(number, 3) directions of length 1, out of the plane by an angle in the range (degrees), up or down."""
    low, high = np.sin(np.deg2rad(tilt))
    z = rng.uniform(low, high, number) * rng.choice([-1.0, 1.0], number)
    turn = rng.uniform(0, 2 * np.pi, number)
    flat = np.sqrt(1 - z**2)
    return np.stack([z, flat * np.sin(turn), flat * np.cos(turn)], axis=1)


def ellipsoids(body: CellBody, axes: Array, first: Array, bent: float, rng: np.random.Generator) -> "PosedSolids":
    """Dented ellipsoids with their long axes along `first` (N, 3), turned about them at random."""
    from .solids import PosedSolids, dents, frames, to_placeable

    frame = frames(first, False, rng)
    matrix = frame * axes[:, None, :]
    objects = to_placeable(matrix, *dents(body.irregularity, len(axes), False, rng), bent)
    return PosedSolids(objects, frame, objects.inverse)


def heights(layers: Layers | None, low: float, high: float, rng: np.random.Generator) -> Array:
    """Quantiles of the cells' y, evenly from 0 to 1."""
    if layers is None:
        return np.array([low, high])
    y = np.linspace(low, high, HEIGHT_QUANTILES)
    apart = (y / layers.spacing + rng.random() + 0.5) % 1 - 0.5  # from the nearest layer, in spacings
    profile = np.exp(-0.5 * (apart * layers.spacing / (layers.thickness / 2)) ** 2)
    density = layers.between + (1 - layers.between) * profile
    total = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp(np.linspace(0, total[-1], HEIGHT_QUANTILES), total, y)


def lay_cells(
    prior: Cells, crowd: Crowd, golgi: "PosedSolids", nuclei: "PosedSolids", shape: tuple[int, ...], voxel: Voxel,
    rng: np.random.Generator,
) -> NDArray[np.int32]:  # fmt: skip
    """Places for all cells, and their voxels."""
    from .packing import Bond, pack
    from .raster import Canvas, Rule, Scene, keep_largest
    from .solids import bend_space

    size = np.array(voxel.size, dtype=np.float64)
    labels = np.zeros((2, *shape), np.int32)
    space = bend_space(prior.elastic, shape, size, rng)
    stencil = gap_offsets(prior.min_gap, size, False)
    rule = Rule(crowd.region, prior.border == "inside", 0.0, prior.min_gap, prior.tries, np.zeros((0, 1, 3)), 0.0)
    both = [
        Scene(Canvas(labels[k], np.zeros(shape, np.uint8), space, size, stencil), posed.objects, rule)
        for k, posed in ((GOLGI, golgi), (NUCLEI, nuclei))
    ]
    gap = isinstance(prior.distance, Gap)
    distance = np.array(prior.distance.gap if isinstance(prior.distance, Gap) else prior.distance)
    cosine = np.cos(np.deg2rad(prior.angle[::-1]))
    bond = Bond(
        crowd.has, nuclei.frame, golgi.inverse, nuclei.inverse, distance, gap, cosine, prior.overlap, prior.mingle
    )
    low, high = crowd.region[:, 1]
    count = pack(both[GOLGI], both[NUCLEI], bond, heights(prior.layers, low, high, rng), rng)
    for k in (GOLGI, NUCLEI):
        keep_largest(labels[k], count)
    return labels
