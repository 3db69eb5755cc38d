"""What changes AD-GAN's result on fluorescence: trainings and ways to segment, on a development set.

    OMP_NUM_THREADS=1 python benchmarks/adgan_tries.py --data ../shared/data -o runs/adgan-tries [--seeds 0 1 2]
        [--only plain --only "bias field 0.7"] [--steps 800]

Images: fluo256/train of the Data Science Bowl 2018, whose labels no table scores. Trainings (laptop preset, without
labels): without a bias field; 1.3 times as many synthetic objects; under a bias field; both; on images without their
local background. Each model segments with three thresholds, and with norms of each image. Every second image is scored.
Beside them: both classical pipelines and the generalist. Prints the table as Markdown, of all that is in the folder;
the same command continues.
"""

import argparse
import itertools
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cytoshift import Segmenter, estimate, evaluate, fit, open_volumes, recipe
from cytoshift.configure.recipe import scale_density
from cytoshift.core.atomic import atomic_path
from cytoshift.data.volumes import Volume, open_labels
from cytoshift.data.write import write_image
from cytoshift.metrics.evaluation import mean_report
from cytoshift.predict.classical import Classical, segment_classically
from cytoshift.predict.pipeline import Options, predict
from cytoshift.predict.squassh import rolling_background
from cytoshift.trust.size_fit import fit as fit_sizes

SET = "nuclei2d/fluo256/train"
WINDOW = 3.0  # side of the window of the local background, in diameters of large objects (95th percentile)
BIAS = "data.augment.bias_field"
TRAININGS: dict[str, dict[str, Any]] = {
    "plain": {"settings": {BIAS: 0}},
    "density x 1.3": {"settings": {BIAS: 0}, "density": 1.3},
    "bias field 0.7": {"settings": {BIAS: 0.7}},
    "bias field 0.7, density x 1.3": {"settings": {BIAS: 0.7}, "density": 1.3},
    "local background removed": {"settings": {BIAS: 0}, "background": True},
}
SEGMENTATIONS: dict[str, dict[str, Any]] = {
    "threshold 64/255": {"threshold": 64 / 255},
    "threshold 0.5": {"threshold": 0.5},
    "threshold 0.6": {"threshold": 0.6},
    "norms of each image, threshold 64/255": {"threshold": 64 / 255, "adapt": True},
    "norms of each image, threshold 0.5": {"threshold": 0.5, "adapt": True},
}
NUMBERS = ("dice", "precision", "recall", "f1_50", "ap_50")


def without_background(images: str, out: Path) -> str:
    """Copies of the images without what is wider than a few objects; those of an earlier call stay."""
    volumes = open_volumes(images)
    if (out / f"{volumes[-1].name}.tif").exists():
        return str(out)
    seen = estimate([one.load() for one in volumes], [one.voxel for one in volumes], "bright")
    side = WINDOW * seen.whole_diameters[95]
    for volume in volumes:
        raw = np.asarray(volume.load(), np.float32)
        flat = raw - rolling_background(raw, np.full(raw.ndim, side))
        write_image(out / f"{volume.name}.tif", np.rint(flat).astype(np.uint8), volume.voxel, volume.axes)
    return str(out)


def train(images: str, way: dict[str, Any], steps: int, seed: int, out: Path) -> Segmenter:
    """One training; the recipe is made from the images that it reads."""
    if (out / "model" / "model.json").exists():
        return Segmenter.load(out / "model")
    run = recipe(images, "adgan", steps=steps, seed=seed, settings=way["settings"])
    if factor := way.get("density"):
        assert run.prior is not None, "AD-GAN draws masks from measured sizes"
        prior = run.prior.model_copy(update={"density": scale_density(run.prior.density, factor)})
        run = run.model_copy(update={"prior": prior})
    return Segmenter.load(fit(run, out))


def score(images: list[Volume], truths: dict[str, Any], way: Callable[[Volume], Any]) -> dict[str, float]:
    """Mean over the images."""
    reports = [evaluate(truths[image.name], way(image)) for image in images]
    return {name: float(mean_report(reports)[name]) for name in NUMBERS}


def with_model(model: Segmenter, how: dict[str, Any]) -> Callable[[Volume], Any]:
    """How a model segments an image."""
    options = Options(threshold=how.get("threshold"), mirror=True)
    ready = model.adapt_norms() if how.get("adapt") else model
    return lambda image: predict(ready, image, options).labels


def classical(floor: Classical, image: Volume) -> Any:
    """What a classical pipeline finds in an image."""
    return segment_classically(image.load(), image.voxel, floor)


def row(name: str, seeds: list[dict[str, float]]) -> str:
    """Mean and standard deviation over the seeds, as a line of the table."""
    cells = [str(len(seeds))]
    for key in NUMBERS:
        values = [one[key] for one in seeds]
        spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.3f}{spread}")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", action="append", choices=TRAININGS, help="a training; repeatable")
    parser.add_argument("--steps", type=int, default=800)
    asked = parser.parse_args()
    raw = str(asked.data / SET / "images")
    truths = {one.name: np.asarray(one.load()) for one in open_labels(str(asked.data / SET / "labels"))[1::2]}
    scored = [image for image in open_volumes(raw) if image.name in truths]
    lines = ["| way | seeds | Dice | precision | recall | F1@0.5 | AP-50 |", "| --- |" + " ---: |" * (1 + len(NUMBERS))]
    for floor in (Classical(), Classical(threshold="local")):
        found_by = partial(classical, floor)
        lines.append(row(floor.threshold, [score(scored, truths, found_by)]))
    general = fit_sizes(Segmenter.load("nuclei-2d"), scored).segmenter
    lines.append(row("generalist", [score(scored, truths, with_model(general, {}))]))
    print("\n".join(lines), flush=True)
    for seed, training in itertools.product(asked.seeds, asked.only or TRAININGS):
        place = asked.out / "scores" / f"{training}, {asked.steps} steps, seed {seed}.json"
        if not place.exists():
            images = without_background(raw, asked.out / "flat") if TRAININGS[training].get("background") else raw
            folder = asked.out / f"{training.replace(' ', '-')}-{asked.steps}-{seed}"
            model = train(images, TRAININGS[training], asked.steps, seed, folder)
            seen = [image for image in open_volumes(images) if image.name in truths]
            numbers = {how: score(seen, truths, with_model(model, segment)) for how, segment in SEGMENTATIONS.items()}
            with atomic_path(place) as path:
                path.write_text(json.dumps(numbers, indent=1))
        print(
            place.stem, {how: round(one["f1_50"], 3) for how, one in json.loads(place.read_text()).items()}, flush=True
        )
    for training, how in itertools.product(TRAININGS, SEGMENTATIONS):
        places = sorted((asked.out / "scores").glob(f"{training}, {asked.steps} steps, seed *.json"))
        if places:
            lines.append(row(f"{training}, {how}", [json.loads(place.read_text())[how] for place in places]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
