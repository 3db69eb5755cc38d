"""AD-GAN's synthetic masks, setting by setting: table 9 of the paper."""

from .prior import Count, Eccentricity, Prior, SemiMajor

# The patches that the counts hold for: 256 x 256 in the code, 64 x 128 x 128 in section 4.2 of the paper.
PATCH_2D = (256.0, 256.0)
PATCH_3D = (64.0, 128.0, 128.0)


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
