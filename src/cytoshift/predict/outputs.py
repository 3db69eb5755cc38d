"""Where the results of a call go, and which of them are there already.

One file, OUT = cells.tif (or .ome.tif, .ome.zarr), for one image:

    cells.tif   cells.objects.csv   cells.overview.png

A folder for any number of images; the labels lie in it alone, under the names of their images:

    OUT/a.tif   OUT/b.tif ...   OUT/report/{objects.csv, overview.png, request.json}   OUT/report/objects/{a.csv ...}

All frames of a file come out in one file, T Y X or T Z Y X; until the last of them they lie in OUT/report/frames. With
`also`, labels are written for other programs, too (see also.py):

    cells.rois.zip   cells.geojson   cells.coco.json   cells.ctc
    OUT/report/rois/a.zip ...   OUT/report/geojson/a.geojson ...   OUT/report/coco.json   OUT/report/ctc/a_RES ...

Of several classes, each has labels of its own, as `open_labels` and `cytoshift evaluate` read them, and the table names
the class of every object; where objects belong to others, pairs.csv says to which:

    cells.golgi.tif   cells.nuclei.tif   cells.objects.csv   cells.pairs.csv   cells.overview.png
    OUT/golgi/a.tif   OUT/nuclei/a.tif ...   OUT/report/{objects.csv, pairs.csv ...}   OUT/report/pairs/{a.csv ...}

Blockwise, labels are OME-Zarr in any case, and the report of their seams lies beside the table:

    cells.ome.zarr   cells.objects.csv   cells.seams.json   cells.overview.png   cells.blocks (until it is finished)
    OUT/a.ome.zarr ...   OUT/report/{objects.csv ...}   OUT/report/seams/{a.json ...}   OUT/report/blocks/a

The labels of an image are the last that is written of it: where they are, and its raw predictions where these are asked
for, it is finished.
"""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path, clean_up, discard
from ..core.errors import UserError
from ..core.text import escape_cell, unescape_cell
from ..data import formats
from ..data.exchange.exchange_formats import place_of
from ..data.exchange.label_stacks import write_series
from ..data.frames import Series, has_all_frames, series_name, series_of
from ..data.picture import format_suffix
from ..data.volumes import Volume, open_labels
from ..data.write import write_labels
from .claims import Claims, claimed_folder
from .pipeline import Prediction
from .raw import RawFiles

NAME_BYTES, SPARE_BYTES = 255, 24  # bytes of a name; of these for what is added while a file is written
SUFFIXES = (".tif", ".tiff", ".zarr")
READ_ONLY = frozenset(formats.SUFFIXES) - {*SUFFIXES}  # a file of such labels is expected, where a folder would be made


def is_single(out: Path) -> bool:
    """Whether labels of one image go to `out`, a file or a part of one, and not into a folder."""
    head, _, inside = str(out).partition("::")
    return bool(inside) or Path(head).suffix.lower() in SUFFIXES


def refuse_out(out: Path) -> None:
    """Raises UserError for a file of a kind that labels are not written as."""
    if is_single(out):
        return
    if format_suffix(out) in READ_ONLY and not out.is_dir():
        raise UserError(f"labels are not written as {out.suffix}; pass a folder, .tif or .ome.zarr to `out`")
    if out.is_file():
        raise UserError(f"labels cannot be written to a file like {out}; pass a folder, .tif or .ome.zarr to `out`")


def refuse_file_name(out: Path) -> None:
    """Raises UserError for the name of an image where results are a folder."""
    if not out.is_dir() and (is_single(out) or format_suffix(out) in READ_ONLY):
        raise UserError(f"results are a folder, and {out} has the name of a file; pass a folder to `out`")


