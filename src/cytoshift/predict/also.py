"""Results for other programs, beside the labels: what `also` of `outputs.Outputs` names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import UserError
from ..data.exchange import LabelSeries, refuse_unwritable, write_format
from ..data.exchange.exchange_formats import SHAPES
from ..data.frames import Series, series_of
from ..data.volumes import Volume
from .outputs import Outputs, Table

WORDS = ("image", "class", "label", "unit")  # columns that are no measurements


def parse_also(words: Sequence[str]) -> tuple[str, ...]:
    """Formats by name, each word one or several with commas. Raises UserError for one that is not known.

    >>> parse_also(["rois,coco", "ctc"])
    ('rois', 'coco', 'ctc')
    """
    found = tuple(dict.fromkeys(name.strip() for word in words for name in word.split(",") if name.strip()))
    if strangers := [name for name in found if name not in SHAPES]:
        raise UserError(f"format '{strangers[0]}' is not known; `also` takes {', '.join(SHAPES)}")
    return found


def refuse_also(outputs: Outputs) -> None:
    """Raises UserError where images cannot be written in the formats that are asked for, before there are labels."""
    for key in outputs.also:
        refuse_unwritable(key, [LabelSeries(one) for one in series_of(outputs.volumes)])


def write_also(outputs: Outputs) -> list[Path]:
    """Write the finished labels in the formats that are asked for: the places that were written."""
    jobs: dict[tuple[str, Path], list[LabelSeries]] = {}
    for series in series_of(outputs.volumes) if outputs.also else []:
        for name in outputs.classes:
            for key in outputs.also:
                place = outputs.other_format(key, series.frames[0], name)
                jobs.setdefault((key, place), []).append(labels_of(outputs, series, name, key == "geojson"))
    for (key, place), labels in jobs.items():
        write_format(key, place, labels)
    return [place for _, place in jobs]


def labels_of(outputs: Outputs, series: Series, name: str, measured: bool) -> LabelSeries:
    """The labels of one image or series, of one class; with their rows, where these are wanted."""
    frames = tuple(outputs.open(volume, name) for volume in series.frames)
    rows = tuple(measurements(outputs, volume, name) for volume in series.frames) if measured else ()
    return LabelSeries(replace(series, frames=frames), series.file_name, name, rows)


def measurements(outputs: Outputs, volume: Volume, name: str) -> Mapping[int, Mapping[str, float]]:
    """The rows of one image and class, by id."""
    table = Table.read(outputs.part(volume))
    found = table.where("class", name) if name else table
    columns = [number for number, column in enumerate(found.names) if column not in WORDS]
    label = found.names.index("label")
    return {int(row[label]): {found.names[i]: float(row[i]) for i in columns} for row in found.rows}
