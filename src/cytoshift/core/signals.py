"""What TERM, HUP, INT and USR1 do to a command: it ends in order, says so in one sentence, and exits with 128 + n.

    with listening():            # the command line; elsewhere signals stay what they are
        with deferred():         # what must not be torn apart, such as a step of a training
            ...
            if asked(): ...      # whoever defers looks here and ends at a good moment

Outside of `defer_signals` a signal raises Stopped at once, where Python stands: every file is written beside and
renamed, so nothing is half-written. The second signal ends the process on the spot. SLURM sends USR1 before it takes a
machine.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

NAMES = tuple(name for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGUSR1") if hasattr(signal, name))
AGAIN = b"cytoshift: ends after what is being done; a second signal ends it at once\n"


class StopRequest(BaseException):
    """The command must end. number: of the signal; words: what is kept, and how to continue; None if another process
    says it."""

    def __init__(self, number: int, words: str | None = "") -> None:
        super().__init__(number, words)
        self.number, self.words = number, words

    def sentence(self) -> str:
        name = "Ctrl-C" if self.number == signal.SIGINT else signal.Signals(self.number).name
        return f"stopped by {name}; {self.words or 'nothing half-written is left, give the command again'}"


class SignalState:
    """heeded: signals that are handled. number: of the signal that has come, 0 before. depth: how many `defer_signals`
    are open, quiet: how many of these are short."""

    def __init__(self) -> None:
        self.heeded: list[int] = []
        self.number, self.depth, self.quiet = 0, 0, 0

    def receive(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            os._exit(128 + number)
        self.number = number
        if not self.depth:
            raise StopRequest(number)
        if self.depth > self.quiet:
            os.write(2, AGAIN)


STATE = SignalState()


def requested_signal() -> int:
    """The number of the signal that asks the command to end, 0 if there is none."""
    return STATE.number


@contextmanager
def handle_signals(heeded: Sequence[int] = ()) -> Iterator[None]:
    """Signals, or `heeded` of them, end this process in order, until the end of the block; in the main thread, where
    Python hears them.

    A signal that the process was told to ignore, as nohup does with HUP, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    STATE.number = STATE.depth = STATE.quiet = 0
    numbers = heeded or [getattr(signal, name) for name in NAMES]
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, STATE.receive)
    STATE.heeded = heard
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number] if before[number] is not None else signal.SIG_DFL)
        STATE.number, STATE.heeded = 0, []


@contextmanager
def defer_signals(quiet: bool = False) -> Iterator[None]:
    """A signal waits until `requested_signal` is looked at, or until the end of the block. quiet: the block is a short
    one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    STATE.depth += 1
    STATE.quiet += quiet
    try:
        yield
    finally:
        STATE.depth -= 1
        STATE.quiet -= quiet
    if STATE.number and not STATE.depth:
        raise StopRequest(STATE.number)


@contextmanager
def explain_stop(words: Callable[[], str]) -> Iterator[None]:
    """The sentence about kept results that a command prints when it is stopped."""
    try:
        yield
    except StopRequest as stop:
        raise StopRequest(stop.number, words() if stop.words == "" else stop.words) from None


def ignore_signals() -> None:
    """In a process that works for another one: Ctrl-C reaches all of them, and the leading one decides."""
    for name in NAMES:
        signal.signal(getattr(signal, name), signal.SIG_DFL if name == "SIGTERM" else signal.SIG_IGN)


def reset_in_child() -> None:
    """A forked process, such as one that reads samples, is such a process."""
    if STATE.heeded:
        STATE.heeded, STATE.number, STATE.depth, STATE.quiet = [], 0, 0, 0
        ignore_signals()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset_in_child)
