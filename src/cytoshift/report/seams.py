"""What the audit of a segmentation in blocks has found at the faces of blocks, from the files that it has written:
report/seams/NAME.json, or cells.seams.json beside a single result."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.json_files import read_json

WHAT = {"cut": "objects cut", "lost": "objects lost"}


def read_seams(folder: Path) -> list[dict[str, Any]]:
    """Of each image and class the verdict, rates at faces and between them, and the blocks. folder: of an account."""
    paths = [folder.with_name(f"{folder.stem}.seams.json"), *sorted((folder / "seams").glob("*.json"))]
    return [one for path in paths for one in of_file(path)]


def of_file(path: Path) -> Iterator[dict[str, Any]]:
    told = read_json(path)
    blocks = told.get("blocks", {})
    for name, audit in told.get("classes", {}).items():
        image = path.name.removesuffix(".json").removesuffix(".seams")
        yield {
            "title": image if name == "objects" else f"{image}, {name}",
            "passed": audit.get("verdict") == "passed", "found": ", ".join(audit.get("seams", [])),
            "rows": list(seam_rows(audit)), "blocks": describe_blocks(blocks),
        }  # fmt: skip


def seam_rows(audit: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """What, at faces, between them, and how sure the difference is."""
    faces, between, sigmas = (audit.get(key, {}) for key in ("faces", "between", "sigmas"))
    for key, text in WHAT.items():
        if key in faces and key in between:
            yield text, format_rate(faces, key), format_rate(between, key), f"{sigmas.get(key, 0.0):+.1f}"
    growth = audit.get("excess", {}).get("growth")
    if growth is not None:
        yield "size of objects that cross", f"{100 * growth:+.1f} %", "0 %", f"{sigmas.get('growth', 0.0):+.1f}"


def format_rate(counts: Mapping[str, float], key: str) -> str:
    of = counts.get("sections", 0.0)
    return f"{100 * counts[key] / of:.2f} % of {of:,.0f}" if of else "none there"


def describe_blocks(blocks: Mapping[str, Any]) -> str:
    """Number, size and halo of the blocks."""
    if "count" not in blocks:
        return ""
    size, halo = (" × ".join(map(str, blocks.get(key, ()))) for key in ("size", "halo"))
    return f"{blocks['count']:,} blocks of {size} voxels, each of which was read with {halo} voxels around it"
