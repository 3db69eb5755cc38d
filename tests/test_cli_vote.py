"""`cytoshift vote`: labels of any program, one image or folders, in one piece or box by box."""

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_labels
from cytoshift.labels.pseudo import IGNORED
from cytoshift.predict import voting
from cytoshift.synth.phantoms import phantom

VOXEL = Voxel((0.5, 0.5))


def run(*words):
    result = CliRunner().invoke(app, ["vote", *(str(word) for word in words)])
    return result.exit_code, result.output + str(result.exception or "")


@pytest.fixture
def folders(tmp_path):
    """Three folders of labels of two images; the third voter misses half of the objects."""
    _, labels, voxel = phantom("dense-2d", 2, (120, 120))
    _, others, _ = phantom("dense-2d", 3, (120, 120))
    for name, change in (("a", 0), ("b", 1), ("c", 2)):
        for image, one in (("one", labels), ("two", others)):
            mine = np.roll(one, change, 0)
            mine = np.where(mine % 2 == 0, 0, mine) if name == "c" else mine
            write_labels(tmp_path / name / f"{image}.tif", mine, voxel, "yx")
    return [tmp_path / name for name in "abc"]


def test_folders_of_labels_vote(folders, tmp_path):
    code, said = run(*folders, "-o", tmp_path / "out", "--json", "--quiet")
    assert code == 0, said
    told = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert told["images"] == 2 and 0.3 < told["mean_vote"] < 1
    found = open_labels(str(tmp_path / "out" / "one.tif"))[0]
    first = open_labels(str(folders[0] / "one.tif"))[0]
    assert found.voxel == first.voxel and found.load().max() > 0.7 * first.load().max()
    table = (tmp_path / "out" / "report" / "objects.csv").read_text().splitlines()
    assert len(table) == 1 + told["objects"] and table[0].endswith("confidence")


