"""What is compared: data sets, methods, seeds. A spec is a YAML file without a path of any one machine."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ..core.errors import UserError
from ..core.settings import Settings, parse, read_yaml
from .dataset_spec import Dataset
from .method_spec import Contender, TrainedMethod, begun_by

Score = Literal[
    "dice", "iou", "pooled_iou", "precision", "recall", "f1_50", "ap_50", "pq", "op_csb", "seg", "det"
]  # fmt: skip


class PublishedResults(Settings):
    """Numbers of a paper beside ours: its name, the data set that they belong with, and each method's number there.

    score: the table that they stand in; None: the first.
    """

    name: str
    dataset: str
    score: Score | None = None
    numbers: dict[str, float]


class Overview(Settings):
    """One table of all data sets and methods with a single score, as papers have it.

    score: as in results.json; "pooled_iou" is over all images together. also: further ones, a table each; "minutes"
    are those of the training and of all images. methods: as columns, all without it. published: rows to compare with.
    mean: a last row has the means over the data sets, of the methods that have scores on all.
    """

    score: Score = "pooled_iou"
    also: list[Score | Literal["minutes"]] = []
    mean: bool = False
    methods: list[str] | None = None
    published: list[PublishedResults] = []


class Spec(Settings):
    """One table per data set. seeds: of the trainings; what does not train runs once.

    overview: a table of all data sets above them. pictured_by: the images with the highest and the lowest F1@0.5 by
        this method are shown; None: images evenly over a set. A file may name another one beside it,
        `base: other.yaml`, for what it does not say itself.
    """

    title: str
    note: str = ""
    overview: Overview | None = None
    pictured_by: str | None = None
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
    def what_others_need_trains(self) -> "Spec":
        there = [method.name for method in self.methods if isinstance(method, TrainedMethod)]
        for method in self.methods:
            if (needed := begun_by(method)) is not None and needed not in there:
                raise ValueError(
                    f"'{method.name}' needs '{needed}', which is no method of kind train; those are {', '.join(there)}"
                )
        return self

    @model_validator(mode="after")
    def pictured_method_is_known(self) -> "Spec":
        there = [method.name for method in self.methods]
        if self.pictured_by is not None and self.pictured_by not in there:
            raise ValueError(f"pictured_by names '{self.pictured_by}', but the methods are {', '.join(there)}")
        return self

    @model_validator(mode="after")
    def overview_is_known(self) -> "Spec":
        if self.overview is not None:
            wished = [*(self.overview.methods or []), *(name for p in self.overview.published for name in p.numbers)]
            there = [method.name for method in self.methods]
            if stranger := next((name for name in wished if name not in there), None):
                raise ValueError(f"overview names '{stranger}', but the methods are {', '.join(there)}")
            tables = [self.overview.score, *self.overview.also]
            for paper in self.overview.published:
                if paper.dataset not in (names := [dataset.name for dataset in self.datasets]):
                    raise ValueError(
                        f"'{paper.name}' is of '{paper.dataset}', but the data sets are {', '.join(names)}"
                    )
                if paper.score is not None and paper.score not in tables:
                    raise ValueError(f"'{paper.name}' has {paper.score}, but the tables are of {', '.join(tables)}")
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
