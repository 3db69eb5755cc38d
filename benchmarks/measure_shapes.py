"""Sizes and forms of nuclei and Golgi in a library of shapes, beside those that a preset draws.

    python benchmarks/measure_shapes.py LIBRARY.npz [--axes yxz] [--prior retina] [--out TABLE.md]

LIBRARY holds binary arrays called nuclei... and golgi... Semi-axes are those of the ellipsoid with the same second
moments, voxels as cubes; `fit` is the IoU of an object and that ellipsoid; `tilt` is the angle of the longest axis
out of the plane. Drawn objects that the border cuts are left out.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from cytoshift.core.atomic import atomic_path
from cytoshift.core.rng import stream
from cytoshift.core.voxel import Voxel
from cytoshift.data.shape_library import read_masks
from cytoshift.synth.cells import CLASSES
from cytoshift.synth.organelles import draw_pairs
from cytoshift.synth.presets import PAIR_PRIORS

SHAPE = (48, 96, 96)
QUANTILES = (5, 25, 50, 75, 95)
MARGIN = 4  # voxels around an object in which its ellipsoid is looked at
COLUMNS = ("voxels", "a", "b", "c", "a / b", "a / c", "fit", "tilt")


def measures(mask: NDArray[np.bool_]) -> tuple[float, ...]:
    """One object (Z, Y, X), by COLUMNS."""
    padded = np.pad(mask, MARGIN)
    points = np.argwhere(padded)
    moments, ways = np.linalg.eigh(np.cov(points.T, bias=True) + np.eye(3) / 12)
    c, b, a = np.sqrt(5 * moments)
    grid = np.stack(np.indices(padded.shape), axis=-1) - points.mean(axis=0)
    ball = ((grid @ ways) ** 2 / (5 * moments)).sum(axis=-1) <= 1
    fit = (ball & padded).sum() / (ball | padded).sum()
    return len(points), a, b, c, a / b, a / c, fit, np.rad2deg(np.arcsin(abs(ways[0, -1])))


def whole(labels: NDArray[np.int32]) -> Iterable[NDArray[np.bool_]]:
    for own, box in enumerate(find_objects(labels), start=1):
        if box and all(s.start > 0 and s.stop < n for s, n in zip(box, labels.shape)):
            yield labels[box] == own


def drawn(name: str, volumes: int) -> dict[str, list[NDArray[np.bool_]]]:
    found: dict[str, list[NDArray[np.bool_]]] = {kind: [] for kind in CLASSES}
    for index in range(volumes):
        labels = draw_pairs(PAIR_PRIORS[name], SHAPE, Voxel((1.0, 1.0, 1.0)), stream(0, "measure shapes", index))
        for k, kind in enumerate(CLASSES):
            found[kind] += list(whole(labels[k]))
    return found


def row(name: str, masks: list[NDArray[np.bool_]]) -> str:
    table = np.array([measures(mask) for mask in masks])
    cells = [" / ".join(f"{v:.3g}" for v in np.percentile(column, QUANTILES)) for column in table.T]
    return f"| {name} ({len(masks)}) | {' | '.join(cells)} | {np.log(table[:, 0]).std() / 3:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("--axes", default="zyx", help="of the library's arrays")
    parser.add_argument("--prior", default="retina", choices=PAIR_PRIORS)
    parser.add_argument("--volumes", type=int, default=30, help="drawn")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    there, here = read_masks(options.library, options.axes), drawn(options.prior, options.volumes)
    head = ["objects", *COLUMNS, "spread of log diameter"]
    lines = [f"Percentiles {', '.join(map(str, QUANTILES))}; lengths in voxels, tilt in degrees.", ""]
    lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for kind in CLASSES:
        lines += [row(f"{kind}, library", there[kind]), row(f"{kind}, {options.prior}", here[kind])]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        with atomic_path(options.out) as temporary:
            temporary.write_text(text)


if __name__ == "__main__":
    main()
