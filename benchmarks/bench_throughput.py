"""`cytoshift segment` from file to labels against MONAI's sliding windows of the same network over an array in memory.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_throughput.py MODEL [IMAGE] [--shape 64,512,512]
        [--tile 64,128,128] [--overlap 12] [--memory 4GB] [--room DIR] [--cast] [--json FILE]

IMAGE is repeated, mirrored, up to the shape, a mosaic of phantoms without one; 0.5 gigavoxel are --shape 512,1024,1024.
Two processes, one after the other, one thread each; process time with that of children, so that other work on the
machine hardly counts.

  segment        the whole command: start, reading, normalising, network, blending, decoding, linking, writing
  bare           sliding_window_inference of the network as `segment` runs it, norms folded; the array is normalised
  bare, cast     with --cast: the same of the network as it was trained, under torch.autocast

The share is voxels per second of `segment` over those of the bare network: what all the rest may cost is 15 %. Fails
below a share of 0.85, and where a process takes more than --memory.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray

from cytoshift.cli.inputs import parse_amount
from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from cytoshift.nets.folded import fold
from cytoshift.nets.norms import with_statistics
from cytoshift.predict.network import Tiling, measure
from record import Wanted, conclude
from workload import cytoshift, filled, sizes


def bare(
    segmenter: Segmenter, image: NDArray[np.float32], tile: tuple[int, ...], overlap: int, casts: bool
) -> dict[str, float]:
    """Process time of MONAI's windows over a normalised image."""
    statistics = measure(segmenter, image[None], tile, "auto")
    folded = fold(segmenter.network, torch.bfloat16, statistics)
    known = with_statistics(segmenter.network, statistics)
    x = torch.from_numpy(image)[None, None]

    def cast(window: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return known(window).float()

    out = {}
    for name, network in (("bare", folded), *([("bare, cast", cast)] if casts else [])):
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
    parser.add_argument("--cast", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = Segmenter.load(args.model)
    flat = segmenter.spec.ndim == 2
    shape = sizes(args.shape or ("2048,2048" if flat else "64,512,512"))
    tile = sizes(args.tile or ("512,512" if flat else "64,128,128"))
    raw = filled(args.image, segmenter, shape)
    with tempfile.TemporaryDirectory(dir=args.room) as room:
        path = Path(room) / "volume.ome.zarr"
        write_image(path, raw, segmenter.voxel, segmenter.axes)
        blocks = ["--memory", args.memory] if args.memory else []
        words = ["--tile", ",".join(map(str, tile)), "--overlap", args.overlap, "--quiet", *blocks]
        used = cytoshift("segment", args.model, path, "-o", Path(room) / "labels.ome.zarr", *words, fine=(0, 3))
    image = segmenter.normalisation.measure([raw])(raw)
    rate = raw.size / used.cpu / 1e6
    print(f"{args.model}, {shape}, tile {tile}, overlap {args.overlap}")
    print(f"  {'segment':12} {used.cpu:8.1f} s ({used.wall:.1f} s on the wall), {rate:.3f} Mvoxel/s, "
          f"peak {used.peak / 1e9:.2f} GB")  # fmt: skip
    numbers = {"voxels": raw.size, "tile": tile, "overlap": args.overlap, "segment_seconds": used.cpu,
               "segment_wall": used.wall, "segment_rate": rate, "peak_gb": used.peak / 1e9}  # fmt: skip
    for name, seconds in bare(segmenter, image, tile, args.overlap, args.cast).items():
        speed = raw.size / seconds / 1e6
        print(f"  {name:12} {seconds:8.1f} s, {speed:.3f} Mvoxel/s; share of segment {seconds / used.cpu:.2f}")
        key = name.replace(", ", "_")
        numbers |= {f"{key}_seconds": seconds, f"{key}_rate": speed, f"{key}_share": seconds / used.cpu}
    wanted = [Wanted("share of the bare network's speed", numbers["bare_share"], least=0.85)]
    if args.memory:
        wanted.append(Wanted("peak memory in parts of the budget", used.peak / parse_amount(args.memory), most=1.0))
    conclude(args.json, numbers, wanted)


if __name__ == "__main__":
    main()
