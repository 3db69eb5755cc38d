"""Fit the trust score to phantom runs. Its work: trust_calibration.csv, trust_objects.csv, trust/calibration.json.

    python benchmarks/trust_calibration.py -o runs/trust            # trains what is not there: an hour on two cores
    python benchmarks/trust_calibration.py                          # fits again to the committed rows, in seconds

Prints, with one data set left out after the other, how far the score is from the F1 it stands for.
"""

import argparse
import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cytoshift.core.atomic import atomic_path
from cytoshift.trust.score import JSON, MIDDLE, Calibration, Map, fit_map, summary

HERE = Path(__file__).parent
SPECS = ("trust-phantoms.yaml", "trust-pairs.yaml", "trust-volumes.yaml")
IMAGES, OBJECTS = HERE / "trust_calibration.csv", HERE / "trust_objects.csv"
WITH = ("stable", "overlap", "sure", "alike", "contrast", "explained")
WITHOUT = tuple(name for name in WITH if name != "alike")
EACH = ("stable", "sure", "contrast")
KEPT = 400  # objects per data set that are kept in the table


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("-o", "--out", type=Path, help="folder of the runs; without it, the committed rows are read")
    words.add_argument("--spec", type=Path, action="append", help="other specs than those of the calibration")
    asked = words.parse_args()
    if asked.out:
        collect(asked.spec or [HERE / "specs" / name for name in SPECS], asked.out)
    images, objects = read(IMAGES), read(OBJECTS)
    for left in sorted({row["dataset"] for row in images}):
        rest, tested = ([row for row in images if (row["dataset"] == left) == side] for side in (False, True))
        if rest:
            print(line(left, calibration(rest, objects), tested))
    found = calibration(images, objects)
    with atomic_path(JSON) as beside:
        beside.write_text(json.dumps(found.model_dump(mode="json"), indent=1) + "\n")
    print(f"{JSON}: {found.origin}")


def collect(specs: Sequence[Path], out: Path) -> None:
    """Run the specs and write the two tables."""
    from cytoshift.bench.spec import read_spec
    from trust_rows import rows_of

    rows = [row for spec in specs for row in rows_of(read_spec(spec), out, None) if row["count"]]
    plain = [
        {key: row[key] for key in ("dataset", "method", "seed", "step", "image", "count")}
        | {"f1": round(row["f1"], 4)} | {key: round(value, 4) for key, value in summary(row["criteria"]).items()}
        for row in rows
    ]  # fmt: skip
    each = [
        {"dataset": row["dataset"], **{key: row["objects"][key][i] for key in (*EACH, "true")}}
        for row in rows
        for i in range(row["count"])
    ]
    write(IMAGES, plain)
    write(OBJECTS, thinned(each))


def thinned(rows: list[dict]) -> list[dict]:
    """The same number of each data set, evenly."""
    out = []
    for name in sorted({row["dataset"] for row in rows}):
        mine = [row for row in rows if row["dataset"] == name]
        out += [mine[int(i)] for i in np.unique(np.linspace(0, len(mine) - 1, min(KEPT, len(mine))).round())]
    return out


def calibration(images: list[dict], objects: list[dict]) -> Calibration:
    """Every data set counts for the same."""
    names = sorted({row["dataset"] for row in images})
    told = [row for row in objects if row["dataset"] in names]
    maps = [fit(way, images, "f1") for way in (WITH, WITHOUT)]
    origin = f"{len(images)} images of {len({(r['dataset'], r['method'], r['step']) for r in images})} states of "
    return Calibration(
        origin=origin + f"trainings on the phantoms {', '.join(names)}",
        images=tuple(maps), objects=fit(EACH, told, "true"),
    )  # fmt: skip


def fit(criteria: Sequence[str], rows: list[dict], truth: str) -> Map:
    """The map of all, and its interval from what it is off by on data sets that were left out of it."""
    names = sorted({row["dataset"] for row in rows})
    off = [] if len(names) > 1 else [residuals(plainly(criteria, rows, truth), rows, truth)]
    for left in names[: len(names) * (len(names) > 1)]:
        rest, tested = ([row for row in rows if (row["dataset"] == left) == side] for side in (False, True))
        off.append(residuals(plainly(criteria, rest, truth), tested, truth))
    spread = [float(f"{v:.4g}") for v in np.percentile(np.concatenate(off), MIDDLE)]
    return plainly(criteria, rows, truth).model_copy(update={"spread": tuple(spread)})


def plainly(criteria: Sequence[str], rows: list[dict], truth: str) -> Map:
    share = Counter(row["dataset"] for row in rows)
    counts = np.array([1 / share[row["dataset"]] for row in rows])
    return fit_map(criteria, table_of(criteria, rows), column(rows, truth), counts)


def residuals(way: Map, rows: list[dict], truth: str) -> np.ndarray:
    return column(rows, truth) - way(table_of(way.criteria, rows))


def table_of(criteria: Sequence[str], rows: list[dict]) -> np.ndarray:
    return np.stack([column(rows, name) for name in criteria], axis=1)


def column(rows: list[dict], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def line(name: str, found: Calibration, tested: list[dict]) -> str:
    """How the others' calibration does on a data set."""
    way = found.images[0]
    off = residuals(way, tested, "f1")
    inside = np.mean((off >= way.spread[0]) & (off <= way.spread[1]))
    away = np.abs(off).mean()
    return f"{name}: {len(tested)} results, off by {away:.3f} in the mean, {100 * inside:.0f} % within the interval"


def read(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict]) -> None:
    with atomic_path(path) as beside, beside.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
