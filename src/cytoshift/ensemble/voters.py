"""Voters: independent ways to label images of which nothing is known.

Two of them are classical pipelines, three a network of the package that looks for objects of the measured size, of
smaller and of larger ones. Labels that somebody has already may vote, too. Each voter writes label images of its own; a
vote is taken over them (ensemble.py).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.settings import Settings
from ..data.label_pairs import match_names
from ..data.volumes import ImageSource, Volume, open_labels
from ..labels.ids import compact_labels
from ..labels.objects import objects
from ..measure.measurement import Polarity
from ..model import Segmenter
from ..predict.account import account_folder
from ..predict.blockwise.engine import Engine
from ..predict.classical import Classical
from ..predict.classical_pipelines import segment_by_pipeline
from ..predict.external_command import run_external
from ..predict.images import segment_images
from ..predict.outputs import Outputs
from ..predict.pipeline import Instances, Options, Prediction, predict
from ..trust.judge import Told
from ..trust.size_fit import Fit, fit_segmenter

DIAMETER_FACTORS = (1.0, 0.75, 1.33)  # of the measured diameter, for which networks look


class Measurements(Settings):
    """What is known of the objects in the images, see `trust.size_fit.Fit`.

    diameter: median equivalent diameter in the images' unit. sides: voxel sizes of the network by image, where images
    differ. words: how this was found.
    """

    diameter: float
    polarity: Polarity
    sides: dict[str, float] = {}
    words: str = ""

    @classmethod
    def of(cls, found: Fit) -> "Measurements":
        assert found.diameter is not None and found.polarity is not None, "models of the package are fitted"
        sides = dict(found.segmenter.sides)
        return cls(diameter=found.diameter, polarity=found.polarity, sides=sides, words=found.sentence)

    def fit_to(self, model: Segmenter, volumes: Sequence[Volume], factor: float = 1.0) -> Segmenter:
        """A model of the package made to look for objects of `factor` times the measured diameter."""
        fitted = fit_segmenter(model, volumes, factor * self.diameter, self.polarity)
        return replace(fitted, sides={name: factor * side for name, side in self.sides.items()})


class Voter(Protocol):
    """A way to label images. name: of its folder. request: what decides about its labels, as JSON values."""

    @property
    def name(self) -> str: ...

    @property
    def request(self) -> dict[str, Any]: ...

    def labels(self, volume: Volume) -> NDArray[np.int32]:
        """(*S) of an image in memory."""
        ...

    def write(self, outputs: Outputs, engine: Engine, told: Told) -> None:
        """The labels of all images that are not finished."""
        ...


@dataclass(frozen=True, eq=False)
class NetworkVoter:
    """A network that works on these images. digest: of its weights."""

    name: str
    segmenter: Segmenter
    digest: str

    @property
    def request(self) -> dict[str, Any]:
        sides = {"sides": dict(self.segmenter.sides)} if self.segmenter.sides else {}
        return {"model": self.digest, "voxel": list(self.segmenter.voxel.size), **sides}

    def labels(self, volume: Volume) -> NDArray[np.int32]:
        return predict(self.segmenter, volume).labels

    def write(self, outputs: Outputs, engine: Engine, told: Told) -> None:
        count = len(outputs.volumes)
        done = sum(map(outputs.is_finished, outputs.volumes))
        model = account_folder(outputs) / "model"
        if done < count:
            self.segmenter.save(model)  # where workers of other processes, and people, find it
        for finished in segment_images(self.segmenter, model, outputs, Options(), engine):
            done += len(finished)
            told(done / count)


@dataclass(frozen=True)
class ClassicalVoter:
    """A classical pipeline. options: its settings, whose class says which it is."""

    name: str
    options: Settings
    dark: bool

    @property
    def request(self) -> dict[str, Any]:
        kind = {} if isinstance(self.options, Classical) else {"pipeline": type(self.options).__name__}
        return {"classical": self.options.model_dump(mode="json"), "dark": self.dark, **kind}

    def labels(self, volume: Volume) -> NDArray[np.int32]:
        return segment_by_pipeline(self.options, volume.load(), volume.voxel, self.dark)

    def write(self, outputs: Outputs, engine: Engine, told: Told) -> None:
        write_each(self, outputs, engine, told)


@dataclass(frozen=True, eq=False)
class GivenVoter:
    """Labels of another program, or of a person. found: of each image, by its name. content: their digests."""

    name: str
    found: Mapping[str, Volume]
    content: Mapping[str, str]

    @classmethod
    def read(cls, name: str, source: ImageSource, volumes: Sequence[Volume]) -> "GivenVoter":
        """The labels of these images, paired by their names. Raises UserError where an image has none."""
        pairs = match_names(list(volumes), open_labels(source), "voter")
        content = {image.name: digest(labels.load()) for image, labels in pairs}
        return cls(name, {image.name: labels for image, labels in pairs}, content)

    @property
    def request(self) -> dict[str, Any]:
        return {"labels": dict(self.content)}

    def labels(self, volume: Volume) -> NDArray[np.int32]:
        return compact_labels(self.found[volume.name].load())[0].astype(np.int32)

    def write(self, outputs: Outputs, engine: Engine, told: Told) -> None:
        write_each(self, outputs, engine, told)


@dataclass(frozen=True, eq=False)
class ExternalVoter:
    """A system of others that runs as a command, over all images that are missing at once.

    command, values, limit: as of `run_external`. origin: what decides about its labels, beside the command.
    """

    name: str
    command: Sequence[str]
    values: Mapping[str, str]
    origin: Mapping[str, Any]
    limit: float | None = None

    @property
    def request(self) -> dict[str, Any]:
        return {"external": list(self.command), **self.origin}

    def labels(self, volume: Volume) -> NDArray[np.int32]:
        return run_external(self.command, [volume], self.values, self.limit).labels[volume.name]

    def write(self, outputs: Outputs, engine: Engine, told: Told) -> None:
        if missing := [volume for volume in outputs.volumes if not outputs.is_finished(volume)]:
            found = run_external(self.command, missing, self.values, self.limit)
            for number, volume in enumerate(missing, 1):
                write_instances(outputs, volume, found.labels[volume.name])
                told(number / len(missing))


def digest(labels: NDArray[np.generic]) -> str:
    """A text that differs where a voxel does."""
    return hashlib.blake2b(np.ascontiguousarray(labels).tobytes(), digest_size=16).hexdigest()


def write_each(voter: Voter, outputs: Outputs, engine: Engine, told: Told) -> None:
    """The labels of all images that are not finished, image by image."""
    missing = [outputs.of([volume]) for volume in outputs.volumes if not outputs.is_finished(volume)]
    count = len(outputs.volumes)
    for number, _ in enumerate(engine(partial(write_labels_of, voter), missing), count - len(missing) + 1):
        told(number / count)


def write_labels_of(voter: Voter, outputs: Outputs) -> None:
    """The labels of one image, here or in another process."""
    (volume,) = outputs.volumes
    write_instances(outputs, volume, voter.labels(volume))


def write_instances(outputs: Outputs, volume: Volume, labels: NDArray[np.int32]) -> None:
    """Labels (*S) of an image and the table of its objects."""
    table = objects(labels, volume.voxel)
    outputs.write(volume, Prediction({"": Instances(labels, table, np.ones(len(table.ids)))}, {}, {}))


def voters(
    model: Segmenter, digest: str, volumes: Sequence[Volume], measured: Measurements, given: Sequence[GivenVoter] = ()
) -> list[Voter]:
    """All that answer at once, the network at the measured size first, labels that are there already last."""
    out: list[Voter] = []
    for factor in DIAMETER_FACTORS:
        name = "network" if factor == 1 else f"network-size-{factor:g}"
        out.append(NetworkVoter(name, measured.fit_to(model, volumes, factor), digest))
    dark = measured.polarity == "dark"
    return [
        *out,
        ClassicalVoter("otsu", Classical(), dark),
        ClassicalVoter("local-threshold", Classical(threshold="local"), dark),
        *given,
    ]
