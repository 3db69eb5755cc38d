"""What votes say of results on data sets that they were not calibrated on, against the truth.

    cytoshift bench benchmarks/specs/run.yaml --data ../shared/data -o runs/bench-run
    python benchmarks/trust_votes.py runs/bench-run --data ../shared/data [--picture reliability.png]

Of each data set: the first vote of `cytoshift run` (elected labels), and the labels of each of its voters, judged by
the other ones (given labels). ECE is the expected calibration error of the objects in ten bins; the rank correlation is
that of the expected F1@0.5 of label images with the true one. fluo256/train and phantoms of other seeds were calibrated
on.
"""

import argparse
import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.stats import spearmanr

from cytoshift.bench.datasets import open_dataset
from cytoshift.bench.spec import read_spec
from cytoshift.core.json_files import read_json
from cytoshift.data.volumes import open_labels
from cytoshift.ensemble import calibration
from cytoshift.labels.opinion import opinion
from cytoshift.labels.overlap import overlap
from cytoshift.labels.vote import AGREE

SPEC = Path(__file__).parent / "specs" / "run.yaml"
SIDE, MARGIN = 220, 30  # pixels of a diagram


@dataclass
class Results:
    """confidence, right: of objects. expected, true: F1 of label images."""

    confidence: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)

    def add(self, truth: np.ndarray, labels: np.ndarray, confidence: dict[int, float], expected: float) -> None:
        """The labels of one image."""
        table = overlap(truth, labels)
        good = set(table.pred_ids[table.pairs.pred[table.pairs.iou >= AGREE]].tolist())
        self.confidence += [confidence[one] for one in table.pred_ids.tolist()]
        self.right += [one in good for one in table.pred_ids.tolist()]
        self.expected.append(expected)
        self.true.append(2 * len(good) / max(table.pred_ids.size + table.truth_ids.size, 1))

    def bins(self) -> list[tuple[float, float, int]]:
        """Mean confidence, share of right objects and their number, of each bin with an object."""
        p, right = np.array(self.confidence), np.array(self.right)
        place = np.minimum((10 * p).astype(int), 9)
        return [
            (float(p[place == b].mean()), float(right[place == b].mean()), int((place == b).sum()))
            for b in np.unique(place)
        ]

    def line(self) -> str:
        ece = sum(abs(p - right) * n for p, right, n in self.bins()) / max(len(self.right), 1)
        varied = len(self.true) > 4 and len(set(self.true)) > 1
        rho = f"{spearmanr(self.expected, self.true).statistic:.2f}" if varied else ""
        return (
            f"{len(self.right)} | {ece:.3f} | {np.mean(self.expected):.3f} | {np.mean(self.true):.3f} | "
            f"{len(self.true)} | {rho}"
        )


def judge(cell: Path, pairs: dict) -> tuple[Results, Results]:
    """The vote of a run, and the labels of its voters."""
    run, elected, given = cell / "run", Results(), Results()
    expected = read_json(run / "run.json")["stages"]["first"]["f1"]
    curve = calibration("given")
    with (run / "labels" / "report" / "objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name, truth in pairs.items():
        sure = {int(row["label"]): float(row["confidence"]) for row in rows if row["image"] == name}
        elected.add(truth, read(run / "labels" / f"{name}.tif"), sure, expected[name])
        found = [read(folder / f"{name}.tif") for folder in sorted((run / "voters").iterdir())]
        for mine in found:
            said = opinion(mine, [one for one in found if one is not mine])
            sure = dict(zip(said.ids.tolist(), curve.confidence(said.votes).tolist()))
            given.add(truth, mine, sure, curve.f1_of(said))
    return elected, given


def read(path: Path) -> np.ndarray:
    return open_labels(str(path))[0].load()


def draw(rows: dict[str, Results], path: Path) -> None:
    """Reliability diagrams side by side: the share of right objects over their confidence; a dot's area grows with the
    number of objects."""
    width = SIDE + MARGIN
    page = Image.new("RGB", (width * len(rows) + MARGIN, SIDE + 2 * MARGIN), "white")
    pen = ImageDraw.Draw(page)
    for column, (name, one) in enumerate(rows.items()):
        left, top = MARGIN + column * width, MARGIN
        pen.rectangle((left, top, left + SIDE, top + SIDE), outline=(150, 150, 150))
        pen.line((left, top + SIDE, left + SIDE, top), fill=(200, 200, 200))
        pen.text((left, top - 18), name, fill="black")
        for confidence, right, count in one.bins():
            x, y, r = left + SIDE * confidence, top + SIDE * (1 - right), 2 + 14 * (count / len(one.right)) ** 0.5
            pen.ellipse((x - r, y - r, x + r, y + r), outline=(0, 114, 178), width=2)
    page.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    both, kinds = dict[str, tuple[Results, Results]](), ("elected", "given")
    print("| labels | data set | objects | ECE | expected F1 | true F1 | label images | rank correlation |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for dataset in read_spec(SPEC).datasets:
        cells = sorted(
            (asked.runs / "cells" / dataset.name).glob("first-vote-*/cell.json"), key=lambda one: one.stat().st_mtime
        )
        if cells:
            material = open_dataset(dataset, asked.data, asked.runs / "data")
            both[dataset.name] = judge(cells[-1].parent, {pair.image.name: pair.truth() for pair in material.pairs})
    for place, kind in enumerate(kinds):
        for name, one in both.items():
            print(f"| {kind} | {name} | {one[place].line()} |")
        several = [one[place] for one in both.values() if len(one[place].true) > 4]
        rho = [value for one in several if np.isfinite(value := spearmanr(one.expected, one.true).statistic)]
        print(f"| {kind} | mean of {len(rho)} sets | | | | | | {np.mean(rho):.2f} |")
    if asked.picture:
        most = sorted(both, key=lambda name: -len(both[name][0].right))[:4]
        draw({name: both[name][0] for name in most}, asked.picture)


if __name__ == "__main__":
    main()
