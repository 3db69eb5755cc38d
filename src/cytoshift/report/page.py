"""A folder of results -> one HTML file that needs nothing else: no network, no script or picture from elsewhere.

Whatever comes out of a file is escaped by the templates, and the page's own policy forbids all that it does not bring
along, so that a name of a file can do no harm.
"""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .. import __version__
from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.json_files import now
from . import benchmark_page, evaluation_page, segmentation_page, training_page
from .pictures import Album


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a run, of results of `segment` or of a benchmark; default: report.html in the folder.

    Raises UserError where the folder holds none of these.
    """
    folder = Path(folder)
    album = Album()
    if (account := segmentation_page.account_of(folder)) is not None:
        template, content = "segmentation.html", segmentation_page.context(account, album)
    elif evaluation_page.is_evaluation(folder):
        template, content = "evaluation.html", evaluation_page.context(folder, album)
    elif benchmark_page.is_benchmark(folder):
        template, content = "benchmark.html", benchmark_page.context(folder, album)
    elif training_page.is_training(folder):
        template, content = "training.html", training_page.context(folder, album)
    else:
        inside = segmentation_page.account_of(folder / "labels") is not None  # of `cytoshift run`
        raise UserError(
            f"{folder} holds no run of 'cytoshift train', no results of 'segment' and none of 'bench'; pass "
            + (f"{folder / 'labels'}, which does" if inside else "a folder that one of these has written")
        )
    return write_page(template, content, album, out or page_path(folder))


def page_path(folder: Path) -> Path:
    """Where the page of a folder goes."""
    account = segmentation_page.account_of(Path(folder))
    if account is None:
        return Path(folder) / "report.html"
    return account.with_suffix(".report.html") if account.suffix == ".report" else account / "report.html"


def write_page(template: str, content: dict[str, Any], album: Album, out: Path) -> Path:
    """Fill in a template of this room."""
    text = render_template(template, {**content, "dropped": album.dropped})
    with atomic_path(out) as beside:
        beside.write_text(text, encoding="utf-8")
    return out


def render_template(template: str, content: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    here = files(__package__) / "templates"
    script, style = (Markup((here / name).read_text(encoding="utf-8")) for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        **content, script=script, style=style, digest=digest, version=__version__, written=now()
    )
