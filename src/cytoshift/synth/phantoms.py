"""Images with exact truth, made from nothing: the project's own data."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.rng import stream
from ..core.voxel import Voxel
from .ellipses import draw_labels
from .optics import Camera, Debris, Optics, Stain, render
from .prior import Fibres, Lognormal, Prior

SMALLEST_SIDE = 8  # voxels of a phantom; smaller ones show no object


@dataclass(frozen=True)
class Phantom:
    """A kind of specimen under a kind of microscope. `PHANTOMS` holds the presets.

    Parameters
    ----------
    shape
        (Y, X) or (Z, Y, X) in voxels, unless another is requested.
    voxel
        Voxel size.
    prior, optics
        How labels and image are made, in the unit of `voxel`.
    """

    summary: str
    shape: tuple[int, ...]
    voxel: Voxel
    prior: Prior
    optics: Optics


def phantom(
    name: str, seed: int, shape: tuple[int, ...] | None = None, index: int = 0
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.int32], Voxel]:
    """A phantom: a synthetic microscope image with its exact labels.

    Labels and image come from random streams of their own, so other optics leave the labels as they are.

    Parameters
    ----------
    name
        A preset, such as "sparse-2d" or "dense-2d" (`PHANTOMS`).
    seed
        The same seed gives the same sample.
    shape
        In voxels. Default: that of the preset.
    index
        Number of the sample. Default: 0.

    Returns
    -------
    image
        (Y, X) or (Z, Y, X), uint8 or uint16.
    labels
        The same shape, int32, 0 is background.
    voxel
        Voxel size.

    Raises
    ------
    UserError
        Where the preset does not exist or the shape has the wrong number of axes.

    Examples
    --------
    >>> image, labels, voxel = phantom("sparse-2d", seed=0, shape=(64, 64))
    >>> image.shape, labels.dtype.kind
    ((64, 64), 'i')
    """
    kind = look_up(name)
    refuse_shape(shape, kind.shape, f"preset '{name}'")
    labels = draw_labels(kind.prior, shape or kind.shape, kind.voxel, stream(seed, "phantom", name, index, "labels"))
    image = render(labels, kind.voxel, kind.optics, stream(seed, "phantom", name, index, "image"))
    return image, labels, kind.voxel


def refuse_shape(shape: tuple[int, ...] | None, own: tuple[int, ...], what: str) -> None:
    """Raises UserError for a size with another number of axes, and for one that shows no object."""
    if shape is not None and (len(shape) != len(own) or min(shape) < SMALLEST_SIDE):
        raise UserError(
            f"shape {shape} does not fit the {len(own)}D {what} {own}; give {len(own)} sizes of at least "
            f"{SMALLEST_SIDE}"
        )


def look_up(name: str) -> Phantom:
    if name not in PHANTOMS:
        raise UserError(f"there is no preset '{name}'; there are {', '.join(PHANTOMS)}")
    return PHANTOMS[name]


def hl60(clustering: float, noisy: bool) -> Phantom:
    """In the spirit of BBBC024: about 20 nuclei of HL60 cells, the more of them touch the higher the level."""
    return Phantom(
        summary=f"3D, {round(100 * clustering)} % of nuclei join a cluster, {'few' if noisy else 'many'} photons",
        shape=(48, 128, 128),
        voxel=Voxel((0.8, 0.4, 0.4), "um"),
        prior=Prior(
            diameter=Lognormal(median=8.5, sigma=0.12),
            elongation=(1.0, 1.35),
            irregularity=0.045,
            density=(1.8e-4, 2.6e-4),
            clustering=clustering,
            min_gap=0.0 if clustering else 0.8,
            unit="um",
        ),
        optics=Optics(
            psf=(0.3, 0.9),
            haze=0.25,
            haze_reach=4.0,
            attenuation=90.0,
            background=0.12,
            stain=Stain(variation=0.2, chromatin=0.45, grain=1.2, nucleoli=(1, 3), dome=0.0),
            debris=Debris(specks=1e-4, ghosts=0.0),
            camera=Camera(photons=12.0, read=2.5, full=60.0) if noisy else Camera(photons=150.0, read=3.0, full=500.0),
        ),
    )


PHANTOMS: dict[str, Phantom] = {
    "sparse-2d": Phantom(
        summary="2D, adherent cells with room between them",
        shape=(256, 256),
        voxel=Voxel((0.65, 0.65), "um"),
        prior=Prior(
            diameter=Lognormal(median=15.0, sigma=0.18),
            elongation=(1.0, 1.7),
            irregularity=0.035,
            density=(5e-4, 9e-4),
            clustering=0.15,
            unit="um",
        ),
        optics=Optics(
            psf=(0.5, 1.2),
            background=0.06,
            stain=Stain(variation=0.3, chromatin=0.2, grain=1.5, nucleoli=(1, 4)),
            debris=Debris(specks=1.5e-4, ghosts=6e-5),
            camera=Camera(photons=120.0, read=4.0, full=400.0, bits=8),
        ),
    ),
    "dense-2d": Phantom(
        summary="2D, a crowded culture: nuclei touch, uneven brightness and background",
        shape=(256, 256),
        voxel=Voxel((0.65, 0.65), "um"),
        prior=Prior(
            diameter=Lognormal(median=12.0, sigma=0.22),
            elongation=(1.0, 1.7),
            irregularity=0.045,
            density=(3.2e-3, 4.2e-3),
            clustering=0.5,
            unit="um",
        ),
        optics=Optics(
            psf=(0.65, 1.5),
            haze=0.4,
            background=0.2,
            gradient=0.6,
            stain=Stain(variation=0.3, chromatin=0.22, grain=1.6, dome=0.4),
            debris=Debris(specks=2e-4, ghosts=1.5e-4),
            camera=Camera(photons=80.0, read=4.0, full=320.0, bits=8),
        ),
    ),
    "hacat-2d": Phantom(
        summary="2D, a colony of large round nuclei with a grainy stain, in the spirit of HaCaT cells",
        shape=(320, 320),
        voxel=Voxel((0.4, 0.4), "um"),
        prior=Prior(
            diameter=Lognormal(median=18.0, sigma=0.16),
            elongation=(1.0, 1.35),
            irregularity=0.025,
            density=(1.3e-3, 1.9e-3),
            clustering=0.5,
            unit="um",
        ),
        optics=Optics(
            psf=(0.4, 1.2),
            haze=0.35,
            background=0.12,
            gradient=0.5,
            stain=Stain(variation=0.3, chromatin=0.25, grain=0.9, nucleoli=(0, 3), dome=0.3),
            debris=Debris(specks=1e-4, ghosts=4e-5),
            camera=Camera(photons=120.0, read=4.0, full=400.0, bits=8),
        ),
    ),
    **{
        f"hl60-3d-{level:02d}{'-noisy' if noisy else ''}": hl60(level / 100, noisy)
        for noisy in (False, True)
        for level in (0, 25, 50, 75)
    },
    "dense-3d": replace(
        hl60(0.5, noisy=False),
        summary="3D, packed nuclei of a tissue, about one per ten thousand voxels",
        prior=hl60(0.5, noisy=False).prior.model_copy(update={"density": (9.5e-4, 1.05e-3)}),
    ),
    "scaffold-3d": Phantom(
        summary="3D, elongated nuclei along the fibres of a scaffold, uneven density",
        shape=(48, 128, 128),
        voxel=Voxel((0.83, 0.83, 0.83), "um"),
        prior=Prior(
            diameter=Lognormal(median=11.0, sigma=0.18),
            elongation=(1.3, 2.2),
            irregularity=0.04,
            density=(1.0e-4, 1.6e-4),
            clustering=0.15,
            fibres=Fibres(spacing=45.0, spread=7.0),
            unit="um",
        ),
        optics=Optics(
            psf=(0.6, 1.8),
            haze=0.4,
            haze_reach=8.0,
            attenuation=60.0,
            background=0.15,
            stain=Stain(variation=0.3, chromatin=0.25, grain=1.8, nucleoli=(0, 2), dome=0.0),
            debris=Debris(specks=4e-5, ghosts=0.0),
            camera=Camera(photons=40.0, read=3.0, full=150.0),
        ),
    ),
    "cho-3d": Phantom(
        summary="3D, five thick sections of large nuclei, bright and dim ones, in the spirit of CHO cells",
        shape=(5, 256, 256),
        voxel=Voxel((1.0, 0.2, 0.2), "um"),
        prior=Prior(
            diameter=Lognormal(median=11.0, sigma=0.14),
            elongation=(1.0, 1.5),
            irregularity=0.04,
            density=(2.2e-4, 3.4e-4),
            clustering=0.15,
            border="clip",
            unit="um",
        ),
        optics=Optics(
            psf=(0.18, 0.9),
            haze=0.1,
            attenuation=8.0,
            background=0.04,
            stain=Stain(variation=0.5, chromatin=0.35, grain=0.8, nucleoli=(1, 4), dome=0.0),
            debris=Debris(specks=2e-5, ghosts=0.0),
            camera=Camera(photons=60.0, read=2.5, full=250.0, bits=8),
        ),
    ),
}
