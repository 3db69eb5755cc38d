"""Rows for the calibration and the test of the trust score: criteria and true F1 of every snapshot of a spec's runs.

A spec is one of `cytoshift bench` whose trainings keep snapshots. What is trained and what is judged stays on disk, so
that a stopped call goes on where it was.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cytoshift.bench.cell import Cell, run_cell
from cytoshift.bench.datasets import Material, open_dataset
from cytoshift.bench.method_spec import TrainedMethod
from cytoshift.bench.runner import cells_of
from cytoshift.bench.spec import Spec
from cytoshift.configure.source_labels import learns_from_source
from cytoshift.core.atomic import atomic_path
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.model import Segmenter
from cytoshift.trust.agree import agreement
from cytoshift.trust.judge import ClassCriteria, judge

IMAGES = 4  # of a data set that are judged

Row = dict[str, Any]


def rows_of(spec: Spec, out: Path, data: Path | None, say=print) -> list[Row]:
    """Train and judge what is not there yet; one row per data set, method, seed, step and image."""
    rows = []
    for cell in cells_of(spec, spec.datasets, spec.methods):
        if isinstance(cell.contender, TrainedMethod):
            here = open_dataset(cell.dataset, data, out / "data")
            if learns_from_source(cell.contender.method) and here.source is None:
                continue  # nothing to borrow from
            run_cell(cell, here, out, quiet=True)
            rows += judged(cell, here, out, say)
    return rows


def judged(cell: Cell, here: Material, out: Path, say=print) -> list[Row]:
    folder = cell.folder(out, here.files)
    name = {"dataset": cell.dataset.name, "method": cell.contender.name, "seed": cell.seed}
    rows = []
    for path in sorted((folder / "run" / "snapshots").iterdir()):
        done = folder / "trust" / f"{path.name}.json"
        if not done.exists():
            model = Segmenter.load(path)
            numbers = [one(model, pair) for pair in here.pairs[:IMAGES]]
            with atomic_path(done) as beside:
                beside.write_text(json.dumps(numbers))
            say(f"{cell.title}, step {int(path.name)}: F1 {np.mean([n['f1'] for n in numbers]):.3f}")
        rows += [name | {"step": int(path.name)} | numbers for numbers in json.loads(done.read_text())]
    return rows


def one(model: Segmenter, pair: Any) -> Row:
    """One image: criteria, true F1, and of every object its criteria and whether it is a true one."""
    found: ClassCriteria = judge(model, pair.image)[""]
    truth = pair.truth()
    true = agreement(found.labels, truth).best >= 0.5
    objects = {key: values.round(4).tolist() for key, values in found.objects.items()}
    return {
        "image": pair.image.name,
        "f1": match(overlap(truth, found.labels)).f1,
        "count": int(true.size),
        "criteria": {key: round(value, 4) for key, value in found.criteria.items()},
        "objects": objects | {"true": true.astype(int).tolist()},
    }
