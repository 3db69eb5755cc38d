"""`cytoshift segment` from file to labels against MONAI's sliding windows of the same network over an array in memory.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_throughput.py MODEL [IMAGE] [--shape 64,512,512]
        [--tile 32,128,128] [--overlap 12] [--memory 4GB] [--room DIR]

IMAGE is repeated, mirrored, up to the shape, phantoms without one; 0.5 gigavoxel are --shape 512,1024,1024. Two
processes, one after the other, one thread each; process time with that of children, so that other work on the machine
hardly counts.

  segment        the whole command: start, reading, normalising, network, blending, decoding, linking, writing
  bare           sliding_window_inference of the network as `segment` runs it, norms folded; the array is normalised
  bare, cast     the same of the network as it was trained, under torch.autocast

The share is voxels per second of `segment` over those of the bare network: what all the rest may cost is 15 %.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray

from cytoshift.data.volumes import open_volumes
from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from cytoshift.nets.folded import quick
from cytoshift.predict.network import Tiling, measure
from cytoshift.synth.phantoms import phantom


def filled(path: str | None, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """An image as large as `shape`."""
    small = (
        phantom("sparse-3d" if len(shape) == 3 else "sparse-2d", 0)[0] if path is None else open_volumes(path)[0].load()
    )
    return np.pad(small, [(0, max(s - n, 0)) for s, n in zip(shape, small.shape)], mode="symmetric")[
        tuple(slice(0, s) for s in shape)
    ]


def whole(command: list[str]) -> tuple[float, float]:
    """Process time and wall time of a command and all that it starts."""
    before, started = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "cytoshift.cli.main", *command], check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, time.perf_counter() - started


def bare(segmenter: Segmenter, image: NDArray[np.float32], tile: tuple[int, ...], overlap: int) -> dict[str, float]:
    """Process time of MONAI's windows over a normalised image."""
    pooled = measure(segmenter, image[None], tile, "auto")
    folded = quick(segmenter.network, torch.bfloat16, pooled.frozen or ())
    x = torch.from_numpy(image)[None, None]

    def cast(window: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16), pooled:
            return segmenter.network(window).float()

    out = {}
    for name, network in (("bare", folded), ("bare, cast", cast)):
        with torch.inference_mode():
            network(x[(..., *(slice(0, t) for t in tile))])
            started = time.process_time()
            share = tuple(overlap / t for t in tile)
            sliding_window_inference(x, tile, 1, network, overlap=share, mode="gaussian")
            out[name] = time.process_time() - started
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("image", nargs="?")
    parser.add_argument("--shape")
    parser.add_argument("--tile")
    parser.add_argument("--overlap", type=int, default=Tiling().overlap)
    parser.add_argument("--memory", help="block by block, with so much memory")
    parser.add_argument("--room", help="where files go, which are as large as the volume")
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = Segmenter.load(args.model)
    flat = segmenter.spec.ndim == 2
    shape = tuple(map(int, (args.shape or ("2048,2048" if flat else "64,512,512")).split(",")))
    tile = tuple(map(int, (args.tile or ("512,512" if flat else "32,128,128")).split(",")))
    raw = filled(args.image, shape)
    with tempfile.TemporaryDirectory(dir=args.room) as room:
        path = Path(room) / "volume.ome.zarr"
        write_image(path, raw, segmenter.voxel, segmenter.axes)
        blocks = ["--memory", args.memory] if args.memory else []
        words = ["--tile", ",".join(map(str, tile)), "--overlap", str(args.overlap), "--quiet", *blocks]
        used, wall = whole(["segment", args.model, str(path), "-o", str(Path(room) / "labels.ome.zarr"), *words])
    image = segmenter.normalisation.measure([raw])(raw)
    rate = raw.size / used / 1e6
    print(f"{args.model}, {shape}, tile {tile}, overlap {args.overlap}")
    print(f"  {'segment':12} {used:8.1f} s ({wall:.1f} s on the wall), {rate:.3f} Mvoxel/s")
    for name, seconds in bare(segmenter, image, tile, args.overlap).items():
        speed = raw.size / seconds / 1e6
        print(f"  {name:12} {seconds:8.1f} s, {speed:.3f} Mvoxel/s; share of segment {seconds / used:.2f}")


if __name__ == "__main__":
    main()
