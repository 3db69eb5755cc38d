"""COCO as Detectron2, CVAT, Label Studio, Roboflow and this program write it: the objects of each image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ...core.errors import UserError
from ...core.provenance import SayOnce
from ..bad_files import list_names
from .drawn_objects import DrawnMask, DrawnObject, DrawnOutline

Record = dict[str, Any]  # of the file
Lacking = Literal["box", "empty"]  # why an annotation is no object
LEFT_OUT: dict[Lacking, str] = {"box": "have a box and no segmentation", "empty": "have no area"}


@dataclass(frozen=True)
class CocoImage:
    """file_name: as the file has it, with folders. size: height and width, None where the file does not say it.
    objects: of all its planes. has_planes: whether the file says of which slice or frame they are."""

    file_name: str
    size: tuple[int, int] | None
    objects: tuple[DrawnObject, ...]
    has_planes: bool


def is_coco(content: Any) -> TypeGuard[Record]:
    """Whether what a JSON holds is COCO with objects.

    >>> is_coco({"images": [], "annotations": []}), is_coco({"type": "FeatureCollection", "features": []})
    (True, False)
    """
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def read_coco(content: Record, path: Path, category: str = "") -> list[CocoImage]:
    """The images of a file with their objects, in the order of the file; images without any are among them.

    Segmentations are polygons, whose parts are taken together, or run lengths, compressed or not. Boxes without a
    segmentation and what has no area are left out, which is said. A crowd (`iscrowd`) is an object, as CVAT marks every
    painted mask so, but behind all others. Ids that `write_coco` wrote are kept.

    Raises
    ------
    UserError
        Where the file has no object at all, an image of another size than its masks, or objects of an image that it
        does not list; where several categories number their objects alike; where it has not the category.
    """
    images = {record["id"]: record for record in content["images"]}
    if len(images) < len(content["images"]):
        raise UserError(f"{path} lists two images with one id; export it anew")
    wanted = category_ids(content, path, category)
    annotations = [one for one in content["annotations"] if not category or one.get("category_id") in wanted]
    strange = [one["image_id"] for one in annotations if one["image_id"] not in images]
    if strange:
        raise UserError(
            f"{path} has {len(strange)} annotations of images that it does not list, as of image {strange[0]}; export "
            "it anew"
        )
    is_known = keeps_labels(annotations, images, path, content)
    objects: dict[Any, list[DrawnObject]] = {number: [] for number in images}
    lacking = Counter[Lacking]()
    for one in sorted(annotations, key=lambda one: bool(one.get("iscrowd"))):
        found = drawn_object(one, images[one["image_id"]], path, is_known)
        if isinstance(found, DrawnObject):
            objects[one["image_id"]].append(found)
        else:
            lacking[found] += 1
    left = ", ".join(f"{count} {LEFT_OUT[why]}" for why, count in lacking.items())
    if not any(objects.values()):
        there = f"annotations without a mask or polygon: {left}" if left else "no annotations"
        raise UserError(f"{path} has {there}; export objects with their masks or polygons")
    if left:
        SayOnce.say(f"annotations of {path} are left out: {left}")
    if crowds := sum(bool(one.get("iscrowd")) for one in annotations):
        SayOnce.say(f"annotations of {path} marked as crowds (iscrowd): {crowds}; each of them is one object")
    return gather_planes(images, objects, path)


def category_ids(content: Record, path: Path, name: str) -> set[Any]:
    """The numbers of the categories of that name. Raises UserError where there is none."""
    known = [(one["id"], str(one["name"])) for one in content.get("categories") or []]
    found = {number for number, other in known if other == name}
    if name and not found:
        there = list_names(list(dict.fromkeys(other for _, other in known))) or "none"
        raise UserError(f"{path} has no category '{name}', only {there}; pass `kind` with one of its categories")
    return found


def keeps_labels(annotations: Sequence[Record], images: dict[Any, Record], path: Path, content: Record) -> bool:
    """Whether `label` of annotations is the id of an object, as `write_coco` writes it: no plane has one twice.

    Raises UserError where categories number their objects alike, as their labels would become one.
    """
    planes = [(one["image_id"], one.get("category_id"), label) for one in annotations if (label := label_of(one))]
    if len(set(planes)) < len(planes):
        return False
    owners: dict[tuple[str, int], Any] = {}
    for number, category, label in planes:
        name = str(images[number]["file_name"])
        if owners.setdefault((name, label), category) != category:
            names = {one["id"]: str(one["name"]) for one in content.get("categories") or []}
            pair = " and ".join(f"'{names.get(one, one)}'" for one in (owners[name, label], category))
            raise UserError(
                f"{path} has the label {label} of {name} in {pair}; pass `kind` with one of these categories"
            )
    return True


def label_of(annotation: Record) -> int | None:
    """What `write_coco` writes as the id."""
    label = annotation.get("label")
    return label if type(label) is int and label > 0 else None


def drawn_object(one: Record, image: Record, path: Path, is_known: bool) -> DrawnObject | Lacking:
    """The object of an annotation, or why it is none. Raises UserError for masks of another size than the image."""
    shape, label = one.get("segmentation"), label_of(one) if is_known else None
    z, t = (place_along(image, axis) for axis in "zt")
    if not shape:
        return "box" if one.get("bbox") else "empty"
    if isinstance(shape, list):
        rings = [polygon_ring(ring) for ring in shape]
        parts = [[ring] for ring in rings if len(ring) > 2]
        return DrawnOutline(label, z, t, parts) if parts else "empty"
    height, width = (int(length) for length in shape["size"])
    if (size := size_of(image)) is not None and size != (height, width):
        raise UserError(
            f"{path} has a mask of {width} x {height} pixels in {image['file_name']}, of which it says "
            f"{size[1]} x {size[0]}; export it anew"
        )
    counts = shape["counts"]
    lengths = decompress_runs(counts) if isinstance(counts, str) else np.asarray(counts, np.int64)
    ends = np.cumsum(lengths)
    if not ends.size or ends[-1] != height * width or (lengths < 0).any():
        raise UserError(
            f"{path} has run lengths of {ends[-1] if ends.size else 0} pixels in {image['file_name']}, but a mask of "
            f"{width} x {height} has {height * width}; the file is damaged, export it anew"
        )
    first, behind = ends[: ends.size // 2 * 2 : 2], ends[1::2]
    full = first < behind
    return DrawnMask(label, z, t, first[full], behind[full], (height, width)) if full.any() else "empty"


def place_along(image: Record, axis: str) -> int | None:
    """The slice or frame that `write_coco` says."""
    return image[axis] if type(image.get(axis)) is int else None


def size_of(image: Record) -> tuple[int, int] | None:
    """Height and width of an image, None where the file does not say them."""
    height, width = (int(image.get(key) or 0) for key in ("height", "width"))
    return (height, width) if height > 0 and width > 0 else None


def polygon_ring(numbers: Any) -> NDArray[np.float64]:
    """Corners (P, 2) of COCO's x and y in turn."""
    ring = np.asarray(numbers, float)
    if ring.ndim != 1 or ring.size % 2 or not np.isfinite(ring).all():
        raise ValueError("a polygon is not a list of x and y in turn")
    return ring.reshape(-1, 2)


