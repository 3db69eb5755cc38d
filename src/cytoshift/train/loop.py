"""The one training loop: settings in, a run folder with what was learnt out.

OUT/run.yaml        what was asked for            OUT/samples/      sheets of translated samples
OUT/log.jsonl       every loss term, every note   OUT/checkpoints/  all that a step depends on
OUT/tensorboard/    the same as curves            OUT/snapshots/    models of states on the way
OUT/facts.json      input, versions, times        OUT/input.png     and source.png: what was read
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning_fabric import Fabric

from ..core.atomic import replacing
from ..core.errors import UserError
from ..core.rng import integer
from ..core.settings import parse, read_yaml
from ..core.signals import deferred
from ..core.voxel import Voxel
from ..data.domains import Batches
from ..data.volumes import Volume, open_volumes
from ..methods import METHODS, Method, Task
from ..model import Segmenter
from .domains import domains
from .facts import Facts
from .log import Log
from .proof import asked_of, cast
from .room import check_shared_memory
from .settings import Run
from .ship import Learnt, Shelf
from .training import Training, move

SHEET = 4  # samples that are looked at again and again
FREE = {
    "steps", "max_minutes", "log_every", "sheet_every", "checkpoint_every", "workers", "accelerator", "on_failure",
    "rollbacks", "snapshots", "select",
}  # fmt: skip


def learn(run: Run, out: Path, quiet: bool = False, shelf: Shelf | None = None) -> Learnt:
    """Train, or continue a training that was stopped. shelf: for the snapshots that run.train asks for.

    Raises UserError where `out` holds another run, where data and settings do not fit, and where the training fails
    and there is no good state to come back to.
    """
    fabric = launch(run)
    out = Path(out)
    facts = Facts(out, fabric.is_global_zero)
    with facts.clock.stage("opening"):
        volumes = open_volumes(run.data.images)
        working = working_voxel(run, volumes)
        method = build(run, working, volumes[0].channels)
        begin(run, method)
        eaten = domains(run, method.batch, volumes, working)
    batches = Batches(method.batch, eaten, run.train.batch, fabric.global_rank, fabric.world_size)
    check_shared_memory(batches, run.train.workers)
    if fabric.is_global_zero:
        claim(out, run)
    wanted = cast(asked_of(run.train.precision, fabric.device), fabric.device)
    learnt = Learnt(method, volumes, working, eaten, fabric, facts, wanted)
    training = Training(learnt, run, lambda attempt: build(run, working, volumes[0].channels, attempt), out, shelf)
    facts.begin(run, volumes, working, method, training.step)
    ended = train(training, batches, out, quiet)
    learnt = replace(training.learnt, ended=ended)
    facts.write(training.step)
    return learnt


def train(training: Training, batches: Batches, out: Path, quiet: bool) -> str:
    """Steps from the last checkpoint to the end; leaves the running mean of the weights in the method's network.

    Returns why the training was ended before that, or "".
    """
    settings, fabric, monitor = training.run.train, training.fabric, training.monitor
    fixed = move(Batches(batches.kind, batches.domains, SHEET)[0], fabric.device)
    with Log(out, training.step, settings.steps, fabric.is_global_zero, quiet) as log:
        training.find_precision(batches, log)
        if monitor.ended and not training.may_go_on():
            log.say(monitor.ended)
        else:
            monitor.ended = ""
            with deferred():
                while (failure := training.walk(batches, fixed, log)) and training.go_back(failure, log):
                    pass
    training.finish()
    return monitor.ended


def launch(run: Run) -> Fabric:
    """Processes and devices by Fabric; gradients are shared in train_step, so that no method knows of it.

    The precision is no matter of Fabric's: whether it is right shows when there is a method (proof.py).
    """
    many = run.train.devices * run.train.nodes > 1
    fabric = Fabric(
        accelerator=run.train.accelerator, devices=run.train.devices, num_nodes=run.train.nodes,
        strategy="ddp" if many else "auto",
    )  # fmt: skip
    fabric.launch()
    return fabric


def build(run: Run, working: Voxel, channels: int = 1, attempt: int = 0) -> Method:
    """The method with weights drawn from the run's seed and the attempt, whatever was drawn before.

    channels: of the images. Raises UserError where the method takes one channel, or one class, and there are more.
    """
    kind = METHODS[run.method]
    able = ", ".join(name for name, one in METHODS.items() if one.several)
    if channels > 1 and not kind.several:
        raise UserError(f"{run.method} takes images of one channel, these have {channels}; choose one, or take {able}")
    if run.represent.names and not kind.several:
        raise UserError(f"{run.method} segments one class, represent has several; represent one, or take {able}")
    options = parse(kind.settings, run.options, "options")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(run.seed, "weights", *[attempt] * (attempt > 0)))
        return kind(Task(working, run.represent, channels), options, integer(run.seed, "pool"))


def begin(run: Run, method: Method) -> None:
    """Load the weights of the model that the run starts from. Raises UserError where it is another network."""
    if run.start is None:
        return
    model = Segmenter.load(run.start)
    there, wish = model.spec.model_dump(mode="json"), method.shipped().model_dump(mode="json")
    if changed := differences(there, wish) or differences(
        {"channels": list(model.representation.channels)}, {"channels": list(run.represent.channels)}
    ):
        raise UserError(
            f"start: {run.start} holds another network ({changed[0]}); take the options, represent and voxel size of "
            "the run that it comes from"
        )
    method.network().load_state_dict(model.network.state_dict())


def working_voxel(run: Run, volumes: list[Volume]) -> Voxel:
    """The size the networks work at: as declared, or that of the images where they all share one."""
    ndim = volumes[0].voxel.ndim
    if len(run.patch) != ndim:
        raise UserError(f"patch {run.patch} has {len(run.patch)} axes, the images are '{volumes[0].axes}'; set patch")
    if run.data.voxel is not None:
        if len(run.data.voxel) != ndim:
            raise UserError(f"data.voxel {run.data.voxel} needs one size for each axis of '{volumes[0].axes}'")
        return Voxel(run.data.voxel, volumes[0].voxel.unit)
    sizes = {v.voxel for v in volumes}
    if len(sizes) > 1:
        raise UserError(f"the images have {len(sizes)} different voxel sizes; set data.voxel to the one to work at")
    return volumes[0].voxel


def claim(out: Path, run: Run) -> None:
    """Write run.yaml, or make sure that the one that is there says the same."""
    path = out / "run.yaml"
    wish = run.model_dump(mode="json")
    if path.exists():
        there = parse(Run, read_yaml(path), str(path)).model_dump(mode="json")  # with what it left to the defaults
        if changed := differences(there, wish):
            raise UserError(f"{out} holds a run with other settings ({changed[0]}); choose another -o or remove it")
        if there == wish:
            return
    with replacing(path) as beside:
        beside.write_text(yaml.safe_dump(wish, sort_keys=False))


def differences(there: Any, wish: Any, key: str = "") -> list[str]:
    """Settings that change what is learnt, as "train.lr: 0.0001, asked for 0.0004"."""
    if isinstance(there, dict) and isinstance(wish, dict):
        names = [n for n in [*wish, *(set(there) - set(wish))] if not (key == "train." and n in FREE)]
        return [d for n in names for d in differences(there.get(n), wish.get(n), f"{key}{n}.")]
    return [] if there == wish else [f"{key[:-1]}: {there}, asked for {wish}"]
