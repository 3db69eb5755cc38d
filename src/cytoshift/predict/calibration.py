"""Whether voxels and objects of an image are of the size that the model works with: a wrong calibration is no guess.

And how large the largest objects may be, which says how far a block has to read beyond itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

from ..core.errors import UserError
from ..core.voxel import Voxel
from ..data.resample import working_shape
from ..data.volumes import Volume
from ..measure.shapes import expectations
from ..model import Segmenter

LARGEST_FACTOR = 4.0  # the largest objects in multiples of the model's smallest, which is two thirds of a small one
UNKNOWN_DIAMETER = 32  # voxels of the finest axis: the largest object of a model that knows no size
CONTEXT_VOXELS = 4  # voxels that smoothing and contours of a decoder look around
ODD, ABSURD = 5.0, 20.0  # factors between two sizes: from the one on it is said, from the other on refused


def size_ratio(one: float, other: float) -> float:
    """The factor between two sizes, at least 1."""
    return max(one / other, other / one)


def voxel_ratio(segmenter: Segmenter, voxel: Voxel) -> float:
    """The largest factor between voxels of the image and of the model, along any axis."""
    return max(size_ratio(own, wanted) for own, wanted in zip(voxel.size, segmenter.voxel.size))


def refuse_voxels(segmenter: Segmenter, volume: Volume) -> None:
    """Raises UserError where voxels of the image are ABSURD times as large or small as those of the model."""
    factor = voxel_ratio(segmenter, volume.voxel)
    if factor >= ABSURD:
        raise UserError(
            f"voxels of {volume.name} are {volume.voxel}, but the model works at {segmenter.voxel}, {factor:.3g} times "
            "apart; pass the true size by `voxel` and `unit`, or `any_voxel_size` if both are right"
        )


def odd_voxels(segmenter: Segmenter, volume: Volume) -> str | None:
    """A warning about voxels that are ODD times as large or small as those of the model."""
    factor = voxel_ratio(segmenter, volume.voxel)
    if factor < ODD:
        return None
    return (
        f"warning: voxels of {volume.name} are {volume.voxel}, but the model works at {segmenter.voxel}, {factor:.3g} "
        "times apart; check the size, and pass the true one by `voxel` and `unit`"
    )


@dataclass(frozen=True)
class Mismatch:
    """Objects of another size than those that the model learnt from.

    Attributes
    ----------
    factor : between the two median diameters, `ODD` at least.
    message : both of them, for a person.
    """

    factor: float
    message: str


def mismatch_of_objects(card: Mapping[str, Any], name: str, diameter: float, unit: str) -> Mismatch | None:
    """Whether objects are `ODD` times as large or small as those that the model learnt from.

    Parameters
    ----------
    card
        Of the model.
    name
        Of the class, "" where there is one.
    diameter
        Median of what was found, 0 where nothing was.
    unit
        Of the diameter. Lengths of two units are not compared.
    """
    expected = expectations(card).get(name)
    if expected is None or expected.unit != unit or not diameter:
        return None
    learnt = expected.diameter["50"]
    if (factor := size_ratio(diameter, learnt)) < ODD:
        return None
    whose = f"objects of {name}" if name else "objects"
    return Mismatch(
        factor,
        f"{whose} have a median diameter of {diameter:.3g} {unit}, but the model learnt from {learnt:.3g} {unit}, "
        f"{factor:.3g} times apart; check the voxel size, or train a model on images like these",
    )


def working_voxels(segmenter: Segmenter, volume: Volume) -> int:
    """How many voxels the image has where it has most of them: as it is, or as the network sees it."""
    return max(prod(volume.shape), prod(working_shape(volume.shape, volume.voxel, segmenter.voxel)))


def expected_extent(segmenter: Segmenter, voxel: Voxel) -> tuple[tuple[int, ...], bool]:
    """Extent of the largest objects in voxels, and whether the model says so."""
    smallest = segmenter.representation.smallest_object
    if smallest is None:
        return tuple(ceil(UNKNOWN_DIAMETER / a) for a in voxel.anisotropy), False
    return tuple(ceil(n) for n in voxel.voxels(LARGEST_FACTOR * smallest)), True
