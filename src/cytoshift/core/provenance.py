"""What tells a result of ours from a file of the user: the one rule by which a verb replaces a file unasked.

    picture   a PNG whose text says "Software: Cytoshift"; such a picture is never read as an image of a folder
    page      HTML that says that Cytoshift generated it
    table     CSV whose first column is "image"
    numbers   JSON with all the names of one of RESULT_KEYS

Labels carry the mark of the request that they were made by: a TIFF as its software, an OME-Zarr among its attributes.
So a command that goes on after a kill tells its own labels from those that another program has put there meanwhile.

Labels, images, archives, models and settings are never replaced without being asked, whoever made them.
"""

import hashlib
import json
import logging
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import UserError

SOFTWARE = "Cytoshift"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MARK = b"Software\0" + SOFTWARE.encode()
GENERATOR = '<meta name="generator" content="Cytoshift'
HEAD_BYTES = 4096  # bytes in which a mark stands
ATTRIBUTES = ("zarr.json", ".zattrs")  # of a Zarr group
LARGEST_JSON = 2**28  # bytes of a JSON that is looked into
RESULT_KEYS: tuple[set[str], ...] = (
    {"pred", "truth", "iou", "reading"},  # evaluate
    {"iou", "classes"},  # evaluate, of several classes
    {"model", "score", "calibrated", "images"},  # trust
    {"chosen", "because", "states"},  # select
    {"verdict", "blocks"},  # seams of segment
)


def add_mark(png: bytes) -> bytes:
    """A PNG with the mark, behind its header."""
    body = b"tEXt" + MARK
    chunk = struct.pack(">I", len(MARK)) + body + struct.pack(">I", zlib.crc32(body))
    end = len(SIGNATURE) + 25  # length, name, 13 bytes and checksum of IHDR
    return png[:end] + chunk + png[end:]


def is_marked(path: Path) -> bool:
    """Whether a file is a picture that `add_mark` made."""
    if path.suffix.lower() != ".png":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(SIGNATURE) and b"tEXt" + MARK in head


def request_mark(request: dict[str, Any]) -> str:
    """What labels of a request carry; request: JSON."""
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    return f"{SOFTWARE} request {digest[:16]}"


def carries_mark(labels: Path, mark: str) -> bool:
    """Whether labels, a TIFF or the folder of an OME-Zarr, carry the mark of a request."""
    try:
        if labels.is_dir():
            return any(
                mark.encode() in (labels / name).read_bytes() for name in ATTRIBUTES if (labels / name).is_file()
            )
        with labels.open("rb") as file:
            return mark.encode() in file.read(HEAD_BYTES)
    except OSError:
        return False


def is_own_result(path: Path) -> bool:
    """Whether a file is evidently a result of this program that can be made again."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".png":
            return is_marked(path)
        if suffix in (".html", ".htm"):
            with path.open("rb") as file:
                return GENERATOR.encode() in file.read(HEAD_BYTES)
        if suffix == ".csv":
            with path.open("rb") as file:
                return file.read(len(b"image,")) == b"image,"
        if suffix == ".json" and path.stat().st_size <= LARGEST_JSON:
            found: Any = json.loads(path.read_text(encoding="utf-8"))
            return isinstance(found, dict) and any(names <= set(found) for names in RESULT_KEYS)
    except (OSError, ValueError):
        return False
    return False


def refuse_foreign_files(paths: Iterable[Path], overwrite: bool) -> None:
    """Raises UserError where a file stands that is not evidently an earlier result, unless `overwrite` asks for it."""
    for path in paths:
        if not overwrite and path.exists() and not is_own_result(path):
            raise UserError(
                f"{path} already exists, and it does not look like a result of this program; pass `overwrite` to "
                "replace it "
                "or another `out`"
            )


class SayOnce:
    """Sentences that are said once in a process, on stderr."""

    said: set[str] = set()

    @classmethod
    def say(cls, sentence: str) -> None:
        if sentence not in cls.said:
            cls.said.add(sentence)
            logging.getLogger("cytoshift").warning(sentence)
