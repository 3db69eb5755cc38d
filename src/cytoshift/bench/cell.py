"""One data set, one method, one seed: segmented, scored, and written down once it is whole.

OUT/cells/<data set>/<method>[-fold<n>][-seed<n>]-<hash>/
    run.yaml, run/   of a training, which continues where it stopped
    labels/*.tif     what was segmented; of several classes in a folder for each
    cell.json        the numbers; it is there when all is done
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import yaml

from .. import __version__
from ..configure import class_settings as several
from ..configure.finetune import finetuning_run
from ..configure.recipe import Survey, overlay_settings, scale_density, settings, survey_images
from ..configure.source_labels import (
    SourceSurvey,
    adopt_source_sizes,
    assume_same_size,
    learns_from_source,
    settings_from_source,
    survey_source,
)
from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.settings import parse, read_yaml
from ..data.channel_axis import split_channels
from ..data.volumes import ImageSource, Volume, open_volumes
from ..ensemble import Ensemble, Wishes, open_ensemble
from ..ensemble.by_section import open_sections, write_stacks
from ..ensemble.ensemble import FINAL
from ..model import Segmenter, fingerprint
from ..model.shipped import JSON, model_folder, nuclei_model
from ..predict.blockwise.engine import Engine, engine
from ..predict.classical_pipelines import segment_by_pipeline
from ..predict.external_recipes import read_recipe
from ..predict.outputs import Outputs, Table
from ..predict.pipeline import Options, predict
from ..train import checkpoint
from ..train.fit import fit
from ..train.run_settings import Run
from ..trust.size_fit import fit as to_images
from .dataset_spec import Dataset, Files
from .datasets import Material, short_digest
from .external import segment_externally, true_diameter
from .method_spec import (
    CellProfilerBaseline,
    ClassicalBaseline,
    Contender,
    ExistingModel,
    ExternalMethod,
    FinetunedMethod,
    RunWithoutLabels,
    SquasshBaseline,
    TrainedMethod,
)
from .scoring import FoundObjects, Segment, object_scores, score_dataset


@dataclass(frozen=True)
class Cell:
    """seed: None for what does not train. before: the training that this one needs: a finetuned one goes on from it.

    fold: of a data set whose images take turns, see `Material.fold`.
    """

    dataset: Dataset
    contender: Contender
    seed: int | None
    before: "Cell | None" = None
    fold: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        parts = [self.dataset.name, self.contender.name, f"fold {self.words}" * bool(self.fold)]
        return " · ".join([*filter(None, parts), *([] if self.seed is None else [f"seed {self.seed}"])])

    @property
    def words(self) -> str:
        """The fold as people count: 1, or 1.2 for the second of the inner ones."""
        return ".".join(str(number + 1) for number in self.fold)

    def settings(self) -> dict[str, Any]:
        """All of the spec that the numbers depend on."""
        dataset = self.dataset.model_dump(mode="json", exclude={"pictures"})
        method = self.contender.model_dump(mode="json", exclude={"seeds"})
        before = {} if self.before is None else {"after": self.before.settings()["method"]}
        fold = {"fold": list(self.fold)} if self.fold else {}
        weights = {"weights": found} if (found := weights_of(self.contender)) else {}
        return {"dataset": dataset, "method": method, "seed": self.seed, **before, **fold, **weights}

    def folder(self, out: Path, files: list[tuple[str, int]]) -> Path:
        """Other settings, or other files, are another folder: a result is never mistaken for that of a former spec."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        fold = f"-fold{self.words}" * bool(self.fold)
        name = f"{self.contender.name}{fold}{seed}-{short_digest([self.settings(), files])}"
        return out / "cells" / self.dataset.name / name


def weights_of(contender: Contender) -> list[str]:
    """Digests of the models that a contender takes as they are: one of the same name may be another model by now."""
    names: list[str] = []
    if isinstance(contender, ExternalMethod) and contender.recipe is not None:
        return [short_digest(read_recipe(contender.recipe).model_dump(mode="json"))]
    if isinstance(contender, ExistingModel):
        names = [contender.model.format(ndim=ndim) for ndim in (2, 3)]
    elif isinstance(contender, RunWithoutLabels):
        names = [nuclei_model(ndim) for ndim in (2, 3)]
    return [fingerprint(name) for name in names if (model_folder(name) / JSON).exists()]


