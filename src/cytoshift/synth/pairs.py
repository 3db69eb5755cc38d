"""Two modalities of one kind of tissue with exact truth on both sides: electron and expansion microscopy.

Both sides draw from the same population of nuclei and never show the same sample. Sizes follow the pair of NucMM-Z
and NucExM (CySGAN, section IV): confocal voxels of 0.325 x 0.325 x 2.5 um (x, y, z), averaged four by four in the
plane to 1.3 x 1.3 x 2.5 um in tissue that swelled sevenfold, are 0.186 x 0.186 x 0.357 um of the tissue itself. The
electron micrographs (0.48 um, in the paper resampled to 0.1875 um in the plane) are on the same grid; only the pair
`em-to-expansion-raw` leaves the scales apart. The volumes have 9.6K + 8.8K nuclei in twice 8.1e5 um^3 and 12K in
1.1e6 um^3: one per 90 um^3 or so, in crowds between which neuropil lies. Here they lie closer, about as in the
crowds, and are 3.6 um across: 19 voxels at the widest, 14 or so in a section, 10 sections deep.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.rng import stream
from ..core.voxel import MICROMETRE, Voxel
from ..labels.ids import relabel, sizes
from .ellipses import draw_labels, middle_diameter
from .expansion import Expansion
from .phantoms import refuse_shape
from .prior import Lognormal, Prior
from .ultrastructure import Ultrastructure, draw_walls, nearest_object

Side = Literal["source", "target"]
SIDES: tuple[Side, Side] = ("source", "target")
SWELLING = 7.0  # NucExM's expansion factor
TISSUE = Voxel((2.5 / SWELLING, 1.3 / SWELLING, 1.3 / SWELLING), MICROMETRE)
SLIVER = 0.2  # what shows less of itself, in multiples of the prior's median area or volume, is left out


@dataclass(frozen=True)
class Population:
    """Crowds of nuclei and the neuropil between them. Lengths in um.

    prior: inside of crowds. swell: by how much every nucleus then grows into the room left, up to a membrane's width
    from its neighbours, which flattens them against each other; no solids laid at random come as close.
    neuropil: share of the tissue without nuclei, uniform in a range; reach: of its patches.
    """

    prior: Prior
    swell: float
    neuropil: tuple[float, float]
    reach: float


@dataclass(frozen=True)
class Pair:
    """The same kind of tissue in two modalities. `PAIRS` holds the presets.

    Parameters
    ----------
    shape
        (Z, Y, X), or (Y, X) for single sections out of a slab of `slab` sections.
    source, target
        How each side looks.
    source_voxel, target_voxel
        Voxel sizes in um of the tissue before it swells.
    swelling
        Factor between the declared voxel size of the target and that of the tissue. 1: no expansion.
    """

    summary: str
    shape: tuple[int, ...]
    population: Population
    source: Ultrastructure
    target: Expansion
    source_voxel: Voxel = TISSUE
    target_voxel: Voxel = TISSUE
    swelling: float = 1.0
    slab: int = 9


def pair(
    name: str, side: Side, seed: int, shape: tuple[int, ...] | None = None, index: int = 0
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.int32], Voxel]:
    """A sample of one side of a simulated pair of modalities.

    Both sides show the same kind of tissue, with different samples: each side has random streams of its own.

    Parameters
    ----------
    name
        A preset, such as "em-to-expansion" (`PAIRS`).
    side
        "source" (electron microscopy, uint8) or "target" (expansion microscopy, uint16).
    seed
        The same seed gives the same sample.
    shape
        In voxels. Default: that of the preset.
    index
        Number of the sample. Default: 0.

    Returns
    -------
    image
        (Z, Y, X), or (Y, X).
    labels
        The same shape, int32, 0 is background.
    voxel
        Voxel size.

    Raises
    ------
    UserError
        Where pair or side do not exist or the shape has the wrong number of axes.

    Examples
    --------
    >>> image, labels, voxel = pair("em-to-expansion", "target", seed=0)  # doctest: +SKIP
    """
    kind = look_up(name)
    if side not in SIDES:
        raise UserError(f"a pair has no side '{side}'; it has {' and '.join(SIDES)}")
    refuse_shape(shape, kind.shape, f"pair '{name}'")
    flat = len(kind.shape) == 2
    solid = (kind.slab, *(shape or kind.shape)) if flat else shape or kind.shape
    view = (slice(kind.slab // 2, kind.slab // 2 + 1),) if flat else (...,)
    look, voxel, swelling = (
        (kind.source, kind.source_voxel, 1.0) if side == "source" else (kind.target, kind.target_voxel, kind.swelling)
    )
    labels = draw_tissue(kind.population, solid, voxel, stream(seed, "pair", name, side, index, "labels"))
    labels = without_slivers(labels, view, kind.population.prior, Voxel(voxel.size[flat:], voxel.unit))
    image = look.image(labels, voxel, stream(seed, "pair", name, side, index, "image"))
    declared = Voxel(tuple(swelling * s for s in voxel.size[flat:]), voxel.unit)
    return (image[view][0], relabel(labels[view][0]), declared) if flat else (image, labels, declared)


def look_up(name: str) -> Pair:
    if name not in PAIRS:
        raise UserError(f"there is no pair '{name}'; there are {', '.join(PAIRS)}")
    return PAIRS[name]


def draw_tissue(
    population: Population, shape: tuple[int, ...], voxel: Voxel, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Nuclei in crowds (Z, Y, X): those of the prior, swollen, less the ones that lie mostly in neuropil."""
    from .raster import keep_largest

    labels = draw_labels(population.prior, shape, voxel, rng)
    away, own = nearest_object(labels, np.array(voxel.size))
    labels = np.where((away < population.swell) & ~draw_walls(own), own, 0)
    keep_largest(labels, int(labels.max(initial=0)))
    share = rng.uniform(*population.neuropil)
    field = smooth_landscape(shape, population.reach / np.array(voxel.size), rng)
    neuropil = field > np.quantile(field, 1 - share)
    count = int(labels.max(initial=0)) + 1
    total = np.bincount(labels.ravel(), minlength=count)
    in_neuropil = np.bincount(labels[neuropil], minlength=count)
    stays = in_neuropil * 2 <= total
    stays[0] = False
    return relabel(np.where(stays[labels], labels, 0))


