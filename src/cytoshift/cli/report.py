"""cytoshift report: the page of a run or of results, made again from their files."""

from pathlib import Path
from typing import Annotated

import typer

from .console import Json, conclude


def report(
    folder: Annotated[Path, typer.Argument(help="Run folder of train, folder of segment or bench, or cells.tif.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="FILE.html; default: where the verb puts it.")] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML file about a run or about results, which needs no network and no other file.

    train, segment and bench have written it already; this makes it again, also of a run that is still going.
    """
    from ..core.errors import UserError
    from ..report import write_report

    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out} is asked for, a report is an HTML file; pass -o {out.with_suffix('.html')}")
    try:
        page = write_report(folder, out)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{folder} holds facts that are not as Cytoshift writes them ({type(error).__name__}: {error}); make its "
            "results again"
        ) from error
    conclude(as_json, f"report in {page}", verb="report", report=page)
