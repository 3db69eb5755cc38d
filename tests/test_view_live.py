"""A model in the viewer: small volumes as `segment` has them, of large ones the blocks that somebody looks at."""

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.metrics.evaluation import evaluate
from cytoshift.predict import live
from cytoshift.predict.live import LiveClass, LiveSegmentation, global_ids
from cytoshift.predict.pipeline import segment
from predicting import nuclei, segmenter, taught, volume


@pytest.fixture(scope="module")
def model():
    return taught(60)


@pytest.fixture
def field():
    return volume(nuclei((96, 128), 30, 5)[0])


def test_a_small_image_is_segmented_as_it_is_by_the_verb(model, field):
    labels = LiveSegmentation(model, field, field).classes[""]
    assert labels.dtype == np.uint64 and labels.shape == field.shape
    whole = segment(model, field)
    assert whole.max() > 5 and (labels[...] == whole).all()
    assert (labels[10:40:2, 5:100:3] == whole[10:40:2, 5:100:3]).all()


@pytest.fixture
def blocks(monkeypatch):
    monkeypatch.setattr(live, "WHOLE_VOXELS", 1)
    monkeypatch.setitem(live.CHUNK, 2, (40, 48))


def test_objects_across_blocks_have_one_name(model, field, blocks):
    whole = segment(model, field)
    made = LiveSegmentation(model, field, field)
    assert len(made.grid) == 9
    found = made.classes[""][...]
    there = evaluate(whole, np.unique(found, return_inverse=True)[1].reshape(found.shape))
    assert there.f1_50 > 0.9
    # The reading of one window is that of another: names do not depend on who asks first.
    again = LiveSegmentation(model, field, field).classes[""]
    assert (again[30:70, 20:90] == found[30:70, 20:90]).all()


def test_only_what_is_looked_at_is_drawn(model, field, blocks, monkeypatch):
    made = LiveSegmentation(model, field, field)
    seen = LiveClass(made, 0, seen=True)
    assert not seen[::2, ::2].any() and not made.blocks
    here = made.classes[""][:40, :48]
    assert list(made.blocks) == [0]
    monkeypatch.setattr(made, "ids_in_block", lambda number: pytest.fail("drawn twice"))
    assert (made.classes[""][3:30, 7:40] == here[3:30, 7:40]).all()
    far = seen[::4, ::4]
    assert (far[:10, :12] == here[::4, ::4]).all() and not far[10:].any()


def test_a_model_that_does_not_fit_is_a_sentence(model):
    flat = volume(nuclei((12, 40, 40), 4, 0)[0], (1.0, 1.0, 1.0))
    with pytest.raises(UserError, match="the model works on 'yx' images"):
        LiveSegmentation(model, flat, flat)


def test_blocks_in_3d_and_with_a_voxel_size(monkeypatch):
    monkeypatch.setattr(live, "WHOLE_VOXELS", 1)
    monkeypatch.setitem(live.CHUNK, 3, (8, 24, 24))
    image = volume(nuclei((16, 40, 40), 6, 0)[0], (1.0, 0.5, 0.5), "um")
    found = LiveSegmentation(segmenter(3, (1.0, 0.5, 0.5), "um"), image, image).classes[""]
    assert found[...].shape == (16, 40, 40) and found[3:5, 10:20:2, 7].shape == (2, 5)


def test_names_are_places_of_first_voxels():
    labels = np.zeros((4, 5), np.int32)
    labels[1:3, 1:3] = 7
    labels[3, 4] = 2
    left, right = global_ids(labels[:, :4], (0, 0), (4, 5)), global_ids(labels[:, 1:], (0, 1), (4, 5))
    assert (left[:, 1:] == right[:, :3]).all() and right[3, 3] == 3 * 5 + 4 + 1


def test_the_verb_asks_for_one_image(tmp_path):
    from cytoshift.cli.view import model_layers
    from cytoshift.data.volumes import image_source
    from cytoshift.data.write import write_image

    for name in "ab":
        write_image(tmp_path / f"{name}.tif", np.zeros((8, 8), np.uint8), Voxel((1.0, 1.0)), "yx")
    with pytest.raises(UserError, match="but 2 are given; name one"):
        model_layers(tmp_path, "cpu", image_source(str(tmp_path)))
