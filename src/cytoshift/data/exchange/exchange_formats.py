"""Which formats there are, what their files are called, and who writes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import UserError
from .coco import write_coco
from .ctc import refuse_ctc, write_ctc
from .geojson import write_geojson
from .label_series import LabelSeries
from .label_stacks import write_stack
from .rois import refuse_rois, write_rois

Write = Callable[[Path, Sequence[LabelSeries]], None]


def accept(_: LabelSeries) -> None:
    """Whatever it is."""


@dataclass(frozen=True)
class Format:
    """suffix: of its files, "" of a folder. endings: other endings of the same. holds_many: whether one file takes
    several images. refuse: raises UserError where labels do not fit, as far as that is known before they are read."""

    suffix: str
    title: str
    write: Write
    endings: tuple[str, ...] = ()
    holds_many: bool = False
    refuse: Callable[[LabelSeries], None] = accept


FORMATS = {
    "rois": Format(".zip", "ImageJ ROIs", write_rois, refuse=refuse_rois),
    "geojson": Format(".geojson", "GeoJSON for QuPath", write_geojson),
    "coco": Format(".json", "COCO", write_coco, holds_many=True),
    "ctc": Format("", "Cell Tracking Challenge", write_ctc, refuse=refuse_ctc),
    "tif": Format(".tif", "label TIFF", write_stack, (".tiff",)),
    "ome-zarr": Format(".ome.zarr", "OME-Zarr", write_stack, (".zarr",)),
}
SHAPES = ("rois", "geojson", "coco", "ctc")  # what goes beside labels that are written anyway


def format_of(path: Path | str) -> str | None:
    """The format that a name stands for; None where it stands for a folder.

    >>> format_of("cells.zip"), format_of("cells.ome.zarr"), format_of("cells")
    ('rois', 'ome-zarr', None)
    """
    name = str(path).partition("::")[0].lower()
    for key, one in FORMATS.items():
        if one.suffix and name.endswith((one.suffix, *one.endings)):
            return key
    return None


def place_of(folder: Path, name: str, key: str) -> Path:
    """Where labels of that name go in a folder."""
    return folder / f"{name}{'_RES' if key == 'ctc' else FORMATS[key].suffix}"


def refuse_unwritable(key: str, labels: Sequence[LabelSeries]) -> None:
    """Raises UserError for a format that is not known, and where labels do not fit into it."""
    if key not in FORMATS:
        raise UserError(f"format '{key}' is not known; choose one of {', '.join(FORMATS)}")
    for one in labels:
        FORMATS[key].refuse(one)


def write_format(key: str, path: Path, labels: Sequence[LabelSeries]) -> Path:
    """Write labels to a file, or to a folder of the Cell Tracking Challenge; it is written whole or not at all.

    Parameters
    ----------
    key
        One of `FORMATS`.
    path
        The file or folder.
    labels
        Of one image or of the frames of one file; COCO takes several.

    Returns
    -------
    Path
        The place that was written.

    Raises
    ------
    UserError
        Where labels do not fit into the format, and where the place cannot be written.

    Examples
    --------
    >>> import json, tempfile, numpy as np
    >>> from cytoshift.core.voxel import Voxel
    >>> from cytoshift.data.frames import series_of
    >>> from cytoshift.data.volumes import Volume
    >>> cells = Volume("cells", np.array([[0, 1], [2, 2]]), "yx", Voxel((1.0, 1.0)), "an array")
    >>> place = Path(tempfile.mkdtemp()) / "cells.geojson"
    >>> _ = write_format("geojson", place, [LabelSeries(series_of([cells])[0])])
    >>> [one["properties"]["name"] for one in json.loads(place.read_text())["features"]]
    ['1', '2']
    """
    refuse_unwritable(key, labels)
    FORMATS[key].write(path, labels)
    return path