def run_cell(cell: Cell, material: Material, out: Path, quiet: bool = False) -> dict[str, Any]:
    """The numbers of a cell; of a finished one, those that are there. material: the whole, the cell is a fold of it."""
    folder = cell.folder(out, material.files)
    done = folder / "cell.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    here = material.fold(cell.fold)
    picked = choose_settings(cell, material, out, quiet)
    way, training = prepare_segment(picked, cell, material, out, quiet)
    numbers = {
        "settings": cell.settings(),
        "cytoshift": __version__,
        **(score_dataset(way, here, folder) | training),
        **snapshot_oracle(folder, picked, here),
    }
    if picked is not cell.contender and isinstance(picked, TrainedMethod):
        numbers["chosen"] = picked.settings
    with atomic_path(done) as beside:
        beside.write_text(json.dumps(numbers, indent=1))
    return numbers


def choose_settings(cell: Cell, material: Material, out: Path, quiet: bool) -> Contender:
    """The contender with the settings that do best in the inner folds, where it has some to choose among."""
    contender = cell.contender
    if not isinstance(contender, TrainedMethod) or not contender.candidates:
        return contender
    if len(cell.fold) != 1:
        raise UserError(f"'{contender.name}' chooses among settings, which needs a data set with folds; set folds")
    tried = [
        contender.model_copy(update={"candidates": [], "settings": contender.settings | more})
        for more in contender.candidates
    ]
    inner = range(len(material.fold(cell.fold).train.paths))
    dice = {
        number: fmean(
            run_cell(replace(cell, contender=one, fold=(*cell.fold, i)), material, out, quiet)["mean"]["dice"]
            for i in inner
        )
        for number, one in enumerate(tried)
    }
    return tried[max(dice, key=lambda number: dice[number])]


def snapshot_oracle(folder: Path, contender: Contender, here: Material) -> dict[str, Any]:
    """Numbers of the snapshots on the way, scored with the target's truth: what choosing by it would have given.

    Nothing is chosen by them. rule: the one that the rule without labels chose, or would have chosen.
    """
    paths = sorted(path for path in (folder / "run" / "snapshots").glob("*") if path.name.isdecimal())
    if not paths:
        return {}
    found = {path.name: score_dataset(segment_with(contender, Segmenter.load(path)), here) for path in paths}
    brief = {name: {"mean": one["mean"], "pooled": one["pooled"]} for name, one in found.items()}
    judged = folder / "run" / "selection.json"
    rule = [row["step"] for row in json.loads(judged.read_text()) if row["chosen"]] if judged.exists() else []
    return {"snapshots": brief, **({"rule": f"{rule[0]:06d}"} if rule else {})}


def segment_with(contender: Any, segmenter: Segmenter) -> Segment:
    """How a model segments."""
    wishes = parse(Options, contender.segment, f"segment of {contender.name}")

    def way(image: Volume) -> FoundObjects:
        prediction = predict(segmenter, image, wishes, keep=True)
        labels = {name: one.labels for name, one in prediction.classes.items()}
        return FoundObjects(labels, prediction.belongs, object_scores(prediction, segmenter.representation))

    return way


def prepare_segment(
    contender: Contender, cell: Cell, material: Material, out: Path, quiet: bool
) -> tuple[Segment, dict[str, Any]]:
    """A function that segments an image, and what its training took."""
    here = material.fold(cell.fold)
    if isinstance(contender, ClassicalBaseline | CellProfilerBaseline | SquasshBaseline):
        return partial(run_classical, contender, dark_classes(here)), {}
    if isinstance(contender, ExternalMethod):
        return segment_externally(contender, here)
    if isinstance(contender, ExistingModel):
        return segment_with_fit(contender, here), {}
    folder = cell.folder(out, material.files)
    if isinstance(contender, RunWithoutLabels):
        here.refuse_classes(contender.name)
        given = None
        if cell.before is not None:
            run_cell(cell.before, material, out, quiet)
            given = ImageSource(paths=str(cell.before.folder(out, material.files) / "labels"))
        return run_without_labels(contender, here, folder / "run", given), {}
    if isinstance(contender, FinetunedMethod):
        run = finetuning_settings(cell, contender, material, out, quiet)
    else:
        run = training_settings(cell, contender, here, folder / "run.yaml")
    trained = Segmenter.load(fit(run, folder / "run", quiet))
    parts = sorted((folder / "run").rglob("checkpoints/last.pt"))  # a recipe of two stages has two
    steps, elapsed = map(sum, zip(*(checkpoint.load(part, {}) for part in parts)))
    cost = {"steps": steps, "train_minutes": elapsed / 60, "threads": torch.get_num_threads()}
    return segment_with(contender, trained), cost | {"labelled": labelled_amount(contender, here)}


