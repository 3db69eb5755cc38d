"""Does the trust score order the states of a training as their true F1 does, and is its choice better than the last?

    python benchmarks/trust_selection.py -o runs/trust-selection --data ../shared/data
    python benchmarks/trust_selection.py -o runs/trust-selection --only dense-2d --steps 20 --snapshots 3     # a try

Trains every pair of benchmarks/specs/trust-selection.yaml with snapshots (at most six minutes each on two cores),
judges every snapshot without labels and only then opens the truth. The score is calibrated on phantoms
(trust_calibration.csv) without the data set that it is tested on. Stopped, the same command goes on. Prints a table in
Markdown, and writes it to OUT/selection.md and OUT/selection.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from cytoshift.bench.spec import Spec, choose, read_spec
from cytoshift.core.atomic import atomic_path
from cytoshift.trust.score import Calibration, mean_score, score
from trust_calibration import IMAGES, OBJECTS, calibration, read
from trust_rows import Row, rows_of

SPEC = Path(__file__).parent / "specs" / "trust-selection.yaml"
BETTER = 4  # of six pairs, that selection has to beat the last state on
HEAD = "| data set | method | states | Spearman | F1 chosen | F1 last | F1 oracle | score of the chosen |"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("-o", "--out", type=Path, required=True, help="folder of the runs")
    words.add_argument("--data", type=Path, help="folder that the spec's paths are relative to")
    words.add_argument("--spec", type=Path, default=SPEC)
    words.add_argument("--only", action="append", help="a data set or method of the spec; repeatable")
    words.add_argument("--steps", type=int, help="other than the spec's")
    words.add_argument("--snapshots", type=int, help="other than the spec's")
    asked = words.parse_args()
    spec = tried(read_spec(asked.spec), asked.only, asked.steps, asked.snapshots)
    rows = rows_of(spec, asked.out, asked.data)
    pairs = [pair(mine) for mine in grouped(rows)]
    text = table(pairs)
    for name, content in (("selection.md", text), ("selection.json", json.dumps(pairs, indent=1))):
        with atomic_path(asked.out / name) as beside:
            beside.write_text(content + "\n")
    print(text)


def tried(spec: Spec, only: list[str] | None, steps: int | None, snapshots: int | None) -> Spec:
    """The spec as it was asked for."""
    datasets, methods = choose(spec, only or [])
    over = {"train.steps": steps, "train.snapshots": snapshots}
    said = {name: value for name, value in over.items() if value is not None}
    methods = [one.model_copy(update={"settings": one.settings | said}) for one in methods]
    return spec.model_copy(update={"datasets": datasets, "methods": methods})


def grouped(rows: list[Row]) -> list[list[Row]]:
    """Rows of one training each."""
    keys = dict.fromkeys((row["dataset"], row["method"], row["seed"]) for row in rows)
    return [[row for row in rows if (row["dataset"], row["method"], row["seed"]) == key] for key in keys]


def pair(rows: list[Row]) -> dict:
    """One line of the table: scores and true F1 of the states of one training, means over images."""
    found = without(rows[0]["dataset"])
    states = sorted({row["step"] for row in rows})
    scores, truth = [], []
    for step in states:
        here = [row for row in rows if row["step"] == step]
        scores.append(mean_score([score(row["criteria"], row["count"], found) for row in here]))
        truth.append(float(np.mean([row["f1"] for row in here])))
    values = [one.value for one in scores]
    best = max(range(len(states)), key=lambda i: (values[i], i))
    constant = len(set(values)) < 2 or len(set(truth)) < 2
    return {
        "dataset": rows[0]["dataset"], "method": rows[0]["method"], "seed": rows[0]["seed"], "states": states,
        "scores": values, "f1": truth, "spearman": 0.0 if constant else float(spearmanr(values, truth).statistic),
        "chosen": truth[best], "last": truth[-1], "oracle": max(truth), "step": states[best],
        "says": scores[best].sentence(), "score": values[best],
    }  # fmt: skip


def without(dataset: str) -> Calibration:
    """The calibration by all phantoms but those of this data set."""
    images, objects = ([row for row in read(path) if row["dataset"] != dataset] for path in (IMAGES, OBJECTS))
    return calibration(images, objects)


def table(pairs: list[dict]) -> str:
    lines = [HEAD, "|" + " --- |" * (HEAD.count("|") - 1)]
    for one in pairs:
        mark = "**" * (one["chosen"] > one["last"])
        lines.append(
            f"| {one['dataset']} | {one['method']} | {len(one['states'])} | {one['spearman']:.2f} | "
            f"{mark}{one['chosen']:.3f}{mark} | {one['last']:.3f} | {one['oracle']:.3f} | {one['score']:.2f} |"
        )
    above = sum(one["chosen"] > one["last"] for one in pairs)
    below = sum(one["chosen"] < one["last"] for one in pairs)
    need = BETTER * len(pairs) / 6
    return "\n".join([*lines, "", verdict(len(pairs), above, below, above >= need)])


def verdict(pairs: int, above: int, below: int, selector: bool) -> str:
    """The one line of the documentation that the outcome changes."""
    words = f"Better than the last state on {above} of {pairs} trainings, worse on {below}: "
    if selector:
        return words + "the score chooses among states (`cytoshift select`)."
    return words + "the score is a warning light, not a selector; keep the last state unless `select` differs by far."


if __name__ == "__main__":
    main()
