"""Decoding and stitching alone: how many voxels per second and core, and whether any object is lost, split or merged.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_stitch.py                        (67 megavoxels)
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_stitch.py --side 1000 --folder /big/disk --json F

Phantom nuclei that touch stand in for a network: their BCD channels, soft as a network draws them, are laid down block
by block as pass 1 would leave them. A process of its own then does passes 2 to 6 and the pyramid, and nothing else.
What comes out is compared with the one-shot result. That of a volume which fits into memory is decoded in one piece;
of a larger one it is known without that: the volume repeats a cube of nuclei that keep away from its faces, and each
cube decodes like the first, while blocks, of another size than the cube, cut it wherever they like.

Printed: CPU seconds of the passes and Mvoxel/s, the peak memory of the process, objects, and those lost, split or
merged.
Fails below 10 Mvoxel/s per core, with a peak above the budget, or with one object that is not the one-shot result's.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

from record import Wanted, conclude

CUBE = 125  # edge of the volume that repeats
NUCLEI = 9  # along each axis of it
MEMORY = 2e9


def cube() -> np.ndarray:
    """BCD channels (3, CUBE, CUBE, CUBE) of nuclei that touch each other, but not the faces of the cube."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree

    from cytoshift.core.voxel import Voxel
    from cytoshift.represent import BCD

    rng = np.random.default_rng(0)
    step = (CUBE - 8) / NUCLEI
    places = [4 + step / 2 + step * np.arange(NUCLEI)] * 3
    centres = np.stack(np.meshgrid(*places, indexing="ij"), -1).reshape(-1, 3)
    centres += rng.uniform(-1, 1, centres.shape)
    voxels = np.stack(np.meshgrid(*[np.arange(CUBE)] * 3, indexing="ij"), -1).reshape(-1, 3)
    distance, nearest = cKDTree(centres).query(voxels, distance_upper_bound=step * 0.56)
    labels = np.where(np.isfinite(distance), nearest + 1, 0).astype(np.int32).reshape((CUBE,) * 3)
    for axis in range(3):
        for face in (slice(0, 3), slice(-3, None)):
            labels[(*(slice(None),) * axis, face)] = 0
    drawn = BCD().encode(labels, Voxel((1.0, 1.0, 1.0)))
    out = np.empty(drawn.shape, np.uint8)
    for channel, (values, low) in enumerate(zip(drawn, (0.0, 0.0, -1.0))):
        out[channel] = np.rint(255 * (gaussian_filter(values, 0.5) - low) / (1 - low))
    return out


class Repeated:
    """The cube again and again, as channels or labels (..., side, side, side), read box by box."""

    def __init__(self, part: np.ndarray, side: int):
        self.part, self.shape, self.dtype = part, (side,) * 3, part.dtype

    def __getitem__(self, region):
        box = region[-3:]
        places = [np.arange(*s.indices(n)) % CUBE for s, n in zip(box, self.shape)]
        return self.part[(..., *np.ix_(*places))]


def job_of(folder: Path, side: int):
    """A job whose pass 1 is finished."""
    from cytoshift.core.normalise import Normalisation
    from cytoshift.core.voxel import Voxel
    from cytoshift.data.volumes import Volume
    from cytoshift.model import Segmenter
    from cytoshift.nets.network_spec import TranslatorSpec
    from cytoshift.represent import BCD

    spec = TranslatorSpec(ndim=3, width=8, blocks=1, stem=3, hidden=8, frozen=True)
    voxel = Voxel((1.0, 1.0, 1.0))
    made = Segmenter(spec=spec, network=spec.build().eval(), normalisation=Normalisation(kind="range", low=0, high=255),
                     scale=None, voxel=voxel, axes="zyx", representation=BCD(smallest=5.0))  # fmt: skip
    image = Volume("phantom", Repeated(np.zeros((CUBE,) * 3, np.uint8), side), "zyx", voxel, "made up")
    return made, image, {"": folder / "out.ome.zarr"}, folder / "work"


