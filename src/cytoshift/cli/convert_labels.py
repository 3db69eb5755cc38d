"""Labels as other programs open them: what `cytoshift convert` does with them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import UserError
from ..core.text import count_of
from .console import conclude, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.exchange import LabelSeries
    from ..data.frames import Series
    from ..data.volumes import ImageSource, Volume


@dataclass(frozen=True)
class Request:
    """paths: label images. out: a file or folder. to: format, None where the name of `out` says it. kind: class of the
    objects, and of COCO that is read their category. mask_above: value above which connected parts are objects, where
    labels are masks. like: images that outlines were drawn on."""

    paths: "Sequence[str]"
    out: str
    to: str | None
    kind: str
    mask_above: float | None
    like: str | None = None


def convert_labels(
    request: Request, source: "ImageSource", ngff: str, overwrite: bool, quiet: bool, as_json: bool
) -> None:
    """Write label images, one file for each; COCO takes all of them in one file."""
    from ..core.lock import lock_outputs
    from ..core.progress import Progress
    from ..data.exchange import refuse_unwritable, write_format
    from ..data.exchange.film_in import open_film
    from ..data.exchange.label_stacks import write_series
    from ..data.exchange.outlined_images import draw_labels, say_unseen
    from ..data.frames import series_of
    from ..data.input_files import refuse_inputs
    from ..data.label_checks import check_labels
    from ..data.label_pairs import connected_objects
    from ..data.volumes import open_labels

    drawn = outline_files(request.paths, request.like)
    key = choose_format(request, labels_again=bool(drawn))
    if drawn and request.like:
        source = source.model_copy(update={"paths": request.like})
    outlined = draw_labels(drawn, source, request.kind) if drawn else []
    volumes = outlined or (open_film(source) if makes_one(key, request.out) else open_labels(source))
    for sentence in check_labels(volumes, "mask_above") if request.mask_above is None else ():
        say(f"warning: {sentence}", err=True)
    each = series_of([connected_objects(one, request.mask_above) for one in volumes])
    found = [describe(one, request, measured=key == "geojson") for one in each]
    refuse_unwritable(key, found)
    jobs = assign_places(key, Path(request.out), found)
    refuse_inputs([place for place, _ in jobs], [source] if drawn else [], labels=[source, *map(str, drawn)])
    refuse_taken(key, [place for place, _ in jobs], overwrite)
    with lock_outputs(*(place for place, _ in jobs)), Progress("convert", len(jobs), "file", quiet) as progress:
        for done, (place, labels) in enumerate(jobs):
            progress.update(done, f"convert {labels[0].name}")
            if key == "ome-zarr":
                write_series(place, labels[0].series, ngff="0.4" if ngff == "0.4" else "0.5")
            else:
                write_format(key, place, labels)
    say_unseen(outlined)
    shown = jobs[0][0] if len(jobs) == 1 else jobs[0][0].parent
    count = count_of(len(found), "label image")
    conclude(
        as_json, f"{shown}: {count} as {title_of(key)}", verb="convert", format=key, images=len(found),
        out=[place for place, _ in jobs],
    )  # fmt: skip


def outline_files(paths: "Sequence[str]", like: str | None) -> list[Path]:
    """The files of outlines among the inputs; none where these are label images.

    Raises UserError where outlines and label images are mixed, and where the image of outlines is not given.
    """
    from ..data.exchange.outlines_in import holds_outlines, outlines_in_folder

    found, others = [], []
    for path in map(Path, paths):
        inside = outlines_in_folder(path) if path.is_dir() else []
        if inside or holds_outlines(path):
            found += inside or [path]
        else:
            others.append(path)
    if found and others:
        raise UserError(f"{found[0]} has outlines, {others[0]} has none; convert outlines and label images one by one")
    if found and like is None:
        raise UserError(f"{found[0]} has outlines but no size; pass --like with the image that they were drawn on")
    if like is not None and not found:
        raise UserError(f"--like is for outlines (.zip, .roi, .geojson, .json), but {paths[0]} is none; leave it out")
    return found


def makes_one(key: str, out: str) -> bool:
    """Whether all frames of a folder go into one file, or one folder of the Cell Tracking Challenge."""
    from ..data.exchange import FORMATS
    from ..data.exchange.exchange_formats import format_of

    return not FORMATS[key].holds_many and (format_of(out) is not None or key == "ctc")


def choose_format(request: Request, labels_again: bool = False) -> str:
    """The format that is asked for; TIFF for outlines that become label images in a folder.

    Raises UserError where neither the name nor `to` says it, or they differ.
    """
    from ..data.exchange import FORMATS
    from ..data.exchange.exchange_formats import format_of

    named = format_of(request.out)
    if request.to is None and named is None and labels_again and not Path(request.out).suffix:
        return "tif"
    if request.to is None and named is None:
        raise UserError(
            f"{request.out} does not say which format is to be written; pass --to with one of {', '.join(FORMATS)}"
        )
    if request.to is not None and request.to not in FORMATS:
        raise UserError(f"format '{request.to}' is not known; pass --to with one of {', '.join(FORMATS)}")
    if request.to is not None and named is not None and named != request.to:
        raise UserError(
            f"{request.out} is a name for {named}, and --to says {request.to}; leave out --to, or choose another -o"
        )
    return request.to or named or ""


def title_of(key: str) -> str:
    from ..data.exchange import FORMATS

    return FORMATS[key].title


def assign_places(
    key: str, out: Path, found: "Sequence[LabelSeries]"
) -> "list[tuple[Path, list[LabelSeries]]]":  # fmt: skip
    """What goes where. Several images go into a folder: rois.zip becomes rois/NAME.zip."""
    from ..data.exchange import FORMATS, place_of
    from ..data.exchange.exchange_formats import format_of

    single = format_of(out) is not None or key == "ctc"
    if FORMATS[key].holds_many:
        return [(out if single else out / f"labels{FORMATS[key].suffix}", list(found))]
    if single and len(found) == 1:
        return [(out, list(found))]
    folder = out
    for ending in (FORMATS[key].suffix, *FORMATS[key].endings):
        if ending and out.name.lower().endswith(ending):
            folder = out.with_name(out.name[: -len(ending)])
            break
    return [(place_of(folder, one.name, key), [one]) for one in found]


def refuse_taken(key: str, places: "Sequence[Path]", overwrite: bool) -> None:
    """Raises UserError where something stands that is not to be replaced."""
    from ..core.atomic import refuse_other_contents, refuse_other_kind

    for place in places:
        refuse_other_kind(place, folder=key in ("ctc", "ome-zarr"))
        if place.exists() and not overwrite:
            raise UserError(f"{place} already exists; pass --overwrite to replace it, or choose another -o")
        if key == "ctc":
            refuse_other_contents(place, ("res_track.txt",))


def describe(series: "Series", request: Request, measured: bool) -> "LabelSeries":
    """Labels of one file; where wanted, with the rows of the table that lies beside them."""
    from ..data.exchange import LabelSeries

    paths = [path for path in request.paths if len(request.paths) == 1 or Path(path).stem == series.name]
    rows = tuple(measurements(paths[0], frame) if paths else {} for frame in series.frames) if measured else ()
    return LabelSeries(series, series.file_name, request.kind, rows)


def measurements(path: str, labels: "Volume") -> dict[int, dict[str, float]]:
    """What is known of the objects of a label image, by id."""
    from ..view.properties import properties

    found = properties(path, labels.name, labels.origin)
    if found is None:
        return {}
    names = list(found.columns)
    rows = zip(found.ids.tolist(), *(found.columns[name].tolist() for name in names))
    return {label: dict(zip(names, values)) for label, *values in rows}


def convert_table(paths: "Sequence[str]", out: str, overwrite: bool, as_json: bool) -> None:
    """A table of objects as Parquet."""
    from ..core.collisions import refuse_overlap
    from ..core.lock import lock_outputs
    from ..data.exchange.parquet import write_parquet

    if len(paths) != 1 or Path(paths[0]).suffix.lower() != ".csv" or not Path(paths[0]).is_file():
        raise UserError(
            f"Parquet is written of one table, but {', '.join(paths)} is none; pass one such as OUT/report/objects.csv"
        )
    refuse_overlap([out], paths)
    refuse_taken("parquet", [Path(out)], overwrite)
    with lock_outputs(out):
        write_parquet(Path(paths[0]), Path(out))
    conclude(as_json, f"{out}: the table {paths[0]} as Parquet", verb="convert", format="parquet", out=[out])
