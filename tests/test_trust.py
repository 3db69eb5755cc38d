"""Criteria on arrays that can be checked by eye, the score's meaning and limits, and the verbs on a tiny model."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr
from skimage.measure import label
from typer.testing import CliRunner

import cytoshift
from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import PIXEL, Voxel
from cytoshift.data.volumes import open_volumes
from cytoshift.data.write import write_labels
from cytoshift.measure.contrast import contrast
from cytoshift.measure.shapes import ExpectedObjects, expectations, shapes
from cytoshift.model import Segmenter
from cytoshift.synth import draw_labels
from cytoshift.synth.phantoms import PHANTOMS, phantom
from cytoshift.train.fit import fit
from cytoshift.trust import sampled_boxes as in_boxes
from cytoshift.trust.agree import agreement, stability
from cytoshift.trust.judge import VIEWS, View, decided_share, explained_variance, judge, likeness
from cytoshift.trust.sampled_boxes import judge_image
from cytoshift.trust.score import (
    FEWEST_OBJECTS,
    confidence,
    fit_map,
    load_calibration,
    mean_score,
    score,
    weakest_criterion,
)
from cytoshift.trust.snapshot_choice import run_states, select, write
from cytoshift.trust.trust_tables import blocks
from test_train import settings

SQUARE = Voxel((1.0, 1.0), PIXEL)
GOOD = {
    "flips": 0.95, "light": 0.95, "scale": 0.95, "overlap": 0.88, "sure": 0.9, "size": 0.95, "elongation": 0.95,
    "solidity": 0.95, "cover": 1.0, "contrast": 0.98, "outline": 0.6, "explained": 0.95,
}  # fmt: skip


def discs(radius=6):
    y, x = np.mgrid[:64, :64]
    labels = np.zeros((64, 64), np.int32)
    for number, (cy, cx) in enumerate([(14, 14), (14, 46), (46, 14), (46, 46)], 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = number
    return labels


def test_agreement_knows_what_was_lost_and_moved():
    labels = discs()
    other = np.where(labels == 1, 0, labels) + 10 * (labels > 1)
    found = agreement(labels, other)
    assert found.f1 == pytest.approx(6 / 7)
    assert found.best.tolist() == [0, 1, 1, 1]
    f1, iou, best = stability(labels, [labels, other])
    assert (f1, iou) == (pytest.approx((1 + 6 / 7) / 2), pytest.approx((1 + 6 / 7) / 2))
    assert best.tolist() == [0.5, 1, 1, 1]
    assert stability(labels, [])[0] == 1


def test_views_come_back_to_the_image():
    image = np.random.default_rng(0).uniform(-1, 1, (8, 9)).astype(np.float32)
    for group in VIEWS.values():
        for view in group:
            seen = view.image(image, 2, (-1.0, 1.0))
            assert seen.shape == image.shape and abs(seen).max() <= 1
            assert (view.undo(view.image(image, 2, (-1.0, 1.0))[None])[0] == image).all() == (view.gain == 1)
    assert View(zoom=2.0).voxel(SQUARE) == Voxel((2.0, 2.0), PIXEL)


def test_shapes_of_discs_and_of_two_that_touch():
    found = shapes(discs(), SQUARE)
    assert found.diameter == pytest.approx(np.full(4, 12), rel=0.03)
    assert found.elongation == pytest.approx(np.ones(4), abs=0.02)
    assert (found.solidity > 0.98).all() and found.whole.all()
    assert found.density == 4 / 64**2
    labels = np.zeros((40, 40), int)
    y, x = np.mgrid[:40, :40]
    labels[((y - 12) ** 2 + (x - 20) ** 2 <= 64) | ((y - 28) ** 2 + (x - 20) ** 2 <= 64)] = 7
    merged = shapes(labels, SQUARE)
    assert merged.solidity[0] < 0.93 and merged.elongation[0] > 1.8
    assert shapes(np.zeros((5, 5), int), SQUARE).diameter.size == 0


def test_likeness_falls_with_size_and_with_merged_objects():
    rng = np.random.default_rng(0)
    prior = PHANTOMS["sparse-2d"].prior
    voxel = PHANTOMS["sparse-2d"].voxel
    drawn = [shapes(draw_labels(prior, (256, 256), voxel, rng), voxel) for _ in range(4)]
    expected = ExpectedObjects.of("synthetic masks", voxel, drawn)
    again = draw_labels(prior, (256, 256), voxel, rng)
    same = likeness(shapes(again, voxel), expected)
    assert min(same.values()) > 0.8
    larger = likeness(shapes(again, Voxel(tuple(2 * s for s in voxel.size), voxel.unit)), expected)
    assert larger["size"] == pytest.approx(0.5, abs=0.06)
    squared = likeness(shapes((again > 0).astype(int), voxel), expected)
    assert squared["solidity"] < 0.1, "all objects as one"


def test_contrast_has_the_sign_of_polarity_and_minds_no_slope_of_light():
    labels, rng = discs(), np.random.default_rng(0)
    noise = rng.normal(0, 0.1, labels.shape)
    inside = (labels > 0).astype(float)
    bright, dark = (contrast(sign * inside + noise, labels, SQUARE) for sign in (1, -1))
    assert (bright.inside > 0.99).all() and (dark.inside < 0.01).all()
    assert np.allclose(contrast(noise, labels, SQUARE).inside, 0.5, atol=0.1)
    assert (bright.outline > 0.6).all() and np.allclose(contrast(noise, labels, SQUARE).outline, 0.5, atol=0.1)
    slope = np.linspace(0, 3, 64)[None] + noise
    assert (contrast(inside + slope, labels, SQUARE).inside > 0.95).all()


def test_explained_and_decided():
    labels = discs()
    image = np.where(labels > 0, 1.0, -1.0).astype(np.float32)
    assert explained_variance(image, labels) == pytest.approx(1)
    assert explained_variance(-image, labels) == 0
    assert explained_variance(image, np.where(labels == 1, 0, labels)) < 0.8
    assert decided_share(np.array([0.0, 0.9, 0.5, 0.95], np.float32)) == pytest.approx(2 / 3)


def test_score_rises_with_every_criterion_and_says_where_it_knows_nothing():
    good = score(GOOD, 20)
    assert not good.outside and good.value > 0.8 and good.low <= good.value <= good.high
    for name in GOOD:
        assert score(GOOD | {name: 0.7 * GOOD[name]}, 20).value <= good.value
    strange = score(GOOD | {"overlap": 0.0}, 20)
    assert strange.outside and strange.sentence().startswith("no statement")
    assert score(GOOD, FEWEST_OBJECTS - 1).outside
    assert score({}, 0).value == 0 and score({}, 0).outside
    without = {name: value for name, value in GOOD.items() if name not in ("size", "elongation", "solidity", "cover")}
    assert score(without, 20).value == pytest.approx(good.value, abs=0.1)
    assert weakest_criterion([GOOD, GOOD]) is None and weakest_criterion([{}]) is None
    assert str(weakest_criterion([GOOD | {"contrast": 0.5}])).endswith("(contrast 0.50)")
    assert mean_score([good, strange]).outside == () and mean_score([strange, strange, good]).outside


def test_fit_finds_a_map_that_made_the_numbers():
    rng = np.random.default_rng(0)
    given = rng.uniform(0, 1, (400, 2))
    truth = 1 / (1 + np.exp(3 - 6 * given[:, 0]))
    way = fit_map(("a", "b"), given, truth, np.ones(400))
    assert way(given) == pytest.approx(truth, abs=0.05)
    assert way.weights[1] == pytest.approx(0, abs=0.3)
    assert way.out_of_range({"a": -1.0, "b": 0.5}) == (f"a -1.00 below {way.low[0]:.2f}",)


def test_shipped_calibration_is_a_sane_one():
    found = load_calibration()
    assert all(weight >= 0 for way in (*found.images, found.objects) for weight in way.weights)
    sure = {"stable": np.array([0.95, 0.1]), "sure": np.array([0.95, 0.5]), "contrast": np.array([0.99, 0.5])}
    high, low = confidence(sure)
    assert high > 0.9 and low < 0.3


def test_blocks_cover_every_object_once():
    places = np.array([[14, 14], [14, 46], [46, 14], [46, 46]])
    rows = blocks(places, (20, 64), (64, 64), np.array([1.0, 0.0, 1.0, 0.0]))
    assert [(row["start"], row["stop"], row["objects"]) for row in rows] == [
        ([0, 0], [20, 64], 2),
        ([40, 0], [60, 64], 2),
    ]
    assert rows[0]["confidence"] == 0.5


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of phantoms, and a run of a few steps on them with snapshots."""
    folder = tmp_path_factory.mktemp("trust")
    for i in range(2):
        image, labels, voxel = phantom("sparse-2d", 3, (96, 96), i)
        write_labels(folder / "labels" / f"{i}.tif", labels, voxel, "yx")
        (folder / "images").mkdir(exist_ok=True)
        resolution = (1 / voxel.size[1], 1 / voxel.size[0])
        path = folder / "images" / f"{i}.tif"
        tifffile.imwrite(path, image, imagej=True, resolution=resolution, metadata={"unit": "micron", "axes": "YX"})
    run = settings(folder / "images", steps=4, snapshots=2)
    prior = run.prior.model_copy(update={"diameter": (10.0, 18.0), "density": (5e-4, 1e-3), "unit": "um"})
    fit(run.model_copy(update={"prior": prior}), folder / "run", quiet=True)
    return folder


