"""How fast masks and phantoms are made, on one thread: python benchmarks/bench_synth.py [--seconds 2]

A training step takes tens of milliseconds at the least; masks must cost a small part of it.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from cytoshift.core.rng import stream
from cytoshift.core.voxel import Voxel
from cytoshift.synth import (
    PAIR_PRIORS,
    PHANTOMS,
    PRIORS,
    STACKS,
    Count,
    Elastic,
    Lognormal,
    Prior,
    draw_labels,
    draw_pairs,
    phantom,
    stack,
)


def thirty(shape: tuple[int, ...], **change: object) -> Prior:
    """30 nuclei of about 16 voxels per patch."""
    count = Count(objects=(30, 30), patch=tuple(float(n) for n in shape))
    base = {
        "diameter": Lognormal(median=15 if len(shape) == 2 else 13, sigma=0.15),
        "density": count,
        "border": "clip",
    }
    return Prior(**{**base, **change})  # type: ignore[arg-type]


FLAT, DEEP, CUBE = (128, 128), (32, 64, 64), (64, 64, 64)
FIFTY = PAIR_PRIORS["retina"].model_copy(update={"density": Count(objects=(50, 50), patch=CUBE)})
CASES: dict[str, tuple[Prior, tuple[int, ...]]] = {
    "30 ellipses": (thirty(FLAT), FLAT),
    "30 dented, half of them touching": (thirty(FLAT, irregularity=0.05, clustering=0.5), FLAT),
    "30 dented, bent, 2 px apart": (
        thirty(FLAT, irregularity=0.05, min_gap=2, elastic=Elastic(amplitude=3, wavelength=24)),
        FLAT,
    ),
    "30 smoothed": (thirty(FLAT, irregularity=0.1, smoothing=1.5), FLAT),
    "fluo-n2dl-hela (table 9)": (PRIORS["fluo-n2dl-hela"], (256, 256)),
    "30 ellipsoids": (thirty(DEEP), DEEP),
    "30 dented, half of them touching, 3D": (thirty(DEEP, irregularity=0.05, clustering=0.5), DEEP),
    "30 dented, bent, 2 px apart, 3D": (
        thirty(DEEP, irregularity=0.05, min_gap=2, elastic=Elastic(amplitude=3, wavelength=24)),
        DEEP,
    ),
    "30 smoothed, 3D": (thirty(DEEP, irregularity=0.1, smoothing=1.5), DEEP),
    "scaffold-a549 (table 9)": (PRIORS["scaffold-a549"], (64, 128, 128)),
}


def cost(make: Callable[[int], object], seconds: float) -> float:
    """Processor seconds per call, which other programs do not change much; the first call (compilation) is free."""
    make(0)
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        count += 1
        make(count)
    return (time.process_time() - start) / count


def row(name: str, shape: tuple[int, ...], objects: float, spent: float) -> None:
    print(f"{name:42}{'x'.join(map(str, shape)):>14}{objects:9.1f}{1e3 * spent:11.2f}{1 / spent:11.1f}", flush=True)


def masks(index: int, prior: Prior, shape: tuple[int, ...]) -> int:
    return int(draw_labels(prior, shape, Voxel((1.0,) * len(shape)), stream(0, "bench", index)).max())


def objects(index: int, name: str) -> int:
    return int(phantom(name, 0, index=index)[1].max())


def cells(index: int) -> int:
    return int(draw_pairs(FIFTY, CUBE, Voxel((1.0, 1.0, 1.0)), stream(0, "bench", index)).max())


def in_a_stack(index: int, name: str) -> int:
    return int(stack(name, 0, index=index)[1].max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="per case")
    seconds = parser.parse_args().seconds
    print(f"{'':42}{'shape':>14}{'objects':>9}{'CPU ms':>11}{'per second':>11}")
    for name, (prior, shape) in CASES.items():
        make = partial(masks, prior=prior, shape=shape)
        row(name, shape, np.mean([make(i) for i in range(5)]), cost(make, seconds))
    row("50 nuclei with Golgi (retina)", CUBE, np.mean([cells(i) for i in range(5)]), cost(cells, seconds))
    for name, kind in PHANTOMS.items():
        make = partial(objects, name=name)
        row(name, kind.shape, np.mean([make(i) for i in range(5)]), cost(make, seconds))
    for name, several in STACKS.items():
        make = partial(in_a_stack, name=name)
        row(name, several.shape, np.mean([make(i) for i in range(2)]), cost(make, seconds))


if __name__ == "__main__":
    main()