class Outputs:
    """Paths of one call.

    request: what decides about the numbers (model, options); a folder holds the results of one request only.
    raw: a file or folder for raw predictions, see raw.py; a folder of results is filled up with those it lacks.
    classes: names of the classes, where there are several. pairs: whether objects of some belong to others.
    suffix: of the labels in a folder. join: names of the files whose frames come out in one file, see `whole_files`.
    also: other formats that the labels are written in.
    Raises UserError for what does not fit; `claim` says what is there already.
    """

    def __init__(
        self, out: Path, volumes: Sequence[Volume], request: dict[str, Any], raw: Path | None = None,
        classes: tuple[str, ...] = ("",), pairs: bool = False, suffix: str = ".tif", join: Collection[str] = (),
        also: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.out, self.volumes, self.classes, self.pairs, self.suffix = Path(out), volumes, classes, pairs, suffix
        self.file = Path(str(out).partition("::")[0])
        self.single, self.joined, self.also = is_single(out), frozenset(join), tuple(also)
        if self.single and len(volumes) > 1 and len(joined_names(volumes, self.joined)) > 1:
            raise UserError(f"{len(volumes)} images do not fit into the one file {out}; pass a folder to `out`")
        refuse_out(self.out)
        self.opened: dict[Path, list[Volume]] = {}
        self.request = request
        self.claims = Claims(self, request)
        self.raw = None if raw is None else self.raw_files(raw, request)
        refuse_names([self.file, *self.label_paths(), *(path for one in volumes for path in self.beside_labels(one))])

    def of(self, volumes: Sequence[Volume]) -> "Outputs":
        """The places of some of the images, wherever a process works."""
        part = copy(self)
        part.out, part.file, part.volumes = self.out.absolute(), self.file.absolute(), volumes
        if self.raw is not None:
            part.raw = RawFiles(self.raw.where.absolute(), volumes, self.request)
        part.claims = self.claims.of_part(part)
        return part

    def raw_files(self, where: Path, request: dict[str, Any]) -> RawFiles:
        found = RawFiles(where, self.volumes, request)
        if not self.single and found.path(self.volumes[0]).parent.resolve() == self.out.resolve():
            raise UserError(f"{self.out} is for labels only; pass another folder to `raw`, such as {self.out / 'raw'}")
        return found

    def claim(self, overwrite: bool) -> None:
        """Mark the outputs as those of this request; finished outputs of the same request are kept.

        With `overwrite`, an old output stays until the new one is complete. Must be called under the locks.
        Raises UserError if there is anything else.
        """
        if self.single:
            clean_up(self.path_beside("report"))
        if self.joined and not self.claims.is_continued(overwrite):
            discard(self.frames)
        if self.raw is not None:
            self.raw.claim(self.single and not self.claims.is_continued(overwrite), overwrite)
        self.claims.make(overwrite)

    def written_paths(self) -> list[Path]:
        """All that is written, and folders that are replaced or removed as a whole."""
        raw = [] if self.raw is None else [self.raw.path(volume) for volume in self.volumes]
        if not self.single:
            return [*self.label_paths(), *raw, self.out / "report"]
        beside = [
            self.path_beside(name) for name in ("objects.csv", "pairs.csv", "overview.png", "seams.json", "blocks")
        ]
        also = [self.other_format(key, volume, name) for key in self.also for volume in self.volumes for name in
                self.classes]  # fmt: skip
        return [*self.label_paths(), *raw, *beside, *also, self.path_beside("report"), self.path_beside("report.html")]

    @property
    def folders(self) -> list[Path]:
        """That files are put into."""
        raw = [] if self.raw is None or self.raw.single else [self.raw.where]
        return raw if self.single else [self.out, *(self.out / name for name in self.classes if name), *raw]

    @property
    def locks(self) -> list[Path]:
        return [self.file if self.single else self.out, *([] if self.raw is None else [self.raw.where])]

    def label_paths(self) -> list[Path]:
        """Labels as they are named, of all images and classes; frames of one file have one."""
        return list(dict.fromkeys(self.labels(volume, name) for volume in self.volumes for name in self.classes))

    def beside_labels(self, volume: Volume) -> list[Path]:
        """The files with the longest names that are named after an image, besides its labels."""
        raw = [] if self.raw is None else [self.raw.path(volume)]
        return [self.part(volume), self.seams(volume), *raw]

    def labels(self, volume: Volume, name: str = "") -> Path:
        """Of one class, in the end."""
        if not self.single:
            stem = series_name(volume) if self.is_frame(volume) else volume.name
            return self.out.joinpath(name, f"{stem}{self.suffix}")
        if not name:
            return self.out
        if "::" in str(self.out):  # labels inside of an image have no suffix
            return self.out.with_name(f"{self.out.name}.{name}")
        stem, ome = self.out.stem.removesuffix(".ome"), ".ome" * self.out.stem.endswith(".ome")
        return self.out.with_name(f"{stem}.{name}{ome}{self.out.suffix}")

    def is_frame(self, volume: Volume) -> bool:
        """Whether labels of an image come out in one file with those of other frames."""
        return volume.frame is not None and series_name(volume) in self.joined

    @property
    def frames(self) -> Path:
        """Where labels of frames lie until all of them are there; of a single file their rows, too."""
        beside = self.path_beside("frames")
        return beside.with_name(f".{beside.name}") if self.single else self.out / "report" / "frames"

    def written_labels(self, volume: Volume, name: str = "") -> Path:
        """Where labels of one image are written: those of a frame are joined with others later."""
        if not self.is_frame(volume):
            return self.labels(volume, name)
        suffix = (".ome.zarr" if ".zarr" in self.out.name.lower() else ".tif") if self.single else self.suffix
        return self.frames / name / f"{volume.name}{suffix}"

    def open(self, volume: Volume, name: str = "") -> Volume:
        """The labels of one image, which are there."""
        written = self.written_labels(volume, name)
        if not self.is_frame(volume) or written.exists():
            return replace(open_labels(written)[0], name=volume.name, frame=volume.frame)
        assert volume.frame is not None, "it is a frame"
        place = self.labels(volume, name)
        if place not in self.opened:
            self.opened[place] = open_labels(place)
        return replace(self.opened[place][volume.frame[0]], name=volume.name)

    def join_frames(self) -> None:
        """Put the labels of frames into one file for each series; they are all there."""
        for series in series_of(volume for volume in self.volumes if self.is_frame(volume)):
            for name in self.classes:
                place = self.labels(series.frames[0], name)
                if self.claims.holds(place):
                    continue
                found = tuple(self.open(volume, name) for volume in series.frames)
                write_series(place, Series(series.name, found, series.is_timed), self.claims.mark)
                for volume in series.frames:
                    discard(self.written_labels(volume, name))

    def is_finished(self, volume: Volume) -> bool:
        """Whether all that was asked for of an image is there, of this request."""
        if self.raw is not None and not self.raw.is_finished(volume):
            return False
        return all(
            self.claims.holds(self.labels(volume, name))
            or (self.is_frame(volume) and self.written_labels(volume, name).exists())
            for name in self.classes
        )

    def complete(self) -> None:
        """Everything is there: labels, tables, pictures and the report. What killed workers have left goes."""
        if self.joined:
            discard(self.frames)
        for place in self.locks:
            clean_up(place)
        self.claims.complete()

    @property
    def picture(self) -> Path:
        return self.path_beside("overview.png") if self.single else self.out / "report" / "overview.png"

    @property
    def table(self) -> Path:
        return self.joint_path("objects")

    def work(self, volume: Volume) -> Path:
        """The folder of blockwise work on an image, until it is finished."""
        return self.path_beside("blocks") if self.single else self.out.joinpath("report", "blocks", volume.name)

    def seams(self, volume: Volume) -> Path:
        """The report on what faces of blocks have left."""
        return self.path_beside("seams.json") if self.single else self.out / "report" / "seams" / f"{volume.name}.json"

    def part(self, volume: Volume, what: str = "objects") -> Path:
        """The rows of one image; of a single image they are the table. what: "objects" or "pairs"."""
        if not self.single:
            return self.out.joinpath("report", what, f"{volume.name}.csv")
        return self.frames / what / f"{volume.name}.csv" if self.is_frame(volume) else self.joint_path(what)

    def joint_path(self, what: str) -> Path:
        """The table of all images."""
        return self.path_beside(f"{what}.csv") if self.single else self.out / "report" / f"{what}.csv"

    def other_format(self, key: str, volume: Volume, name: str = "") -> Path:
        """Where the labels of an image are in another format; those of several classes and images may share a file."""
        ends = {"rois": "rois.zip", "geojson": "geojson", "coco": "coco.json", "ctc": "ctc"}
        kind = f"{name}." * bool(name and key != "coco")
        if self.single:
            return self.path_beside(f"{kind}{ends[key]}")
        if key == "coco":
            return self.out / "report" / ends[key]
        stem = series_name(volume) if volume.frame else volume.name
        return place_of(self.out / "report" / key / name, stem, key)

    def path_beside(self, name: str) -> Path:
        return self.file.with_name(f"{self.file.stem.removesuffix('.ome')}.{name}")

    def write(self, volume: Volume, prediction: Prediction) -> None:
        """The rows, the raw prediction where it is asked for, then the labels of one image."""
        write_rows(self.part(volume), volume.name, prediction)
        if self.pairs:
            write_pairs(self.part(volume, "pairs"), volume, prediction)
        if self.raw is not None and prediction.raw is not None:
            self.raw.write(volume, prediction.raw)
        for name, found in prediction.classes.items():
            place = self.written_labels(volume, name)
            write_labels(place, found.labels, volume.voxel, volume.axes, mark=self.claims.mark)

    def join(self, what: str = "objects") -> "Table":
        """All images' rows in one table, written and returned. what: "objects" or "pairs"."""
        tables = [Table.read(self.part(volume, what)) for volume in self.volumes]
        if any(table.names != tables[0].names for table in tables):
            raise UserError(
                f"the tables in {self.part(self.volumes[0], what).parent} have different columns, as another version "
                "has written some of them; pass `overwrite` to segment these images again"
            )
        joined = Table(tables[0].names, [row for table in tables for row in table.rows])
        if not self.single or self.joined:
            joined.write(self.joint_path(what))
        return joined


def whole_files(volumes: Iterable[Volume]) -> list[str]:
    """Names of the files of which all frames are among some images: their labels come out in one file."""
    return [one.name for one in series_of(volumes) if one.is_timed and has_all_frames(one.frames)]


def joined_names(volumes: Iterable[Volume], join: Collection[str]) -> set[str]:
    """Of the files of labels that images have in the end."""
    return {name if (name := series_name(volume)) in join else volume.name for volume in volumes}


class Table:
    """Rows of a CSV file with named columns; words as they stand in the file."""

    def __init__(self, names: list[str], rows: list[list[str]]):
        self.names, self.rows = names, rows

    @classmethod
    def read(cls, path: Path) -> Self:
        try:
            with path.open(newline="", encoding="utf-8") as file:
                names, *rows = ([unescape_cell(word) for word in row] for row in csv.reader(file))
        except (csv.Error, ValueError):  # no UTF-8, no row, zeros between the words
            names, rows = [], []
        if not names or any(len(row) != len(names) for row in rows):
            raise UserError(f"{path} is not a table that 'cytoshift segment' wrote; remove it, and segment again")
        return cls(names, rows)

    def write(self, path: Path) -> None:
        with atomic_path(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([escape_cell(word) for word in row] for row in (self.names, *self.rows))

    def numbers(self, start: str) -> NDArray[np.float64]:
        """The first column whose name begins like that, as floats."""
        index = next(i for i, name in enumerate(self.names) if name.startswith(start))
        return np.array([float(row[index]) for row in self.rows])

    def of(self, image: str) -> Self:
        return self.where("image", image)

    def where(self, column: str, word: str) -> Self:
        """The rows that have this word in that column."""
        index = self.names.index(column)
        return type(self)(self.names, [row for row in self.rows if row[index] == word])


def refuse_names(paths: Iterable[Path]) -> None:
    """Raises UserError where results would have names that cannot be written: too long, or no UTF-8."""
    for path in paths:
        try:
            length = len(claimed_folder(path).name.encode())
        except UnicodeEncodeError:
            raise UserError(f"{path} is not a UTF-8 name; choose another `out`") from None
        if length + SPARE_BYTES > NAME_BYTES:
            raise UserError(
                f"{path} has a name of {length} bytes, and files have {NAME_BYTES}, of which {SPARE_BYTES} are needed "
                "while they are written; rename the image, or choose a shorter `out`"
            )


def write_rows(path: Path, image: str, prediction: Prediction) -> None:
    """One row per object: image, label, what was measured of it (`Objects.columns`) and confidence.

    Of several classes, the class comes after the image.
    """
    names, rows = list[str](), list[list[str]]()
    for name, found in prediction.classes.items():
        columns = found.table.columns() | {"confidence": found.confidence}
        names = ["image", *(["class"] if name else []), *columns]
        rows += [[image, *([name] if name else []), *row] for row in column_titles(columns)]
    Table(names, rows).write(path)


def write_pairs(path: Path, volume: Volume, prediction: Prediction) -> None:
    """One row per object that may belong to another: image, class and id, class and id of the other, 0 where there is
    none, and the distance from surface to surface; inf where there is no other at all."""
    names = ["image", "class", "id", "belongs_to", "other_id", f"distance_{volume.voxel.unit}"]
    rows = [
        [volume.name, name, one, other, owner, distance]
        for (name, other), found in prediction.belongs.items()
        for one, owner, distance in column_titles(found.columns())
    ]
    Table(names, rows).write(path)


def column_titles(columns: Mapping[str, NDArray[np.generic]]) -> Iterator[tuple[str, ...]]:
    """Rows of columns, in words."""
    yield from zip(*([f"{v:.8g}" if c.dtype.kind == "f" else str(v) for v in c] for c in columns.values()))