def test_a_model_tells_what_it_has_learnt_from(trained):
    card = Segmenter.load(trained / "run" / "model").card
    (told,) = expectations(card).values()
    assert told.origin == "synthetic masks" and told.unit == "um" and told.contrast is None
    assert 9 < told.diameter["50"] < 19
    assert card["intensities"][0]["0.5"] < card["intensities"][0]["99.8"]
    assert Segmenter.load(trained / "run" / "snapshots" / "000002").card["objects"] == card["objects"]


def test_judge_takes_labels_of_any_origin(trained):
    model = Segmenter.load(trained / "run" / "model")
    volume = open_volumes(str(trained / "images"))[0]
    truth = tifffile.imread(trained / "labels" / "0.tif")
    found = judge(model, volume, {"": truth})[""]
    assert {*GOOD, "redrawn"} == set(found.criteria)
    assert all(0 <= value <= 1 for value in found.criteria.values())
    assert found.criteria["contrast"] > 0.9 and len(found.objects["stable"]) == len(np.unique(truth)) - 1
    assert judge(model, volume, {"": np.zeros_like(truth)})[""].criteria == {}
    with pytest.raises(UserError, match="pass labels of this very image"):
        judge(model, volume, {"": truth[:-1]})


def test_a_large_image_is_judged_in_boxes_each_object_in_one_of_them(trained, tmp_path, monkeypatch):
    model = Segmenter.load(trained / "run" / "model")
    tile = open_volumes(str(trained / "images"))[0]
    truth = np.tile(tifffile.imread(trained / "labels" / "0.tif"), (2, 3)).astype(np.uint32)
    truth = label(truth > 0).astype(np.uint32)
    volume = replace(tile, array=np.tile(tile.load(), (2, 3)))
    (whole,) = judge_image(model, volume, {"": replace(volume, array=truth)})
    monkeypatch.setattr(in_boxes, "WHOLE_VOXELS", 1000)
    monkeypatch.setattr(in_boxes, "BOX_VOXELS", 150**2)
    heard = []
    (all_boxes,) = judge_image(model, volume, {"": replace(volume, array=truth)}, told=heard.append)
    assert all_boxes.boxes > 2 and all_boxes.share == pytest.approx(1) and whole.boxes == 0
    assert all_boxes.ids.tolist() == whole.ids.tolist() and (all_boxes.place == whole.place).all()
    assert sum(row["objects"] for row in all_boxes.blocks) == len(whole.ids)
    assert heard == sorted(heard) and heard[-1] == 1
    assert all_boxes.criteria["contrast"] == pytest.approx(whole.criteria["contrast"], abs=0.02)
    (some,) = judge_image(model, volume, {"": replace(volume, array=truth)}, most=2)
    assert some.boxes == 2 and 0 < some.share < 1 and set(some.ids) < set(whole.ids)
    assert "in 2 boxes" in some.sentence("")
    (none,) = judge_image(model, volume, {"": replace(volume, array=np.zeros_like(truth))})
    assert none.score.outside == ("no object",) and not none.rows()
    with pytest.raises(UserError, match="pass labels of this very image"):
        judge_image(model, volume, {"": replace(volume, array=truth[:-1])})


