"""Outlines that were drawn or corrected in Fiji or QuPath -> label images of the image that they belong to."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ..frames import Series
from ..picture import reason
from ..volumes import Volume

if TYPE_CHECKING:
    from roifile import ImagejRoi

ENDINGS = (".zip", ".roi", ".geojson")
Rings = list[NDArray[np.float64]]  # (P, 2) each, x and y of corners, in pixels; a ring within a ring is a hole


class DrawnOutline(NamedTuple):
    """An object in a plane. label: None where nothing says it. z, t: from 0, None where the file does not say them."""

    label: int | None
    rings: Rings
    z: int | None
    t: int | None


def holds_outlines(path: str | Path) -> bool:
    """Whether a file is one of outlines, by its name.

    >>> holds_outlines("cells.rois.zip"), holds_outlines("cells.ome.zarr.zip"), holds_outlines("cells.tif")
    (True, False, False)
    """
    name = str(path).lower()
    return name.endswith(ENDINGS) and not name.endswith((".zarr.zip", ".ozx"))


def read_outlines(path: Path) -> list[DrawnOutline]:
    """The outlines of a ROI file or zip of ImageJ, or of GeoJSON; whatever has no area is left out.

    Raises
    ------
    UserError
        Where the file cannot be read, and where it has no outline.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}; pass ROIs of ImageJ (.zip, .roi) or GeoJSON")
    try:
        found = list(of_geojson(path) if path.suffix.lower() == ".geojson" else of_imagej(path))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"outlines of {path} cannot be read ({reason(error)}); save them anew") from error
    if not found:
        raise UserError(f"{path} has no outline with an area; draw objects as polygons, ovals or freehand areas")
    return found


def of_imagej(path: Path) -> Iterator[DrawnOutline]:
    from roifile import ROI_TYPE, ImagejRoi

    flat = {ROI_TYPE.LINE, ROI_TYPE.FREELINE, ROI_TYPE.POLYLINE, ROI_TYPE.POINT, ROI_TYPE.ANGLE, ROI_TYPE.NOROI}
    opened = ImagejRoi.fromfile(path)
    for roi in opened if isinstance(opened, list) else [opened]:
        rings = [np.asarray(ring, float) for ring in roi.coordinates(multi=True) if len(ring) > 2]
        if roi.roitype in flat or not rings:
            continue
        t, z = (place - 1 if place else None for place in (roi.t_position, roi.z_position))
        if z is None and t is None and roi.position:
            z = roi.position - 1
        yield DrawnOutline(label_of(roi), rings, z, t)


def label_of(roi: "ImagejRoi") -> int | None:
    """The id in a name that `write_rois` gives; ImageJ names new ROIs by their place, as 0034-0120."""
    *places, last = roi.name.split("-")
    known = [number for number in (roi.t_position, roi.z_position) if number] or [roi.position] * (roi.position > 0)
    as_written = places == [f"{number:04d}" for number in known] and last.isdecimal()
    return int(last) if as_written and int(last) > 0 else None


def of_geojson(path: Path) -> Iterator[DrawnOutline]:
    content: Any = json.loads(path.read_text(encoding="utf-8"))
    features = content.get("features", [content]) if isinstance(content, dict) else content
    for feature in features:
        shape, properties = feature["geometry"], feature.get("properties") or {}
        if shape is None or shape["type"] not in ("Polygon", "MultiPolygon"):
            continue
        parts = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        name, plane = str(properties.get("name", "")), shape.get("plane") or {}
        label = int(name) if name.isdecimal() and int(name) > 0 else None
        rings = [np.asarray(ring, float)[:, :2] for part in parts for ring in part]
        yield DrawnOutline(label, rings, plane.get("z"), plane.get("t"))


def draw_outlines(found: Sequence[DrawnOutline], series: Series) -> list[Volume]:
    """Label images of an image's frames.

    Parameters
    ----------
    found
        Outlines. Those without a label become objects of their own, one for each, with numbers above the others.
        Where two cover a pixel, the first has it.
    series
        The image that they belong to.

    Raises
    ------
    UserError
        Where an outline lies in a plane that the image does not have, or wholly outside of it.
    """
    first = series.frames[0]
    depth = first.shape[0] if first.axes == "zyx" else 1
    fresh = max((one.label for one in found if one.label is not None), default=0)
    drawn = [np.zeros(frame.shape, np.uint32) for frame in series.frames]
    for one in found:
        if one.label is None:
            fresh += 1
        z, t = place_of_plane(one, depth, series)
        stack = drawn[t].reshape(depth, *first.shape[-2:])
        if not fill_rings(stack[z], one.rings, fresh if one.label is None else one.label):
            raise UserError(
                f"an outline lies outside of {series.name}, which is {first.shape[-1]} x {first.shape[-2]} pixels; "
                "pass the image that it was drawn on as `like`"
            )
    small = np.uint16 if max(fresh, 1) < 2**16 else np.uint32
    return [replace(frame, array=labels.astype(small)) for frame, labels in zip(series.frames, drawn)]


def place_of_plane(one: DrawnOutline, depth: int, series: Series) -> tuple[int, int]:
    """Slice and frame of an outline. ImageJ has one number for the planes of a stack, of slices or of frames."""
    z, t = one.z, one.t
    if depth == 1 and len(series.frames) > 1 and t is None:
        z, t = None, z
    z, t = z or 0, t or 0
    if z >= depth or t >= len(series.frames):
        raise UserError(
            f"an outline lies in slice {z + 1} of frame {t + 1}, but {series.name} has {depth} and "
            f"{len(series.frames)}; pass the image that it was drawn on as `like`"
        )
    return z, t


def fill_rings(plane: NDArray[np.uint32], rings: Rings, label: int) -> bool:
    """Write `label` to free pixels with the centre inside an odd number of rings; False where all lie outside."""
    from skimage.draw import polygon

    low = np.floor(np.min([ring.min(0) for ring in rings], axis=0)).astype(int)[::-1]
    high = np.ceil(np.max([ring.max(0) for ring in rings], axis=0)).astype(int)[::-1]
    start, stop = np.maximum(low, 0), np.minimum(high + 1, plane.shape)
    if (start >= stop).any():
        return False
    inside = np.zeros(stop - start, bool)
    for ring in rings:
        rows, columns = polygon(ring[:, 1] - 0.5 - start[0], ring[:, 0] - 0.5 - start[1], inside.shape)
        inside[rows, columns] ^= True
    window = plane[start[0] : stop[0], start[1] : stop[1]]
    window[inside & (window == 0)] = label
    return True
