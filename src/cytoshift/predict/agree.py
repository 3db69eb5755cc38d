"""How far an image in tiles comes out as it does in one piece."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.voxel import Voxel
from ..labels.overlap import overlap
from ..metrics.matching import match
from ..model import Segmenter
from .network import Tiling, probabilities

IOU = 0.9  # an object that came out the same in both


class Agreement(NamedTuple):
    """Both are of the whole image; 0 and 1 would be perfect.

    What the tests hold us to, for a network with instance norm, tiles of 96 pixels and an image that is empty on one
    side: a difference of 0.01 at most and an f1 of 0.9 at least. Tiles that are normalised each by itself come to about
    0.1 and 0.3 there.
    """

    difference: float  # mean absolute difference of the channels
    f1: float  # objects in tiles against objects of the whole, one to one at IoU 0.9


def agreement(segmenter: Segmenter, image: NDArray[np.float32], voxel: Voxel, tiling: Tiling) -> Agreement:
    """Compare `tiling` with one pass over the whole of a normalised image (*S) on the working grid.

    The image must fit into memory in one piece; what is measured on it holds for larger ones like it.
    """
    whole = probabilities(segmenter, image, tiling.model_copy(update={"tile": image.shape}))
    parts = probabilities(segmenter, image, tiling)
    decode = segmenter.representation.decode
    table = overlap(decode(whole, voxel), decode(parts, voxel))
    return Agreement(float(np.abs(whole - parts).mean()), match(table, IOU).f1)
