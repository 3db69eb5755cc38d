"""What Cytoshift has written, as layers: labels with the properties of their objects, and OME-Zarr with its pyramid.

cells.tif       where cells.objects.csv or cells.trust.csv lie beside it
OUT/            of `cytoshift segment`: all of its labels; OUT/cells.tif and OUT/golgi/cells.tif, these
*.zarr          images, their labels, and labels alone; read when they are looked at
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.formats import is_zarr
from ..data.levels import PyramidVolume, open_pyramid
from ..data.volumes import ImageSource
from ..view.properties import properties
from ..view.virtual_zarr import chunk_shape
from .glue import LayerData, label_layer, layer_calibration

Read = Callable[[Any], list[LayerData]]
SUFFIXES = (".tif", ".tiff")  # of files of labels


def reader(path: str | list[str]) -> Read | None:
    """A function that reads this path; None for what is not ours, at once."""
    if not isinstance(path, str):
        return None
    here = Path(path.partition("::")[0])
    if here.is_dir():
        if is_zarr(here):
            return read_zarr
        return read_results if (here / "report" / "request.json").is_file() else None
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
