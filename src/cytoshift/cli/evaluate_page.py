"""The report of `cytoshift evaluate`: where it goes, and whether there is room for its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from .console import say

if TYPE_CHECKING:
    from ..data.volumes import Volume
    from ..predict.comparison_evidence import Triple

REPORT_BYTES_FACTOR = 2  # times the bytes of both label images that their report takes; 1.4 were measured
PAGES = (".html", ".htm")


def place(pred: str, out: Path | None, name: str = "") -> Path:
    """FILE.html as it was asked for, else beside the predictions: OUT/report/evaluation.html, or cells.evaluation.html.

    name: of a class, which gets a page of its own. Raises UserError where `out` is no HTML file.
    """
    if out is not None:
        if out.suffix.lower() not in PAGES:
            raise UserError(
                f"a report is an HTML file, but {out} has another ending; pass -o {out.with_suffix('.html')}"
            )
        return out.with_stem(f"{out.stem}-{name}") if name else out
    from ..data.find import find_files

    head = Path(pred.partition("::")[0])
    if head.is_dir() and head.suffix.lower() != ".zarr":
        return head / "report" / (f"evaluation-{name}.html" if name else "evaluation.html")
    file = find_files(pred).files[0]
    return file.with_name(f"{file.stem.removesuffix('.ome')}.evaluation.html")


def refuse_places(
    written: "Sequence[Path | None]", labels: "Sequence[str]", images: "Sequence[str | None]", classes: "Sequence[str]",
    overwrite: bool,
) -> None:  # fmt: skip
    """Raises UserError where what is asked for would replace what is read, or a file that `evaluate` did not write.

    written: the numbers and the report, None where they are not asked for; of several classes a report for each.
    """
    from ..core.provenance import refuse_foreign_files
    from ..data.input_files import refuse_inputs

    numbers, out = written
    pages = [place("", out, name) for name in classes or [""]] if out is not None else []
    places = [*pages, *([numbers] if numbers is not None else [])]
    read = [str(Path(path) / name) for path in labels for name in classes] or labels
    refuse_inputs(places, images, labels=read)
    refuse_foreign_files(places, overwrite)


def room(pairs: "Sequence[tuple[Volume, Volume]]", left: float, asked: bool) -> bool:
    """Whether a report, which takes images whole, fits into so many bytes.

    If it does not fit, a message says so; if it was `asked` for, this is a UserError.
    """
    largest = max(REPORT_BYTES_FACTOR * (one.array.nbytes + other.array.nbytes) for one, other in pairs)
    if largest <= left:
        return True
    words = (
        f"a report reads each image whole, which takes some {largest / 1e9:.1f} GB here, but --memory leaves "
        f"{left / 1e9:.1f} GB for it; pass a larger --memory, or --no-report, as the numbers need less"
    )
    if asked:
        raise UserError(words)
    say(f"no report: {words}", err=True)
    return False


def page(triples: "Sequence[Triple]", result: dict[str, Any], seconds: float, where: Path, asked: bool) -> Path | None:
    """Write the report; what it is made of is not kept.

    A folder that cannot be written to is a UserError where the report was `asked` for; else it is said, and None.
    """
    from tempfile import TemporaryDirectory

    from ..core.lock import lock_outputs
    from ..core.provenance import refuse_foreign_files
    from ..predict.comparison_evidence import write_comparison
    from ..report import write_report

    try:
        with lock_outputs(where), TemporaryDirectory() as folder:
            refuse_foreign_files([] if asked else [where], overwrite=False)
            write_comparison(triples, result, seconds, Path(folder))
            return write_report(Path(folder), where)
    except UserError as error:
        if asked:
            raise
        say(f"no report: {error}", err=True)
        return None
