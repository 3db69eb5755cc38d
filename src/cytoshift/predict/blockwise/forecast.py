"""What the segmentation of a very large volume takes, before it is begun: arithmetic over measured rates.

Every figure is a product of the volume's size, of the geometry that blockwise work would have (plan.py), and of a rate.
Rates of a processor core come from `rates.json`, a result of benchmarks/bench_rates.py; those of cards, storage and
network are the reader's.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from math import ceil, prod

from pydantic import Field

from ...core.blocks import BlockGrid
from ...core.settings import Settings
from ...data.multiscale import CHUNK
from ...represent import BCD
from ..calibration import CONTEXT_VOXELS
from .plan import BASE_BYTES, LARGEST_BLOCK, TASK_VOXELS, grow_block

LINE_BYTES = 9  # of a finished block in the ledger of a pass
OBJECT_BYTES = 104  # of an object in the tables of passes 2 and 4, in all
LINK_BYTES = 16  # of two objects that are one
KEPT_BYTES = 90  # of a finished block in the memory of the process that gives out the work: a Python number in a set
JOINED_BYTES = 300  # of an object at a face of blocks in the process that merges: names, forest and sums of its parts
FILES_SECONDS = 4e-3  # that this process takes for the four small files of a block; an assumption, as TASK_SECONDS is
TASK_SECONDS = 2e-3  # that this process takes to give out a block and to write it down
GRID_PASSES = 4  # that touch every block: decode, link, write, audit; predict has tasks of its own, merge is one
PYRAMID_FACTOR = 8 / 7  # the finest level and all coarser ones, in 3D


class Rates(Settings):
    """Per second and per voxel. The first eight are measured on one core; the others are assumptions to be set.

    network, stitch: voxels per second of pass 1, and of passes 2 to 6 with the pyramid. count: of the statistics.
    *_bytes: per voxel as stored. card: voxels per second of the network on one GPU. storage: bytes per second of the
    shared file system for all; link: of the network card of one worker. cores: of a worker, beside its GPU.
    """

    network: float = Field(gt=0)
    stitch: float = Field(gt=0)
    count: float = Field(gt=0)
    objects: float = Field(gt=0)
    image_bytes: float = Field(gt=0)
    channel_bytes: float = Field(gt=0)
    work_bytes: float = Field(gt=0)
    label_bytes: float = Field(gt=0)
    card: float | None = Field(None, gt=0)
    storage: float = Field(10e9, gt=0)
    link: float = Field(1.25e9, gt=0)
    cores: int = Field(8, ge=1)


@dataclass(frozen=True)
class Stage:
    """One part of the work on all workers: as long as its slowest resource."""

    name: str
    seconds: float
    bound: str  # by what


@dataclass(frozen=True)
class Forecast:
    voxels: int
    block: tuple[int, ...]
    halo: tuple[int, ...]
    blocks: int
    inflation: float  # voxels that blocks read, in multiples of the volume's
    objects: float
    image: float  # bytes, as all below
    work: float
    output: float
    ledger: float
    tables: float
    memory: float  # of the process that gives out the work
    chunk_files: float  # of the labels with their pyramid
    shard_files: float
    stages: tuple[Stage, ...]
    limits: tuple[str, ...]  # what breaks first, worst first

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)


def measured_rates() -> tuple[dict[str, float], str]:
    """The numbers of rates.json, and where and when they were measured."""
    said = json.loads((files(__package__) / "rates.json").read_text())
    known = {key: value for key, value in said.items() if key in Rates.model_fields}
    return known, f"{said['processor']}, {said['date']}"


def forecast(
    shape: tuple[int, ...], rates: Rates, workers: int, memory: float = 16e9, objects: float = 32.0
) -> Forecast:
    """shape: (Y, X) or (Z, Y, X). memory: bytes per worker. objects: extent of the largest one in voxels."""
    voxels, halo = prod(shape), (ceil(objects) + CONTEXT_VOXELS,) * len(shape)
    chunk = tuple(min(c, n) for c, n in zip(CHUNK[len(shape)], shape))
    block = grow_block(shape, chunk, halo, min((memory - BASE_BYTES) / BCD.decode_bytes, LARGEST_BLOCK))
    grid = BlockGrid(shape, block, halo)
    reads = prod(sum(min(b + h, n) - max(a - h, 0) for a, b in spans(n, s)) / n for n, s, h in zip(shape, block, halo))
    count, found = len(grid), voxels * rates.objects
    done = count * GRID_PASSES + voxels / TASK_VOXELS  # tasks of all passes
    image, channels = voxels * rates.image_bytes, voxels * rates.channel_bytes
    stored, output = voxels * rates.work_bytes, voxels * rates.label_bytes * PYRAMID_FACTOR
    tables = found * (OBJECT_BYTES + LINK_BYTES)
    crossing = found * (1 - prod(max(1 - objects / 2 / s, 0.0) for s, n in zip(block, shape) if s < n))
    speed = min(rates.storage, rates.link * workers)
    cores = workers * rates.cores

    def stage(name: str, work: float, read: float, write: float, tasks: float) -> Stage:
        bounds = {"computing": work, "storage" if speed == rates.storage else "network": (read + write) / speed,
                  "giving out blocks": tasks * TASK_SECONDS}  # fmt: skip
        bound = max(bounds, key=lambda key: bounds[key])
        return Stage(name, bounds[bound], bound)

    drawn = voxels / (workers * (rates.card or rates.network * rates.cores))
    stages = (
        stage("statistics of the intensities", voxels / (rates.count * cores), image, 0.0, 0.0),
        stage("(1) predict", drawn, image, channels, voxels / TASK_VOXELS),
        stage("(2, 3, 5, 6) decode, link, write, audit", voxels * reads / (rates.stitch * cores),
              channels * reads + 3 * stored + tables, stored + output + tables, count * GRID_PASSES),
        Stage("(4) merge", count * FILES_SECONDS + tables / speed, "one process"),
    )  # fmt: skip
    chunk_files = voxels / prod(chunk) * PYRAMID_FACTOR
    shard_files = voxels / prod(block) * PYRAMID_FACTOR
    kept = max(done * KEPT_BYTES, crossing * JOINED_BYTES) + BASE_BYTES
    made = Forecast(
        voxels, block, halo, count, reads, found, image, channels + stored + tables, output, done * LINE_BYTES,
        tables, kept, chunk_files, shard_files, stages, (),
    )  # fmt: skip
    return Forecast(**{**vars(made), "limits": limits(made, memory)})


def spans(length: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, length)) for start in range(0, length, step)]


def limits(made: Forecast, memory: float) -> tuple[str, ...]:
    """Sentences about what gives way before the machines do, those with the largest excess first."""
    slow = [stage for stage in made.stages if stage.bound not in ("computing", "one process")]
    found = [
        (made.chunk_files / 1e8, f"{made.chunk_files:.2g} files of chunks: more than most file systems can handle "
                                 f"in one folder tree; with a shard per block they are {made.shard_files:.2g}"),
        (made.memory / memory, f"{made.memory / 1e9:.3g} GB in the process that gives out the work and merges; "
                               "cut the volume into parts"),
        (made.objects / 2**32, f"{made.objects:.2g} objects: ids of 64 bits, which few viewers show"),
        (made.work / 100e12, f"{made.work / 1e12:.3g} TB in the working folder until the end: most of it channels"),
        *((2.0, f"{stage.name} waits for {stage.bound}: more GPUs change nothing") for stage in slow),
        (made.seconds / (7 * 86400), f"{made.seconds / 86400:.3g} days: longer than jobs may run; the same "
                                     "command goes on in the next"),
    ]  # fmt: skip
    return tuple(words for excess, words in sorted(found, key=lambda one: -one[0]) if excess > 1)
