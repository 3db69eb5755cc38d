"""How many voxels objects are brought to: python benchmarks/generalist/diameter.py NAME [--images DIR --labels DIR]

    python benchmarks/generalist/diameter.py nuclei-3d
    python benchmarks/generalist/diameter.py nuclei-2d --images ../shared/data/nuclei2d/fluo256/train/images \\
        --labels ../shared/data/nuclei2d/fluo256/train/labels --every 2

F1@0.5 and AP-50 of a model of the package that brings objects to more voxels or to fewer than the 13.5 and 15 of its
training: means over phantoms of other seeds than those of the tables, or over images of a development set. Sizes are
measured, as `cytoshift segment` does.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cytoshift.data.volumes import Volume, open_labels, open_volumes
from cytoshift.metrics.evaluation import evaluate, mean_report
from cytoshift.model import Segmenter
from cytoshift.predict.pipeline import predict
from cytoshift.synth.phantoms import PHANTOMS, phantom
from cytoshift.trust.size_fit import fit

TRAINED = {"nuclei-2d": 13.5, "nuclei-3d": 15.0}
FACTORS = (1.25, 1.13, 1.0, 0.87)
SEEDS = (11,)
LATER = ("hacat-2d", "cho-3d")  # phantoms that came when the sizes were chosen already

Pairs = list[tuple[list[Volume], list[NDArray[np.generic]]]]  # images that are fitted together, and their labels


def phantoms(ndim: int) -> Pairs:
    """Of each kind and seed, one by one."""
    out = []
    for name in [one for one in PHANTOMS if one not in LATER]:
        for seed in SEEDS:
            image, labels, voxel = phantom(name, seed)
            if image.ndim == ndim:
                out.append(([Volume(name, image, "zyx"[-ndim:], voxel, "a phantom")], [labels]))
    return out


def development(images: str, labels: str, every: int) -> Pairs:
    """The last of every so many images, all together, as a folder is fitted."""
    truths = {one.name: one for one in open_labels(labels)}
    volumes = open_volumes(images)[every - 1 :: every]
    return [(volumes, [truths[one.name].load() for one in volumes])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(TRAINED))
    parser.add_argument("--images")
    parser.add_argument("--labels")
    parser.add_argument("--every", type=int, default=1, help="of so many images one is taken")
    asked = parser.parse_args()
    model = Segmenter.load(Path(asked.name))
    pairs = development(asked.images, asked.labels, asked.every) if asked.images else phantoms(model.voxel.ndim)
    print("| voxels across | Dice | F1@0.5 | AP-50 |\n| ---: | ---: | ---: | ---: |")
    for factor in FACTORS:
        larger = replace(model, diameter=factor * TRAINED[asked.name])
        reports = []
        for volumes, truths in pairs:
            fitted = fit(larger, volumes).segmenter
            reports += [
                evaluate(truth, predict(fitted.for_image(volume.name), volume).labels)
                for volume, truth in zip(volumes, truths)
            ]
        mean = mean_report(reports)
        print(f"| {larger.diameter:.3g} | {mean['dice']:.3f} | {mean['f1_50']:.3f} | {mean['ap_50']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
