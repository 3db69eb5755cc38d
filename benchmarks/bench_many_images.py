"""Many small images: what one costs beside its network, and how much sooner two processes are done.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_many_images.py MODEL [--images 10000] [--side 128]
        [--workers 1 2] [--rounds 1] [--dask 2] [--kill] [--room DIR] [--json FILE]

Fields of a mosaic of phantoms, one TIFF each, by `cytoshift segment --workers N`. CPU seconds per image are those of
all images less those of a tenth of them, so that the start of the program and the report do not count; the network's
share is measured in a process of its own on groups of the same size. Wall times mean something on a machine with as
many idle cores as workers, CPU seconds on any. Where the clock of the processor moves, take more rounds: one and two
workers take turns, and numbers are medians over the rounds. With --dask, all images once more by a local dask cluster
of so many processes; with --kill, once more by two processes, one of which is killed when a third of the labels are
there. Fails where labels differ in a byte.
"""

import argparse
import itertools
import os
import resource
import signal
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cytoshift.core.processes import Workers
from cytoshift.core.threads import wait_briefly
from cytoshift.core.voxel import Voxel
from cytoshift.data.write import write_image
from cytoshift.model import Segmenter
from cytoshift.predict.images import TOGETHER
from cytoshift.predict.pipeline import Options, Pipeline, channels_together
from record import Wanted, conclude
from workload import cytoshift, filled


def network_seconds(side: int, model: Path, voxel: Voxel) -> float:
    """CPU seconds of the network for one image of a full group, the best of five. model: fitted to the images."""
    torch.set_num_threads(1)
    segmenter = Segmenter.load(model)
    image = np.random.default_rng(0).uniform(-1, 1, (side, side)).astype(np.float32)
    count = max(TOGETHER // side**2, 1)
    best = float("inf")
    for _ in range(6):
        pipelines = [Pipeline.of_image(segmenter, image, voxel, Options()) for _ in range(count)]
        started = time.process_time()
        channels_together(pipelines)
        best = min(best, (time.process_time() - started) / count)
    return best


def by_dask(count: int, *words: object) -> tuple[float, float]:
    """Wall and CPU seconds of `cytoshift WORDS` by a local cluster of so many processes, the cluster included."""
    from distributed import LocalCluster

    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        cytoshift(*words, "--scheduler", cluster.scheduler_address)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def workers_of(process: int) -> list[int]:
    """Processes that this one has started for its tasks."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words = (path / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == process and b"spawn_main" in words:
            found.append(int(path.name))
    return sorted(found)


def with_kill(labels: int, *words: object) -> tuple[float, float]:
    """Wall and CPU seconds of `cytoshift WORDS OUT` by two processes, one of which is killed once so many are there."""
    out, killed = Path(str(words[-1])), list[int]()

    def kill_one(process: subprocess.Popen[str]) -> None:
        while process.poll() is None and not killed:
            if len(list(out.glob("*.tif"))) >= labels and (workers := workers_of(process.pid)):
                os.kill(workers[0], signal.SIGKILL)
                killed.append(workers[0])
            time.sleep(0.1)

    spent = cytoshift(*words, "--workers", 2, watch=kill_one)
    if not killed:
        raise RuntimeError("the command ended before one of its workers could be killed; take more images")
    return spent.wall, spent.cpu


def labels_in(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.tif")}


def take_turns(
    model: str, room: Path, counts: list[int], rounds: int, images: int, seen: list[dict[str, bytes]]
) -> list[dict[str, float]]:
    """A row for each number of workers: medians over the rounds. Labels of every turn are added to `seen`."""
    turns = {workers: list[tuple[float, float]]() for workers in counts}
    for turn, workers in itertools.product(range(rounds), counts):
        words = ("--workers", workers, "--quiet")
        few = cytoshift("segment", model, room / "few", "-o", room / f"few{workers}-{turn}", *words)
        out = room / f"all{workers}-{turn}"
        spent = cytoshift("segment", model, room / "few", room / "rest", "-o", out, *words)
        wall, cpu = (spent.wall - few.wall) / (0.9 * images), (spent.cpu - few.cpu) / (0.9 * images)
        turns[workers].append((wall, cpu))
        print(f"  {workers} workers: {wall * 1e3:.1f} ms and {cpu * 1e3:.1f} ms of CPU per image", flush=True)
        seen.append(labels_in(out))
    rows = []
    for workers, own in turns.items():
        wall, cpu = (float(number) for number in np.median(own, axis=0))
        faster = float(np.median([first[0] / mine[0] for first, mine in zip(turns[counts[0]], own)]))
        rows.append({"workers": workers, "wall": wall, "cpu": cpu, "faster": faster})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1, help="so many times each")
    parser.add_argument("--dask", type=int, default=0, metavar="N", help="also by a local cluster of N processes")
    parser.add_argument("--kill", action="store_true", help="also by two processes, one of which is killed")
    parser.add_argument("--room", help="where files go")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    wait_briefly()  # as the command line does: the processes that are started here find it in their environment
    torch.set_num_threads(1)
    segmenter, side = Segmenter.load(args.model), args.side
    seen, extra = list[dict[str, bytes]](), dict[str, dict[str, float]]()
    if args.room:
        Path(args.room).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.room) as name:
        room = Path(name)
        field = filled(None, segmenter, (side * 10, side * 10))
        for number in range(args.images):
            y, x = np.random.default_rng(number).integers(0, side * 9, 2)
            folder = "few" if number % 10 == 0 else "rest"
            image = field[y : y + side, x : x + side]
            write_image(room / folder / f"{number:06d}.tif", image, segmenter.voxel, segmenter.axes)
        rows = take_turns(args.model, room, args.workers, args.rounds, args.images, seen)
        command = ("segment", args.model, room / "few", room / "rest", "--quiet", "-o")
        for name in ["dask"] * bool(args.dask) + ["killed"] * args.kill:
            out = room / name
            if name == "dask":
                wall, cpu = by_dask(args.dask, *command, out)
            else:
                wall, cpu = with_kill(args.images // 3, *command, out)
            extra[name] = {"wall": wall / args.images, "cpu": cpu / args.images}
            print(f"  {name}, with its start: {wall / args.images * 1e3:.1f} ms and {cpu / args.images * 1e3:.1f} ms "
                  "of CPU per image", flush=True)  # fmt: skip
            seen.append(labels_in(out))
        fitted = room / f"all{args.workers[0]}-0" / "report" / "model"  # of a model for any size
        model = fitted if fitted.exists() else Path(args.model)
        with Workers(1) as pool:
            (network,) = pool.map(partial(network_seconds, model=model, voxel=segmenter.voxel), [side])
    print(f"  network alone: {network * 1e3:.1f} ms of CPU per image")
    numbers = {"images": args.images, "side": side, "rows": rows, "network": network} | extra
    conclude(args.json, numbers, [
        Wanted("runs whose labels differ in a byte", sum(one != seen[0] for one in seen), most=0),
        Wanted("ms of CPU per image beside the network", 1e3 * (rows[0]["cpu"] - network), most=10),
        Wanted("CPU of the most workers in parts of the CPU of one", rows[-1]["cpu"] / rows[0]["cpu"], most=1.25),
        Wanted("times as fast by the most workers, with that many idle cores", rows[-1]["faster"], least=1.8),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
