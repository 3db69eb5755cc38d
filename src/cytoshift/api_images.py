"""Options, arrays, volumes and paths of the Python API, and how the rooms take them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from .configure import open_source
from .configure.requests import LabelledSource
from .core.errors import UserError
from .core.settings import parse
from .core.voxel import Voxel
from .data.arrays import of_array
from .data.generated_folder import claim_folder
from .data.volumes import ImageSource, Volume, image_source, open_labels, open_volumes
from .data.write import write_image, write_labels

Image = NDArray[Any] | Volume | str | Path


class ImageOptions(TypedDict, total=False):
    """What images do not say about themselves; see `ImageSource`. voxel: extents (z, y, x) or (y, x) in `unit`."""

    axes: str | None
    channel: int | str | Sequence[int | str] | None
    level: int
    voxel: Voxel | Sequence[float] | None
    unit: str | None
    frames: str | Sequence[int] | None
    skip_bad: bool


class SegmentOptions(ImageOptions, total=False):
    """Options of a segmentation; what is not given is the model's. See `cytoshift segment --help`."""

    threshold: float
    min_size: float
    max_hole: float
    reach: float
    tile: Sequence[int]
    overlap: int
    batch: int
    precision: str
    mirror: bool
    any_voxel_size: bool
    diameter: float
    polarity: Literal["auto", "bright", "dark"]


class RecipeOptions(ImageOptions, total=False):
    """Requests to the settings of a run. See `cytoshift new --help`."""

    source: tuple[Image | Sequence[Image], Image | Sequence[Image] | Mapping[str, str | Path]]
    source_axes: str | None
    source_channel: int | str | Sequence[int | str] | None
    source_voxel: Voxel | Sequence[float] | None
    source_unit: str | None
    source_frames: str | Sequence[int] | None
    source_mask_above: float | None
    source_ignore_id: int | None
    labels_suffix: str | None
    polarity: Literal["auto", "bright", "dark"]
    preset: str
    represent: str | None
    start: str | None
    channels: dict[str, int | str] | None
    cells: str | None
    assume_same_size: bool
    alike: bool  # old name
    steps: int
    seed: int
    max_minutes: float
    settings: Mapping[str, Any]


def source_of(paths: Sequence[str | Path] | str | Path, said: ImageOptions) -> ImageSource:
    """Declared images."""
    plain: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    voxel = plain.get("voxel")
    if isinstance(voxel, Voxel):
        plain |= {"voxel": voxel.size, "unit": voxel.unit}
    elif isinstance(voxel, int | float):
        raise UserError(f"voxel size {voxel} is one number, but each axis needs one; pass `voxel=({voxel}, {voxel})`")
    plain["paths"] = str(paths) if isinstance(paths, str | Path) else [str(one) for one in paths]
    return parse(ImageSource, plain, "image options")


def volumes(
    image: Image, said: ImageOptions, axes: str | None = None, name: str = "image", labels: bool = False
) -> list[Volume]:
    """The volumes of an array, of a file or of a folder. axes: of an array where nothing is said."""
    if isinstance(image, Volume):
        if any(value is not None for value in said.values()):
            raise UserError(f"{image.name} is open already; declare {', '.join(said)} where it is opened")
        return [image]
    if isinstance(image, str | Path):
        return (open_labels if labels else open_volumes)(source_of(image, said))
    array = np.asarray(image)
    source = source_of([], said)
    if axes is not None and source.axes is None and array.ndim == len(axes):
        source = source.model_copy(update={"axes": axes})
    return of_array(array, name, source, labels)


def open_single(image: Image, said: ImageOptions, axes: str | None = None) -> Volume:
    """The one volume of an image."""
    found = volumes(image, said, axes)
    if len(found) > 1:
        what = image if isinstance(image, str | Path) else "the array"
        raise UserError(
            f"{what} holds {len(found)} images, one is taken; choose one of its `frames`, or loop over open_volumes"
        )
    return found[0]


def source_labels(options: RecipeOptions, out: Path) -> LabelledSource:
    """The labelled images of `source`."""
    images, labels = options["source"]
    names = ("axes", "channel", "voxel", "unit", "frames")
    said = cast(ImageOptions, {name: options.get(f"source_{name}") for name in names})
    theirs = files(images, said, out, "source-images")
    place: Any = labels
    if not isinstance(labels, str | Path | Mapping):
        place = files(labels, said, out, "source-labels", labels=True).paths
    classes = tuple(options.get("channels") or ())
    above, ignored = options.get("source_mask_above"), options.get("source_ignore_id")
    return open_source(theirs, place, above, classes, ignored, options.get("labels_suffix"))


def files(
    images: Image | Sequence[Image], said: ImageOptions, out: Path, what: str, labels: bool = False
) -> ImageSource:
    """Images as files that a training can read. Arrays are written to OUT-what, once."""
    several: list[Any] = list(images) if isinstance(images, list | tuple) else [images]
    if not several:
        raise UserError("no images are given; pass paths or arrays")
    if all(isinstance(one, str | Path) for one in several):
        return source_of(several if isinstance(images, list | tuple) else several[0], said)
    if any(isinstance(one, str | Path) for one in several):
        raise UserError("some images are paths and some are arrays; pass either")
    found = [v for i, one in enumerate(several) for v in volumes(one, said, name=f"{i:04d}", labels=labels)]
    if many := next((one for one in found if one.channels > 1), None):
        raise UserError(f"{many.name} has {many.channels} channels; write such arrays to files, and pass their paths")
    folder = out.with_name(f"{out.name}-{what}")
    arrays = [one.load() for one in found]
    digests = [hashlib.blake2b(np.ascontiguousarray(one).tobytes(), digest_size=16).hexdigest() for one in arrays]
    places = [folder / f"{i:04d}.tif" for i in range(len(found))]
    request = {"verb": what, "images": digests, "voxel": [(v.voxel.size, v.voxel.unit) for v in found]}
    claim_folder(folder, request, places, overwrite=False)
    for place, array, volume in zip(places, arrays, found):
        if not place.exists():
            narrow = array.astype(np.float32) if array.dtype == np.float64 else array
            (write_labels if labels else write_image)(place, narrow, volume.voxel, volume.axes)
    return ImageSource(paths=str(folder))


def ids(labels: Image) -> NDArray[Any]:
    """The array of a label image."""
    if isinstance(labels, str | Path):
        found = open_labels(image_source(labels))
        if len(found) > 1:
            raise UserError(f"{labels} holds {len(found)} images, but one is compared; pass one, or use open_labels")
        return found[0].load()
    return labels.load() if isinstance(labels, Volume) else np.asarray(labels)
