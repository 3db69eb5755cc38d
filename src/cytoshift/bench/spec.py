"""What is compared: data sets, methods, seeds. A spec is a YAML file without a path of any one machine."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ..core.errors import UserError
from ..core.settings import LaterSettings, Settings, parse, read_yaml
from ..methods import ADGAN
from ..predict.cellprofiler import CellProfiler
from ..predict.classical import Classical
from ..predict.external_command import parse_command
from ..predict.external_recipes import read_recipe
from ..predict.squassh import Squassh
from ..train.run_settings import known_method

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


class ClassicalBaseline(NamedEntry, Classical):
    """The classical pipeline."""

    kind: Literal["classical"]


class CellProfilerBaseline(NamedEntry, CellProfiler):
    """CellProfiler's IdentifyPrimaryObjects."""

    kind: Literal["cellprofiler"]


class SquasshBaseline(NamedEntry, Squassh):
    """Squassh."""

    kind: Literal["squassh"]


class ExternalMethod(NamedEntry):
    """A system of others that runs in an environment of its own, see `predict.external_command`.

    recipe: name of a recipe of the package, whose environment `cytoshift doctor` makes; or command: a template with
    {images} and {labels}. size: of the objects, where the template has {diameter}: measured, or that of the labels.
    time_limit: minutes for the images of a data set. needs: what has to be there first, said in the table where it is
    not; None: what the recipe says.
    """

    kind: Literal["external"]
    recipe: str | None = None
    command: str | list[str] | None = None
    size: Literal["measured", "true"] = "measured"
    time_limit: float | None = Field(None, gt=0)
    needs: str | None = None

    @model_validator(mode="after")
    def one_of_them_is_given(self) -> "ExternalMethod":
        if (self.recipe is None) == (self.command is None):
            raise ValueError(f"'{self.name}' needs a recipe or a command; give one of them")
        try:
            read_recipe(self.recipe) if self.recipe is not None else parse_command(self.command or "")
        except UserError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def lacks(self) -> str:
        """What has to be there first, in words; "" where nothing is known to."""
        recipe = None if self.recipe is None else read_recipe(self.recipe)
        needs = self.needs if self.needs is not None else "" if recipe is None else recipe.needs
        images = [f"{recipe.ndim[0]}D images"] if recipe is not None and len(recipe.ndim) == 1 else []
        return " and ".join([*filter(None, [needs]), *images])


class TrainedMethod(LaterSettings, NamedEntry):
    """A training per data set and seed, from the settings that 'cytoshift new' would write.

    preset, represent, cells: as of 'cytoshift new'. settings: laid over them, as groups or as "train.steps: 500".
    segment: wishes of segmentation, as "mirror: true".
    labels: of the source, or those of the target's training images: an upper bound, no adaptation.
    candidates: settings to choose from, in data sets with folds (nested cross-validation). Each is trained without one
        training image after the other. The one with the best mean Dice on these images is trained on all of them. The
        fold that is scored is not used for the choice.
    density_factor: synthetic masks of one class have so many times as many objects as those that are measured; for the
        sensitivity of AD-GAN's Fig. 13.
    seeds: instead of the spec's.
    """

    renamed: ClassVar[dict[str, str]] = {"among": "candidates"}

    kind: Literal["train"]
    method: str = Field(default_factory=lambda: ADGAN.name)
    preset: str = "laptop"
    represent: Literal["bcd", "bc", "ternary", "semantic"] | None = None
    labels: Literal["source", "target"] = "source"
    cells: str | None = None
    candidates: list[dict[str, Any]] = []
    density_factor: float = Field(1.0, gt=0)
    seeds: list[int] | None = Field(None, min_length=1)

    later = frozenset({"cells", "candidates", "density_factor"})

    @field_validator("method")
    @classmethod
    def check_names(cls, value: str) -> str:
        return known_method(value)

    settings: dict[str, Any] = {}
    segment: dict[str, Any] = {}


class FinetunedMethod(NamedEntry):
    """The network of another entry, trained on with some labels of the target's training images.

    after: the name of that entry, which trains. fraction: of these labels, 0 to 1. settings, segment, seeds: as there.
    The settings of that entry are kept, except the learning rate, which is a tenth of it.
    """

    renamed: ClassVar[dict[str, str]] = {"part": "fraction"}

    kind: Literal["finetune"]
    after: str
    fraction: float = Field(gt=0, le=1)
    seeds: list[int] | None = Field(None, min_length=1)
    settings: dict[str, Any] = {}
    segment: dict[str, Any] = {}


