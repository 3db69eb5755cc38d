"""Voxels whose labels are ignored: no loss, no score and no measurement sees them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cytoshift.configure.requests import configure, open_source
from cytoshift.configure.source_labels import survey_source
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.core.settings import parse
from cytoshift.core.voxel import Voxel
from cytoshift.data.augment import Augment
from cytoshift.data.corrupt import LAPTOP, LAPTOP_2D, Corrupt
from cytoshift.data.label_pairs import connected_objects, known_labels
from cytoshift.data.labelled import LabelledImages
from cytoshift.data.volumes import ImageSource, Volume
from cytoshift.data.write import write_image, write_labels
from cytoshift.labels.ignored import keep_known, known_overlap, split_ignored
from cytoshift.represent import BC, BCD, Affinity, Classes, Semantic, Ternary
from cytoshift.represent.partial import hide_unknown, known_loss
from cytoshift.synth.phantoms import phantom
from cytoshift.train.fit import fit
from cytoshift.train.run_settings import Run
from cytoshift.train.tune import mean_quality
from tiny_methods import build, optimizers_of, step

IGNORED = 65535
FLAT = Affinity(offsets=((1, 0), (0, 1)))
EACH = [Semantic(), Ternary(), BC(), BCD(), FLAT, Classes(classes={"a": Semantic(), "b": BCD()}, weights={"b": 2.0})]


def volume(array, size=None):
    return Volume("a", array, "zyx"[-array.ndim :], Voxel(size or (1.0,) * array.ndim), "made here")


def discs(*shape):
    """Objects of 7 voxels in a lattice of 16, of one field that a batch of one sample shows."""
    places = np.indices(shape)
    inside = sum((p % 16 - 8) ** 2 for p in places) < 49
    cells = np.ravel_multi_index([p // 16 for p in places], [-(-n // 16) for n in shape])
    return (inside * (cells + 1)).astype(np.uint16)


def encoded(represent, half):
    """A target whose right half is unknown where `half` says so, (1, K, 32, 32), and logits."""
    labels = discs(32, 32)
    several = np.stack([labels, labels.T]) if represent.names else labels
    target = represent.encode(several, Voxel((1.0, 1.0)))
    ignored = np.zeros(several.shape, bool)
    ignored[..., 16:] = half
    hidden = hide_unknown(target, ignored, represent)
    logits = torch.randn(1, len(target), 32, 32, generator=torch.Generator().manual_seed(0))
    return logits.requires_grad_(), torch.from_numpy(hidden)[None]


@pytest.mark.parametrize("represent", EACH, ids=lambda one: one.kind)
def test_a_loss_is_that_of_the_known_voxels_alone(represent):
    logits, target = encoded(represent, half=True)
    loss = known_loss(represent, logits, target)
    alone = represent.loss(logits[..., :16], target[..., :16])
    assert loss.item() == pytest.approx(alone.item(), rel=1e-5) and target.isnan().any()
    loss.backward()
    assert logits.grad[..., 16:].abs().max() == 0 and (logits.grad[..., :16] != 0).all()


@pytest.mark.parametrize("represent", EACH, ids=lambda one: one.kind)
def test_without_ignored_voxels_a_loss_is_the_same_to_the_bit(represent):
    logits, target = encoded(represent, half=False)
    assert torch.equal(known_loss(represent, logits, target), represent.loss(logits, target))


def test_samples_count_by_what_is_known_of_them_and_of_nothing_nothing_is_learnt():
    represent = Semantic()
    logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    target = torch.ones(2, 1, 4, 4)
    target[0, :, 1:] = torch.nan
    known_loss(represent, logits, target).backward()
    assert logits.grad[0, 0, 0].allclose(logits.grad[1, 0, 0]) and logits.grad[0, 0, 1:].eq(0).all()
    nothing = known_loss(represent, logits, torch.full_like(target, torch.nan))
    nothing.backward()
    assert nothing.item() == 0


def stream(labels, patch, corrupt, size=1.0, ignore_id=IGNORED, represent=None):
    image = np.where((labels > 0) & (labels != IGNORED), 200, 20).astype(np.uint8)
    voxel = (1.0,) * labels.ndim
    made = LabelledImages(
        [volume(image, voxel)], [volume(labels, voxel)], Normalisation(kind="minmax"), Voxel((size,) * labels.ndim),
        patch, 0, Augment(), corrupt, represent or Semantic(),
    )  # fmt: skip
    made.ignore_id = ignore_id
    return made


@pytest.mark.parametrize(("patch", "corrupt"), [((32, 32), LAPTOP_2D), ((12, 24, 24), LAPTOP), ((32, 32), Corrupt())])
@pytest.mark.parametrize("size", [1.0, 0.7, 1.6])
def test_samples_have_no_target_where_labels_are_ignored(patch, corrupt, size):
    labels = discs(*(n + 24 for n in patch))
    part = labels.copy()
    part[..., : part.shape[-1] // 2] = IGNORED
    for index in range(4):
        image, target = stream(part, patch, corrupt, size).sample(index)
        assert np.isfinite(image).all() and np.isin(target[~np.isnan(target)], (0, 1)).all()
    shares = [np.isnan(stream(part, patch, corrupt, size).sample(i)[1]).mean() for i in range(24)]
    assert 0.2 < np.mean(shares) < 0.7
    (x, all_known), (y, same) = (stream(labels, patch, corrupt, size, i).sample(0) for i in (IGNORED, None))
    assert np.array_equal(x, y) and np.array_equal(all_known, same)


def test_an_object_ends_where_ignored_voxels_begin():
    labels = np.zeros((40, 40), np.uint16)
    labels[:, :20] = 3
    labels[:, 20:] = IGNORED
    domain = stream(labels, (24, 24), Corrupt(), represent=BC())
    for index in range(8):
        target = domain.sample(index)[1]
        known = ~np.isnan(target[0])
        assert target[0][known].all() and np.isnan(target[1][~known]).all()


def test_a_network_learns_nothing_from_ignored_voxels():
    """Whatever the labels there would be: the weights are the same after some steps."""
    labels = discs(48, 48)
    weights = []
    for other in (labels, np.roll(labels, 5, 0)):
        method = build("supervised", represent=BCD())
        optimizers = optimizers_of(method)
        ignored = np.zeros(labels.shape, bool)
        ignored[:, 24:] = True
        mixed = np.where(ignored, other, labels)
        for index in range(3):
            image = torch.randn(1, 1, 48, 48, generator=torch.Generator().manual_seed(index))
            known, _ = split_ignored(np.where(ignored, IGNORED, mixed), IGNORED)
            target = hide_unknown(BCD().encode(known, Voxel((1.0, 1.0))), ignored, BCD())
            batch = method.batch(type_of_source(method)(image, torch.from_numpy(target)[None]))
            step(method, optimizers, batch)
        weights.append(torch.cat([p.detach().flatten() for p in method.parameters()]))
    assert torch.equal(*weights) and weights[0].isfinite().all()


def type_of_source(method):
    return method.batch.__annotations__["source"]


def test_objects_that_lie_in_ignored_voxels_are_neither_right_nor_wrong():
    truth = np.array([[1, 1, 0, 0, IGNORED, IGNORED, IGNORED, 0, 2, 2]])
    pred = np.array([[1, 1, 0, 3, 3, 3, 3, 0, 2, 2]])
    table = known_overlap(truth, pred, IGNORED)
    assert table.truth_ids.tolist() == table.pred_ids.tolist() == [1, 2]
    reaches = np.array([[1, 1, 1, 1, 1, 0, 0, 0, 2, 2]])
    assert keep_known(reaches, truth == IGNORED).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 2, 2]]
    channels = (pred > 0).astype(np.float32)[None]
    spots = Semantic(split="components")
    assert mean_quality(spots, [(channels, truth)], Voxel((1.0, 1.0)), IGNORED) > mean_quality(
        spots, [(channels, truth)], Voxel((1.0, 1.0))
    )


def test_a_mask_with_ignored_voxels_becomes_objects_and_ignored_voxels():
    mask = np.array([[9, 0, 9, 0, 2, 0, 9]], np.uint8)
    parts = connected_objects(volume(mask), 0, 2).array
    assert parts.tolist() == [[1, 0, 3, 0, 2, 0, 4]]
    assert known_labels(volume(parts), 2).array.tolist() == [[1, 0, 3, 0, 0, 0, 4]]


@pytest.fixture(scope="module")
def partly(tmp_path_factory):
    """Images and labels of which the left half is ignored."""
    folder = tmp_path_factory.mktemp("partly")
    for i in range(2):
        image, truth, voxel = phantom("sparse-2d", 1, (160, 160), i)
        truth = truth.astype(np.uint16)
        truth[:, :80] = IGNORED
        write_image(folder / "images" / f"{i}.tif", image, voxel, "yx")
        write_labels(folder / "labels" / f"{i}.tif", truth, voxel, "yx")
    return folder


def settings(partly, method="supervised", **changes):
    target = ImageSource(paths=str(partly / "images"))
    source = open_source(target, str(partly / "labels"), ignore_id=IGNORED)
    run = configure(method, target, source).run
    data = run.model_dump(mode="json")
    data["options"] |= {"widths": (8, 8)}
    data["train"] |= {"steps": 3, "batch": 2, "precision": "32", **changes}
    return data


def test_labels_in_part_are_measured_learnt_from_and_tuned_on(partly, tmp_path):
    measured = survey_source(
        *(ImageSource(paths=str(partly / name)) for name in ("images", "labels")), ignore_id=IGNORED
    )
    assert not measured.doubts and 10 < measured.diameter < 20
    data = settings(partly, snapshots=2, select="look")
    data["source"]["held_out"] = 0.5
    assert data["source"]["ignore_id"] == IGNORED and data["tune"]
    model = fit(parse(Run, data, "partly"), tmp_path / "run", quiet=True)
    assert (model / "model.json").exists() and (tmp_path / "run" / "selection.json").exists()


def test_a_method_that_needs_labels_everywhere_says_so(partly, tmp_path):
    data = settings(partly, "cysgan")
    data["options"] |= {"discriminator": (8, 8)}
    with pytest.raises(UserError, match=r"needs labels of every voxel, and source\.ignore_id=65535"):
        fit(parse(Run, data, "partly"), tmp_path / "run", quiet=True)


def test_volumes_of_labels_keep_all_else(partly):
    whole = volume(discs(32, 32))
    assert known_labels(whole, None) is whole and replace(whole, name="b").name == "b"
