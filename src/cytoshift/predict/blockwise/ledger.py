"""Which blocks of which pass are finished: one small text file per pass, that survives whatever kills the process.

    predict.log     the first line is the key of the pass, a hash of all that decides about its numbers ...
                    ... and each further one the number of a finished block

Only the process that gives out the work writes here, a whole line at a time, after the results of the block lie on the
disk. A line that a kill or a full disk has cut off is taken for not written.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ...core.errors import UserError


class Ledger:
    """The finished blocks of one pass.

    key: hash of the inputs of the pass. Where the file has another, nothing of it counts any more: `fresh` says so.
    """

    def __init__(self, folder: Path, name: str, key: str) -> None:
        self.path = folder / f"{name}.log"
        self.key = key
        self.done, whole, found = read(self.path)
        self.fresh = found != key
        if self.fresh:
            self.done = set()
            write(self.path, f"{key}\n".encode(), anew=True)
        elif self.path.stat().st_size > whole:
            os.truncate(self.path, whole)

    def add(self, number: int) -> None:
        write(self.path, f"{number}\n".encode())
        self.done.add(number)

    def strike(self, numbers: Collection[int]) -> None:
        """These are not finished after all."""
        self.done -= set(numbers)
        rows = "".join(f"{row}\n" for row in [self.key, *sorted(self.done)])
        write(self.path, rows.encode(), anew=True)


def read(path: Path) -> tuple[set[int], int, str | None]:
    """Numbers, how many bytes of the file are whole lines, and the key."""
    if not path.is_file():
        return set(), 0, None
    whole = path.read_bytes().rpartition(b"\n")[0]
    key, *rows = whole.decode(errors="replace").split("\n")
    if not all(row.isdecimal() for row in rows):
        return set(), 0, None  # no ledger of ours: nothing counts
    return {int(row) for row in rows}, len(whole) + 1, key


def write(path: Path, content: bytes, anew: bool = False) -> None:
    """At the end of the file, or in its place."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if anew else "ab") as file:
            file.write(content)
    except OSError as error:
        raise UserError(
            f"cannot note what is finished in {path}: {error.strerror}; free space or choose another output with "
            "`out`, the same command goes on where this one stopped"
        ) from error


def digest(*parts: Any) -> str:
    """A hash of JSON values, settings and bytes."""
    out = hashlib.blake2b(digest_size=16)
    for part in parts:
        out.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode())
        out.update(b"\0")
    return out.hexdigest()
