"""Synthetic masks by name: AD-GAN's, setting by setting (table 9 of the paper), and those of nuclei with Golgi."""

from .cells import CellBody, Gap, Layers, PairPrior
from .prior import Count, Eccentricity, Elastic, Prior, SemiMajor

# The patches that the counts hold for: 256 x 256 in the code, 64 x 128 x 128 in section 4.2 of the paper.
PATCH_2D = (256.0, 256.0)
PATCH_3D = (64.0, 128.0, 128.0)  # voxels, as above


def table9(a: tuple[float, float], n: tuple[int, int], patch: tuple[float, ...]) -> Prior:
    """One row. `a` is the longest semi-axis (a radius) in pixels of the image after the row's resize ratio."""
    return Prior(
        diameter=SemiMajor(semi_major=a),
        elongation=Eccentricity(eccentricity=(0.25, 0.75)),  # for all experiments (5.3.2)
        density=Count(objects=n, patch=patch),
        border="clip",
        min_gap=0,  # "without overlapping"; touching is accepted
        tries=100,
        unit="px",
    )


PRIORS: dict[str, Prior] = {
    "fluo-n2dl-hela": table9((13, 18), (5, 40), PATCH_2D),
    "fluo-n2dl-hela-ins": table9((13, 18), (10, 40), PATCH_2D),
    "hacat": table9((20, 30), (5, 15), PATCH_2D),
    "fluo-n2dh-sim": table9((23, 35), (5, 13), PATCH_2D),
    "fluo-n2dh-gowt1": table9((15, 23), (4, 12), PATCH_2D),
    "bbbc024": table9((30, 35), (13, 15), PATCH_3D),
    "scaffold-a549": table9((10, 15), (50, 100), PATCH_3D),
    "fluo-n3dh-ce": table9((10, 18), (2, 60), PATCH_3D),
    "fluo-n3dh-cho": table9((15, 30), (6, 16), PATCH_3D),
    "fluo-n3dh-sim": table9((10, 15), (2, 24), PATCH_3D),
}

# By how much the paper shrinks the isotropic images before `a` and `n` hold.
RESIZE: dict[str, float] = {name: 1.0 for name in PRIORS} | {
    "scaffold-a549": 0.5,
    "fluo-n3dh-ce": 0.5,
    "fluo-n3dh-sim": 0.5,
}

# SS-Seg-CycleGAN, section II.B: Golgi are balls of radius 5..9, nuclei ellipsoids of 17..30 by 8..13 by 8..13, their
# centres at most 6 apart, 45..70 pairs to an image, in voxels. What is different here:
# - Pairs lie at any z and point in any direction. The paper's code puts all of them within three voxels of the middle
#   plane and turns them in it only (tilt=(0, 0)).
# - 45..70 is the number in the smallest of the paper's three images, 55 x 1010 x 1143; others get their share. The
#   paper draws as many in a volume of any size. Settings for patches of 64 x 64 x 64 need a density of their own.
# - The paper moves the nucleus along the diagonal of its box; here the Golgi is that far off in any direction.
# - The elastic deformation of 0.75 is a share of the pair's box in the library that the code calls, not a length: here
#   the bending of space as strong as it can be without folds, on the same scale.
# - Cells are given up after some tries; the paper's loop goes on.
PAPER_CELLS = PairPrior(
    nucleus=CellBody(semi_axes=((17, 30), (8, 13), (8, 13))),
    golgi=CellBody(semi_axes=((5, 9),)),
    distance=(0, 6),
    density=Count(objects=(45, 70), patch=(55, 1010, 1143)),
    elastic=Elastic(amplitude=5, wavelength=35),
    border="clip",
    unit="px",
)

# Sizes and forms as of 252 nuclei and 281 Golgi cut out of mouse retina (benchmarks/measure_shapes.md): about 12^3 and
# 8^3 voxels. How far they are from each other those do not say; here next to each other, a Golgi at any side.
RETINA = PairPrior(
    nucleus=CellBody(semi_axes=((4.7, 11.3), (4.1, 6.5), (3.7, 4.1)), spread=0.16, irregularity=0.12),
    golgi=CellBody(semi_axes=((2.9, 5.2), (2.8, 3.6), (2.0, 2.8)), spread=0.06, irregularity=0.22),
    distance=Gap(gap=(-1.0, 2.0)),
    tilt=(0, 52),
    density=(6e-5, 1e-4),
    solo_nuclei=0.04,
    solo_golgi=0.04,
    overlap=0.5,
    layers=Layers(spacing=96, thickness=44, between=0.15),
    elastic=Elastic(amplitude=1.5, wavelength=14),
    unit="px",
)

PAIR_PRIORS: dict[str, PairPrior] = {"retina": RETINA, "ss-seg-cyclegan": PAPER_CELLS}