def decompress_runs(text: str) -> NDArray[np.int64]:
    """Run lengths of COCO's text; `coco.compress_runs` tells how they are written.

    >>> decompress_runs("52203").tolist()
    [5, 2, 2, 2, 5]
    """
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 0x20:
        raise ValueError("run lengths are damaged")
    last = np.flatnonzero((codes & 0x20) == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    digit = np.arange(codes.size) - np.repeat(first, last - first + 1)
    if digit.max() > 11:  # a length of more than 60 bits
        raise ValueError("run lengths are damaged")
    found = np.add.reduceat((codes & 0x1F) << (5 * digit), first)
    found -= np.where(codes[last] & 0x10, np.int64(1) << (5 * (digit[last] + 1)), 0)
    found[1::2] = np.cumsum(found[1::2])  # each is the difference to the one before last; of even ones from the third
    found[2::2] = np.cumsum(found[2::2])
    return found


def gather_planes(images: dict[Any, Record], objects: dict[Any, list[DrawnObject]], path: Path) -> list[CocoImage]:
    """Records of one file name as the planes of one image. Raises UserError where a plane is there twice."""
    files: dict[str, list[Any]] = {}
    for number, record in images.items():
        files.setdefault(str(record["file_name"]), []).append(number)
    out = list[CocoImage]()
    for name, numbers in files.items():
        places = [tuple(place_along(images[number], axis) for axis in "tz") for number in numbers]
        sizes = {size for number in numbers if (size := size_of(images[number])) is not None}
        if len(set(places)) < len(places) or len(sizes) > 1:
            raise UserError(f"{path} lists {name} twice; export it with every image once")
        drawn = tuple(one for number in numbers for one in objects[number])
        out.append(CocoImage(name, next(iter(sizes), None), drawn, places[0] != (None, None)))
    return out
