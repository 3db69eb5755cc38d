"""GeoJSON as QuPath reads and writes it: a feature for each object."""

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.atomic import atomic_path
from ...labels.outlines import Outline, Ring, outlines
from .label_series import LabelSeries, Plane, planes_of

OBJECT_TYPE = "detection"  # QuPath's objects that are many and are measured


def write_geojson(path: Path, labels: Sequence[LabelSeries]) -> None:
    """A FeatureCollection with a detection for each object, of a stack for each slice of an object.

    Its name is the id of the object; classification and measurements are there where they are known. Coordinates are
    corners of pixels of the full resolution, as QuPath wants them; parts and holes are those of the object.
    """
    (one,) = labels
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        between = "\n"
        for feature in features(one):
            file.write(between + json.dumps(feature))
            between = ",\n"
        file.write("\n]}\n")


def features(labels: LabelSeries) -> Iterator[dict[str, Any]]:
    """The features of all planes."""
    for plane in planes_of(labels.series):
        measured = labels.measurements_of(plane.t or 0)
        for outline in outlines(plane.labels):
            label = outline.label
            properties: dict[str, Any] = {"objectType": OBJECT_TYPE, "name": str(label)}
            if labels.kind:
                properties["classification"] = {"name": labels.kind}
            numbers = {name: value for name, value in measured.get(label, {}).items() if np.isfinite(value)}
            properties["measurements"] = {"label": label} | numbers
            # QuPath wants a UUID; the same object of the same image has the same one.
            place = f"cytoshift:{labels.name}/{labels.kind}/{plane.t}/{plane.z}/{label}"
            yield {
                "type": "Feature", "id": str(uuid.uuid5(uuid.NAMESPACE_URL, place)),
                "geometry": geometry(outline, plane), "properties": properties,
            }  # fmt: skip


def geometry(outline: Outline, plane: Plane) -> dict[str, Any]:
    """A Polygon, or a MultiPolygon of several parts; with QuPath's plane where the image has slices or frames."""
    parts = [[close_ring(ring) for ring in part] for part in outline.parts]
    found: dict[str, Any] = (
        {"type": "Polygon", "coordinates": parts[0]}
        if len(parts) == 1
        else {"type": "MultiPolygon", "coordinates": parts}
    )
    if plane.z is not None or plane.t is not None:
        found["plane"] = {"c": -1, "z": plane.z or 0, "t": plane.t or 0}
    return found


def close_ring(ring: Ring) -> list[list[int]]:
    """Corners (x, y), the first one again at the end."""
    corners = ring[:, ::-1].tolist()
    return [*corners, corners[0]]