def segment_with_fit(contender: ExistingModel, here: Material) -> Segment:
    """How a model that was trained elsewhere segments; one for any size is fitted to the images, with the first of
    them, so that this counts into the time."""
    images = [pair.image for pair in here.pairs]
    segmenter = Segmenter.load(Path(contender.model.format(ndim=len(images[0].axes))))
    known: list[Segment] = []

    def way(image: Volume) -> FoundObjects:
        if not known:
            size = true_diameter(here) if contender.size == "true" else None
            known.append(segment_with(contender, to_images(segmenter, images, size, here.dataset.polarity).segmenter))
        return known[0](image)

    return way if segmenter.diameter is not None else segment_with(contender, segmenter)


def run_without_labels(
    contender: RunWithoutLabels, here: Material, folder: Path, given: ImageSource | None = None
) -> Segment:
    """How `cytoshift run` labels the images of a data set, all of them with the first, so that this counts into the
    time. given: labels that vote, too."""
    known: dict[str, FoundObjects] = {}

    def way(image: Volume) -> FoundObjects:
        if not known:
            known.update(label_by_run(contender, here, folder, given))
        return known[image.name]

    return way


def label_by_run(
    contender: RunWithoutLabels, here: Material, folder: Path, given: ImageSource | None
) -> dict[str, FoundObjects]:
    """What a run finds in each image, by name."""
    images = [pair.image for pair in here.pairs]
    wishes = Wishes(polarity=here.dataset.polarity, steps=contender.steps, given=[given] if given else [])
    by_section = contender.sections and len(images[0].axes) == 3
    if by_section:
        ensemble = open_sections(folder, images, nuclei_model(2), wishes, overwrite=False)
    else:
        ensemble = open_ensemble(folder, images, here.images, nuclei_model(len(images[0].axes)), wishes)
    with engine(None, 1) as each:
        ensemble.claim(overwrite=False)
        if by_section:
            outputs = write_stacks(ensemble, ensemble.run(each), images, folder).outputs
        elif contender.voter is None:
            outputs = ensemble.run(each).outputs
        else:
            outputs = voter_labels(contender, ensemble, each)
    out = {}
    for image in images:
        labels = outputs.open(image).load().astype(np.int32)
        sure = Table.read(outputs.part(image)).numbers("confidence") if contender.voter is None else None
        out[image.name] = FoundObjects({"": labels}, {}, {} if sure is None else {"": {"mask": sure}})
    return out


def voter_labels(contender: RunWithoutLabels, ensemble: Ensemble, each: Engine) -> Outputs:
    """The labels of one voter after all stages. Raises UserError where it did not vote."""
    ensemble.run(each)
    found = {one.name: one for one in ensemble.every(FINAL)}
    if contender.voter not in found:
        raise UserError(
            f"'{contender.name}' wants the labels of '{contender.voter}', but the voters are {', '.join(found)}; give "
            "one of them, or steps for the training, which also needs some objects on which the voters agree"
        )
    return ensemble.places(found[contender.voter])


def labelled_amount(contender: TrainedMethod | FinetunedMethod, here: Material) -> float:
    """Number of target images whose labels were used: those that a person would have to label."""
    part = contender.fraction if isinstance(contender, FinetunedMethod) else float(contender.labels == "target")
    return part * len(open_volumes(here.train)) if part else 0.0


