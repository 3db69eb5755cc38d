"""OME-Zarr 0.4 and 0.5 (Zarr v2 and v3), and Zarr arrays without OME metadata."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ...core.errors import UserError
from ..picture import AXES, UNKNOWN, FileGone, Picture, explain_read_errors, known_extent, name_stem
from . import MARKS, is_zarr, limit_concurrency, number_range, refuse_level


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


def pictures(path: Path, part: str | None, level: int, labels: bool) -> list[Picture]:
    """The image (or all images of a bioformats2raw collection) of a Zarr folder, or what `part` leads to in it."""
    if not is_zarr(path):
        raise UserError(f"{path} has no Zarr metadata ({' or '.join(MARKS)}); copy the folder whole")
    place = f"{path}::{part}" if part else str(path)
    with explain_read_errors(path):
        root: Any = zarr.open(path, mode="r")
        if part is not None:
            keys = [] if isinstance(root, zarr.Array) else list_paths(root)
            if part.strip("/") not in keys:
                stock = ", ".join(keys[:20]) or "nothing below it"
                raise UserError(f"{path} has no '{part}', it has {stock}; write one of these behind '::'")
            root = root[part.strip("/")]
        if isinstance(root, zarr.Array):
            refuse_level(path, level)
            return [plain_array(path, place, root)]
        return collection(path, place, root, level, labels)


def collection(path: Path, place: str, group: Any, level: int, labels: bool) -> list[Picture]:
    """What a group holds: an image, its labels, several images, or plain arrays."""
    said = ome(group)
    separator = "/" if "::" in place else "::"
    if labels and "image-label" not in said and "labels" in group:
        names = ome(group["labels"]).get("labels", [])
        if len(names) != 1:
            example = f"{place}{separator}labels/{names[0]}" if names else "the labels' own file"
            raise UserError(f"{place} has the labels {', '.join(names) or 'none'}; name one, for example {example}")
        return [multiscale(path, f"{place}{separator}labels/{names[0]}", group["labels"][names[0]], level)]
    if "multiscales" in said:
        return [multiscale(path, place, group, level)]
    if "labels" in said and isinstance(said["labels"], list) and len(said["labels"]) == 1:
        return [multiscale(path, f"{place}{separator}{said['labels'][0]}", group[said["labels"][0]], level)]
    if "bioformats2raw.layout" in said:
        series = sorted((name for name in group if name.isdecimal()), key=int)
        return [multiscale(path, f"{place}{separator}{name}", group[name], level, f"_s{name}") for name in series]
    if fields := fields_of(said):
        return [
            multiscale(path, f"{place}{separator}{field}", group[field], level, f"_{field.replace('/', '_')}")
            for field in ([f"{well}/{image}" for well in fields for image in fields_of(ome(group[well]))]
                          if "plate" in said else fields)
        ]  # fmt: skip
    arrays = [key for key in list_paths(group) if isinstance(group[key], zarr.Array)]
    if len(arrays) == 1:
        refuse_level(path, level)
        return [plain_array(path, f"{place}{separator}{arrays[0]}", group[arrays[0]])]
    stock = ", ".join(arrays[:20]) or "no array"
    cure = f"write {place}{separator}{arrays[0]}" if arrays else "copy it again"
    raise UserError(f"one array of {place} must be named, it has {stock}; {cure}")


def fields_of(said: dict[str, Any]) -> list[str]:
    """Paths of the wells of a plate, or of the images of a well."""
    inside = said.get("plate", {}).get("wells") or said.get("well", {}).get("images") or []
    return [str(one["path"]) for one in inside]


def multiscale(path: Path, place: str, group: Any, level: int, suffix: str = "") -> Picture:
    """One level of an NGFF image: axes, units, and the scale of the level times the scale of the image."""
    said = ome(group)
    image = said["multiscales"][0]
    levels = image["datasets"]
    if not 0 <= level < len(levels):
        stock = number_range(len(levels))
        raise UserError(f"{place} has no level {level}, it has {len(levels)}; pass `level` {stock}")
    array = group[levels[level]["path"]]
    stored_axes = image.get("axes", [])
    names = [axis if isinstance(axis, str) else axis["name"] for axis in stored_axes]
    if len(names) == array.ndim and all(name.lower() in AXES and len(name) == 1 for name in names):
        axes = "".join(names).lower()
    else:
        axes = UNKNOWN * array.ndim
    factors = scale(levels[level], array.ndim) * scale(image, array.ndim)
    units = {a["name"].lower(): a["unit"] for a in stored_axes if isinstance(a, dict) and a.get("unit")}
    # An image without units carries our own note where its voxels are counted in pixels.
    units |= dict.fromkeys("zyx", "px") if group.attrs.get("cytoshift", {}).get("unit") == "px" else {}
    extents = {a: e for a, e in zip(axes, factors.tolist()) if known_extent(e)}
    finest = scale(levels[0], array.ndim) * scale(image, array.ndim)
    if not any(axis in units for axis in "zyx") and all(f == 1 for a, f in zip(axes, finest) if a in "zyx"):
        extents = {}  # scale 1 without a unit is what writers fill in when they know nothing
    channels = said.get("omero", {}).get("channels", [])
    return Picture(
        array=ZarrArray(path, array),
        axes=axes,
        name=name_stem(path) + suffix,
        origin=f"{place}, level {level} of {len(levels)}",
        extents=extents,
        units=units,
        channels=tuple(str(channel.get("label", "")) for channel in channels),
    )


def scale(holder: dict[str, Any], ndim: int) -> Any:
    """Product of the scale transformations; translations do not change a voxel's size."""
    factors = np.ones(ndim)
    for step in holder.get("coordinateTransformations", []):
        if step["type"] == "scale":
            factors *= np.asarray(step["scale"], dtype=np.float64)
    return factors


def plain_array(path: Path, place: str, array: zarr.Array) -> Picture:
    """An array without OME metadata; Zarr v3 dimension names and xarray's _ARRAY_DIMENSIONS are metadata too."""
    names: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or []
    axes = UNKNOWN * array.ndim
    if len(names) == array.ndim and all(isinstance(n, str) and len(n) == 1 and n.lower() in AXES for n in names):
        axes = "".join(names).lower()
    return Picture(ZarrArray(path, array), axes, name_stem(path), place)


def ome(group: Any) -> dict[str, Any]:
    """OME metadata: in `ome` since 0.5, at the top of the attributes before."""
    attributes = group.attrs.asdict()
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


def list_paths(group: zarr.Group) -> list[str]:
    """Paths of everything in a group."""
    return sorted(name for name, _ in group.members(max_depth=None))
