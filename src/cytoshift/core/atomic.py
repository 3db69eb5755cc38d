"""Write beside, then rename: a file is whole or absent, whatever kills the process."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds, remove it when it fails.

    Works for a file or a folder (make the folder at the yielded path). An existing `path` is replaced at the
    end only. Raises UserError where the folder cannot be written to.

    The temporary name keeps the suffix of `path`, because writers choose a format by it.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"cannot write {path}: there is a file where its folder would be; choose another output with -o"
        ) from error
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another output with -o") from error
    try:
        discard(temporary)
        yield temporary
        swap(temporary, path)
    except OSError as error:
        discard(temporary)
        if isinstance(error, FileNotFoundError | FileExistsError) and error.filename != str(temporary):
            raise
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {path}: {reason}; free space or choose another output with -o") from error
    except BaseException:
        discard(temporary)
        raise


def swap(temporary: Path, path: Path) -> None:
    """Give a finished file or folder the name `path`, in place of what stood there; no file takes a folder's place."""
    if path.is_dir() and temporary.is_dir():
        old = path.with_name(f".{path.name}.old")
        discard(old)
        path.rename(old)
        temporary.rename(path)
        discard(old)
    else:
        os.replace(temporary, path)


def discard(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
