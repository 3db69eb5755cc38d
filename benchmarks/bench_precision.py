"""What number formats and instructions do to results, and what each way to compute a network costs.

    python benchmarks/bench_precision.py MODEL IMAGES [MODEL IMAGES ...] [--page docs/precision.md]

For every set of instructions that this processor has, in a process of its own (ONEDNN_MAX_CPU_ISA), each model draws
the middle of its first image by every way (predict/ways.py). Its channels and labels are compared with those of the
plain way in 32 bits: rms error as a share of the channels' standard deviation, F1 of objects at an overlap of 0.9,
Dice of the foreground. Times are of the network alone, process time of one thread, the best of two, as a ratio to the
plain way of the same process. With --page the table replaces the one between the marks of a page.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from cytoshift.core import threads
from cytoshift.core.machine import processor
from cytoshift.data.volumes import ImageSource, open_volumes
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.model import Segmenter
from cytoshift.nets.formats import instructions
from cytoshift.predict import ways
from cytoshift.predict.network import measure, multiple, pad_to_step
from cytoshift.predict.pipeline import Options, decode, measure_scale
from cytoshift.represent import Classes

SETS = {"AVX2": "avx2", "AVX512_CORE": "avx512_f", "AVX512_CORE_BF16": "avx512_bf16", "AVX512_CORE_AMX": "amx_bf16"}
HEADS = ("network", "instructions", "way", "error", "F1@0.9", "Dice", "times as fast", "used here")
SIDES = {2: (256, 256), 3: (32, 64, 64)}  # bfloat16 is slow where it is emulated
BEGIN, END = "<!-- begin precision -->", "<!-- end precision -->"
ALL: tuple[ways.Way, ...] = ("folded bf16", "folded 32", "autocast bf16", "plain 32")


def labels(segmenter: Segmenter, channels: np.ndarray) -> list[np.ndarray]:
    """Of each class."""
    represent = segmenter.representation
    parts = [(p.represent, p.channels) for p in represent.parts()] if isinstance(represent, Classes) else None
    parts = parts or [(represent, slice(None))]
    return [decode(one, channels[place], segmenter.voxel, Options()) for one, place in parts]


def rows(model: str, images: str) -> list[dict[str, object]]:
    """One for each way."""
    segmenter = Segmenter.load(model)
    several = list(range(segmenter.spec.channels)) if segmenter.spec.channels > 1 else None
    volume = open_volumes(ImageSource(paths=images, channel=several))[0]
    raw = volume.load()
    image = measure_scale(segmenter, volume, raw)(raw)
    whole = image.reshape(-1, *volume.shape)
    middle = tuple(
        slice(max(n - m, 0) // 2, max(n - m, 0) // 2 + m) for n, m in zip(volume.shape, SIDES[len(volume.shape)])
    )
    padded = pad_to_step(whole[(slice(None), *middle)], multiple(segmenter))
    pooled = measure(segmenter, padded, padded.shape[1:], "32")
    x = torch.from_numpy(padded)[None]
    drawn, seconds = {}, {}
    for way in ALL:
        drawn[way] = ways.compute(segmenter, x, way, pooled)
        best = float("inf")
        for _ in range(2):
            started = time.process_time()
            ways.compute(segmenter, x, way, pooled)
            best = min(best, time.process_time() - started)
        seconds[way] = best
    wanted = labels(segmenter, drawn["plain 32"][0])
    used = ways.prove(segmenter, padded, padded.shape[1:], "auto", pooled).way
    out = []
    for way in ALL:
        found = labels(segmenter, drawn[way][0])
        f1 = np.mean([match(overlap(t, p), 0.9).f1 for t, p in zip(wanted, found)])
        dice = np.mean(
            [2 * ((t > 0) & (p > 0)).sum() / max((t > 0).sum() + (p > 0).sum(), 1) for t, p in zip(wanted, found)]
        )
        out.append({
            "network": f"{segmenter.spec.kind} {segmenter.spec.ndim}D, {segmenter.card.get('method', '')}",
            "instructions": instructions(), "way": way, "error": ways.relative_error([drawn[way]], [drawn["plain 32"]]),
            "F1@0.9": float(f1), "Dice": float(dice), "objects": int(sum(t.max() for t in wanted)),
            "times as fast": seconds["plain 32"] / seconds[way], "used here": "yes" if way == used else "",
        })  # fmt: skip
    return out


def table(found: list[dict[str, object]]) -> str:
    """In Markdown."""
    shape = {"error": "{:.1e}", "F1@0.9": "{:.3f}", "Dice": "{:.4f}", "times as fast": "{:.2f}"}
    lines = [f"| {' | '.join(HEADS)} |", f"| {' | '.join(['---'] * 3 + ['---:'] * 4 + ['---'])} |"]
    lines += [f"| {' | '.join(shape.get(h, '{}').format(row[h]) for h in HEADS)} |" for row in found]
    counts = {row["network"]: row["objects"] for row in found}
    objects = ", ".join(f"{count} objects ({name})" for name, count in counts.items())
    return "\n".join([*lines, "", f"Measured on {processor()} with torch {torch.__version__}: {objects}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="MODEL IMAGES")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    pairs = list(zip(args.pairs[::2], args.pairs[1::2]))
    if args.one:
        threads.THREADS = 1
        print(json.dumps([row for model, images in pairs for row in rows(model, images)]))
        return
    able, found = torch.cpu.get_capabilities(), list[dict[str, object]]()
    for name in (name for name, needed in SETS.items() if able.get(needed)):
        words = [sys.executable, __file__, *args.pairs, "--one"]
        environment = os.environ | {"ONEDNN_MAX_CPU_ISA": name, "OMP_NUM_THREADS": "1"}
        found += json.loads(subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout)
    order = {name: i for i, name in enumerate(dict.fromkeys(row["network"] for row in found))}
    found.sort(key=lambda row: order[row["network"]])
    text = table(found)
    print(text)
    if args.page:
        before, rest = args.page.read_text().split(BEGIN)
        args.page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
