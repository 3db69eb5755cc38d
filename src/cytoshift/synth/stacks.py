"""Stacks of several channels with exact truth: nuclei and their Golgi, each under a stain of its own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.rng import stream
from ..core.voxel import PIXEL, Voxel
from ..labels.ids import relabel, sizes
from .cells import CLASSES, CellBody, Gap, Layers, PairPrior
from .optics import Camera, Debris, Optics, Stain, expose, record_photons
from .organelles import draw_pairs
from .pairs import SLIVER
from .phantoms import refuse_shape
from .presets import RETINA
from .prior import Elastic


@dataclass(frozen=True)
class Stack:
    """A kind of specimen with a stain for each class, under one microscope. `STACKS` holds the presets.

    Parameters
    ----------
    shape
        (Z, Y, X) in voxels, unless another is requested.
    voxel
        Voxel size.
    prior
        How labels are made, in the unit of `voxel`.
    golgi, nuclei
        How the channels look.
    bleed
        Share of the other channel's light in each channel, in the order of `CLASSES`.
    """

    summary: str
    shape: tuple[int, int, int]
    voxel: Voxel
    prior: PairPrior
    golgi: Optics
    nuclei: Optics
    bleed: tuple[float, float] = (0.0, 0.0)


def stack(
    name: str, seed: int, shape: tuple[int, ...] | None = None, index: int = 0
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.int32], Voxel]:
    """A two-channel stack of nuclei and Golgi with its exact labels.

    A nucleus and its Golgi have one number (see `draw_pairs`). Slivers at the border are left out. Labels and each
    channel come from random streams of their own.

    Parameters
    ----------
    name
        A preset, such as "retina" (`STACKS`).
    seed
        The same seed gives the same sample.
    shape
        In voxels. Default: that of the preset.
    index
        Number of the sample. Default: 0.

    Returns
    -------
    image
        (2, Z, Y, X). Channels in the order of `CLASSES`.
    labels
        (2, Z, Y, X), int32, 0 is background.
    voxel
        Voxel size.

    Raises
    ------
    UserError
        Where the preset does not exist or the shape has the wrong number of axes.

    Examples
    --------
    >>> image, labels, voxel = stack("retina", seed=0)  # doctest: +SKIP
    """
    if name not in STACKS:
        raise UserError(f"there is no preset '{name}'; there are {', '.join(STACKS)}")
    kind = STACKS[name]
    refuse_shape(shape, kind.shape, f"preset '{name}'")
    labels = draw_pairs(kind.prior, shape or kind.shape, kind.voxel, stream(seed, "stack", name, index, "labels"))
    labels = without_slivers(labels, kind)
    return (
        colours(labels, kind, [stream(seed, "stack", name, index, channel) for channel in CLASSES]),
        labels,
        kind.voxel,
    )


def without_slivers(labels: NDArray[np.int32], kind: Stack) -> NDArray[np.int32]:
    """Labels less the objects of which the border leaves next to nothing: they could not be recognised."""
    kept = np.empty_like(labels)
    for mask, out, body in zip(labels, kept, (kind.prior.golgi, kind.prior.nucleus)):
        ids, counts = sizes(mask)
        slivers = ids[counts * kind.voxel.volume < SLIVER * 4 / 3 * np.pi * body.middle**3]
        out[...] = np.where(np.isin(mask, slivers), 0, mask)
    return relabel(kept)  # both classes at once: a nucleus and its Golgi keep one number


def colours(
    labels: NDArray[np.int32], kind: Stack, rngs: list[np.random.Generator]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Both channels (2, Z, Y, X) of labels (2, Z, Y, X); of the dtype that the cameras agree on."""
    looks = (kind.golgi, kind.nuclei)
    light = [expose(mask, kind.voxel, optics, rng) for mask, optics, rng in zip(labels, looks, rngs)]
    mixed = [own + np.float32(bleed) * other for own, other, bleed in zip(light, light[::-1], kind.bleed)]
    seen: NDArray = np.stack([record_photons(*one) for one in zip(mixed, [look.camera for look in looks], rngs)])
    return seen


RETINA_STACK = Stack(
    summary="3D, two channels: nuclei in the layers of a retina, most with a Golgi at their side",
    shape=(48, 192, 192),
    voxel=Voxel((1.0, 1.0, 1.0), PIXEL),
    prior=RETINA,
    golgi=Optics(
        psf=(0.7, 1.4),
        haze=0.2,
        haze_reach=5.0,
        attenuation=90.0,
        background=0.1,
        gradient=0.4,
        stain=Stain(variation=0.35, chromatin=0.45, grain=1.2, nucleoli=(0, 0), dome=0.2),
        debris=Debris(specks=8e-5, size=(1.0, 2.0), brightness=(0.3, 1.2)),
        camera=Camera(photons=35.0, read=3.0, full=160.0, bits=8),
    ),
    nuclei=Optics(
        psf=(0.9, 1.9),
        haze=0.35,
        haze_reach=7.0,
        attenuation=70.0,
        background=0.15,
        gradient=0.3,
        stain=Stain(variation=0.3, chromatin=0.3, grain=2.0, nucleoli=(0, 3), dome=0.2),
        debris=Debris(specks=1e-5, size=(1.0, 3.0), ghosts=0.0),
        camera=Camera(photons=60.0, read=3.0, full=260.0, bits=8),
    ),
    bleed=(0.08, 0.04),
)

STACKS: dict[str, Stack] = {
    "retina": RETINA_STACK,
    "retina-paper": Stack(
        summary="3D, two channels, in the sizes of SS-Seg-CycleGAN's masks: nuclei 46 voxels long, Golgi 14 wide",
        shape=(64, 256, 256),
        voxel=Voxel((1.0, 1.0, 1.0), PIXEL),
        prior=PairPrior(
            nucleus=CellBody(semi_axes=((17, 30), (8, 13), (8, 13)), irregularity=0.05),
            golgi=CellBody(semi_axes=((5, 9),), irregularity=0.1),
            distance=Gap(gap=(-3.0, 4.0)),
            tilt=(0, 30),
            density=(8e-6, 1.2e-5),
            solo_nuclei=0.04,
            solo_golgi=0.04,
            overlap=0.5,
            layers=Layers(spacing=160, thickness=90, between=0.2),
            elastic=Elastic(amplitude=5, wavelength=35),
            unit="px",
        ),
        golgi=RETINA_STACK.golgi.model_copy(
            update={"psf": (1.2, 2.4), "haze_reach": 9.0, "debris": Debris(specks=2e-5, size=(1.5, 4.0))}
        ),
        nuclei=RETINA_STACK.nuclei.model_copy(
            update={
                "psf": (1.5, 3.0),
                "haze_reach": 12.0,
                "stain": Stain(variation=0.3, chromatin=0.3, grain=3.5, nucleoli=(0, 4), dome=0.2),
            }
        ),
        bleed=(0.08, 0.04),
    ),
}
