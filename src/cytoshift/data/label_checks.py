"""Labels that are none: masks whose objects share a number, and backgrounds that are not 0."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.evenly import take_evenly
from .volumes import Volume, crop_middle

LOOKED_AT_VOXELS = 2**23  # of an image that are looked at, in its middle
LOOKED_AT_IMAGES = 16  # of many that are looked at
PARTS_PER_NUMBER = 4  # connected parts for each number, from which on numbers are no objects
MOST_MASK_NUMBERS = 64  # numbers that a mask may have, of its classes; an image has more
FIELD_SHARE = 0.5  # share of an image that no object covers


def check_labels(volumes: Sequence[Volume], setting: str) -> list[str]:
    """A sentence on each kind of labels among some images that do not look like one number per object.

    setting: the one that makes a mask into objects, for the cure.
    """
    found: dict[str, list[str]] = {}
    for volume in take_evenly(volumes, LOOKED_AT_IMAGES):
        part = crop_middle(volume, LOOKED_AT_VOXELS).load()
        if (why := check_label_image(part, setting)) is not None:
            found.setdefault(why[0], []).append(f"{volume.origin} {why[1]}")
    return [words[0] + f" (and {len(words) - 1} more like it)" * (len(words) > 1) for words in found.values()]


def check_label_image(labels: NDArray[np.generic], setting: str) -> tuple[str, str] | None:
    """The kind of doubt about labels (*S), and what it is in words; None where there is none."""
    from skimage.measure import label

    ids, counts = np.unique(labels, return_counts=True)
    largest = int(np.argmax(counts))
    share = float(counts[largest] / labels.size)
    if ids[0] > 0 and share > FIELD_SHARE and len(ids) > 1:
        return "background", (
            f"has no 0, and {ids[largest]} covers {100 * share:.0f} % of it: its background is {ids[largest]}, which "
            f"counts as an object; set it to 0, or pass `{setting}={ids[largest]}` where objects do not touch"
        )
    objects = len(ids) - int(ids[0] == 0)
    if not objects:
        return None
    if objects == 1 and ids[largest] > 0 and share > FIELD_SHARE and int(label(labels == 0).max()) >= PARTS_PER_NUMBER:
        return "inverted", (
            f"has one number, {ids[largest]}, on {100 * share:.0f} % of it and around what is 0: it looks like a mask "
            "of the background; invert it"
        )
    parts = int(label(labels, background=0).max())
    single = objects == 1 and parts >= (2 if ids[-1] == 255 else 3)
    if objects > MOST_MASK_NUMBERS and parts >= PARTS_PER_NUMBER * objects:
        return "image", (
            f"has {objects} numbers in {parts} separate parts: it looks like an image and not like labels; pass "
            "labels, with one number for each object"
        )
    if single or parts >= PARTS_PER_NUMBER * objects:
        numbers = "one number" if objects == 1 else f"{objects} numbers"
        listed = f" ({', '.join(map(str, ids[ids > 0][:4].tolist()))})" if objects <= 4 else ""
        return "mask", (
            f"has {numbers}{listed} in {parts} separate parts: it looks like a mask, whose objects share a number; "
            f"pass `{setting}=0` to make its parts objects"
        )
    return None
