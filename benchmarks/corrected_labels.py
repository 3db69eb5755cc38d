"""Label, correct, train on: F1 of the labels of other images before and after four of eight were corrected.

    OMP_NUM_THREADS=1 python benchmarks/corrected_labels.py [--data ../shared/data] [--seeds 0 1 2] [--steps 300]
        [--method supervised] [--part] [--json FILE]

Eight images: sections in simulated expansion microscopy, made by the seed; with --data, stained tissue of the Data
Science Bowl 2018, drawn by the seed from the part that no table scores. The model of the package labels all eight. The
labels of four of them are corrected: here the truth stands for the person. A training goes on from the model with these
four, and labels the other four anew. With --part, only the left half of each is corrected, and the rest has the
number 65535, from which nothing is learnt.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_labels
from cytoshift.metrics.evaluation import evaluate, mean_report
from workload import Spent, cytoshift

IMAGES, CORRECTED, IGNORED = 8, 4, 65535
STAINED, KNOWN = "nuclei2d/stained", 20


def score(truth: Path, found: Path, names: list[str]) -> float:
    """Mean F1@0.5 over these images."""
    labels = {one.name: one for one in open_labels(str(found))}
    pairs = [(one.load(), labels[one.name].load()) for one in open_labels(str(truth)) if one.name in names]
    return float(mean_report([evaluate(*pair) for pair in pairs])["f1_50"])


def correct(truth: Path, out: Path, names: list[str], part: bool) -> None:
    """The labels of these images as a person leaves them: all objects, or those of the left half."""
    for one in open_labels(str(truth)):
        if one.name in names:
            labels = np.asarray(one.load()).astype(np.uint16)
            if part:
                labels[..., labels.shape[-1] // 2 :] = IGNORED
            write_labels(out / f"{one.name}.tif", labels, one.voxel, one.axes)


def material(data: Path | None, room: Path, seed: int) -> tuple[Path, list[str]]:
    """A folder with images and labels, and the words that say which channel."""
    if data is not None:
        return data / STAINED, ["--channel", "luminance"]
    run(cytoshift("synth", "em-to-expansion-2d", "-n", IMAGES, "--seed", 1000 + seed, "-o", room / "made"))
    return room / "made" / "target", []


def round_trip(asked: argparse.Namespace, room: Path, seed: int) -> dict[str, float]:
    """F1 of the four images that nobody corrected, before and after."""
    folder, channel = material(asked.data, room, seed)
    known = [path.stem for path in sorted((folder / "images").glob("*.tif"))][:KNOWN]
    names = np.random.default_rng(seed).permutation(known)[:IMAGES].tolist()
    corrected, rest = sorted(names[:CORRECTED]), sorted(names[CORRECTED:])
    for kind, some in (("corrected", corrected), ("rest", rest)):
        (room / kind).mkdir()
        for name in some:
            (room / kind / f"{name}.tif").symlink_to((folder / "images" / f"{name}.tif").resolve())
    run(cytoshift("segment", "nuclei-2d", room / "rest", *channel, "-o", room / "before"))
    correct(folder / "labels", room / "labels", corrected, asked.part)
    source = ["--source", room / "corrected", room / "labels", *(["--source-channel", channel[1]] if channel else [])]
    ignored = ["--source-ignore-id", IGNORED] if asked.part else []
    same = ["--assume-same-size"] if asked.method == "supervised" else []
    target = ["--images", room / "corrected", *channel, *same, "--start", "nuclei-2d"]
    run(cytoshift("new", asked.method, *source, *ignored, *target, "-o", room / "run.yaml"))
    run(cytoshift("train", room / "run.yaml", f"train.steps={asked.steps}", f"seed={seed}", "-o", room / "run"))
    run(cytoshift("segment", room / "run" / "model", room / "rest", *channel, "-o", room / "after"))
    return {found: score(folder / "labels", room / found, rest) for found in ("before", "after")}


def run(spent: Spent) -> None:
    if spent.code:
        raise SystemExit(spent.said[-2000:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--method", default="supervised", choices=("supervised", "selftrain"))
    parser.add_argument("--part", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = []
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory() as room:
            rows.append({"seed": seed} | round_trip(asked, Path(room), seed))
        print("seed {seed}: F1@0.5 of four other images {before:.3f} -> {after:.3f}".format(**rows[-1]), flush=True)
    before, after = (float(np.mean([row[key] for row in rows])) for key in ("before", "after"))
    print(f"mean of {len(rows)} seeds: {before:.3f} -> {after:.3f}")
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
