"""OME-Zarr folders: arrays of a pyramid, what NGFF says about them, and labels inside of the image they belong to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.errors import UserError
from ..core.provenance import SOFTWARE
from ..core.voxel import MICROMETRE, Voxel
from .formats import is_zarr

CHUNK = {2: (1024, 1024), 3: (64, 128, 128)}
COLOURS = ("FF00FF", "00FF00", "00FFFF", "FFBF00", "FFFFFF")  # of channels; the colour-blind tell the first two apart
TYPES = {"t": "time", "c": "channel"}  # of an axis; the others are space
Ngff = Literal["0.4", "0.5"]


def chunks_of(shape: tuple[int, ...], space: int) -> tuple[int, ...]:
    """Chunks of an array whose last `space` axes are spatial; one index of time or of the channels in each."""
    whole = (1,) * (len(shape) - space) + CHUNK[space]
    return tuple(min(c, n) for c, n in zip(whole, shape))


def create_level(
    group: Any,
    number: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
    axes: str,
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None = None,
) -> Any:
    """The empty array of one level, 0 the finest."""
    zarr_format = group.metadata.zarr_format
    return group.create_array(
        str(number),
        shape=shape,
        dtype=np.dtype(dtype).name,  # by name: Zarr does not know C's unsigned long long as a uint64
        chunks=chunks,
        shards=shards,
        chunk_key_encoding={"name": "v2" if zarr_format == 2 else "default", "separator": "/"},
        dimension_names=list(axes) if zarr_format == 3 else None,
    )


def describe_levels(
    group: Any, factors: Sequence[tuple[int, ...]], voxel: Voxel, axes: str, labels: bool, name: str
) -> None:
    """Write NGFF's description of the levels into their group.

    factors: per level, its voxels' extents in multiples of the finest voxel's; one number per axis of `axes`.
    """
    ngff = version_of(group)
    physical = {"unit": "micrometer"} if voxel.unit == MICROMETRE else {}
    size = (1.0,) * (len(axes) - voxel.ndim) + voxel.size
    datasets = []
    for number, steps in enumerate(factors):
        scale = [s * f for s, f in zip(size, steps)]
        # The centre of a coarse voxel lies between the centres of the fine ones that it stands for.
        shift = [s * (f - 1) / 2 for s, f in zip(size, steps)]
        changes = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(number), "coordinateTransformations": changes if any(shift) else changes[:1]})
    named = [{"name": a, "type": TYPES[a]} if a in TYPES else {"name": a, "type": "space", **physical} for a in axes]
    multiscale = {"datasets": datasets, "name": name, "axes": named}
    if ngff == "0.4":
        add_ngff(group, {"multiscales": [{**multiscale, "version": ngff}]})
    else:
        add_ngff(group, {"version": ngff, "multiscales": [multiscale]})
    if labels:
        add_ngff(group, {"image-label": {"version": ngff}})
    if not physical:
        group.attrs["cytoshift"] = {"unit": voxel.unit}
    if labels:
        group.attrs["software"] = SOFTWARE


def keep_notes(group: Any, notes: dict[str, Any]) -> None:
    """Add JSON of our own to the attributes of a group, as `cytoshift`."""
    kept: Any = group.attrs.asdict().get("cytoshift", {})
    group.attrs["cytoshift"] = {**kept, **notes}


def name_channels(group: Any, names: tuple[str, ...], dtype: np.dtype) -> None:
    """Names along c, where NGFF keeps them: with a colour each, and the range of the dtype to be shown."""
    low, high = (0.0, 1.0) if dtype.kind == "f" else (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))
    window = {"min": low, "max": high, "start": low, "end": high}
    channels = [
        {"label": name, "color": COLOURS[i % len(COLOURS)], "window": window, "active": True}
        for i, name in enumerate(names)
    ]
    add_ngff(group, {"omero": {"channels": channels}})


def place_inside(image: Path, part: str) -> tuple[Path, Ngff]:
    """Where `image.ome.zarr::labels/nuclei` keeps its labels, and the version of the format that the image has."""
    folder, _, name = part.strip("/").rpartition("/")
    if folder != "labels" or name in ("", ".", ".."):
        raise UserError(
            f"labels cannot be written to '{part}' of {image}; name a place like {image.name}::labels/nuclei"
        )
    if not is_zarr(image):
        raise UserError(f"{image} is no OME-Zarr image to put labels into; leave '::{part}' out to write them alone")
    return image / "labels" / name, "0.4" if (image / ".zgroup").is_file() else "0.5"


def list_labels(image: Path, name: str, ngff: Ngff) -> None:
    """Have an OME-Zarr image name the labels that lie in it."""
    import zarr

    group = zarr.open_group(image, mode="r+").require_group("labels")
    names = read_ngff(group).get("labels", [])
    stated = {} if ngff == "0.4" else {"version": ngff}
    add_ngff(group, {"labels": [*names, *([] if name in names else [name])], **stated})


def version_of(group: Any) -> Ngff:
    """The version of NGFF that belongs to the group's version of Zarr."""
    return "0.4" if group.metadata.zarr_format == 2 else "0.5"


def read_ngff(group: Any) -> dict[str, Any]:
    """What NGFF says of a group: its attributes, since 0.5 those below the key `ome`."""
    attributes = dict(group.attrs)
    return attributes if version_of(group) == "0.4" else dict(attributes.get("ome", {}))


def add_ngff(group: Any, metadata: dict[str, Any]) -> None:
    """Add to what NGFF says of a group; values of the same keys are replaced."""
    group.attrs.update(metadata if version_of(group) == "0.4" else {"ome": {**read_ngff(group), **metadata}})
