"""Pairs of objects against those of the truth, on rows that can be checked by eye."""

import numpy as np

from cytoshift.core.voxel import Voxel
from cytoshift.labels.overlap import overlap
from cytoshift.labels.owners import assign_owners
from cytoshift.metrics.matching import matched_ids
from cytoshift.metrics.pairing import Pairing, owned_pairs, pairing, sum_pairings

#                       0  1  2  3  4  5  6  7  8  9
TRUE_GOLGI = np.array([[3, 3, 0, 5, 5, 0, 0, 8, 8, 0]])
TRUE_NUCLEI = np.array([[0, 0, 3, 3, 0, 0, 5, 0, 0, 9]])  # pairs 3 and 5; Golgi 8 and nucleus 9 are alone


def tables(golgi: list[int], nuclei: list[int]):
    return overlap(TRUE_GOLGI, np.array([golgi])), overlap(TRUE_NUCLEI, np.array([nuclei]))


def test_the_truth_with_other_numbers_is_all_right():
    both = tables([1, 1, 0, 2, 2, 0, 0, 4, 4, 0], [0, 0, 7, 7, 0, 0, 9, 0, 0, 2])
    assert pairing(*both, [(1, 7), (2, 9)]) == Pairing(true=2, found=2, right=2)


def test_a_wrong_owner_a_lost_object_and_an_invented_pair_count():
    both = tables([1, 1, 0, 2, 2, 0, 0, 4, 4, 0], [0, 0, 7, 7, 0, 0, 0, 0, 0, 2])
    found = pairing(*both, [(1, 7), (2, 7), (4, 2)])
    assert found == Pairing(true=2, found=3, right=1)
    assert found.precision == 1 / 3 and found.recall == 0.5 and found.f1 == 2 / 5
    assert sum_pairings([found, found]) == Pairing(4, 6, 2) and found.as_dict()["pairs_f1"] == 0.4


def test_an_object_must_be_matched_to_count():
    both = tables([1, 0, 0, 2, 2, 0, 0, 0, 0, 0], [0, 0, 7, 7, 7, 7, 9, 0, 0, 0])  # nucleus 7 is twice too large
    assert matched_ids(both[1]) == ([7, 9], [3, 5])  # at an IoU of exactly 1/2
    assert pairing(*both, [(1, 7), (2, 9)], threshold=0.6) == Pairing(2, 2, 1)


def test_no_pair_at_all_is_a_perfect_answer():
    none = overlap(np.zeros((1, 4), int), np.zeros((1, 4), int))
    assert pairing(none, none, []).f1 == 1 and pairing(none, none, []).precision == 1


def test_pairs_are_those_that_belong():
    golgi, nuclei = np.array([[0, 1, 0, 0, 6, 0, 0, 0, 0]]), np.array([[2, 2, 0, 0, 0, 0, 0, 0, 4]])
    assert owned_pairs(assign_owners(golgi, nuclei, Voxel((1.0, 1.0)), 1.0)) == [(1, 2)]
