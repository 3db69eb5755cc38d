"""Is the measured size right where walls are brighter than objects?  python benchmarks/bench_estimate_walls.py -o DIR

40 synthetic volumes with walls, of which the true sizes are known: how many estimates lie within 20 % of the truth, of
`estimate` alone and of `estimate` followed by the model of the package (`size_fit`), and how often at each confidence.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np

from cytoshift.core.errors import UserError
from cytoshift.core.rng import stream
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import ImageSource, open_volumes
from cytoshift.data.write import write_image
from cytoshift.measure.estimate import estimate
from cytoshift.measure.measurement import quantiles
from cytoshift.measure.outlined_objects import objects
from cytoshift.model import Segmenter
from cytoshift.synth import draw_pair
from cytoshift.synth.random_pairs import Randomised
from cytoshift.trust.size_fit import fit

SHAPE, VOXEL = (64, 96, 96), Voxel((1.0, 1.0, 1.0), "px")
LAW = Randomised(diameter=(9, 26), tissue=0.0, walls=1.0, coarse=0.3, cover=(0.1, 0.9), elongation=0.3)
NEAR = 0.2  # of the true size
BINS = (0.0, 0.3, 0.6, 0.8, 1.01)


def true_size(number: int, folder: Path) -> tuple[Path, float]:
    """A volume on disk, and the median diameter of its objects, of which large ones are cut by its edge more often."""
    image, labels = draw_pair(LAW, SHAPE, VOXEL, stream(7, "walls", number))
    path = folder / f"{number:02d}.tif"
    write_image(path, np.rint(127.5 * (image + 1)).astype(np.uint8), VOXEL, "zyx")
    seen = objects(labels, VOXEL, ((True, True),) * 3)
    return path, quantiles(seen.diameter[seen.whole], 1 / seen.chance[seen.whole])[50]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--fit", action="store_true", help="follow with the model of the package")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    model = Segmenter.load("nuclei-3d") if asked.fit else None
    rows = []
    for number in range(asked.count):
        path, truth = true_size(number, asked.out)
        volumes = open_volumes(ImageSource(paths=str(path)))
        row: dict[str, float] = {"true": truth}
        try:
            seen = estimate([volumes[0].load()], [VOXEL], "bright")
            row |= {"estimate": seen.whole_diameters[50], "confidence": seen.confidence}
            if model is not None:
                fitted = fit(model, volumes, polarity="bright")
                row["fit"] = fitted.found or fitted.diameter or 0.0
        except UserError as error:
            print(f"{number}: {error}")
            row |= {"estimate": 0.0, "confidence": 0.0, "fit": 0.0}
        rows.append(row)
        print(" ".join(f"{key} {value:.3g}" for key, value in row.items()), flush=True)
    (asked.out / "rows.json").write_text(json.dumps(rows))
    truth = np.array([row["true"] for row in rows])
    for key in ("estimate", "fit")[: 1 + asked.fit]:
        off = np.abs(np.array([row[key] for row in rows]) / truth - 1)
        print(f"{key}: {np.mean(off <= NEAR):.2f} of {len(rows)} within {NEAR:.0%} of the true size")
    sure = np.array([row["confidence"] for row in rows])
    for low, high in itertools.pairwise(BINS):
        among = (sure >= low) & (sure < high)
        if among.any():
            right = [
                f"{key} {np.mean(np.abs(np.array([row[key] for row in rows])[among] / truth[among] - 1) <= NEAR):.2f}"
                for key in ("estimate", "fit")[: 1 + asked.fit]
            ]
            print(f"confidence {low:g} to {high:g}: {among.sum()} volumes, within {NEAR:.0%}: {', '.join(right)}")


if __name__ == "__main__":
    main()
