"""Paths as people give them: a file, a folder, a glob, and the part of a file behind '::'."""

import errno
import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.provenance import SayOnce, is_marked
from .formats import SUFFIXES, is_zarr
from .picture import name_stem

BYPRODUCTS = ("_seg.npy",)  # what Cellpose leaves beside images: Python objects, which are never loaded


@dataclass(frozen=True)
class FoundFiles:
    """Files that one argument of the user stands for."""

    files: tuple[Path, ...]  # in natural order
    part: str | None  # what stood behind '::'
    name: str | None  # of the whole set, where the argument stands for several files


def find_files(argument: str) -> FoundFiles:
    """The image files (or Zarr folders) meant by a path, a folder or a glob. Raises UserError where there are none."""
    head, _, tail = argument.partition("::")
    part, path = tail or None, Path(head).expanduser()
    if not is_short(path):
        raise UserError(f"{head} has a name that is too long for any file; check the path")
    if not is_text(head):
        raise UserError(f"{head} has a name that is not UTF-8, so results cannot carry it; rename it")
    if path.is_dir() and not is_image(path):
        return FoundFiles(tuple(images_in_folder(path)), part, path.resolve().name)
    if path.exists():
        return FoundFiles((path,), part, None)
    if not glob.has_magic(head):
        raise UserError(f"{head} does not exist; check the path")
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
    files = tuple(sorted(drop_own_pictures(file for file in matches if is_image(file)), key=natural_key))
    refuse_names(files)
    if not files:
        what = f"is an image ({', '.join(SUFFIXES)})" if matches else "is there"
        raise UserError(f"no file that matches {head} {what}; check the pattern")
    return FoundFiles(files, part, set_name(files))


def is_short(path: Path) -> bool:
    """Whether a path is short enough to exist."""
    try:
        path.exists()
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    except ValueError:  # a character that no name has
        return False
    return True


def refuse_names(files: Iterable[Path]) -> None:
    """Raises UserError for a name that results could not carry, and for a link to nothing."""
    for file in files:
        if not is_text(str(file)):
            raise UserError(
                f"{file} has a name that is not UTF-8, so results cannot carry it; rename it, or take it out"
            )
        if file.is_symlink() and not file.exists():
            raise UserError(f"{file} is a link to a file that does not exist; remove the link, or restore the file")


def is_text(name: str) -> bool:
    """Whether a name can be written into a table, as it is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def set_name(files: tuple[Path, ...]) -> str:
    """What the names of several files begin with, or else their folder."""
    stems = [name_stem(file) for file in files]
    shared = os.path.commonprefix(stems).rstrip("0123456789_-. ")  # noqa: RUF071 (letters are meant, not folders)
    return shared or files[0].resolve().parent.name


def is_image(path: Path) -> bool:
    """A file with a suffix that can be read, or a Zarr folder; hidden files are not images."""
    if path.name.startswith(".") or path.name.endswith(BYPRODUCTS):
        return False
    if path.is_dir():
        return path.suffix.lower() == ".zarr" or is_zarr(path)
    return path.suffix.lower() in SUFFIXES


def images_in_folder(folder: Path) -> list[Path]:
    """Images directly in a folder, in natural order."""
    entries = list(folder.iterdir())
    pictures = [entry for entry in entries if is_image(entry)]
    files = sorted(drop_own_pictures(pictures), key=natural_key)
    refuse_names(files)
    if files:
        return files
    if pictures:
        raise UserError(
            f"{folder} holds only {pictures[0].name}, which this program drew, and no image; pass the folder of the "
            "images"
        )
    if folder.suffix.lower() == ".n5" or any(entry.name == "attributes.json" for entry in entries):
        raise UserError(f"{folder} is N5, which cannot be read; save it as OME-Zarr or TIFF, for example from Fiji")
    folders = sorted(entry.name for entry in entries if entry.is_dir())
    if folders:
        raise UserError(f"{folder} holds no image, only the folders {', '.join(folders[:5])}; pass one of these")
    what = "is empty" if not entries else f"holds no image ({', '.join(SUFFIXES)})"
    raise UserError(f"{folder} {what}; pass the folder of the images")


def drop_own_pictures(paths: Iterable[Path]) -> list[Path]:
    """Those that are no pictures of ours, which previews and overviews leave beside images; that is said once."""
    out = []
    for path in paths:
        if is_marked(path):
            SayOnce.say(f"{path} is a picture that this program drew, and not read as an image")
        else:
            out.append(path)
    return out


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sorting key that puts slice_2 before slice_10."""
    return [(int(run), "") if run.isdecimal() else (-1, run) for run in re.split(r"(\d+)", str(path).lower())]


def unique_names(names: Iterable[str], paths: Iterable[Path]) -> list[str]:
    """Names that differ: those of files that share theirs get the folder in front, or the suffix behind as well."""
    names, paths = list(names), list(paths)
    ways = (
        lambda name, path: name,
        lambda name, path: f"{path.resolve().parent.name}_{name}",
        lambda name, path: f"{path.resolve().parent.name}_{name}_{path.suffix[1:].lower()}",
    )
    for way in ways:
        made = [way(name, path) for name, path in zip(names, paths)]
        if len(set(made)) == len(made):
            return made
    twice = next(path for name, path in zip(made, paths) if made.count(name) > 1)
    raise UserError(f"{twice} is listed twice, or shares its name and folder with another; name every image once")
