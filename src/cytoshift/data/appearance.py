"""Labelled images with other intensities: what is learnt is the shape of objects, not how one microscope shows them.

Each part has a chance, is drawn anew for every patch, and leaves the labels as they are.

    repaint     synthetic image of the labels by random contrast       SynthSeg (Billot et al. 2023)
    curve       random Bezier curve from old to new intensities        Models Genesis (Zhou et al. 2019)
    convolve    random small kernel, mixed with the image              RandConv (Xu et al. 2021), RC-mix
    levels      intensities of a random patch of the target            Attention Y-Net (2023): with a chance of 0.5
    amplitude   low frequencies' amplitudes of such a patch            FDA (Yang and Soatto 2020), Eq. 3

Images are (*S) float32 as networks see them, about -1 to 1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage
from skimage.exposure import match_histograms

from ..core.settings import Settings
from ..synth.prior import Share

Image = NDArray[np.float32]
SEEN_RANGE = (-1.2, 3.0)  # the range of a normalised image; what random changes leave of it is cut off
KERNEL_SIDES = (1, 3, 5)  # sides of random kernels, voxels


class Appearance(Settings):
    """Chances, 0 to 1, that a labelled patch is shown with other intensities.

    repaint: as a synthetic image of its labels; of one channel and one class. dark: of these, objects are darker than
    what is around them. curve: through a random curve. convolve: through a random small kernel. levels: with the
    intensities of a patch of the target. amplitude: with the amplitudes of such a patch at low frequencies.
    reach: half-width of these frequencies, as a fraction of all; at most so much, drawn for each patch.
    """

    repaint: Share = 0.0
    dark: Share = 0.0
    curve: Share = 0.0
    convolve: Share = 0.0
    levels: Share = 0.0
    amplitude: Share = 0.0
    reach: float = Field(0.05, gt=0, le=0.5)

    @property
    def needs_target(self) -> bool:
        """Whether patches of the target are looked at."""
        return self.levels > 0 or self.amplitude > 0

    @property
    def is_plain(self) -> bool:
        """Whether images stay as they are."""
        return not (self.repaint or self.curve or self.convolve or self.needs_target)


def change_appearance(
    law: Appearance, image: Image, rng: np.random.Generator, target: Callable[[np.random.Generator], Image] | None
) -> Image:
    """One channel of a patch with other intensities; all but the repainting, which needs labels.

    Parameters
    ----------
    law
        Chances.
    image
        (*S), normalised.
    rng
        The same state gives the same image.
    target
        Draws a patch (*S) of the target; None where `law` asks for none.

    Examples
    --------
    >>> image = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    >>> law = Appearance(curve=1, convolve=1)
    >>> change_appearance(law, image, np.random.default_rng(0), None).shape
    (8, 8)
    """
    if rng.random() < law.curve:
        image = through_curve(image, rng)
    if rng.random() < law.convolve:
        image = through_kernel(image, rng)
    if target is not None and rng.random() < law.levels:
        image = match_histograms(image, target(rng))
    if target is not None and rng.random() < law.amplitude:
        image = mix_amplitudes(image, target(rng), rng.uniform(0, law.reach))
    return np.clip(image, *SEEN_RANGE).astype(np.float32)


def through_curve(image: Image, rng: np.random.Generator) -> Image:
    """Intensities through a cubic Bezier curve that rises from -1 to 1, with two random points between."""
    first, second = np.sort(rng.uniform(-1, 1, (2, 2)), axis=0)  # x and y of both rise
    t = np.linspace(0, 1, 256)
    weights = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    x, y = weights.T @ (-1, first[0], second[0], 1), weights.T @ (-1, first[1], second[1], 1)
    return np.asarray(np.interp(image, x, y), np.float32)


def through_kernel(image: Image, rng: np.random.Generator) -> Image:
    """A random kernel in the plane, with the mean and spread of the image restored, mixed with the image."""
    side = int(rng.choice(KERNEL_SIDES))
    kernel = rng.normal(0, 1 / side, (1,) * (image.ndim - 2) + (side, side)).astype(np.float32)
    kernel *= np.sign(kernel.sum()) or 1  # objects stay bright
    changed = ndimage.convolve(image, kernel, mode="reflect")
    spread = float(changed.std())
    if spread < 1e-6:
        return image
    changed = (changed - changed.mean()) * np.float32(image.std() / spread) + image.mean()
    share = np.float32(rng.random())
    return share * image + (1 - share) * changed


def mix_amplitudes(image: Image, other: Image, reach: float) -> Image:
    """The phases of `image` with the amplitudes of `other` (*S) at frequencies up to `reach` of all, on every axis."""
    own, theirs = np.fft.fftn(image), np.fft.fftn(other)
    low = np.ones(image.shape, bool)
    for axis, size in enumerate(image.shape):
        near = np.abs(np.fft.fftfreq(size)) <= reach
        low &= near.reshape([-1 if a == axis else 1 for a in range(image.ndim)])
    amplitude = np.where(low, np.abs(theirs), np.abs(own))
    return np.asarray(np.fft.ifftn(amplitude * np.exp(1j * np.angle(own))).real, np.float32)
