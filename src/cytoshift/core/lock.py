"""One command at a time for each output: the second one says who works there.

The lock of OUT is the file .OUT.lock beside it. The operating system holds it (flock), so that it ends with its
process, however that ends; the file says who took it. On file systems without flock the file .OUT.owner stands for the
lock: it is created by one process only, and a killed process leaves it behind. If that process ran on this
machine, the lock is taken over; if it ran on another machine, the sentence says which file to remove.
"""

import errno
import json
import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .atomic import clean_up, is_alive
from .errors import UserError
from .json_files import now

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)  # the file system has no flock
SHOWN_LETTERS = 120  # letters of a command that are shown
NAMING_SECONDS = 1.0  # seconds in which who takes a lock has written its name
HELD: set[int] = set()  # file descriptors of locks, which forked processes do not keep


class OutputBusy(UserError):
    """Another command works there."""


@contextmanager
def lock_outputs(*places: Path | str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the locks of some outputs, files or folders that need not exist yet.

    say: is told where the file system has no locks; default: stderr. Raises Busy where another command works, and
    UserError where nothing can be written.
    """
    with ExitStack() as stack:
        for path, place in sorted({lock_path(place) for place in places}):
            stack.enter_context(acquire(path, place, say or warn))
            clean_up(path.with_name(path.name[1 : -len(".lock")]))
        yield


def lock_path(place: Path | str) -> tuple[Path, Path]:
    """The lock file, and the place in words; labels inside of an image lock the image."""
    head = Path(str(place).partition("::")[0])
    real = Path(os.path.realpath(head))
    return real.with_name(f".{real.name}.lock"), head


@contextmanager
def acquire(path: Path, place: Path, say: Callable[[str], None]) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = open_lock(path, place)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"cannot write {place}: there is a file where its folder would be; choose another output with `out`"
        ) from error
    except OSError as error:
        raise UserError(f"cannot write {place}: {error.strerror}; choose another output with `out`") from error
    if descriptor is None:
        with lock_by_file(path.with_suffix(".owner"), place, say):
            yield
        return
    HELD.add(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(owner()).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        HELD.discard(descriptor)
        os.close(descriptor)


def open_lock(path: Path, place: Path) -> int | None:
    """A descriptor that holds the lock; None where the file system has none. Raises Busy."""
    if sys.platform == "win32":
        return None
    import fcntl

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one before may have removed the file between the two calls.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
            os.close(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in NO_LOCKS:
                path.unlink(missing_ok=True)
                return None
            if isinstance(error, FileNotFoundError):
                continue
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise
            raise OutputBusy(
                f"{describe_owner(path, place)}; wait for it, or choose another output with `out`"
            ) from None


@contextmanager
def lock_by_file(path: Path, place: Path, say: Callable[[str], None]) -> Iterator[None]:
    """The lock as a file that one process creates, where the file system has no other."""
    try:
        create_lock(path)
    except FileExistsError:
        if not is_abandoned(path):
            raise OutputBusy(
                f"{describe_owner(path, place)}; wait for it, choose another output with `out`, or remove {path} if "
                "that process "
                "is no more"
            ) from None
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.rename(aside)  # of two that take it over, one finds it
            aside.unlink()
            create_lock(path)
        except (FileNotFoundError, FileExistsError):
            raise OutputBusy(
                f"{describe_owner(path, place)}; wait for it, or choose another output with `out`"
            ) from None
    say(
        f"{place} lies on a file system without locks: {path} says that it is in use; remove it where a command was "
        "killed on another machine"
    )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def create_lock(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(descriptor, json.dumps(owner()).encode())
    finally:
        os.close(descriptor)


def owner() -> dict[str, Any]:
    return {
        "pid": os.getpid(), "host": socket.gethostname(), "since": now(), "born": start_ticks(os.getpid()),
        "command": command(),
    }  # fmt: skip


def command() -> str:
    """This process, in the words that started it."""
    name = Path(sys.argv[0]).name if sys.argv else ""
    words = shlex.join(["cytoshift" if name == "__main__.py" else name or "python", *sys.argv[1:]])
    words = "".join(letter if letter.isprintable() else "?" for letter in words)
    return words if len(words) <= SHOWN_LETTERS else f"{words[: SHOWN_LETTERS - 3]}..."


def describe_owner(path: Path, place: Path) -> str:
    """Who works there, as the file says; it may be about to be written."""
    end = time.monotonic() + NAMING_SECONDS
    while not (found := read(path)) and time.monotonic() < end:
        time.sleep(0.02)
    if not found:
        return f"another command works in {place}"
    return (
        f"another command works in {place}: {found.get('command')} (process {found.get('pid')} on "
        f"{found.get('host')}, since {found.get('since')})"
    )


def read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_abandoned(path: Path) -> bool:
    """Whether the process that created the file was one of this machine and is gone."""
    found = read(path)
    pid = found.get("pid")
    if found.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    return not is_alive(pid) or (found.get("born") is not None and start_ticks(pid) != found["born"])


def start_ticks(pid: int) -> int | None:
    """When a process began, in ticks since the machine did: numbers of processes come again."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def warn(sentence: str) -> None:
    logging.getLogger("cytoshift").warning(sentence)


def release_in_child() -> None:
    """In a forked process: a lock is its parent's, and ends with that."""
    for descriptor in HELD:
        os.close(descriptor)
    HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=release_in_child)
