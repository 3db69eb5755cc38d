"""One piece is the oracle: objects longer than blocks, rows that touch, and the rules that join their parts."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stitching
from cytoshift.labels.overlap import overlap
from cytoshift.metrics.matching import match
from cytoshift.predict.blockwise.job import ROW
from cytoshift.predict.blockwise.link import SAME_OBJECT_IOU, best_pairs, touching_pairs
from cytoshift.predict.blockwise.merge import connected_names
from cytoshift.predict.blockwise.plan import BlockOptions
from stitching import blocks_of, encoded, image_of, stand_in

SHAPES = {2: (64, 95), 3: (33, 33, 62)}


@pytest.fixture(scope="module")
def models():
    return stitching.models()


def rods(shape: tuple[int, ...], width: int, gap: int) -> np.ndarray:
    """Labels (*S) int32 of rods along x, bent along y, side by side; gap: background between two of them."""
    places = list(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    places[-2] = places[-2] + np.rint(3 * np.sin(places[-1] / 13)).astype(int) + 3
    out, free = np.zeros(shape, np.int32), np.zeros(shape, bool)
    for along in places[:-1]:
        row, inside = np.divmod(along, width + gap)
        out = out * (shape[0] + shape[1]) + row
        free |= inside >= width
    return np.where(free, 0, out + 1).astype(np.int32)


def beads(shape: tuple[int, ...], radius: int) -> np.ndarray:
    """Labels (*S) int32 of balls in a row along x, each cut into by the next."""
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    middle = [n // 2 for n in shape[:-1]]
    out = np.zeros(shape, np.int32)
    for number, x in enumerate(range(radius, shape[-1] - radius, 2 * radius - 1), 1):
        out[(((places - [*middle, x]) ** 2).sum(-1) <= radius**2) & (out == 0)] = number
    return out


def equal(models, labels: np.ndarray, kind: str, wishes: BlockOptions, folder) -> int:
    """Objects of one piece, each of which blocks have found once and whole."""
    made, volume = models[labels.ndim, kind], image_of(labels)
    eight, whole = encoded(made, labels, volume)
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, eight)
        found, _, _ = blocks_of(made, volume, folder, wishes)
    assert found.max() == len(np.unique(found[found > 0])) == whole.max()
    assert match(overlap(whole, found), 0.9).f1 == 1 or whole.max() == 0
    return int(whole.max())


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_objects_longer_than_blocks_and_halos_come_out_once(models, tmp_path, data):
    ndim = data.draw(st.sampled_from([2, 3]))
    kind, gap = data.draw(st.sampled_from([("bcd", 0), ("bcd", 2), ("components", 3)]))
    block = tuple(data.draw(st.integers(15, 30)) for _ in range(ndim))
    halo = tuple(data.draw(st.integers(14, 18)) for _ in range(ndim))
    labels = rods(SHAPES[ndim], 11, gap)
    assert equal(models, labels, kind, BlockOptions(block=block, halo=halo), tmp_path / "job") >= 4


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_row_of_objects_that_touch_is_no_chain(models, tmp_path, data):
    """As components they are one object, longer than any block; with contours as many as they are."""
    ndim = data.draw(st.sampled_from([2, 3]))
    shape = (*(21,) * (ndim - 1), data.draw(st.integers(80, 120)))
    block = (*(21,) * (ndim - 1), data.draw(st.integers(9, 33)))
    labels, wishes = beads(shape, 5), BlockOptions(block=block, halo=(14,) * ndim)
    assert equal(models, labels, "components", wishes, tmp_path / "job") == 1
    assert equal(models, labels, "bcd", wishes, tmp_path / "job") == labels.max() > 6


@given(st.data())
def test_no_object_has_two_partners_unless_contact_is_the_rule(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    a, b = (rng.integers(0, data.draw(st.integers(1, 6)), (3, 4, 7)).astype(np.int32) for _ in range(2))
    pairs = best_pairs(a, b)
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs)
    for one, other in pairs:
        both = ((a == one) & (b == other)).sum()
        assert both / ((a == one) | (b == other)).sum() >= SAME_OBJECT_IOU
    assert {tuple(pair) for pair in pairs} <= {tuple(pair) for pair in touching_pairs(a, b)}
    assert {tuple(pair) for pair in touching_pairs(a, b)} == set(zip(a[(a * b) > 0].tolist(), b[(a * b) > 0].tolist()))


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=14))
def test_parts_that_are_linked_are_one_object_called_by_its_lowest_name(links):
    pairs = np.array(links, np.uint64).reshape(-1, 2) + (np.uint64(7) << np.uint64(32))
    linked = connected_names(pairs, ROW)
    roots = {name: name for name in pairs.ravel().tolist()}
    for _ in roots:
        for one, other in pairs.tolist():
            roots[one] = roots[other] = min(roots[one], roots[other])
    names = sorted(roots)
    there, whole = linked.find(np.array([*names, 5], np.uint64))
    assert there.tolist() == [True] * len(names) + [False]
    assert linked.root[whole].tolist() == [roots[name] for name in names]
    assert linked.root.tolist() == sorted(set(roots.values()))
