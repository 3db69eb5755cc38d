"""A label image of nuclei as expansion microscopy would show it: bright points in soft nuclei on a dim ground."""

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.settings import Settings
from ..core.voxel import Voxel
from .optics import (
    Camera,
    Debris,
    Float,
    NotNegative,
    Optics,
    Stain,
    background_light,
    draw_debris,
    grain,
    record_photons,
    stain_nuclei,
)
from .prior import Positive, Share


class Expansion(Settings):
    """Stained, swollen tissue under a confocal microscope. Lengths in tissue before it swelled, in the voxel's unit.

    puncta: bright points per unit volume inside of nuclei; point: their standard deviation; glow: how much light
    they have in all, as a share of a nucleus's. cytoplasm: light of what surrounds the nuclei, in multiples of a
    mean nucleus, uneven at the scale `texture`; stray: points per unit volume outside of nuclei, as bright as those
    inside. damp: standard deviation of the logarithm of the light from one optical section to the next.
    optics: the rest, as for phantoms.
    """

    puncta: NotNegative = 2.0
    point: Positive = 0.12
    glow: Share = 0.35
    cytoplasm: NotNegative = 0.22
    texture: Positive = 0.9
    stray: NotNegative = 0.12
    damp: NotNegative = 0.03
    optics: Optics = Optics(
        psf=(0.15, 0.45),
        haze=0.6,
        haze_reach=1.6,
        attenuation=40.0,
        background=0.2,
        gradient=0.5,
        mottle=0.2,
        stain=Stain(variation=0.3, chromatin=0.35, grain=0.5, nucleoli=(0, 2), nucleolus=(0.15, 0.3), dome=0.0),
        debris=Debris(specks=0.002, size=(0.3, 0.8), brightness=(0.6, 1.6)),
        camera=Camera(photons=16.0, read=1.5, full=90.0, offset=0.03, bits=12),
    )

    def image(
        self, labels: NDArray[np.integer], voxel: Voxel, rng: np.random.Generator
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Image of the labelled nuclei, of the shape of `labels`: (Y, X) or (Z, Y, X).

        The same labels, settings and state of `rng` give the same image.
        Raises UserError where labels and voxel do not fit.
        """
        from scipy.ndimage import gaussian_filter

        if labels.ndim != voxel.ndim:
            raise UserError(f"labels of shape {labels.shape} do not fit voxels of {voxel}; give one size per axis")
        optics, size = self.optics, np.array(voxel.size, dtype=np.float64)
        light = self.stained_light(labels, size, rng)
        light += draw_debris(labels.shape, size, optics.debris, rng)
        if labels.ndim == 3:
            depth = (np.arange(len(labels)) + 0.5) * size[0] / (optics.attenuation or np.inf)
            lamp = np.exp(self.damp * rng.standard_normal(len(labels)) - depth)
            light *= lamp.astype(np.float32)[:, None, None]
        lateral, axial = optics.psf
        sigma = np.array([axial, lateral, lateral][-labels.ndim :]) / size
        sharp = gaussian_filter(light, sigma, mode="nearest", truncate=3)
        sharp += np.float32(optics.haze) * gaussian_filter(light, optics.haze_reach / size, mode="nearest", truncate=2)
        sharp += background_light(labels.shape, optics, rng)
        return record_photons(sharp, optics.camera, rng)

    def stained_light(self, labels: NDArray[np.integer], size: NDArray[np.float64], rng: np.random.Generator) -> Float:
        """Everything that is stained, before any optics; a mean nucleus at about 1."""
        nucleus = labels > 0
        nuclei = stain_nuclei(labels, size, self.optics.stain, rng)
        ground = np.float32(self.cytoplasm) * np.exp(0.5 * grain(labels.shape, self.texture / size, rng))
        points = self.points(nucleus, size, rng)
        # A point in a nucleus is as bright as its nucleus; elsewhere as in a mean one.
        return np.where(nucleus, nuclei * (1 - np.float32(self.glow) + points), ground + points)

    def points(self, nucleus: NDArray[np.bool_], size: NDArray[np.float64], rng: np.random.Generator) -> Float:
        """Soft points of uneven brightness, with a mean of `glow` inside of nuclei."""
        from scipy.ndimage import gaussian_filter

        volume = float(size.prod())
        chance = np.where(nucleus, self.puncta, self.stray).astype(np.float32) * np.float32(volume)
        number = rng.poisson(chance).astype(np.float32)
        number *= np.exp(0.5 * rng.standard_normal(number.shape, dtype=np.float32) - 0.125)
        mean = max(self.puncta * volume, 1e-6)
        soft = gaussian_filter(number, self.point / size, mode="nearest", truncate=3)
        return np.float32(self.glow / mean) * soft
