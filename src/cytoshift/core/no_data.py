"""NaN as no data: voxels that an image has no intensity for, such as the border of one that was registered.

They are in no statistics, networks see background in their place, and no label lies on them. An infinite value is a
fault of the image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UserError
from .lazy_array import LazyArray
from .provenance import SayOnce

MEDIAN_VOXELS = 1_000_000  # voxels that tell the median


def missing_voxels(raw: NDArray[np.generic], ndim: int, name: str) -> NDArray[np.bool_] | None:
    """Where an image (*S), or all channels of one (C, *S), holds NaN, (*S); None where it does nowhere.

    Says once what becomes of NaN. Raises UserError for infinite values.
    """
    if raw.dtype.kind != "f":
        return None
    finite = np.isfinite(raw)
    if finite.all():
        return None
    refuse_infinite(raw, name)
    say_once()
    missing: NDArray[np.bool_] = ~finite if raw.ndim == ndim else ~finite.any(axis=0)
    return missing if missing.any() else None


def refuse_infinite(raw: NDArray[np.generic], name: str) -> None:
    """Raises UserError for infinite values."""
    if raw.dtype.kind == "f" and np.isinf(raw).any():
        raise UserError(f"{name} holds infinite values; replace them (by NaN, which is read as no data)")


def say_once() -> None:
    SayOnce.say("images hold NaN, which is read as no data: it is in no statistics, and labels have background there")


def known_values(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The values of a flat array (N,) without NaN."""
    return values if values.dtype.kind != "f" else values[~np.isnan(values)]


@dataclass(frozen=True, eq=False)
class FilledImage(LazyArray):
    """An image (*S) of floats that shows `level` in place of NaN, still read when it is sliced."""

    image: Any
    level: float

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.image.shape)

    @property
    def dtype(self) -> np.dtype:
        kind: np.dtype[Any] = self.image.dtype
        return kind

    @property
    def chunks(self) -> tuple[int, ...] | None:
        return getattr(self.image, "chunks", None)

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        raw = np.asarray(self.image[region])
        return np.where(np.isnan(raw), raw.dtype.type(self.level), raw)


def fill_by_median(image: Any, name: str = "the image") -> Any:
    """An image (*S) with the median of what is known in place of NaN, for those who measure what stands out from it.

    An image of integers is the image itself. Raises UserError where nothing is known.
    """
    if np.dtype(image.dtype).kind != "f":
        return image
    step = max(int(np.ceil((np.prod(image.shape) / MEDIAN_VOXELS) ** (1 / len(image.shape)))), 1)
    known = known_values(np.asarray(image[tuple(slice(None, None, step) for _ in image.shape)]).ravel())
    if not known.size:
        raise UserError(f"{name} holds nothing but NaN, which is no data; leave it out")
    return FilledImage(image, float(np.median(known.astype(np.float64))))
