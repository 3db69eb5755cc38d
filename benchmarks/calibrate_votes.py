"""What votes are worth: python benchmarks/calibrate_votes.py --data ../shared/data -o calibration.json

The package has its result as src/cytoshift/ensemble/calibration.json. Voters of `cytoshift run` label phantoms and
every sixth image of fluo256/train, whose truth is known. Of each object the vote and whether it is right are kept. The
curve is monotone (isotonic regression). How many objects of the truth are missed is a sum of three parts (non-negative
least squares). Real images, phantoms in 2D and phantoms in 3D count the same. Prints the calibration error of each set
for curves that are fitted to the others.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, nnls

from cytoshift.core.json_files import write_json
from cytoshift.data.volumes import Volume, open_labels, open_volumes
from cytoshift.data.write import write_image
from cytoshift.ensemble.expected_f1 import Calibration
from cytoshift.ensemble.voters import Measurements, voters
from cytoshift.labels.overlap import overlap
from cytoshift.labels.vote import AGREE, Election, elect
from cytoshift.model import Segmenter, fingerprint
from cytoshift.model.shipped import model_folder
from cytoshift.synth.phantoms import phantom
from cytoshift.trust.size_fit import fit

PHANTOMS = {
    "sparse-2d": (21, 22, 23), "dense-2d": (21, 22, 23), "hl60-3d-25": (21,), "hl60-3d-75": (21,), "dense-3d": (21,),
    "scaffold-3d": (21,), "hl60-3d-75-noisy": (21,),
}  # fmt: skip
STEP = 6  # of fluo256/train
NODES = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


@dataclass(frozen=True, eq=False)
class Judged:
    """Of one image: the election, which of its objects are right, how many objects the truth has."""

    election: Election
    right: NDArray[np.bool_]
    truths: int


def phantoms(name: str, seeds: tuple[int, ...], folder: Path) -> list[tuple[Volume, NDArray[np.int32]]]:
    out = []
    for seed in seeds:
        image, labels, voxel = phantom(name, seed, None, 0)
        path = folder / f"{name}-{seed}.tif"
        write_image(path, image, voxel, "zyx"[-image.ndim :])
        out.append((open_volumes(str(path))[0], labels))
    return out


def real(data: Path) -> list[tuple[Volume, NDArray[np.int32]]]:
    base = data / "nuclei2d" / "fluo256" / "train"
    images = open_volumes(str(base / "images"))[::STEP]
    return [(one, open_labels(str(base / "labels" / f"{one.name}.tif"))[0].load()) for one in images]


def judged(pairs: list[tuple[Volume, NDArray[np.int32]]]) -> list[Judged]:
    """The vote on images of one kind against their truth."""
    volumes = [volume for volume, _ in pairs]
    name = f"nuclei-{len(volumes[0].axes)}d"
    model = Segmenter.load(model_folder(name))
    every = voters(model, fingerprint(name), volumes, Measurements.of(fit(model, volumes)))
    out = []
    for volume, truth in pairs:
        found = [voter.labels(volume) for voter in every]
        election = elect(found)
        labels = election.paint(found)
        table = overlap(truth, labels).pairs
        ids = overlap(truth, labels).pred_ids.astype(int)
        best = np.zeros(len(election.votes))
        np.maximum.at(best, ids[table.pred] - 1, table.iou)
        out.append(Judged(election, best >= AGREE, len(np.unique(truth[truth > 0]))))
    return out


def fitted(sets: list[list[Judged]]) -> Calibration:
    """Curves of all sets, each with the same weight."""
    votes, right, weight = (np.concatenate(rows) for rows in zip(*map(of_objects, sets)))
    order = np.argsort(votes)
    steps = isotonic_regression(right[order].astype(float), weights=weight[order]).x
    curve = np.interp(NODES, votes[order], steps)
    # A node between few objects takes what lies around it.
    curve = isotonic_regression(np.convolve(np.pad(curve, 1, "edge"), (0.25, 0.5, 0.25), "valid")).x
    rows, missed = list[list[float]](), list[float]()
    for each in sets:
        for one in each:
            p, share = np.interp(one.election.votes, NODES, curve), 1 / np.sqrt(len(each) * max(one.truths, 1))
            rows.append([(1 - p).sum() * share, len(one.election.left) * share, one.truths * share])
            missed.append((one.truths - one.right.sum()) * share)
    (hidden, left, unseen), _ = nnls(np.array(rows), np.array(missed))
    return Calibration(
        votes=tuple(NODES), right=tuple(curve.round(3)), left=round(left, 3), hidden=round(hidden, 3),
        unseen=round(unseen, 3),
    )  # fmt: skip


def of_objects(each: list[Judged]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Votes, whether they are right, and weights that sum to 1."""
    votes = np.concatenate([one.election.votes for one in each])
    return votes, np.concatenate([one.right for one in each]), np.full(votes.size, 1 / max(votes.size, 1))


def error(curve: Calibration, each: list[Judged]) -> tuple[float, float, float]:
    """Expected calibration error of the objects in ten bins; expected F1 and the true one, means of the images."""
    votes, right, _ = of_objects(each)
    p = curve.confidence(votes)
    bins = np.minimum((10 * p).astype(int), 9)
    ece = sum(abs(p[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    true = [2 * one.right.sum() / max(len(one.right) + one.truths, 1) for one in each]
    return float(ece), float(np.mean([curve.f1(one.election) for one in each])), float(np.mean(true))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    asked = parser.parse_args()
    sets = {"fluo256/train": judged(real(asked.data))}
    with tempfile.TemporaryDirectory() as folder:
        for name, seeds in PHANTOMS.items():
            sets[name] = judged(phantoms(name, seeds, Path(folder)))
            print(name, flush=True)
    for name, each in sets.items():
        ece, expected, true = error(fitted(grouped({key: one for key, one in sets.items() if key != name})), each)
        count = len(of_objects(each)[0])
        print(f"{name:18} {count:5} objects  ECE {ece:.3f}  F1 expected {expected:.3f}, true {true:.3f}")
    curve = fitted(grouped(sets))
    write_json(asked.out, curve.model_dump())
    print(curve)


def grouped(sets: dict[str, list[Judged]]) -> list[list[Judged]]:
    """Sets that count the same."""
    kinds = {name: "real" if name not in PHANTOMS else "3d" if "3d" in name else "2d" for name in sets}
    return [[one for name in sets if kinds[name] == kind for one in sets[name]] for kind in sorted({*kinds.values()})]


if __name__ == "__main__":
    main()
