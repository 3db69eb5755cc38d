"""Data sets of a spec: files, phantoms, simulated pairs, stacks."""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ..core.settings import LaterSettings, Settings

Paths = str | list[str]
ByClass = Annotated[
    Annotated[Paths, Tag("(one)")] | Annotated[dict[str, Paths], Tag("(each)")],
    Discriminator(lambda said: "(each)" if isinstance(said, dict) else "(one)"),
]
Channel = int | str | tuple[int | str, ...] | None
Frames = str | tuple[int, ...] | None
Crop = dict[Literal["z", "y", "x"], tuple[float, float]] | None
Polarity = Literal["auto", "bright", "dark"]


def to_plain_value(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
        raise ValueError("a name becomes a folder; use letters, digits, '.', '_' and '-'")
    return value


class NamedEntry(Settings):
    """The part that every data set and every method has: a name of its own."""

    name: str

    @field_validator("name")
    @classmethod
    def fit_for_a_folder(cls, value: str) -> str:
        return to_plain_value(value)


class Annotation(Settings):
    """What it takes a person to label one image, in hours, and who says so."""

    hours: float = Field(gt=0)
    source: str


class SourceFiles(LaterSettings):
    """Labelled images of another modality, on disk as in `Files`; mask_above: their labels are a mask."""

    images: Paths
    labels: Paths
    axes: str | None = None
    channel: int | str | None = None
    voxel: tuple[float, ...] | None = None
    unit: str | None = None
    frames: Frames = None
    crop: Crop = None
    mask_above: float | None = None

    later = frozenset({"frames", "crop", "mask_above"})


class SourcePhantoms(Settings):
    """Labelled images that the spec makes: so many phantoms of a preset."""

    preset: str
    images: int = Field(4, ge=1)
    shape: tuple[int, ...] | None = None
    seed: int = 1


class Files(LaterSettings, NamedEntry):
    """Images on disk; paths are relative to the data root, which the command line gives.

    images, labels: what is segmented, and its truth, matched by name (one and one need not share it).
    train: images to learn from; None: `images` themselves. Their truth is never opened, but for an upper bound.
    train_labels: that truth. source: whose labels methods may borrow.
    mask_above: the truth is a gray mask, objects are the connected parts above this value.
    frames, crop: of the images and their truth; train_frames, train_crop: of what is learnt from, both or none.
    assume_same_size: objects are as large and as dark as the source's, and not measured.
    Several classes, each in a channel of its own: labels and train_labels are {golgi: path, nuclei: path}, channel is a
    list of as many numbers. pairs: {golgi: nuclei} where a number that the truths of both share is a pair.
    folds: every method is trained so many times, on the images of all folds but one, and scored on those of that one;
    images take their turns, train is left out. annotation: what it takes to label an image, for the table of time.
    polarity: bright objects, dark ones, or measured on the training images. The others: as in ImageSource.
    pictures: how many images are shown.
    """

    renamed: ClassVar[dict[str, str]] = {"alike": "assume_same_size"}

    images: Paths
    labels: ByClass
    train: Paths | None = None
    train_labels: ByClass | None = None
    source: (
        Annotated[
            Annotated[SourceFiles, Tag("files")] | Annotated[SourcePhantoms, Tag("made")],
            Discriminator(lambda value: "made" if has_value(value, "preset") else "files"),
        ]
        | None
    ) = None
    axes: str | None = None
    channel: Channel = None
    level: int = 0
    voxel: tuple[float, ...] | None = None
    unit: str | None = None
    frames: Frames = None
    crop: Crop = None
    train_frames: Frames = None
    train_crop: Crop = None
    mask_above: float | None = None
    assume_same_size: bool = False
    polarity: Polarity = "auto"
    pictures: int = Field(4, ge=0)
    pairs: dict[str, str] = {}
    folds: int | None = Field(None, ge=2)
    annotation: Annotation | None = None

    later = frozenset(
        {"frames", "crop", "train_frames", "train_crop", "assume_same_size", "pairs", "folds", "annotation"}
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """Of a single class the one name ""."""
        return tuple(self.labels) if isinstance(self.labels, dict) else ("",)

    @model_validator(mode="after")
    def classes_fit(self) -> "Files":
        names = self.classes
        if names != ("",) and (not isinstance(self.channel, tuple) or len(self.channel) != len(names)):
            raise ValueError(f"labels have the classes {', '.join(names)}; give channel a list with a number for each")
        told = tuple(self.train_labels) if isinstance(self.train_labels, dict) else ("",)
        if self.train_labels is not None and set(told) != set(names):
            raise ValueError(
                f"labels and train_labels have different classes: {', '.join(names)} and {', '.join(told)}"
            )
        if not {*self.pairs, *self.pairs.values()} <= set(names):
            raise ValueError(
                f"pairs names {', '.join({*self.pairs, *self.pairs.values()})}, but labels {', '.join(names)}"
            )
        if self.folds and (self.train or self.train_labels or self.frames or self.train_frames):
            raise ValueError("folds divide the images; leave train and frames out")
        return self


class Phantoms(NamedEntry):
    """Images that the spec makes itself: a preset of synth. images: how many to segment; train: how many to learn from.

    The seed is that of the images; the seeds of the spec are those of the trainings.
    """

    preset: str
    images: int = Field(4, ge=1)
    train: int = Field(8, ge=1)
    shape: tuple[int, ...] | None = None
    seed: int = 0
    polarity: Polarity = "auto"
    pictures: int = Field(4, ge=0)


class SimulatedPair(NamedEntry):
    """A pair of modalities that the spec makes itself: a pair of synth.

    images: of the target, to segment; train: of the target, to learn from; source: labelled ones of the other side.
    """

    pair: str
    images: int = Field(4, ge=1)
    train: int = Field(8, ge=1)
    source: int = Field(8, ge=1)
    shape: tuple[int, ...] | None = None
    seed: int = 0
    polarity: Polarity = "auto"
    pictures: int = Field(4, ge=0)


class Stacks(NamedEntry):
    """Stacks of several channels that the spec makes itself, a preset of synth, each segmented in its fold.

    images, folds, annotation: as of `Files`; the seed is that of the images.
    """

    stack: str
    images: int = Field(3, ge=2)
    folds: int = Field(3, ge=2)
    shape: tuple[int, int, int] | None = None
    seed: int = 0
    polarity: Polarity = "bright"
    pictures: int = Field(3, ge=0)
    annotation: Annotation | None = None


KIND_OF_KEY = {"preset": "phantoms", "pair": "simulated", "stack": "stacks"}
Dataset = Annotated[
    Annotated[Files, Tag("files")]
    | Annotated[Phantoms, Tag("phantoms")]
    | Annotated[SimulatedPair, Tag("simulated")]
    | Annotated[Stacks, Tag("stacks")],
    Discriminator(lambda value: next((kind for key, kind in KIND_OF_KEY.items() if has_value(value, key)), "files")),
]


def has_value(value: Any, key: str) -> bool:
    return key in value if isinstance(value, dict) else hasattr(value, key)
