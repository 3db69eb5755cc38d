"""Put a state of a training into the package: python benchmarks/generalist/ship.py RUN nuclei-2d [--step 002000].

Thresholds of the decoder are those of the settings beside this file, weights become 16 bits, and the card says what the
model learnt from and, where `cytoshift bench benchmarks/specs/generalist.yaml` has left results.json, how it scored.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cytoshift.core.settings import parse, read_yaml
from cytoshift.methods import METHODS
from cytoshift.model import Segmenter
from cytoshift.model.shipped import FOLDER
from cytoshift.train import checkpoint
from cytoshift.train.run_settings import Run

HERE = Path(__file__).parent
DIAMETER = {"nuclei-2d": 13.5, "nuclei-3d": 17.0}  # voxels that objects are brought to, see diameter.py
FLAT = ("fluo256", "u2os520", "stained", "hacat", "stardist-2d", "sparse-2d", "dense-2d")  # data sets of 2D images
LARGEST = 4e6  # bytes
SUMMARY = {
    "nuclei-2d": "nuclei in 2D images of any contrast, learnt from synthetic images alone",
    "nuclei-3d": "nuclei in volumes of any contrast, learnt from synthetic volumes alone",
}
# Of the table in docs/results.md where it has a number.
FAILURES = {
    "nuclei-2d": [
        "stained tissue: F1@0.5 0.60, a local threshold 0.63; nuclei are missed, other parts are taken for one",
        "few large nuclei, far apart: F1@0.5 0.91 on HaCaT, a local threshold 0.93",
        "not measured, to be expected: objects that differ more than fivefold in diameter within one image",
    ],
    "nuclei-3d": [
        "stacks of closely packed nuclei: F1@0.5 0.83 to 0.85 on phantoms, a threshold 0.86 to 0.89",
        "embryos of few nuclei, some of them faint: F1@0.5 0.82 on eight cells, a threshold 0.88; outlines are "
        "narrower than those of a person",
        "not measured, to be expected: stacks whose planes lie further apart than half a nucleus; images in which only "
        "walls or membranes are stained",
    ],
}


def shipped(folder: Path, name: str, step: str | None) -> Segmenter:
    """The model as it leaves, with its card."""
    run = parse(Run, read_yaml(folder / "run.yaml"), str(folder))
    model = Segmenter.load(folder / "snapshots" / step if step else folder / "model")
    assert run.randomised is not None, "settings of this method say how images are drawn"
    recipe = read_yaml(HERE / f"{name}.yaml")
    first = recipe.pop("first", {})
    represent = parse(Run, recipe, name).represent
    settings: dict[str, Any] = run.model_dump(mode="json", exclude_unset=True)
    settings["data"]["images"]["paths"] = "images"
    steps, seconds = checkpoint.load(folder / "checkpoints" / "last.pt", {})
    reached = int(step or steps)
    before, hours = "", reached / steps * seconds / 3600
    if first:
        settings["start"], place = "model of the first part", folder.with_name(f"{folder.name}.first")
        early, earlier = checkpoint.load(place / "checkpoints" / "last.pt", {})
        before, hours = f"{early} steps, then with fainter objects and more noise ", hours + earlier / 3600
    card = {
        "method": run.method,
        "title": METHODS[run.method].title,
        "papers": [*METHODS[run.method].papers, *represent.papers],
        "summary": SUMMARY[name],
        "learnt from": "domain-randomised synthetic images (cytoshift.synth.random_pairs), no real image and no label",
        "training": f"{before}{reached} of {run.train.steps} steps of {run.train.batch} patches of "
        f"{' x '.join(map(str, run.patch))}, seed {run.seed}, {hours:.2f} hours on one core "
        "that other programs shared",
        "size": f"objects are brought to {DIAMETER[name]:g} voxels across; trained on medians of "
        f"{run.randomised.diameter[0]:g} to {run.randomised.diameter[1]:g}",
        "failures": FAILURES[name],
        "scores": scores(name),
        "licence": "CC0-1.0",
        "step": reached,
        "objects": model.card["objects"],
        "settings": settings,
    }
    return replace(model, network=model.network.half(), representation=represent, card=card, diameter=DIAMETER[name])


def scores(name: str) -> dict[str, dict[str, float]]:
    """By data set, what the benchmark has found."""
    path = Path("runs/bench-generalist/results.json")
    if not path.exists():
        return {}
    names = {"Dice": "dice", "F1@0.5": "f1_50", "AP-50": "ap_50"}
    return {
        row["dataset"]: {word: round(row[key]["mean"], 3) for word, key in names.items()}
        for row in json.loads(path.read_text())["table"]
        if row["method"] == "generalist" and (row["dataset"] in FLAT) == (name == "nuclei-2d")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name", choices=sorted(SUMMARY))
    parser.add_argument("--step", help="a snapshot of the training; default: its end")
    parser.add_argument("-o", "--out", type=Path, default=FOLDER)
    asked = parser.parse_args()
    folder = shipped(asked.run, asked.name, asked.step).save(asked.out / asked.name)
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert asked.out.resolve() != FOLDER.resolve() or size <= LARGEST, (
        f"{folder} has {size} bytes, a model of the package {LARGEST:g} at most"
    )
    print(f"{folder}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
