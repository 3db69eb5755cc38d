"""The images of a spec: found under the data root, or made."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError
from ..core.voxel import Voxel
from ..data.channel_tiff import write_stack
from ..data.find import find_files, group_paths
from ..data.label_pairs import connected_objects, match_names
from ..data.volumes import ImageSource, Volume, open_labels, open_volumes
from ..data.write import write_image, write_labels
from ..labels.ids import relabel
from ..synth import CLASSES, STACKS, stack
from ..synth.pairs import look_up as look_up_pair
from ..synth.pairs import pair
from ..synth.phantoms import look_up, phantom
from .dataset_spec import ByClass, Dataset, Files, Phantoms, SimulatedPair, SourceFiles, SourcePhantoms, Stacks

Labels = NDArray[np.integer]
LabelFiles = ImageSource | dict[str, ImageSource]  # of several classes by name


@dataclass(frozen=True)
class Pair:
    """One image to segment, and how to get its truth when it is time to score.

    truths: of each class; the one of a single class is called "".
    """

    image: Volume
    truths: dict[str, Callable[[], Labels]]

    def truth(self) -> Labels:
        """Of a single class."""
        return self.truths[""]()


@dataclass(frozen=True)
class LabelledFiles:
    """Images and their labels; mask_above: which are a mask."""

    images: ImageSource
    labels: LabelFiles
    mask_above: float | None = None

    @property
    def by_class(self) -> dict[str, ImageSource]:
        """Labels by class."""
        return self.labels if isinstance(self.labels, dict) else {"": self.labels}

    @property
    def single_class(self) -> ImageSource:
        """The ids of the only class."""
        return self.by_class[""]


@dataclass(frozen=True)
class Material:
    """A data set as the methods get it: `train` to learn from, `pairs` to segment; `files` tell whether it changed.

    where: what it is on disk. images: the files of `pairs`. turns: image by image, the pair, the file of the image and
    those of its labels by class, in data sets with folds.
    """

    dataset: Dataset
    where: Files
    train: ImageSource
    images: ImageSource
    pairs: list[Pair]
    files: list[tuple[str, int]]  # path under the root, bytes
    source: LabelledFiles | None = None  # of another modality
    train_labels: LabelFiles | None = None
    turns: tuple[tuple[Pair, Path, dict[str, Path]], ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.where.classes

    @property
    def channels(self) -> dict[str, int | str]:
        """Of several classes, the number of the channel that each is seen in; of a single class nothing."""
        channel = self.where.channel
        return dict(zip(self.classes, channel)) if self.classes != ("",) and isinstance(channel, tuple) else {}

    def refuse_classes(self, method: str) -> None:
        """Raises UserError where a method that labels a single class meets several."""
        if self.classes != ("",):
            raise UserError(f"'{method}' labels a single class, the data set has {', '.join(self.classes)}")

    def fold(self, fold: tuple[int, ...]) -> "Material":
        """What there is in a fold: its images to segment, the others to learn from; () is the whole.

        (1,) is the second of the outer folds, to which every so many-th image belongs. (1, 0) is the first of the inner
        ones: of the images that (1,) learns from the first is segmented, and the rest is learnt from.
        """
        if not fold:
            return self
        outer, *inner = fold
        count = self.where.folds or 1
        here = [turn for i, turn in enumerate(self.turns) if i % count == outer]
        others = [turn for i, turn in enumerate(self.turns) if i % count != outer]
        for number in inner:
            here = [others.pop(number)]
        if not others:
            raise UserError(
                f"data set '{self.dataset.name}' has too few images for its folds; give more, or fewer folds"
            )
        told = {name: [str(labels[name]) for _, _, labels in others] for name in self.classes}
        kept = self.train_labels if isinstance(self.train_labels, dict) else {"": self.train_labels}
        labels = {name: source.model_copy(update={"paths": told[name]}) for name, source in kept.items() if source}
        return replace(
            self, train=self.train.model_copy(update={"paths": [str(path) for _, path, _ in others]}),
            images=self.images.model_copy(update={"paths": [str(path) for _, path, _ in here]}),
            pairs=[pair for pair, _, _ in here], train_labels=labels.get("", labels),
        )  # fmt: skip

    def source_files(self, labels: str) -> LabelledFiles:
        """The labelled images to learn from: those of the "source", or of the "target" itself."""
        if labels == "source" and self.source is not None:
            return self.source
        if labels == "target" and self.train_labels is not None:
            return LabelledFiles(self.train, self.train_labels, self.where.mask_above)
        raise UserError(
            f"data set '{self.dataset.name}' has no {labels} labels to learn from; give it a source, or train_labels"
        )


def open_dataset(dataset: Dataset, root: Path | None, made: Path) -> Material:
    """Open a data set. root: what the paths of the spec are relative to; made: folder for images the spec makes.

    Raises UserError where the root is missing or something is not found.
    """
    if isinstance(dataset, Phantoms):
        folder = generated_folder(dataset, made, repr(look_up(dataset.preset)))
        return open_files(write_phantoms(dataset, folder), dataset, folder, made)
    if isinstance(dataset, Stacks):
        folder = generated_folder(dataset, made, repr(STACKS.get(dataset.stack)))
        return open_files(write_stacks(dataset, folder), dataset, folder, made)
    if isinstance(dataset, SimulatedPair):
        folder = generated_folder(dataset, made, repr(look_up_pair(dataset.pair)))
        return open_files(write_pair(dataset, folder), dataset, folder, made)
    if root is None:
        raise UserError(f"data set '{dataset.name}' is on disk; pass `data` with the folder its paths are relative to")
    return open_files(dataset, dataset, root, made)


def generated_folder(entry: Any, made: Path, recipe: str) -> Path:
    """Another preset, seed or recipe of what is made is another folder: nothing stale is taken for fresh."""
    name = "source" if isinstance(entry, SourcePhantoms) else entry.name
    return made / f"{name}-{short_digest([entry.model_dump(mode='json'), recipe])}"


def open_files(where: Files, dataset: Dataset, root: Path, made: Path) -> Material:
    said = {"axes": where.axes, "voxel": where.voxel, "unit": where.unit}
    seen = {**said, "channel": where.channel, "level": where.level}
    tested: dict[str, Any] = {"frames": where.frames, "crop": where.crop}
    learnt: dict[str, Any] = {"frames": where.train_frames, "crop": where.train_crop}
    source = ImageSource(paths=resolve_paths(root, where.images), **seen, **tested)
    train = source if where.train is None else ImageSource(paths=resolve_paths(root, where.train), **seen, **learnt)
    if where.axes:  # a label image has no channels
        said["axes"] = "".join(a for a in where.axes if a in "tzyx")
    told = label_files(where.labels if where.folds else where.train_labels, root, **said, **learnt)
    files = file_sizes(root, [where.images, *by_class(where.labels).values(), where.train or []])
    pairs = truths_of(where, label_files(where.labels, root, **said, **tested), open_volumes(source))
    turns = list_images(pairs, where, root) if where.folds else ()
    return Material(dataset, where, train, source, pairs, files, open_source_files(where, root, made), told, turns)


def by_class(labels: ByClass | None) -> dict[str, Any]:
    """Paths by the names of the classes; those of a single one are called ""."""
    return labels if isinstance(labels, dict) else {} if labels is None else {"": labels}


def label_files(labels: ByClass | None, root: Path, **said: Any) -> LabelFiles | None:
    each = {name: ImageSource(paths=resolve_paths(root, paths), **said) for name, paths in by_class(labels).items()}
    return each.get("", each) or None


def truths_of(where: Files, labels: LabelFiles | None, images: list[Volume]) -> list[Pair]:
    """Images with their truths. Of several classes the ids stay as they are: those that two share are pairs."""
    truths: list[dict[str, Callable[[], Labels]]] = [{} for _ in images]
    for name, source in (labels if isinstance(labels, dict) else {"": labels}).items():
        assert source is not None, "every data set has labels"
        what = f"data set '{where.name}'{f', {name}' * bool(name)}"
        for truth, (_, found) in zip(truths, match_names(images, open_labels(source), what)):
            truth[name] = truth_reader(found, where.mask_above, anew=not name)
    return [Pair(image, truth) for image, truth in zip(images, truths)]


def list_images(pairs: list[Pair], where: Files, root: Path) -> tuple[tuple[Pair, Path, dict[str, Path]], ...]:
    """Every image with its file and those of its labels. Raises UserError where files hold several images, or none."""
    images = files_of(root, where.images)
    listed = {name: files_of(root, paths) for name, paths in by_class(where.labels).items()}
    if any(len(files) != len(pairs) for files in [images, *listed.values()]) or len(pairs) < (where.folds or 0):
        counts = ", ".join(str(len(files)) for files in [images, *listed.values()])
        raise UserError(
            f"data set '{where.name}' has {len(pairs)} images in files of images and labels ({counts}); {where.folds} "
            "folds need as many images at least, each in a file of its own"
        )
    return tuple(
        (pair, images[i], {name: files[i] for name, files in listed.items()}) for i, pair in enumerate(pairs)
    )  # fmt: skip


def files_of(root: Path, paths: Any) -> list[Path]:
    """The files that are meant, in the order in which they are opened."""
    return [
        file for found in group_paths([find_files(path) for path in resolve_paths(root, paths)]) for file in found.files
    ]


def open_source_files(where: Files, root: Path, made: Path) -> LabelledFiles | None:
    """The labelled images of another modality; phantoms are made."""
    source = where.source
    if source is None:
        return None
    if isinstance(source, SourcePhantoms):
        folder = generated_folder(source, made, repr(look_up(source.preset)))
        for i in range(source.images):
            if not (folder / "labels" / f"{i:03d}.tif").exists():
                image, labels, voxel = phantom(source.preset, source.seed, source.shape, i)
                write_images(folder, i, image, labels, voxel)
        made_images, made_labels = (ImageSource(paths=str(folder / kind)) for kind in ("images", "labels"))
        return LabelledFiles(made_images, made_labels)
    said: dict[str, Any] = {
        "axes": source.axes, "voxel": source.voxel, "unit": source.unit, "frames": source.frames, "crop": source.crop
    }  # fmt: skip
    images = ImageSource(paths=resolve_paths(root, source.images), channel=source.channel, **said)
    if source.axes:
        said["axes"] = "".join(a for a in source.axes if a in "tzyx")
    return LabelledFiles(images, ImageSource(paths=resolve_paths(root, source.labels), **said), source.mask_above)


def write_images(folder: Path, i: int, image: NDArray[Any], labels: NDArray[Any], voxel: Voxel) -> None:
    """Image before labels: where the labels are, both are."""
    write_image(folder / "images" / f"{i:03d}.tif", image, voxel, "zyx"[-voxel.ndim :])
    write_labels(folder / "labels" / f"{i:03d}.tif", labels, voxel, "zyx"[-voxel.ndim :])


def write_pair(dataset: SimulatedPair, folder: Path) -> Files:
    """Make the pair once: target/ to segment, train/ to learn from, source/ with its labels. No sample is on two."""
    parts: list[tuple[str, Literal["source", "target"], int, int]] = [
        ("target", "target", 0, dataset.images),
        ("train", "target", dataset.images, dataset.train),
        ("source", "source", 0, dataset.source),
    ]
    for part, side, first, count in parts:
        for i in range(first, first + count):
            if not (folder / part / "labels" / f"{i:03d}.tif").exists():
                write_images(folder / part, i, *pair(dataset.pair, side, dataset.seed, dataset.shape, i))
    return Files(
        name=dataset.name, images="target/images", labels="target/labels", train="train/images",
        train_labels="train/labels", source=SourceFiles(images="source/images", labels="source/labels"),
        polarity=dataset.polarity, pictures=dataset.pictures,
    )  # fmt: skip


def resolve_paths(root: Path, paths: str | list[str]) -> list[str]:
    return [str(root / path) for path in ([paths] if isinstance(paths, str) else paths)]


def truth_reader(truth: Volume, mask_above: float | None, anew: bool = True) -> Callable[[], Labels]:
    """Truth is read when it is asked for. A gray mask becomes its connected parts. anew: objects are numbered 1..N."""

    def read() -> Labels:
        found: Any = connected_objects(truth, mask_above).load()
        return relabel(found) if anew else found

    return read


def file_sizes(root: Path, groups: list[Any]) -> list[tuple[str, int]]:
    """Every file that the patterns of the spec lead to, with its size: a fingerprint that costs no reading."""
    found: dict[str, int] = {}
    for patterns in groups:
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            top = pattern.partition("::")[0]
            for path in [root / top] if (root / top).exists() else sorted(root.glob(top)):
                inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
                found |= {p.relative_to(root).as_posix(): p.stat().st_size for p in inside}
    return sorted(found.items())


def short_digest(what: Any) -> str:
    """Eight letters that differ where the settings differ."""
    return hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=4).hexdigest()


def write_phantoms(dataset: Phantoms, folder: Path) -> Files:
    """Make the phantoms once; what is there already is kept. Labels of training images are for upper bounds."""
    axes = "zyx"[-len(look_up(dataset.preset).shape) :]
    for i in range(dataset.images + dataset.train):
        images, truths = ("images", "labels") if i < dataset.images else ("train", "train-labels")
        image_path, label_path = (folder / kind / f"{i:03d}.tif" for kind in (images, truths))
        if image_path.exists() and label_path.exists():
            continue
        image, labels, voxel = phantom(dataset.preset, dataset.seed, dataset.shape, i)
        write_labels(label_path, labels, voxel, axes)
        write_image(image_path, image, voxel, axes)
    return Files(
        name=dataset.name, images="images", labels="labels", train="train", train_labels="train-labels",
        polarity=dataset.polarity, pictures=dataset.pictures,
    )  # fmt: skip


def write_stacks(dataset: Stacks, folder: Path) -> Files:
    """Make the stacks once, each with the labels of its classes."""
    for i in range(dataset.images):
        if (folder / "labels" / CLASSES[-1] / f"{i:03d}.tif").exists():
            continue
        image, labels, voxel = stack(dataset.stack, dataset.seed, dataset.shape, i)
        write_stack(folder / "images" / f"{i:03d}.tif", image, voxel, "zyx", CLASSES)
        for name, mask in zip(CLASSES, labels):
            write_labels(folder / "labels" / name / f"{i:03d}.tif", mask, voxel, "zyx")
    return Files(
        name=dataset.name, images="images", labels={name: f"labels/{name}" for name in CLASSES},
        channel=tuple(range(len(CLASSES))), pairs={CLASSES[0]: CLASSES[1]}, folds=dataset.folds,
        polarity=dataset.polarity, pictures=dataset.pictures, annotation=dataset.annotation,
    )  # fmt: skip
