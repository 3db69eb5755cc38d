"""The properties of the objects of a label image: its tables, as properties of ids.

Looked for where `cytoshift trust` and `cytoshift segment` write them, and in the metadata of labels in OME-Zarr:

    cells.trust.csv   cells.objects.csv       beside cells.tif; of several classes beside cells.golgi.tif
    OUT/report/{trust.csv, objects.csv}       of OUT/a.tif; of several classes of OUT/golgi/a.tif
    image-label/properties                    of image.ome.zarr::labels/nuclei
"""

import csv
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.lazy_array import LazyArray
from ..core.text import unescape_cell

MOST_OBJECTS = 1_000_000  # objects whose properties a browser is given
SURE = "confidence"
DRAWN = "foreground"  # the same column of `segment`, the mean foreground probability, beside that of `trust`
PARTIAL = "intensity_contrast"  # columns that not every object has
WORDS = {"image", "class", "label", "id", "label-value"}


@dataclass(frozen=True, eq=False)
class Properties:
    """Numbers of N objects. ids: (N,) ascending. columns: (N,) each, NaN where nothing is known."""

    ids: NDArray[np.uint64]
    columns: dict[str, NDArray[np.float32]]

    def info(self) -> dict[str, Any]:
        """As neuroglancer reads them; ids of which a number is missing are left out, it knows no such thing."""
        known = ~np.isnan(np.stack(list(self.columns.values()))).any(axis=0)
        numbers = [
            {"id": name, "type": "number", "data_type": "float32", "values": [float(f"{v:.6g}") for v in values[known]]}
            for name, values in self.columns.items()
        ]
        inline = {"ids": [str(i) for i in self.ids[known]], "properties": numbers}
        return {"@type": "neuroglancer_segment_properties", "inline": inline}


@dataclass(frozen=True, eq=False)
class PropertyArray(LazyArray):
    """A property of objects in their places: labels with a number in place of each id, -1 where none is known."""

    labels: LazyArray | NDArray[np.generic]
    ids: NDArray[np.uint64]
    values: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.labels.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        return getattr(self.labels, "chunks", None)

    def fetch(self, region: tuple[slice, ...]) -> NDArray[np.generic]:
        found = np.asarray(self.labels[region]).astype(np.uint64)
        place = np.searchsorted(self.ids, found).clip(max=len(self.ids) - 1)
        return np.where(self.ids[place] == found, self.values[place], np.float32(-1))


def properties(labels: str, name: str, origin: str) -> Properties | None:
    """Of the label image `name` that a path leads to; None if there are none, or for too many objects.

    origin: of the volume; it says which labels of an OME-Zarr image were taken.
    """
    tables = [
        found
        for path, kind, alone in table_places(labels)
        if (found := read(path, frame_end(name) if alone else name, kind))
    ]
    if stored := properties_of_metadata(origin):
        tables.append(stored)
    if not tables:
        return None
    out: dict[int, dict[str, float]] = dict(tables[0])
    for more in tables[1:]:
        for number, row in more.items():
            there = out.setdefault(number, {})
            for column, value in row.items():
                there.setdefault(DRAWN if column == SURE and there.get(SURE, value) != value else column, value)
    if not out or len(out) > MOST_OBJECTS:
        return None
    ids = np.array(sorted(out), dtype=np.uint64)
    names = dict.fromkeys(column for row in out.values() for column in row)
    # Objects in a crowd have no background around, and neuroglancer would know nothing of them.
    names = {name: None for name in names if not name.startswith(PARTIAL) or all(name in row for row in out.values())}
    if not names:
        return None
    columns = {n: np.array([out[int(i)].get(n, np.nan) for i in ids], dtype=np.float32) for n in names}
    return Properties(ids, columns)


def table_places(labels: str) -> Iterator[tuple[Path, str | None, bool]]:
    """Tables that may be there, the surest first; the class that is meant of one with several, and whether the table
    is that of these labels alone."""
    head = Path(labels.partition("::")[0])
    single = head.is_file() or head.suffix.lower() == ".zarr"
    stem = head.stem.removesuffix(".ome")
    before, _, kind = stem.rpartition(".")
    folder = head.parent if single else head
    for what in ("trust", "objects"):
        if single:
            yield head.with_name(f"{stem}.{what}.csv"), None, True
            if before:
                yield head.with_name(f"{before}.{what}.csv"), kind, True
        yield folder / "report" / f"{what}.csv", None, False
        yield folder.parent / "report" / f"{what}.csv", folder.name, False


def frame_end(name: str) -> str | None:
    """How the name of a frame ends, whatever the file is called; None of other images.

    >>> frame_end("cells_t07"), frame_end("cells")
    ('_t07', None)
    """
    found = re.search(r"_t\d+$", name)
    return found.group() if found else None


def read(path: Path, image: str | None, kind: str | None) -> dict[int, dict[str, float]]:
    """Rows by id: those of one image, where the table is not of a single one anyway, and those of one class.

    image: its name, or how that ends; of images that are no frames, an end in "_t" and a number says nothing.
    """
    found: dict[int, dict[str, float]] = {}
    if not path.is_file():
        return found
    with suppress(csv.Error, UnicodeDecodeError), path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            number = row.get("label") or row.get("id") or ""
            there = unescape_cell(row.get("image") or "")
            mine = (
                image is None
                or there in ("", image)
                or (image.startswith("_t") and (frame_end(there) or image) == image)
            )
            if mine and (row.get("class") and unescape_cell(row["class"])) == kind and number.isdecimal():
                found[int(number)] = dict(numbers(row))
            if len(found) > MOST_OBJECTS:
                break
    return found


def numbers(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The columns that are numbers, under names that a query can hold."""
    for name, value in row.items():
        if name in WORDS:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if number == number:  # a cell may say that nothing is known
            yield re.sub(r"\W", "_", str(name)), number


def properties_of_metadata(origin: str) -> dict[int, dict[str, float]]:
    """The properties that labels in OME-Zarr have of themselves."""
    head, _, inside = origin.rpartition(", level ")[0].partition("::")
    if not head or Path(head).suffix.lower() != ".zarr":
        return {}
    import zarr

    from ..data.formats.ngff import ome

    group: Any = zarr.open_group(Path(head) / inside, mode="r")
    rows = (ome(group).get("image-label") or {}).get("properties") or []
    return {int(row["label-value"]): dict(numbers(row)) for row in rows if "label-value" in row}