def test_select_writes_a_model_and_why(trained, tmp_path):
    volumes = open_volumes(str(trained / "images"))[:1]
    choice = select(run_states(trained / "run"), volumes, say=lambda line: None)
    assert choice.best.score.value == max(one.score.value for one in choice.candidates)
    model = write(choice, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "select.json").read_text())
    assert [row["state"] for row in told["states"]] == ["step 2", "step 4"]
    assert Segmenter.load(model).card["selected"]["state"] == told["chosen"]
    with pytest.raises(UserError, match="holds no snapshots to choose from"):
        run_states(tmp_path)


def called(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_trust_writes_beside_the_labels_and_into_ome_zarr(trained, tmp_path):
    truth = tifffile.imread(trained / "labels" / "0.tif")
    voxel = PHANTOMS["sparse-2d"].voxel
    place = write_labels(tmp_path / "cells.ome.zarr", truth, voxel, "yx")
    done = called("trust", place, trained / "images" / "0.tif", "-m", trained / "run" / "model")
    assert done.exit_code == 0, done.output
    with (tmp_path / "cells.trust.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == np.unique(truth)[1:].tolist()
    properties = zarr.open_group(place, mode="r").attrs["ome"]["image-label"]["properties"]
    assert [one["label-value"] for one in properties] == [int(row["label"]) for row in rows]
    assert properties[0]["confidence"] == float(rows[0]["confidence"])
    told = json.loads((tmp_path / "cells.trust.json").read_text())["images"][0]
    assert told["objects"] == len(rows) and told["blocks"]
    done = called("trust", place, trained / "images" / "0.tif", "-m", trained / "run" / "model", "--json", "--quiet")
    assert json.loads(done.stdout)["images"][0]["score"] == told["score"]


def test_votes_see_merged_and_missing_objects_that_the_model_does_not(trained):
    image, truth, voxel = phantom("sparse-2d", 4, (192, 192))
    volume = replace(open_volumes(str(trained / "images"))[0], array=image, voxel=voxel)
    ids = np.unique(truth[truth > 0])
    centres = np.array([np.argwhere(truth == one).mean(0) for one in ids])
    apart = np.linalg.norm(centres[:, None] - centres, axis=2) + 1e3 * np.eye(len(ids))
    merged = truth.copy()
    done = set()
    for one, other in sorted(((i, int(apart[i].argmin())) for i in range(len(ids))), key=lambda pair: apart[pair]):
        if not done & {one, other}:
            merged[merged == ids[other]] = ids[one]
            done |= {one, other}
    half = np.where(np.isin(truth, ids[::2]), truth, 0)
    model = trained / "run" / "model"
    cases = {"all": truth, "merged": merged, "half": half}
    found = {name: cytoshift.trust(one, volume, model) for name, one in cases.items()}
    assert found["all"].score.value > 0.8 and (found["all"].confidence > 0.5).mean() > 0.8
    assert found["merged"].score.value < 0.7 and found["half"].score.value < 0.8
    assert found["half"].confidence.mean() > 0.8, "what is there is right"
    assert "vote" in found["all"].objects and 0 < found["all"].criteria["voted"] <= 1
    assert "several ways to label voted so" in found["all"].score.sentence()
    alone = cytoshift.trust(truth, volume, model, votes=False)
    assert "vote" not in alone.objects and "stable" in alone.score.sentence(), "the model has hardly learnt anything"


def test_nobody_votes_on_its_own_labels(trained):
    from cytoshift.ensemble.second_opinion import opinion_of, vote_on

    class Voter:
        def __init__(self, found):
            self.found = found

        def labels(self, volume):
            return self.found

    truth = tifffile.imread(trained / "labels" / "0.tif").astype(np.int32)
    shifted = np.roll(truth, 3, 0)
    volume = open_volumes(str(trained / "images"))[0]
    found = opinion_of([Voter(truth), Voter(shifted), Voter(shifted)], volume, truth)
    assert found.votes.max() < 0.9
    all_agree = opinion_of([Voter(truth), Voter(truth), Voter(truth)], volume, truth)
    assert all_agree.votes == pytest.approx(1), "only one of them can have made the labels"
    (nothing,) = judge_image(Segmenter.load(trained / "run" / "model"), volume, {"": replace(volume, array=0 * truth)})
    assert vote_on([nothing], {volume.name: replace(volume, array=0 * truth)})[0].score.outside == ("no object",)


def test_trust_without_votes_is_asked_for(trained, tmp_path):
    place = write_labels(
        tmp_path / "cells.tif", tifffile.imread(trained / "labels" / "0.tif"), Voxel((1.0, 1.0), "um"), "yx"
    )
    words = ("trust", place, trained / "images" / "0.tif", "-m", trained / "run" / "model", "--quiet")
    assert called(*words).exit_code == 0
    with (tmp_path / "cells.trust.csv").open() as file:
        assert "vote" in next(csv.reader(file))
    assert called(*words, "--no-votes").exit_code == 0
    with (tmp_path / "cells.trust.csv").open() as file:
        assert "vote" not in next(csv.reader(file))


def test_trust_names_what_does_not_look_like_labels(trained, tmp_path):
    mask = np.zeros_like(tifffile.imread(trained / "labels" / "0.tif"), dtype=np.uint8)
    mask[2:9, 2:9] = mask[20:27, 20:27] = 255
    place = write_labels(tmp_path / "mask.tif", mask, Voxel((1.0, 1.0), "um"), "yx")
    image, model = trained / "images" / "0.tif", trained / "run" / "model"
    done = called("trust", place, image, "-m", model, "--no-votes", "--quiet")
    assert done.exit_code == 0 and "looks like a mask" in done.output and "convert --mask-above" in done.output


def test_trust_of_a_folder_needs_labels_of_every_image(trained, tmp_path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "0.tif").write_bytes((trained / "labels" / "0.tif").read_bytes())
    done = called("trust", tmp_path / "some", trained / "images", "-m", trained / "run" / "model")
    assert isinstance(done.exception, UserError) and "has no labels of 1" in str(done.exception)


def test_assess_advises_with_evidence_and_a_command(trained):
    done = called("assess", trained / "images")
    assert done.exit_code in (0, 4) and "next: cytoshift new" in done.output and "stand out" in done.output
    done = called("assess", trained / "images", "-m", trained / "run" / "model")
    assert done.exit_code in (0, 3, 4) and "score of its result" in done.output and "next: cytoshift" in done.output
    told = called("assess", trained / "images", "-m", trained / "run" / "model", "--json", "--quiet")
    found = json.loads(told.stdout)
    assert found["code"] == told.exit_code == done.exit_code and found["next"] in done.output
    assert found["models"][0]["score"] and found["models"][0]["evidence"]
    tifffile.imwrite(trained / "volume.tif", np.zeros((5, 40, 40), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    size = ("--voxel", "2,1,1", "--unit", "um")
    done = called("assess", trained / "volume.tif", *size, "-m", trained / "run" / "model")
    assert done.exit_code == 4 and "the model works on 'yx' images" in done.output
