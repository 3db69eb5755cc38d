"""`cytoshift evaluate` on files."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.cli.evaluate import evaluate as verb
from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.store import LabelStore
from cytoshift.labels import overlap as overlaps
from cytoshift.metrics.confidence import mean_over_objects
from cytoshift.metrics.evaluation import evaluate, mean_report

UM = Voxel((1.0, 1.0, 1.0), "um")
TRUTH = np.zeros((8, 8), np.uint16)
TRUTH[1:4, 1:4], TRUTH[5:7, 2:7] = 1, 2
PRED = np.where(TRUTH == 2, 900, 0).astype(np.uint16)


def save(path, labels):
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, labels)
    return str(path)


@pytest.fixture
def folders(tmp_path):
    for name, pred in (("a", PRED), ("b", TRUTH)):
        save(tmp_path / "pred" / f"{name}.tif", pred)
        save(tmp_path / "truth" / f"{name}.tif", TRUTH)
    return str(tmp_path / "pred"), str(tmp_path / "truth")


def run(pred, truth, *more):
    words = ["evaluate", "--pred", pred, "--truth", truth, *more]
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, words, catch_exceptions=False)


def compared(pred, truth, **more):
    verb(pred=pred, truth=truth, **more)


def test_two_files_of_any_name(tmp_path):
    out = tmp_path / "numbers.json"
    result = run(
        save(tmp_path / "seg.tif", PRED), save(tmp_path / "manual.tif", TRUTH), "--json-file", str(out), "--iou", "0.7"
    )
    assert result.exit_code == 0
    assert "2 true, 1 predicted" in result.output and "object F1 at IoU 0.7" in result.output
    written = json.loads(out.read_text())
    expected = evaluate(TRUTH, PRED, threshold=0.7).as_dict()
    assert written["pooled"] == expected and written["images"] == [{"name": "seg", **expected}]
    assert written["iou"] == 0.7


def test_folders_of_the_same_names(folders, tmp_path):
    out = tmp_path / "numbers.json"
    result = run(*folders, "--json-file", str(out))
    assert result.exit_code == 0
    assert "mean of 2 images" in result.output and "pooled" in result.output
    written = json.loads(out.read_text())
    one, two = evaluate(TRUTH, PRED), evaluate(TRUTH, TRUTH)
    assert [image["name"] for image in written["images"]] == ["a", "b"]
    assert written["mean"] == mean_report([one, two])
    assert written["pooled"]["dice"] == pytest.approx(2 * 29 / (38 + 29))
    assert written["pooled"]["object_recall"] == 3 / 4
    assert set(written["reading"]) == {"images", "mean", "pooled"}


def test_confidence_ranks_objects(tmp_path):
    """Two objects, one of them wrong and larger: by size it comes first, by confidence last."""
    pred = PRED.copy()
    pred[0, :8] = pred[4, :8] = 5
    paths = save(tmp_path / "pred.tif", pred), save(tmp_path / "truth.tif", TRUTH)
    sure = save(tmp_path / "sure.tif", (pred == 900).astype(np.float32))
    out = tmp_path / "numbers.json"
    result = run(*paths, "--json-file", str(out), "--confidence", sure)
    assert "AP-50 by sure" in result.output
    pooled = json.loads(out.read_text())["pooled"]
    assert pooled["ap_50"] == pytest.approx(51 / 101 / 2) and pooled["ap_50_sure"] == pytest.approx(51 / 101)


def test_by_blocks_the_numbers_are_the_same(tmp_path, monkeypatch):
    """Ids of 64 bits, and files that are stored in other pieces each."""
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(0, 9, (3, 4, 5)), np.ones((4, 5, 6), np.int64)).astype(np.uint64)
    pred = np.roll(truth, 1, axis=2) * 2**50
    sure = rng.random(truth.shape).astype(np.float32)
    store = LabelStore.create(tmp_path / "truth.ome.zarr", truth.shape, "uint64", UM, "zyx", chunks=(5, 7, 9))
    for region in store.regions():
        store[region] = truth[region]
    with h5py.File(tmp_path / "pred.h5", "w") as file:
        file.create_dataset("labels", data=pred, chunks=(3, 20, 4), compression="gzip")
    tifffile.imwrite(tmp_path / "sure.tif", sure, metadata={"axes": "ZYX"}, tile=(16, 16), compression="zlib")
    paths = str(tmp_path / "pred.h5"), str(store.finish())
    for block in (100, 1000):
        monkeypatch.setattr(overlaps, "READ_VOXELS", block)
        more = "--axes", "zyx", "--json-file", str(tmp_path / "n.json"), "--confidence", str(tmp_path / "sure.tif")
        assert run(*paths, *more, "--memory", "1GB").exit_code == 0
        expected = evaluate(truth, pred, {"sure": mean_over_objects(sure, pred)}).as_dict()
        assert json.loads((tmp_path / "n.json").read_text())["pooled"] == expected


def test_what_does_not_fit_is_said(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", TRUTH)
    for memory, words in (("100MB", "the program alone takes 0.4 GB"), ("lots", "is not an amount of memory")):
        with pytest.raises(UserError, match=words):
            compared(path, path, memory=memory)
    tifffile.imwrite(tmp_path / "b.tif", TRUTH, compression="zlib", rowsperstrip=8)
    with pytest.raises(UserError, match=r"pieces of 8 x 8 voxels, .* GB each.* 'cytoshift convert'"):
        compared(str(tmp_path / "b.tif"), path, memory="0.4000002GB")
    monkeypatch.setattr(overlaps, "FEW_ROWS", 1)
    monkeypatch.setattr(overlaps, "READ_VOXELS", 8)
    with pytest.raises(UserError, match=r"the table of overlaps .* larger `memory`"):
        compared(path, path, memory="0.4000005GB")


def test_stacks_without_a_voxel_size(tmp_path):
    for name in ("pred", "truth"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.stack([TRUTH] * 3), imagej=True, metadata={"axes": "ZYX"})
    np.save(tmp_path / "plain.npy", np.stack([TRUTH] * 3))
    assert run(str(tmp_path / "pred.tif"), str(tmp_path / "truth.tif")).exit_code == 0
    assert run(str(tmp_path / "plain.npy"), str(tmp_path / "truth.tif"), "--axes", "zyx").exit_code == 0
    with pytest.raises(UserError, match="`axes`"):
        compared(str(tmp_path / "plain.npy"), str(tmp_path / "truth.tif"))


def test_lonely_names(folders, tmp_path):
    save(tmp_path / "pred" / "c.tif", PRED)
    with pytest.raises(UserError, match=r"1 of the images in .*pred have no partner .* \('c'\)"):
        compared(*folders)
    with pytest.raises(UserError, match=r"1 of the images in .*pred have no partner .* \('c'\)"):
        compared(folders[1], folders[0])
    with pytest.raises(UserError, match="no partner"):
        compared(str(tmp_path / "pred" / "c.tif"), folders[1])


def test_what_does_not_fit(tmp_path):
    pred, truth = save(tmp_path / "p.tif", PRED[:5]), save(tmp_path / "t.tif", TRUTH)
    with pytest.raises(UserError, match=r"p.tif has the shape \(5, 8\), but .*t.tif has the shape \(8, 8\)"):
        compared(pred, truth)
    with pytest.raises(UserError, match="whole numbers"):
        compared(save(tmp_path / "f.tif", TRUTH.astype(np.float32) + 0.5), truth)
    with pytest.raises(UserError, match="does not exist"):
        compared(str(tmp_path / "nothing.tif"), truth)
    with pytest.raises(UserError, match="threshold"):
        compared(truth, truth, iou=1.5)
    with pytest.raises(UserError, match="the score name 'voxel_count' of `confidence`"):
        compared(truth, truth, confidence=[save(tmp_path / "voxel_count.tif", TRUTH)])
    frames = save(tmp_path / "frames.tif", TRUTH)
    tifffile.imwrite(frames, np.stack([TRUTH, TRUTH]), imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(UserError, match="2 images"):
        compared(frames, truth)


def said(*words):
    """stdout and stderr of a command as a person types it, or its one sentence."""
    result = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["evaluate", *map(str, words)])
    if isinstance(result.exception, UserError):
        return "", str(result.exception)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_truth_comes_first_and_is_never_exchanged_in_silence(folders, tmp_path, monkeypatch):
    """Precision and recall of PRED are 1 and 1/2: exchanged, they would show."""
    pred, truth = (f"{folder}/a.tif" for folder in folders)
    right = {"object_precision": 1.0, "object_recall": 0.5}

    def numbers(*words):
        out, err = said(*words, "--json", "--no-report")
        pooled = json.loads(out)["pooled"]
        return {name: pooled[name] for name in right}, err

    assert numbers("--pred", pred, "--truth", truth) == (right, "")
    for order in ((truth, pred), (pred, truth)):
        assert "is the truth? Earlier versions took it last" in said(*order)[1]
    account = tmp_path / "pred" / "report"
    account.mkdir()
    (account / "facts.json").write_text(json.dumps({"kind": "segment"}))
    assert numbers(truth, pred) == (right, "")
    monkeypatch.chdir(tmp_path)  # as README writes it
    assert "Dice" in said(*(f"{Path(one).name}/" for one in reversed(folders)), "--no-report")[0]
    found, warned = numbers(pred, truth)
    assert found == right and f"write: cytoshift evaluate {truth} {pred}" in warned
    assert "one truth and one prediction are compared" in said(truth)[1]
    assert "one truth and one prediction are compared" in said(truth, pred, "--pred", pred)[1]


def test_the_old_form_of_json_goes_on_and_says_the_new_one(folders, tmp_path):
    out, sides = tmp_path / "numbers.json", ("--pred", folders[0], "--truth", folders[1], "--no-report")
    assert "--json FILE is --json-file FILE" in said(*sides, "--json", out)[1]
    assert json.loads(out.read_text())["iou"] == 0.5
    printed, warned = said(*sides, "--json", "-")
    assert json.loads(printed)["verb"] == "evaluate" and "--json - is --json" in warned
    assert f"pass --json-file {out}" in said(*sides, out)[1]
