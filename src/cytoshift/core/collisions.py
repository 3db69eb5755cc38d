"""No command writes to what it reads: whether outputs and inputs collide, decided in one place for every verb.

Paths are compared by what they lead to, not by their letters: through symbolic links, hard links, other spellings on
file systems that ignore case, `..` and trailing slashes.
"""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from .errors import UserError

Identity = tuple[int, int]  # device and inode


def refuse_overlap(
    outputs: Iterable[Path | str], inputs: Iterable[Path | str], filled: Iterable[Path | str] = ()
) -> None:
    """Raises UserError where an output is an input, lies in one, or is a folder that holds one.

    outputs: files, and folders that are replaced or removed as a whole; `image.ome.zarr::labels/nuclei` are labels
    inside of an image, which may be read. inputs: files, and folders of which every file counts (a Zarr, a model).
    filled: folders that files are put into; they may hold an input, whose name is another output's.
    """
    folders = cache(folder_identities)  # thousands of files share a few
    read: dict[Identity, Path | str] = {}
    above: dict[Identity, Path | str] = {}
    for path in inputs:
        if (found := path_identity(path)) is not None:
            read[found] = path
            for one in folders(os.path.dirname(os.path.realpath(path))):
                above.setdefault(one, path)
    for output, whole in [*((one, True) for one in outputs), *((one, False) for one in filled)]:
        head, inside, part = str(output).partition("::")
        place = os.path.realpath(os.path.join(head, part) if inside else head)
        image = path_identity(head) if inside else None
        here = path_identity(place)
        if here is not None and here in read:
            raise UserError(f"cannot write {output}: it is the same as {read[here]}, which is read; {CURE}")
        if whole and here is not None and here in above:
            raise UserError(f"cannot write {output} as a whole: it holds {above[here]}, which is read; {CURE}")
        for one in folders(os.path.dirname(place)):
            if one in read and one != image:
                raise UserError(f"cannot write {output}: it lies in {read[one]}, which is read; {CURE}")


CURE = "no input is written to, choose another output"


def folder_identities(folder: str) -> list[Identity]:
    """Of a folder and of all that it lies in, as far as they are there."""
    each = (path_identity(path) for path in (folder, *map(str, Path(folder).parents)))
    return [one for one in each if one is not None]


def path_identity(path: Path | str) -> Identity | None:
    """What a path leads to; None where nothing is there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def is_same_path(one: Path | str, other: Path | str) -> bool:
    """Whether two paths lead to the same file or folder, or will: one that is not there yet counts by its name."""
    here, there = path_identity(one), path_identity(other)
    return here == there and (here is not None or os.path.realpath(one) == os.path.realpath(other))
