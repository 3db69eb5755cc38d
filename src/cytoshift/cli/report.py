"""cytoshift report: the page of a run or of results, made again from their files."""

from pathlib import Path
from typing import Annotated

import typer

from . import inputs
from .console import conclude


def report(
    folder: Annotated[Path, typer.Argument(help="Run folder of train, folder of segment or bench, or cells.tif.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="FILE.html; default: in the folder.")] = None,
    overwrite: inputs.Overwrite = False,
    as_json: inputs.Json = False,
) -> None:
    """Write a run or results as one HTML file, which needs no network and no other file.

    train, segment and bench write it too. This command makes it again, also of a run that is not finished.
    """
    from ..core.collisions import refuse_overlap
    from ..core.errors import UserError
    from ..core.lock import lock_outputs
    from ..core.provenance import refuse_foreign_files
    from ..report import write_report
    from ..report.page import page_path

    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"a report is an HTML file, but {out} has another ending; pass -o {out.with_suffix('.html')}")
    page = out or page_path(folder)
    refuse_overlap([page], [folder] if folder.is_file() else [])
    with lock_outputs(page):
        refuse_foreign_files([page], overwrite)
        try:
            write_report(folder, page)
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{folder} holds facts that are not as Cytoshift writes them ({type(error).__name__}: {error}); make "
                "its results again"
            ) from error
    conclude(as_json, f"report in {page}", verb="report", report=page)
