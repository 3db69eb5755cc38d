"""A large 2D mosaic of phantoms and a time series, each by the same command, against one piece and against the truth.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_mosaic.py MODEL [--preset sparse-2d]
        [--side 8192] [--frames 4] [--memory 2GB] [--room DIR] [--json FILE]

MODEL segments 2D images like those of the preset: `make demo` leaves one for sparse-2d in demo/run/model. The series
has the axes tyx and frames of an eighth of the mosaic's side, each with other nuclei.

  synth PRESET mosaic.ome.zarr --shape SIDE,SIDE           the mosaic and its truth
  segment MODEL mosaic.ome.zarr -o ... --memory 2GB        block by block, and once in one piece
  evaluate labels truth --memory 2GB                       block by block
  segment MODEL series.ome.zarr -o series/ --memory 2GB    frame by frame

Fails below an F1@0.9 of 0.99 against one piece, where the audit fails, or where a process takes more than --memory.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from cytoshift.cli.inputs import parse_amount
from cytoshift.data.store import ImageStore
from cytoshift.data.volumes import open_labels
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.model import Segmenter
from cytoshift.synth.mosaic import Mosaic
from record import Wanted, conclude
from workload import agreement, cytoshift


def series(path: Path, preset: str, frames: int, side: int, segmenter: Segmenter) -> list[Mosaic]:
    """An OME-Zarr with the axes tyx."""
    mosaics = [Mosaic.of(preset, seed, (side, side)) for seed in range(1, frames + 1)]
    shape, kind = (frames, side, side), mosaics[0].image.dtype
    store = ImageStore.create(path, shape, kind, segmenter.voxel, "tyx", chunks=(1, side, side))
    for number, mosaic in enumerate(mosaics):
        store[number : number + 1] = mosaic.image[(slice(0, side),) * 2][None]
    store.finish()
    return mosaics


def shown(args: argparse.Namespace, segmenter: Segmenter, room: Path) -> dict[str, object]:
    """The mosaic: its numbers."""
    image, shape = room / "mosaic.ome.zarr", f"{args.side},{args.side}"
    cytoshift("synth", args.preset, "-o", image, "--shape", shape, "--quiet")
    asked = [args.model, image, "--voxel", ",".join(map(str, segmenter.voxel.size)), "--unit", segmenter.voxel.unit]
    blocks = cytoshift("segment", *asked, "-o", room / "blocks.ome.zarr", "--memory", args.memory, fine=(0, 3))
    whole = cytoshift("segment", *asked, "-o", room / "whole.ome.zarr", "--quiet")
    truth = f"{image}::labels/truth"
    sides = ("--truth", truth, "--pred", room / "blocks.ome.zarr")
    scored = cytoshift("evaluate", *sides, "--memory", "2GB", "--json-file", room / "score.json")
    score, objects = agreement(room / "whole.ome.zarr", room / "blocks.ome.zarr")
    seams = json.loads((room / "blocks.seams.json").read_text())
    report = json.loads((room / "score.json").read_text())["pooled"]
    return {
        "objects": objects, "blocks": seams["blocks"]["count"], "block": seams["blocks"]["size"],
        "audit": seams["verdict"], "f1_90_of_one_piece": score, "f1_50_of_truth": report["object_f1"],
        "dice_of_truth": report["dice"], "peak_gb": max(blocks.peak, scored.peak) / 1e9,
        "whole_peak_gb": whole.peak / 1e9, "seconds": blocks.cpu, "whole_seconds": whole.cpu,
    }  # fmt: skip


def filmed(args: argparse.Namespace, segmenter: Segmenter, room: Path) -> dict[str, object]:
    """The series: its numbers."""
    side = max(args.side // 8, 512)
    mosaics = series(room / "series.ome.zarr", args.preset, args.frames, side, segmenter)
    cytoshift("segment", args.model, room / "series.ome.zarr", "-o", room / "series", "--memory", args.memory,
              "--quiet", fine=(0, 3))  # fmt: skip
    found = open_labels(room / "series")
    scores = [
        match(overlap(mosaic.labels[(slice(0, side),) * 2], labels.load()), 0.5).f1
        for mosaic, labels in zip(mosaics, found)
    ]
    verdicts = [json.loads(path.read_text())["verdict"] for path in (room / "series" / "report" / "seams").iterdir()]
    return {"frames": len(found), "side": side, "f1_50_of_truth": scores, "failed": verdicts.count("failed")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--preset", default="sparse-2d")
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--room", help="where files go")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = Segmenter.load(args.model)
    with tempfile.TemporaryDirectory(dir=args.room) as name:
        mosaic, film = shown(args, segmenter, Path(name)), filmed(args, segmenter, Path(name))
    print(*(f"  {key:20} {value}" for key, value in {**mosaic, **{f"film_{k}": v for k, v in film.items()}}.items()),
          sep="\n")  # fmt: skip
    failed = float(mosaic["audit"] != "passed") + film["failed"]
    conclude(args.json, {"side": args.side, "mosaic": mosaic, "series": film}, [
        Wanted("F1@0.9 against one piece", mosaic["f1_90_of_one_piece"], least=0.99),
        Wanted("failed audits", failed, most=0),
        Wanted("frames that are missing", args.frames - film["frames"], most=0),
        Wanted("lowest F1@0.5 of a frame against its truth", float(np.min(film["f1_50_of_truth"])), least=0.8),
        Wanted("peak memory in parts of the budget", mosaic["peak_gb"] * 1e9 / parse_amount(args.memory), most=1.0),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
