"""Curves and bars as SVG, drawn by us: no script, colours of the page, words outside so that they never shrink."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDE, HIGH = 320, 96  # units of a drawing, which is stretched to its place
POINTS = 400  # of a curve; a longer one is thinned out
WINDOW, WINDOW_PART = 15, 5  # rows that the smooth line is the median of at most, and the part of all rows
SPIKE_QUANTILE = 0.99  # the quantile of its values that a curve has room for; what is beyond is cut off


@dataclass(frozen=True)
class Curve:
    """A drawing with what stands around it."""

    name: str
    svg: Markup
    now: str
    low: str
    high: str
    first: str
    last: str


def curve(name: str, points: Sequence[tuple[float, float]], marks: Sequence[float] = (), noisy: bool = True) -> Curve:
    """A term over the steps: thin as it is, thick as its running median where it is noisy; marks: steps of warnings."""
    steps = [x for x, _ in points]
    values = [y for _, y in points]
    ranked = sorted(values)
    low = min(0.0, ranked[0])
    high = max(ranked[min(int(SPIKE_QUANTILE * len(ranked)), len(ranked) - 1)], low + 1e-12)
    first, last = steps[0], max(steps[-1], steps[0] + 1)
    place = lambda x, y: (WIDE * (x - first) / (last - first), HIGH * (1 - (min(y, high) - low) / (high - low)))
    half = min(WINDOW, len(values) // WINDOW_PART) // 2 if noisy else 0
    smooth = [sorted(values[max(i - half, 0) : i + half + 1]) for i in range(len(values))]
    thick = [(x, window[len(window) // 2]) for x, window in zip(steps, smooth)]
    lines = "".join(
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HIGH}"/>'
        for x in (place(step, low)[0] for step in marks if first <= step <= last)
    )
    words = (
        f"{name}: {format_number(values[0])} at step {first:g}, {format_number(thick[-1][1])} at step {steps[-1]:g}, "
        f"least {format_number(ranked[0])}, most {format_number(ranked[-1])}"
    )
    body = (
        f'{lines}<path class="thin" d="{svg_path(points, place)}"/><path class="thick" d="{svg_path(thick, place)}"/>'
    )
    return Curve(
        name,
        svg_picture(words, body),
        format_number(thick[-1][1]),
        format_number(low),
        format_number(high),
        f"{first:g}",
        f"{steps[-1]:g}",
    )


def svg_path(points: Sequence[tuple[float, float]], place: object) -> str:
    step = max(-(-len(points) // POINTS), 1)
    chosen = [*points[::step], *([points[-1]] if (len(points) - 1) % step else [])]
    if len(chosen) == 1:
        chosen *= 2
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in chosen))  # type: ignore[operator]


def svg_picture(words: str, body: str) -> Markup:
    """A picture for readers of pages as well. body: SVG made of numbers alone."""
    return Markup(
        f'<svg role="img" aria-label="{escape(words)}" viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none">'
        f"{body}</svg>"
    )


def bars(counts: Sequence[float], words: str, over: Sequence[float] | None = None) -> Markup:
    """A histogram; over: another one with the same bins, as a line. Each is drawn by its share."""
    share = lambda values: [value / (sum(values) or 1) for value in values]
    mine, other = share(counts), share(over) if over else []
    top = max([*mine, *other]) or 1
    wide = WIDE / len(mine)
    body = "".join(
        f'<rect class="bar" x="{i * wide + 0.5:.2f}" y="{HIGH * (1 - v / top):.2f}" width="{wide - 1:.2f}" '
        f'height="{HIGH * v / top:.2f}"/>'
        for i, v in enumerate(mine)
        if v
    )
    if other:
        steps = [(x, HIGH * (1 - v / top)) for i, v in enumerate(other) for x in (i * wide, (i + 1) * wide)]
        body += '<path class="over" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in steps) + '"/>'
    return svg_picture(words, body)


def format_number(value: float) -> str:
    """Three digits, for reading.

    >>> format_number(1234567.0), format_number(0.01234), format_number(0)
    ('1.23e+06', '0.0123', '0')
    """
    return f"{value:.3g}"
