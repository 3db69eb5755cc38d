"""Numbers of the objects in one image, from the label images of its boxes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.voxel import Voxel
from ..labels.objects import equivalent_diameter
from .ellipse import moments


@dataclass(frozen=True)
class OutlinedObjects:
    """Objects of one box of an image, arrays over the objects (N,), lengths in the voxel's unit.

    share: what an object counts for: 1, or 1/2 where an inner face of the box cuts it (its other part lies outside);
    whole: no face cuts it; chance: the share of places at which a window of this size would show it whole;
    axial: extent along z over that in the plane (3D).
    """

    diameter: NDArray[np.float64]
    elongation: NDArray[np.float64]
    axial: NDArray[np.float64]
    share: NDArray[np.float64]
    whole: NDArray[np.bool_]
    chance: NDArray[np.float64]
    covered: float
    field: float

    @classmethod
    def join(cls, parts: "Iterable[OutlinedObjects]") -> "OutlinedObjects":
        """Of several boxes or images."""
        all_parts = list(parts)
        return cls(
            diameter=np.concatenate([part.diameter for part in all_parts]),
            elongation=np.concatenate([part.elongation for part in all_parts]),
            axial=np.concatenate([part.axial for part in all_parts]),
            share=np.concatenate([part.share for part in all_parts]),
            whole=np.concatenate([part.whole for part in all_parts]),
            chance=np.concatenate([part.chance for part in all_parts]),
            covered=sum(part.covered for part in all_parts),
            field=sum(part.field for part in all_parts),
        )


def objects(labels: NDArray[np.int32], voxel: Voxel, inner: tuple[tuple[bool, bool], ...]) -> OutlinedObjects:
    """Measure labels 1..N (*S). `inner`: per axis, whether the image goes on before and after the box."""
    count = int(labels.max())
    known = moments(labels, voxel)
    spread = known.covariance()[1:]
    axes = np.sqrt(np.maximum(np.linalg.eigvalsh(spread), np.finfo(float).tiny)) if count else np.ones((0, voxel.ndim))
    variance = np.diagonal(spread, axis1=1, axis2=2)
    axial = np.sqrt(variance[:, 0] / variance[:, 1:].mean(axis=1)) if voxel.ndim == 3 else np.ones(count)
    chance, share = np.ones(count), np.ones(count)
    whole = np.ones(count, dtype=bool)
    for index, box in enumerate(ndimage.find_objects(labels)):
        for axis, (where, size) in enumerate(zip(box, labels.shape)):
            before, after = where.start == 0, where.stop == size
            whole[index] &= not (before or after)
            if (before and inner[axis][0]) or (after and inner[axis][1]):
                share[index] = 0.5
            chance[index] *= max(size - (where.stop - where.start), 1) / size
    return OutlinedObjects(
        diameter=equivalent_diameter(known.volume[1:], voxel.ndim),
        elongation=axes[:, -1] / axes[:, 0],
        axial=axial,
        share=share,
        whole=whole,
        chance=chance,
        covered=float(known.volume.sum()),
        field=labels.size * voxel.volume,
    )
