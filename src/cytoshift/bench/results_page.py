"""A page of the tables of many specs, with the pictures that it may show."""

import re
from io import BytesIO
from pathlib import Path

from ..core.atomic import atomic_path
from ..core.provenance import add_mark
from .dataset_spec import Files
from .layout import READING
from .spec import Spec

COLOURS = 128  # of a picture on the page, which weighs a third of the original then


def slug(spec: Spec) -> str:
    return re.sub(r"[^a-z0-9]+", "-", spec.title.lower()).strip("-")


def copy_pictures(page: Path, spec: Spec, pictures: dict[str, Path], curves: dict[str, Path]) -> list[dict[str, Path]]:
    """Copies of pictures and curves beside the page, by data set; paths relative to the page.

    Of real data only curves are shown: images keep their licence and are not the page's to show.
    """
    made = {d.name for d in spec.datasets if not isinstance(d, Files)}
    kept = {name: path for name, path in pictures.items() if name in made}
    return [{name: copy_picture(path, page, spec) for name, path in paths.items()} for paths in (kept, curves)]


def copy_picture(picture: Path, page: Path, spec: Spec) -> Path:
    """PAGE/../pictures/SPEC-NAME.png, with few colours."""
    from PIL import Image

    path = Path("pictures") / f"{slug(spec)}-{picture.name}"
    buffer = BytesIO()
    Image.open(picture).convert("RGB").quantize(COLOURS).save(buffer, format="PNG", optimize=True)
    with atomic_path(page.parent / path) as beside:
        beside.write_bytes(add_mark(buffer.getvalue()))
    return path


def update_page(page: Path, spec: Spec, text: str) -> None:
    """Put a table into a page of many: the part between this spec's own marks is replaced, the rest stays."""
    start, end = f"<!-- bench {slug(spec)} -->", f"<!-- end {slug(spec)} -->"
    part = f"{start}\n{text}{end}\n"
    head = f"# Results\n\nWritten by `cytoshift bench --page`; the specs stand in `benchmarks/specs`. {READING}\n\n"
    old = page.read_text() if page.exists() else head
    before, found, rest = old.partition(start)
    new = before + part + rest.partition(f"{end}\n")[2] if found else f"{old.rstrip()}\n\n{part}"
    with atomic_path(page) as beside:
        beside.write_text(new)
