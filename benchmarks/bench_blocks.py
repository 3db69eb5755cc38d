"""A volume block by block with several block sizes, against the labels that it has in one piece.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_blocks.py MODEL IMAGE [--crop 64,256,256]
        [--blocks 64,128,128 128,256,256 ...] [--room DIR] [--json FILE]

IMAGE needs no truth: what is asked is whether blocks show. By default the four sizes are a chunk, a block that leaves
odd remainders, slabs, and columns. `--crop` takes the corner of a volume.

Printed for each size: how many blocks and objects, F1 at an IoU of 0.9 against the labels of one piece, the verdict of
the seam audit, CPU seconds. Fails below an F1@0.9 of 0.99 or where the audit fails.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from record import Wanted, conclude
from workload import agreement, cytoshift, sizes, volume_of

BLOCKS = ("64,128,128", "72,160,200", "64,512,512", "256,128,256")
LEAST = 0.99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("image")
    parser.add_argument("--crop")
    parser.add_argument("--blocks", nargs="+", default=BLOCKS)
    parser.add_argument("--room", help="where files go, which are as large as the volume")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = Segmenter.load(args.model)
    volume = volume_of(args.image, segmenter)
    crop = tuple(slice(0, n) for n in (sizes(args.crop) if args.crop else volume.shape))
    with tempfile.TemporaryDirectory(dir=args.room) as name:
        room = Path(name)
        raw = write_image(room / "raw.ome.zarr", volume.array[crop], volume.voxel, volume.axes)
        whole = cytoshift("segment", args.model, raw, "-o", room / "whole.tif", "--quiet")
        rows = []
        for block in args.blocks:
            out = room / f"{block}.ome.zarr"
            spent = cytoshift("segment", args.model, raw, "-o", out, "--block", block, "--memory", "12GB", fine=(0, 3))
            score, objects = agreement(room / "whole.tif", out)
            seams = json.loads((room / f"{block}.seams.json").read_text())
            plan, found = seams["blocks"], next(iter(seams["classes"].values()))
            rows.append({"block": plan["size"], "halo": plan["halo"], "blocks": plan["count"], "f1_90": score,
                         "objects": found["objects"], "audit": seams["verdict"], "seconds": spent.cpu})  # fmt: skip
            print(f"  {block:12} {plan['count']:4} blocks, {found['objects']} objects ({objects} in one piece), F1@0.9 "
                  f"{score:.4f}, audit {seams['verdict']}, {spent.cpu:.0f} s", flush=True)  # fmt: skip
    print(f"{args.image}: {objects} objects in one piece, {whole.cpu:.0f} s")
    numbers = {"shape": [s.stop for s in crop], "objects": objects, "seconds": whole.cpu, "rows": rows}
    conclude(args.json, numbers, [
        Wanted("lowest F1@0.9 against one piece", min(row["f1_90"] for row in rows), least=LEAST),
        Wanted("failed audits", sum(row["audit"] != "passed" for row in rows), most=0),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
