"""The files that a command reads, from the words of its user: what `core.collisions` compares its outputs with."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..core.collisions import is_same_path, refuse_overlap
from ..core.errors import UserError
from .find import FoundFiles, find_files, is_image
from .formats.tiff import companions
from .volumes import ImageSource

Images = str | Path | ImageSource | Sequence[str] | Sequence[Path] | None


def refuse_inputs(
    outputs: Iterable[Path | str | None],
    images: Iterable[Images] = (),
    files: Iterable[Path | str | None] = (),
    labels: Iterable[Images] = (),
    filled: Iterable[Path | str | None] = (),
) -> None:
    """Raises UserError where a command would write to what it reads; to be called before it does either.

    outputs: files, and folders that are replaced as a whole. images, labels: as a user gives them, `file::part`,
    folders and globs too. files: settings and other files, models and other folders. filled: folders that label images
    are put into, which would be read as images by the same command.
    """
    images, labels = list(images), list(labels)
    places = [one for one in filled if one is not None]
    read = [path for source in images for path in files_of(source, False)]
    read += [path for source in labels for path in files_of(source, True)]
    read += [Path(one) for one in files if one is not None]
    arguments = [argument for source in (*images, *labels) for argument in source_paths(source)]
    listed = {argument: found for argument in arguments if (found := folder_of(argument)) is not None}
    refuse_overlap([one for one in outputs if one is not None], read, places)
    for argument, images_folder in listed.items():
        for folder in places:
            if is_same_path(folder, images_folder):
                raise UserError(
                    f"cannot write into {folder}: it is the folder of {argument}, which is read; choose another "
                    f"output, as labels among images would be read as images"
                )


def source_paths(source: Images) -> list[str]:
    """Paths as the user gives them."""
    if source is None:
        return []
    if isinstance(source, ImageSource):
        source = source.paths
    return [str(source)] if isinstance(source, str | Path) else [str(path) for path in source]


def find_argument(argument: str, labels: bool) -> FoundFiles | None:
    """What an argument stands for; None where there is nothing, which whoever opens it says better."""
    try:
        return find_files(argument, labels)
    except (UserError, OSError):
        return None


def files_of(source: Images, labels: bool) -> list[Path]:
    """Every file and Zarr that is read; of a part of a Zarr, that part too."""
    out: list[Path] = []
    for argument in source_paths(source):
        one = find_argument(argument, labels)
        for file in one.files if one else ():
            if not file.is_dir():
                out += [file, *companions(file)]
                continue
            out.append(file)
            if one and one.part:
                out.append(file / one.part.strip("/"))
            elif labels and (file / "labels").is_dir():
                out.append(file / "labels")
    return out


def folder_of(argument: str) -> Path | None:
    """The folder whose images an argument stands for; None where it names files."""
    head = Path(argument.partition("::")[0]).expanduser()
    return head if os.path.isdir(head) and not is_image(head) else None  # False for a name that is too long
