"""A blockwise job as every process sees it: a folder, and what lies in it.

work/
  asked.json           what was asked, to know the same command again
  plan.json            the geometry, the numbers that normalise, the image and how it is opened
  model/               the segmenter, a copy
  intensities/         counts of all voxels by their intensity, which normalise
  statistics.safetensors  statistics of the norms, measured once on the volume
  channels/            (1) Zarr (tiles, K, *tile) uint8: the channels, 0 to 255 for their range, or float32
  tissue.npy           where it was looked for
  labels/              (2) Zarr (classes x blocks, *room) int32: objects of each block, 1..n
  objects/             (2) per class and block a table of the objects
  links/               (3) per class and block, which of its objects are one with those of later neighbours
  merged/              (4) per class and block, what its objects are called in the end; sizes of all
  seams/               (6) per class and block, what its faces look like
  measured/            (6) per class and block, shapes and intensities of the objects that begin in it
  ledger/              which blocks of which pass are finished
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...core.atomic import atomic_path, discard
from ...core.blocks import Block, BlockGrid, Slices, extent, grow_region, relative_region
from ...core.errors import UserError
from ...core.no_data import missing_voxels
from ...core.normalise import Scale, Scales
from ...data.multiscale import Ngff
from ...data.store import LabelStore
from ...data.volumes import ImageSource, Volume, open_volumes
from ...labels.dtypes import smallest_dtype
from ...model import Segmenter
from ...model.segmenter import ScaleEntry, entry_numbers
from ...represent import Part, RepresentationSettings
from ...represent.base import StoredChannels
from ..network import STATISTICS, TiledNetwork, load_statistics, multiple
from ..pipeline import Options, Pipeline
from ..tiles import Cover, blend_tiles, round_sums
from ..working import Working
from .plan import PassName, Plan, storage_chunks
from .tissue import Tissue

# A row of the table of one block: of each object that has voxels in the block's write region, what these add up to.
ROW = np.dtype([
    ("id", np.int32), ("voxels", np.int64), ("total", np.float64, 3), ("low", np.int64, 3), ("high", np.int64, 3),
    ("sure", np.float64),
])  # fmt: skip
# Folders with a file for each class and block that a pass leaves.
TABLES: dict[PassName, tuple[str, ...]] = {"decode": ("objects",), "link": ("links",), "audit": ("seams", "measured")}


class DamagedFile(UserError):
    """Something between two passes cannot be read; who gives out the work looks what has to be done again."""


class StoredPlan(Plan):
    """plan.json: the geometry and all else that a worker has to know."""

    options: Options
    scale: ScaleEntry | tuple[ScaleEntry, ...]
    source: ImageSource | None  # None for a volume that is in the memory of this process only
    name: str  # of the volume among those of the source
    device: str
    outputs: tuple[str, ...]  # labels, one path per class
    ngff: Ngff
    tissue: str | None = None  # tells one mask of it from another; None where all of the volume is looked at


@dataclass(eq=False)
class Job:
    """Opened once in each process. `stamp` tells one plan of a folder from a later one."""

    folder: Path
    stamp: str
    plan: StoredPlan
    segmenter: Segmenter
    volume: Volume

    @classmethod
    def open(cls, folder: Path, stamp: str) -> "Job":
        plan = StoredPlan.model_validate_json((folder / "plan.json").read_text())
        if plan.source is None:
            raise UserError(f"the image of {folder} is in the memory of another process; take the engine serial")
        volumes = {volume.name: volume for volume in open_volumes(plan.source)}
        if plan.name not in volumes:
            raise UserError(f"{plan.name} is not among the images of {plan.source.paths} any more; start again")
        return cls(folder, stamp, plan, Segmenter.load(folder / "model", plan.device), volumes[plan.name])

    @cached_property
    def grid(self) -> BlockGrid:
        return self.plan.grid

    @cached_property
    def cover(self) -> Cover:
        return self.pipeline.network.cover

    @cached_property
    def tasks(self) -> BlockGrid:
        return self.plan.tasks

    def tiles_of(self, number: int) -> list[int]:
        """The tiles that one task of pass 1 draws."""
        indices = product(*(range(s.start, s.stop) for s in self.tasks[number].write))
        return [self.cover.number(index) for index in indices]

    @cached_property
    def scale(self) -> Scale | Scales:
        found = entry_numbers(self.plan.scale)
        assert found is not None, "a plan has the numbers that normalise"
        return found

    @cached_property
    def working(self) -> Working:
        return Working(self.volume, self.scale, self.segmenter.voxel, multiple(self.segmenter))

    @cached_property
    def pipeline(self) -> Pipeline:
        """The network over the volume, with the tiles of the plan and the statistics that were measured for it."""
        statistics = load_statistics(self.folder / STATISTICS, torch.device(self.plan.device))
        network = TiledNetwork(self.segmenter, self.working, self.plan.options, self.plan.tile, statistics)
        return Pipeline(self.segmenter, self.working, self.plan.options, network)

    @property
    def represent(self) -> RepresentationSettings:
        return self.pipeline.represent

    @property
    def parts(self) -> list[Part]:
        return self.pipeline.parts

    @cached_property
    def channels(self) -> Any:
        return open_array(self.folder / "channels")

    def stored_channels(self, channels: slice, region: Slices) -> StoredChannels:
        """Some channels (K, *region) on the volume's grid: tiles laid over each other, in their order, whatever the
        region."""
        if self.working.extent == self.plan.shape:
            return self.blend_tiles(channels, region, self.represent.stored_dtype)
        room = self.working.needed_region(region)
        back = self.working.to_volume_grid(self.blend_tiles(channels, room, np.dtype(np.float32)), room, region)
        return np.asarray(round_sums(back.ravel()).reshape(back.shape)) if self.represent.eight_bits else back

    @cached_property
    def tissue(self) -> Tissue | None:
        return None if self.plan.tissue is None else Tissue.load(self.folder)

    def is_empty(self, region: Slices) -> bool:
        """Whether a region of the volume shows no tissue, where that was looked for."""
        return self.tissue is not None and not self.tissue.meets(region, self.plan.shape)

    def is_empty_tile(self, number: int) -> bool:
        """The same of a tile, which lies on the working grid."""
        return self.tissue is not None and not self.tissue.meets(self.cover[number].region, self.working.extent)

    def missing(self, region: Slices) -> NDArray[np.bool_] | None:
        """Where in a region of the volume the image has no data; only floats can say so."""
        if self.volume.dtype.kind != "f":
            return None
        array: Any = self.volume.array
        return missing_voxels(np.asarray(array[(..., *region)]), len(region), self.volume.name)

    def blend_tiles(self, channels: slice, room: Slices, kind: np.dtype[Any]) -> NDArray[Any]:
        """Sums of weighted tiles (K, *room), rounded to 8 bits or as they are."""

        def read(number: int, box: Slices) -> StoredChannels:
            return np.asarray(self.channels[(number, channels, *box)])

        out = np.empty((channels.stop - channels.start, *extent(room)), kind)
        blend_tiles(out, self.cover, room, read)
        return out

    @cached_property
    def labels(self) -> Any:
        return open_array(self.folder / "labels")

    @cached_property
    def stores(self) -> list[LabelStore]:
        """The labels that come out, class by class, while they are written."""
        return [LabelStore.reopen(path) for path in self.plan.outputs]

    def room(self, block: Block) -> Slices:
        """Of the volume, what is kept of the labels of a block."""
        return grow_region(block.write, self.plan.reach, self.grid.shape)

    def read_labels(self, part: int, number: int, region: Slices) -> NDArray[np.int32]:
        """Labels of a block in a region of the volume that lies in its room."""
        block = self.grid[number]
        inside = relative_region(region, self.room(block))
        return np.asarray(self.labels[(self.row(part, number), *inside)])

    def row(self, part: int, number: int) -> int:
        return part * len(self.grid) + number

    def file(self, kind: str, part: int, number: int) -> Path:
        """A file of numbers of one class and block; a thousand to a folder."""
        return self.folder / kind / f"{part}" / f"{number // 1000:06d}" / f"{number:09d}.npy"

    def has_begun(self, name: PassName) -> bool:
        """Whether there is what the blocks of a pass write into."""
        if name in ("predict", "decode"):
            return (self.folder / {"predict": "channels", "decode": "labels"}[name] / "zarr.json").is_file()
        if name == "write":
            return all(store.continued for store in self.create_stores())
        return True

    def begin(self, name: PassName) -> None:
        """Make the empty arrays that the blocks of a pass write into; what an earlier one has left is discarded."""
        for kind in TABLES.get(name, ()):
            discard(self.folder / kind)
        if name == "predict":
            tile, count = self.cover.extent, len(self.represent.channels)
            self.channels = create_array(
                self.folder / "channels", (len(self.cover), count, *tile), (1, count, *storage_chunks(tile)),
                self.represent.stored_dtype.name,
            )  # fmt: skip
        elif name == "decode":
            rows, room = len(self.parts) * len(self.grid), self.plan.room
            self.labels = create_array(self.folder / "labels", (rows, *room), (1, *storage_chunks(room)), "int32")
        elif name == "write":
            for store in self.create_stores():
                if store.continued:
                    store.begin()
            self.stores = [LabelStore.reopen(path) for path in self.plan.outputs]

    def create_stores(self) -> list[LabelStore]:
        """Of the labels that come out, one per class; unfinished ones are gone on with."""
        plan, out = self.plan, []
        for part, path in enumerate(plan.outputs):
            kind = smallest_dtype(int(load(self.folder / "merged" / f"{part}" / "total.npy")[0]))
            out.append(
                LabelStore.create(path, plan.shape, kind, self.volume.voxel, self.volume.axes, plan.ngff, plan.chunk)
            )
        return out


JOBS: dict[str, Job] = {}  # of this process


def job_of(folder: str, stamp: str) -> Job:
    """The job of a folder, opened once per process."""
    found = JOBS.get(folder)
    if found is None or found.stamp != stamp:
        found = JOBS[folder] = Job.open(Path(folder), stamp)
    return found


def open_array(path: Path) -> Any:
    import zarr

    return zarr.open_array(path, mode="r+")


def create_array(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], kind: str) -> Any:
    """An empty Zarr array whose chunks are checked when they are read."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    zarr.create_array(
        path, shape=shape, chunks=chunks, dtype=kind, overwrite=True, config={"write_empty_chunks": True},
        compressors=[BloscCodec(cname="lz4", clevel=3, shuffle="shuffle"), Crc32cCodec()],
    )  # fmt: skip
    return open_array(path)


def load(path: Path) -> NDArray[Any]:
    """Numbers that `save` has written. Raises DamagedFile where they are gone or cut short."""
    try:
        found: NDArray[Any] = np.load(path, allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise DamagedFile(f"{path} of a stored block is damaged ({error})") from error
    return found


def save(path: Path, array: NDArray[np.generic]) -> None:
    with atomic_path(path) as beside, beside.open("wb") as file:
        np.save(file, array)
