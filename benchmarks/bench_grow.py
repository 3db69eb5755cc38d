"""Memory and time of blockwise segmentation while the volume grows 16-fold: two lines and a picture.

    OMP_NUM_THREADS=1 python benchmarks/bench_grow.py [-o grow.png] [--model runs/x/model] [--side 256] [--memory 2GB]
        [--room DIR] [--json FILE]

A volume of side^3 voxels, and 2, 4, 8 and 16 times as much, goes through `cytoshift segment`'s passes, each size in a
process of its own, from a lazy image to labels with a pyramid. Without a model a small network with random weights
stands in for one. Printed and drawn: the peak memory of each process in parts of the budget, and CPU time per voxel in
parts of the largest. Fails where a process exceeds the budget, or where a voxel of the largest volume takes more than
1.3 times as long as the mean.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cytoshift.cli.inputs import parse_amount
from cytoshift.draw import chart, save_png
from record import Wanted, conclude

TIMES = (1, 2, 4, 8, 16)


class Noise:
    """A lazy image (Z, Y, X) of soft spots: a function of place, so that it needs no memory."""

    dtype = np.dtype(np.uint16)

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def __getitem__(self, region):
        parts = [p for p in (region if isinstance(region, tuple) else (region,)) if p is not Ellipsis]
        parts += [slice(None)] * (3 - len(parts))
        waves = [np.sin(np.arange(*p.indices(n)) * 2 * np.pi / 14) for p, n in zip(parts, self.shape)]
        field = waves[0][:, None, None] + waves[1][:, None] + waves[2]
        return (300 + 900 * np.clip(field, 0, None)).astype(np.uint16)


def one(shape: tuple[int, ...], memory: float, model: str | None, folder: Path) -> None:
    """One size in this process; its figures on standard output."""
    import torch

    from cytoshift.core.normalise import Normalisation
    from cytoshift.core.voxel import Voxel
    from cytoshift.data.volumes import Volume
    from cytoshift.model import Segmenter
    from cytoshift.nets.network_spec import TranslatorSpec
    from cytoshift.predict.blockwise import finish, segment_blockwise
    from cytoshift.predict.blockwise.engine import Serial
    from cytoshift.predict.blockwise.plan import BlockOptions
    from cytoshift.represent import Ternary

    if model:
        made = Segmenter.load(model)
    else:
        torch.manual_seed(0)
        spec = TranslatorSpec(ndim=3, width=8, blocks=1, stem=3, hidden=8)
        made = Segmenter(
            spec=spec, network=spec.build().eval().requires_grad_(False), scale=None, axes="zyx",
            normalisation=Normalisation(), voxel=Voxel((1.0,) * 3), representation=Ternary(smallest=5.0),
        )  # fmt: skip
    image = Volume("grow", Noise(shape), "zyx", made.voxel, "made up")
    start = time.process_time()
    job = segment_blockwise(
        made, image, {"": folder / "out.ome.zarr"}, folder / "work", Serial(), BlockOptions(memory=memory)
    )
    blocks = len(job.grid)
    finish(job, Serial())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": time.process_time() - start, "peak": peak, "blocks": blocks}))


def main(args: argparse.Namespace) -> None:
    memory, rows = parse_amount(args.memory), []
    for times in TIMES:
        high, wide = {1: (1, 1), 2: (1, 2), 4: (2, 2), 8: (2, 4), 16: (4, 4)}[times]
        shape = (args.side, args.side * high, args.side * wide)
        with tempfile.TemporaryDirectory(dir=args.room) as name:
            command = [
                sys.executable,
                __file__,
                "-o",
                name,
                "--one",
                ",".join(map(str, shape)),
                "--memory",
                args.memory,
            ]
            command += ["--model", args.model] if args.model else []
            words = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(words.splitlines()[-1])
        voxels = float(np.prod(shape))
        rows.append({"times": times, "voxels": voxels, "blocks": found["blocks"], "seconds": found["seconds"],
                     "peak_gb": found["peak"] / 1e9, "of_budget": found["peak"] / memory,
                     "nanoseconds": 1e9 * found["seconds"] / voxels})  # fmt: skip
        print(f"{times:2} x: {voxels / 1e6:.1f} Mvoxel, {found['blocks']} blocks, {found['seconds']:.0f} s, "
              f"{rows[-1]['nanoseconds']:.0f} ns per voxel, peak {found['peak'] / 1e9:.2f} GB", flush=True)  # fmt: skip
    if args.out:
        save_png(args.out, figure(rows))
    paces = [row["nanoseconds"] for row in rows]
    conclude(args.json, {"memory": args.memory, "rows": rows}, [
        Wanted("peak memory in parts of the budget", max(row["of_budget"] for row in rows), most=1.0),
        Wanted("time per voxel of the largest in parts of the mean", paces[-1] / float(np.mean(paces)), most=1.3),
    ])  # fmt: skip


def figure(rows: list[dict]) -> np.ndarray:
    """Both lines, flat where memory is bounded and time linear."""
    most = max(row["nanoseconds"] for row in rows)
    lines = {
        "peak memory, of the budget": [(row["times"] / 100, row["of_budget"]) for row in rows],
        "time per voxel, of the most": [(row["times"] / 100, row["nanoseconds"] / most) for row in rows],
    }
    return chart(lines, "blockwise segmentation", "size of the volume", "x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--model")
    parser.add_argument("--room", help="where files go, which are as large as the volume")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.one:
        one(tuple(map(int, said.one.split(","))), parse_amount(said.memory), said.model, said.out)
    else:
        main(said)
