"""What votes are worth: python benchmarks/calibrate_votes.py --data ../shared/data -o calibration.json

The package has its result as src/cytoshift/ensemble/calibration.json. Voters of `cytoshift run` label phantoms and
every sixth image of fluo256/train, whose truth is known. Of each object the vote and whether it is right are kept. The
curve is monotone (isotonic regression). How many objects of the truth are missed is a sum of three parts (non-negative
least squares). Real images, phantoms in 2D and phantoms in 3D count the same. There are two curves: for labels that the
voters elect, and for labels on which others vote, some of which are bad on purpose. Prints how good each is on each set
when it is fitted to the others.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, nnls
from scipy.stats import spearmanr

from cytoshift.core.json_files import write_json
from cytoshift.data.volumes import Volume, open_labels, open_volumes
from cytoshift.data.write import write_image
from cytoshift.ensemble.expected_f1 import Calibration
from cytoshift.ensemble.voters import Measurements, NetworkVoter, voters
from cytoshift.labels.opinion import opinion
from cytoshift.labels.overlap import overlap
from cytoshift.labels.vote import AGREE, elect
from cytoshift.model import Segmenter, fingerprint
from cytoshift.model.shipped import model_folder
from cytoshift.synth.phantoms import phantom
from cytoshift.trust.size_fit import fit

PHANTOMS = {
    "sparse-2d": (21, 22, 23), "dense-2d": (21, 22, 23), "hl60-3d-25": (21,), "hl60-3d-75": (21,), "dense-3d": (21,),
    "scaffold-3d": (21,), "hl60-3d-75-noisy": (21,),
}  # fmt: skip
MIDDLE = (10, 90)  # percentages of the residuals that the spread leaves out on either side
ODD = (0.5, 2.0)  # of the measured size, for which labels that are judged are bad
STEP = 6  # of fluo256/train
NODES = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


@dataclass(frozen=True, eq=False)
class Judged:
    """Labels of one image: votes of their objects, which of them are right, how many objects voters have that are not
    among them, how many the truth has."""

    votes: NDArray[np.float64]
    right: NDArray[np.bool_]
    others: int
    truths: int

    @property
    def f1(self) -> float:
        """The true one."""
        return float(2 * self.right.sum() / max(len(self.right) + self.truths, 1))


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


def judged(pairs: list[tuple[Volume, NDArray[np.int32]]]) -> tuple[list[Judged], list[Judged]]:
    """What voters elect on images of one kind, and labels on which others vote: those of each voter, and those of the
    network for objects of half and of twice the size."""
    volumes = [volume for volume, _ in pairs]
    name = f"nuclei-{len(volumes[0].axes)}d"
    model = Segmenter.load(model_folder(name))
    measured = Measurements.of(fit(model, volumes))
    every = voters(model, fingerprint(name), volumes, measured)
    odd = [NetworkVoter("odd", measured.fit_to(model, volumes, factor), "") for factor in ODD]
    elected, given = [], []
    for volume, truth in pairs:
        found = [voter.labels(volume) for voter in every]
        count = len(np.unique(truth[truth > 0]))
        election = elect(found)
        right = is_right(truth, election.paint(found), np.arange(1, len(election.votes) + 1))
        elected.append(Judged(election.votes, right, len(election.left), count))
        for mine in (*found, *(voter.labels(volume) for voter in odd)):
            said = opinion(mine, [one for one in found if one is not mine])
            if said.ids.size:
                given.append(Judged(said.votes, is_right(truth, mine, said.ids), len(said.missed), count))
    return elected, given


def is_right(truth: NDArray[np.int32], labels: NDArray[np.int32], ids: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Of each object, whether one of the truth has an IoU of AGREE with it. ids: ascending."""
    table = overlap(truth, labels)
    good = table.pred_ids[table.pairs.pred[table.pairs.iou >= AGREE]]
    return np.isin(ids, good.astype(ids.dtype))


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
            p, share = np.interp(one.votes, NODES, curve), 1 / np.sqrt(len(each) * max(one.truths, 1))
            rows.append([(1 - p).sum() * share, one.others * share, one.truths * share])
            missed.append((one.truths - one.right.sum()) * share)
    (hidden, left, unseen), _ = nnls(np.array(rows), np.array(missed))
    found = Calibration(
        votes=tuple(NODES), right=tuple(curve.round(3)), left=round(left, 3), hidden=round(hidden, 3),
        unseen=round(unseen, 3),
    )  # fmt: skip
    residuals = [one.f1 - found.expected_f1(one.votes, one.others) for each in sets for one in each]
    low, high = np.percentile(residuals, MIDDLE)
    return found.model_copy(update={"spread": (round(float(low), 3), round(float(high), 3))})


def of_objects(each: list[Judged]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Votes, whether they are right, and weights that sum to 1."""
    votes = np.concatenate([one.votes for one in each])
    return votes, np.concatenate([one.right for one in each]), np.full(votes.size, 1 / max(votes.size, 1))


def quality(curve: Calibration, each: list[Judged]) -> str:
    """Expected calibration error of the objects in ten bins; expected F1 and the true one, means of the labels; their
    rank correlation."""
    votes, right, _ = of_objects(each)
    p = curve.confidence(votes)
    bins = np.minimum((10 * p).astype(int), 9)
    ece = sum(abs(p[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    expected, true = [curve.expected_f1(one.votes, one.others) for one in each], [one.f1 for one in each]
    rho = f", rank correlation {spearmanr(expected, true).statistic:.2f}" if len(each) > 4 else ""
    return (
        f"{votes.size:5} objects of {len(each):3} label images, ECE {ece:.3f}, F1 expected {np.mean(expected):.3f}, "
        f"true {np.mean(true):.3f}{rho}"
    )


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
    curves = dict[str, Any]()
    for place, kind in enumerate(("elected", "given")):
        print(f"{kind}, each set by the curve of the others:")
        mine = {name: both[place] for name, both in sets.items()}
        for name, each in mine.items():
            curve = fitted(grouped({key: one for key, one in mine.items() if key != name}))
            print(f"  {name:18} {quality(curve, each)}")
        curves[kind] = fitted(grouped(mine)).model_dump()
    write_json(asked.out, curves)
    print(json.dumps(curves))


def grouped(sets: dict[str, list[Judged]]) -> list[list[Judged]]:
    """Sets that count the same."""
    kinds = {name: "real" if name not in PHANTOMS else "3d" if "3d" in name else "2d" for name in sets}
    return [[one for name in sets if kinds[name] == kind for one in sets[name]] for kind in sorted({*kinds.values()})]


if __name__ == "__main__":
    main()
