"""One training of one method, from top to bottom: settings in, a run folder with what was learnt out.

OUT/run.yaml        what was asked for              OUT/samples/      sheets of translated samples
OUT/log.jsonl       every loss term, every note     OUT/snapshots/    models of states on the way
OUT/tensorboard/    the same as curves              OUT/model/        the trained segmenter
OUT/facts.json      input, versions, times          OUT/input.png     and source.png: what was read
OUT/checkpoints/last.pt     where it stands: a run that was killed goes on from here
OUT/checkpoints/good.pt     the last state without a suspicion: a run that failed goes on from here
"""

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from ..core.errors import UserError
from ..core.signals import StopRequest, defer_signals, requested_signal
from ..data.streams import Batches, check_shared_memory
from ..data.volumes import open_volumes
from . import checkpoint
from .domain_streams import domain_streams
from .facts import Facts
from .log import Log
from .monitor import Monitor, Symptom
from .proof import automatic_precision, cast, prove_precision
from .run_folder import claim_settings
from .run_settings import Run
from .ship import SnapshotFolder, TrainingResult
from .start import build, working_voxel
from .step import DivergenceError, Mean, mean_terms, optimizers, rate, train_step

SHEET_SAMPLES = 4  # samples that are looked at again and again
LAST, GOOD = "last.pt", "good.pt"
# Pictures of networks that know nothing yet are not judged: for a fifth of the training, within these limits of steps.
EARLY_PART, EARLY_AT_LEAST, EARLY_AT_MOST = 0.2, 100, 1000
# After each rollback the samples of steps that no training reaches: those at hand have led to a failure.
ROLLBACK_SAMPLES = 1_000_000_000


