"""cytoshift data: public data sets by name."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from . import inputs
from .console import conclude, say

if TYPE_CHECKING:
    from rich.table import Table

    from ..data.fetch import FetchedArchive
    from ..data.public_sets import Public


def data(
    name: Annotated[
        str | None,
        typer.Argument(help="A data set or a family: nucmm, bbbc024. Without it, all are listed."),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for images and labels.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Accept its licence.")] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the archives; default: $CYTOSHIFT_DATA, or the user's cache.")
    ] = None,
    quiet: inputs.Quiet = False,
    as_json: inputs.Json = False,
) -> None:
    """Download a public data set, check it, and unpack it as images and labels.

    The licence is shown first. The same command continues a download that was stopped. Data in the cache need no
    network. Where no checksum was published, the checksum of the first download is kept and compared later.
    """
    from ..core.lock import lock_outputs
    from ..core.signals import explain_stop
    from ..data import fetch
    from ..data.unpack import unpack_archives

    folder = cache or fetch.cache_folder()
    if name is None:
        list_sets(folder, as_json)
        return
    chosen = find_sets(name)
    if out is None:
        raise UserError(f"no folder for {name} was given; pass -o {name}")
    if closed := [one for one in chosen if not one.files]:
        raise UserError(
            f"{closed[0].name} has no address from which it can be downloaded; get it from {closed[0].page}"
        )
    if folder is None:
        raise UserError(f"there is no home directory for downloaded files; pass --cache FOLDER, or set {fetch.PLACE}")
    for one in chosen:
        show(one, as_json)
    ask_agreement(name, accept)
    words, told = [], []
    for one in chosen:
        place = out if len(chosen) == 1 else out / one.name
        with lock_outputs(place), explain_stop(lambda: "what has arrived is kept, the same command goes on"):
            archives = fetch_sets(one, folder, quiet or as_json)
            count = unpack_archives(one, archives, place)
        words += [
            f"{a.path.name} has no published checksum: sha256 {a.sha256[:16]}... is kept in {folder / fetch.CHECKSUMS}"
            for a in archives if not a.known
        ]  # fmt: skip
        what = ", ".join(f"{number} in {place / part}" for part, number in sorted(count.items()))
        words.append(f"{one.name}: {what}" + (f"; options: {options(one)}" if one.hint else ""))
        told.append({"name": one.name, "out": str(place), "files": count, "options": options(one)})
    conclude(as_json, "\n".join(words), verb="data", name=name, sets=told)


def find_sets(name: str) -> "list[Public]":
    """The data set of that name, or those of a family: `nucmm` is nucmm-z and nucmm-m."""
    from difflib import get_close_matches

    from ..data.public_sets import PUBLIC

    wish = name.lower()
    found = [PUBLIC[wish]] if wish in PUBLIC else [one for key, one in PUBLIC.items() if key.startswith(f"{wish}-")]
    if not found:
        near = get_close_matches(wish, PUBLIC, 3, 0.7)
        cure = f"did you mean {' or '.join(near)}" if near else "cytoshift data lists them all"
        raise UserError(f"there is no data set '{name}'; {cure}")
    return found


def options(chosen: "Public") -> str:
    """The settings that its files need, as flags."""
    return re.sub(r"\b(axes|voxel|unit|channel)=", r"--\1 ", chosen.hint)


def fetch_sets(chosen: "Public", folder: Path, quiet: bool) -> "list[FetchedArchive]":
    """All archives, one after the other."""
    from ..core.progress import Progress
    from ..data.fetch import fetch_archive

    archives = []
    for file in chosen.files:
        with Progress(file.name, file.size or 0, "B", quiet) as progress:

            def show_progress(have: int, total: int, progress: Progress = progress) -> None:
                if total != progress.total:
                    progress.begin(progress.stage, total, have)
                progress.update(have)

            archives.append(fetch_archive(file, folder, show_progress))
    return archives


def show(chosen: "Public", as_json: bool) -> None:
    """Before anything is downloaded."""
    for what, value in (("what", chosen.what), ("size", megabytes(chosen.size)), ("licence", chosen.licence),
                        ("cite", chosen.cite), ("page", chosen.page)):  # fmt: skip
        say(f"{what:8} {value}", err=as_json)


def ask_agreement(name: str, accept: bool) -> None:
    """Ask, where somebody can answer."""
    import sys

    if accept:
        return
    if not sys.stdin.isatty():
        raise UserError(f"the licence of {name} must be accepted first; read it, then pass --accept")
    if not typer.confirm("Download it under these terms?"):
        raise UserError(f"{name} is not downloaded, as its licence is not accepted")


def list_sets(folder: Path | None, as_json: bool) -> None:
    """A row for each data set."""
    from rich.console import Console

    from ..data.fetch import download_state
    from ..data.public_sets import PUBLIC

    if as_json:
        rows = [
            {"name": one.name, "what": one.what, "bytes": one.size, "licence": one.licence, "cite": one.cite,
             "page": one.page, "here": download_state(one, folder)}
            for one in PUBLIC.values()
        ]  # fmt: skip
        conclude(True, "", verb="data", sets=rows)
        return
    Console(highlight=False).print(table(list(PUBLIC.values()), folder))
    say(
        "cytoshift data NAME -o DIR shows the licence in full and gets one, or a family such as bbbc024 or nucmm; "
        f"archives are kept in {folder or 'the folder that --cache names'}"
    )


def table(sets: "list[Public]", folder: Path | None) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from ..data.fetch import download_state
    from ..data.public_sets import UNKNOWN

    out = Table(box=None, pad_edge=False)
    for column in ("name", "what", "size", "licence", "here"):
        narrow = 14 if column == "licence" else None
        out.add_column(column, overflow="fold", no_wrap=column in ("name", "size", "here"), max_width=narrow)
    for one in sets:
        licence = "see the page" if one.licence == UNKNOWN else one.licence.partition(":")[0]
        cells = (one.name, one.what, megabytes(one.size) if one.files else "-", licence,
                 download_state(one, folder) if one.files else "by hand")  # fmt: skip
        out.add_row(*(Text(cell) for cell in cells))
    return out


def megabytes(size: int | None) -> str:
    """
    >>> megabytes(26_975_232), megabytes(134_000_000), megabytes(3_100_000_000), megabytes(None)
    ('27 MB', '134 MB', '3.1 GB', 'unknown')
    """
    if size is None:
        return "unknown"
    return f"{size / 1e9:.2g} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
