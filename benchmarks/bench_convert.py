"""How long it takes to write 100,000 objects for other programs, and the memory: each format in a process of its own.

    python benchmarks/bench_convert.py [--edge 10000] [--only rois,geojson]

The labels are rough discs on a grid, every twentieth with a hole and every fiftieth in two parts. Prints processor
seconds, seconds, GB at most and MB of the file for each format, and the time of the table of objects. The limits are
60 s and 2 GB on one core.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from cytoshift.core.voxel import Voxel  # noqa: E402
from cytoshift.data.exchange import FORMATS, LabelSeries, write_format  # noqa: E402
from cytoshift.data.frames import series_of  # noqa: E402
from cytoshift.data.volumes import open_labels  # noqa: E402
from cytoshift.data.write import write_labels  # noqa: E402
from cytoshift.labels.objects import measure_objects  # noqa: E402

STEP = 31  # pixels from object to object
VOXEL = Voxel((0.5, 0.5), "um")


def rough_discs(edge: int) -> NDArray[np.uint32]:
    """(edge, edge) labels."""
    rng = np.random.default_rng(0)
    labels = np.zeros((edge, edge), np.uint32)
    y, x = np.mgrid[:STEP, :STEP] - STEP // 2
    shapes = [np.hypot(y, x) + rng.normal(0, 0.4, y.shape) < radius for radius in rng.uniform(7, 14, 50)]
    number = 0
    for top in range(0, edge - STEP, STEP):
        for left in range(0, edge - STEP, STEP):
            number += 1
            shape = shapes[number % 50].copy()
            if number % 20 == 0:
                shape[12:17, 12:17] = False
            if number % 50 == 0:
                shape[:, 15] = False
            labels[top : top + STEP, left : left + STEP][shape] = number
    return labels


def measure(place: Path, key: str) -> None:
    """One format, or the table, in this process; a small image first, so that loops are compiled."""
    small, out = rough_discs(100), place.parent / f"small-{key}"
    series = lambda path: LabelSeries(series_of(open_labels(path))[0])
    write_labels(place.parent / "small.tif", small, VOXEL, "yx")
    if key == "table":
        work = lambda path, _: measure_objects(ids := open_labels(path)[0].load(), VOXEL, ids.astype(np.uint16))
    else:
        work = lambda path, to: write_format(key, to, [series(path)])
    work(place.parent / "small.tif", out)
    began, busy = time.perf_counter(), time.process_time()
    work(place, place.parent / f"large-{key}")
    seconds, spent = time.perf_counter() - began, time.process_time() - busy
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    there = place.parent / f"large-{key}"
    size = there.stat().st_size / 1e6 if there.is_file() else 0.0
    print(f"{key:10}{spent:12.1f}{seconds:10.1f}{memory:8.2f}{size:10.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=10_000)
    parser.add_argument("--only", default="rois,geojson,coco,table", help=f"of {', '.join(FORMATS)} and table")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.measure:
        measure(Path(words.measure[0]), words.measure[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "labels.tif"
        labels = rough_discs(words.edge)
        write_labels(place, labels, VOXEL, "yx")
        print(f"{labels.max()} objects in {words.edge} x {words.edge} pixels\n")
        del labels
        print(f"{'format':10}{'processor s':>12}{'s':>10}{'GB':>8}{'MB':>10}")
        one = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        for key in words.only.split(","):
            subprocess.run([sys.executable, __file__, "--measure", str(place), key], check=True, env=one)


if __name__ == "__main__":
    main()
