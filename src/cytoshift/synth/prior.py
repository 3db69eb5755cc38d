"""What is known about the objects before anything was labelled: their size, shape, number and company."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ..core.settings import Settings

Range = tuple[float, float]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Lognormal(Settings):
    """Equivalent diameters around a median.

    median: in the unit of the voxel. sigma: standard deviation of the logarithm (0.2: two thirds lie within
    a fifth of the median). clip: smallest and largest, in multiples of the median.
    """

    renamed: ClassVar[dict[str, str]] = {"spread": "sigma"}

    median: Positive
    sigma: Annotated[float, Field(ge=0, le=1)] = 0.2
    clip: Range = (0.5, 2.0)

    @field_validator("clip")
    @classmethod
    def around_one(cls, value: Range) -> Range:
        if not 0 < value[0] <= 1 <= value[1]:
            raise ValueError("needs 0 < low <= 1 <= high, in multiples of the median")
        return value


class SemiMajor(Settings):
    """semi_major: longest semi-axis (a radius, not a diameter), uniform in a range.

    This is `a` of AD-GAN's table 9. The paper calls it the major axis; its code passes it to OpenCV's `ellipse`,
    which takes semi-axes, and what was published was made by the code.
    """

    semi_major: Range

    @field_validator("semi_major")
    @classmethod
    def check_positive(cls, value: Range) -> Range:
        return refuse_descending(value, above=0)


class Eccentricity(Settings):
    """eccentricity: e, uniform in a range: short semi-axis = sqrt(1 - e^2) * long one (AD-GAN, eq. 8)."""

    eccentricity: Range = (0.25, 0.75)

    @field_validator("eccentricity")
    @classmethod
    def below_one(cls, value: Range) -> Range:
        if not 0 <= value[0] <= value[1] < 1:
            raise ValueError("needs 0 <= low <= high < 1")
        return value


class Count(Settings):
    """Objects in a patch of the given extent (in the unit of the voxel); other patches get their share.

    objects: whole numbers, both ends included. patch: (y, x) or (z, y, x).
    """

    objects: tuple[int, int]
    patch: tuple[Positive, ...]

    @field_validator("objects")
    @classmethod
    def check_order(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 0 <= value[0] <= value[1]:
            raise ValueError("needs 0 <= low <= high")
        return value


class Groups(Settings):
    """Patches of a mixed set: each is drawn like one of these groups, chosen by chance.

    groups: (median equivalent diameter, objects per unit area or volume) of each. A discriminator that sees small
    crowded objects and large lone ones notices a mask that mixes both, or a density that no image has. `jitter`: a
    patch has its group's density times a factor between 1 - jitter and 1 + jitter, since objects do not lie evenly.
    """

    groups: Annotated[tuple[tuple[Positive, Annotated[float, Field(ge=0)]], ...], Field(min_length=1)]
    jitter: Share = 0.5


class Elastic(Settings):
    """Smooth random bending of space, a cubic B-spline with nodes every `wavelength`.

    amplitude: largest displacement along an axis; wavelength: distance of the nodes; both in the unit of the voxel.
    At a sixth of the wavelength or less the bending has no folds (each derivative stays below 2 amplitude /
    wavelength <= 1/3, so that the Jacobian of x + u(x) is diagonally dominant in 3D): bent objects stay in one
    piece.
    """

    amplitude: Annotated[float, Field(ge=0)]
    wavelength: Positive

    @model_validator(mode="after")
    def no_folds(self) -> "Elastic":
        if self.amplitude > self.wavelength / 6:
            raise ValueError(f"elastic amplitude {self.amplitude:g} folds space; use at most wavelength / 6")
        return self


class Fibres(Settings):
    """Objects sit along gently curved fibres and point along them, as cells on a scaffold do.

    spacing: mean distance between fibres; spread: standard deviation of the objects' distance from their fibre.
    """

    spacing: Positive
    spread: Positive


def form(value: Any, names: tuple[str, str]) -> str | None:
    """Which of the ways of writing a law this is: a pair, or a group known by its first key."""
    if isinstance(value, list | tuple):
        return "range"
    for name in names:
        if name in value if isinstance(value, dict) else hasattr(value, name):
            return name
    return None


Diameter = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Lognormal, Tag("median")] | Annotated[SemiMajor, Tag("semi_major")],
    Discriminator(
        lambda value: form(value, ("median", "semi_major")),
        custom_error_type="diameter",
        custom_error_message="write [low, high], {median: 10, sigma: 0.2} or {semi_major: [low, high]}",
    ),
]
Elongation = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Eccentricity, Tag("eccentricity")],
    Discriminator(
        lambda value: form(value, ("eccentricity", "eccentricity")),
        custom_error_type="elongation",
        custom_error_message="write [low, high] or {eccentricity: [low, high]}",
    ),
]
Density = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Count, Tag("objects")] | Annotated[Groups, Tag("groups")],
    Discriminator(
        lambda value: form(value, ("objects", "groups")),
        custom_error_type="density",
        custom_error_message="write [low, high] per unit area or volume, {objects: [5, 40], patch: [256, 256]} or "
        "{groups: [[diameter, density], ...]}",
    ),
]


class Prior(Settings):
    """Settings of synthetic masks. Lengths are in `unit`, which is the unit of the voxels drawn for.

    diameter: equivalent diameter (of the disc or ball of the same size): a range (uniform), a lognormal, or the
        longest semi-axis.
    elongation: longest axis in multiples of every other one, or the paper's eccentricity. Each shorter axis of an
        ellipsoid draws its own.
    axial: 3D: further stretch along z (volume kept), for objects that the optics elongate.
    density: objects (their centres) per unit area or volume, a count per patch, or groups of diameter and density;
        then `diameter` is a lognormal, whose median the group replaces.
    irregularity: typical relative deviation of the radius from the ellipse (low-order harmonics); 0 is the paper's.
    min_gap: 0 lets objects touch. Otherwise, voxel centres of two objects are further apart than this.
    clustering: the chance that an object is put in contact with one that is there already.
    border: "window": the patch is cut out of a larger field, objects from outside reach in. "clip": centres
        inside the patch, objects cut at the border (the paper's). "inside": whole objects only.
    fibres: None spreads objects evenly.
    elastic: None does not bend. smoothing: standard deviation of a Gaussian that rounds each object off.
    tries: rejections after which an object is given up.
    unit: "um" or "px" to have it checked against the voxels; None takes theirs.
    """

    diameter: Diameter
    density: Density
    elongation: Elongation = (1.0, 1.5)
    axial: Positive = 1.0
    irregularity: Annotated[float, Field(ge=0, le=0.3)] = 0.0
    min_gap: Annotated[float, Field(ge=0)] = 0.0
    clustering: Share = 0.0
    border: Literal["window", "clip", "inside"] = "window"
    fibres: Fibres | None = None
    elastic: Elastic | None = None
    smoothing: Annotated[float, Field(ge=0)] = 0.0
    tries: Annotated[int, Field(ge=1, le=10_000)] = 100
    unit: Literal["um", "px"] | None = None

    @field_validator("diameter")
    @classmethod
    def check_size(cls, value: Any) -> Any:
        return refuse_descending(value, above=0) if isinstance(value, tuple) else value

    @model_validator(mode="after")
    def groups_have_a_spread(self) -> "Prior":
        if isinstance(self.density, Groups) and not isinstance(self.diameter, Lognormal):
            raise ValueError("density in groups needs a diameter with a median and a sigma; write {median: 10}")
        return self

    @field_validator("elongation")
    @classmethod
    def long_over_short(cls, value: Any) -> Any:
        if isinstance(value, tuple) and not 1 <= value[0] <= value[1] <= 20:
            raise ValueError("needs 1 <= low <= high <= 20 (long axis / short axis)")
        return value

    @field_validator("density")
    @classmethod
    def not_negative(cls, value: Any) -> Any:
        if isinstance(value, tuple) and not 0 <= value[0] <= value[1]:
            raise ValueError("needs 0 <= low <= high")
        return value


def prior_of_patch(prior: Prior, rng: np.random.Generator) -> Prior:
    """The prior of one patch: of one group where the density is given in groups, the prior itself elsewhere."""
    law = prior.density
    if not isinstance(law, Groups) or not isinstance(prior.diameter, Lognormal):
        return prior
    median, density = law.groups[int(rng.integers(len(law.groups)))]
    return prior.model_copy(
        update={
            "diameter": prior.diameter.model_copy(update={"median": median}),
            "density": (density * (1 - law.jitter), density * (1 + law.jitter)),
        }
    )


def refuse_descending(value: Range, above: float) -> Range:
    if not above < value[0] <= value[1]:
        raise ValueError(f"needs {above:g} < low <= high")
    return value
