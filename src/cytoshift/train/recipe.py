"""From raw images to the settings of a run: what a user of AD-GAN would otherwise find by hand."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..data.volumes import ImageSource, Volume
from ..measure import Measured

Polarity = Literal["auto", "bright", "dark"]
MOST_IMAGES = 32  # measured, evenly over the set
MOST_VOXELS = 16_000_000  # of one image, around its middle


@dataclass(frozen=True)
class Aim:
    """How many working voxels the median object shall be across: resampled to `best` if outside of least..most."""

    least: float
    best: float
    most: float
    patch: tuple[int, ...]  # where the preset names none, for cubic voxels


# laptop: small networks see about 20 voxels around; several objects must fit into a patch that a CPU can take.
# paper: Table 9's longest semi-axes of 13 to 35 pixels in patches of 256 x 256 or 64 x 128 x 128.
AIMS = {
    ("laptop", 2): Aim(10, 18, 26, (128, 128)),
    ("laptop", 3): Aim(9, 14, 20, (32, 64, 64)),
    ("paper-2d", 2): Aim(18, 36, 70, (256, 256)),
    ("paper-3d", 3): Aim(15, 26, 70, (64, 128, 128)),
}
FINER = 2.0  # an image is stretched at most by this: beyond, nothing is added but work
SHORTEST = 24  # voxels: what the networks can take
COARSE = 3.0  # a coarse z is stretched at most by this


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of a set of images before anything was learnt. arrays: what was measured of which volume."""

    source: ImageSource
    volumes: list[Volume]
    arrays: list[tuple[Volume, NDArray[np.generic]]]
    measured: Measured

    @property
    def dark(self) -> bool:
        return self.measured.inverted


def look(source: ImageSource, polarity: Polarity = "auto") -> Survey:
    """Open the images and measure them; of many, MOST_IMAGES evenly spread, of large ones the middle.

    Raises UserError where nothing is found, or nothing that looks like objects.
    """
    volumes = open_volumes(source)
    count = min(len(volumes), MOST_IMAGES)
    chosen = [volumes[int((i + 0.5) * len(volumes) / count)] for i in range(count)]
    arrays = [(volume, middle(volume)) for volume in chosen]
    inverted = None if polarity == "auto" else polarity == "dark"
    return Survey(source, volumes, arrays, estimate([a for _, a in arrays], [v.voxel for v in chosen], inverted))


def middle(volume: Volume) -> NDArray[np.generic]:
    """The volume, or of a large one a centred part of MOST_VOXELS, cut alike along every axis that is long."""
    shape = list(volume.shape)
    while math.prod(shape) > MOST_VOXELS:
        longest = shape.index(max(shape))
        shape[longest] = max(int(shape[longest] * 0.9), 1)
    window = tuple(slice((n - s) // 2, (n - s) // 2 + s) for n, s in zip(volume.shape, shape))
    return volume.array[window]


def recipe(
    source: ImageSource, preset: str = "laptop", *, method: str = "adgan", polarity: Polarity = "auto",
    represent: Literal["ternary", "semantic"] = "ternary", seed: int = 0,
) -> Run:  # fmt: skip
    """Settings of a run for these images, from what they show; no label is read."""
    return settings(look(source, polarity), preset, method=method, represent=represent, seed=seed)


def settings(
    survey: Survey, preset: str = "laptop", *, method: str = "adgan",
    represent: Literal["ternary", "semantic"] = "ternary", seed: int = 0,
) -> Run:  # fmt: skip
    """Settings of a run from a survey. Raises UserError where method and preset do not fit the images."""
    ndim = survey.volumes[0].voxel.ndim
    fixed = preset_of(method, preset, ndim)
    aim = AIMS[preset, ndim]
    working = working_voxel(survey, aim)
    own = {volume.voxel for volume in survey.volumes}
    return parse(
        Run,
        {
            "method": method,
            "seed": seed,
            "data": {
                "images": survey.source.model_dump(mode="json", exclude_defaults=True),
                "normalise": {"kind": "percentile", "low": 0.5, "high": 99.8, "invert": survey.dark},
                "voxel": None if own == {working} else working.size,
                "augment": {"flips": True, "turns": True, "gamma": 0.0},
            },
            "patch": patch(survey, working, fixed.get("patch", aim.patch)),
            "prior": prior(survey.measured, working),
            "represent": {"kind": represent, "smallest": rounded(survey.measured.quantile(0.05))},
            "options": fixed["options"],
            "train": fixed["train"],
        },
        "the measured settings",
    )


def preset_of(method: str, name: str, ndim: int) -> Mapping[str, Any]:
    if method not in METHODS:
        raise UserError(f"method '{method}' asked for, there are {', '.join(METHODS)}; pass one of them")
    presets = METHODS[method].presets
    fitting = [known for known in presets if (known, ndim) in AIMS]
    if name not in fitting:
        raise UserError(f"preset '{name}' asked for, {method} has {', '.join(fitting)} for {ndim}D images; pass --preset")
    return presets[name]


def working_voxel(survey: Survey, aim: Aim) -> Voxel:
    """The voxel size to learn at: cubic, and the median object `aim` voxels across.

    Images are not resampled without need: what lies in between `least` and `most` stays as it is. In 3D a coarse z
    is stretched to cubic voxels, as in the paper ("normalised to the same spacing"), up to COARSE.
    """
    voxels = [volume.voxel for volume in survey.volumes]
    unit, median = voxels[0].unit, survey.measured.median
    own = float(np.median([min(voxel.size) for voxel in voxels]))
    across = median / own
    fine = own if aim.least <= across <= aim.most else max(median / aim.best, own / FINER)
    flat = {voxel.size for voxel in voxels} if fine == own else set()
    if len(flat) == 1 and len(set(next(iter(flat)))) == 1:
        return voxels[0]
    fine = rounded(fine)
    if len(voxels[0].size) == 2:
        return Voxel((fine, fine), unit)
    z = float(np.median([voxel.size[0] for voxel in voxels]))
    return Voxel((max(fine, rounded(z / COARSE)), fine, fine), unit)


def patch(survey: Survey, working: Voxel, wish: tuple[int, ...]) -> tuple[int, ...]:
    """Voxels of a patch: `wish` for cubic voxels, shorter along a coarse axis and where every image is shorter."""
    longest = np.max([working_shape(v.shape, v.voxel, working) for v in survey.volumes], axis=0)
    sizes = []
    for n, step, room in zip(wish, working.size, longest):
        fits = min(n * min(working.size) / step, max(room, SHORTEST))
        sizes.append(max(int(fits) // 4 * 4, SHORTEST))
    return tuple(sizes)
