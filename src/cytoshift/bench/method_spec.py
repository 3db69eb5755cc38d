"""Methods of a spec: what is trained, what is there, classical pipelines, systems of others."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from ..core.errors import UserError
from ..core.settings import LaterSettings
from ..methods import ADGAN
from ..predict.cellprofiler import CellProfiler
from ..predict.classical import Classical
from ..predict.external_command import parse_command
from ..predict.external_recipes import read_recipe
from ..predict.squassh import Squassh
from ..train.run_settings import known_method
from .dataset_spec import NamedEntry


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


class RunWithoutLabels(LaterSettings, NamedEntry):
    """All of `cytoshift run`, by a model of the package.

    steps: of the training on the images; 0: the first result, None: those that the command takes. voter: labels of this
    one, in place of those on which all agree; "trained" is the network that has learnt from the first vote. given: the
    name of an entry that trains, whose labels vote, too, for each seed of the spec. sections: stacks are labelled
    section by section, images in 2D as without it.
    """

    kind: Literal["run"]
    steps: int | None = Field(None, ge=0)
    voter: str | None = None
    given: str | None = None
    sections: bool = False

    later = frozenset({"voter", "given", "sections"})

    @model_validator(mode="after")
    def sections_fit(self) -> "RunWithoutLabels":
        if self.sections and (self.voter or self.given):
            raise ValueError("sections have no voter of stacks; leave voter and given out, or leave sections out")
        return self


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


def begun_by(method: Contender) -> str | None:
    """The name of the entry whose training another one needs."""
    if isinstance(method, FinetunedMethod):
        return method.after
    return method.given if isinstance(method, RunWithoutLabels) else None


def seeds_of(method: Contender, default: list[int]) -> Sequence[int | None]:
    """Its own, or the spec's; none where no training is part of it that the seed decides."""
    if isinstance(method, TrainedMethod | FinetunedMethod):
        return method.seeds or default
    return [None] if begun_by(method) is None else default
