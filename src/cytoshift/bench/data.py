"""The images of a spec: found under the data root, or made."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.voxel import Voxel
from ..data.pairs import matched, objects
from ..data.volumes import ImageSource, Volume, open_labels, open_volumes
from ..data.write import write_image, write_labels
from ..labels.ids import relabel
from ..synth.pairs import look_up as look_up_pair
from ..synth.pairs import pair
from ..synth.phantoms import look_up, phantom
from .spec import Dataset, Files, Lender, MadeLender, Phantoms, Simulated

Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Pair:
    """One image to segment, and how to get its truth when it is time to score."""

    image: Volume
    truth: Callable[[], Labels]


@dataclass(frozen=True)
class Labelled:
    """Images and their labels; mask_above: which are a mask."""

    images: ImageSource
    labels: ImageSource
    mask_above: float | None = None


@dataclass(frozen=True)
class Material:
    """A data set as the methods get it: `train` to learn from, `pairs` to segment; `files` tell whether it changed."""

    dataset: Dataset
    train: ImageSource
    pairs: list[Pair]
    files: list[tuple[str, int]]  # path under the root, bytes
    source: Labelled | None = None  # of another modality
    train_labels: ImageSource | None = None

    def lender(self, labels: str) -> Labelled:
        """Whose labels are learnt from: those of the "source", or of the "target" itself."""
        if labels == "source" and self.source is not None:
            return self.source
        if labels == "target" and self.train_labels is not None:
            mask_above = self.dataset.mask_above if isinstance(self.dataset, Files) else None
            return Labelled(self.train, self.train_labels, mask_above)
        raise UserError(
            f"data set '{self.dataset.name}' has no labels of the {labels} to learn from; give it a source, or "
            "train_labels"
        )


def material(dataset: Dataset, root: Path | None, made: Path) -> Material:
    """Open a data set. root: what the paths of the spec are relative to; made: folder for images the spec makes.

    Raises UserError where the root is missing or something is not found.
    """
    if isinstance(dataset, Phantoms):
        folder = fresh(dataset, made, repr(look_up(dataset.preset)))
        return of_files(as_files(dataset, folder), dataset, folder, made)
    if isinstance(dataset, Simulated):
        folder = fresh(dataset, made, repr(look_up_pair(dataset.pair)))
        return of_files(both_sides(dataset, folder), dataset, folder, made)
    if root is None:
        raise UserError(f"data set '{dataset.name}' is on disk; pass --data with the folder its paths are relative to")
    return of_files(dataset, dataset, root, made)


def fresh(entry: Any, made: Path, recipe: str) -> Path:
    """Another preset, seed or recipe of what is made is another folder: nothing stale is taken for fresh."""
    name = entry.name if isinstance(entry, Phantoms | Simulated) else "source"
    return made / f"{name}-{digest([entry.model_dump(mode='json'), recipe])}"


def of_files(where: Files, dataset: Dataset, root: Path, made: Path) -> Material:
    said = {"axes": where.axes, "voxel": where.voxel, "unit": where.unit}
    seen = {**said, "channel": where.channel, "level": where.level}
    tested: dict[str, Any] = {"frames": where.frames, "crop": where.crop}
    learnt: dict[str, Any] = {"frames": where.train_frames, "crop": where.train_crop}
    source = ImageSource(paths=under(root, where.images), **seen, **tested)
    train = source if where.train is None else ImageSource(paths=under(root, where.train), **seen, **learnt)
    if where.axes:  # a label image has no channels
        said["axes"] = "".join(a for a in where.axes if a in "tzyx")
    truths = open_labels(ImageSource(paths=under(root, where.labels), **said, **tested))
    images = open_volumes(source)
    pairs = [
        Pair(image, reader(truth, where.mask_above))
        for image, truth in matched(images, truths, f"data set '{dataset.name}'")
    ]
    files = sizes(root, [where.images, where.labels, where.train or []])
    told = None if where.train_labels is None else ImageSource(paths=under(root, where.train_labels), **said, **learnt)
    return Material(dataset, train, pairs, files, lent_by(where, root, made), told)


def lent_by(where: Files, root: Path, made: Path) -> Labelled | None:
    """The labelled images of another modality; phantoms are made."""
    source = where.source
    if source is None:
        return None
    if isinstance(source, MadeLender):
        folder = fresh(source, made, repr(look_up(source.preset)))
        for i in range(source.images):
            if not (folder / "labels" / f"{i:03d}.tif").exists():
                image, labels, voxel = phantom(source.preset, source.seed, source.shape, i)
                write_side(folder, i, image, labels, voxel)
        made_images, made_labels = (ImageSource(paths=str(folder / kind)) for kind in ("images", "labels"))
        return Labelled(made_images, made_labels)
    said: dict[str, Any] = {
        "axes": source.axes, "voxel": source.voxel, "unit": source.unit, "frames": source.frames, "crop": source.crop
    }  # fmt: skip
    images = ImageSource(paths=under(root, source.images), channel=source.channel, **said)
    if source.axes:
        said["axes"] = "".join(a for a in source.axes if a in "tzyx")
    return Labelled(images, ImageSource(paths=under(root, source.labels), **said), source.mask_above)


def write_side(folder: Path, i: int, image: NDArray[Any], labels: NDArray[Any], voxel: Voxel) -> None:
    """Image before labels: where the labels are, both are."""
    write_image(folder / "images" / f"{i:03d}.tif", image, voxel, "zyx"[-voxel.ndim :])
    write_labels(folder / "labels" / f"{i:03d}.tif", labels, voxel, "zyx"[-voxel.ndim :])


def both_sides(dataset: Simulated, folder: Path) -> Files:
    """Make the pair once: target/ to segment, train/ to learn from, source/ with its labels. No sample is on two."""
    parts: list[tuple[str, Literal["source", "target"], int, int]] = [
        ("target", "target", 0, dataset.images),
        ("train", "target", dataset.images, dataset.train),
        ("source", "source", 0, dataset.source),
    ]
    for part, side, first, count in parts:
        for i in range(first, first + count):
            if not (folder / part / "labels" / f"{i:03d}.tif").exists():
                write_side(folder / part, i, *pair(dataset.pair, side, dataset.seed, dataset.shape, i))
    return Files(
        name=dataset.name, images="target/images", labels="target/labels", train="train/images",
        train_labels="train/labels", source=Lender(images="source/images", labels="source/labels"),
        polarity=dataset.polarity, pictures=dataset.pictures,
    )  # fmt: skip


def under(root: Path, paths: str | list[str]) -> list[str]:
    return [str(root / path) for path in ([paths] if isinstance(paths, str) else paths)]


def reader(truth: Volume, mask_above: float | None) -> Callable[[], Labels]:
    """Truth is read when it is asked for. A gray mask becomes its connected parts."""

    def read() -> Labels:
        return relabel(objects(truth, mask_above).load())

    return read


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
