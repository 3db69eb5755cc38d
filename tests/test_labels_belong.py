"""Golgi and the nuclei that they belong to: by overlap, by distance, none beyond the reach."""

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.labels.owners import assign_owners

#                    0  1  2  3  4  5  6  7  8  9
NUCLEI = np.array([[0, 4, 4, 4, 0, 0, 9, 9, 0, 0]])
PIXEL = Voxel((1.0, 1.0))


def golgi(**places: list[int]) -> np.ndarray:
    """Ids g1=[columns] of a row."""
    out = np.zeros_like(NUCLEI)
    for name, columns in places.items():
        out[0, columns] = int(name[1:])
    return out


def test_overlap_comes_before_nearness_and_the_larger_one_before_the_smaller():
    found = assign_owners(golgi(g2=[3, 4, 5], g7=[5, 6, 7]), NUCLEI, PIXEL, 0.0)
    assert found.ids.tolist() == [2, 7] and found.owner.tolist() == [4, 9] and found.distance.tolist() == [0, 0]
    both = np.array([[0, 4, 4, 9, 9, 9, 0]])
    assert assign_owners(np.array([[0, 0, 1, 1, 1, 0, 0]]), both, PIXEL, 0.0).owner.tolist() == [9]


def test_the_nearest_within_reach_or_none():
    alone = golgi(g1=[0], g3=[9])  # one touches, one is a voxel of background away
    for reach, owner in ((0.0, [4, 0]), (1.0, [4, 9])):
        found = assign_owners(alone, NUCLEI, PIXEL, reach)
        assert found.owner.tolist() == owner and found.distance.tolist() == [0.0, 1.0]


def test_distances_are_lengths_and_not_voxels():
    nuclei, one = np.zeros((5, 9, 9), int), np.zeros((5, 9, 9), int)
    nuclei[0, 4, 4], nuclei[4, 4, 8] = 1, 2
    one[4, 4, 4] = 1  # 3 empty slices below the one, 3 empty pixels beside the other
    found = assign_owners(one, nuclei, Voxel((0.5, 1.0, 1.0), "um"), 5.0)
    assert found.owner.tolist() == [1] and found.distance.tolist() == [1.5]
    found = assign_owners(one, nuclei, Voxel((3.0, 1.0, 1.0), "um"), 5.0)
    assert found.owner.tolist() == [2] and found.distance.tolist() == [3.0]


def test_many_may_belong_to_one_and_none_is_no_error():
    found = assign_owners(golgi(g1=[1], g2=[3]), NUCLEI, PIXEL, 0.0)
    assert found.owner.tolist() == [4, 4]
    assert assign_owners(NUCLEI * 0, NUCLEI, PIXEL, 1.0).owner.size == 0
    lone = assign_owners(golgi(g1=[1]), NUCLEI * 0, PIXEL, 1.0)
    assert lone.owner.tolist() == [0] and lone.distance.tolist() == [np.inf]


def test_other_grids_are_refused():
    with pytest.raises(UserError, match="shape"):
        assign_owners(NUCLEI, NUCLEI[:, 1:], PIXEL, 1.0)
