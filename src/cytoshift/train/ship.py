"""What leaves a training: its network as a model folder, at the end and, where that is wished for, on the way.

OUT/model               the end
OUT/snapshots/STEP      states on the way there, each as if the training had ended at it

Statistics of norms are measured once over the images that the network is for, and shipped with the weights. The card
says which objects and intensities the model has learnt from, for those who judge its results without labels.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from ..core.atomic import discard
from ..core.blocks import middle_box, side_factor
from ..core.evenly import take_evenly
from ..core.normalise import Recipe, is_dataset_wide, measure
from ..core.rng import stream
from ..core.voxel import Voxel
from ..data.channel_axis import split_channels
from ..data.label_pairs import known_labels
from ..data.streams import Domain, Images
from ..data.volumes import Volume
from ..measure.contrast import contrast
from ..measure.shapes import ExpectedObjects, ObjectShapes, shapes
from ..methods import KNOWN, Method
from ..model import Segmenter
from ..model.folders import SNAPSHOTS, snapshots
from ..nets.adain import AdaIN
from ..nets.network_spec import ChainSpec, NetSpec, ResNetSpec, TranslatorSpec, UNetSpec, with_frozen_norms
from ..nets.norms import MeasuredNorms, per_channel
from ..represent import RepresentationSettings
from .domain_streams import fit_sides, image_stream, mask_drawer, source_pairs, source_volumes, source_voxel
from .facts import Facts
from .run_settings import Run

NORM_VOXELS = 4_000_000  # that go through the network together when statistics of norms are measured
LEAST_WINDOWS, MOST_WINDOWS = 4, 256  # windows of these
DRAWN_MASKS = 16  # that are drawn to measure their objects
MASK_PATCHES = 2  # times a patch along each axis: more objects are whole
MEASURED_IMAGES = 16  # of the source, or of the target for its intensities
LOOKED_AT_VOXELS = 1_000_000  # of each that are looked at, in its middle
PERCENTAGES = (0.5, 50.0, 99.8)  # percentages of raw intensities that are kept


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The end of a training: the method, whose network holds the weights to ship, and what it was learnt on."""

    method: Method
    volumes: list[Volume]
    working: Voxel
    domains: dict[str, Domain]
    fabric: Fabric
    facts: Facts
    cast: Callable[[], AbstractContextManager[Any]]  # the precision of the training
    ended: str = ""  # why the monitor stopped the training


Finish = Callable[[TrainingResult, Run], tuple[NetSpec, nn.Module]]


def export_network(learnt: TrainingResult, run: Run) -> tuple[NetSpec, nn.Module]:
    """The network as it leaves: instance norms of those that learn from masks keep the statistics of all images, and
    batch norms those of windows of the images that the network is for, in the place of the source's."""
    spec, network = learnt.method.exported_spec(), learnt.method.network()
    images = learnt.domains.get("images")
    if isinstance(spec, TranslatorSpec | ResNetSpec) and isinstance(images, Images):
        return freeze(spec, network, windows(images, run.seed), learnt.cast)
    if isinstance(spec, UNetSpec) and spec.norm == "batch":
        return freeze(spec, network, target_windows(learnt, run), learnt.cast)
    return spec, network


def target_windows(learnt: TrainingResult, run: Run) -> NDArray[np.float32]:
    """Windows (N, C, *patch) of the images to segment, as they are; their labels are not known here."""
    volumes = fit_sides(learnt.volumes, learnt.working, run.data.sides)
    return windows(image_stream(run, volumes, learnt.working), run.seed)


