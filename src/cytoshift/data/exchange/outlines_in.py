"""Objects that were drawn or corrected elsewhere: files of ImageJ, QuPath, CVAT and others, read for their images."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import UserError
from ..find import is_image
from ..picture import reason
from .coco_in import CocoImage, is_coco, read_coco
from .drawn_objects import DrawnObject, DrawnOutline, Rings

if TYPE_CHECKING:
    from roifile import ImagejRoi

ENDINGS = (".zip", ".roi", ".geojson", ".json")
LISTED = 6  # keys of a file that a sentence names
DAMAGE = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError, OSError,
    zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class DrawnFile:
    """What one file holds. images: of COCO, which names them. objects: of other files, which are of one image."""

    path: Path
    images: tuple[CocoImage, ...] = ()
    objects: tuple[DrawnObject, ...] = ()


def holds_outlines(path: str | Path) -> bool:
    """Whether a file is one of outlines, by its name; what a JSON holds is seen when it is read.

    >>> holds_outlines("cells.rois.zip"), holds_outlines("cells.ome.zarr.zip"), holds_outlines("cells.tif")
    (True, False, False)
    """
    name = str(path).lower()
    return name.endswith(ENDINGS) and not name.endswith((".zarr.zip", ".ozx"))


def outlines_in_folder(folder: Path) -> list[Path]:
    """The files of outlines in a folder. Beside label images, a .json is some file of settings."""
    entries = sorted(folder.iterdir())
    has_images = any(is_image(one) for one in entries)
    return [one for one in entries if holds_outlines(one) and not (has_images and one.suffix.lower() == ".json")]


def read_outlines(path: Path, category: str = "") -> DrawnFile:
    """The objects of a ROI file or zip of ImageJ, of GeoJSON, or of COCO; whatever has no area is left out.

    Whether a JSON is GeoJSON or COCO is told by what it holds, not by its name.

    Parameters
    ----------
    path
        The file.
    category
        Of COCO, the one whose objects are wanted; "" for those of all.

    Raises
    ------
    UserError
        Where the file cannot be read, where it has no object, and where it is a JSON of another kind.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}; pass ROIs of ImageJ (.zip, .roi), GeoJSON or COCO")
    try:
        content = None if path.suffix.lower() in (".zip", ".roi") else json.loads(path.read_text("utf-8-sig"))
        if is_coco(content):
            return DrawnFile(path, images=tuple(read_coco(content, path, category)))
        if content is not None and not is_geojson(content):
            raise UserError(
                f"{path} is neither COCO, with `images` and `annotations`, nor GeoJSON, with `features`: it is "
                f"{describe_json(content)}; export one of these"
            )
        objects = tuple(of_imagej(path) if content is None else of_geojson(content))
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(f"outlines of {path} cannot be read ({reason(error)}); save them anew") from error
    if not objects:
        raise UserError(f"{path} has no outline with an area; draw objects as polygons, ovals or freehand areas")
    return DrawnFile(path, objects=objects)


def is_geojson(content: Any) -> bool:
    """A collection, a feature, or a list of features, as QuPath exports one.

    >>> is_geojson({"features": []}), is_geojson([{"geometry": None}]), is_geojson({"shapes": []})
    (True, True, False)
    """
    if isinstance(content, list):
        return not content or (isinstance(content[0], dict) and "geometry" in content[0])
    return isinstance(content, dict) and ("features" in content or "geometry" in content)


def describe_json(content: Any) -> str:
    """What a file holds, in words.

    >>> describe_json({"shapes": [], "imagePath": "a.png"}), describe_json([]), describe_json(3.5)
    ("an object with the keys 'shapes', 'imagePath'", 'an empty list', 'float')
    """
    if isinstance(content, list):
        return f"a list, first in it {describe_json(content[0])}" if content else "an empty list"
    if not isinstance(content, dict):
        return type(content).__name__
    names = [repr(str(key)[:40]) for key in list(content)[:LISTED]]
    more = f" and {len(content) - LISTED} more" if len(content) > LISTED else ""
    return f"an object with the key{'s' * (len(content) > 1)} {', '.join(names)}{more}" if names else "an empty object"


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
        yield DrawnOutline(label_of(roi), z, t, [rings])


def label_of(roi: "ImagejRoi") -> int | None:
    """The id in a name that `write_rois` gives; ImageJ names new ROIs by their place, as 0034-0120."""
    *places, last = roi.name.split("-")
    known = [number for number in (roi.t_position, roi.z_position) if number] or [roi.position] * (roi.position > 0)
    as_written = places == [f"{number:04d}" for number in known] and last.isdecimal()
    return int(last) if as_written and int(last) > 0 else None


def of_geojson(content: Any) -> Iterator[DrawnOutline]:
    features = content.get("features", [content]) if isinstance(content, dict) else content
    for feature in features:
        shape, properties = feature["geometry"], feature.get("properties") or {}
        if shape is None or shape["type"] not in ("Polygon", "MultiPolygon"):
            continue
        parts = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        name, plane = str(properties.get("name", "")), shape.get("plane") or {}
        label = int(name) if name.isdecimal() and int(name) > 0 else None
        rings: Rings = [np.asarray(ring, float)[:, :2] for part in parts for ring in part]
        if not all(np.isfinite(ring).all() for ring in rings):
            raise ValueError("a coordinate is not a number")
        z, t = (None if plane.get(axis) is None else int(plane[axis]) for axis in "zt")
        if rings:
            yield DrawnOutline(label, z, t, [rings])
