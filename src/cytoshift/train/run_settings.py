"""run.yaml: everything a training needs, checked before anything is read."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ..core.normalise import Normalisation, Recipe, is_dataset_wide
from ..core.settings import Settings
from ..data.appearance import Appearance
from ..data.augment import Augment
from ..data.corrupt import Corrupt
from ..data.volumes import ImageSource
from ..represent import RepresentationSettings
from ..synth import CLASSES, PairPrior, Prior, Randomised, Shapes

PLAYERS = {"critic": "discriminator", "critics": "discriminators"}  # old name: new name, for one version


def known_method(name: str) -> str:
    """The name of a method or of a recipe of two stages. Raises ValueError for any other."""
    from .. import methods  # settings are described without torch, which the methods import

    if name not in methods.KNOWN:
        raise ValueError(f"there are {', '.join(methods.KNOWN)}")
    return name


# Labels of one class, or those of several by name.
LabelSource = Annotated[
    Annotated[ImageSource, Tag("(one)")] | Annotated[dict[str, ImageSource], Tag("(each)")],
    Discriminator(lambda said: "(each)" if isinstance(said, dict) and "paths" not in said else "(one)"),
]


class Data(Settings):
    """images: what the model is for, and what it learns from without labels.

    normalise: of images of several channels a list with an entry for each, or one for all. voxel: size the networks
    work at, in the images' unit (None: as the images are). sides: of images with objects of other sizes, by their
    names, the side of the networks' voxels there; the model keeps them. corrupt: how images are spoilt for methods
    that learn to restore them.
    """

    images: ImageSource
    normalise: Recipe = Normalisation()
    voxel: tuple[float, ...] | None = None
    sides: dict[str, Annotated[float, Field(gt=0)]] = {}
    augment: Augment = Augment()
    corrupt: Corrupt = Corrupt()

    @field_validator("normalise")
    @classmethod
    def check_dataset_wide(cls, value: Recipe) -> Recipe:
        is_dataset_wide(value)
        return value


class Source(Settings):
    """Images of another modality whose labels are borrowed, image by image in the order of their names.

    labels: of several classes {golgi: {paths: labels/golgi}, nuclei: {paths: labels/nuclei}}, by their names. voxel:
    what of it, in its own unit, becomes one voxel the networks work at (None: its own voxel), so that its objects come
    out as large as those of `data`. sides: as in `data`. normalise: `invert` where one side has dark objects, the other
    bright ones; of several channels as in `data`. match_foreground: patches are chosen to have as much foreground as
    those of `data`. match_levels: intensities of the source become those of `data`. appearance: chances that a patch is
    shown with other intensities (data.appearance). mask_above: labels are a mask, objects are its connected components
    above this value. fraction: of the labelled images that the training uses, the same images for every seed
    (data.label_pairs.take_portion). held_out: fraction of these that the training does not see; `train.select` chooses
    a snapshot by them. ignore_id: voxels of the labels with this number are neither an object nor background; nothing
    is learnt from them, and nothing is scored there. section_step: every so many-th section of a stack makes an image
    of its own, and each stack so many images, so that sections lie as far apart as those of `data`; `voxel` is theirs.
    """

    renamed: ClassVar[dict[str, str]] = {
        "match_cover": "match_foreground", "part": "fraction", "hold": "held_out",
    }  # fmt: skip

    images: ImageSource
    labels: LabelSource
    normalise: Recipe = Normalisation()
    voxel: tuple[float, ...] | None = None
    sides: dict[str, Annotated[float, Field(gt=0)]] = {}
    augment: Augment = Augment()
    corrupt: Corrupt = Corrupt()
    match_foreground: bool = False
    match_levels: bool = False
    appearance: Appearance = Appearance()
    mask_above: float | None = None
    section_step: int = Field(1, ge=1)
    ignore_id: int | None = Field(None, ge=1, lt=2**32)
    fraction: float = Field(1.0, gt=0, le=1)
    held_out: float = Field(0.0, ge=0, lt=1)


class Train(Settings):
    """How to train.

    steps: optimiser steps of every player. batch: patches in each of them. lr, betas, weight_decay: of Adam.
    lr_multipliers: of single optimizers, by the names of their players, as {discriminators: 0.2}. optimizer: Adam,
    or AdamW, whose weight decay spares biases and norms. warm_up: steps over which the learning rate rises.
    decay_from: fraction of the training after which it decays to zero. schedule: linear or cosine decay. ema: decay of
    the running mean of the weights that is shipped (0 ships the last weights). precision: "32", "bf16-mixed", or
    "auto": bfloat16 where it is faster and a step in it agrees with one in 32 bits (proof.py). max_minutes: stop there,
    counted over restarts; the result is that of fewer steps, so it depends on the machine.
    accelerator, devices, nodes: Fabric's. workers: processes that prepare batches.

    on_failure: what follows where the monitor is sure that the training went wrong. "warn" says so and goes on; it is
    the default because a wrong alarm then disturbs nothing. "stop" ends with the last good weights. "rollback" goes
    back to these and on with other samples, `rollbacks` times at most, and then ends with them.

    snapshots: so many states on the way, evenly spaced and the last at the end, are kept as models (ship.py).
    log_every, samples_every, checkpoint_every: steps between two rows of log.jsonl, grids of sample images and
    checkpoints.
    select: which of them is shipped: the "last", or the one that the "rule" of select.py chooses without labels of the
    target; "look" ships the last and writes down which one that would have been.
    """

    renamed: ClassVar[dict[str, str]] = {
        "rates": "lr_multipliers", "fall": "schedule", "sheet_every": "samples_every",
    }  # fmt: skip

    steps: int = Field(2000, ge=1)
    batch: int = Field(4, ge=1)
    lr: float = Field(4e-4, gt=0)
    lr_multipliers: dict[str, Annotated[float, Field(gt=0)]] = {}
    betas: tuple[float, float] = (0.5, 0.99)
    weight_decay: float = Field(1e-4, ge=0)
    optimizer: Literal["adam", "adamw"] = "adam"
    warm_up: int = Field(0, ge=0)
    decay_from: float = Field(0.5, ge=0, le=1)
    schedule: Literal["linear", "cosine"] = "linear"
    ema: float = Field(0.99, ge=0, lt=1)
    precision: Literal["auto", "32", "bf16-mixed"] = "auto"
    max_minutes: float | None = Field(None, gt=0)
    on_failure: Literal["warn", "stop", "rollback"] = "warn"
    rollbacks: int = Field(3, ge=0)
    snapshots: int = Field(0, ge=0)
    select: Literal["last", "look", "rule"] = "last"
    accelerator: str = "auto"
    devices: int = Field(1, ge=1)
    nodes: int = Field(1, ge=1)
    workers: int = Field(0, ge=0)
    log_every: int = Field(10, ge=1)
    samples_every: int = Field(100, ge=1)
    checkpoint_every: int = Field(50, ge=1)

    @field_validator("lr_multipliers", mode="before")
    @classmethod
    def accept_old_players(cls, value: Any) -> Any:
        """Rates by the players' names; those of version 0.1 still work."""
        if not isinstance(value, dict):
            return value
        return {PLAYERS.get(player, player): rate for player, rate in value.items()}

    @field_validator("precision", mode="before")
    @classmethod
    def text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value  # YAML reads 32 as a number

    @model_validator(mode="after")
    def something_to_select(self) -> "Train":
        if self.select != "last" and self.snapshots < 2:
            raise ValueError(
                f"select is {self.select}, but snapshots = {self.snapshots} leaves no choice; set it to 5 or more"
            )
        return self


