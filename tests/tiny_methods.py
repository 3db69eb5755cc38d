"""Every method with networks of a few channels, and batches of noise that fit it."""

import contextlib

import torch

from cytoshift.core.batch import (
    BiasFieldBatch,
    LabelledBatch,
    LabelledPair,
    MaskBatch,
    SyntheticBatch,
    UnlabelledBatch,
    UnlabelledPair,
)
from cytoshift.core.voxel import Voxel
from cytoshift.methods import METHODS, Task
from cytoshift.represent import BCD, Classes, Semantic, Ternary
from cytoshift.train.step import train_step

LEAN = {"widths": (8, 8), "stem": 3, "plus": False, "non_local": False}
GAN = {"width": 4, "blocks": 1, "stem": 3, "discriminator": (4, 4), "pool": 8}
SMALL = {
    "adgan": {"width": 4, "discriminator": 4, "hidden": 8, "blocks": 1, "pool": 3},
    "supervised": LEAN,
    "randomised": LEAN,
    "cysgan": LEAN | {"discriminator": (4, 4), "pool": 8},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator": (4, 4), "pool": 8},
    "feature": LEAN | {"discriminator": (4, 4), "bottleneck_widths": (4,), "pool": 8},
    "mmd": LEAN | {"voxels": 64},
    "coral": LEAN,
    "dann": LEAN | {"hidden": 4},
    "ynet": LEAN,
    "mean_teacher": LEAN,
    "da_isc": LEAN | {"discriminator": (4, 4)},
    "mask_cyclegan": GAN,
    "vox2vox": LEAN | {"discriminator": (4, 4)},
    "selftrain": LEAN,
    "udct": GAN,
    "spcyclegan": GAN,
    "munit": {"width": 4, "discriminator": (4, 4), "hidden": 8, "blocks": 1, "scales": 2, "pool": 3},
    "ufdn": {"width": 4, "discriminator": 4, "hidden": 8, "blocks": 1, "pool": 3},
}
TRANSLATORS = ("adgan", "munit", "ufdn")
STEM = {(name, 3): {"stem": 3} for name in TRANSLATORS}  # with 7 x 7 x 7 voxels two steps in 64 bits take 16 seconds
DRAWN = (
    "adgan",
    "mask_cyclegan",
    "randomised",
    "udct",
    "spcyclegan",
    "munit",
    "ufdn",
)  # learn from masks, or images, that are drawn
MASKS = tuple(name for name in DRAWN if name != "randomised")
BORROWED = tuple(name for name in SMALL if name not in DRAWN)
ORGANELLES = Classes(classes={"golgi": Semantic(), "nuclei": Ternary()}, weights={"golgi": 3.5})
VOXELS = {2: Voxel((1.0, 1.0)), 3: Voxel((2.0, 1.0, 1.0))}


def shape_of(name: str, ndim: int) -> tuple[int, ...]:
    if name in TRANSLATORS:
        return {2: (2, 1, 32, 32), 3: (2, 1, 24, 32, 32)}[ndim]
    channels = 2 if name == "mask_cyclegan" else 1
    return {2: (2, channels, 24, 24), 3: (2, channels, 8, 16, 16)}[ndim]


def build(name, ndim=2, represent=None, **options):
    torch.manual_seed(0)
    kind = METHODS[name]
    represent = represent or {"mask_cyclegan": ORGANELLES}.get(name, Semantic() if name in MASKS else BCD())
    options = SMALL[name] | STEM.get((name, ndim), {}) | options
    return kind(Task(VOXELS[ndim], represent, shape_of(name, ndim)[1]), kind.settings(**options), seed=0)


def batch_of(method, ndim=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = shape_of(next(name for name, kind in METHODS.items() if kind is type(method)), ndim)
    draw = lambda: torch.rand(shape, generator=generator)
    image = lambda: 2 * draw() - 1
    channels = len(method.task.represent.channels)
    target = lambda: torch.rand((shape[0], channels, *shape[2:]), generator=generator)
    made = {
        UnlabelledBatch: lambda: UnlabelledBatch(image()),
        BiasFieldBatch: lambda: BiasFieldBatch(*(image(),) * 2),
        MaskBatch: lambda: MaskBatch((draw() > 0.7).float()),
        SyntheticBatch: lambda: SyntheticBatch(image(), target()),
        LabelledBatch: lambda: LabelledBatch(image(), target()),
        LabelledPair: lambda: LabelledPair(image(), target(), image()),
        UnlabelledPair: lambda: UnlabelledPair(image(), image()),
    }
    return method.batch(*(made[kind]() for kind in method.batch.__annotations__.values()))


def double(batch):
    """A batch in 64 bits."""
    return type(batch)(*(double(part) if isinstance(part, tuple) else part.double() for part in batch))


def optimizers_of(method, lr=1e-3):
    return {name: torch.optim.Adam(p.parameters(), lr, (0.5, 0.99)) for name, p in method.players().items()}


def step(method, optimizers, batch, progress=0.0):
    return train_step(method, optimizers, batch, progress, contextlib.nullcontext)


def terms_of(update):
    return {name: value for objective in update.objectives for name, value in objective.terms.items()}
