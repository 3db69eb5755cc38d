"""Seconds from the command to first labels, import to files: python benchmarks/first_labels.py

16 phantoms of 520 x 696 by `nuclei-2d`, one of 100 x 100 x 100 by `nuclei-3d`, each in a process of its own.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cytoshift.data.write import write_image
from cytoshift.synth.phantoms import phantom

SETS = {"nuclei-2d": ("sparse-2d", (520, 696), 16), "nuclei-3d": ("hl60-3d-50", (100, 100, 100), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        for model, (preset, shape, count) in SETS.items():
            images = Path(room) / model / "images"
            for number in range(count):
                image, _, voxel = phantom(preset, 3, shape, number)
                write_image(images / f"{number:02d}.tif", image, voxel, "zyx"[-len(shape) :])
            words = [
                sys.executable,
                "-m",
                "cytoshift",
                "segment",
                model,
                str(images),
                "-o",
                str(images.parent / "labels"),
            ]
            started = time.perf_counter()
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - started
            print(f"{model}: {count} x {' x '.join(map(str, shape))}: {seconds:.1f} s; {done.stdout.splitlines()[0]}")


if __name__ == "__main__":
    main()
