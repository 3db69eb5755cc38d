"""What is known about nuclei and their Golgi before anything was labelled: size, shape, distance, number, company."""

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ..core.settings import Settings
from .prior import Count, Elastic, Positive, Range, Share, form, refuse_descending

CLASSES = ("golgi", "nuclei")  # the order of every array of both
GOLGI, NUCLEI = 0, 1  # places in CLASSES


class CellBody(Settings):
    """An ellipsoid, or something like it.

    semi_axes: radii, each uniform in its range: one range makes balls, three make ellipsoids.
    spread: standard deviation of the logarithm of a factor that all axes of an object share (large ones are large in
    every direction), within two of them. irregularity: typical relative deviation of the radius from the ellipsoid, as
    in `Prior`.
    """

    semi_axes: tuple[Range] | tuple[Range, Range, Range]
    spread: Annotated[float, Field(ge=0, le=1)] = 0.0
    irregularity: Annotated[float, Field(ge=0, le=0.3)] = 0.0

    @field_validator("semi_axes")
    @classmethod
    def check_positive(cls, value: tuple[Range, ...]) -> tuple[Range, ...]:
        return tuple(refuse_descending(axis, above=0) for axis in value)

    @property
    def longest(self) -> float:
        """The largest semi-axis, dents aside; the common factor stays within two standard deviations."""
        return max(high for _, high in self.semi_axes) * math.exp(2 * self.spread)

    @property
    def middle(self) -> float:
        """The radius of the ball about as large as a typical object."""
        return math.prod((low + high) / 2 for low, high in self.semi_axes) ** (1 / len(self.semi_axes))


class Gap(Settings):
    """How far the surfaces of a nucleus and its Golgi are from each other, along the line between their centres.

    Uniform in a range; below 0, one reaches into the other.
    """

    gap: Range

    @field_validator("gap")
    @classmethod
    def check_order(cls, value: Range) -> Range:
        if not value[0] <= value[1]:
            raise ValueError("needs low <= high; below 0, one reaches into the other")
        return value


class Layers(Settings):
    """Cells lie in layers across y, as in the retina; in between they are rare.

    spacing: from the middle of a layer to that of the next. thickness: two standard deviations of a layer's profile.
    between: density half way, as a share of that in the middle of a layer. The position of the first is random.
    """

    spacing: Positive
    thickness: Positive
    between: Share = 0.1


Distance = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Gap, Tag("gap")],
    Discriminator(
        lambda value: form(value, ("gap", "gap")),
        custom_error_type="distance",
        custom_error_message="write [low, high] from centre to centre or {gap: [low, high]} between the surfaces",
    ),
]
CellDensity = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Count, Tag("objects")],
    Discriminator(
        lambda value: form(value, ("objects", "objects")),
        custom_error_type="density",
        custom_error_message="write [low, high] per unit volume or {objects: [45, 70], patch: [64, 256, 256]}",
    ),
]


class Cells(Settings):
    """How cells lie in a volume, each a nucleus and its Golgi. Lengths are in `unit`, angles in degrees.

    density: cells per unit volume, or a count per patch. solo_nuclei, solo_golgi: the share of them that is a nucleus
        alone or a Golgi alone.
    distance: between the centres of a pair, or a gap between the surfaces. angle: between the nucleus's long axis and
        the way to the Golgi, 0 at a pole and 90 beside it; even on the sphere in between.
    tilt: of the nuclei's long axes out of the plane; even on the sphere in between, so that 0 to 90 is any direction.
    overlap: the largest share of a Golgi that may lie in its own nucleus. mingle: whether it may lie in those of other
        pairs. Nuclei never overlap one another, nor do Golgi; min_gap: voxel centres of two of them are further apart.
    border: as of `Prior`. layers: None spreads cells evenly. elastic: None does not bend.
    tries: places and directions after which a cell is given up.
    unit: "um" or "px" to have it checked against the voxels; None takes theirs.
    """

    density: CellDensity
    solo_nuclei: Share = 0.0
    solo_golgi: Share = 0.0
    distance: Distance = Gap(gap=(-1.0, 2.0))
    angle: Range = (0.0, 90.0)
    tilt: Range = (0.0, 90.0)
    overlap: Share = 1.0
    mingle: bool = False
    min_gap: Annotated[float, Field(ge=0)] = 0.0
    border: Literal["window", "clip", "inside"] = "window"
    layers: Layers | None = None
    elastic: Elastic | None = None
    tries: Annotated[int, Field(ge=1, le=10_000)] = 100
    unit: Literal["um", "px"] | None = None

    @field_validator("density", "distance")
    @classmethod
    def not_negative(cls, value: Any) -> Any:
        if isinstance(value, tuple) and not 0 <= value[0] <= value[1]:
            raise ValueError("needs 0 <= low <= high")
        return value

    @field_validator("angle", "tilt")
    @classmethod
    def right_angle_at_most(cls, value: Range) -> Range:
        if not 0 <= value[0] <= value[1] <= 90:
            raise ValueError("needs 0 <= low <= high <= 90 degrees")
        return value

    @model_validator(mode="after")
    def shares(self) -> "Cells":
        if self.solo_nuclei + self.solo_golgi > 1:
            raise ValueError("solo_nuclei and solo_golgi are shares of all cells; together they are at most 1")
        return self


class PairPrior(Cells):
    """Cells with nuclei and Golgi of simple solids. The nucleus is turned by `tilt`, the Golgi anyhow."""

    kind: Literal["pairs"] = "pairs"
    nucleus: CellBody
    golgi: CellBody


class Shapes(Cells):
    """Cells with nuclei and Golgi out of a library: masks that somebody has cut out of images.

    path: an npz file whose arrays are called nuclei... and golgi... (any case), each one binary object.
    axes: the order of their axes, such as yxz. voxel: of the library, (z, y, x) in the unit of the volumes drawn.
    scale: by how much every object is enlarged, uniform in a range. Objects are turned and mirrored at random, the
    nuclei's long axes within `tilt`.
    """

    kind: Literal["shapes"] = "shapes"
    path: str
    axes: str = "zyx"
    voxel: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    scale: Range = (1.0, 1.0)

    @field_validator("axes")
    @classmethod
    def check_axes(cls, value: str) -> str:
        if sorted(value) != ["x", "y", "z"]:
            raise ValueError("the axes are z, y and x in the order of the arrays, such as zyx")
        return value

    @field_validator("scale")
    @classmethod
    def check_positive(cls, value: Range) -> Range:
        return refuse_descending(value, above=0)
