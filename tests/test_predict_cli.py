"""`cytoshift segment`: labels, a table, a picture and a line; continued, and nothing overwritten by accident."""

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from cytoshift.cli import segment as verb
from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_image
from cytoshift.predict.outputs import Outputs
from predicting import nuclei, segmenter


def segment(*words) -> str:
    result = CliRunner().invoke(app, ["segment", *map(str, words)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def rows(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return segmenter(size=(0.5, 0.5), unit="um").save(tmp_path_factory.mktemp("run") / "model")


@pytest.fixture
def images(tmp_path):
    for n in range(3):
        write_image(tmp_path / "in" / f"field{n}.tif", nuclei((40, 56), 8, n)[0], Voxel((0.5, 0.5), "um"), "yx")
    return tmp_path / "in"


def test_one_image_to_one_file(model, images, tmp_path):
    out = tmp_path / "out" / "cells.tif"
    said = segment(model, images / "field0.tif", "-o", out, "--threshold", "0.4", "--precision", "32")
    (labels,) = open_labels(out)
    found = rows(tmp_path / "out" / "cells.objects.csv")
    assert labels.shape == (40, 56) and labels.voxel == Voxel((0.5, 0.5), "um")
    assert len(found) == labels.load().max() > 0
    assert list(found[0])[:6] == ["image", "label", "unit", "area", "equivalent_diameter_area", "centroid-0"]
    assert found[0]["image"] == "field0" and 0 < float(found[0]["confidence"]) <= 1
    with Image.open(tmp_path / "out" / "cells.overview.png") as picture:
        assert picture.mode == "RGB" and picture.width > 3 * 300
    for words in ("1 image: ", f"{len(found)} objects, median diameter ", " um, mean confidence 0.", "Mvoxel/s",
                  "peak memory", "GB"):  # fmt: skip
        assert words in said
    with pytest.raises(UserError, match=r"cells.tif already exists; pass --overwrite"):
        segment(model, images / "field0.tif", "-o", out)
    segment(model, images / "field1.tif", "-o", out, "--overwrite")
    assert rows(tmp_path / "out" / "cells.objects.csv")[0]["image"] == "field1"


def test_many_images_to_a_folder_of_labels_alone(model, images, tmp_path):
    out = tmp_path / "out"
    said = segment(model, images, "-o", out)
    assert sorted(path.name for path in out.iterdir()) == ["field0.tif", "field1.tif", "field2.tif", "report"]
    assert [volume.name for volume in open_labels(out)] == ["field0", "field1", "field2"]
    table = rows(out / "report" / "objects.csv")
    assert said.startswith(f"3 images: {len(table)} objects")
    for volume in open_labels(out):
        assert sum(row["image"] == volume.name for row in table) == volume.load().max()


def test_stopped_and_continued_is_the_same(model, images, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    segment(model, images, "-o", whole)
    write, calls = Outputs.write, []

    def twice(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(*args)

    monkeypatch.setattr(Outputs, "write", twice)
    assert CliRunner().invoke(app, ["segment", str(model), str(images), "-o", str(parts)]).exit_code == 130
    assert (parts / "field0.tif").exists() and not (parts / "field1.tif").exists()
    first = (parts / "field0.tif").stat().st_mtime_ns
    assert "; 1 had been finished before" in segment(model, images, "-o", parts)
    assert len(calls) == 4 and (parts / "field0.tif").stat().st_mtime_ns == first
    for name in ("field0.tif", "field1.tif", "field2.tif", "report/objects.csv", "report/overview.png"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    assert "3 had been finished before" in segment(model, images, "-o", parts) and len(calls) == 4


def test_another_request_does_not_mix_with_the_first(model, images, tmp_path):
    out = tmp_path / "out"
    segment(model, images / "field0.tif", "-o", out)
    segment(model, images, "-o", out)  # more images are welcome
    with pytest.raises(UserError, match=r"another request \(threshold was the default, now 0\.6\); pass --overwrite"):
        segment(model, images, "-o", out, "--threshold", "0.6")
    other = segmenter(size=(0.25, 0.25), unit="um").save(tmp_path / "other")
    with pytest.raises(UserError, match=r"another request \(model was "):
        segment(other, images, "-o", out)
    before = (out / "field0.tif").read_bytes()
    said = segment(model, images, "-o", out, "--threshold", "0.6", "--overwrite")
    assert "before" not in said and (out / "field0.tif").read_bytes() != before
    (out / "report" / "request.json").write_text("{")
    with pytest.raises(UserError, match=r"request\.json is damaged"):
        segment(model, images, "-o", out)


def test_what_is_in_the_way_stays(model, images, tmp_path):
    (tmp_path / "out").mkdir()
    tifffile.imwrite(tmp_path / "out" / "field1.tif", np.ones((4, 4), np.uint8))
    with pytest.raises(UserError, match=r"field1.tif already exists"):
        segment(model, images, "-o", tmp_path / "out")
    assert tifffile.imread(tmp_path / "out" / "field1.tif").shape == (4, 4)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"labels cannot be written to a file like .*file"):
        segment(model, images, "-o", tmp_path / "file")
    with pytest.raises(UserError, match="3 images do not fit into the one file"):
        segment(model, images, "-o", tmp_path / "all.tif")


def test_a_stack_to_ome_zarr(tmp_path):
    model = segmenter(3, size=(1.0, 0.5, 0.5), unit="um").save(tmp_path / "model")
    write_image(tmp_path / "s.tif", nuclei((10, 30, 30), 8, 0)[0], Voxel((1.0, 0.5, 0.5), "um"), "zyx")
    segment(model, tmp_path / "s.tif", "-o", tmp_path / "s.ome.zarr", "--tile", "16,16,16", "--overlap", "4")
    (labels,) = open_labels(tmp_path / "s.ome.zarr")
    assert labels.shape == (10, 30, 30) and labels.voxel == Voxel((1.0, 0.5, 0.5), "um")
    assert (tmp_path / "s.objects.csv").exists() and (tmp_path / "s.overview.png").exists()


def test_frames_of_a_time_series_are_images_of_their_own(model, tmp_path):
    movie = np.stack([nuclei((40, 40), 6, n)[0] for n in range(3)])
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack")
    words = (model, tmp_path / "movie.tif", "--axes", "tyx", "--voxel", "0.5,0.5", "--unit", "um")
    segment(*words, "--frames", "0,2", "-o", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tif")) == ["movie_t0.tif", "movie_t2.tif"]


def test_an_image_without_objects_has_an_empty_table(model, tmp_path):
    write_image(tmp_path / "dark.tif", np.zeros((30, 30), np.uint16), Voxel((0.5, 0.5), "um"), "yx")
    assert segment(model, tmp_path / "dark.tif", "-o", tmp_path / "l.tif").startswith("1 image: 0 objects")
    assert rows(tmp_path / "l.objects.csv") == [] and (tmp_path / "l.overview.png").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tile", "a,b"], "--tile a,b is not a list of whole numbers; write for example --tile 64,128,128"),
        (["--tile", "64,64,64"], "tile 64,64,64 does not fit field0 with the axes 'yx'; give one"),
        (["--tile", "64,0"], "tile 64,0 does not fit"),
        (["--threshold", "0.8"], "threshold 0.8: .*thresholds 0.8 and 0.749.* must rise"),
        (["--device", "abacus"], "device 'abacus' is not known; pass cpu"),
        (["--device", "cuda:7"], r"there is no device 'cuda:7', this machine has \d CUDA cards; pass --device cpu"),
        (["--precision", "8"], "precision = '8'"),
        (["--threshold", "0"], "threshold = 0.0"),
        (["--min-size", "-1"], "min_size = -1"),
        (["--batch", "0"], "batch = 0"),
        (["--voxel", "1,1", "--unit", "px"], "works at 0.5 x 0.5 um per voxel, but field0 has 1 x 1 px"),
    ],
)
def test_wishes_that_cannot_be_met(model, images, tmp_path, words, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        segment(model, images, "-o", tmp_path / "out", *words)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_the_verb_is_a_function(model, images, tmp_path):
    verb.segment(model, [str(images)], tmp_path / "out", quiet=True)
    assert (tmp_path / "out" / "field2.tif").exists()
