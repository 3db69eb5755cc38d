"""Outlines that somebody drew, and the images that they belong to: what `cytoshift convert` does with them."""

import math
import unicodedata
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from ..core.errors import UserError
from .console import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.exchange.coco_in import CocoImage
    from ..data.exchange.drawn_objects import DrawnObject
    from ..data.frames import Series
    from ..data.volumes import ImageSource, Volume


def outline_files(paths: "Sequence[str]", like: str | None) -> list[Path]:
    """The files of outlines among the inputs; none where these are label images.

    Raises UserError where outlines and label images are mixed, and where the image of outlines is not given.
    """
    from ..data.exchange.outlines_in import holds_outlines

    found, others = [], []
    for path in map(Path, paths):
        inside = outlines_in_folder(path) if path.is_dir() else []
        if inside or holds_outlines(path):
            found += inside or [path]
        else:
            others.append(path)
    if found and others:
        raise UserError(f"{found[0]} has outlines, {others[0]} has none; convert outlines and label images one by one")
    if found and like is None:
        raise UserError(f"{found[0]} has outlines but no size; pass --like with the image that they were drawn on")
    if like is not None and not found:
        raise UserError(f"--like is for outlines (.zip, .roi, .geojson, .json), but {paths[0]} is none; leave it out")
    return found


def outlines_in_folder(folder: Path) -> list[Path]:
    """The files of outlines in a folder. Beside label images, a .json is some file of settings."""
    from ..data.exchange.outlines_in import holds_outlines
    from ..data.find import is_image

    entries = sorted(folder.iterdir())
    has_images = any(is_image(one) for one in entries)
    return [one for one in entries if holds_outlines(one) and not (has_images and one.suffix.lower() == ".json")]


def draw_labels(files: "Sequence[Path]", images: "ImageSource", category: str = "") -> "list[Volume]":
    """Labels of the images that outlines were drawn on. COCO names its images; of several, other files have the names
    of theirs.

    Raises UserError where an image is missing, has another size, or has outlines in two files.
    """
    from ..data.bad_files import list_names
    from ..data.exchange.drawn_objects import draw_objects
    from ..data.exchange.outlines_in import read_outlines
    from ..data.frames import series_of
    from ..data.volumes import open_volumes

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
        say(f"no labels are written of {list_names(left)}: nothing lists them", err=True)
    return [volume for _, series, objects in jobs for volume in draw_objects(objects, series)]


def series_named(file: Path, name: str, known: "Sequence[Series]", files: int) -> "Series":
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

    def __init__(self, known: "Sequence[Series]") -> None:
        self.known = known
        self.names = {one.name: one for one in known}
        self.files: dict[str, list[Series]] = {}
        for one in known:
            self.files.setdefault(unicodedata.normalize("NFC", one.file_name), []).append(one)

    def find(self, file: Path, listed: str, images: int) -> "Series":
        """The image of the same file name, or else of the same name without its suffix; a single one, whatever its
        name. Raises UserError where there is none."""
        from ..data.picture import name_stem

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


def refuse_other_image(file: Path, image: "CocoImage", series: "Series") -> None:
    """Raises UserError where COCO is of an image of another size, or does not say the plane of a stack."""
    from ..data.exchange.drawn_objects import DrawnMask

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


def say_unseen(volumes: "Sequence[Volume]") -> None:
    """Warn of outlines that have come to nothing."""
    from ..data.bad_files import list_names
    from ..data.exchange.drawn_objects import DrawnLabels

    lost = {one.name: len(one.array.unseen()) for one in volumes if isinstance(one.array, DrawnLabels)}
    if count := sum(lost.values()):
        say(
            f"warning: {count} outline{'s have' if count > 1 else ' has'} no pixel of their own, as they cover no "
            f"centre of a pixel or lie under others, in {list_names([name for name, some in lost.items() if some])}",
            err=True,
        )