def passes(folder: Path, side: int, only: bool) -> None:
    """Pass 1 laid down, or all others done; its figures on standard output."""
    import torch

    from cytoshift.predict.blockwise import audit_classes, finish, passes, segment_blockwise
    from cytoshift.predict.blockwise.engine import Serial
    from cytoshift.predict.blockwise.plan import BlockOptions
    from cytoshift.predict.pipeline import Options

    torch.manual_seed(0)
    part = np.load(folder / "cube.npy")

    def lay(job, number):
        for tile in job.tiles_of(number):
            places = [np.arange(s.start, s.stop) % CUBE for s in job.cover[tile].region]
            job.channels[tile] = part[(slice(None), *np.ix_(*places))]

    passes.WORK["predict"] = lay
    said = []
    call = (*job_of(folder, side), Serial(), BlockOptions(memory=MEMORY, halo=(24, 24, 24)), Options(precision="32"))
    if only:
        segment_blockwise(*call, only="predict")
        return
    warm = segment_blockwise(*job_of(folder / "warm", CUBE), Serial(), BlockOptions(), Options(precision="32"))
    audit_classes(warm)
    finish(warm, Serial())  # all is compiled and imported
    start, wall = time.process_time(), time.perf_counter()
    job = segment_blockwise(*call, report=(said.append, lambda *_: None))
    (audit,) = audit_classes(job)
    blocks = len(job.grid)
    finish(job, call[4])
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "wall": wall, "peak": peak, "said": said, "blocks": blocks,
                      "passed": audit.passed, "verdict": audit.sentence()}))  # fmt: skip


def compared(folder: Path, side: int) -> tuple[int, int]:
    """Objects of the one-shot result, and those of either side that have no equal on the other."""
    from cytoshift.core.voxel import Voxel
    from cytoshift.data.volumes import open_labels
    from cytoshift.labels.overlap import overlap
    from cytoshift.predict.pipeline import Options, decode
    from cytoshift.represent import BCD

    eight = np.load(folder / "cube.npy")
    voxel = Voxel((1.0, 1.0, 1.0))
    whole = decode(BCD(smallest=5.0), eight, voxel, Options())
    found = open_labels(folder / "out.ome.zarr")[0].array
    unlike, objects, seen = 0, 0, []
    for corner in product(range(0, side, CUBE), repeat=3):
        part = found[tuple(slice(c, min(c + CUBE, side)) for c in corner)]
        truth = whole
        if part.shape != whole.shape:  # the volume ends within a cube: what it cuts there is decoded as it is cut
            box = tuple(slice(0, n) for n in part.shape)
            truth = decode(BCD(smallest=5.0), np.ascontiguousarray(eight[(slice(None), *box)]), voxel, Options())
        table = overlap(truth, part)
        exact = int((table.pairs.iou == 1).sum())
        unlike += max(int(truth.max()), len(table.pred_ids)) - exact
        objects += int(truth.max())
        seen.append(table.pred_ids)
    ids = np.concatenate(seen)
    return objects, unlike + len(ids) - len(np.unique(ids))


def main(side: int, place: Path | None, json_file: Path | None) -> None:
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        command = [sys.executable, __file__, "--side", str(side), "--folder", name]
        subprocess.run([*command, "--step", "cube"], check=True)
        subprocess.run([*command, "--step", "lay"], check=True)
        words = subprocess.run([*command, "--step", "stitch"], check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(words.splitlines()[-1])
        objects, unlike = compared(folder, side)
    print(*found["said"], sep="\n")
    rate = side**3 / 1e6 / found["seconds"]
    print(
        f"{side**3 / 1e6:.0f} Mvoxel in {found['blocks']} blocks: {found['seconds']:.1f} s of one core, {rate:.1f} "
        f"Mvoxel/s ({found['wall']:.1f} s of wall); peak {found['peak'] / 1e9:.2f} of {MEMORY / 1e9:g} GB; {objects} "
        f"objects, {unlike} of them lost, split or merged; {found['verdict']}"
    )
    numbers = {
        "voxels": side**3, "blocks": found["blocks"], "seconds": found["seconds"], "wall": found["wall"], "rate": rate,
        "objects": objects, "peak_gb": found["peak"] / 1e9, "verdict": found["verdict"],
    }  # fmt: skip
    conclude(json_file, numbers, [
        Wanted("Mvoxel/s of one core", rate, least=10),
        Wanted("objects lost, split or merged", unlike, most=0),
        Wanted("peak memory in parts of the budget", found["peak"] / MEMORY, most=1.0),
        Wanted("failed audits", float(not found["passed"]), most=0),
    ])  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=406, help="voxels along each axis")
    parser.add_argument("--folder", type=Path, default=None, help="where there is room for 8 bytes per voxel")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", default="", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.step == "cube":
        np.save(said.folder / "cube.npy", cube())
    elif said.step:
        passes(said.folder, said.side, said.step == "lay")
    else:
        main(said.side, said.folder, said.json)