class Trainer:
    """The state of one training: opened from settings, restored from its last checkpoint, run to its end.

    settings: run.yaml. out: folder of the run. shelf: for the snapshots that the settings ask for.
    Raises UserError where `out` holds another run, and where data and settings do not fit.
    """

    def __init__(self, settings: Run, out: Path, quiet: bool = False, shelf: SnapshotFolder | None = None) -> None:
        self.settings, self.train, self.out, self.quiet, self.shelf = settings, settings.train, Path(out), quiet, shelf
        self.folder = self.out / "checkpoints"
        self.fabric = launch(settings)
        self.device, main = self.fabric.device, self.fabric.is_global_zero
        self.facts = Facts(self.out, main)
        self.clock = self.facts.clock
        with self.clock.stage("opening"):
            self.volumes = open_volumes(settings.data.images)
            self.working = working_voxel(settings, self.volumes)
            self.method = build(settings, self.working, self.volumes[0].channels)
            streams = domain_streams(settings, self.method.batch, self.volumes, self.working)
        self.batches = Batches(
            self.method.batch, streams, self.method.batch_sizes(self.train.batch), self.fabric.global_rank,
            self.fabric.world_size,
        )  # fmt: skip
        check_shared_memory(self.batches, self.train.workers)
        if main:
            claim_settings(self.out, settings)
        self.precision: str = self.train.precision
        wanted = cast(automatic_precision(self.precision, self.device), self.device)
        self.learnt = TrainingResult(self.method, self.volumes, self.working, streams, self.fabric, self.facts, wanted)
        self.method.to(self.device)
        self.optimizers = optimizers(self.method.players(), self.train)
        if unknown := next((name for name in self.train.lr_multipliers if name not in self.optimizers), None):
            there = ", ".join(self.optimizers)
            raise UserError(
                f"train.lr_multipliers names '{unknown}', but {settings.method} has {there}; take one of these"
            )
        self.mean, self.monitor = Mean(self.method.network(), self.train.ema), Monitor(self.method.monitor_spec())
        self.step, elapsed = self.restore(LAST)
        self.began, self.marked, self.kept = time.monotonic() - elapsed, (self.step, elapsed), self.step
        self.facts.begin(settings, self.volumes, self.working, self.method, self.step)

    def run(self) -> TrainingResult:
        """Steps to the end; leaves the running mean of the weights in the method's network.

        Raises UserError where the training fails and there is no good state to come back to.
        """
        samples = move(Batches(self.batches.kind, self.batches.domains, SHEET_SAMPLES)[0], self.device)
        with Log(self.out, self.step, self.train.steps, self.fabric.is_global_zero, self.quiet) as log:
            self.find_precision(log)
            if self.monitor.ended and not self.may_go_on():
                log.say(self.monitor.ended)
            else:
                self.monitor.ended = ""
                with defer_signals():
                    while (failure := self.steps(samples, log)) and self.go_back(failure, log):
                        pass
        if self.step != self.kept:
            self.save(LAST)
        if self.train.snapshots:
            self.snapshot()
        if self.train.ema:
            self.mean.swap(self.method.network())
        self.facts.write(self.step)
        return replace(self.learnt, ended=self.monitor.ended)

    def steps(self, samples: Any, log: Log) -> Symptom | None:
        """Steps to the end of the training, or to a failure that is to be acted upon. samples: for the sheets."""
        train, lap = self.train, self.monitor.rollbacks * ROLLBACK_SAMPLES
        before = self.progress(self.step - 1)
        loader = DataLoader(
            self.batches, batch_size=None, sampler=range(lap + self.step, lap + train.steps),
            num_workers=train.workers, persistent_workers=False,
        )  # fmt: skip
        for batch in self.clock.wait_for(loader, "samples"):
            progress = self.progress(self.step)
            if progress >= 1:
                log.say(
                    f"stopped after {train.max_minutes:g} minutes, at step {self.step} of {train.steps}: expect a "
                    "worse model than after all steps; set train.steps instead for the same result on any machine"
                )
                break
            if passes_mark(before, progress, train.snapshots):
                self.snapshot()
            before, lr = progress, self.set_learning_rate(progress)
            try:
                with self.clock.stage("steps"):
                    batch = move(batch, self.device)
                    terms = train_step(self.method, self.optimizers, batch, progress, self.learnt.cast)
            except DivergenceError as error:
                if train.on_failure == "warn":
                    raise UserError(self.describe_divergence(error.term)) from None
                broken = Symptom("divergence", error.term, "the loss is not a number any more")
                log.say(f"warning at step {self.step}: {broken.sentence}")
                return broken
            self.step += 1
            with self.clock.stage("steps"):
                self.mean.update(self.method.network(), self.step)
            with self.clock.stage("log, sheets and monitor"):
                failure = self.look(terms, lr, samples, log)
            if failure:
                return failure
            if self.step % train.checkpoint_every == 0 or self.step == train.steps:
                self.save(LAST)
            self.end_if_asked()
        return None

    def progress(self, step: int) -> float:
        """0 to 1 by steps or, where minutes are limited, by whichever runs out first; the same in every process.

        Without a limit of minutes it depends on nothing but steps, and so does the learning rate.
        """
        share, elapsed = step / self.train.steps, time.monotonic() - self.began
        if self.train.max_minutes is not None:
            share = max(share, self.fabric.broadcast(elapsed) / (60 * self.train.max_minutes))
        return share

    def set_learning_rate(self, progress: float) -> float:
        """Of every optimiser; returns it before the multipliers of single optimisers."""
        lr = self.train.lr * rate(self.step, progress, self.train) * 0.5**self.monitor.halvings
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = lr * self.train.lr_multipliers.get(name, 1.0)
        return lr

    def find_precision(self, log: Log) -> None:
        """Before a step is taken, whether the precision that is asked for is right here; see proof.py."""
        if self.step >= self.train.steps:
            return
        with self.clock.stage("proof of the precision"):
            batch = move(self.batches[self.step], self.device)
            proof = prove_precision(self.method, batch, self.train.precision, self.device)
        self.learnt = replace(self.learnt, cast=cast(proof.precision, self.device))
        self.precision = proof.precision
        self.facts.session["computed"] = proof.dump()
        if proof.sentence:
            log.say(f"warning: {proof.sentence}")

    def look(self, terms: dict[str, Tensor], lr: float, samples: Any, log: Log) -> Symptom | None:
        """A row of the log and a sheet where they are due, and what the monitor says of both: in warnings, or as a
        failure to act upon. The first process decides for all."""
        train, found = self.train, list[Symptom]()
        row, sheet = (self.step % n == 0 or self.step == train.steps for n in (train.log_every, train.samples_every))
        if not row and not sheet:
            return None
        if row:
            found += self.monitor.numbers(self.row(terms, lr, log))
        if sheet:
            early = self.step < min(max(EARLY_PART * train.steps, EARLY_AT_LEAST), EARLY_AT_MOST)
            found += self.monitor.pictures(self.sheet(samples, log), early)
        act = train.on_failure != "warn"
        found = self.fabric.broadcast(found)
        for symptom in found:
            if act or self.monitor.is_new(symptom):
                log.say(f"warning at step {self.step}: {symptom.sentence}")
        if found and act:
            return found[0]
        if sheet and self.monitor.at_ease:
            self.save(GOOD, timed=False)
        return None

    def row(self, terms: dict[str, Tensor], lr: float, log: Log) -> dict[str, float]:
        """Loss terms of the joint batch, and how fast it goes."""
        numbers, elapsed = mean_terms(terms), time.monotonic() - self.began
        seconds = (elapsed - self.marked[1]) / max(self.step - self.marked[0], 1)
        self.marked = (self.step, elapsed)
        voxels = self.train.batch * self.fabric.world_size * math.prod(self.settings.patch)
        log.step(self.step, numbers | {"lr": lr}, voxels / seconds, seconds * (self.train.steps - self.step))
        return numbers

    def sheet(self, samples: Any, log: Log) -> dict[str, NDArray[np.float32]]:
        """Sample images of the weights that would be exported."""
        self.mean.swap(self.method.network())
        with self.learnt.cast(), torch.no_grad():
            pictures = self.method.sample_images(samples)
        self.mean.swap(self.method.network())
        log.pictures(self.step, pictures)
        return {name: value.float().cpu().numpy() for name, value in pictures.items()}

    def snapshot(self) -> None:
        """A model with the weights that would be exported now."""
        if self.shelf and self.fabric.is_global_zero:
            self.mean.swap(self.method.network())
            self.shelf.take(self.learnt, self.step)
            self.mean.swap(self.method.network())

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds beside the step and the time."""
        return {"method": self.method, "mean": self.mean, "monitor": self.monitor, **self.optimizers}

    def save(self, name: str, timed: bool = True) -> None:
        """timed: its time is not that of another stage already."""
        if name == LAST:
            self.kept = self.step
        if self.fabric.is_global_zero:
            with self.clock.stage("checkpoints") if timed else nullcontext():
                checkpoint.save(self.folder / name, self.step, time.monotonic() - self.began, self.parts)
            if name == LAST:
                self.facts.write(self.step)

    def restore(self, name: str) -> tuple[int, float]:
        """The step and the seconds of a checkpoint, whose state this is then; (0, 0) where there is none."""
        return checkpoint.load(self.folder / name, self.parts)

    def end_if_asked(self) -> None:
        """Raises Stopped after a signal, when the state is saved; the first process decides for all."""
        number = requested_signal()
        if self.fabric.world_size > 1:
            number = self.fabric.broadcast(number)
        if not number:
            return
        if self.kept != self.step:
            self.save(LAST)
        self.fabric.barrier()  # whoever ends before the others would end them
        words = f"the checkpoint is that of step {self.step}, the same command goes on from there"
        raise StopRequest(number, words if self.fabric.is_global_zero else None)

    def may_go_on(self) -> bool:
        """Whether a training that the monitor ended continues, by the present value of `on_failure`."""
        wish = self.train.on_failure
        return wish == "warn" or (wish == "rollback" and self.monitor.rollbacks < self.train.rollbacks)

    def go_back(self, failure: Symptom, log: Log) -> bool:
        """To the last good state, or to a new beginning where there is none; False if the training is to end there.

        Raises UserError where it is to end and there is no good state.
        """
        train, monitor = self.train, self.monitor
        at, again = self.step, train.on_failure == "rollback" and monitor.rollbacks < train.rollbacks
        rollbacks, halvings = monitor.rollbacks + again, monitor.halvings + (again and failure.kind == "divergence")
        there = self.fabric.broadcast((self.folder / GOOD).exists())
        if there:
            self.step, _ = self.restore(GOOD)
        elif again:
            self.step = 0
            self.begin_anew(rollbacks)
        else:
            raise UserError(f"stopped at step {at}, and no state before was good: {failure.sentence}")
        monitor.rollbacks, monitor.halvings = rollbacks, halvings
        self.marked = (self.step, time.monotonic() - self.began)
        origin = f"the state of step {self.step}, the last good one" if there else "the beginning, with other weights"
        if again:
            gentler = f" and a learning rate of {train.lr * 0.5**halvings:g}" if halvings else ""
            words = f"back to {origin}, continued with other samples{gentler} ({rollbacks} of {train.rollbacks})"
        else:
            words = monitor.ended = f"stopped at step {at} for {failure.key}; the model is {origin}"
        log.rewind(self.step)
        if self.shelf and self.fabric.is_global_zero:
            self.shelf.forget_after(self.step)
        log.say(words)
        self.save(LAST)
        return again

    def begin_anew(self, attempt: int) -> None:
        """As before the first step, with weights drawn anew, or those of the model that the run starts from."""
        fresh = build(self.settings, self.working, self.volumes[0].channels, attempt)
        self.method.load_state_dict(fresh.state_dict())
        self.mean.load_state_dict(Mean(fresh.network(), self.train.ema).state_dict())
        self.monitor.load_state_dict({})
        for optimizer in self.optimizers.values():
            optimizer.state.clear()

    def describe_divergence(self, term: str) -> str:
        cure = "train.precision=32" if self.precision != "32" else f"train.lr={self.train.lr / 2:g}"
        return (
            f"loss term {term} is not a number at step {self.step}; {self.folder / LAST} is intact, go on in another "
            f"`out` with {cure}, or in this one with train.on_failure=rollback"
        )


def passes_mark(before: float, progress: float, snapshots: int) -> bool:
    """Whether one of so many evenly spaced marks lies between two values of the progress, or at the second."""
    return int(progress * snapshots + 1e-9) > int(before * snapshots + 1e-9)


def move(batch: Any, device: torch.device) -> Any:
    """A batch of nested NamedTuples to the device."""
    return type(batch)(*(type(part)(*(t.to(device) for t in part)) for part in batch))


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
