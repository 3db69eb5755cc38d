"""Paths as people give them: a file, a folder, a glob, and the part of a file behind '::'."""

import errno
import glob
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.provenance import SayOnce, is_marked
from .formats import OBJECTS, SUFFIXES, ZARR, is_zarr
from .picture import format_suffix, name_stem

BYPRODUCTS = ("_seg.npy",)  # what Cellpose leaves beside images: labels, and no images
IMAGES = "images"  # the folder of one image, beside that of its masks


@dataclass(frozen=True)
class FoundFiles:
    """Files that one argument of the user stands for."""

    files: tuple[Path, ...]  # in natural order
    part: str | None  # what stood behind '::'
    name: str | None  # of the whole set, where the argument stands for several files


def find_files(
    argument: str, labels: bool = False, suffix: str | None = None, without: str | None = None
) -> FoundFiles:
    """The image files (or Zarr folders) meant by a path, a folder or a glob. Raises UserError where there are none.

    labels: label images are meant, which Cellpose's `_seg.npy` and folders with a mask for each object can be. suffix,
    without: of folders and globs, only files whose names end so in front of their format, and none that end so.
    """
    head, _, tail = argument.partition("::")
    part, path = tail or None, Path(head).expanduser()
    if not is_short(path):
        raise UserError(f"{head} has a name that is too long for any file; check the path")
    if not is_text(head):
        raise UserError(f"{head} has a name that is not UTF-8, so results cannot carry it; rename it")
    keep = NameFilter(labels, suffix, without)
    if path.is_dir() and not is_image(path):
        if (path / OBJECTS).is_dir() and is_case(path):
            return FoundFiles((case_file(path, labels),), part, None)
        if cases := cases_in_folder(path):
            return FoundFiles(tuple(case_file(case, labels) for case in cases), part, path.resolve().name)
        return FoundFiles(tuple(images_in_folder(path, keep)), part, path.resolve().name)
    if path.exists():
        return FoundFiles((path,), part, None)
    if not glob.has_magic(head):
        raise UserError(f"{head} does not exist; check the path")
    matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
    files = tuple(sorted(drop_own_pictures(file for file in matches if keep(file)), key=natural_key))
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


def refuse_name(file: Path) -> None:
    """Raises UserError for a name that results could not carry, and for a link to nothing."""
    if "::" in file.name:
        raise UserError(f"{file} has '::' in its name, which stands between a file and its parts; rename it")
    if not is_text(str(file)):
        raise UserError(f"{file} has a name that is not UTF-8, so results cannot carry it; rename it, or take it out")
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


def group_paths(found: list[FoundFiles]) -> list[FoundFiles]:
    """Files that were named one by one become one set: a shell spells a glob out, and puts s_10 before s_2."""
    single = [one for one in found if one.name is None]
    if len(single) < 2 or len({one.part for one in single}) > 1:
        return found
    files = tuple(sorted((file for one in single for file in one.files), key=natural_key))
    return [FoundFiles(files, single[0].part, set_name(files)), *(one for one in found if one.name is not None)]


def is_image(path: Path, labels: bool = False) -> bool:
    """A file with a suffix that can be read, or a Zarr folder; hidden files are not images.

    labels: label images are meant, among which by-products of other programs count.
    """
    if path.name.startswith(".") or (path.name.endswith(BYPRODUCTS) and not labels):
        return False
    if path.is_dir():
        return path.suffix.lower() in ZARR or is_zarr(path)
    return format_suffix(path) in SUFFIXES


@dataclass(frozen=True)
class NameFilter:
    """Which files of a folder or a glob are meant: images, by the ends of their names."""

    labels: bool = False
    suffix: str | None = None
    without: str | None = None

    def __call__(self, path: Path) -> bool:
        if not is_image(path, self.labels and self.suffix is not None):
            return False
        if not self.suffix and not self.without:
            return True
        stem = name_stem(path)
        if self.without and stem.endswith(unicodedata.normalize("NFC", self.without)):
            return False
        return not self.suffix or stem.endswith(unicodedata.normalize("NFC", self.suffix))

    def words(self) -> str:
        """For a sentence."""
        return f" whose name ends in '{self.suffix}'" if self.suffix else ""


EVERY_IMAGE = NameFilter()


def is_case(folder: Path) -> bool:
    """Whether a folder is that of one image with a mask for each of its objects: `images/` with one image, `masks/`
    with the masks, or one of the two, and no image beside them."""
    parts = [folder / name for name in (IMAGES, OBJECTS)]
    held = {part.name: [e for e in part.iterdir() if is_image(e)] for part in parts if part.is_dir()}
    if not held or any(is_image(entry) for entry in folder.iterdir()):
        return False
    if IMAGES in held:
        return len(held[IMAGES]) == 1 and (OBJECTS not in held or bool(held[OBJECTS]))
    return all(entry.is_file() for entry in held[OBJECTS]) and bool(held[OBJECTS])


def cases_in_folder(folder: Path) -> list[Path]:
    """The folders in a folder, in natural order, where each is that of one image; none otherwise."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir() and not is_image(entry)]
    if not folders or any(is_image(entry) for entry in entries) or not all(is_case(one) for one in folders):
        return []
    return sorted(folders, key=natural_key)


def case_file(case: Path, labels: bool) -> Path:
    """The image of a case, or the folder of its masks. Raises UserError where there is none."""
    wanted = case / (OBJECTS if labels else IMAGES)
    if not wanted.is_dir():
        there = IMAGES if labels else OBJECTS
        raise UserError(f"{case} has no folder '{wanted.name}', only '{there}'; pass what holds the {wanted.name}")
    return wanted if labels else images_in_folder(wanted)[0]


def images_in_folder(folder: Path, keep: NameFilter = EVERY_IMAGE) -> list[Path]:
    """Images directly in a folder, in natural order."""
    entries = list(folder.iterdir())
    pictures = [entry for entry in entries if keep(entry)]
    files = sorted(drop_own_pictures(pictures), key=natural_key)
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
    what = "is empty" if not entries else f"holds no image{keep.words()} ({', '.join(SUFFIXES)})"
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
    """Names that differ: those of files that share theirs get the folder in front, or the suffix behind as well; those
    of wells that several plates have, the plate in front."""
    names, paths = list(names), list(paths)
    ways = (
        lambda name, path: name,
        lambda name, path: f"{path.resolve().parent.name}_{name}",
        lambda name, path: f"{path.resolve().parent.name}_{name}_{path.suffix[1:].lower()}",
        lambda name, path: f"{name_stem(path)}_{name}",
    )
    for way in ways:
        made = [way(name, path) for name, path in zip(names, paths)]
        if len(set(made)) == len(made):
            return made
    twice = next(path for name, path in zip(made, paths) if made.count(name) > 1)
    raise UserError(f"{twice} is listed twice, or shares its name and folder with another; name every image once")
