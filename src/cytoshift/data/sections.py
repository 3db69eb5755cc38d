"""Every n-th section of a stack, as sections of another microscope lie further apart."""

from dataclasses import replace

from ..core.errors import UserError
from ..core.voxel import Voxel
from .lazy import StridedArray
from .volumes import Volume, box_volume


def space_sections(volume: Volume, step: int) -> list[Volume]:
    """A stack as `step` stacks: of each, sections lie so many times as far apart. All sections are in one of them.

    Raises UserError for a single section, and where there would be stacks of one section.

    >>> import numpy as np
    >>> stack = Volume("a", np.arange(5)[:, None, None], "zyx", Voxel((2.0, 1.0, 1.0)), "an array")
    >>> [one.load().ravel().tolist() for one in space_sections(stack, 2)]
    [[0, 2, 4], [1, 3]]
    """
    if step == 1:
        return [volume]
    if volume.axes != "zyx" or volume.shape[0] < 2 * step:
        have = f"has {volume.shape[0]} sections" if volume.axes == "zyx" else f"is '{volume.axes}'"
        raise UserError(
            f"source.section_step={step} needs stacks (axes zyx) of at least {2 * step} sections, but {volume.origin} "
            f"{have}; take a smaller step"
        )
    depth, *plane = volume.voxel.size
    voxel = Voxel((depth * step, *plane), volume.voxel.unit)
    rest = [slice(0, n) for n in volume.shape[1:]]
    steps = (1,) * (len(volume.array.shape) - 3) + (step, 1, 1)
    from_each = [box_volume(volume, (slice(k, volume.shape[0]), *rest)) for k in range(step)]
    return [
        replace(one, name=f"{volume.name}_z{k}", array=StridedArray(one.array, steps), voxel=voxel)
        for k, one in enumerate(from_each)
    ]
