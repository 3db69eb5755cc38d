"""Captioned grids of pictures, and the PNG they end in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import atomic_path
from ..core.provenance import add_mark
from .caption import draw_text, wrap_text

RGB = NDArray[np.uint8]
PAPER = (255, 255, 255)  # between the pictures
GAP = 8  # pixels between cells and around them
LETTERS = 14  # pixels of a letter
LINE = 1.3  # line pitch in multiples of the letter size


def image_grid(
    rows: Sequence[Sequence[RGB | None]],
    titles: Sequence[str] | None = None,
    captions: Sequence[str | Sequence[str]] | None = None,
    *,
    heading: str | None = None,
) -> RGB:
    """Pictures in a grid on white paper.

    rows: RGB pictures (h, w, 3) uint8 of any size, cells of a column are centred; None leaves a cell empty.
    titles: one per column, above the grid. captions: per row one string beneath the whole row, or one string
    per cell beneath each cell. heading: above everything. Long text wraps.
    Returns (H, W, 3) uint8.
    """
    if not rows or not any(cell is not None for row in rows for cell in row):
        raise ValueError("a sheet needs at least one picture")
    if captions is not None and len(captions) != len(rows):
        raise ValueError(f"{len(captions)} captions for {len(rows)} rows of a sheet")
    count = max(len(row) for row in rows)
    columns = [[row[c] for row in rows if c < len(row)] for c in range(count)]
    widths = [max((cell.shape[1] for cell in column if cell is not None), default=0) for column in columns]
    lefts = [GAP + sum(widths[:c]) + c * GAP for c in range(count)]
    total = sum(widths) + GAP * (count + 1)
    page = [blank_paper(GAP, total)]
    if heading:
        page.append(caption_row(heading, total, [GAP], [total - 2 * GAP], LETTERS + 4))
    if titles:
        page.append(caption_row(titles, total, lefts, widths, LETTERS + 1))
    for index, row in enumerate(rows):
        page += [picture_row(row, total, lefts, widths), blank_paper(GAP // 2, total)]
        if captions is not None and captions[index]:
            whole = isinstance(captions[index], str)
            page.append(caption_row(captions[index], total, lefts, [total - 2 * GAP] if whole else widths, LETTERS))
    return np.concatenate([*page, blank_paper(GAP, total)])


def stack_pictures(pictures: Sequence[RGB]) -> RGB:
    """Pictures (h, w, 3) uint8 below each other, on white paper as wide as the widest; (H, W, 3) uint8."""
    widest = max(picture.shape[1] for picture in pictures)
    return np.concatenate([np.hstack([one, blank_paper(len(one), widest - one.shape[1])]) for one in pictures])


def blank_paper(height: int, width: int) -> RGB:
    return np.full((height, width, 3), PAPER, dtype=np.uint8)


def picture_row(row: Sequence[RGB | None], total: int, lefts: Sequence[int], widths: Sequence[int]) -> RGB:
    """One row of pictures, each centred in its column and standing on the row's top."""
    strip = blank_paper(max((cell.shape[0] for cell in row if cell is not None), default=0), total)
    for cell, left, width in zip(row, lefts, widths):
        if cell is not None:
            start = left + (width - cell.shape[1]) // 2
            strip[: cell.shape[0], start : start + cell.shape[1]] = cell
    return strip


def caption_row(texts: str | Sequence[str], total: int, lefts: Sequence[int], widths: Sequence[int], size: int) -> RGB:
    """A strip of paper with one text per column, as high as the longest needs."""
    columns = [
        wrap_text(text, width, size) for text, width in zip([texts] if isinstance(texts, str) else texts, widths)
    ]
    pitch = round(size * LINE)
    strip = blank_paper(pitch * max(len(lines) for lines in columns) + GAP // 2, total)
    for lines, left in zip(columns, lefts):
        for number, line in enumerate(lines):
            draw_text(strip, line, (float(left), number * pitch), size=size)
    return strip


def png_path(path: Path) -> Path:
    """Where `save_png` writes a picture that is to go to `path`."""
    path = Path(path)
    return path if path.suffix.lower() == ".png" else path.with_name(path.name + ".png")


def save_png(path: Path, rgb: RGB) -> Path:
    """Write an RGB (H, W, 3) uint8 picture, whole or not at all, marked as ours. Returns the path, suffix .png."""
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, format="PNG")
    path = png_path(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(add_mark(buffer.getvalue()))
    return path
