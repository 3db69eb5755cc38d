"""What leaves a training: its network as a model folder, at the end and, where that is wished for, on the way.

OUT/model               the end
OUT/snapshots/STEP      states on the way there, each as if the training had ended at it
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
from torch import nn

from ..core.atomic import discard
from ..core.normalise import is_dataset_wide, measure
from ..core.voxel import Voxel
from ..data.channel_axis import split_channels
from ..data.streams import Domain, Images
from ..data.volumes import Volume
from ..methods import KNOWN, Method
from ..model import Segmenter
from ..model.folders import SNAPSHOTS, snapshots
from ..nets.network_spec import NetSpec, ResNetSpec, TranslatorSpec, UNetSpec
from ..represent import RepresentationSettings
from .domain_streams import fit_sides, image_stream
from .expected_objects import expected_objects, raw_intensities
from .facts import Facts
from .freeze import freeze, windows
from .run_settings import Run


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
