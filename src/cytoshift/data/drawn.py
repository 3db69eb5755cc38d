"""A stream of synthetic images with their labels, drawn when they are asked for."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.batch import SyntheticBatch
from ..core.rng import stream
from ..core.voxel import Voxel
from ..represent import Representation
from ..synth import Randomised, draw_pair
from .augment import Augment, sample_pose
from .labelled import HALO
from .streams import DRAWS, EMPTY

BLANK = 0.05  # share of the patches that may show no object at all


class DrawnImages:
    """Patches of domain-randomised synthesis: sample number i is a function of the seed and i.

    Labels are encoded with a rim around the patch that is cut off again, so that an object at the border of the patch
    has its distances, and its largest one, from what lies beyond.
    """

    kind: ClassVar[type] = SyntheticBatch

    def __init__(
        self, law: Randomised, represent: Representation, working: Voxel, patch: tuple[int, ...], seed: int,
        augment: Augment | None = None,
    ):  # fmt: skip
        self.law, self.represent, self.working, self.patch, self.seed = law, represent, working, patch, seed
        self.augment = augment or Augment()
        halo = tuple(math.ceil(n * HALO) for n in patch)
        self.shape = tuple(n + 2 * h for n, h in zip(patch, halo))
        self.inside: Any = (..., *(slice(h, -h) for h in halo))

    def pair(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Image and labels (*S) of sample `index`, with the rim."""
        rng = stream(self.seed, "drawn", index)
        for _ in range(DRAWS):
            image, labels = draw_pair(self.law, self.shape, self.working, rng)
            if float((labels[self.inside] > 0).mean()) >= EMPTY or rng.random() < BLANK:
                break
        pose = sample_pose(self.augment, self.shape, self.working, stream(self.seed, "drawn", index, "pose"))
        return pose(image), pose(labels)

    def sample(self, index: int) -> tuple[NDArray[np.float32], ...]:
        image, labels = self.pair(index)
        target = self.represent.encode(labels, self.working)[self.inside]
        return np.ascontiguousarray(image[self.inside])[None], np.ascontiguousarray(target)