def test_the_same_command_has_nothing_to_do_and_another_is_refused(folders, tmp_path):
    run(*folders, "-o", tmp_path / "out")
    before = (tmp_path / "out" / "one.tif").stat().st_mtime_ns
    (tmp_path / "out" / "two.tif").unlink()
    assert run(*folders, "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "one.tif").stat().st_mtime_ns == before and (tmp_path / "out" / "two.tif").exists()
    code, said = run(*folders, "-o", tmp_path / "out", "--least", "0.9")
    assert code and "another request" in said
    assert run(*folders, "-o", tmp_path / "out", "--least", "0.9", "--overwrite")[0] == 0


def test_labels_that_were_made_anew_are_another_request(folders, tmp_path):
    assert run(*folders, "-o", tmp_path / "out")[0] == 0
    _, labels, voxel = phantom("dense-2d", 9, (120, 120))
    write_labels(folders[0] / "one.tif", labels, voxel, "yx")
    code, said = run(*folders, "-o", tmp_path / "out")
    assert code and "another request" in said


def test_a_mask_among_the_voters_is_named_and_its_parts_vote(folders, tmp_path):
    for image in ("one", "two"):
        mask = np.where(open_labels(str(folders[0] / f"{image}.tif"))[0].load() > 0, 255, 0)
        write_labels(tmp_path / "mask" / f"{image}.tif", mask, VOXEL, "yx")
    code, said = run(*folders[:2], tmp_path / "mask", "-o", tmp_path / "out")
    assert code == 0 and "it looks like a mask" in said and "pass --mask-above 3=0 to make its parts objects" in said
    code, declared = run(*folders[:2], tmp_path / "mask", "-o", tmp_path / "own", "--mask-above", "3=0")
    assert code == 0 and "looks like a mask" not in declared
    votes = [float(words.partition("mean vote ")[2].partition(";")[0]) for words in (said, declared)]
    assert votes[1] > votes[0]
    code, said = run(*folders[:2], tmp_path / "mask", "-o", tmp_path / "own")
    assert code and "another request (mask_above was ['3=0'], now the default)" in said


def test_an_image_among_the_voters_is_named(folders, tmp_path):
    noise = np.random.default_rng(0).integers(90, 900, (120, 120)).astype(np.uint16)
    write_labels(tmp_path / "raw" / "one.tif", noise, VOXEL, "yx")
    code, said = run(folders[0] / "one.tif", tmp_path / "raw" / "one.tif", "-o", tmp_path / "out")
    assert code == 0 and "it looks like an image and not like labels" in said and "--mask-above" not in said


def test_labels_without_a_voxel_size_are_told_one(tmp_path):
    """A stack of another program that says nothing of its axes."""
    labels = np.zeros((6, 40, 44), np.uint8)
    labels[1:5, 4:20, 5:20] = 1
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", labels, photometric="minisblack")
    words = (tmp_path / "a.tif", tmp_path / "b.tif", "-o", tmp_path / "o.tif", "--axes", "zyx")
    code, said = run(*words)
    assert code and "is not in its metadata; pass --voxel 2,1,1 --unit px" in said
    assert run(*words, "--voxel", "2,1,1", "--unit", "px")[0] == 0
    assert open_labels(tmp_path / "o.tif")[0].voxel == Voxel((2.0, 1.0, 1.0))


@pytest.mark.parametrize("name", ["o.tif", "o.ome.zarr"])
def test_a_file_in_the_place_of_a_folder_is_said_before_the_work(folders, tmp_path, monkeypatch, name):
    """With --overwrite, and a folder in the place of a file likewise."""
    monkeypatch.setattr(voting, "elect", None)
    place = tmp_path / name
    place.mkdir() if name.endswith(".tif") else place.write_text("mine")
    code, said = run(folders[0] / "one.tif", folders[1] / "one.tif", "-o", place, "--overwrite")
    assert code and "is to be written there; remove it, or choose another output with -o" in said and place.exists()


@pytest.mark.parametrize("word", ["0", "4=0", "0=0", "x=1", "3=much", "=", "3=nan", "3=inf"])
def test_a_mask_that_is_no_voter_is_refused(folders, tmp_path, word):
    code, said = run(*folders, "-o", tmp_path / "out", "--mask-above", word)
    assert code and f"--mask-above {word} given, it takes the number of a voter, 1 to 3, and a value" in said
    assert not (tmp_path / "out").exists()


def test_a_mask_that_does_not_fit_into_the_memory_is_refused(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("cytoshift.cli.vote.PARTS_BYTES", 10**6)
    code, said = run(*folders, "-o", tmp_path / "out", "--mask-above", "1=0", "--memory", "2GB")
    assert code and "is a mask whose parts are found in one piece, which takes 14.4 GB; pass --memory 15GB" in said


def test_images_without_an_object_are_labels_too(tmp_path):
    for name in "ab":
        write_labels(tmp_path / name / "one.tif", np.zeros((20, 20), np.uint8), VOXEL, "yx")
    code, said = run(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out")
    assert code == 0 and "0 objects" in said


def test_box_by_box_gives_the_same_objects(folders, tmp_path, monkeypatch):
    assert run(*folders, "-o", tmp_path / "whole")[0] == 0
    monkeypatch.setattr(voting, "WHOLE_VOXELS", 1000)
    assert run(*folders, "-o", tmp_path / "boxes", "--memory", "1GB")[0] == 0
    for name in ("one", "two"):
        whole = open_labels(str(tmp_path / "whole" / f"{name}.tif"))[0].load()
        boxes = open_labels(str(tmp_path / "boxes" / f"{name}.ome.zarr"))[0].load()
        assert np.array_equal(whole, boxes)
    tables = [(tmp_path / place / "report" / "objects.csv").read_text() for place in ("whole", "boxes")]
    assert tables[0] == tables[1]
    code, said = run(*(folder / "one.tif" for folder in folders), "-o", tmp_path / "one.tif")
    assert code and "one.ome.zarr" in said


def test_single_files_of_other_names_are_one_image(folders, tmp_path):
    (folders[1] / "one.tif").rename(folders[1] / "masks.tif")
    files = [folders[0] / "one.tif", folders[1] / "masks.tif"]
    assert run(*files, "-o", tmp_path / "voted.tif")[0] == 0
    assert (tmp_path / "voted.tif").exists() and (tmp_path / "voted.objects.csv").exists()


def test_what_does_not_fit_is_said(folders, tmp_path):
    out = ("-o", tmp_path / "out")
    assert "two or more" in run(folders[0], *out)[1]
    assert "one number for each voter" in run(*folders, *out, "--groups", "1,1")[1]
    (folders[2] / "two.tif").unlink()
    code, said = run(folders[0], folders[1], folders[2], *out)
    assert code and "'two'" in said
    code, said = run(folders[0], folders[1], "-o", folders[0], "--overwrite")
    assert code and (folders[0] / "one.tif").exists()
    write_labels(folders[1] / "one.tif", np.ones((5, 5), np.uint8), VOXEL, "yx")
    assert "shape" in run(folders[0], folders[1], *out)[1] and not (tmp_path / "out" / "one.tif").exists()


def test_labels_to_train_with_do_not_replace_those_of_the_vote(folders, tmp_path):
    out = tmp_path / "out"
    code, said = run(*folders, "-o", out, "--pseudo-labels", out)
    assert code and "no folder of its own" in said
    files = [folder / "one.tif" for folder in folders]
    code, said = run(*files, "-o", out / "one.tif", "--pseudo-labels", out)
    assert code and "would replace" in said and not out.exists()


def test_labels_to_train_with_are_written_beside(folders, tmp_path, monkeypatch):
    out, taught = tmp_path / "out", tmp_path / "pseudo"
    assert run(*folders, "-o", out)[0] == 0
    assert run(*folders, "-o", out, "--pseudo-labels", taught)[0] == 0
    labels = {name: open_labels(str(taught / f"{name}.tif"))[0] for name in ("one", "two")}
    voters = [open_labels(str(folder / "one.tif"))[0].load() for folder in folders]
    one = labels["one"].load()
    assert labels["one"].voxel == open_labels(str(folders[0] / "one.tif"))[0].voxel
    assert 0 < (one == IGNORED).mean() < 0.5
    assert all((one > 0)[voter > 0].mean() > 0.9 for voter in voters)  # what anybody has is an object, or ignored
    assert np.isin(np.unique(one), [0, IGNORED, *range(1, 1 + one[one < IGNORED].max())]).all()
    before = (taught / "one.tif").stat().st_mtime_ns
    (taught / "two.tif").unlink()
    code, said = run(*folders, "-o", out, "--pseudo-labels", taught)
    assert code == 0, said
    assert (taught / "one.tif").stat().st_mtime_ns == before and (taught / "two.tif").exists()
    monkeypatch.setattr(voting, "WHOLE_VOXELS", 1000)
    monkeypatch.setattr(voting, "BOX_VOXELS", 2000)
    boxes = tmp_path / "boxes"
    code, said = run(*folders, "-o", tmp_path / "boxed", "--pseudo-labels", boxes, "--memory", "1GB")
    assert code == 0, said
    assert np.array_equal(open_labels(str(boxes / "one.ome.zarr"))[0].load(), one)
    for place in (out, tmp_path / "one.tif"):
        assert "no folder of its own" in run(*folders, "-o", out, "--pseudo-labels", place)[1]
