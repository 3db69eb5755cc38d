"""cytoshift data: public data sets by name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from .console import Json, Quiet, conclude

if TYPE_CHECKING:
    from rich.table import Table

    from ..data.fetch import Got
    from ..data.public import Public


def data(
    name: Annotated[str | None, typer.Argument(help="Which one; without it, all are listed.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for images and labels.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Its licence is known and will be kept.")] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Where archives are kept; default: $CYTOSHIFT_DATA, or the user's cache.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Get a public data set: download what is missing, check it, and unpack it as images and labels.

    Its licence is shown first. What broke off goes on where it ended, when the same command is given again; what is in
    the cache needs no network. Where nobody has published a checksum, that of the first download is kept, and later
    ones are compared with it.
    """
    from ..data import fetch
    from ..data.public import PUBLIC
    from ..data.unpack import unpacked

    folder = cache or fetch.cache()
    if name is None:
        listed(folder, as_json)
        return
    if name.lower() not in PUBLIC:
        raise UserError(f"there is no data set '{name}'; there are {', '.join(PUBLIC)}")
    chosen = PUBLIC[name.lower()]
    if out is None:
        raise UserError(f"where {chosen.name} goes is not said; pass -o {chosen.name}")
    if not chosen.files:
        raise UserError(f"{chosen.name} has no open address that we know of; get it from {chosen.page}")
    show(chosen, as_json)
    agreed(chosen, accept)
    archives = got(chosen, folder, quiet or as_json)
    count = unpacked(chosen, archives, out)
    what = ", ".join(f"{number} in {out / place}" for place, number in sorted(count.items()))
    first = [f"{a.path.name} has no published checksum: sha256 {a.sha256[:16]}... is kept in {folder / fetch.CHECKSUMS}"
             for a in archives if not a.known]  # fmt: skip
    words = "\n".join([*first, f"{chosen.name}: {what}" + (f"; options: {chosen.hint}" if chosen.hint else "")])
    conclude(as_json, words, verb="data", name=chosen.name, out=out, files=count, options=chosen.hint)


def got(chosen: "Public", folder: Path, quiet: bool) -> "list[Got]":
    """All archives, one after the other."""
    from ..core.progress import Progress
    from ..data.fetch import fetched

    archives = []
    for file in chosen.files:
        with Progress(file.name, file.size or 0, "B", quiet) as progress:

            def told(have: int, total: int, progress: Progress = progress) -> None:
                if total != progress.total:
                    progress.begin(progress.stage, total, have)
                progress.update(have)

            archives.append(fetched(file, folder, told))
    return archives


def show(chosen: "Public", as_json: bool) -> None:
    """Before anything is downloaded."""
    for what, value in (("what", chosen.what), ("size", megabytes(chosen.size)), ("licence", chosen.licence),
                        ("cite", chosen.cite), ("page", chosen.page)):  # fmt: skip
        typer.echo(f"{what:8} {value}", err=as_json)


def agreed(chosen: "Public", accept: bool) -> None:
    """Ask, where somebody can answer."""
    import sys

    if accept:
        return
    if not sys.stdin.isatty():
        raise UserError(f"the licence of {chosen.name} is to be accepted; pass --accept when you have read it")
    if not typer.confirm("Download it under these terms?"):
        raise UserError(f"{chosen.name} is not downloaded, as its licence is not accepted")


def listed(folder: Path, as_json: bool) -> None:
    """A row for each data set."""
    from rich.console import Console

    from ..data.fetch import state
    from ..data.public import PUBLIC

    if as_json:
        rows = [
            {"name": one.name, "what": one.what, "bytes": one.size, "licence": one.licence, "cite": one.cite,
             "page": one.page, "here": state(one, folder)}
            for one in PUBLIC.values()
        ]  # fmt: skip
        conclude(True, "", verb="data", sets=rows)
        return
    Console(highlight=False).print(table(list(PUBLIC.values()), folder))
    typer.echo(f"archives are kept in {folder}; cytoshift data NAME -o DIR gets one")


def table(sets: "list[Public]", folder: Path) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from ..data.fetch import state

    out = Table(box=None, pad_edge=False)
    for column in ("name", "what", "size", "licence", "here"):
        out.add_column(column, overflow="fold", no_wrap=column in ("name", "size", "here"))
    for one in sets:
        cells = (one.name, one.what, megabytes(one.size) if one.files else "-", one.licence,
                 state(one, folder) if one.files else "by hand")  # fmt: skip
        out.add_row(*(Text(cell) for cell in cells))
    return out


def megabytes(size: int | None) -> str:
    """
    >>> megabytes(26_975_232), megabytes(3_000_000_000), megabytes(None)
    ('27 MB', '3 GB', 'unknown')
    """
    if size is None:
        return "unknown"
    return f"{size / 1e9:.2g} GB" if size >= 1e9 else f"{size / 1e6:.2g} MB"