class ExistingModel(NamedEntry):
    """A trained model as it is.

    model: its folder, relative to the working folder, or a model of the package; {ndim} in it becomes the number of
    dimensions of the images. size: of the objects, of models for any: "measured", or "true", that of the labels.
    segment: wishes, as in `TrainedMethod`.
    """

    kind: Literal["model"]
    model: str
    size: Literal["measured", "true"] = "measured"
    segment: dict[str, Any] = {}


class RunWithoutLabels(NamedEntry):
    """All of `cytoshift run`, by a model of the package.

    steps: of the training on the images; 0: the first result, None: those that the command takes.
    """

    kind: Literal["run"]
    steps: int | None = Field(None, ge=0)


KINDS = {"preset": "phantoms", "pair": "simulated", "stack": "stacks"}
Dataset = Annotated[
    Annotated[Files, Tag("files")]
    | Annotated[Phantoms, Tag("phantoms")]
    | Annotated[SimulatedPair, Tag("simulated")]
    | Annotated[Stacks, Tag("stacks")],
    Discriminator(lambda value: next((kind for key, kind in KINDS.items() if has_value(value, key)), "files")),
]
Contender = Annotated[
    ClassicalBaseline
    | CellProfilerBaseline
    | SquasshBaseline
    | ExternalMethod
    | TrainedMethod
    | FinetunedMethod
    | ExistingModel
    | RunWithoutLabels,
    Field(discriminator="kind"),
]


def has_value(value: Any, key: str) -> bool:
    return key in value if isinstance(value, dict) else hasattr(value, key)


class PublishedResults(Settings):
    """Numbers of a paper beside ours: its name, the data set that they belong with, and each method's number there."""

    name: str
    dataset: str
    numbers: dict[str, float]


class Overview(Settings):
    """One table of all data sets and methods with a single score, as papers have it.

    score: as in results.json; "pooled_iou" is over all images together. methods: as columns, all without it.
    published: rows to compare with.
    """

    score: Literal["dice", "iou", "pooled_iou", "precision", "recall", "f1_50", "ap_50", "pq"] = "pooled_iou"
    methods: list[str] | None = None
    published: list[PublishedResults] = []


class Spec(Settings):
    """One table per data set. seeds: of the trainings; what does not train runs once.

    overview: a table of all data sets above them. A file may name another one beside it, `base: other.yaml`, for what
        it does not say itself.
    """

    title: str
    note: str = ""
    overview: Overview | None = None
    datasets: list[Dataset] = Field(min_length=1)
    methods: list[Contender] = Field(min_length=1)
    seeds: list[int] = Field([0], min_length=1)

    @model_validator(mode="after")
    def names_differ(self) -> "Spec":
        names = [entry.name for entry in [*self.datasets, *self.methods]]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the name '{twice}' is used twice; give every data set and method its own")
        return self

    @model_validator(mode="after")
    def what_is_finetuned_trains(self) -> "Spec":
        there = [method.name for method in self.methods if isinstance(method, TrainedMethod)]
        for method in self.methods:
            if isinstance(method, FinetunedMethod) and method.after not in there:
                raise ValueError(
                    f"'{method.name}' continues '{method.after}', which is not there; there are {', '.join(there)}"
                )
        return self

    @model_validator(mode="after")
    def overview_is_known(self) -> "Spec":
        if self.overview is not None:
            wished = [*(self.overview.methods or []), *(name for p in self.overview.published for name in p.numbers)]
            there = [method.name for method in self.methods]
            if stranger := next((name for name in wished if name not in there), None):
                raise ValueError(f"overview names '{stranger}', but the methods are {', '.join(there)}")
        return self


def read_spec(path: Path) -> Spec:
    """A checked spec; `base: other.yaml` takes from a spec beside it what it does not say itself.

    Raises UserError with the key that does not fit.
    """
    said = read_yaml(path)
    if base := said.pop("base", None):
        said = read_yaml(path.with_name(str(base))) | said
    return parse(Spec, said, str(path))


def choose(spec: Spec, only: list[str]) -> tuple[list[Dataset], list[Contender]]:
    """Data sets and methods that `only` names; of the kind that no name belongs to, all."""
    every = [entry.name for entry in [*spec.datasets, *spec.methods]]
    if strange := next((name for name in only if name not in every), None):
        raise UserError(f"`only={strange}` is not in the spec, which has {', '.join(every)}; pass one of them")
    datasets = [d for d in spec.datasets if d.name in only]
    methods = [m for m in spec.methods if m.name in only]
    return datasets or spec.datasets, methods or spec.methods