class Run(Settings):
    """One training run.

    method: its name, as adgan, or that of a recipe of two stages. seed: another number is another training. data: the
    images, and how they are read. patch: what the networks see at once, in voxels. represent: how instances are
    written as channels, and read back. train: how long, and how fast. translator_train: of a recipe of two stages, what
    the training of its first network, which translates, has in the place of what `train` says, such as {lr: 2e-4}.
    """

    method: str
    seed: int = 0
    data: Data
    source: Source | None = None  # for methods that borrow labels
    patch: tuple[int, ...]
    prior: Prior | None = None  # for methods that learn from synthetic masks
    priors: dict[str, Prior] | None = None  # the same for several classes by name, which know nothing of one another
    cells: Annotated[PairPrior | Shapes, Field(discriminator="kind")] | None = None  # or for Golgi and their nuclei
    randomised: Randomised | None = None  # for the method that learns from synthetic images of random contrast
    represent: RepresentationSettings
    tune: bool = False  # thresholds of `represent`, after the training, on labels of the source or synthetic images
    options: dict[str, Any] = {}  # of the method; checked by its own Options
    start: str | None = None  # folder or name of a model to begin from; options that are left out are those of it
    train: Train = Train()
    translator_train: dict[str, Any] = {}  # of a recipe of two stages, in the place of what `train` says

    @field_validator("method")
    @classmethod
    def check_names(cls, value: str) -> str:
        return known_method(value)

    @model_validator(mode="after")
    def classes_fit(self) -> "Run":
        names = self.represent.names
        several = bool(names)
        if several and self.tune:
            raise ValueError("tune finds thresholds of one class, but represent has several; set tune to false")
        given = {"priors": self.priors, "source.labels": self.source.labels if self.source else None}
        for word, by_name in given.items():
            if isinstance(by_name, dict) and set(by_name) != set(names):
                there = ", ".join(names) or "none, as represent is of one class"
                raise ValueError(f"{word} has the classes {', '.join(by_name)}, but represent has {there}")
        if sum(given is not None for given in (self.prior, self.priors, self.cells)) > 1:
            raise ValueError("prior, priors and cells all describe the synthetic masks; keep one of them")
        if self.cells and (not names or not set(names) <= set(CLASSES)):
            raise ValueError(
                f"cells draws {' and '.join(CLASSES)}, but represent has {', '.join(names) or 'no classes'}"
            )
        if several and (self.prior or isinstance(given["source.labels"], ImageSource)):
            word = "prior" if self.prior else "source.labels"
            raise ValueError(
                f"{word} is of one class, but represent has {', '.join(names)}; give one for each by its name"
            )
        return self

    @model_validator(mode="after")
    def translator_trains(self) -> "Run":
        from .. import methods

        if self.translator_train:
            recipe = methods.TWO_STAGES.get(self.method)
            if recipe is None or recipe.translator is None:
                raise ValueError(
                    f"translator_train is of a stage that translates, and {self.method} has none; remove it"
                )
            self.first_stage()
        return self

    def first_stage(self) -> Train:
        """How the first network of a recipe of two stages is trained."""
        return Train.model_validate(self.train.model_dump() | self.translator_train)

    @model_validator(mode="after")
    def patch_has_room(self) -> "Run":
        from .. import methods

        kind = methods.KNOWN[self.method]
        if len(self.patch) not in (2, 3):
            raise ValueError(f"patch {self.patch} needs two or three sizes")
        if len(self.patch) not in kind.ndims:
            raise ValueError(
                f"method {self.method} needs images in {kind.ndims[0]}D, and patch {self.patch} has {len(self.patch)} "
                "sizes; take another method, or read a stack of sections as one image, with the axes zyx"
            )
        flat = kind.least_depth if len(self.patch) == 3 else None
        plane = self.patch[1:] if flat else self.patch
        if any(n < kind.least_patch or n % 4 for n in plane) or (flat and self.patch[0] < flat):
            depth = f", but for the first, which needs at least {flat}" if flat else ""
            raise ValueError(
                f"patch {self.patch} needs sizes that are multiples of 4 and at least {kind.least_patch}{depth}"
            )
        return self
