"""Lines of numbers, on white paper."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .caption import draw_text, text_width

RGB = NDArray[np.uint8]
# Okabe and Ito's colours, told apart by colour-blind readers too.
INKS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (60, 60, 60))
SIZE, LEFT, TOP, LETTERS = (420, 300), 56, 40, 14  # of the field (w, h); margins; pixels of a letter
GRAY = (215, 215, 215)  # of lines and frames


def chart(lines: Mapping[str, Sequence[tuple[float, float]]], title: str, across: str, unit: str = "%") -> RGB:
    """One line per name through its points (x, y), x and y in [0, 1] and written in hundredths.

    Values of x stand side by side at equal distances, as they are: a few small parts and a large one all find room.
    title: above; across: below the axis. Returns (H, W, 3) uint8.
    """
    from PIL import Image, ImageDraw

    steps = sorted({x for points in lines.values() for x, _ in points})
    values = [y for points in lines.values() for _, y in points]
    low, high = np.floor(10 * min(values)) / 10, np.ceil(10 * max(values)) / 10
    high = max(high, low + 0.1)
    place = lambda x, y: (
        LEFT + SIZE[0] * (steps.index(x) + 0.5) / len(steps),
        TOP + SIZE[1] * (high - y) / (high - low),
    )
    legend = LEFT + SIZE[0] + 16
    room = max(text_width(name, LETTERS) for name in lines)
    page = Image.new("RGB", (int(legend + 30 + room), TOP + SIZE[1] + 56), (255, 255, 255))
    pen = ImageDraw.Draw(page)
    ticks = np.arange(round(10 * low), round(10 * high) + 1) / 10
    for tick in ticks:
        row = place(steps[0], tick)[1]
        pen.line([(LEFT, row), (LEFT + SIZE[0], row)], fill=GRAY)
    order = sorted(lines, key=lambda name: -max(lines[name])[1])  # as the lines end, from top to bottom
    for number, name in enumerate(order):
        ink, points = INKS[number % len(INKS)], [place(x, y) for x, y in sorted(lines[name])]
        pen.line(points, fill=ink, width=2, joint="curve")
        for x, y in points:
            pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=ink)
        row = TOP + 10 + number * round(1.5 * LETTERS)
        pen.line([(legend, row), (legend + 20, row)], fill=ink, width=2)
    picture = np.array(page)
    draw_text(picture, title, (8, 8), size=LETTERS + 2)
    for tick in ticks:
        draw_text(picture, f"{100 * tick:.0f}", (LEFT - 8, place(steps[0], tick)[1]), size=LETTERS, anchor="rm")
    for x in steps:
        at = (place(x, low)[0], TOP + SIZE[1] + 8)
        draw_text(picture, f"{100 * x:g} {unit}", at, size=LETTERS, anchor="ma")
    draw_text(picture, across, (LEFT + SIZE[0] / 2, TOP + SIZE[1] + 30), size=LETTERS, anchor="ma")
    for number, name in enumerate(order):
        draw_text(picture, name, (legend + 26, TOP + 10 + number * round(1.5 * LETTERS)), size=LETTERS, anchor="lm")
    return picture
