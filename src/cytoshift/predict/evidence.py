"""What a person looks at to judge a segmentation, as small files beside it: the report shows them.

    FOLDER/evidence.json                            which pictures there are, and of what
    FOLDER/slices/0-cells-012.jpg                   a plane of an image ...
    FOLDER/slices/0-cells-012.outlines.png          ... and, to lay over it, its outlines
    FOLDER/slices/0-cells-012.confidence.png        ... and the confidence of its objects
    FOLDER/crops/worst-0.jpg, worst-0.outlines.png  objects the network is least sure of, and some in the middle

All is read from the images and the written results, plane by plane: volumes may be larger than memory, and a call that
continues another shows the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.atomic import discard
from ..core.evenly import first_of_parts
from ..core.json_files import write_json
from ..core.voxel import Voxel
from ..data.planes import plane_of
from ..data.volumes import Volume, open_labels
from ..draw import composite, outline_layer, save_jpeg, save_layer, value_layer

SHOWN_IMAGES = {2: 6, 3: 3}  # are shown, by the number of their axes
SHOWN_SLICES = 24  # of a volume
LONGEST_SIDE = {2: 1024, 3: 640}  # pixels of a picture's longer side at most
SHORTEST_SIDE = 480  # small images are enlarged to that
CROPS, CROP_PIXELS, CROP_DIAMETERS = 6, 200, 2.5  # of a kind; pixels of one; extent of it in diameters of its object
CONFIDENCE_SCALE = (0.5, 1.0)  # of the colours of confidence


@dataclass(frozen=True)
class EvidenceObject:
    """An object of the table: lengths are the table's, `box` is the bounding box in voxels."""

    image: str
    kind: str  # its class, "" where there is one
    id: int
    diameter: float
    confidence: float
    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class EvidenceImage:
    """An image, labels of one class of it and, of a comparison, their truth: then objects are those of the truth, and
    their confidence is how well they were found. Labels on disk are opened when they are shown, as few are."""

    image: Volume
    found: Volume | Path
    kind: str = ""
    truth: Volume | None = None

    @cached_property
    def labels(self) -> Volume:
        return self.found if isinstance(self.found, Volume) else open_labels(self.found)[0]


