"""The networks of AD-GAN run backwards: from a label image to a microscope image, by degrees."""

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.errors import UserError
from ..data.resample import resample, working_shape
from ..data.volumes import Volume
from ..model import Segmenter
from ..nets.translator import MASK, Translator


def reversible_network(segmenter: Segmenter) -> Translator:
    """The network of a model that draws images from masks, too. Raises UserError for any other."""
    network = segmenter.network
    if not isinstance(network, Translator) or not network.goes_both_ways:
        raise UserError(f"this {segmenter.spec.kind} draws no images from masks; take the model of an AD-GAN run")
    return network


def draw_styles(segmenter: Segmenter, volume: Volume, steps: int) -> list[NDArray[np.float32]]:
    """Label volume (*S) -> `steps` images (*S) in [-1, 1]: styles from mask to photograph in equal steps.

    The domain code moves linearly from (0, 1) to (1, 0) (AD-GAN 5.5). Raises UserError where the model has no
    way back from masks to images.
    """
    network = reversible_network(segmenter)
    labels = volume.load()
    # Encoded on the labels' own grid: there every object has its own rim.
    mask = segmenter.representation.encode(labels, volume.voxel)[0]
    shape = working_shape(mask.shape, volume.voxel, segmenter.voxel)
    small = resample(mask, shape)
    padding = [(0, -n % network.multiple) for n in shape]
    padded = np.pad(small, padding, mode="edge")
    x = torch.from_numpy(2 * padded - 1)[None, None]
    images = []
    for part in np.linspace(0, 1, steps):
        code = torch.tensor([[part, 1 - part]], dtype=torch.float32)
        with torch.inference_mode():
            drawn = network.translate(x, MASK, code)[0, 0].numpy()
        images.append(resample(drawn[tuple(slice(n) for n in shape)], labels.shape))
    return images
