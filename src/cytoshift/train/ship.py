"""What leaves a training: its network as a model folder, at the end and, where that is wished for, on the way.

OUT/model               the end
OUT/snapshots/STEP      states on the way there, each as if the training had ended at it
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from ..core.atomic import discard
from ..core.normalise import measure, of_the_whole
from ..core.voxel import Voxel
from ..data.domains import Domain, Images
from ..data.several import apart
from ..data.volumes import Volume
from ..methods import KNOWN, Method
from ..model import Segmenter
from ..model.folders import SNAPSHOTS, snapshots
from ..nets.spec import NetSpec, ResNetSpec, TranslatorSpec
from ..represent import RepresentationSettings
from .expect import expected, intensities
from .facts import Facts
from .freeze import freeze, windows
from .settings import Run


@dataclass(frozen=True, eq=False)
class Learnt:
    """The end of a training: the method, whose network holds the weights to ship, and what it was learnt on."""

    method: Method
    volumes: list[Volume]
    working: Voxel
    domains: dict[str, Domain]
    fabric: Fabric
    facts: Facts
    cast: Callable[[], AbstractContextManager[Any]]  # the precision of the training
    ended: str = ""  # why the monitor stopped the training


Finish = Callable[[Learnt, Run], tuple[NetSpec, nn.Module]]


def shipped(learnt: Learnt, run: Run) -> tuple[NetSpec, nn.Module]:
    """The network as it leaves: instance norms of those that learn from masks keep the statistics of all images."""
    spec, network = learnt.method.shipped(), learnt.method.network()
    images = learnt.domains.get("images")
    if isinstance(spec, TranslatorSpec | ResNetSpec) and isinstance(images, Images):
        return freeze(spec, network, windows(images, run.seed), learnt.cast)
    return spec, network


@dataclass(frozen=True)
class Shelf:
    """Where the snapshots of a run lie, and how a network becomes one.

    out: folder of the run. run: its settings; of a recipe of stages those of the whole, not of the stage that learns.
    """

    out: Path
    run: Run
    finish: Finish = shipped
    known: dict[str, Any] = field(default_factory=dict)  # what was told of the objects, measured once

    @property
    def folder(self) -> Path:
        return self.out / SNAPSHOTS

    def models(self) -> dict[int, Path]:
        """Those that are there, by their steps, in order."""
        return snapshots(self.out)

    def take(self, learnt: Learnt, step: int) -> None:
        """Save what the method's network would ship now. The training goes on as if nobody had looked."""
        network = learnt.method.network()
        training = network.training
        with torch.random.fork_rng(devices=[]):  # a shipped network is built before its weights are laid in
            spec, finished = self.finish(learnt, self.run)
            told = {"step": step} | self.told(learnt)
            save(self.run, learnt, spec, finished, self.run.represent, self.folder / f"{step:06d}", told)
        network.train(training)

    def told(self, learnt: Learnt) -> dict[str, Any]:
        """For cards: the objects and intensities that the model has learnt from."""
        if not self.known:
            self.known["objects"] = expected(self.run, learnt.working)
            self.known["intensities"] = intensities(learnt.volumes)
        return self.known

    def back_to(self, step: int) -> None:
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
    run: Run, learnt: Learnt, spec: NetSpec, network: nn.Module, represent: RepresentationSettings, model: Path,
    more: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write the model folder. more: for its card."""
    normalise, volumes = run.data.normalise, learnt.volumes
    raws = [apart(v.array, len(v.axes)) for v in volumes]
    scale = measure(normalise, raws) if of_the_whole(normalise) else None
    Segmenter(
        spec=spec, network=network, normalisation=normalise, scale=scale, voxel=learnt.working,
        axes=volumes[0].axes, representation=represent, card=card(run, learnt) | (more or {}),
    ).save(model)  # fmt: skip


def card(run: Run, learnt: Learnt) -> dict[str, Any]:
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
