"""What somebody who waits sees, on stderr: a bar in a terminal, elsewhere a line now and then, nothing when quiet.

A caller in Python follows it by a function instead, see `follow_progress`.

segment a.tif ━━━━━━━━━━━━━━━━━━━━━━━╸━━━━━━━━━━  62 %  1.83 Mvoxel/s  0:00:21  ETA 0:00:13  1.4 GB
segment a.tif: 62 %, 1.83 Mvoxel/s, ETA 13 s, 1.4 GB
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .machine import memory
from .text import make_printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINE_SECONDS = 10.0  # seconds between two plain lines
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))

Follower = Callable[[str, float, float], None]  # what is being done, how much of it is done, how much there is
FOLLOWER: ContextVar[Follower | None] = ContextVar("FOLLOWER", default=None)
log = logging.getLogger("cytoshift")


@contextmanager
def follow_progress(follower: Follower | None) -> Iterator[Follower | None]:
    """Within, a function is called with every progress, and nothing is printed.

    Parameters
    ----------
    follower
        Is called with what is being done, how much of it is done and how much there is. None: as before.

    Examples
    --------
    >>> with follow_progress(print), Progress("count", 2) as progress:
    ...     progress.advance()
    count 1 2
    """
    if follower is None:
        yield FOLLOWER.get()
        return
    token = FOLLOWER.set(follower)
    try:
        yield follower
    finally:
        FOLLOWER.reset(token)


class Progress:
    """Progress of one task, in `unit`s, of which there are `total`; `done` of them were done before it began.

    stage: what is being done; it may change. quiet: nothing is shown, and nothing is said. plain: no bar, as what is
    done has one of its own.
    """

    def __init__(
        self, stage: str, total: float, unit: str = "", quiet: bool = False, done: float = 0, plain: bool = False
    ) -> None:
        from rich.console import Console

        self.stage, self.total, self.unit, self.done, self.first = stage, total, unit, done, done
        self.follower = FOLLOWER.get()
        quiet = quiet or self.follower is not None
        self.console = Console(stderr=True, quiet=quiet)
        self.began = self.told = time.monotonic()
        self.bar = self.has_bar() if self.console.is_terminal and not quiet and not plain else None

    def has_bar(self) -> "Bar":
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
            TextColumn("{task.fields[memory]}"), console=self.console, transient=True,
        )  # fmt: skip
        self.task = bar.add_task(
            make_printable(self.stage), total=self.total, completed=int(self.done), rate="", memory=memory_text()
        )
        return bar

    def __enter__(self) -> Self:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def begin(self, stage: str, total: float, done: float = 0) -> None:
        """Another task, of which so much is done already."""
        self.stage, self.total, self.done, self.first = stage, total, done, done
        self.began = time.monotonic()
        if self.bar:
            self.bar.reset(self.task, total=total, completed=int(done), description=make_printable(stage))

    def update(self, done: float, stage: str | None = None, rate: str | None = None) -> None:
        """So much is done by now; rate: in words, where it is not that of the units."""
        self.done, self.stage = done, stage or self.stage
        if self.follower:
            self.follower(self.stage, done, self.total)
        elif self.bar:
            words = self.rate if rate is None else rate
            self.bar.update(
                self.task, completed=done, description=make_printable(self.stage), rate=words, memory=memory_text()
            )
        elif time.monotonic() - self.told >= LINE_SECONDS:
            self.line()

    def advance(self, amount: float = 1, stage: str | None = None) -> None:
        self.update(self.done + amount, stage)

    def line(self, note: str = "") -> None:
        """A plain line, where there is no bar."""
        self.told = time.monotonic()
        if self.bar is None:
            part = f"{100 * self.done / self.total:.0f} %" if self.total else ""
            eta = "" if self.eta is None else f"ETA {format_duration(self.eta)}"
            self.say(
                f"{self.stage}: " + ", ".join(word for word in (part, self.rate, eta, memory_text(), note) if word)
            )

    def say(self, text: str) -> None:
        """A sentence, above the bar where there is one; to the log where a function follows."""
        if self.follower:
            log.info(make_printable(text))
        self.console.print(make_printable(text), highlight=False, soft_wrap=True, markup=False)

    @property
    def is_live(self) -> bool:
        """Whether every update is seen: on a bar, or by a function."""
        return self.bar is not None or self.follower is not None

    @property
    def speed(self) -> float:
        """Units per second since the task began, 0 before anything is done."""
        return (self.done - self.first) / max(time.monotonic() - self.began, 1e-9)

    @property
    def rate(self) -> str:
        return f"{format_si(self.speed)}{self.unit}/s" if self.unit and self.speed else ""

    @property
    def eta(self) -> float | None:
        """Seconds to the end, None before anything is done."""
        return (self.total - self.done) / self.speed if self.speed else None


def format_si(value: float) -> str:
    """Three digits and a prefix.

    >>> format_si(1_830_000), format_si(2.5)
    ('1.83 M', '2.5 ')
    """
    for size, prefix in PREFIXES:
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "


def memory_text() -> str:
    """Memory of this process, as "1.4 GB"; nothing where the system does not tell."""
    used = memory()
    return "" if used is None else f"{used:.1f} GB"


def format_duration(seconds: float) -> str:
    """For a person.

    >>> format_duration(13.2), format_duration(200), format_duration(7300)
    ('13 s', '3 min 20 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
