"""Intensities to [-1, 1] (or z-scores), measured once per volume or data set and stored with the model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, model_validator

from .errors import UserError
from .no_data import known_values
from .settings import Settings
from .statistics import Engine, Sliceable, summary

# Enough for the shape of a histogram.
SAMPLE_VOXELS = 4_000_000


@dataclass(frozen=True)
class Scale:
    """normalised = (raw - offset) * gain, clipped to `clip`, then bent by `gamma`; numbers only, for a model file.

    gamma bends [-1, 1] as [0, 1] raised to that power; 1 leaves it straight.
    """

    offset: float
    gain: float
    clip: tuple[float, float]
    gamma: float = 1.0

    def __call__(self, raw: NDArray[np.generic]) -> NDArray[np.float32]:
        """Raw intensities (any shape, any real dtype) to float32; NaN, which is no data, to the background."""
        out = (raw.astype(np.float32) - np.float32(self.offset)) * np.float32(self.gain)
        np.clip(out, *self.clip, out=out)
        if self.gamma != 1:
            out = 2 * ((out + 1) / 2) ** np.float32(self.gamma) - 1
        if raw.dtype.kind == "f":
            # Of a range -1, its dark end whichever way it is turned; of z-scores one deviation below the mean.
            out[np.isnan(out)] = max(self.clip[0], -1.0)
        return out


class Normalisation(Settings):
    """How raw intensities are scaled to the range of the networks.

    kind: percentile (low..high percentile -> [-1, 1]), minmax (-> [-1, 1]), range (the intensities low..high ->
        [-1, 1]: nothing is measured) or zscore (clipped at +-`reach` sigma).
    low, high: these percentiles or intensities. reach: of zscore.
    gamma: power that [0, 1] is raised to before it becomes [-1, 1]; 0.5 evens out shot noise (Anscombe 1948) and lifts
        dim objects beside bright ones. Not for zscore.
    per: "image" measures every volume (or 2D image) on its own, "dataset" all of them together; never a tile.
    invert: for dark objects on a bright background.
    """

    kind: Literal["percentile", "minmax", "range", "zscore"] = "percentile"
    low: float = 0.5
    high: float = 99.8
    reach: float = 5.0
    gamma: float = Field(1.0, gt=0)
    per: Literal["image", "dataset"] = "image"
    invert: bool = False

    @model_validator(mode="after")
    def bends_a_range(self) -> "Normalisation":
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        if self.kind == "zscore" and self.gamma != 1:
            raise ValueError(
                "gamma needs intensities between two ends, which zscore does not have; use percentile or minmax"
            )
        return self

    def measure(self, volumes: Iterable[Sliceable], engine: Engine | None = None) -> Scale:
        """The numbers of one volume, or of several that share them, from all their voxels.

        volumes: in memory, or read block by block; `engine` does that in another way, see `core.statistics`.
        Raises UserError for infinite values, and for nothing but NaN.
        """
        if self.kind == "range":
            low, high = self.low, self.high
        else:
            ends = (self.low, self.high) if self.kind == "percentile" else (0.0, 100.0)
            found = summary(list(volumes), (*ends, 0.0, 100.0), engine)
            low, high, lowest, highest = found.percentiles
            if high <= low:  # an almost empty image: its percentiles meet, its extremes need not
                low, high = lowest, highest
        if self.kind == "zscore":
            offset, clip = found.mean, (-self.reach, self.reach)
            gain = 1 / found.std if found.std > 0 else 0.0
        else:
            offset, clip = (low + high) / 2, (-1.0, 1.0)
            gain = 2 / (high - low) if high > low else 0.0
        return Scale(offset, -gain if self.invert else gain, clip, self.gamma)


# One recipe for all channels of an image, or a list with one for each.
Recipe = Annotated[
    Annotated[Normalisation, Tag("(one)")] | Annotated[tuple[Normalisation, ...], Tag("(each)")],
    Discriminator(lambda said: "(each)" if isinstance(said, list | tuple) else "(one)"),
]


@dataclass(frozen=True)
class Scales:
    """A scale for each channel."""

    each: tuple[Scale, ...]

    def __call__(self, raw: NDArray[np.generic]) -> NDArray[np.float32]:
        """Raw intensities (C, ...) to float32."""
        return np.stack([scale(channel) for scale, channel in zip(self.each, raw, strict=True)])


def recipes(recipe: Recipe) -> tuple[Normalisation, ...]:
    return recipe if isinstance(recipe, tuple) else (recipe,)


def is_dataset_wide(recipe: Recipe) -> bool:
    """Whether numbers are those of a data set. Raises ValueError where one channel's are, and another's are not."""
    found = {one.per for one in recipes(recipe)}
    if len(found) > 1:
        raise ValueError("some channels are normalised per image and some per data set; set the same `per` for all")
    return found == {"dataset"}


def measure(recipe: Recipe, volumes: Sequence[Sequence[Sliceable]], engine: Engine | None = None) -> Scale | Scales:
    """The numbers of volumes that share them, each a sequence of its channels (*S).

    engine: how passes over all voxels are made, where it is not block after block in this process.

    Raises UserError where there are not as many recipes as channels, and for infinite values.
    """
    each, count = recipes(recipe), len(volumes[0])
    if len(each) not in (1, count):
        raise UserError(
            f"normalise is given for {len(each)} channels, but the images have {count}; give one for each, or one for "
            f"all"
        )
    each = each * count if len(each) == 1 else each
    found = tuple(
        one.measure([channels[i] for channels in volumes], engine and channel_engine(engine, i))
        for i, one in enumerate(each)
    )
    return found[0] if count == 1 else Scales(found)


def channel_engine(engine: Engine, channel: int) -> Engine:
    """The engine for one channel: what it keeps of the passes has the channel's number in its name."""
    return lambda name, look, arrays: engine(f"{name}{channel}", look, arrays)


def sample_voxels(volume: NDArray[np.generic]) -> NDArray[np.float32]:
    """At most SAMPLE_VOXELS on a regular grid: deterministic, and every region is heard. Those that are known stand in
    for NaN."""
    array = volume
    if (size := int(np.prod(array.shape))) > SAMPLE_VOXELS:
        step = int(np.ceil((size / SAMPLE_VOXELS) ** (1 / len(array.shape))))
        array = array[tuple(slice(step // 2, None, step) for _ in array.shape)]
    values = np.asarray(array, dtype=np.float32).ravel()
    known = known_values(values)
    return values if known.size in (0, values.size) else np.resize(known, values.shape)
