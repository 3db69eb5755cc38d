"""Many small images: what one costs beside its network, and how much sooner two processes are done.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_many_images.py MODEL [--images 10000] [--side 128]
        [--workers 1 2] [--room DIR] [--json FILE]

Fields of a mosaic of phantoms, one TIFF each, by `cytoshift segment --workers N`. CPU seconds per image are those of
all images less those of a tenth of them, so that the start of the program and the report do not count; the network's
share is measured in this process on groups of the same size. Wall times mean something on a machine with as many idle
cores as workers, CPU seconds on any. Fails where labels differ in a byte.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from cytoshift.predict.images import TOGETHER
from cytoshift.predict.pipeline import Options, Pipeline, channels_together
from record import Wanted, conclude
from workload import cytoshift, filled


def network_seconds(segmenter: Segmenter, side: int) -> float:
    """CPU seconds of the network for one image of a full group, the best of five."""
    image = np.random.default_rng(0).uniform(-1, 1, (side, side)).astype(np.float32)
    count = max(TOGETHER // side**2, 1)
    best = float("inf")
    for _ in range(6):
        pipelines = [Pipeline.of_image(segmenter, image, segmenter.voxel, Options()) for _ in range(count)]
        started = time.process_time()
        channels_together(pipelines)
        best = min(best, (time.process_time() - started) / count)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--room", help="where files go")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter, side = Segmenter.load(args.model), args.side
    rows, seen = [], []
    with tempfile.TemporaryDirectory(dir=args.room) as name:
        room = Path(name)
        field = filled(None, segmenter, (side * 10, side * 10))
        for number in range(args.images):
            y, x = np.random.default_rng(number).integers(0, side * 9, 2)
            folder = "few" if number % 10 == 0 else "rest"
            image = field[y : y + side, x : x + side]
            write_image(room / folder / f"{number:06d}.tif", image, segmenter.voxel, segmenter.axes)
        for workers in args.workers:
            words = ("--workers", workers, "--quiet")
            few = cytoshift("segment", args.model, room / "few", "-o", room / f"few{workers}", *words)
            out = room / f"all{workers}"
            spent = cytoshift("segment", args.model, room / "few", room / "rest", "-o", out, *words)
            each = (spent.cpu - few.cpu) / (args.images * 0.9)
            wall = (spent.wall - few.wall) / (args.images * 0.9)
            rows.append(
                {"workers": workers, "wall": wall, "cpu": each, "faster": rows[0]["wall"] / wall if rows else 1.0}
            )
            print(f"  {workers} workers: {wall * 1e3:.1f} ms and {each * 1e3:.1f} ms of CPU per image", flush=True)
            seen.append({path.name: path.read_bytes() for path in out.glob("*.tif")})
    network = network_seconds(segmenter, side)
    print(f"  network alone: {network * 1e3:.1f} ms of CPU per image")
    numbers = {"images": args.images, "side": side, "rows": rows, "network": network}
    conclude(args.json, numbers, [
        Wanted("runs whose labels differ in a byte", sum(one != seen[0] for one in seen), most=0),
        Wanted("ms of CPU per image beside the network", 1e3 * (rows[0]["cpu"] - network), most=10),
        Wanted("CPU of the most workers in parts of the CPU of one", rows[-1]["cpu"] / rows[0]["cpu"], most=1.25),
        Wanted("times as fast by the most workers, with that many idle cores", rows[-1]["faster"], least=1.8),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
