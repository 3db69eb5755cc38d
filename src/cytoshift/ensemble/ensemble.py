"""From raw images to labels without any label, in stages. Each stage leaves labels that are better than those before.

    ensemble = open_ensemble(out, volumes, source, "nuclei-2d")
    ensemble.claim(overwrite)
    found = ensemble.run(engine)    both stages:
        ensemble.label_at_once      voters that answer at once, and a vote over them
        ensemble.improve            a network that learns from the vote on these images votes, too; where the
                                    vote is no surer then, the first one stands

What is on disk, in OUT:

    labels/       the best labels so far, as `segment` writes them: NAME.tif, report/objects.csv ...
    voters/NAME/  the labels of each voter
    training/     of the network that learns from the vote: labels/, run/
    model/        the network that fits these images best, for more of their kind
    run.json      what was measured and decided: the same command goes on with it

A stage that was stopped goes on where it was; one that is finished is not done again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ..configure.self_training import selftraining_run
from ..core.atomic import discard, refuse_other_kind
from ..core.errors import UserError
from ..core.json_files import read_json, write_json
from ..core.progress import follow_progress
from ..core.settings import Settings, parse
from ..data.volumes import ImageSource, Volume, open_labels
from ..labels.pseudo import IGNORED
from ..model import Segmenter, fingerprint
from ..model.shipped import model_folder
from ..predict.account import Account
from ..predict.blockwise.engine import Engine
from ..predict.claims import differences
from ..predict.outputs import Outputs, Table, whole_files
from ..predict.pipeline import Options
from ..predict.voting import vote_image, write_pseudo_labels
from ..train.fit import fit as fit_run
from ..trust.size_fit import fit, refuse_others
from .budget import steps_within, with_steps
from .expected_f1 import calibration
from .voters import GivenVoter, Measurements, NetworkVoter, Voter, voters

JSON = "run.json"
FOLDERS = ("labels", "voters", "training", "model")  # of OUT
FIRST, FINAL = "first", "final"
TRAINED = "trained"  # name of the voter that has learnt from the first vote
AGREED_F1 = 0.85  # expected F1@0.5 of a first vote from which on no network is trained unless that is asked for
FEWEST_OBJECTS = 10  # objects on which voters agree, below which nothing is learnt
Told = Callable[[str, float], None]  # what is being done, and which share of it is done


class Request(Settings):
    """What decides about the results.

    model: digest of the network. diameter, polarity: where they are given. budget: seconds for the training on these
    images. steps: of the training, where there is no budget; None: those of its preset. seed: of that training. given:
    digests of labels that vote, too.
    """

    model: str
    diameter: float | None = None
    polarity: str = "auto"
    budget: float | None = None
    steps: int | None = None
    seed: int = 0
    given: dict[str, str] = {}

    def without_training(self) -> dict[str, Any]:
        """What decides about the labels of the voters that answer at once."""
        return self.model_dump(mode="json", exclude={"budget", "steps", "seed"})


@dataclass(frozen=True)
class Wishes:
    """What a user may ask for; see `Request`. given: labels of the images that vote, too. also: other formats that the
    labels are written in. device: where networks run."""

    diameter: float | None = None
    polarity: str = "auto"
    budget: float | None = None
    steps: int | None = None
    seed: int = 0
    given: Sequence[ImageSource] = ()
    also: Sequence[str] = ()
    device: str = "cpu"


class Decisions(Settings):
    """run.json. images: where each image comes from. stages: finished ones, with what they found. complete: all stages
    of the request are finished."""

    request: Request
    images: dict[str, str]
    measured: Measurements | None = None
    steps: int | None = None
    stages: dict[str, dict[str, Any]] = {}
    complete: bool = False


@dataclass(frozen=True, eq=False)
class StageResult:
    """The labels after a stage. f1: what is expected of each image, by name. seconds: that the stage took. voters: the
    names of those that decided."""

    stage: str
    outputs: Outputs
    table: Table
    f1: dict[str, float]
    seconds: float
    voters: list[str]

    @property
    def score(self) -> float:
        """Mean of the images."""
        return fmean(self.f1.values())


class Ensemble:
    """One call on some images of one kind; `claim` first.

    Parameters
    ----------
    out : folder of the results.
    volumes, source : images with the same axes and unit, one channel; and how they are opened.
    model, name : network that labels objects of any size.
    request : what decides about the results.
    memory : bytes that may be used while label images are compared.
    given : labels that vote, too.
    also : other formats that the labels are written in.
    """

    def __init__(
        self, out: Path, volumes: Sequence[Volume], source: ImageSource, model: Segmenter, name: str, request: Request,
        memory: float = 2e9, given: Sequence[GivenVoter] = (), also: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.out, self.volumes, self.source, self.memory = Path(out), list(volumes), source, memory
        self.model, self.name, self.given = model, name, list(given)
        self.device = str(next(model.network.parameters()).device)
        self.decided = Decisions(request=request, images={one.name: one.origin for one in volumes})
        self.labels = Outputs(
            self.out / "labels", self.volumes, {"ensemble": request.without_training()}, join=whole_files(self.volumes),
            also=also,
        )  # fmt: skip

    def claim(self, overwrite: bool) -> None:
        """Go on with what is there, or begin. Another training keeps what comes before it.

        Raises UserError where results of something else are there. Nothing is removed that run.json does not name.
        """
        path = self.out / JSON
        for folder in (self.out, *(self.out / name for name in FOLDERS)):
            refuse_other_kind(folder, folder=True)
        if not path.exists():
            self.refuse_others()
            self.save()
            return
        there, wish = read_json(path), self.decided
        if not there:
            raise UserError(
                f"{path} is damaged, so the contents of the folder are not known; remove the folder, or pass another "
                "`out`"
            )
        before = parse(Decisions, there, str(path))
        changed = differences(
            {"images": before.images} | before.request.without_training(),
            {"images": wish.images} | wish.request.without_training(),
        )  # fmt: skip
        begun = before.measured is not None or any((self.out / name).exists() for name in FOLDERS)
        if changed and begun and not overwrite:
            raise UserError(
                f"{self.out} holds results of another request ({changed[0]}); pass `overwrite` to replace them or "
                "another `out`"
            )
        if changed or (overwrite and before.complete):
            self.remove("voters", "training", "model")
            self.save()
            return
        self.decided = before
        if before.request != wish.request:  # the labels of a former training are on disk: both votes are taken again
            self.remove("training", "model", f"voters/{TRAINED}")
            stages = {} if FINAL in before.stages else before.stages
            self.decide(request=wish.request, steps=None, stages=stages, complete=False)

    def remove(self, *names: str) -> None:
        for name in names:
            discard(self.out / name)

    def refuse_others(self) -> None:
        """Raises UserError where files of somebody else lie where results go."""
        for name in FOLDERS:
            if (self.out / name).exists():
                raise UserError(
                    f"{self.out / name} already exists, and this command did not write it; pass another `out`"
                )

    def save(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        write_json(self.out / JSON, self.decided.model_dump(mode="json"))

    def decide(self, **changes: Any) -> None:
        self.decided = self.decided.model_copy(update=changes)
        self.save()

    def measure(self, told: Told) -> Measurements:
        """Size and polarity of the objects; once."""
        if self.decided.measured is None:
            request = self.decided.request
            step = lambda done: told("measuring", done)
            found = fit(self.model, self.volumes, request.diameter, request.polarity, step)
            self.decide(measured=Measurements.of(found))
        assert self.decided.measured is not None, "it was measured just now"
        return self.decided.measured

    def places(self, voter: Voter) -> Outputs:
        """Where the labels of a voter go."""
        return Outputs(self.out / "voters" / voter.name, self.volumes, voter.request)

    def label(self, voter: Voter, engine: Engine, told: Told) -> Outputs:
        """The labels of a voter for all images; those that are there stay."""
        outputs = self.places(voter)
        outputs.claim(overwrite=False)
        voter.write(outputs, engine, lambda done: told(f"labels by {voter.name}", done))
        outputs.complete()
        return outputs

    def run(
        self, engine: Engine, told: Told = lambda *_: None, heard: Callable[[StageResult], None] = lambda _: None
    ) -> StageResult:
        """All stages of the request; the last result. heard: is told of each result."""
        found = self.label_at_once(engine, told)
        heard(found)
        if self.needs_training():
            found = self.improve(engine, told)
            heard(found)
        self.finish(found)
        return found

    def label_at_once(self, engine: Engine, told: Told = lambda *_: None) -> StageResult:
        """The vote of the voters that answer at once."""
        started = time.perf_counter()
        self.measure(told)
        return self.take_vote(FIRST, engine, told, started)

    def deciding(self, found: StageResult) -> list[Voter]:
        """The voters that decided a stage: all of it, or those of the first one, where training made it no surer."""
        return [one for one in self.every(found.stage) if one.name in found.voters]

    def every(self, stage: str) -> list[Voter]:
        """The voters of a stage."""
        assert self.decided.measured is not None, "a stage begins with measuring"
        every = voters(self.model, self.decided.request.model, self.volumes, self.decided.measured, self.given)
        if stage == FINAL and self.trained_model.exists():
            model = Segmenter.load(self.trained_model, self.device)
            every.append(NetworkVoter(TRAINED, model, fingerprint(self.trained_model)))
        return every

    def needs_training(self) -> bool:
        """Whether a network shall learn from the first vote: where that is asked for, or where the voters differ."""
        request = self.decided.request
        if request.budget is not None or request.steps is not None:
            return bool(request.budget or request.steps)
        return fmean(self.decided.stages[FIRST]["f1"].values()) < AGREED_F1

    def improve(self, engine: Engine, told: Told = lambda *_: None) -> StageResult:
        """The vote of the same voters and of a network that has learnt these images from their vote.

        The first vote stands where this one is not expected to be better."""
        started = time.perf_counter()
        if FINAL not in self.decided.stages and not self.trained_model.exists():
            self.teach(told)
        return self.take_vote(FINAL, engine, told, started)

    @property
    def trained_model(self) -> Path:
        """The model that has learnt these images."""
        return self.out / "training" / "run" / "model"

    def teach(self, told: Told) -> None:
        """Train on the vote. Without enough objects on which voters agree there is nothing to learn, and no model."""
        folder, every = self.out / "training", self.every(FIRST)
        for number, volume in enumerate(self.volumes):
            told("labels to learn from", number / len(self.volumes))
            place = folder / "labels" / f"{volume.name}.tif"
            if not place.exists():
                arrays = [self.places(one).open(volume).array for one in every]
                write_pseudo_labels(place, volume, arrays, memory=self.memory)
        if sum(count_sure(folder / "labels" / f"{one.name}.tif") for one in self.volumes) < FEWEST_OBJECTS:
            return
        assert self.decided.measured is not None, "the first stage has measured it"
        fitted = self.decided.measured.fit_to(self.model, self.volumes)
        labels = ImageSource(paths=str(folder / "labels"))
        run = selftraining_run(fitted, self.name, self.source, labels, seed=self.decided.request.seed)
        if (steps := self.decided.steps) is None:
            told("speed of the training", 0.0)
            request = self.decided.request
            steps = request.steps or run.train.steps if request.budget is None else steps_within(request.budget, run)
            self.decide(steps=steps)
        with follow_progress(lambda _, done, total: told("training on the vote", done / total)):
            fit_run(with_steps(run, steps), folder / "run", quiet=True)

    def take_vote(self, stage: str, engine: Engine, told: Told, started: float) -> StageResult:
        """The labels on which the voters of a stage agree."""
        if stage in self.decided.stages:
            done = self.decided.stages[stage]
            table = Table.read(self.labels.table)
            return StageResult(stage, self.labels, table, done["f1"], done["seconds"], done["voters"])
        every = self.every(stage)
        for one in every:
            self.label(one, engine, told)
        table, f1 = self.elect(stage, every, told)
        if stage == FINAL and fmean(f1.values()) < fmean(self.decided.stages[FIRST]["f1"].values()):
            every = self.every(FIRST)  # what the network has learnt makes the vote no surer
            table, f1 = self.elect(stage, every, told)
        seconds, names = time.perf_counter() - started, [one.name for one in every]
        self.decide(stages=self.decided.stages | {stage: {"f1": f1, "seconds": seconds, "voters": names}})
        return StageResult(stage, self.labels, table, f1, seconds, names)

    def elect(self, stage: str, every: list[Voter], told: Told) -> tuple[Table, dict[str, float]]:
        """Write the labels on which voters agree; the table of their objects, and the F1 expected of each image."""
        request = self.labels.request | {"stage": stage, "voters": [one.name for one in every]}
        join, also = self.labels.joined, self.labels.also
        outputs = Outputs(self.labels.out, self.volumes, request, join=join, also=also)
        outputs.claim(overwrite=True)
        curve, f1 = calibration(), dict[str, float]()
        for number, volume in enumerate(self.volumes):
            told("vote", number / len(self.volumes))
            found = [self.places(one).open(volume) for one in every]
            election = vote_image(
                outputs, volume, found, None, None, self.memory, confidence=curve.confidence, image=volume
            )
            f1[volume.name] = curve.f1(election)
        outputs.join_frames()
        table = outputs.join()
        outputs.complete()
        self.labels = outputs
        return table, f1

    def finish(self, found: StageResult) -> None:
        """The model that fits these images best, and what the report of the labels reads."""
        assert self.decided.measured is not None, "a stage has measured it"
        best = self.decided.measured.fit_to(self.model, self.volumes)
        if TRAINED in found.voters:
            best = Segmenter.load(self.trained_model)
        if not (self.out / "model").exists():
            best.save(self.out / "model")
        account = Account(self.labels, best, Options())
        account.images({})
        account.end(found.seconds)
        self.decide(complete=True)


def count_sure(place: Path) -> int:
    """Objects in labels to learn from."""
    ids = np.unique(open_labels(place)[0].load())
    return int(((ids > 0) & (ids != IGNORED)).sum())


def open_ensemble(
    out: Path, volumes: Sequence[Volume], source: ImageSource, model: str | Path, wishes: Wishes | None = None
) -> Ensemble:
    """An ensemble of a model by its name.

    Raises UserError where the model is for one size only or does not fit the images, and where an image has no given
    labels.
    """
    wishes = wishes or Wishes()
    network = Segmenter.load(model_folder(model), wishes.device)
    if network.diameter is None:
        raise UserError(f"{model} was trained for one size of objects; pass a model of the package, as nuclei-2d")
    refuse_others(network, volumes)
    others = [GivenVoter.read(f"given-{number}", one, volumes) for number, one in enumerate(wishes.given, 1)]
    request = Request(
        model=fingerprint(model), diameter=wishes.diameter, polarity=wishes.polarity, budget=wishes.budget,
        steps=wishes.steps, seed=wishes.seed,
        given={f"labels of {name} by {one.name}": digest for one in others for name, digest in one.content.items()},
    )  # fmt: skip
    return Ensemble(out, volumes, source, network, str(model), request, given=others, also=wishes.also)