def smooth_landscape(
    shape: tuple[int, ...], reach: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Smooth noise, hills about `reach` (in voxels) across: cubic between random heights on a coarse grid."""
    from scipy.ndimage import map_coordinates

    steps = [int(np.ceil(n / r)) + 4 for n, r in zip(shape, reach)]
    heights = rng.standard_normal(steps).astype(np.float32)
    start = rng.random(len(shape)) + 1
    axes = [(np.arange(n) / r + s).astype(np.float32) for n, r, s in zip(shape, reach, start)]
    return map_coordinates(heights, np.meshgrid(*axes, indexing="ij"), order=3, mode="nearest").astype(np.float32)


def without_slivers(labels: NDArray[np.int32], view: tuple[Any, ...], prior: Prior, pixel: Voxel) -> NDArray[np.int32]:
    """Labels (Z, Y, X) less the nuclei of which the view shows next to nothing: they could not be recognised.

    pixel: (y, x) where the view is one section, (z, y, x) where it is a volume.
    """
    ids, counts = sizes(labels[view])
    whole = middle_diameter(prior) ** pixel.ndim * (np.pi / 4 if pixel.ndim == 2 else np.pi / 6)
    slivers = ids[counts * pixel.volume < SLIVER * whole]
    return relabel(np.where(np.isin(labels, slivers), 0, labels))


ZEBRAFISH = Population(
    prior=Prior(
        diameter=Lognormal(median=3.0, sigma=0.14),
        elongation=(1.0, 1.5),
        irregularity=0.05,
        density=(0.022, 0.028),
        clustering=0.1,
        tries=400,
        unit=MICROMETRE,
    ),
    swell=0.4,
    neuropil=(0.15, 0.3),
    reach=8.0,
)

BRAIN = Pair(
    summary="3D, zebrafish brain: nuclei in electron microscopy (source) and in expansion microscopy (target)",
    shape=(32, 128, 128),
    population=ZEBRAFISH,
    source=Ultrastructure(),
    target=Expansion(),
)

PAIRS: dict[str, Pair] = {
    "em-to-expansion": BRAIN,
    "em-to-expansion-2d": replace(
        BRAIN,
        summary="2D, zebrafish brain: single sections in electron (source) and in expansion microscopy (target)",
        shape=(256, 256),
    ),
    "em-to-expansion-large": replace(
        BRAIN,
        summary="3D, more than a thousand nuclei a volume, for a GPU: electron (source), expansion microscopy (target)",
        shape=(64, 384, 384),
    ),
    "em-to-expansion-raw": replace(
        BRAIN,
        summary="3D, scales not matched: coarse isotropic electron microscopy (source), swollen micrometres (target)",
        source_voxel=Voxel((0.3, 0.3, 0.3), MICROMETRE),
        swelling=SWELLING,
    ),
}
