"""Phantom labels as channels in the place of pass 1, and what blocks make of them: the oracle is one piece."""

import shutil
from pathlib import Path

import numpy as np

from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import Volume, open_labels
from cytoshift.labels.overlap import overlap
from cytoshift.predict.blockwise import audit_classes, finish, passes, segment_blockwise
from cytoshift.predict.blockwise.engine import Serial
from cytoshift.predict.blockwise.plan import BlockOptions
from cytoshift.predict.pipeline import Options, decode
from cytoshift.represent import BCD, Semantic
from predicting import segmenter

PLAIN = Options(precision="32", min_size=0.0)
RADIUS = (2.0, 4.0)


def crowd(shape: tuple[int, ...], seed: int, gap: float = 0.6) -> np.ndarray:
    """Labels (*S) int32 of balls that touch or nearly so, in no rows: a voxel is the nearest centre's in reach."""
    rng = np.random.default_rng(seed)
    spacing = 2 * RADIUS[1] * gap
    centres = np.empty((0, len(shape)))
    for one in rng.uniform(0, shape, (int(4 * np.prod(shape) / spacing ** len(shape)) + 8, len(shape))):
        if (((centres - one) ** 2).sum(1) >= (0.85 * spacing) ** 2).all():
            centres = np.vstack([centres, one])
    radii = rng.uniform(*RADIUS, len(centres))
    out, best = np.zeros(shape, np.int32), np.full(shape, np.inf)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    for number, (centre, radius) in enumerate(zip(centres, radii), 1):
        box = tuple(slice(max(int(c - radius), 0), int(c + radius) + 2) for c in centre)
        far = ((places[box] - centre) ** 2).sum(-1)
        nearer = (far <= radius**2) & (far < best[box])
        out[box][nearer], best[box][nearer] = number, far[nearer]
    return out


def image_of(labels: np.ndarray) -> Volume:
    rng = np.random.default_rng(0)
    noisy = (labels > 0) * 1000 + rng.integers(0, 99, labels.shape)
    return Volume("cells", noisy.astype(np.uint16), "zyx"[-labels.ndim :], Voxel((1.0,) * labels.ndim), "made up")


def stand_in(monkeypatch, eight: np.ndarray):
    """The channels of a perfect network in the place of pass 1."""

    def predict(job, number):
        padded = np.zeros((len(eight), *job.plan.working), np.uint8)
        padded[(slice(None), *(slice(0, n) for n in eight.shape[1:]))] = eight
        for tile in job.tiles_of(number):
            job.channels[tile] = padded[(slice(None), *job.cover[tile].region)]

    monkeypatch.setitem(passes.WORK, "predict", predict)


def blocks_of(made, volume, folder: Path, wishes: BlockOptions, options=PLAIN, engine=None, **rest):
    """Labels, verdict and what was said."""
    shutil.rmtree(folder, ignore_errors=True)
    engine, said = engine or Serial(), []
    job = segment_blockwise(made, volume, {"": folder / "out.ome.zarr"}, folder / "work", engine, wishes, options,
                            report=(said.append, lambda *_: None), **rest)  # fmt: skip
    (audit,) = audit_classes(job)
    (path,) = finish(job, engine)
    return open_labels(path)[0].load(), audit, said


def same_objects(one: np.ndarray, other: np.ndarray) -> bool:
    """Voxel by voxel the same objects, whatever their ids."""
    table = overlap(one, other)
    return len(table.truth) == len(np.unique(one)) == len(np.unique(other))


def encoded(made, labels: np.ndarray, volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """The channels of a perfect network in 8 bits (K, *S), and what they are in one piece (*S)."""
    represent = made.representation
    eight = represent.to_stored(represent.encode(labels, volume.voxel))
    return eight, decode(represent, eight, volume.voxel, PLAIN)


def models() -> dict:
    """Segmenters by the number of axes and how they tell objects apart."""
    return {
        (ndim, kind): segmenter(ndim, representation=represent)
        for ndim in (2, 3)
        for kind, represent in (("bcd", BCD(voxels=4, seed_voxels=1, seed_foreground=0.7, seed_contour=0.6)),
                                ("components", Semantic(split="components")), ("distance", Semantic()))
    }  # fmt: skip
