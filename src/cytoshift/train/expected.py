"""How large the objects are that a network learnt from: those of synthetic masks, or those of the labels it borrowed.

What a model finds is held against it (predict, report): the two should look alike.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.rng import stream
from ..core.voxel import Voxel
from ..labels.filters import at_edge
from ..labels.ids import dense
from ..labels.objects import equivalent_diameter
from .domains import lender, lent_pairs, lent_voxel, mask_drawer
from .settings import Run

MASKS = 16  # are drawn to be measured
FIELD = 2  # extent of each, in patches: fewer objects are cut
IMAGES, ENOUGH = 16, 20_000  # of borrowed labels: images read at most, objects that are enough
POINTS = 51  # of a distribution

Seen = tuple[NDArray[np.generic], Voxel]  # labels (*S) or (K, *S), and the size of their voxels to the network


def expected(run: Run, working: Voxel) -> dict[str, Any]:
    """By class ("" where there is one): whose objects, how many, in which unit, and POINTS quantiles of the equivalent
    diameters of the whole ones, from the least to the largest."""
    names = run.represent.names if run.represent.kind == "classes" else ("",)
    drawn = mask_drawer(run) is not None
    found = {name: list[NDArray[np.float64]]() for name in names}
    for labels, voxel in drawn_masks(run, working) if drawn else lent_labels(run, working):
        for name, one in zip(names, labels.reshape(-1, *labels.shape[-working.ndim :])):
            found[name].append(diameters(one, voxel))
        if min(sum(map(len, parts)) for parts in found.values()) > ENOUGH:
            break
    return {
        name: {
            "of": "synthetic masks" if drawn else "the borrowed labels",
            "objects": sum(map(len, parts)), "unit": working.unit, "diameters": spread(np.concatenate(parts)),
        }
        for name, parts in found.items()
        if sum(map(len, parts))
    }  # fmt: skip


def drawn_masks(run: Run, working: Voxel) -> Iterator[Seen]:
    draw = mask_drawer(run)
    assert draw is not None, "asked before"
    field = tuple(FIELD * n for n in run.patch)
    for index in range(MASKS):
        yield draw(field, working, stream(run.seed, "expected", index)), working


def lent_labels(run: Run, working: Voxel) -> Iterator[Seen]:
    """Evenly over all images, in the size at which the target's networks see them."""
    if run.source is None:
        return
    source = lender(run)
    pairs = lent_pairs(source, run.represent.names if run.represent.kind == "classes" else ())
    seen = lent_voxel(source, [image for image, _ in pairs], len(run.patch))
    for index in range(min(len(pairs), IMAGES)):
        image, truth = pairs[index * len(pairs) // min(len(pairs), IMAGES)]
        sizes = (own * ours / theirs for own, ours, theirs in zip(image.voxel.size, working.size, seen.size))
        yield truth.load(), Voxel(tuple(sizes), working.unit)


def diameters(labels: NDArray[np.generic], voxel: Voxel) -> NDArray[np.float64]:
    """Of the objects that the edge does not cut, or of all where it cuts every one, in the unit of the voxel."""
    numbered = dense(labels)
    whole = ~at_edge(numbered, range(labels.ndim))
    sizes = np.asarray(numbered.voxels * voxel.volume, dtype=np.float64)
    return equivalent_diameter(sizes[whole] if whole.any() else sizes, voxel.ndim)


def spread(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{v:.4g}") for v in np.quantile(values, np.linspace(0, 1, POINTS))]
