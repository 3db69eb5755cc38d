"""Peak memory of info, new, segment and trust on images that do not fit, each command in a process of its own.

    python benchmarks/memory.py --out /tmp/memory            # all of them: hours on two cores
    python benchmarks/memory.py --out /tmp/memory --only info,new --minutes 5

Images: 50,000 x 50,000 TIFFs of kilobytes (strips and tiles, deflated, sparse, or a hole in an uncompressed file) and a
512 x 2048 x 2048 OME-Zarr with balls in a corner. Prints a row for each: GB at most (ru_maxrss), seconds, exit code. A
command that is stopped after `--minutes` says so: its peak is that of the time until then.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from cytoshift.core.voxel import Voxel  # noqa: E402
from cytoshift.data.store import ImageStore, LabelStore  # noqa: E402
from large_files import bigtiff, deflated  # noqa: E402
from predicting import nuclei, segmenter  # noqa: E402

EDGE, SHAPE = 50_000, (512, 2048, 2048)
LIMIT = "1.5GB"  # that segment is told
# Runs a command and says on its last line what that took: resources of children are those of all of them.
WATCH = """
import json, resource, subprocess, sys, time
began, words = time.time(), sys.argv[2:]
process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
try:
    said, code = process.communicate(timeout=float(sys.argv[1]))[1], process.returncode
except subprocess.TimeoutExpired:
    process.kill()
    said, code = process.communicate()[1], "stopped"
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
last = (said.strip().splitlines() or [""])[-1]
print(json.dumps({"gb": peak / 1e9, "seconds": time.time() - began, "code": code, "last": last[:160]}))
"""


def cells() -> np.ndarray:
    return (nuclei((1024, 1024), 2000, 0)[0] // 12).clip(0, 255).astype(np.uint8)


def images(out: Path) -> dict[str, Path]:
    """Files by name; those that are there are kept."""
    made = {
        "strips, deflate": lambda p: bigtiff(p, EDGE, 8, rows=50, body=deflated(50 * EDGE)),
        "rows, deflate": lambda p: bigtiff(p, EDGE, 8, rows=1, body=deflated(EDGE)),
        "one strip, deflate": lambda p: bigtiff(p, EDGE, 8, rows=EDGE, body=deflated(EDGE * EDGE)),
        "one strip, uncompressed": lambda p: bigtiff(p, EDGE, 1, rows=EDGE, stored=EDGE * EDGE),
        "tiles, deflate": lambda p: bigtiff(p, EDGE, 8, tile=1024, body=deflated(2**20)),
        "tiles, nuclei": lambda p: bigtiff(p, EDGE, 8, tile=1024, body=zlib.compress(cells().tobytes())),
        "tiles, sparse": lambda p: bigtiff(p, EDGE, 8, tile=1024),
    }
    found = {}
    for name, make in made.items():
        path = found[name] = out / f"{name.replace(', ', '_').replace(' ', '_')}.tif"
        if not path.exists():
            make(path)
    found["volume, OME-Zarr"] = out / "volume.ome.zarr"
    if not found["volume, OME-Zarr"].exists():
        store = ImageStore.create(found["volume, OME-Zarr"], SHAPE, np.uint16, Voxel((1.0,) * 3), "zyx")
        store[tuple(slice(0, n) for n in store.unit)] = nuclei(store.unit, 200, 0)[0]
        store.finish()
    return found


def commands(out: Path, name: str, path: Path) -> dict[str, list[str]]:
    """Words of each verb."""
    model, zarr = out / ("model3" if name.startswith("volume") else "model2"), out / f"{path.name}.labels.ome.zarr"
    if not model.exists():
        segmenter(3 if name.startswith("volume") else 2).save(model)
    return {
        "info": ["info", str(path), "-o", str(out / "thumbnail.png")],
        "new": ["new", "adgan", "--images", str(path), "-o", str(out / f"{path.name}.yaml"), "--overwrite", "--quiet"],
        "segment": ["segment", str(model), str(path), "-o", str(zarr), "--memory", LIMIT, "--overwrite", "--quiet"],
        "trust": ["trust", str(empty(zarr, path)), str(path), "--model", str(model), "--boxes", "4", "--quiet"],
    }  # fmt: skip


def empty(place: Path, image: Path) -> Path:
    """Labels of that name that `segment` has left, or without any object, as of an image that shows nothing."""
    if not place.exists():
        volume = image.suffix == ".zarr"
        shape = SHAPE if volume else (EDGE, EDGE)
        store = LabelStore.create(place, shape, np.uint8, Voxel((1.0,) * len(shape)), "zyx"[-len(shape) :])
        store.finish()
    return place


def watched(words: list[str], minutes: float) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", "cytoshift", *words]
    command = [sys.executable, "-c", WATCH, str(60 * minutes), *program]
    return json.loads(subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="info,new,segment,trust")
    parser.add_argument("--images", default="", help="parts of names, by commas")
    parser.add_argument("--minutes", type=float, default=120.0)
    said = parser.parse_args()
    said.out.mkdir(parents=True, exist_ok=True)
    for name, path in images(said.out).items():
        if said.images and not any(part in name for part in said.images.split(",")):
            continue
        for verb, words in commands(said.out, name, path).items():
            if verb in said.only.split(","):
                began = time.strftime("%H:%M")
                row = watched(words, said.minutes)
                numbers = f"{row['gb']:6.2f} GB {row['seconds']:7.0f} s  {row['code']}"
                print(f"{began}  {name:24} {verb:8} {numbers}  {row['last']}", flush=True)


if __name__ == "__main__":
    main()