def evidence(
    shown: Sequence[EvidenceImage], objects: Mapping[tuple[str, str], Sequence[EvidenceObject]], folder: Path,
    scale: tuple[float, float] = CONFIDENCE_SCALE,
) -> Path:  # fmt: skip
    """Draw it. shown: every image, and of several classes each of them; objects: by image and class; scale: ends of the
    colours of confidence."""
    discard(folder)
    ndim = len(shown[0].image.axes)
    chosen = first_of_parts(shown, max(SHOWN_IMAGES[ndim], len({one.kind for one in shown})))
    pictures = [
        slices(one, number, {o.id: o.confidence for o in objects.get((one.image.name, one.kind), ())}, folder, scale)
        for number, one in enumerate(chosen)
    ]
    by_name = {(one.image.name, one.kind): one for one in shown}
    ranked = sorted((o for rows in objects.values() for o in rows), key=lambda o: (o.confidence, o.image, o.id))
    middle = ranked[max(len(ranked) // 2 - CROPS // 2, CROPS) :][:CROPS]
    kinds = {"worst": ranked[:CROPS], "median": middle if len(ranked) > 2 * CROPS else []}
    usual = float(np.median([o.diameter for o in ranked])) if ranked else 0.0
    crops = {
        kind: [
            crop_object(by_name[o.image, o.kind], o, usual, folder, f"{kind}-{number}") for number, o in enumerate(rows)
        ]
        for kind, rows in kinds.items()
    }
    content = {"images": pictures, "of": len(shown), "scale": scale, "crops": crops}
    return write_json(folder / "evidence.json", content)


def slices(
    shown: EvidenceImage, number: int, confidence: Mapping[int, float], folder: Path, scale: tuple[float, float]
) -> dict[str, Any]:
    """The planes of one image; all of them are stretched alike."""
    image = shown.image
    depth = 1 if image.axes == "yx" else image.shape[0]
    planes = sorted({round(z) for z in np.linspace(0, depth - 1, min(depth, SHOWN_SLICES))})
    limits = stretch(image, planes)
    longest = square_extent(image)
    rows = []
    for z in planes:
        plane, pixel = plane_of(image, z)
        labels, grid = plane_of(shown.labels, z)
        size = int(np.clip(longest, SHORTEST_SIDE, LONGEST_SIDE[len(image.axes)]))
        picture = composite(plane.reshape(-1, *plane.shape[-2:]), pixel, size=size, limits=limits)
        name = f"{number}-{image.name}{f'-{shown.kind}' * bool(shown.kind)}-{z:03d}"
        base = folder / "slices" / name
        truth = None if shown.truth is None else plane_of(shown.truth, z)[0]
        there = outline_layer(labels, grid, picture.shape[:2], truth)
        sure = value_layer(labels if truth is None else truth, confidence, grid, picture.shape[:2], scale)
        rows.append({
            "z": z, "image": save_jpeg(base.with_name(f"{name}.jpg"), picture).relative_to(folder),
            "outlines": save_layer(base.with_name(f"{name}.outlines.png"), there).relative_to(folder),
            "confidence": save_layer(base.with_name(f"{name}.confidence.png"), sure).relative_to(folder),
            "objects": int(np.count_nonzero(np.unique(labels))), "size": picture.shape[1::-1],
        })  # fmt: skip
    return {
        "name": image.name, "class": shown.kind, "axes": image.axes, "shape": image.shape, "depth": depth,
        "voxel": image.voxel.size, "unit": image.voxel.unit, "slices": rows,
        "shrunk": longest / max(rows[0]["size"]) if rows else 1.0,
    }  # fmt: skip


def stretch(image: Volume, planes: Sequence[int]) -> tuple[float, float] | None:
    """Intensities shown as black and white in all planes of a volume; None: of several channels each by itself."""
    if image.channels > 1:
        return None
    some = [plane_of(image, z)[0][::2, ::2] for z in planes[:: max(len(planes) // 5, 1)]]
    values = np.concatenate([plane[np.isfinite(plane)].ravel() for plane in some])
    return (float(np.percentile(values, 0.5)), float(np.percentile(values, 99.8))) if values.size else None


def square_extent(image: Volume) -> float:
    """Pixels of the longer side of a plane once they are square."""
    sizes = image.voxel.size[-2:]
    return max(n * s for n, s in zip(image.shape[-2:], sizes)) / min(sizes)


def crop_object(shown: EvidenceImage, found: EvidenceObject, usual: float, folder: Path, name: str) -> dict[str, Any]:
    """An object and what is around it, in the plane through its middle; usual: a diameter that each has room for."""
    image = shown.image
    place, pixel = square_window(image, found, usual)
    plane, labels = np.asarray(image.array[(..., *place)]), np.asarray(shown.labels.array[place])
    picture = composite(plane.reshape(-1, *plane.shape[-2:]), pixel, size=CROP_PIXELS)
    if shown.truth is None:  # the object amber, all others blue
        mine, others = np.where(labels == found.id, labels, 0), np.where(labels == found.id, 0, labels)
    else:  # it is blue, what was found is amber
        truth = np.asarray(shown.truth.array[place])
        mine, others = labels, np.where(truth == found.id, truth, 0)
    layer = outline_layer(mine, pixel, picture.shape[:2], truth=others)
    return {
        "object": found.id, "image": found.image, "class": found.kind, "diameter": found.diameter,
        "confidence": found.confidence, "unit": image.voxel.unit, "size": picture.shape[1::-1],
        "picture": save_jpeg(folder / "crops" / f"{name}.jpg", picture).relative_to(folder),
        "outlines": save_layer(folder / "crops" / f"{name}.outlines.png", layer).relative_to(folder),
    }  # fmt: skip


def square_window(image: Volume, found: EvidenceObject, usual: float) -> tuple[tuple[int | slice, ...], Voxel]:
    """A square around the object, as an index, and the size of its pixels; at the border of the image it is moved."""
    middle = [(a + b) // 2 for a, b in zip(found.low, found.high)]
    pixel = Voxel(image.voxel.size[-2:], image.voxel.unit)
    side = CROP_DIAMETERS * max(usual, *((b - a) * s for a, b, s in zip(found.low[-2:], found.high[-2:], pixel.size)))
    place: list[int | slice] = list(middle[:-2])
    for centre, spacing, length in zip(middle[-2:], pixel.size, image.shape[-2:]):
        wide = min(max(round(side / spacing), 8), length)
        start = min(max(centre - wide // 2, 0), length - wide)
        place.append(slice(start, start + wide))
    return tuple(place), pixel


def statistics(objects: Sequence[EvidenceObject], total: int | None = None) -> dict[str, Any]:
    """Number, quantiles and histograms of diameter and confidence of many objects, in few numbers.

    total: how many there are, where these are only some of them.
    """
    diameters, sure = np.array([o.diameter for o in objects]), np.array([o.confidence for o in objects])
    if not len(objects):
        return {"objects": 0}
    high = float(np.quantile(diameters, 0.995)) * 1.1
    counts, edges = np.histogram(np.minimum(diameters, high), 32, (0.0, high))
    steps, ends = np.histogram(np.clip(sure, 0, 1), 20, (0.0, 1.0))
    quantiles: NDArray[np.float64] = np.quantile(diameters, (0.05, 0.5, 0.95))
    return {
        "objects": total or len(objects), "diameter": {"quantiles": quantiles, "counts": counts, "edges": edges},
        "confidence": {"median": float(np.median(sure)), "mean": float(sure.mean()), "counts": steps, "edges": ends},
    }  # fmt: skip
