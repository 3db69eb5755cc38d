"""What Cytoshift has written, as layers: labels with the properties of their objects, and OME-Zarr with its pyramid.

cells.tif       where cells.objects.csv or cells.trust.csv lie beside it
OUT/            of `cytoshift segment`: all of its labels; OUT/cells.tif and OUT/golgi/cells.tif, these
*.zarr          images, their labels, and labels alone; read when they are looked at
a.ims, a.svs .. images of formats that napari does not open by itself, a layer for each channel
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..data.describe import with_all_channels
from ..data.formats import IMARIS, MRC, NIFTI, ZIPPED, is_zarr
from ..data.levels import PyramidVolume, open_pyramid, split_image
from ..data.picture import format_suffix
from ..data.volumes import ImageSource
from ..view.properties import properties
from ..view.virtual_zarr import chunk_shape
from .glue import LayerData, label_layer, layer_calibration

Read = Callable[[Any], list[LayerData]]
SUFFIXES = (".tif", ".tiff")  # of files of labels
# Of images that napari leaves to plugins.
FOREIGN = (".lsm", ".svs", ".qptiff", *IMARIS, *ZIPPED, *NIFTI, *MRC)


def reader(path: str | list[str]) -> Read | None:
    """A function that reads this path; None for what is not ours, at once."""
    if not isinstance(path, str):
        return None
    here = Path(path.partition("::")[0])
    if here.is_dir():
        if is_zarr(here):
            return read_zarr
        return read_results if (here / "report" / "request.json").is_file() else None
    if here.is_file() and format_suffix(here) in FOREIGN:
        return read_images
    if not here.is_file() or here.suffix.lower() not in SUFFIXES:
        return None
    stem, folders = here.stem.removesuffix(".ome"), (here.parent, here.parent.parent)
    tables = [here.with_name(f"{stem}.{what}.csv") for what in ("objects", "trust")]
    tables += [folder / "report" / "request.json" for folder in folders if here.parent.name != "report"]
    return read_labels if any(table.is_file() for table in tables) else None


def read_labels(path: str) -> list[LayerData]:
    """Label images of a file or folder."""
    return [labels_of(one, path) for one in open_pyramid(ImageSource(paths=path), labels=True)]


def read_results(path: str) -> list[LayerData]:
    """All labels of a call of `cytoshift segment`; of several classes, each class."""
    folder = Path(path)
    places = sorted(p for p in folder.iterdir() if p.is_dir() and p.name != "report" and not is_zarr(p))
    return [layer for place in (places or [folder]) for layer in read_labels(str(place))]


def read_zarr(path: str) -> list[LayerData]:
    """An image and the labels inside of it, or labels alone."""
    import zarr

    from ..data.formats.ngff import ome

    group: Any = zarr.open(Path(path), mode="r")
    if not isinstance(group, zarr.Group):
        return [image_of(one) for one in open_pyramid(ImageSource(paths=path))]
    if "image-label" in ome(group):
        return read_labels(path)
    layers = [image_of(one) for one in open_pyramid(ImageSource(paths=path))]
    names = ome(group["labels"]).get("labels", []) if "labels" in group else []
    return layers + [layer for name in names for layer in read_labels(f"{path}::labels/{name}")]


def read_images(path: str) -> list[LayerData]:
    """The images of a file, a layer for each channel by its name; of a colour image its luminance."""
    source = with_all_channels(ImageSource(paths=path))
    try:
        found = open_pyramid(source)
    except UserError:
        found = open_pyramid(source.model_copy(update={"channel": "luminance"}))
    out = []
    for image in found:
        names = image.volume.channel_names
        for number, one in enumerate(parts := split_image(image)):
            data, options, kind = image_of(one)
            if len(parts) > 1:
                called = names[number] if number < len(names) and names[number] else number
                options = {**options, "name": f"{image.volume.name} {called}", "blending": "additive"}
            out.append((data, options, kind))
    return out


def labels_of(found: PyramidVolume, path: str) -> LayerData:
    volume = found.volume
    known = properties(path, volume.name, volume.origin)
    features: dict[str, NDArray[np.generic]] | None = None
    if known is not None:
        features = {"index": known.ids.astype(np.int64), **known.columns}
    more = {"metadata": {"cytoshift": volume.origin}, **multiscale(found)}
    return label_layer(levels(found), volume.voxel, volume.name, features, **more)


def image_of(found: PyramidVolume) -> LayerData:
    volume = found.volume
    more = {"metadata": {"cytoshift": volume.origin}, **multiscale(found)}
    return levels(found), {"name": volume.name, **layer_calibration(volume.voxel), "colormap": "gray", **more}, "image"


def multiscale(found: PyramidVolume) -> dict[str, Any]:
    return {"multiscale": True} if len(found.levels) > 1 else {}


def levels(found: PyramidVolume) -> Any:
    """Arrays that are read piece by piece; a list of them of a pyramid."""
    import dask.array

    out = []
    for level in found.levels:
        chunk = chunk_shape(level.array, len(found.volume.axes))
        out.append(dask.array.from_array(level.array, chunks=chunk, asarray=False, fancy=False))
    return out if len(out) > 1 else out[0]
