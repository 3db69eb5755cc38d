"""One data set, one method, one seed: segmented, scored, and written down once it is whole.

OUT/cells/<data set>/<method>[-seed<n>]-<hash>/run.yaml, run/   of a training, which continues where it stopped
                                              /labels/*.tif     what was segmented
                                              /cell.json        the numbers; it is there when all is done
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from .. import __version__
from ..core.atomic import replacing
from ..core.settings import parse, read_yaml
from ..data.volumes import Volume
from ..data.write import write_labels
from ..labels.overlap import overlap
from ..metrics.report import mean_of, pooled, report
from ..model import Segmenter
from ..predict.run import segment
from ..train import checkpoint
from ..train.borrow import Lent, agreed, alike, borrow, borrows, lent
from ..train.finetune import finetuned
from ..train.fit import fit
from ..train.recipe import Survey, laid_over, look, settings
from ..train.settings import Run
from .classical import classical
from .data import Material, digest
from .spec import Contender, Dataset, Files, Finetuned, Floor, Shipped, Trained

Segment = Callable[[Volume], NDArray[np.integer]]


@dataclass(frozen=True)
class Cell:
    """seed: None for what does not train. before: the training that a finetuned one goes on from."""

    dataset: Dataset
    contender: Contender
    seed: int | None
    before: "Cell | None" = None

    @property
    def title(self) -> str:
        return " · ".join(
            [self.dataset.name, self.contender.name, *([] if self.seed is None else [f"seed {self.seed}"])]
        )

    def settings(self) -> dict[str, Any]:
        """All of the spec that the numbers depend on."""
        dataset = self.dataset.model_dump(mode="json", exclude={"pictures"})
        method = self.contender.model_dump(mode="json", exclude={"seeds"})
        before = {} if self.before is None else {"after": self.before.settings()["method"]}
        return {"dataset": dataset, "method": method, "seed": self.seed, **before}

    def folder(self, out: Path, files: list[tuple[str, int]]) -> Path:
        """Other settings, or other files, are another folder: a result is never mistaken for that of a former spec."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        name = f"{self.contender.name}{seed}-{digest([self.settings(), files])}"
        return out / "cells" / self.dataset.name / name


def run_cell(cell: Cell, material: Material, out: Path, quiet: bool = False) -> dict[str, Any]:
    """The numbers of a cell; of a finished one, those that are there."""
    folder = cell.folder(out, material.files)
    done = folder / "cell.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    way, training = prepare(cell, material, out, quiet)
    tables, seconds = [], []
    for pair in material.pairs:
        start = time.perf_counter()
        labels = way(pair.image)
        seconds.append(time.perf_counter() - start)
        write_labels(folder / "labels" / f"{pair.image.name}.tif", labels, pair.image.voxel, pair.image.axes)
        tables.append(overlap(pair.truth(), labels))
    reports = [report(table) for table in tables]
    names = [pair.image.name for pair in material.pairs]
    numbers = {
        "settings": cell.settings(),
        "cytoshift": __version__,
        **training,
        "segment_seconds": median(seconds),
        "mean": mean_of(reports),
        "pooled": pooled(tables).as_dict(),
        "images": [{"name": n, "seconds": s, **one.as_dict()} for n, s, one in zip(names, seconds, reports)],
    }
    with replacing(done) as beside:
        beside.write_text(json.dumps(numbers, indent=1))
    return numbers


def prepare(cell: Cell, material: Material, out: Path, quiet: bool) -> tuple[Segment, dict[str, Any]]:
    """A function that segments an image, and what its training took."""
    contender = cell.contender
    if isinstance(contender, Floor):
        polarity = cell.dataset.polarity
        dark = look(material.train).dark if polarity == "auto" else polarity == "dark"
        return lambda image: classical(image.load(), image.voxel, contender, dark), {}
    if isinstance(contender, Shipped):
        segmenter = Segmenter.load(Path(contender.model))
        return lambda image: segment(segmenter, image, **contender.segment), {}
    folder = cell.folder(out, material.files)
    if isinstance(contender, Finetuned):
        run = settings_after(cell, contender, material, out, quiet)
    else:
        run = settings_of(cell, contender, material, folder / "run.yaml")
    trained = Segmenter.load(fit(run, folder / "run", quiet))
    parts = sorted((folder / "run").rglob("checkpoints/last.pt"))  # a recipe of two stages has two
    steps, elapsed = map(sum, zip(*(checkpoint.load(part, {}) for part in parts)))
    cost = {"steps": steps, "train_minutes": elapsed / 60, "threads": torch.get_num_threads()}
    return lambda image: segment(trained, image, **contender.segment), cost


def settings_of(cell: Cell, contender: Trained, material: Material, path: Path) -> Run:
    """What 'cytoshift new' would write for the training images, and the spec's own settings over it.

    Written once: a training that was stopped continues with the very numbers it began with.
    """
    if not path.exists():
        way: dict[str, Any] = {"method": contender.method, "seed": cell.seed or 0}
        if contender.represent is not None:
            way["represent"] = contender.represent
        if borrows(contender.method):
            lender = material.lender(contender.labels)
            stock = lent(lender.images, lender.labels, lender.mask_above)
            wished = borrow(seen(cell.dataset, material, stock), stock, contender.preset, **way)
        else:
            wished = settings(look(material.train, cell.dataset.polarity), contender.preset, **way)
        wish = wished.model_dump(mode="json")
        with replacing(path) as beside:
            beside.write_text(yaml.safe_dump(laid_over(wish, contender.settings), sort_keys=False))
    return parse(Run, read_yaml(path), str(path))


def seen(dataset: Dataset, material: Material, stock: Lent) -> Survey:
    """What is known of the target's objects."""
    if isinstance(dataset, Files) and dataset.alike:
        return alike(material.train, stock)
    return agreed(look(material.train, dataset.polarity), stock)


def settings_after(cell: Cell, contender: Finetuned, material: Material, out: Path, quiet: bool) -> Run:
    """Those of the training that it goes on from, which is run if it is not there; with labels of the target."""
    assert cell.before is not None, "cells_of gives it one"
    run_cell(cell.before, material, out, quiet)
    folder = cell.before.folder(out, material.files)
    first, told = parse(Run, read_yaml(folder / "run.yaml"), str(folder)), material.lender("target")
    run = finetuned(first, folder / "run" / "model", told.images, told.labels, contender.part, told.mask_above)
    return parse(Run, laid_over(run.model_dump(mode="json"), contender.settings), contender.name)
