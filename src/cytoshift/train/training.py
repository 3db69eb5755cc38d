"""One training: all that its steps depend on, the way through them, and the way back after a failure.

checkpoints/last.pt     where it stands: a run that was killed goes on from here
checkpoints/good.pt     the last state in which the monitor saw nothing suspicious: a run that failed goes on from here
snapshots/STEP/         models of states on the way, where the run asks for them
"""

import math
import time
from collections.abc import Callable
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
from ..data.domains import Batches
from ..methods import Method
from . import checkpoint
from .ending import end_if_asked
from .log import Log
from .monitor import Monitor, Symptom
from .optimise import optimizers, rate
from .proof import cast, prove
from .settings import Run
from .ship import Learnt, Shelf
from .step import Diverged, Mean, joint, train_step

LAST, GOOD = "last.pt", "good.pt"
# Pictures of networks that know nothing yet are not judged: for a fifth of the training, within these limits of steps.
EARLY, AT_LEAST, AT_MOST = 0.2, 100, 1000
# After each rollback the samples of steps that no training reaches: those at hand have led to a failure.
LAP = 1_000_000_000


class Training:
    """The method of `learnt` from the last checkpoint in `out` to the end of `run`.

    renew: the method as it was before any step, with weights of another attempt. shelf: for snapshots.
    """

    def __init__(self, learnt: Learnt, run: Run, renew: Callable[[int], Method], out: Path, shelf: Shelf | None = None):
        self.learnt, self.run, self.renew, self.folder, self.shelf = learnt, run, renew, out / "checkpoints", shelf
        self.fabric, self.method = fabric, method = learnt.fabric, learnt.method
        self.facts, self.clock = learnt.facts, learnt.facts.clock
        self.precision: str = run.train.precision
        method.to(fabric.device)
        train = run.train
        self.optimizers = optimizers(method.players(), train)
        if stranger := next((name for name in train.rates if name not in self.optimizers), None):
            there = ", ".join(self.optimizers)
            raise UserError(f"train.rates names '{stranger}', {run.method} has {there}; take one of these")
        self.mean, self.monitor = Mean(method.network(), train.ema), Monitor(method.watch())
        self.parts: dict[str, Any] = {"method": method, "mean": self.mean, "monitor": self.monitor, **self.optimizers}
        self.step, elapsed = checkpoint.load(self.folder / LAST, self.parts)
        self.began, self.marked, self.kept = time.monotonic() - elapsed, (self.step, elapsed), self.step

    def find_precision(self, batches: Batches, log: Log) -> None:
        """Before a step is taken, whether the precision that is asked for is right here; see proof.py."""
        settings, device = self.run.train, self.fabric.device
        if self.step >= settings.steps:
            return
        with self.clock.stage("proof of the precision"):
            proof = prove(self.method, move(batches[self.step], device), settings.precision, device)
        self.learnt = replace(self.learnt, cast=cast(proof.precision, device))
        self.precision = proof.precision
        self.facts.session["computed"] = proof.dump()
        if proof.sentence:
            log.say(f"warning: {proof.sentence}")

    def walk(self, batches: Batches, fixed: Any, log: Log) -> Symptom | None:
        """Steps to the end of the training, or to a failure that is to be acted upon."""
        settings, lap = self.run.train, self.monitor.rollbacks * LAP
        before = progress_of(self.step - 1, time.monotonic() - self.began, settings, self.fabric)
        loader = DataLoader(
            batches, batch_size=None, sampler=range(lap + self.step, lap + settings.steps),
            num_workers=settings.workers, persistent_workers=False,
        )  # fmt: skip
        for batch in self.clock.waiting(loader, "samples"):
            progress = progress_of(self.step, time.monotonic() - self.began, settings, self.fabric)
            if progress >= 1:
                log.say(
                    f"stopped after {settings.max_minutes:g} minutes, at step {self.step} of {settings.steps}: expect "
                    "less than of all steps; train.steps instead gives the same on any machine"
                )
                break
            if passes(before, progress, settings.snapshots):
                self.snapshot()
            before = progress
            lr = settings.lr * rate(self.step, progress, settings) * 0.5**self.monitor.halvings
            for name, optimizer in self.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = lr * settings.rates.get(name, 1.0)
            try:
                with self.clock.stage("steps"):
                    batch = move(batch, self.fabric.device)
                    terms = train_step(self.method, self.optimizers, batch, progress, self.learnt.cast)
            except Diverged as error:
                if settings.on_failure == "warn":
                    last = self.folder / LAST
                    raise UserError(diverged(error.term, self.step, last, settings.lr, self.precision)) from None
                broken = Symptom("divergence", error.term, "the loss is not a number any more")
                log.say(f"warning at step {self.step}: {broken.sentence}")
                return broken
            self.step += 1
            with self.clock.stage("steps"):
                self.mean.update(self.method.network(), self.step)
            with self.clock.stage("log, sheets and monitor"):
                failure = self.look(terms, lr, fixed, log)
            if failure:
                return failure
            if self.step % settings.checkpoint_every == 0 or self.step == settings.steps:
                self.save(LAST)
            end_if_asked(self)
        return None

    def look(self, terms: dict[str, Tensor], lr: float, fixed: Any, log: Log) -> Symptom | None:
        """A row of the log and a sheet where they are due, and what the monitor says of both: in warnings, or as a
        failure to act upon. The first process decides for all."""
        settings, found = self.run.train, list[Symptom]()
        row, sheet = (
            self.step % n == 0 or self.step == settings.steps for n in (settings.log_every, settings.sheet_every)
        )
        if not row and not sheet:
            return None
        if row:
            found += self.monitor.numbers(self.row(terms, lr, log))
        if sheet:
            early = self.step < min(max(EARLY * settings.steps, AT_LEAST), AT_MOST)
            found += self.monitor.pictures(self.sheet(fixed, log), early)
        act = settings.on_failure != "warn"
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
        numbers, elapsed = joint(terms), time.monotonic() - self.began
        seconds = (elapsed - self.marked[1]) / max(self.step - self.marked[0], 1)
        self.marked = (self.step, elapsed)
        voxels = self.run.train.batch * self.fabric.world_size * math.prod(self.run.patch)
        log.step(self.step, numbers | {"lr": lr}, voxels / seconds, seconds * (self.run.train.steps - self.step))
        return numbers

    def sheet(self, fixed: Any, log: Log) -> dict[str, NDArray[np.float32]]:
        """Pictures of the shipped weights."""
        self.mean.swap(self.method.network())
        with self.learnt.cast(), torch.no_grad():
            pictures = self.method.look(fixed)
        self.mean.swap(self.method.network())
        log.pictures(self.step, pictures)
        return {name: value.float().cpu().numpy() for name, value in pictures.items()}

    def go_back(self, failure: Symptom, log: Log) -> bool:
        """To the last good state, or to a new beginning where there is none; False if the training is to end there.

        Raises UserError where it is to end and there is no good state.
        """
        settings, monitor, good = self.run.train, self.monitor, self.folder / GOOD
        at, again = self.step, settings.on_failure == "rollback" and monitor.rollbacks < settings.rollbacks
        rollbacks, halvings = monitor.rollbacks + again, monitor.halvings + (again and failure.kind == "divergence")
        there = self.fabric.broadcast(good.exists())
        if there:
            self.step, _ = checkpoint.load(good, self.parts)
        elif again:
            self.step = 0
            self.begin_anew(rollbacks)
        else:
            raise UserError(f"stopped at step {at}, and no state before was good: {failure.sentence}")
        monitor.rollbacks, monitor.halvings = rollbacks, halvings
        self.marked = (self.step, time.monotonic() - self.began)
        origin = f"the state of step {self.step}, the last good one" if there else "the beginning, with other weights"
        if again:
            gentler = f" and a learning rate of {settings.lr * 0.5**halvings:g}" if halvings else ""
            words = f"back to {origin}, on with other samples{gentler} ({rollbacks} of {settings.rollbacks})"
        else:
            words = monitor.ended = f"stopped at step {at} for {failure.key}; the model is {origin}"
        log.rewind(self.step)
        if self.shelf and self.fabric.is_global_zero:
            self.shelf.back_to(self.step)
        log.say(words)
        self.save(LAST)
        return again

    def begin_anew(self, attempt: int) -> None:
        """As before the first step, with weights drawn anew."""
        fresh = self.renew(attempt)
        self.method.load_state_dict(fresh.state_dict())
        self.mean.load_state_dict(Mean(fresh.network(), self.run.train.ema).state_dict())
        self.monitor.load_state_dict({})
        for optimizer in self.optimizers.values():
            optimizer.state.clear()

    def save(self, name: str, timed: bool = True) -> None:
        """timed: its time is not that of another stage already."""
        if name == LAST:
            self.kept = self.step
        if self.fabric.is_global_zero:
            with self.clock.stage("checkpoints") if timed else nullcontext():
                checkpoint.save(self.folder / name, self.step, time.monotonic() - self.began, self.parts)
            if name == LAST:
                self.facts.write(self.step)

    def may_go_on(self) -> bool:
        """A training that was ended does so where that is wished for now."""
        wish = self.run.train.on_failure
        return wish == "warn" or (wish == "rollback" and self.monitor.rollbacks < self.run.train.rollbacks)

    def snapshot(self) -> None:
        """A model of the weights that would be shipped now."""
        if self.shelf and self.fabric.is_global_zero:
            self.mean.swap(self.method.network())
            self.shelf.take(self.learnt, self.step)
            self.mean.swap(self.method.network())

    def finish(self) -> None:
        """The last checkpoint and snapshot, and the running mean in the method's network."""
        if self.step != self.kept:
            self.save(LAST)
        if self.run.train.snapshots:
            self.snapshot()
        if self.run.train.ema:
            self.mean.swap(self.method.network())


def progress_of(step: int, elapsed: float, settings: Any, fabric: Fabric) -> float:
    """0 to 1 by steps or, where minutes are limited, by whichever runs out first; the same in every process.

    Without a limit of minutes it depends on nothing but steps, and so does the learning rate.
    """
    progress = step / settings.steps
    if settings.max_minutes is not None:
        progress = max(progress, fabric.broadcast(elapsed) / (60 * settings.max_minutes))
    return progress


def passes(before: float, progress: float, snapshots: int) -> bool:
    """Whether one of so many evenly spaced marks lies between two values of the progress, or at the second."""
    return int(progress * snapshots + 1e-9) > int(before * snapshots + 1e-9)


def move(batch: Any, device: torch.device) -> Any:
    """A batch of nested NamedTuples to the device."""
    return type(batch)(*(type(part)(*(t.to(device) for t in part)) for part in batch))


def diverged(term: str, step: int, path: Path, lr: float, precision: str) -> str:
    cure = "train.precision=32" if precision != "32" else f"train.lr={lr / 2:g}"
    return (
        f"loss term {term} is not a number at step {step}; {path} is intact, go on in another `out` with {cure}, "
        "or in this one with train.on_failure=rollback"
    )