def run_classical(
    contender: ClassicalBaseline | CellProfilerBaseline | SquasshBaseline, dark: dict[str, bool], image: Volume
) -> FoundObjects:
    """A classical pipeline, each class in its channel."""
    channels = zip(dark.items(), split_channels(image.array, len(image.axes)))
    return FoundObjects({
        name: segment_by_pipeline(contender, np.asarray(one[...]), image.voxel, inverted)
        for (name, inverted), one in channels
    })  # fmt: skip


def dark_classes(here: Material) -> dict[str, bool]:
    """Whether the objects of each class are; measured on the training images where the data set does not say."""
    polarity = here.dataset.polarity
    if polarity != "auto":
        return dict.fromkeys(here.classes, polarity == "dark")
    if here.classes == ("",):
        return {"": survey_images(here.train).is_dark}
    return {name: survey.is_dark for name, survey in several.look(here.train, here.channels).items()}


def training_settings(cell: Cell, contender: TrainedMethod, material: Material, path: Path) -> Run:
    """What 'cytoshift new' would write for the training images, and the spec's own settings over it.

    Written once: a training that was stopped continues with the very numbers it began with.
    """
    if not path.exists():
        way: dict[str, Any] = {"method": contender.method, "seed": cell.seed or 0}
        if contender.represent is not None:
            way["represent"] = contender.represent
        if material.channels:
            wished = class_settings(contender, material, **way)
        elif learns_from_source(contender.method):
            lender = material.source_files(contender.labels)
            stock = survey_source(lender.images, lender.single_class, lender.mask_above)
            wished = settings_from_source(
                target_requests(cell.dataset, material, stock), stock, contender.preset, **way
            )
        else:
            wished = settings(survey_images(material.train, cell.dataset.polarity), contender.preset, **way)
        wish = with_density(wished, contender).model_dump(mode="json")
        with atomic_path(path) as beside:
            beside.write_text(yaml.safe_dump(overlay_settings(wish, contender.settings), sort_keys=False))
    return parse(Run, read_yaml(path), str(path))


def with_density(run: Run, contender: TrainedMethod) -> Run:
    """The run with `density_factor` times as many synthetic objects. Raises UserError where it draws none so."""
    if contender.density_factor == 1:
        return run
    if run.prior is None:
        raise UserError(
            f"'{contender.name}' has a density_factor, but {contender.method} draws no masks of one class from a "
            "prior; leave it out"
        )
    prior = run.prior.model_copy(update={"density": scale_density(run.prior.density, contender.density_factor)})
    return run.model_copy(update={"prior": prior})


def class_settings(contender: TrainedMethod, material: Material, **way: Any) -> Run:
    """The same for several classes."""
    if learns_from_source(contender.method):
        lender = material.source_files(contender.labels)
        stock = several.survey_source_classes(lender.images, lender.by_class, material.channels, lender.mask_above)
        return several.settings_from_class_source(material.train, material.channels, stock, contender.preset, **way)
    surveys = several.look(material.train, material.channels, material.dataset.polarity, contender.cells)
    return several.settings(surveys, contender.preset, cells=contender.cells, **way)


def target_requests(dataset: Dataset, material: Material, stock: SourceSurvey) -> Survey:
    """The measured objects of the target, or those of the source."""
    if isinstance(dataset, Files) and dataset.assume_same_size:
        return assume_same_size(material.train, stock)
    return adopt_source_sizes(survey_images(material.train, dataset.polarity), stock)


def finetuning_settings(cell: Cell, contender: FinetunedMethod, material: Material, out: Path, quiet: bool) -> Run:
    """Those of the training that it goes on from, which is run if it is not there; with labels of the target."""
    assert cell.before is not None, "cells_of gives it one"
    run_cell(cell.before, material, out, quiet)
    folder = cell.before.folder(out, material.files)
    first, told = parse(Run, read_yaml(folder / "run.yaml"), str(folder)), material.source_files("target")
    run = finetuning_run(first, folder / "run" / "model", told.images, told.labels, contender.fraction, told.mask_above)
    return parse(Run, overlay_settings(run.model_dump(mode="json"), contender.settings), contender.name)
