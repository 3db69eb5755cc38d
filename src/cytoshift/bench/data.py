"""The images of a spec: found under the data root, or made."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..data.volumes import ImageSource, Volume, open_labels, open_volumes
from ..data.write import write_image, write_labels
from ..labels.ids import relabel
from ..synth.phantoms import look_up, phantom
from .spec import Dataset, Files, Phantoms

Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Pair:
    """One image to segment, and how to get its truth when it is time to score."""

    image: Volume
    truth: Callable[[], Labels]


@dataclass(frozen=True)
class Material:
    """A data set as the methods get it: `train` to learn from, `pairs` to segment; `files` tell whether it changed."""

    dataset: Dataset
    train: ImageSource
    pairs: list[Pair]
    files: list[tuple[str, int]]  # path under the root, bytes


def material(dataset: Dataset, root: Path | None, made: Path) -> Material:
    """Open a data set. root: what the paths of the spec are relative to; made: folder for images the spec makes.

    Raises UserError where the root is missing or something is not found.
    """
    if isinstance(dataset, Phantoms):
        # Another preset, seed or recipe of the phantoms is another folder: nothing stale is taken for fresh.
        folder = made / f"{dataset.name}-{digest([dataset.model_dump(mode='json'), repr(look_up(dataset.preset))])}"
        return of_files(as_files(dataset, folder), dataset, folder)
    if root is None:
        raise UserError(f"data set '{dataset.name}' is on disk; pass --data with the folder its paths are relative to")
    return of_files(dataset, dataset, root)


def of_files(where: Files, dataset: Dataset, root: Path) -> Material:
    said = {"axes": where.axes, "voxel": where.voxel, "unit": where.unit}
    seen = {**said, "channel": where.channel, "level": where.level}
    source = ImageSource(paths=under(root, where.images), **seen)
    train = source if where.train is None else ImageSource(paths=under(root, where.train), **seen)
    if where.axes:  # a label image has no channels
        said["axes"] = "".join(a for a in where.axes if a in "zyx")
    truths = open_labels(ImageSource(paths=under(root, where.labels), **said))
    images = open_volumes(source)
    pairs = [Pair(image, reader(truth, where.mask_above)) for image, truth in matched(images, truths, dataset.name)]
    return Material(dataset, train, pairs, sizes(root, [where.images, where.labels, where.train or []]))


def under(root: Path, paths: str | list[str]) -> list[str]:
    return [str(root / path) for path in ([paths] if isinstance(paths, str) else paths)]


def reader(truth: Volume, mask_above: float | None) -> Callable[[], Labels]:
    """Truth is read when it is asked for. A gray mask becomes its connected parts."""

    def read() -> Labels:
        array = truth.load()
        if mask_above is None:
            return relabel(array)
        from skimage.measure import label

        return np.asarray(label(np.greater(array, mask_above)), np.int32)

    return read


def matched(images: list[Volume], truths: list[Volume], name: str) -> list[tuple[Volume, Volume]]:
    """Images and truths of the same name, or one of each."""
    by_name = {truth.name: truth for truth in truths}
    if len(images) == len(truths) == 1:
        by_name = {images[0].name: truths[0]}
    if missing := next((image.name for image in images if image.name not in by_name), None):
        raise UserError(f"data set '{name}': image '{missing}' has no labels of its name; rename the files alike")
    pairs = [(image, by_name[image.name]) for image in images]
    for image, truth in pairs:
        if image.shape != truth.shape:
            raise UserError(f"data set '{name}': {image.origin} is {image.shape}, its labels are {truth.shape}")
    return pairs


def sizes(root: Path, groups: list[Any]) -> list[tuple[str, int]]:
    """Every file that the patterns of the spec lead to, with its size: a fingerprint that costs no reading."""
    found: dict[str, int] = {}
    for patterns in groups:
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            top = pattern.partition("::")[0]
            for path in [root / top] if (root / top).exists() else sorted(root.glob(top)):
                inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
                found |= {p.relative_to(root).as_posix(): p.stat().st_size for p in inside}
    return sorted(found.items())


def digest(what: Any) -> str:
    """Eight letters that differ where the settings differ."""
    return hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=4).hexdigest()


def as_files(dataset: Phantoms, folder: Path) -> Files:
    """Make the phantoms once; what is there already is kept. Training images get no labels on disk."""
    axes = "zyx"[-len(look_up(dataset.preset).shape) :]
    for i in range(dataset.images + dataset.train):
        image_path = folder / ("images" if i < dataset.images else "train") / f"{i:03d}.tif"
        label_path = folder / "labels" / f"{i:03d}.tif"
        if image_path.exists() and (label_path.exists() or i >= dataset.images):
            continue
        image, labels, voxel = phantom(dataset.preset, dataset.seed, dataset.shape, i)
        if i < dataset.images:
            write_labels(label_path, labels, voxel, axes)
        write_image(image_path, image, voxel, axes)
    return Files(
        name=dataset.name, images="images", labels="labels", train="train", polarity=dataset.polarity,
        pictures=dataset.pictures,
    )  # fmt: skip