@dataclass(frozen=True)
class SnapshotFolder:
    """Where the snapshots of a run lie, and how a network becomes one.

    out: folder of the run. run: its settings; of a recipe of stages those of the whole, not of the stage that learns.
    """

    out: Path
    run: Run
    finish: Finish = export_network
    known: dict[str, Any] = field(default_factory=dict)  # what was told of the objects, measured once

    @property
    def folder(self) -> Path:
        return self.out / SNAPSHOTS

    def models(self) -> dict[int, Path]:
        """Those that are there, by their steps, in order."""
        return snapshots(self.out)

    def take(self, learnt: TrainingResult, step: int) -> None:
        """Save what the method's network would ship now. The training goes on as if nobody had looked."""
        network = learnt.method.network()
        training = network.training
        with torch.random.fork_rng(devices=[]):  # a shipped network is built before its weights are laid in
            spec, finished = self.finish(learnt, self.run)
            told = {"step": step} | self.card_statistics(learnt)
            save(self.run, learnt, spec, finished, self.run.represent, self.folder / f"{step:06d}", told)
        network.train(training)

    def card_statistics(self, learnt: TrainingResult) -> dict[str, Any]:
        """For cards: the objects and intensities that the model has learnt from."""
        if not self.known:
            self.known["objects"] = expected_objects(self.run, learnt.working)
            self.known["intensities"] = raw_intensities(learnt.volumes)
        return self.known

    def forget_after(self, step: int) -> None:
        """Forget the snapshots of a way that the training has left."""
        for after, path in self.models().items():
            if after > step:
                discard(path)

    def settle(self, represent: RepresentationSettings) -> None:
        """Give all of them the thresholds that were found at the end."""
        for path in self.models().values():
            model = Segmenter.load(path)
            if model.representation != represent:
                replace(model, representation=represent).save(path)


