"""Ids and overlap tables: numpy is the oracle."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cytoshift.core.errors import UserError
from cytoshift.labels import boundaries, dtypes, filters, ids, objects
from cytoshift.labels.dtypes import smallest_dtype
from cytoshift.labels.ids import compact_labels, relabel, sizes
from cytoshift.labels.overlap import Overlap, concatenate_tables, overlap, overlap_by_blocks, sum_tables

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", ">u2", ">i4"]
shapes = array_shapes(min_dims=2, max_dims=3, max_side=6)


def label_images(shape):
    return arrays(np.int32, shape, elements=st.integers(0, 5))


def rows(table: Overlap) -> list[tuple[int, int, int]]:
    return [(int(t), int(p), int(n)) for t, p, n in zip(table.truth, table.pred, table.count)]


@pytest.mark.parametrize("module", [dtypes, boundaries, filters, ids, objects], ids=lambda m: m.__name__)
def test_examples_in_docstrings(module):
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


def test_overlap_by_eye():
    truth = np.array([[0, 1, 1, 0], [0, 1, 1, 7]])
    pred = np.array([[0, 3, 3, 3], [0, 3, 0, 9]])
    table = overlap(truth, pred)
    assert rows(table) == [(0, 0, 2), (0, 3, 1), (1, 0, 1), (1, 3, 3), (7, 9, 1)]
    assert table.voxels == 8
    assert table.truth_ids.tolist() == [1, 7] and table.truth_sizes.tolist() == [4, 1]
    assert table.pred_ids.tolist() == [3, 9] and table.pred_sizes.tolist() == [4, 1]
    pairs = table.pairs
    assert pairs.truth.tolist() == [0, 1] and pairs.pred.tolist() == [0, 1] and pairs.count.tolist() == [3, 1]
    assert pairs.iou.tolist() == [3 / 5, 1.0]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_any_integer_dtype_gives_the_same_table(dtype):
    truth = np.array([[0, 1, 1, 0], [0, 1, 1, 7]])
    pred = np.array([[0, 3, 3, 3], [0, 3, 0, 9]])
    expected = rows(overlap(truth, pred))
    assert rows(overlap(truth.astype(dtype), pred)) == expected
    assert rows(overlap(truth, pred.astype(dtype))) == expected
    assert relabel(truth.astype(dtype)).tolist() == [[0, 1, 1, 0], [0, 1, 1, 2]]


def test_masks_and_views():
    mask = np.array([[True, False, True]])
    assert rows(overlap(mask, mask)) == [(0, 0, 1), (1, 1, 2)]
    steps = np.arange(24).reshape(4, 6)
    assert rows(overlap(steps[::2, ::-1], steps[::2, ::-1])) == [(i, i, 1) for i in [*range(6), *range(12, 18)]]
    turned = np.asfortranarray(steps)
    turned.flags.writeable = False
    assert rows(overlap(turned, steps)) == [(i, i, 1) for i in range(24)]


def test_huge_and_sparse_ids():
    labels = np.array([[0, 2**64 - 1, 2**64 - 1], [2**40, 5, 0]], np.uint64)
    found, count = sizes(labels)
    assert found.tolist() == [5, 2**40, 2**64 - 1] and count.tolist() == [1, 1, 2]
    assert relabel(labels).tolist() == [[0, 3, 3], [2, 1, 0]]
    assert rows(overlap(labels, labels)) == [(0, 0, 2), (5, 5, 1), (2**40, 2**40, 1), (2**64 - 1, 2**64 - 1, 2)]


def test_the_table_grows():
    """More pairs than the first hash table holds, neighbours never alike."""
    rng = np.random.default_rng(0)
    truth, pred = rng.integers(0, 200, (2, 60, 60, 20)).astype(np.int64) * 10**15
    expected, count = np.unique(np.stack([truth.ravel(), pred.ravel()]), axis=1, return_counts=True)
    table = overlap(truth, pred)
    assert table.count.size > 20_000
    np.testing.assert_array_equal(np.stack([table.truth, table.pred]), expected)
    np.testing.assert_array_equal(table.count, count)


def test_nothing_to_count():
    empty = np.zeros((0, 4), np.uint8)
    assert rows(overlap(empty, empty)) == [] and rows(overlap_by_blocks(empty, empty)) == []
    assert sizes(np.zeros((2, 2), int))[0].size == 0 and relabel(np.zeros((2, 2), int)).tolist() == [[0, 0], [0, 0]]


def test_refusals():
    labels = np.array([[0, 1]])
    with pytest.raises(UserError, match="shape"):
        overlap(labels, labels.T)
    with pytest.raises(UserError, match="shape"):
        overlap_by_blocks(labels, labels.T)
    with pytest.raises(UserError, match="float"):
        overlap(labels, labels.astype(float))
    with pytest.raises(UserError, match="prediction hold negative ids"):
        overlap(labels, np.array([[0, -1]], np.int16))
    with pytest.raises(UserError, match="negative"):
        relabel(np.array([-1, 3]))


@settings(deadline=None, max_examples=40)
@given(label_images(shapes))
def test_relabel_keeps_the_partition(labels):
    made, old, count = compact_labels(labels)
    assert made.dtype == np.int32 and made.shape == labels.shape
    assert sorted(np.unique(made[made > 0])) == list(range(1, old.size + 1))
    np.testing.assert_array_equal(np.append(0, old)[made], labels)
    np.testing.assert_array_equal(count, np.bincount(made.ravel(), minlength=old.size + 1)[1:])


@settings(deadline=None, max_examples=40)
@given(st.data(), shapes, st.integers(1, 40))
def test_blocks_add_up(data, shape, voxels):
    truth, pred = (data.draw(label_images(st.just(shape))) for _ in range(2))
    whole = overlap(truth, pred)
    cut = data.draw(st.integers(0, shape[1]))
    assert rows(overlap(truth[:, :cut], pred[:, :cut]) + overlap(truth[:, cut:], pred[:, cut:])) == rows(whole)
    assert rows(overlap_by_blocks(truth, pred, voxels)) == rows(whole)


def test_side_by_side_is_the_table_of_the_joined_image():
    a, b = np.array([[0, 4, 4, 2]]), np.array([[2, 2, 0, 0]])
    joined = concatenate_tables([overlap(a, b), overlap(b, a)])
    truth, pred = np.array([[0, 2, 2, 1, 3, 3, 0, 0]]), np.array([[1, 1, 0, 0, 0, 3, 3, 2]])
    assert rows(joined) == rows(overlap(truth, pred))
    assert rows(concatenate_tables([])) == rows(sum_tables([])) == []


@pytest.mark.parametrize(
    ("maximum", "name"),
    [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65535, "uint16"), (65536, "uint32"), (2**32, "uint64")],
)
def test_smallest_dtype(maximum, name):
    assert smallest_dtype(maximum) == np.dtype(name)


def test_no_dtype_for_negative_ids():
    with pytest.raises(ValueError):
        smallest_dtype(-1)
