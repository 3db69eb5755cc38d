"""Outlines that somebody drew, and the images that they belong to."""

import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from ...core.errors import UserError
from ...core.provenance import SayOnce
from ..bad_files import list_names
from ..frames import Series, series_of
from ..picture import name_stem
from ..volumes import ImageSource, Volume, open_volumes
from .coco_in import CocoImage
from .drawn_objects import DrawnLabels, DrawnMask, DrawnObject, draw_objects
from .outlines_in import read_outlines


def draw_labels(files: Sequence[Path], images: ImageSource, category: str = "") -> list[Volume]:
    """Labels of the images that outlines were drawn on. COCO names its images; of several, other files have the names
    of theirs.

    Raises UserError where an image is missing, has another size, or has outlines in two files.
    """
    if images.channel is None:  # of a coloured image, any channel has its size
        images = images.model_copy(update={"channel": 0})
    known = series_of(open_volumes(images))
    listed = ListedImages(known)
    jobs: list[tuple[Path, Series, Sequence[DrawnObject]]] = []
    for file in files:
        read = read_outlines(file, category)
        if not read.images:
            name = file.name.rpartition(".")[0].removesuffix(".rois")
            jobs.append((file, series_named(file, name, known, len(files)), read.objects))
        for image in read.images:
            series = listed.find(file, image.file_name, len(files) * len(read.images))
            refuse_other_image(file, image, series)
            jobs.append((file, series, image.objects))
    taken: dict[str, Path] = {}
    for file, series, _ in jobs:
        if series.name in taken:
            raise UserError(
                f"{taken[series.name]} and {file} both have outlines of {series.name}; convert them one by one"
                if taken[series.name] != file
                else f"{file} has two images for {series.name}; pass a folder with both of them as `like`"
            )
        taken[series.name] = file
    if left := [one.name for one in known if one.name not in taken]:
        SayOnce.say(f"no labels are written of {list_names(left)}: nothing lists them")
    return [volume for _, series, objects in jobs for volume in draw_objects(objects, series)]


def series_named(file: Path, name: str, known: Sequence[Series], files: int) -> Series:
    """The image that has the name of a file of outlines; a single one, whatever its name."""
    for one in known:
        if one.name == name or len(known) == files == 1:
            return one
    raise UserError(
        f"{file} has no image of its name, there are {', '.join(one.name for one in known[:3])}; name outlines after "
        "their images"
    )


class ListedImages:
    """Images as COCO lists them."""

    def __init__(self, known: Sequence[Series]) -> None:
        self.known = known
        self.names = {one.name: one for one in known}
        self.files: dict[str, list[Series]] = {}
        for one in known:
            self.files.setdefault(unicodedata.normalize("NFC", one.file_name), []).append(one)

    def find(self, file: Path, listed: str, images: int) -> Series:
        """The image of the same file name, or else of the same name without its suffix; a single one, whatever its
        name. Raises UserError where there is none."""
        path = PureWindowsPath(unicodedata.normalize("NFC", listed))
        stem, same = name_stem(Path(path.name)), self.files.get(path.name, [])
        if len(same) == 1:
            return same[0]
        for name in (f"{path.parent.name}_{stem}", stem):  # with the folder, where folders have images of one name
            if name in self.names:
                return self.names[name]
        if len(self.known) == images == 1:
            return self.known[0]
        raise UserError(
            f"{file} lists {listed}, but no image that `like` names is called so, there are "
            f"{', '.join(one.file_name for one in self.known[:3])}; pass the images that were annotated"
        )


def refuse_other_image(file: Path, image: CocoImage, series: Series) -> None:
    """Raises UserError where COCO is of an image of another size, or does not say the plane of a stack."""
    first = series.frames[0]
    height, width = first.shape[-2:]
    sizes = {image.size or (height, width)} | {one.size for one in image.objects if isinstance(one, DrawnMask)}
    if other := next((size for size in sizes if size != (height, width)), None):
        raise UserError(
            f"{file} says that {image.file_name} has {other[1]} x {other[0]} pixels, but {series.file_name} has "
            f"{width} x {height}; pass the image that was annotated as `like`"
        )
    if image.objects and not image.has_planes and math.prod((len(series.frames), *first.shape[:-2])) > 1:
        raise UserError(
            f"{file} has {image.file_name} as a single plane, but {series.file_name} has several; pass its planes as "
            "images of their own"
        )


def say_unseen(volumes: Sequence[Volume]) -> None:
    """Warn of outlines that have come to nothing, once all of the labels have been read."""
    lost = {one.name: len(one.array.unseen()) for one in volumes if isinstance(one.array, DrawnLabels)}
    if count := sum(lost.values()):
        which = "1 outline has no pixel of its own" if count == 1 else f"{count} outlines have no pixel of their own"
        names = list_names([name for name, some in lost.items() if some])
        SayOnce.say(f"{which}, too small or under others, in {names}")
