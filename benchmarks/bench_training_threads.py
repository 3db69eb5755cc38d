"""A training with one and with two threads, on idle cores and on one core that both threads share.

    python benchmarks/bench_training_threads.py [--steps 16]

Printed: milliseconds of a step, and how many times as long it takes with two threads. Needs two cores, which are idle
for the first columns.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__)
RUNS = {  # name: phantoms, words of `cytoshift new`
    "adgan, 2D": ("sparse-2d", ["adgan"]),
    "mask_cyclegan, 2D": ("sparse-2d", ["mask_cyclegan"]),
    "supervised, 2D": ("sparse-2d", ["supervised"]),
    "supervised, 3D": ("hl60-3d-50", ["supervised"]),
}
QUIET = ["train.samples_every=100000", "train.snapshots=0", "train.checkpoint_every=100000"]


def train(threads: int, words: list[str]) -> None:
    """`cytoshift WORDS`, its training with that many threads; a process of its own."""
    from cytoshift.cli.main import main
    from cytoshift.core import threads as constants

    constants.TRAINING_THREADS = threads
    sys.argv = ["cytoshift", *words]
    main()


def milliseconds(run: Path, threads: int, cores: set[int], steps: int) -> float:
    """Of a step; those before the first line of the log warm up."""
    with tempfile.TemporaryDirectory() as out:
        words = ["train", run, f"train.steps={steps}", f"train.log_every={steps // 4}", *QUIET, "-o", Path(out, "run")]
        command = [sys.executable, "-u", HERE, "--one", threads, *words]
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )  # fmt: skip
        assert process.stdout is not None
        seen, lines = list[float](), list[str]()
        for line in process.stdout:
            lines.append(line)
            if line.startswith("step "):
                seen.append(time.perf_counter())
        if process.wait() or len(seen) < 2:
            raise RuntimeError("".join(lines))
    return 1000 * (seen[-1] - seen[0]) / (steps // 4 * (len(seen) - 1))


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        train(int(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=16)
    steps = parser.parse_args().steps
    cores = sorted(os.sched_getaffinity(0))
    print("| training | two idle cores, 1 thread | 2 threads | ratio | one core, 1 thread | 2 threads | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, (phantoms, words) in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            room = Path(folder)
            cytoshift = [sys.executable, "-m", "cytoshift"]
            made, images, run = room / "made", room / "made" / "images", room / "run.yaml"
            source = ["--source", images, made / "labels"] if "supervised" in words else []
            subprocess.run([*cytoshift, "synth", phantoms, "-n", "2", "-o", made], check=True, capture_output=True)
            new = [*cytoshift, "new", *words, "--images", images, *source, "-o", run]
            subprocess.run(new, check=True, capture_output=True)
            cells = list[str]()
            for given in (set(cores[:2]), {cores[-1]}):
                rounds = [[milliseconds(run, threads, given, steps) for threads in (1, 2)] for _ in range(2)]
                one, two = (min(times) for times in zip(*rounds))
                cells += [f"{one:.0f} ms", f"{two:.0f} ms", f"{two / one:.2f}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
