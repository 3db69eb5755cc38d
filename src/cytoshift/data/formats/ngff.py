"""OME-Zarr 0.4 and 0.5 (Zarr v2 and v3), in a folder or zipped, and Zarr arrays without OME metadata."""

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ...core.errors import UserError
from ..picture import AXES, UNKNOWN, FileGone, Picture, explain_read_errors, known_extent
from . import MARKS, PictureRequest, is_zarr, limit_concurrency, number_range, refuse_level


@dataclass(frozen=True)
class ZarrArray:
    """A Zarr array in a folder; Zarr opens a file per chunk, so the array itself holds no handle."""

    path: Path
    array: zarr.Array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.array.dtype)

    @property
    def chunks(self) -> tuple[int, ...]:
        return tuple(self.array.chunks)  # of a shard, single chunks can be read

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        try:
            with explain_read_errors(self.path), limit_concurrency(self.array):
                return np.asarray(self.array[region])
        finally:
            self.refuse_gone()

    def refuse_gone(self) -> None:
        """Zarr takes a chunk that is not there for zeros, also where the whole array has been removed meanwhile."""
        for folder in (self.path, self.path / self.array.path):
            if not is_zarr(folder):
                raise FileGone(f"{folder} is there no longer; put it back, or open another")


@dataclass(frozen=True)
class ZippedZarrArray:
    """A Zarr array in a zip file, which is opened anew for each read."""

    path: Path
    key: str  # of the array in the file
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]

    def read(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        with explain_read_errors(self.path), open_zip(self.path) as store:
            array: Any = zarr.open_array(store, path=self.key, mode="r")
            with limit_concurrency(array):
                return np.asarray(array[region])


@contextmanager
def open_zip(path: Path) -> Iterator[zarr.storage.ZipStore]:
    store = zarr.storage.ZipStore(path, mode="r")
    try:
        yield store
    finally:
        store.close()


def place_in_zip(path: Path) -> str:
    """The folder in a zip file that holds the outermost group, "" where that lies in it directly."""
    try:
        with zipfile.ZipFile(path) as file:
            places = [PurePosixPath(name) for name in file.namelist() if PurePosixPath(name).name in MARKS]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{error}") from error
    if not places:
        raise UserError(f"{path} has no Zarr metadata ({' or '.join(MARKS)}); zip the whole folder again")
    outermost = min(places, key=lambda place: len(place.parts))
    return "/".join(outermost.parts[:-1])


def open_pictures(request: PictureRequest) -> list[Picture]:
    """The image (or all images of a plate or a bioformats2raw collection) of a Zarr, or what `part` leads to in it."""
    path, name, part, level, labels = request
    reader = ZarrReader(path, name, level, labels)
    if not path.is_dir():
        inside = place_in_zip(path)
        with open_zip(path) as store:
            return reader.read(zarr.open(store, path=inside, mode="r"), part)
    if not is_zarr(path):
        raise UserError(f"{path} has no Zarr metadata ({' or '.join(MARKS)}); copy the folder whole")
    return reader.read(zarr.open(path, mode="r"), part)


@dataclass(frozen=True)
class ZarrReader:
    """What a Zarr holds as pictures. name: of those in no plate. level: of a pyramid. labels: those of an image are
    meant."""

    path: Path
    name: str
    level: int
    labels: bool

    def read(self, root: Any, part: str | None) -> list[Picture]:
        """All images of the root, or of a part of it."""
        place = f"{self.path}::{part}" if part else str(self.path)
        name = None
        if part is not None:
            key = part.strip("/")
            keys = [] if isinstance(root, zarr.Array) else list_paths(root)
            if key not in keys:
                stock = ", ".join(keys[:20]) or "nothing below it"
                raise UserError(f"{self.path} has no '{part}', it has {stock}; write one of these behind '::'")
            name = name_in_plate([(one, root[one] if one else root) for one in (*folders_above(key), key)])
            root = root[key]
        elif self.path.is_dir():
            name = name_in_plate(groups_around(self.path))
        if name is not None:
            well = name.partition("-")[0]
            return [replace(picture, well=well) for picture in self.read_root(place, root, name)]
        return self.read_root(place, root, self.name)

    def read_root(self, place: str, root: Any, name: str) -> list[Picture]:
        """An array, or what a group holds."""
        if isinstance(root, zarr.Array):
            refuse_level(self.path, self.level)
            return [self.plain_array(place, root, name)]
        return self.collection(place, root, name)

    def collection(self, place: str, group: Any, name: str) -> list[Picture]:
        """What a group holds: an image, its labels, several images, or plain arrays."""
        said = ome(group)
        separator = "/" if "::" in place else "::"
        if self.labels and "image-label" not in said and "labels" in group:
            names = ome(group["labels"]).get("labels", [])
            if len(names) != 1:
                example = f"{place}{separator}labels/{names[0]}" if names else "the labels' own file"
                raise UserError(f"{place} has the labels {', '.join(names) or 'none'}; name one, for example {example}")
            return [self.multiscale(f"{place}{separator}labels/{names[0]}", group["labels"][names[0]], name)]
        if "multiscales" in said:
            return [self.multiscale(place, group, name)]
        if "labels" in said and isinstance(said["labels"], list) and len(said["labels"]) == 1:
            return [self.multiscale(f"{place}{separator}{said['labels'][0]}", group[said["labels"][0]], name)]
        if "bioformats2raw.layout" in said and "plate" not in said:
            series = sorted((one for one in group if one.isdecimal()), key=int)
            return [
                self.multiscale(f"{place}{separator}{number}", group[number], f"{name}_s{number}") for number in series
            ]
        if "plate" in said:
            return [
                picture
                for well in entries(said["plate"], "wells")
                for picture in self.fields(
                    f"{place}{separator}{well}", self.member(place, group, well), f"{well_name(well)}"
                )
            ]
        if "well" in said:
            return self.fields(place, group, name)
        arrays = [key for key in list_paths(group) if isinstance(group[key], zarr.Array)]
        if len(arrays) == 1:
            refuse_level(self.path, self.level)
            return [self.plain_array(f"{place}{separator}{arrays[0]}", group[arrays[0]], name)]
        stock = ", ".join(arrays[:20]) or "no array"
        cure = f"write {place}{separator}{arrays[0]}" if arrays else "copy it again"
        raise UserError(f"one array of {place} must be named, it has {stock}; {cure}")

    def fields(self, place: str, well: Any, name: str) -> list[Picture]:
        """The images of a well."""
        separator = "/" if "::" in place else "::"
        return [
            replace(picture, well=name)
            for field in entries(ome(well).get("well", {}), "images")
            for picture in self.collection(
                f"{place}{separator}{field}", self.member(place, well, field), f"{name}-{field}"
            )
        ]

    def member(self, place: str, group: Any, key: str) -> Any:
        """A group that another one lists. Raises UserError where it is not there."""
        if key not in group:
            raise UserError(
                f"{place} lists '{key}', which is not there; copy it again, or pass one of its other images"
            )
        return group[key]

    def multiscale(self, place: str, group: Any, name: str) -> Picture:
        """One level of an NGFF image: axes, units, and the scale of the level times the scale of the image."""
        said = ome(group)
        image = said["multiscales"][0]
        levels = image["datasets"]
        if not 0 <= self.level < len(levels):
            stock = number_range(len(levels))
            raise UserError(f"{place} has no level {self.level}, it has {len(levels)}; pass `level` {stock}")
        array = group[levels[self.level]["path"]]
        stored_axes = image.get("axes", [])
        names = [axis if isinstance(axis, str) else axis["name"] for axis in stored_axes]
        if len(names) == array.ndim and all(one.lower() in AXES and len(one) == 1 for one in names):
            axes = "".join(names).lower()
        else:
            axes = UNKNOWN * array.ndim
        factors = scale(levels[self.level], array.ndim) * scale(image, array.ndim)
        units = {a["name"].lower(): a["unit"] for a in stored_axes if isinstance(a, dict) and a.get("unit")}
        # An image without units carries our own note where its voxels are counted in pixels.
        units |= dict.fromkeys("zyx", "px") if group.attrs.get("cytoshift", {}).get("unit") == "px" else {}
        extents = {a: e for a, e in zip(axes, factors.tolist()) if known_extent(e)}
        if not has_scale(levels[self.level]) and not has_scale(image):
            extents = {}  # axes may have a unit, and their voxels no size
        finest = scale(levels[0], array.ndim) * scale(image, array.ndim)
        if not any(axis in units for axis in "zyx") and all(f == 1 for a, f in zip(axes, finest) if a in "zyx"):
            extents = {}  # scale 1 without a unit is what writers fill in when they know nothing
        channels = said.get("omero", {}).get("channels", [])
        return Picture(
            array=self.stored_array(array),
            axes=axes,
            name=name,
            origin=f"{place}, level {self.level} of {len(levels)}",
            extents=extents,
            units=units,
            channels=tuple(str(channel.get("label", "")) for channel in channels),
        )

    def plain_array(self, place: str, array: zarr.Array, name: str) -> Picture:
        """An array without OME metadata; Zarr v3 dimension names and xarray's _ARRAY_DIMENSIONS are metadata too."""
        names: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or []
        axes = UNKNOWN * array.ndim
        if len(names) == array.ndim and all(isinstance(n, str) and len(n) == 1 and n.lower() in AXES for n in names):
            axes = "".join(names).lower()
        return Picture(self.stored_array(array), axes, name, place)

    def stored_array(self, array: zarr.Array) -> ZarrArray | ZippedZarrArray:
        if self.path.is_dir():
            return ZarrArray(self.path, array)
        shape, chunks = tuple(array.shape), tuple(array.chunks)
        return ZippedZarrArray(self.path, array.path, shape, np.dtype(array.dtype), chunks)


def entries(said: Any, kind: str) -> list[str]:
    """Paths of the wells of a plate, or of the images of a well."""
    return [str(one["path"]) for one in said.get(kind) or []]


def well_name(path: str) -> str:
    """The usual name of a well.

    >>> well_name("A/1"), well_name("H/12"), well_name("A/a")
    ('A01', 'H12', 'A_a')
    """
    parts = path.strip("/").split("/")
    if len(parts) == 2 and re.fullmatch(r"[A-Za-z]+", parts[0]) and parts[1].isdecimal():
        return f"{parts[0]}{int(parts[1]):02d}"
    return "_".join(parts)


def name_in_plate(groups: list[tuple[str, Any]]) -> str | None:
    """What a field or well of a plate is called, of groups (path, group) from the outermost to itself; None for what is
    in no well."""
    for depth, (path, group) in enumerate(groups):
        if isinstance(group, zarr.Group) and "well" in ome(group):
            field = groups[depth + 1][0].rsplit("/", 1)[-1] if len(groups) > depth + 1 else None
            well = well_name("/".join(path.split("/")[-2:]))
            return well if field is None else f"{well}-{field}"
    return None


def folders_above(key: str) -> list[str]:
    """Paths of the groups above one, and "" of the root."""
    parts = key.split("/")
    return ["", *("/".join(parts[:n]) for n in range(1, len(parts)))]


def groups_around(path: Path) -> list[tuple[str, Any]]:
    """A Zarr folder and the one around it, from the outermost on, where they are groups."""
    here = path.resolve()
    return [(str(one), zarr.open(one, mode="r")) for one in (here.parent, here) if is_zarr(one)]


def scale(holder: dict[str, Any], ndim: int) -> Any:
    """Product of the scale transformations; translations do not change a voxel's size. NaN where a scale has not one
    number for each axis."""
    factors = np.ones(ndim)
    for step in holder.get("coordinateTransformations", []):
        if step["type"] == "scale":
            numbers = np.asarray(step["scale"], dtype=np.float64)
            factors *= numbers if numbers.shape == (ndim,) else np.nan
    return factors


def has_scale(holder: dict[str, Any]) -> bool:
    return any(step["type"] == "scale" for step in holder.get("coordinateTransformations", []))


def ome(group: Any) -> dict[str, Any]:
    """OME metadata: in `ome` since 0.5, at the top of the attributes before."""
    attributes = group.attrs.asdict()
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


def list_paths(group: zarr.Group) -> list[str]:
    """Paths of everything in a group."""
    return sorted(name for name, _ in group.members(max_depth=None))
