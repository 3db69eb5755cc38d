"""OME-Zarr of any size, written region by region from as many processes as there are.

    store = LabelStore.create("brain.labels.ome.zarr", shape, np.uint32, voxel, "zyx")   # or goes on with it
    store[region] = block                        # in any process: a store can be pickled, regions end at `store.unit`
    store.finish()                               # coarser levels chunk by chunk, calibration, then its name

Until `finish` everything lies beside, in `.brain.labels.ome.zarr.part`, and survives whatever kills the process. Each
chunk is written beside and renamed by Zarr, so that it is whole or absent as well.
"""

import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core.atomic import atomic_path, clean_up_one, discard, refuse_other_kind, swap
from ..core.blocks import Slices
from ..core.errors import UserError
from ..core.lazy_array import LazyArray, complete_index
from ..core.voxel import Voxel
from .multiscale import (
    Ngff,
    chunks_of,
    create_level,
    describe_levels,
    keep_notes,
    list_labels,
    name_channels,
    place_inside,
)
from .picture import name_stem
from .pyramid import block_mean, block_mode, plan_levels

NOTE = ".unfinished.json"  # what a store is like, in its folder until it is finished
UNFINISHED = re.compile(r"\.?z\w+\.[0-9a-f]{32}\.partial")  # metadata that Zarr had not renamed yet
COPIED = ".copied"  # which boxes `copy` has filled, likewise
Run = Callable[[Callable[[Slices], None], Iterable[Slices]], Iterable[None]]  # `map`, or what an engine has for it