def save(
    run: Run, learnt: TrainingResult, spec: NetSpec, network: nn.Module, represent: RepresentationSettings, model: Path,
    more: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write the model folder. more: for its card."""
    normalise, volumes = run.data.normalise, learnt.volumes
    raws = [split_channels(v.array, len(v.axes)) for v in volumes]
    scale = measure(normalise, raws) if is_dataset_wide(normalise) else None
    Segmenter(
        spec=spec, network=network, normalisation=normalise, scale=scale, voxel=learnt.working,
        axes=volumes[0].axes, representation=represent, card=card(run, learnt) | (more or {}), sides=run.data.sides,
    ).save(model)  # fmt: skip


def card(run: Run, learnt: TrainingResult) -> dict[str, Any]:
    """What a person who finds the model wants to know."""
    method = KNOWN[run.method]
    return {
        "method": run.method,
        "title": method.title,
        "papers": list(dict.fromkeys((*method.papers, *run.represent.papers))),
        "images": len(learnt.volumes),
        "example": learnt.volumes[0].origin,
        "settings": run.model_dump(mode="json"),
        **({"ended": learnt.ended} if learnt.ended else {}),
    }


def windows(images: Images, seed: int) -> NDArray[np.float32]:
    """Windows (N, C, *patch) of the images as they are, empty regions included.

    Each image gives its share of them, and none is left out where there are enough: which images are among a random
    few dozen moves the Dice of a very mixed set by half a percent.
    """
    count = int(np.clip(NORM_VOXELS // int(np.prod(images.patch)), LEAST_WINDOWS, MOST_WINDOWS))
    shares = np.searchsorted(np.cumsum(images.chances), (np.arange(count) + 0.5) / count)
    return np.stack(
        [images.channels(images.window(stream(seed, "norms", i), which=int(n))) for i, n in enumerate(shares)]
    )


def freeze(
    spec: NetSpec, network: nn.Module, x: NDArray[np.float32], cast: Callable[[], AbstractContextManager[Any]]
) -> tuple[NetSpec, nn.Module]:
    """The spec and the network with norms that use what they measure on `x` (N, C, *S), all of it as one image.

    No label is read: of methods that borrow labels `x` is of the target (adaptive batch norm, Li et al. 2016).
    Of a chain the segmenter alone, on what the first network makes of `x`.
    """
    measured = MeasuredNorms(network.eval())
    with torch.inference_mode(), cast():
        measured.network(torch.from_numpy(x).to(next(network.parameters()).device))
    frozen, inside = with_frozen_norms(spec, True), "segment." if isinstance(spec, ChainSpec) else ""
    shipped: Any = frozen.build()
    weights = shipped.state_dict() | network.state_dict()
    for name, statistics in measured.statistics.items():
        if name.startswith(inside):
            kept = named_statistics(network.get_submodule(name), *statistics)
            weights |= {f"{name}.{what}": numbers.clone() for what, numbers in kept.items()}
    shipped.load_state_dict(weights)
    return frozen, shipped.eval()


def named_statistics(layer: Any, mean: Tensor, var: Tensor) -> dict[str, Tensor]:
    """Statistics by the names that a frozen layer has for them."""
    if isinstance(layer, nn.AdaptiveAvgPool1d):
        return {"mean": mean}
    if isinstance(layer, AdaIN):
        return {"mean": mean, "var": var}
    return dict(zip(("running_mean", "running_var"), per_channel(layer, mean, var)))


def expected_objects(run: Run, working: Voxel) -> dict[str, Any]:
    """By class ("" of a single one), the objects that the method learns from (`ExpectedObjects`), for model.json."""
    names = run.represent.names or ("",)
    if mask_drawer(run) is not None:
        found = objects_of_masks(run, working, names)
    elif run.source is not None:
        found = objects_of_source(run, working, names)
    else:
        found = {}
    return {name: one.model_dump(mode="json", exclude_none=True) for name, one in found.items() if one is not None}


def objects_of_masks(run: Run, working: Voxel, names: tuple[str, ...]) -> dict[str, ExpectedObjects | None]:
    draw = mask_drawer(run)
    assert draw is not None, "it was asked for above"
    shape = tuple(MASK_PATCHES * n for n in run.patch)
    seen: dict[str, list[ObjectShapes]] = {name: [] for name in names}
    for i in range(DRAWN_MASKS):
        labels = draw(shape, working, stream(run.seed, "expected", i))
        for name, one in zip(names, labels.reshape(-1, *shape)):
            seen[name].append(shapes(one, working))
    return {name: ExpectedObjects.of("synthetic masks", working, found) for name, found in seen.items()}


def objects_of_source(run: Run, working: Voxel, names: tuple[str, ...]) -> dict[str, ExpectedObjects | None]:
    """Of the source's labels, in the lengths of the target: as large as the networks see them."""
    source = source_volumes(run)
    pairs = source_pairs(source, names if names != ("",) else ())
    lent = source_voxel(source, [image for image, _ in pairs], len(run.patch))
    seen: dict[str, list[ObjectShapes]] = {name: [] for name in names}
    stands: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for image, truth in take_evenly(pairs, MEASURED_IMAGES):
        ratio = [w / v for w, v in zip(working.size, lent.size)]
        voxel = Voxel(tuple(s * r for s, r in zip(image.voxel.size, ratio)), working.unit)
        raw = read_middle(image.array, voxel.ndim)
        labels = read_middle(known_labels(truth, source.ignore_id).array, voxel.ndim)
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
    parts = [read_middle(volume.array, len(volume.axes)) for volume in take_evenly(volumes, MEASURED_IMAGES)]
    channels = [
        np.concatenate([c.ravel() for c in each])
        for each in zip(*(split_channels(p, volumes[0].voxel.ndim) for p in parts))
    ]
    return [{f"{q:g}": float(v) for q, v in zip(PERCENTAGES, np.percentile(one, PERCENTAGES))} for one in channels]


def read_middle(array: Any, ndim: int) -> NDArray[Any]:
    """The middle of a volume (*S) or (C, *S), some LOOKED_AT_VOXELS of it."""
    space = array.shape[-ndim:]
    part = side_factor(space, LOOKED_AT_VOXELS)
    return np.asarray(array[(..., *middle_box(space, [max(round(n * part), 1) for n in space]))])
