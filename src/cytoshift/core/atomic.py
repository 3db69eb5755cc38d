"""Write beside, then rename: a file is whole or absent, whatever kills the process."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError
from .signals import defer_signals

TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.cytoshift(?:\.\w+)?")  # of `atomic_path`
REPLACED = re.compile(r"\.(?P<name>.+)\.cytoshift\.old")  # of `swap`
DEEPEST_FOLDER = 5  # folders below an output that files are written into by `atomic_path`


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds, remove it when it fails.

    Works for a file or a folder (make the folder at the yielded path). An existing `path` is replaced at the
    end only. Raises UserError where the folder cannot be written to.

    The temporary name keeps the suffix of `path`, because writers choose a format by it.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.cytoshift{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"cannot write {path}: there is a file where its folder would be; choose another output with `out`"
        ) from error
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another output with `out`") from error
    try:
        discard(temporary)
        yield temporary
        swap(temporary, path)
    except OSError as error:
        discard(temporary)
        if isinstance(error, FileNotFoundError | FileExistsError) and error.filename != str(temporary):
            raise
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {path}: {reason}; free space or choose another output with `out`") from error
    except BaseException:
        discard(temporary)
        raise


def refuse_other_kind(path: Path, folder: bool) -> None:
    """Raises UserError where a file stands in the place of a folder that is to be written, or a folder in a file's."""
    if path.exists() and path.is_dir() != folder:
        there, wish = ("file", "folder") if folder else ("folder", "file")
        raise UserError(
            f"{path} is a {there}, and a {wish} is to be written there; remove it, or choose another output with `out`"
        )


def refuse_other_contents(folder: Path, marks: tuple[str, ...]) -> None:
    """Raises UserError where a folder that is to be replaced as a whole holds something, and none of the files by which
    such a folder is known."""
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in marks):
        raise UserError(
            f"{folder} is a folder of other files and would be replaced as a whole; choose another output with `out`"
        )


def swap(temporary: Path, path: Path) -> None:
    """Give a finished file or folder the name `path`, in place of what stood there; no file takes a folder's place."""
    if path.is_dir() and temporary.is_dir():
        old = path.with_name(f".{path.name}.cytoshift.old")
        discard(old)
        with defer_signals(quiet=True):
            os.rename(path, old)
            os.rename(temporary, path)
        discard(old)
    else:
        os.replace(temporary, path)


def clean_up(place: Path) -> None:
    """Tidy up what a killed process has left of an output and in it: temporary files go, a folder of which nothing but
    the old state is whole gets it back. To be called by who holds its lock.
    """
    start = f".{place.name.partition('.')[0]}."
    for path in entries(place.parent):
        if path.name.startswith((start, f".{start}")):
            clean_up_one(path)
    folders = [(place, 0)] if place.is_dir() and place.suffix.lower() != ".zarr" else []
    while folders:
        folder, depth = folders.pop()
        inside = entries(folder)
        if any(path.name in ("zarr.json", ".zgroup", ".zarray") for path in inside):
            continue  # Zarr keeps its own pieces whole, and may have millions of them
        for path in inside:
            if path.name.startswith("."):
                clean_up_one(path)
            elif depth < DEEPEST_FOLDER and path.suffix.lower() != ".zarr" and path.is_dir() and not path.is_symlink():
                folders.append((path, depth + 1))


def clean_up_one(path: Path) -> None:
    """`clean_up` one hidden file or folder, if it is one of ours."""
    if (found := TEMPORARY.fullmatch(path.name)) and not is_alive(int(found["pid"])):
        discard(path)
    elif found := REPLACED.fullmatch(path.name):
        if (here := path.with_name(found["name"])).exists():
            discard(path)
        else:
            os.rename(path, here)


def entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """Whether there is such a process on this machine; where that cannot be told, yes."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def discard(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
