"""The audit of seams: what faces do to objects, and what a tissue does by itself."""

from functools import cache

import numpy as np
import pytest
from scipy.spatial import cKDTree

from cytoshift.core.blocks import BlockGrid
from cytoshift.predict.blockwise.audit import FIELDS, INSIDE, Audit, count_plane, cut_positions, judge_seams, sum_planes

SHAPE = (64, 128, 128)


@cache
def tissue() -> np.ndarray:
    """Labels of cells at random places, larger half way down: nothing of it knows of blocks."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, SHAPE, (4000, 3))
    centres = centres[rng.uniform(size=4000) < 1 - 0.5 * np.sin(np.pi * centres[:, 0] / SHAPE[0])]
    places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    far, number = cKDTree(centres).query(places, k=2)
    return np.where(far[..., 1] - far[..., 0] > 1.5, number[..., 0] + 1, 0)


def damaged(labels: np.ndarray, wrong: str, block: tuple[int, ...]) -> np.ndarray:
    """Every object at a face is cut there, every fifth lost behind it, or every two of them made one."""
    out = labels.copy()
    for axis, size in enumerate(block):
        for face in range(size, SHAPE[axis], size):
            layer = np.moveaxis(out, axis, 0)[face]
            ids, names = np.setdiff1d(layer, [0]), np.arange(out.max() + 1)
            if wrong == "merged":
                names[ids[1::2]] = ids[: ids.size // 2 * 2 : 2]
                out = names[out]
            else:
                names[ids if wrong == "cut" else ids[::5]] = (
                    out.max() + 1 + np.arange(ids.size) if wrong == "cut" else 0
                )
                behind = np.moveaxis(out, axis, 0)[face:]
                behind[:] = names[behind]
    return out


def audit(labels: np.ndarray, block: tuple[int, ...]) -> Audit:
    grid, sizes = BlockGrid(SHAPE, block, (0, 0, 0)), np.bincount(labels.ravel())[1:]
    tables = []
    for one in grid:
        table = np.zeros((3, 1 + INSIDE, len(FIELDS)))
        for axis, write in enumerate(one.write):
            for place, plane in enumerate(cut_positions(write.start, block[axis])):
                if 0 < plane < write.stop:
                    layers = np.moveaxis(labels[(*one.write[:axis], slice(None), *one.write[axis + 1 :])], axis, 0)
                    table[axis, place] = count_plane(layers[plane - 1], layers[plane], sizes)
        tables.append(table)
    return judge_seams(sum_planes(grid, tables))


@pytest.mark.parametrize("face", [12, 24, 34, 46])
def test_a_single_face_among_larger_cells_is_no_seam(face):
    found = audit(tissue(), (face, 64, 128))
    assert found.passed, found.sentence()


@pytest.mark.parametrize("wrong", ["cut", "lost", "merged"])
@pytest.mark.parametrize("block", [(32, 40, 40), (16, 32, 32)])
def test_what_faces_do_is_a_seam_and_named(wrong, block):
    found = audit(damaged(tissue(), wrong, block), block)
    assert f"objects {wrong}" in found.seams, found.sentence()


def test_of_little_nothing_is_said():
    labels = np.zeros(SHAPE, np.int64)
    assert audit(labels, (16, 32, 32)).passed and "no object lies" in audit(labels, (16, 32, 32)).sentence()
    labels[30:34, 78:82, 78:82] = 1
    assert audit(labels, (32, 80, 80)).passed and audit(labels, SHAPE).passed


def test_planes_inside_of_small_blocks_are_as_many_as_there_is_room():
    assert (
        cut_positions(10, 16) == [10, 12, 16, 20, 24]
        and cut_positions(10, 3) == [10, 11, 12]
        and cut_positions(5, 1) == [5]
    )
