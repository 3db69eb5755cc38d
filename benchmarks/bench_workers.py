"""One worker and two: how much sooner a volume is finished, and whether its labels are the same to the byte.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_workers.py MODEL [IMAGE] [--shape 128,512,512]
        [--memory 2GB] [--workers 1 2] [--room DIR] [--json FILE]

IMAGE is repeated, mirrored, up to the shape, a mosaic of phantoms without one. `cytoshift segment --workers N`, each
worker a process with one thread: wall time, which means something on a machine with as many idle cores as workers.
Fails where the labels differ in a byte, or where a process takes more than --memory.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from cytoshift.cli.inputs import parse_amount
from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from record import Wanted, conclude
from workload import cytoshift, filled, sizes


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("image", nargs="?")
    parser.add_argument("--shape", default="128,512,512")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--room", help="where files go, which are as large as the volume")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter, shape = Segmenter.load(args.model), sizes(args.shape)
    rows, seen = [], []
    with tempfile.TemporaryDirectory(dir=args.room) as name:
        room = Path(name)
        raw = filled(args.image, segmenter, shape)
        path = write_image(room / "raw.ome.zarr", raw, segmenter.voxel, segmenter.axes)
        for workers in args.workers:
            out = room / f"{workers}" / "labels.ome.zarr"
            words = ("--memory", args.memory, "--workers", workers, "--quiet")
            spent = cytoshift("segment", args.model, path, "-o", out, *words, fine=(0, 3))
            faster = rows[0]["wall"] / spent.wall if rows else 1.0
            rows.append({"workers": workers, "wall": spent.wall, "cpu": spent.cpu, "rate": raw.size / spent.wall / 1e6,
                         "faster": faster, "peak_gb": spent.peak / 1e9})  # fmt: skip
            print(f"  {workers} workers: {spent.wall:.1f} s, {rows[-1]['rate']:.3f} Mvoxel/s, {rows[-1]['faster']:.2f} "
                  f"times, peak {spent.peak / 1e9:.2f} GB", flush=True)  # fmt: skip
            seen.append(files(out))
    numbers = {"shape": shape, "memory": args.memory, "rows": rows}
    conclude(args.json, numbers, [
        Wanted("runs whose labels differ in a byte", sum(one != seen[0] for one in seen), most=0),
        Wanted("peak memory of any process in parts of the budget",
               max(row["peak_gb"] for row in rows) * 1e9 / parse_amount(args.memory), most=1.0),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
