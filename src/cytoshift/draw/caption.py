"""Words on pictures."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

# Pillow's own font, which is always there, lacks these.
PLAIN = str.maketrans({
    "µ": "u", "μ": "u", "×": "x", "–": "-", "—": "-", "−": "-", "≥": ">=", "≤": "<=", "→": "->", "…": "...",
    "’": "'", "‘": "'", "“": '"', "”": '"', "³": "^3", "²": "^2", "≈": "~",
})  # fmt: skip


@lru_cache
def font(size: int) -> "FreeTypeFont | ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def draw_text(
    picture: NDArray[np.uint8],
    words: str,
    at: tuple[float, float],
    *,
    size: int = 14,
    anchor: str = "la",
    halo: bool = False,
) -> None:
    """Draw words into `picture` (h, w, 3), in place. at: (x, y); anchor: as in Pillow ("la" left ascender).

    halo: white letters with a black rim, legible on anything; without it, dark ink for a light page.
    """
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(picture)
    rim: dict[str, Any] = {"stroke_width": 2, "stroke_fill": (0, 0, 0)} if halo else {}
    fill = (255, 255, 255) if halo else (20, 20, 20)
    ImageDraw.Draw(canvas).text(at, words.translate(PLAIN), font=font(size), fill=fill, anchor=anchor, **rim)
    picture[...] = np.asarray(canvas)


def text_width(words: str, size: int) -> float:
    """Pixels that the words take."""
    return float(font(size).getlength(words.translate(PLAIN)))


def wrap_text(words: str, room: float, size: int) -> list[str]:
    """Lines that fit into `room` pixels, broken at spaces; a word longer than that keeps a line of its own."""
    lines: list[str] = []
    for paragraph in words.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and text_width(longer, size) > room:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return lines
