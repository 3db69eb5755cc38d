"""Several classes in one representation: one, two and three, each numbered on its own."""

import numpy as np
import pytest
import torch

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.represent import BCD, Classes, Semantic, Ternary

VOXEL = Voxel((1.0, 1.0))
PAIR = {"golgi": {"kind": "semantic", "threshold": 0.5}, "nuclei": {"kind": "ternary", "edge": 1.5}}


def discs(*places: tuple[int, int, int], shape=(40, 60)) -> np.ndarray:
    """Labels 1, 2 .. of discs (y, x, radius)."""
    out = np.zeros(shape, np.int32)
    y, x = np.indices(shape)
    for number, (cy, cx, r) in enumerate(places, 1):
        out[((y - cy) ** 2 + (x - cx) ** 2 <= r**2) & (out == 0)] = number
    return out


NUCLEI, GOLGI = discs((20, 12, 9), (20, 29, 9), (15, 48, 7)), discs((20, 12, 4), (20, 30, 4))
BLOBS = discs((6, 6, 4), (30, 50, 5), (32, 42, 4))


def test_each_class_keeps_its_own_channels_and_numbers():
    pair = parse(Classes, {"classes": PAIR})
    labels = np.stack([GOLGI, NUCLEI])
    channels = pair.encode(labels, VOXEL)
    assert pair.channels == ("golgi foreground", "nuclei core and edge")
    assert np.array_equal(channels[:1], Semantic(threshold=0.5).encode(GOLGI, VOXEL))
    assert np.array_equal(channels[1:], Ternary(edge=1.5).encode(NUCLEI, VOXEL))
    found = pair.decode(channels, VOXEL)
    assert found.dtype == np.int32 and found.shape == (2, 40, 60)
    assert found[0].max() == 2 and found[1].max() == 3  # a Golgi inside of a nucleus counts in its own class
    assert np.array_equal(found[0] > 0, GOLGI > 0) and np.array_equal(found[1] > 0, NUCLEI > 0)
    assert np.array_equal(pair.foreground(channels), np.stack([channels[0], np.minimum(channels[1] * 255 / 127, 1)]))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_touching_objects_of_one_two_and_three_classes_come_back(count):
    ways = [
        {"kind": "bcd", "seed_voxels": 4, "voxels": 8},
        {"kind": "ternary"},
        {"kind": "bc", "seed_voxels": 4, "voxels": 8},
    ]
    many = parse(Classes, {"classes": dict(zip(("nuclei", "golgi", "blobs"), ways[:count]))})
    labels = np.stack([NUCLEI, GOLGI, BLOBS][:count])
    found = many.decode(many.encode(labels, VOXEL), VOXEL)
    assert [int(one.max()) for one in found] == [3, 2, 3][:count]
    for one, truth in zip(found, labels):
        for number in range(1, truth.max() + 1):  # each object is one object of its own
            ids, counts = np.unique(one[truth == number], return_counts=True)
            assert counts.max() > 0.6 * counts.sum() and ids[counts.argmax()] > 0


def test_loss_is_the_weighted_sum_and_activation_that_of_each_class():
    pair = parse(Classes, {"classes": {"golgi": {"kind": "semantic"}, "nuclei": {"kind": "bcd"}},
                           "weights": {"golgi": 3.5}})  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn((2, 4, 8, 9), generator=generator), torch.rand((2, 4, 8, 9), generator=generator)
    expected = 3.5 * Semantic().loss(logits[:, :1], target[:, :1]) + BCD().loss(logits[:, 1:], target[:, 1:])
    assert pair.loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-6)
    active = pair.activate(logits)
    expected = torch.cat([logits[:, :3].sigmoid(), logits[:, 3:].tanh()], 1)
    assert torch.allclose(active, expected, atol=1e-6)


def test_a_threshold_is_that_of_all_classes_and_settings_come_back():
    pair = parse(Classes, {"classes": PAIR, "belongs": {"golgi": "nuclei"}, "reach": 4.0})
    assert pair.with_threshold(0.3).classes["golgi"].threshold == 0.3
    assert pair.with_threshold(0.3).classes["nuclei"].thresholds[0] == 0.3
    again = parse(Classes, pair.model_dump(mode="json"))
    assert again == pair and again.names == ("golgi", "nuclei")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"classes": {}}, "at least 1 item"),
        ({"classes": {"gol/gi": {"kind": "semantic"}}}, "letters, digits, - and _ alone"),
        ({"weights": {"golgy": 2.0}}, "weights names 'golgy', but the classes are golgi, nuclei"),
        ({"belongs": {"golgi": "nucleus"}, "reach": 1.0}, "belongs names 'nucleus', but the classes are golgi, nuclei"),
        ({"belongs": {"golgi": "golgi"}, "reach": 1.0}, "'golgi' belongs to itself"),
        ({"belongs": {"golgi": "nuclei"}}, "belongs needs a reach"),
        ({"classes": {"golgi": {"kind": "classes"}}}, "golgi"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(changed, words):
    with pytest.raises(UserError, match=words):
        parse(Classes, {"classes": PAIR} | changed)


def test_labels_of_too_few_classes_are_refused():
    with pytest.raises(UserError, match=r"2 classes \(golgi, nuclei\) need one label image each, .* \(1, 40, 60\)"):
        parse(Classes, {"classes": PAIR}).encode(NUCLEI[None], VOXEL)
