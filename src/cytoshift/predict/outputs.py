"""Where the results of a call go, and which of them are there already.

One file, OUT = cells.tif (or .ome.tif, .ome.zarr), for one image:

    cells.tif   cells.objects.csv   cells.overview.png

A folder for any number of images; the labels lie in it alone, under the names of their images:

    OUT/a.tif   OUT/b.tif ...   OUT/report/{objects.csv, overview.png, request.json}   OUT/report/objects/{a.csv ...}

The labels of an image are the last that is written of it: where they are, and its raw predictions where these are asked
for, it is finished.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import discard, replacing
from ..core.errors import UserError
from ..data.volumes import Volume
from ..data.write import write_labels
from .raw import RawFiles
from .run import Prediction

SUFFIXES = (".tif", ".tiff", ".zarr")


class Outputs:
    """Paths of one call, checked before any work is done.

    request: what decides about the numbers (model, options); a folder holds the results of one request only.
    raw: a file or folder for raw predictions, see raw.py; a folder of results is filled up with those it lacks.
    """

    def __init__(
        self, out: Path, volumes: Sequence[Volume], request: dict[str, Any], overwrite: bool, raw: Path | None = None
    ) -> None:
        self.out, self.volumes = Path(out), volumes
        head, _, inside = str(out).partition("::")
        self.file = Path(head)
        self.single = bool(inside) or self.file.suffix.lower() in SUFFIXES
        self.place = self.file / inside  # of the labels inside of an OME-Zarr image, or the file itself
        self.raw = None if raw is None else self.raw_files(raw, request, overwrite)
        if self.single:
            self.claim_file(overwrite)
        else:
            self.claim_folder(request, overwrite)

    def raw_files(self, where: Path, request: dict[str, Any], overwrite: bool) -> RawFiles:
        found = RawFiles(where, self.volumes, request, self.single, overwrite)
        if not self.single and found.path(self.volumes[0]).parent.resolve() == self.out.resolve():
            raise UserError(f"labels lie alone in {self.out}; pass another folder to --raw, such as {self.out / 'raw'}")
        return found

    def claim_file(self, overwrite: bool) -> None:
        if len(self.volumes) > 1:
            raise UserError(f"{len(self.volumes)} images do not fit into the one file {self.out}; pass a folder to -o")
        if self.place.exists() and not overwrite:
            raise UserError(f"{self.out} is there already; pass --overwrite to replace it or another -o")

    def claim_folder(self, request: dict[str, Any], overwrite: bool) -> None:
        """Make the folder that of this request, or make sure that it is: then what is finished stays."""
        if self.out.is_file():
            raise UserError(f"{self.out} is a file that labels do not fit into; pass a folder, .tif or .ome.zarr to -o")
        path = self.out / "report" / "request.json"
        request = json.loads(json.dumps(request))  # as it will be read again: a tuple becomes a list
        images = {volume.name: volume.origin for volume in self.volumes}
        if overwrite:
            for volume in self.volumes:
                discard(self.labels(volume))
                if self.raw is not None:
                    discard(self.raw.path(volume))
        elif path.exists():
            there = read_request(path)
            changed = differences({**there, "images": {n: there["images"].get(n, o) for n, o in images.items()}},
                                  request | {"images": images})  # fmt: skip
            if changed:
                raise UserError(
                    f"{self.out} holds results of another request ({changed[0]}); pass --overwrite to replace them or "
                    f"another -o"
                )
            images = there["images"] | images
        elif strangers := [place for place in map(self.labels, self.volumes) if place.exists()]:
            raise UserError(f"{strangers[0]} is there already; pass --overwrite to replace it or another -o")
        with replacing(path) as beside:
            beside.write_text(json.dumps(request | {"images": images}, indent=1))

    def labels(self, volume: Volume) -> Path:
        return self.out if self.single else self.out / f"{volume.name}.tif"

    def finished(self, volume: Volume) -> bool:
        """Whether all that was asked for of an image is there, in a folder; a single file is always made anew."""
        if self.single or (self.raw is not None and not self.raw.path(volume).exists()):
            return False
        return self.labels(volume).exists()

    @property
    def picture(self) -> Path:
        return self.beside("overview.png") if self.single else self.out / "report" / "overview.png"

    @property
    def table(self) -> Path:
        return self.beside("objects.csv") if self.single else self.out / "report" / "objects.csv"

    def part(self, volume: Volume) -> Path:
        """The rows of one image; of a single image they are the table."""
        return self.table if self.single else self.out / "report" / "objects" / f"{volume.name}.csv"

    def beside(self, name: str) -> Path:
        return self.file.with_name(f"{self.file.stem.removesuffix('.ome')}.{name}")

    def write(self, volume: Volume, prediction: Prediction) -> None:
        """The rows, the raw prediction where it is asked for, then the labels of one image."""
        write_rows(self.part(volume), volume.name, prediction)
        if self.raw is not None and prediction.raw is not None:
            self.raw.write(volume, prediction.raw)
        write_labels(self.labels(volume), prediction.labels, volume.voxel, volume.axes)

    def join(self) -> "Table":
        """All images' rows in one table, written and returned."""
        tables = [Table.read(self.part(volume)) for volume in self.volumes]
        joined = Table(tables[0].names, [row for table in tables for row in table.rows])
        if not self.single:
            joined.write(self.table)
        return joined


class Table:
    """Rows of a CSV file with named columns; words as they stand in the file."""

    def __init__(self, names: list[str], rows: list[list[str]]):
        self.names, self.rows = names, rows

    @classmethod
    def read(cls, path: Path) -> Self:
        with path.open(newline="", encoding="utf-8") as file:
            names, *rows = csv.reader(file)
        return cls(names, rows)

    def write(self, path: Path) -> None:
        with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([self.names, *self.rows])

    def numbers(self, start: str) -> NDArray[np.float64]:
        """The first column whose name begins like that, as floats."""
        index = next(i for i, name in enumerate(self.names) if name.startswith(start))
        return np.array([float(row[index]) for row in self.rows])

    def of(self, image: str) -> Self:
        return type(self)(self.names, [row for row in self.rows if row[0] == image])


def write_rows(path: Path, image: str, prediction: Prediction) -> None:
    """One row per object: image, id, size, diameter, centroid, box and confidence, with units in the names."""
    columns = prediction.table.columns() | {"confidence": prediction.confidence}
    words = [[f"{value:.6g}" if v.dtype.kind == "f" else str(value) for value in v] for v in columns.values()]
    Table(["image", *columns], [[image, *row] for row in zip(*words)]).write(path)


def differences(there: dict[str, Any], wish: dict[str, Any]) -> list[str]:
    """In words, as "threshold was 0.3, now 0.5"; of nested groups the innermost name is told."""
    found = []
    for key, value in wish.items():
        old = there.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            found += differences(old, value)
        elif old != value:
            found.append(f"{key} was {'the default' if old is None else old}, "
                         f"now {'the default' if value is None else value}")  # fmt: skip
    return found


def read_request(path: Path) -> dict[str, Any]:
    try:
        there = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        there = None
    if not isinstance(there, dict) or not isinstance(there.get("images"), dict):
        raise UserError(f"{path} is damaged, so what the folder holds is not known; pass --overwrite or another -o")
    return there
