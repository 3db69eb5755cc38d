"""What a model is told of its objects and images when it is shipped, for those who judge its results without labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.normalise import Recipe, measure
from ..core.rng import stream
from ..core.voxel import Voxel
from ..data.channel_axis import split_channels
from ..data.label_pairs import known_labels
from ..data.volumes import Volume
from ..measure.contrast import contrast
from ..measure.shapes import ExpectedObjects, ObjectShapes, shapes
from .domain_streams import mask_drawer, source_pairs, source_volumes, source_voxel
from .run_settings import Run

MASKS = 16  # that are drawn to measure them
WIDER = 2  # times a patch along each axis: more objects are whole
IMAGES = 16  # of the source, or of the target for its intensities
VOXELS = 1_000_000  # of each that are looked at, in its middle
RANGE = (0.5, 50.0, 99.8)  # percentages of raw intensities that are kept


def expected_objects(run: Run, working: Voxel) -> dict[str, Any]:
    """By class ("" of a single one), the objects that the method learns from (measure.Expected), for model.json."""
    names = run.represent.names or ("",)
    if mask_drawer(run) is not None:
        found = of_masks(run, working, names)
    elif run.source is not None:
        found = of_source(run, working, names)
    else:
        found = {}
    return {name: one.model_dump(mode="json", exclude_none=True) for name, one in found.items() if one is not None}


def of_masks(run: Run, working: Voxel, names: tuple[str, ...]) -> dict[str, ExpectedObjects | None]:
    draw = mask_drawer(run)
    assert draw is not None, "it was asked for above"
    shape = tuple(WIDER * n for n in run.patch)
    seen: dict[str, list[ObjectShapes]] = {name: [] for name in names}
    for i in range(MASKS):
        labels = draw(shape, working, stream(run.seed, "expected", i))
        for name, one in zip(names, labels.reshape(-1, *shape)):
            seen[name].append(shapes(one, working))
    return {name: ExpectedObjects.of("synthetic masks", working, found) for name, found in seen.items()}


def of_source(run: Run, working: Voxel, names: tuple[str, ...]) -> dict[str, ExpectedObjects | None]:
    """Of the source's labels, in the lengths of the target: as large as the networks see them."""
    source = source_volumes(run)
    pairs = source_pairs(source, names if names != ("",) else ())
    lent = source_voxel(source, [image for image, _ in pairs], len(run.patch))
    seen: dict[str, list[ObjectShapes]] = {name: [] for name in names}
    stands: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for image, truth in take_evenly(pairs, IMAGES):
        ratio = [w / v for w, v in zip(working.size, lent.size)]
        voxel = Voxel(tuple(s * r for s, r in zip(image.voxel.size, ratio)), working.unit)
        raw = crop_middle(image.array, voxel.ndim)
        labels = crop_middle(known_labels(truth, source.ignore_id).array, voxel.ndim)
        shown = normalise_raw(source.normalise, raw, voxel.ndim)
        for number, (name, one) in enumerate(zip(names, labels.reshape(-1, *labels.shape[-voxel.ndim :]))):
            seen[name].append(shapes(one, voxel))
            stands[name].append(contrast(shown[min(number, len(shown) - 1)], one, voxel).inside)
    pooled = {name: np.concatenate(found) for name, found in stands.items()}
    return {
        name: ExpectedObjects.of("labels of the source", working, seen[name], pooled[name][~np.isnan(pooled[name])])
        for name in names
    }


def normalise_raw(recipe: Recipe, raw: NDArray[np.generic], ndim: int) -> NDArray[np.float32]:
    """(C, *S) as networks see it."""
    return np.asarray(measure(recipe, [split_channels(raw, ndim)])(raw)).reshape(-1, *raw.shape[-ndim:])


def raw_intensities(volumes: list[Volume]) -> list[dict[str, float]]:
    """Quantiles of the raw intensities of the images learnt from, channel by channel."""
    parts = [crop_middle(volume.array, len(volume.axes)) for volume in take_evenly(volumes, IMAGES)]
    channels = [
        np.concatenate([c.ravel() for c in each])
        for each in zip(*(split_channels(p, volumes[0].voxel.ndim) for p in parts))
    ]
    return [{f"{q:g}": float(v) for q, v in zip(RANGE, np.percentile(one, RANGE))} for one in channels]


def take_evenly(items: list[Any], count: int) -> list[Any]:
    """At most so many of them, from first to last."""
    return [items[int(i)] for i in np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round())]


def crop_middle(array: Any, ndim: int) -> NDArray[Any]:
    """The middle of a volume (*S) or (C, *S), at most VOXELS of it."""
    space = array.shape[-ndim:]
    part = min((VOXELS / float(np.prod(space))) ** (1 / ndim), 1.0)
    sizes = [max(round(n * part), 1) for n in space]
    place = tuple(slice((n - s) // 2, (n - s) // 2 + s) for n, s in zip(space, sizes))
    return np.asarray(array[(*[slice(None)] * (len(array.shape) - ndim), *place)])
