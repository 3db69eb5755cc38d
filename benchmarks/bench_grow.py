"""Memory and time of blockwise segmentation while the volume grows 16-fold: two lines and a picture.

    OMP_NUM_THREADS=1 python benchmarks/bench_grow.py -o grow.png [--model runs/x/model] [--side 256] [--memory 2GB]

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
    from cytoshift.nets.spec import TranslatorSpec
    from cytoshift.predict.blockwise import finish, segment_blockwise
    from cytoshift.predict.engine import Serial
    from cytoshift.predict.plan import Wishes
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
        made, image, {"": folder / "out.ome.zarr"}, folder / "work", Serial(), Wishes(memory=memory)
    )
    blocks = len(job.grid)
    finish(job, Serial())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": time.process_time() - start, "peak": peak, "blocks": blocks}))


def main(out: Path, side: int, memory: float, model: str | None) -> None:
    peaks, paces = [], []
    for times in TIMES:
        high, wide = {1: (1, 1), 2: (1, 2), 4: (2, 2), 8: (2, 4), 16: (4, 4)}[times]
        shape = (side, side * high, side * wide)
        with tempfile.TemporaryDirectory() as name:
            command = [
                sys.executable,
                __file__,
                "-o",
                name,
                "--one",
                ",".join(map(str, shape)),
                "--memory",
                str(memory),
            ]
            command += ["--model", model] if model else []
            words = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(words.splitlines()[-1])
        peaks.append(found["peak"] / memory)
        paces.append(found["seconds"] / float(np.prod(shape)))
        print(f"{times:2} x: {np.prod(shape) / 1e6:.1f} Mvoxel, {found['blocks']} blocks, {found['seconds']:.0f} s, "
              f"{1e9 * paces[-1]:.0f} ns per voxel, peak {found['peak'] / 1e9:.2f} GB", flush=True)  # fmt: skip
    from cytoshift.draw import chart, save_png

    lines = {
        "peak memory, of the budget": [(t / 100, p) for t, p in zip(TIMES, peaks)],
        "time per voxel, of the most": [(t / 100, p / max(paces)) for t, p in zip(TIMES, paces)],
    }
    save_png(out, chart(lines, "blockwise segmentation", "size of the volume", "x"))
    if max(peaks) > 1 or paces[-1] > 1.3 * float(np.mean(paces)):
        sys.exit("missed: the budget, or time that grows linearly")


if __name__ == "__main__":
    from cytoshift.cli.blockwise import amount

    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--model", default=None)
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.one:
        one(tuple(map(int, said.one.split(","))), amount(said.memory), said.model, said.out)
    else:
        main(said.out, said.side, amount(said.memory), said.model)
