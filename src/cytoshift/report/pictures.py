"""Pictures inside of a page, as data: URIs within a budget, so that a page can be sent by mail."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

PAGE_BYTES = 10_500_000  # bytes of all pictures of a page: as text a third more, and the page stays below 15 MB
LONGEST_SIDE = 1400  # pixels of the longer side of a sheet
QUALITY = 80  # of JPEG, of 100
TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


@dataclass(frozen=True)
class Picture:
    """What an <img> needs. alt: what it shows, in words."""

    uri: Markup
    alt: str
    width: int
    height: int


class Album:
    """All pictures of one page. What does not fit is left out and counted, so that the page can say so."""

    def __init__(self, budget: int = PAGE_BYTES) -> None:
        self.left, self.dropped = budget, 0

    def sheet(self, path: Path, alt: str, longest: int = LONGEST_SIDE) -> Picture | None:
        """A picture as it is where that is small, else as a JPEG of limited size; None where there is none."""
        from PIL import Image

        if not path.exists():
            return None
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        if max(picture.size) > longest:
            picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="JPEG", quality=QUALITY, optimize=True)
        return self.embed(buffer.getvalue(), "image/jpeg", alt, picture.size)

    def embed_file(self, path: Path, alt: str) -> Picture | None:
        """A small PNG or JPEG, byte for byte."""
        from PIL import Image

        if not path.exists() or path.suffix not in TYPES:
            return None
        with Image.open(path) as opened:
            size = opened.size
        return self.embed(path.read_bytes(), TYPES[path.suffix], alt, size)

    def embed(self, data: bytes, kind: str, alt: str, size: tuple[int, int]) -> Picture | None:
        if len(data) > self.left:
            self.dropped += 1
            return None
        self.left -= len(data)
        return Picture(Markup(f"data:{kind};base64,{base64.b64encode(data).decode()}"), alt, *size)


def select_groups(groups: list[list[Path]], budget: int) -> list[int]:
    """Which of some groups of files fit into a budget: all of them, or as many as fit, evenly."""
    sizes = [sum(path.stat().st_size for path in group if path.exists()) for group in groups]
    for count in range(len(groups), 0, -1):
        chosen = spaced_numbers(len(groups), count)
        if sum(sizes[i] for i in chosen) <= budget:
            return chosen
    return []


def spaced_numbers(total: int, count: int) -> list[int]:
    """At most `count` of the numbers below `total`, the first and the last among them; of one, the middle.

    >>> spaced_numbers(5, 3), spaced_numbers(2, 9), spaced_numbers(5, 1)
    ([0, 2, 4], [0, 1], [2])
    """
    count = min(total, count)
    return [total // 2] if count == 1 else [round(i * (total - 1) / (count - 1)) for i in range(count)]
