"""COCO: annotations of objects as run-length encoded masks, which are exact and keep holes and parts."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.atomic import atomic_path
from ...core.compiled import njit
from ...labels.ids import compact_labels
from ...labels.runs import runs_of
from .label_series import LabelSeries, planes_of

UNNAMED = "object"  # the category of objects whose class nobody named


def write_coco(path: Path, labels: Sequence[LabelSeries]) -> None:
    """One file for any number of images; of stacks and series, every plane is an image, with its z and t.

    Masks are COCO's compressed run lengths, with `iscrowd` 0. `label` of an annotation is the id of the object.
    """
    names = list(dict.fromkeys(one.kind or UNNAMED for one in labels))
    images = list[dict[str, Any]]()
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        between = "\n"
        for number, annotation in enumerate(annotations(labels, names, images), 1):
            file.write(between + json.dumps({"id": number} | annotation))
            between = ",\n"
        categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
        file.write(f'\n],\n"images": {json.dumps(images)},\n"categories": {json.dumps(categories)}}}\n')


def annotations(
    labels: Sequence[LabelSeries], names: Sequence[str], images: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Those of all objects; adds a record to `images` for each plane. Classes of one image share its planes."""
    known: dict[tuple[str, int | None, int | None], int] = {}
    for one in labels:
        category = names.index(one.kind or UNNAMED) + 1
        for plane in planes_of(one.series):
            height, width = plane.labels.shape
            key = (one.image or one.name, plane.t, plane.z)
            if key not in known:
                known[key] = len(known) + 1
                places = {axis: at for axis, at in (("t", plane.t), ("z", plane.z)) if at is not None}
                images.append({"id": known[key], "file_name": key[0], "height": height, "width": width} | places)
            for label, area, box, counts in masks(plane.labels):
                yield {
                    "image_id": known[key], "category_id": category, "iscrowd": 0, "label": label, "area": area,
                    "bbox": box, "segmentation": {"size": [height, width], "counts": counts},
                }  # fmt: skip


def masks(plane: NDArray[np.generic]) -> Iterator[tuple[int, int, list[int], str]]:
    """Of every object its id, area, box (x, y, width, height) and run lengths as COCO compresses them."""
    numbered, ids, voxels = compact_labels(plane)
    height, width = plane.shape
    place, start = runs_of(np.ascontiguousarray(numbered.T)[None], ids.size)
    text, ends = compress_runs(place, start, height, width)
    letters = text.tobytes().decode("ascii")
    first = 0
    for number, (label, area) in enumerate(zip(ids.tolist(), voxels.tolist())):
        mine = place[start[number] : start[number + 1]]
        left, right = int(mine[0, 1]), int(mine[-1, 1]) + 1
        top, bottom = int(mine[:, 2].min()), int(mine[:, 3].max())
        yield label, area, [left, top, right - left, bottom - top], letters[first : ends[number]]
        first = int(ends[number])


@njit
def compress_runs(
    place: NDArray[np.int32], start: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """COCO's text of the runs of all objects, one behind the other, and where each ends (N,).

    Runs go down the columns. The text has the lengths of background and object in turn, from the third pair on as
    differences to the length before last, in groups of five bits with a sixth that says that more follow.
    """
    text, used = np.empty(max(64, 8 * len(place)), np.uint8), 0
    ends = np.zeros(start.size - 1, np.int64)
    for number in range(start.size - 1):
        lengths, count = np.empty(2 * (start[number + 1] - start[number]) + 1, np.int64), 0
        done = 0  # pixels before the next length
        for run in range(start[number], start[number + 1]):
            first = place[run, 1] * height + place[run, 2]
            if count and first == done:  # from the foot of a column to the head of the next
                lengths[count - 1] += place[run, 3] - place[run, 2]
            else:
                lengths[count] = first - done
                lengths[count + 1] = place[run, 3] - place[run, 2]
                count += 2
            done = place[run, 1] * height + place[run, 3]
        if done < height * width:  # behind the object
            lengths[count] = height * width - done
            count += 1
        if used + 13 * count > text.size:
            text = np.concatenate((text, np.empty(text.size + 13 * count, np.uint8)))
        for i in range(count):
            rest = lengths[i] - lengths[i - 2] if i > 2 else lengths[i]
            more = True
            while more:
                low = rest & 0x1F
                rest >>= 5
                more = rest != -1 if low & 0x10 else rest != 0
                text[used] = (low | 0x20 if more else low) + 48
                used += 1
        ends[number] = used
    return text[:used], ends
