"""A whole slide with tissue on a part of it: segmented everywhere, and where tissue is.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_slide.py MODEL [--side 40000] [--tissue 0.2]
        [--memory 4GB] [--room DIR] [--json FILE]

The slide is made: a mosaic of phantoms under some ellipses, dark noise elsewhere, as a tiled TIFF with a pyramid. Its
raw pixels lie in DIR as well while it is written, a byte each.

Printed: CPU seconds, seconds on the clock and the largest process of both ways; tiles that were left out; objects, and
F1 at an IoU of 0.9 of the labels found in tissue against those of the whole slide. Fails below 0.99, and where the
tissue search takes more CPU time than all of the slide.
"""

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from cytoshift.model import Segmenter
from cytoshift.synth.mosaic import Mosaic
from record import Wanted, conclude
from workload import PHANTOMS, agreement, cytoshift

TILE, ROWS, LEVELS, BLOBS = 512, 512, 6, 5
LEAST = 0.99


def tissue(side: int, share: float) -> NDArray[np.bool_]:
    """Ellipses that cover such a share of a square, on a grid of 256 x 256."""
    rng, n = np.random.default_rng(0), 256
    y, x = np.mgrid[:n, :n] / n
    mask = np.zeros((n, n), bool)
    radius = (share / BLOBS / np.pi) ** 0.5
    while mask.mean() < share:
        (cy, cx), long = rng.uniform(0.1, 0.9, 2), rng.uniform(0.8, 1.4)
        mask |= ((y - cy) / (radius * long)) ** 2 + ((x - cx) * long / radius) ** 2 < 1
    return mask


def draw(path: Path, side: int, share: float) -> NDArray[np.uint8]:
    """The slide in a file of its own, in memory a few rows at a time."""
    shown = tissue(side, share)
    mosaic = Mosaic.of(PHANTOMS[2], 0, (side, side)).image
    highest = float(np.percentile(mosaic[:ROWS, : 4 * ROWS], 99.9))
    slide = np.lib.format.open_memmap(path, "w+", np.uint8, (side, side))
    rng = np.random.default_rng(1)
    columns = np.arange(side) * shown.shape[1] // side
    for row in range(0, side, ROWS):
        stop = min(row + ROWS, side)
        inside = shown[np.arange(row, stop)[:, None] * shown.shape[0] // side, columns]
        cells = 30 + 200 * np.asarray(mosaic[row:stop, :], np.float32) / highest
        slide[row:stop] = np.where(inside, cells, rng.normal(8, 2, cells.shape)).clip(0, 255)
    return slide


def tiles(array: NDArray[np.uint8], step: int) -> Iterator[NDArray[np.uint8]]:
    """The tiles of a level, in rows: means of step x step pixels."""
    height, width = (n // step for n in array.shape)
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            fine = np.asarray(array[y * step : min(y + TILE, height) * step, x * step : min(x + TILE, width) * step])
            block = fine.reshape(fine.shape[0] // step, step, -1, step).mean((1, 3)) if step > 1 else fine
            yield np.pad(block.astype(np.uint8), [(0, TILE - n) for n in block.shape])


def write(path: Path, slide: NDArray[np.uint8], voxel: float) -> None:
    metadata = {"axes": "YX", "PhysicalSizeX": voxel, "PhysicalSizeY": voxel}
    how = {"dtype": np.uint8, "tile": (TILE, TILE), "compression": "zlib", "photometric": "minisblack"}
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
        for level in range(LEVELS):
            shape = tuple(n >> level for n in slide.shape)
            more = {"subifds": LEVELS - 1, "metadata": metadata} if level == 0 else {"subfiletype": 1}
            file.write(tiles(slide, 1 << level), shape=shape, **how, **more)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--tissue", type=float, default=0.2)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--room", help="where files go, which are as large as the slide")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    voxel = Segmenter.load(args.model).voxel
    said = ("--voxel", ",".join(map(str, voxel.size)), "--unit", voxel.unit, "--memory", args.memory)
    with tempfile.TemporaryDirectory(dir=args.room) as name:
        room = Path(name)
        write(room / "slide.ome.tif", draw(room / "slide.npy", args.side, args.tissue), voxel.size[-1])
        (room / "slide.npy").unlink()
        spent, left = {}, ""
        for way, flags in (("everywhere", ()), ("in tissue", ("--tissue",))):
            out = room / f"{way.replace(' ', '-')}.ome.zarr"
            spent[way] = cytoshift("segment", args.model, room / "slide.ome.tif", "-o", out, *said, *flags, fine=(0, 3))
            print(f"{way:10}  {spent[way].cpu:8.0f} s of CPU, {spent[way].wall:.0f} s on the clock, largest process "
                  f"{spent[way].peak / 1e9:.2f} GB", flush=True)  # fmt: skip
            found = re.search(r"tissue covers .*", spent[way].said)
            left = found[0] if found else left
        print(left)
        score, objects = agreement(room / "everywhere.ome.zarr", room / "in-tissue.ome.zarr")
    print(f"{args.side} x {args.side}: {objects} objects, F1@0.9 in tissue against everywhere {score:.4f}")
    names = ("cpu_seconds", "clock_seconds", "peak_gb")
    ways = {way: dict(zip(names, (one.cpu, one.wall, one.peak / 1e9))) for way, one in spent.items()}
    saved = spent["everywhere"].cpu / spent["in tissue"].cpu
    numbers = {"side": args.side, "tissue": args.tissue, "objects": objects, "said": left, "ways": ways}
    conclude(args.json, numbers, [
        Wanted("F1@0.9 in tissue against everywhere", score, least=LEAST),
        Wanted("CPU time everywhere over that in tissue", saved, least=1.0),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