@dataclass(frozen=True, eq=False)
class Store(LazyArray):
    """An image that is being written. Reads like a volume, the background where nothing has been written.

    Spatial axes are the last two or three; time, channels or classes may stand before them, as in tzyx.
    """

    path: Path  # where it will stand; for labels of an image image.ome.zarr/labels/name
    whole: tuple[int, ...]  # shape
    kind: str  # name of the dtype
    voxel: Voxel
    axes: str
    ngff: Ngff
    chunk: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    image: Path | None = None  # that the labels belong to
    continued: bool = False  # whether `create` found one that was begun before

    labels: ClassVar[bool] = False

    @classmethod
    def create(
        cls,
        path: Path | str,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        voxel: Voxel,
        axes: str,
        ngff: Ngff = "0.5",
        chunks: tuple[int, ...] | None = None,
        shards: tuple[int, ...] | None = None,
    ) -> Self:
        """An empty store, or the unfinished one that was created with the same arguments, with all it holds.

        path: `.ome.zarr` or `.zarr`; labels may go to `image.ome.zarr::labels/nuclei`, in the image's version.
        axes: yx or zyx, with t, c or both in front. voxel: of the spatial axes.
        ngff: 0.5 on Zarr v3, or 0.4 on Zarr v2.
        shards: multiples of the chunks that share a file (0.5 only), where chunks alone would be millions of files.
        Raises UserError for places, shapes and axes that cannot be written.
        """
        place, image, ngff = resolve_target(path, ngff, cls.labels)
        refuse_other_kind(place, folder=True)
        shape, dtype = tuple(int(n) for n in shape), np.dtype(dtype)
        refuse_unwritable(place, shape, dtype, voxel, axes, cls.labels)
        chunks = tuple(min(c, n) for c, n in zip(chunks, shape)) if chunks else chunks_of(shape, voxel.ndim)
        if shards and (ngff == "0.4" or any(s % c for s, c in zip(shards, chunks))):
            raise UserError(
                f"shards of {shards} voxels need NGFF 0.5 and sizes that are multiples of the chunks {chunks}; "
                "leave them out or choose other sizes"
            )
        store = cls(place, shape, dtype.name, voxel, axes, ngff, chunks, shards, image)
        if store.note() == store.description:
            return replace(store, continued=True)
        store.begin()
        return store

    @classmethod
    def reopen(cls, path: Path | str) -> Self:
        """The unfinished store that will stand at `path`. Raises UserError where none was begun."""
        place, _, _ = resolve_target(path, "0.5", cls.labels)
        said = read_note(part_folder(place))
        if said is None or said["labels"] != cls.labels:
            raise UserError(f"there is nothing at {place} that could be continued; start again")
        voxel = Voxel(tuple(said["voxel"]), said["unit"])
        shards = tuple(said["shards"]) if said["shards"] else None
        image = Path(said["image"]) if said["image"] else None
        shape, chunks = tuple(said["shape"]), tuple(said["chunks"])
        return cls(place, shape, said["dtype"], voxel, said["axes"], said["ngff"], chunks, shards, image)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.whole

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.kind)

    @property
    def chunks(self) -> tuple[int, ...]:
        return self.chunk

    @property
    def unit(self) -> tuple[int, ...]:
        """What one process writes at a time: regions start and end at multiples of this, or at the image's end."""
        return self.shards or self.chunks

    @property
    def folder(self) -> Path:
        """Where everything lies until it is finished."""
        return part_folder(self.path)

    @property
    def description(self) -> dict[str, Any]:
        """What tells this store from another; JSON."""
        return {
            "labels": self.labels, "shape": list(self.whole), "dtype": self.kind, "voxel": list(self.voxel.size),
            "unit": self.voxel.unit, "axes": self.axes, "ngff": self.ngff, "chunks": list(self.chunks),
            "shards": list(self.shards) if self.shards else None, "image": str(self.image) if self.image else None,
        }  # fmt: skip

    def note(self) -> dict[str, Any] | None:
        """What the unfinished store at this place says of itself, without the levels that it has."""
        found = read_note(self.folder)
        return found and {key: value for key, value in found.items() if key != "levels"}

    def begin(self) -> None:
        """Throw away what was begun, and start empty; before anything is read from it or written to it."""
        import zarr

        assert "finest" not in vars(self), "the array that is open would be one that is gone"
        with self.explain_write_errors():
            discard(self.folder)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            group = zarr.create_group(self.folder, zarr_format=2 if self.ngff == "0.4" else 3)
            create_level(group, 0, self.shape, self.dtype, self.axes, self.chunks, self.shards)
            self.write_note(levels=1)

    def write_note(self, levels: int) -> None:
        """levels: how many are complete, the finest counted as one."""
        with atomic_path(self.folder / NOTE) as temporary:
            temporary.write_text(json.dumps({**self.description, "levels": levels}))

    @cached_property
    def finest_level(self) -> Any:
        """The Zarr array that is written."""
        import zarr

        return zarr.open_array(self.folder / "0", mode="r+")

    def fetch(self, region: Slices) -> NDArray[np.generic]:
        return np.asarray(self.finest_level[region])

    def __setitem__(self, region: Any, block: NDArray[np.generic]) -> None:
        """Write a box that no other process writes to. Raises ValueError where it does not end at `unit`."""
        box, _ = complete_index(region, self.shape)
        for axis, (at, n, unit) in enumerate(zip(box, self.shape, self.unit)):
            if at.step != 1 or at.start % unit or (at.stop % unit and at.stop != n):
                raise ValueError(f"axis {axis} is written from {at.start} to {at.stop}, not in multiples of {unit}")
        with self.explain_write_errors():
            self.finest_level[box] = block

    def regions(self, level: int = 0) -> Iterator[Slices]:
        """The boxes of `unit` voxels that cover a level."""
        shape, unit = self.levels[level].shape, self.units(level)
        boxes = itertools.product(*(range(0, n, u) for n, u in zip(shape, unit)))
        return (tuple(slice(a, min(a + u, n)) for a, u, n in zip(at, unit, shape)) for at in boxes)

    @cached_property
    def levels(self) -> list[Any]:
        """The pyramid; along time and channels nothing becomes coarser."""
        before = len(self.axes) - self.voxel.ndim
        return [
            type(level)(self.shape[:before] + level.shape, (1,) * before + level.steps, (1,) * before + level.factors)
            for level in plan_levels(self.shape[before:], self.voxel.size)
        ]

    def units(self, level: int) -> tuple[int, ...]:
        """`unit` of a level."""
        if level == 0 or self.shards:
            return self.unit
        return tuple(min(c, n) for c, n in zip(self.chunks, self.levels[level].shape))

    def coarsen(self, level: int, region: Slices) -> None:
        """Write one box of a level from the one before; boxes of one level may be written side by side."""
        import zarr

        steps, fine = self.levels[level].steps, self.levels[level - 1].shape
        wanted = tuple(slice(r.start * s, min(r.stop * s, n)) for r, s, n in zip(region, steps, fine))
        with self.explain_write_errors():
            block = np.asarray(zarr.open_array(self.folder / str(level - 1), mode="r")[wanted])
            if block.any():
                coarse = (block_mode if self.labels else block_mean)(block, steps)
                zarr.open_array(self.folder / str(level), mode="r+")[region] = coarse

    def finish(self, run: Run = map, notes: dict[str, Any] | None = None, channels: tuple[str, ...] = ()) -> Path:
        """Build the coarser levels, describe everything, and give it its name, in place of what stood there.

        run: has a function called on every region of a level and returns when all are done; `map` does it here.
        notes: JSON that is kept with the labels, as `cytoshift` among the attributes. channels: names along c.
        """
        import zarr

        with self.explain_write_errors():
            group = zarr.open_group(self.folder, mode="r+")
            said = read_note(self.folder) or {}
            for number in range(said.get("levels", 1), len(self.levels)):
                discard(self.folder / str(number))
                shape = self.levels[number].shape
                chunks = tuple(min(c, n) for c, n in zip(self.chunks, shape)) if not self.shards else self.chunks
                create_level(group, number, shape, self.dtype, self.axes, chunks, self.shards)
                for _ in run(partial(self.coarsen, number), self.regions(number)):
                    pass
                self.write_note(levels=number + 1)
            name = self.path.name if self.image else name_stem(self.path)
            describe_levels(group, [level.factors for level in self.levels], self.voxel, self.axes, self.labels, name)
            if channels:
                name_channels(group, channels, self.dtype)
            if notes:
                keep_notes(group, notes)
            remove_unfinished_chunks(self.folder)
            if self.image:
                list_labels(self.image, self.path.name, self.ngff)
                for path in (*self.image.iterdir(), *self.path.parent.iterdir()):
                    if UNFINISHED.fullmatch(path.name):  # of a killed process, as this one holds the image's lock
                        path.unlink(missing_ok=True)
            swap(self.folder, self.path)
            is_finished(self.path)
        return self.path

    @contextmanager
    def explain_write_errors(self) -> Iterator[None]:
        """A full disk, a quota or a folder that is read-only becomes one sentence."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"cannot write {self.path}: {reason}; free space or choose another output, what is written is kept"
            ) from error


class ImageStore(Store):
    """Intensities: their coarser copies are means."""


class LabelStore(Store):
    """Object ids: their coarser copies are votes."""

    labels = True


def part_folder(place: Path) -> Path:
    """The folder beside `place` that becomes it."""
    return place.with_name(f".{place.name}.part")


def read_note(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def is_finished(place: Path) -> bool:
    """Whether a finished store stands there; what a kill at its very end has left in it is removed."""
    if not place.is_dir():
        return False
    for note in (NOTE, COPIED):
        discard(place / note)
    return True


def read_kept_note(place: Path) -> dict[str, Any]:
    """What `finish` was told to keep with a store; empty where there is none."""
    import zarr

    try:
        found: Any = zarr.open_group(place, mode="r").attrs.asdict().get("cytoshift", {})
    except (OSError, ValueError, KeyError):
        return {}
    return found if isinstance(found, dict) else {}


def resolve_target(path: Path | str, ngff: Ngff, labels: bool) -> tuple[Path, Path | None, Ngff]:
    """Folder, the image it belongs to if there is one, and version."""
    head, inside, behind = str(path).partition("::")
    if inside and labels:
        place, version = place_inside(Path(head), behind)
        return place, Path(head), version
    if inside or Path(head).suffix.lower() != ".zarr":
        raise UserError(f"{path} cannot be written in parts; choose a name that ends in .ome.zarr")
    return Path(head), None, ngff


def refuse_unwritable(
    place: Path, shape: tuple[int, ...], dtype: np.dtype, voxel: Voxel, axes: str, labels: bool
) -> None:
    """Raises UserError for what cannot be written."""
    front, space = axes[: -voxel.ndim], axes[-voxel.ndim :]
    if front not in ("", "t", "c", "tc") or space not in ("yx", "zyx") or len(shape) != len(axes):
        raise UserError(
            f"{place} of shape {shape} with axes '{axes}' and voxel size {voxel} cannot be written; all three need one "
            "entry per axis of yx or zyx, and t and c stand before them"
        )
    if math.prod(shape) == 0:
        raise UserError(f"{place} of shape {shape} holds nothing to write; check the step before")
    if dtype.kind not in ("u" if labels else "uif"):
        stock = "uint8 to uint64" if labels else "integers and floats"
        raise UserError(f"{place} cannot be written as {dtype}, only as {stock}; choose one of these")


def remove_unfinished_chunks(folder: Path) -> None:
    """Remove what a killed process left of chunks that it had not finished."""
    for here, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".partial"):
                (Path(here) / name).unlink(missing_ok=True)
            elif name.startswith("."):
                clean_up_one(Path(here) / name)
