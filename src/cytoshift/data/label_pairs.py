"""Images and their labels: found for each other by name, masks made into objects, a part of them taken."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import UserError
from ..core.evenly import middles_of_parts
from ..core.provenance import SayOnce
from ..labels.ignored import split_ignored
from .bad_files import list_names
from .volumes import ImageSource, Volume, crop_volume, open_labels

Pairs = list[tuple[Volume, Volume]]


@dataclass(frozen=True)
class Convention:
    """How programs name images and their labels: the first group of each pattern is what both share.

    sparse: not every image has labels.
    """

    name: str
    image: str
    label: str
    sparse: bool = False


CONVENTIONS = (
    Convention("nnU-Net", r"(.+)_\d{4}", r"(.+)"),
    Convention(
        "the Cell Tracking Challenge", r"(?:t|mask|man_track)(\d{3,})", r"(?:man_seg|man_track|mask)(\d{3,})", True
    ),
)
ENDINGS = ("_masks", "_cp_masks", "_seg", "_labels", "_label", "_mask")  # that labels have, for a hint


def label_images(
    images: list[Volume], labels: ImageSource, what: str, mask_above: float | None = None, ignore_id: int | None = None
) -> Pairs:
    """Images with their labels, found by name; masks are made into objects (`connected_objects`)."""
    pairs = match_names(images, open_labels(labels), what)
    return [(image, connected_objects(truth, mask_above, ignore_id)) for image, truth in pairs]


def match_names(images: list[Volume], truths: list[Volume], what: str) -> Pairs:
    """Images and truths of the same name, or one of each, or the frames of one file and of another, or by the names
    that nnU-Net and the Cell Tracking Challenge give them; of the latter, images without labels are left out.

    what: they are, for the sentence of a UserError.
    """
    keys, by_name = [image.name for image in images], {truth.name: truth for truth in truths}
    if len(images) == len(truths) == 1:
        by_name = {keys[0]: truths[0]}
    elif (frames := frame_numbers(keys)) and (theirs := frame_numbers(list(by_name))):
        keys, by_name = frames, dict(zip(theirs, truths))
    elif found := pair_by_convention(keys, list(by_name)):
        known = {key: image for key, image in zip(keys, images)}
        images, by_name = [known[one] for one, _ in found], {one: by_name[other] for one, other in found}
        keys = [one for one, _ in found]
    if missing := [image.name for key, image in zip(keys, images) if key not in by_name]:
        more = f" (and {list_names(missing[1:])} have none either)" if len(missing) > 1 else ""
        cure = suffix_hint(keys, list(by_name)) or "give both files one name"
        raise UserError(f"{what}: image '{missing[0]}' has no labels of its name{more}; {cure}")
    pairs = [(image, by_name[key]) for key, image in zip(keys, images)]
    for image, truth in pairs:
        if image.shape != truth.shape:
            raise UserError(f"{what}: {image.origin} has the shape {image.shape}, but its labels {truth.shape}")
    return pairs


def pair_by_convention(images: Sequence[str], labels: Sequence[str]) -> list[tuple[str, str]] | None:
    """Names of images with those of their labels, in the order of the images, where both are named as programs name
    them; None otherwise, and where some names are the same.

    >>> pair_by_convention(["a_0000", "b_0000"], ["b", "a"])
    [('a_0000', 'a'), ('b_0000', 'b')]
    >>> pair_by_convention(["t000", "t001"], ["man_seg001"])
    [('t001', 'man_seg001')]
    """
    if set(images) & set(labels):
        return None
    for way in CONVENTIONS:
        mine, theirs = (
            [(found[1] if (found := re.fullmatch(pattern, name)) else None) for name in names]
            for pattern, names in ((way.image, images), (way.label, labels))
        )
        if None in mine or None in theirs or len(set(mine)) < len(mine) or len(set(theirs)) < len(theirs):
            continue
        if set(theirs) == set(mine) or (way.sparse and set(theirs) < set(mine)):
            known = dict(zip(theirs, labels))
            pairs = [(image, known[key]) for image, key in zip(images, mine) if key in known]
            if left := len(images) - len(pairs):
                SayOnce.say(f"{left} of {len(images)} images have no labels named as in {way.name}, and are left out")
            return pairs
    return None


def suffix_hint(images: Sequence[str], labels: Sequence[str]) -> str | None:
    """The setting that pairs names, where those of the labels have an ending that those of the images lack."""
    for ending in ENDINGS:
        if {name + ending for name in images} & set(labels):
            return f"pass `labels_suffix={ending}`"
    return None


def frame_numbers(names: Sequence[str]) -> list[str] | None:
    """Of frames of a single file their numbers, else None.

    >>> frame_numbers(["raw_t07", "raw_t08"]), frame_numbers(["raw_t07", "a_t08"])
    (['07', '08'], None)
    """
    split = [name.rpartition("_t") for name in names]
    one_file = len({stem for stem, _, _ in split}) == 1 and len(set(names)) == len(names)
    return [n for _, _, n in split] if one_file and all(t and n.isdigit() for _, t, n in split) else None


def connected_objects(mask: Volume, above: float | None, ignore_id: int | None = None) -> Volume:
    """The connected parts (corners touch) of what lies above a value, as labels. Without one, labels as they are.

    Voxels with the `ignore_id` are no part, and keep it.
    """
    if above is None:
        return mask
    from skimage.measure import label

    values = mask.load()
    if ignore_id is None:
        return replace(mask, array=np.asarray(label(np.greater(values, above)), np.int32))
    ignored = values == ignore_id
    parts = np.asarray(label(np.greater(values, above) & ~ignored), np.uint32)
    parts += parts >= ignore_id
    return replace(mask, array=np.where(ignored, np.uint32(ignore_id), parts))


def known_labels(labels: Volume, ignore_id: int | None) -> Volume:
    """Labels with background in place of ignored voxels, for those who measure objects."""
    return labels if ignore_id is None else replace(labels, array=split_ignored(labels.load(), ignore_id)[0])


def take_portion(pairs: Pairs, part: float) -> Pairs:
    """A part (0 to 1] of labelled images, as somebody would have labelled it: whole images that lie evenly among all,
    and of one more the first piece of its longest axis. Always the same ones."""
    count = part * len(pairs)
    whole = int(count + 1e-6)
    rest = count - whole if count - whole > 1e-6 else 0.0
    chosen = whole + (rest > 0)
    taken = [pairs[i] for i in middles_of_parts(len(pairs), chosen)]
    if rest:
        image, truth = taken[-1]
        crop = {image.axes[int(np.argmax(image.shape))]: (0.0, rest)}
        taken[-1] = crop_volume(image, crop), crop_volume(truth, crop)
    return taken


def leave_out(pairs: Pairs, part: float) -> tuple[Pairs, Pairs]:
    """Labelled images without a part (0 to 1) of them, and that part: whole images that lie evenly among all, or, of
    too few, the last piece of the longest axis of each."""
    count = round(part * len(pairs))
    if count:
        taken = set(middles_of_parts(len(pairs), count))
        return [pair for i, pair in enumerate(pairs) if i not in taken], [pairs[i] for i in sorted(taken)]
    kept, held = Pairs(), Pairs()
    for image, truth in pairs:
        axis = image.axes[int(np.argmax(image.shape))]
        for pieces, ends in ((kept, (0.0, 1 - part)), (held, (1 - part, 1.0))):
            pieces.append((crop_volume(image, {axis: ends}), crop_volume(truth, {axis: ends})))
    return kept, held
