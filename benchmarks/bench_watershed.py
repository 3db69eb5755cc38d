"""What decoding a volume costs: 64 x 384 x 384 voxels, 1,600 nuclei that touch, as 8-bit BCD channels.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_watershed.py

Each route runs in a process of its own and gets the same file: the route through scikit-image, which `bcd_watershed`
takes, and `BCD.decode`, whose ties are in the order of the image. Printed: the CPU seconds of the fastest of some
rounds, so that other work on the machine counts little; the peak memory of the whole process after the first, and what
of it came after a tiny volume had gone through, that is, without the libraries; the voxels whose labels are not those
of scikit-image. Fails where `bcd_watershed` differs in a voxel, or `BCD.decode` is not 5 times as fast as scikit-image
or needs more than half of its memory beyond the libraries.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHAPE = (64, 384, 384)
NUCLEI = 1600
ROUNDS = 3

Channels = NDArray[np.uint8]
Labels = NDArray[np.unsignedinteger]


def packed_nuclei(shape: tuple[int, ...], number: int, reach: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """Touching balls of radius `reach` around jittered grid points, every voxel to the nearest: (Z, Y, X)."""
    from scipy.spatial import cKDTree

    step = (np.prod(shape) / number) ** (1 / 3) * 0.95
    grid = np.stack(np.meshgrid(*(np.arange(step / 2, n, step) for n in shape), indexing="ij"), -1).reshape(-1, 3)
    centres = rng.permutation(grid)[:number] + rng.uniform(-2, 2, (number, 3))
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    distance, nearest = cKDTree(centres).query(voxels, distance_upper_bound=reach)
    return np.where(np.isfinite(distance), nearest + 1, 0).astype(np.int32).reshape(shape)


def prediction() -> Channels:
    """What a network might draw of the nuclei, (3, Z, Y, X): its surfaces are soft and it errs smoothly.

    The encoded channels blurred, their logits with noise that is correlated over some voxels, sure where it is sure.
    """
    from scipy.ndimage import gaussian_filter

    from cytoshift.core.voxel import Voxel
    from cytoshift.represent import BCD

    rng = np.random.default_rng(0)
    drawn = BCD().encode(packed_nuclei(SHAPE, NUCLEI, 11.0, rng), Voxel((1.0, 1.0, 1.0)))
    out = np.empty(drawn.shape, np.uint8)
    for channel, (values, low) in enumerate(zip(drawn, (0.0, 0.0, -1.0))):
        part = np.clip((gaussian_filter(values, 0.7) - low) / (1 - low), 0.004, 0.996)
        noise = gaussian_filter(rng.standard_normal(SHAPE).astype(np.float32), 1.5)
        logit = np.log(part / (1 - part)) + 0.5 * noise / noise.std()
        out[channel] = np.rint(255 / (1 + np.exp(-logit)))
    return out


def ours(pred: Channels) -> Labels:
    from cytoshift import bcd_watershed

    return bcd_watershed(pred)


def decoded(pred: Channels) -> Labels:
    from cytoshift.core.voxel import Voxel
    from cytoshift.represent import BCD

    return BCD().decode(pred, Voxel((1.0, 1.0, 1.0)))


def through_scikit_image(pred: Channels) -> Labels:
    """The same steps with the functions that the usage page's code calls."""
    from skimage.measure import label
    from skimage.morphology import remove_small_objects
    from skimage.segmentation import watershed

    semantic, contour = pred[0], pred[1]
    distance = pred[2] / 255.0 * 2.0 - 1.0
    foreground = (semantic > int(255 * 0.7)) & (distance > -0.1)
    seeds = (semantic > int(255 * 0.9)) & (contour < int(255 * 0.2)) & (distance > 0.5)
    markers = remove_small_objects(label(seeds), max_size=31)
    labels = watershed(-semantic.astype(np.float64), markers, mask=foreground)
    labels = remove_small_objects(labels, max_size=255)
    return labels.astype(np.min_scalar_type(labels.max()))


ROUTES = {"scikit-image": through_scikit_image, "bcd_watershed": ours, "BCD.decode": decoded}


def run(route: str, folder: Path) -> None:
    """One route in this process: its figures on standard output, its labels in the folder."""
    pred = np.load(folder / "pred.npy")
    before = peak()
    ROUTES[route](np.ascontiguousarray(pred[:, :8, :48, :48]))  # imports and compilation
    libraries = peak() - before
    start = time.process_time()
    labels = ROUTES[route](pred)
    seconds, whole = [time.process_time() - start], peak()
    np.save(folder / f"{route}.npy", labels)
    objects = int(np.unique(labels).size) - 1
    for _ in range(ROUNDS - 1):
        start = time.process_time()
        ROUTES[route](pred)
        seconds.append(time.process_time() - start)
    work = whole - before - libraries
    print(json.dumps({"seconds": min(seconds), "whole": whole, "work": work, "objects": objects}))


def peak() -> float:
    """The most memory that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def unlike(labels: Labels, truth: Labels) -> int:
    """Voxels whose objects differ, whatever their ids; `truth` may have gaps."""
    _, dense = np.unique(truth, return_inverse=True)
    return int((labels != (dense.reshape(truth.shape) if labels.max() < truth.max() else truth)).sum())


def main() -> None:
    """Starts the processes; it stays small itself, since a child begins with its parent's peak of memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw = f"import numpy, bench_watershed as b; numpy.save({str(folder / 'pred.npy')!r}, b.prediction())"
        subprocess.run([sys.executable, "-c", draw], check=True, cwd=Path(__file__).parent)
        figures = {}
        for route in ROUTES:
            command = [sys.executable, __file__, route, name]
            figures[route] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        truth = np.load(folder / "scikit-image.npy")
        for route, figure in figures.items():
            labels = np.load(folder / f"{route}.npy")
            figure["unlike"] = unlike(labels, truth)
            figure["speed"] = figures["scikit-image"]["seconds"] / figure["seconds"]
            figure["memory"] = figure["work"] / figures["scikit-image"]["work"]
            print(
                "{:>14}: {seconds:5.2f} s, {speed:4.1f} times as fast; {whole:4.0f} MB in all, {work:4.0f} MB without "
                "libraries, {memory:.2f} of that; {objects} objects, {unlike} voxels differ".format(route, **figure)
            )
    exact, ours = figures["bcd_watershed"], figures["BCD.decode"]
    if exact["unlike"] or ours["speed"] < 5 or ours["memory"] > 0.5:
        sys.exit("missed: the same labels, or 5 times the speed, or half of the memory")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
