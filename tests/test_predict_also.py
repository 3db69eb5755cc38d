"""Results in the shape of the images, for other programs, and with rows that do not depend on blocks."""

import csv
import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels, open_volumes
from cytoshift.data.write import write_image
from cytoshift.labels.objects import measure_objects
from cytoshift.predict.outputs import Outputs, column_titles
from cytoshift.represent import Ternary
from cytoshift.view.properties import properties
from predicting import nuclei, segmenter, taught

UM = Voxel((0.5, 0.5), "um")


def run(*words) -> str:
    result = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def rows(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return segmenter(size=(0.5, 0.5), unit="um").save(tmp_path_factory.mktemp("run") / "model")


@pytest.fixture
def film(tmp_path):
    """T Y X in one file, and the same frames as files."""
    frames = np.stack([nuclei((40, 56), 8, seed)[0] for seed in range(3)]).astype(np.float32)
    metadata = {"axes": "TYX", "unit": "micron"}
    tifffile.imwrite(tmp_path / "film.tif", frames, imagej=True, metadata=metadata, resolution=(2, 2))
    for t, frame in enumerate(frames):
        write_image(tmp_path / "frames" / f"film_t{t}.tif", frame, UM, "yx")
    return tmp_path / "film.tif"


def test_labels_have_the_shape_of_their_series(model, film, tmp_path):
    run("segment", model, film, "-o", tmp_path / "out")
    run("segment", model, tmp_path / "frames", "-o", tmp_path / "apart")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["film.tif", "report"]
    assert not (tmp_path / "out" / "report" / "frames").exists()
    with tifffile.TiffFile(tmp_path / "out" / "film.tif") as file:
        assert file.series[0].axes == "TYX" and file.series[0].shape == (3, 40, 56)
    together, apart = open_labels(tmp_path / "out"), open_labels(tmp_path / "apart")
    assert [one.name for one in together] == [one.name for one in apart] == [one.name for one in open_volumes(film)]
    assert all((one.load() == other.load()).all() and one.load().any() for one, other in zip(together, apart))
    assert all(one.voxel == UM for one in together)
    table = rows(tmp_path / "out" / "report" / "objects.csv")
    assert table == rows(tmp_path / "apart" / "report" / "objects.csv")
    assert {row["image"] for row in table} == {"film_t0", "film_t1", "film_t2"}
    assert "3 had been finished before" in run("segment", model, film, "-o", tmp_path / "out")
    said = run("evaluate", "--truth", tmp_path / "apart", "--pred", tmp_path / "out", "--no-report")
    assert "1.0000" in said
    run("segment", model, film, "-o", tmp_path / "few", "--frames", "0,2")
    assert sorted(path.name for path in (tmp_path / "few").glob("*.tif")) == ["film_t0.tif", "film_t2.tif"]


def test_a_series_goes_into_one_file_and_its_rows_beside_it(model, film, tmp_path):
    run("segment", model, film, "-o", tmp_path / "one.tif", "--also", "ctc")
    assert tifffile.imread(tmp_path / "one.tif").shape == (3, 40, 56)
    frames = open_labels(tmp_path / "one.tif")
    table = rows(tmp_path / "one.objects.csv")
    assert [int(row["label"]) for row in table if row["image"] == "film_t1"] == list(
        range(1, frames[1].load().max() + 1)
    )
    known = properties(str(tmp_path / "one.tif"), frames[1].name, frames[1].origin)
    assert known.ids.tolist() == list(range(1, frames[1].load().max() + 1))
    wanted = [float(row["area"]) for row in table if row["image"] == "film_t1"]
    np.testing.assert_allclose(known.columns["area"], wanted, rtol=1e-5)
    assert len(list((tmp_path / "one.ctc").glob("mask*.tif"))) == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".one")]
    with pytest.raises(UserError, match=r"3 images do not fit into the one file"):
        run("segment", model, tmp_path / "frames", "-o", tmp_path / "two.tif")


def test_a_series_that_was_stopped_goes_on_with_the_frames_that_are_missing(model, film, tmp_path, monkeypatch):
    run("segment", model, film, "-o", tmp_path / "whole")
    write, written = Outputs.write, []

    def stops(self, volume, prediction):
        if written and not stops.on:
            raise UserError("stopped")
        written.append(volume.name)
        write(self, volume, prediction)

    stops.on = False
    monkeypatch.setattr(Outputs, "write", stops)
    with pytest.raises(UserError, match="stopped"):
        run("segment", model, film, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "report" / "frames" / "film_t0.tif").exists()
    assert not (tmp_path / "out" / "film.tif").exists()
    stops.on = True
    run("segment", model, film, "-o", tmp_path / "out")
    assert written == ["film_t0", "film_t1", "film_t2"]
    assert (tmp_path / "out" / "film.tif").read_bytes() == (tmp_path / "whole" / "film.tif").read_bytes()
    with pytest.raises(UserError, match="another request"):
        run("segment", model, film, "-o", tmp_path / "out", "--threshold", "0.3")
    run("segment", model, film, "-o", tmp_path / "out", "--threshold", "0.3", "--overwrite")
    assert (tmp_path / "out" / "film.tif").read_bytes() != (tmp_path / "whole" / "film.tif").read_bytes()


def test_other_formats_are_written_beside_the_labels(model, film, tmp_path):
    roifile = pytest.importorskip("roifile")
    said = run(
        "segment", model, tmp_path / "frames", "-o", tmp_path / "out", "--also", "rois,geojson", "--also", "coco"
    )
    report = tmp_path / "out" / "report"
    assert "rois, geojson, coco in " in said
    table = rows(report / "objects.csv")
    for name in ("film_t0", "film_t2"):
        mine = [row for row in table if row["image"] == name]
        areas = {row["label"]: float(row["area"]) for row in mine}
        assert {roi.name for roi in roifile.roiread(report / "rois" / f"{name}.zip")} == set(areas)
        features = json.loads((report / "geojson" / f"{name}.geojson").read_text())["features"]
        assert {one["properties"]["name"]: one["properties"]["measurements"]["area"] for one in features} == areas
        assert 0 < features[0]["properties"]["measurements"]["solidity"] <= 1
    coco = json.loads((report / "coco.json").read_text())
    assert [one["file_name"] for one in coco["images"]] == ["film_t0.tif", "film_t1.tif", "film_t2.tif"]
    assert len(coco["annotations"]) == len(table)
    # later, too, of results that are finished
    run("segment", model, tmp_path / "frames", "-o", tmp_path / "out", "--also", "ctc")
    assert (report / "ctc" / "film_t1_RES" / "res_track.txt").exists()
    assert len(open_labels(tmp_path / "out")) == 3
    with pytest.raises(UserError, match=r"format 'svg' is not known; --also takes rois, geojson, coco, ctc"):
        run("segment", model, film, "-o", tmp_path / "never", "--also", "svg")
    run("vote", tmp_path / "out", tmp_path / "out", "-o", tmp_path / "voted", "--also", "rois")
    assert len(list((tmp_path / "voted" / "report" / "rois").iterdir())) == 3


def test_a_file_of_somebody_else_is_not_replaced_by_another_format(model, film, tmp_path):
    (tmp_path / "one.geojson").write_text("mine")
    with pytest.raises(UserError, match=r"one.geojson already exists"):
        run("segment", model, tmp_path / "frames" / "film_t0.tif", "-o", tmp_path / "one.tif", "--also", "geojson")
    assert (tmp_path / "one.geojson").read_text() == "mine"


def test_rows_of_blocks_are_those_of_one_piece(tmp_path):
    learnt = taught(25)
    made = segmenter(size=(0.5, 0.5), unit="um", network=learnt.network, representation=Ternary(smallest=2.0))
    model, image = made.save(tmp_path / "model"), nuclei((150, 170), 90, 1)[0]
    write_image(tmp_path / "a.tif", image, UM, "yx")
    words = ("--block", "80,90", "--also", "geojson")
    run("segment", model, tmp_path / "a.tif", "-o", tmp_path / "c.ome.zarr", *words)
    (labels,) = open_labels(tmp_path / "c.ome.zarr")
    wanted = measure_objects(labels.load(), labels.voxel, image).columns()
    table = rows(tmp_path / "c.objects.csv")
    assert list(table[0]) == ["image", *wanted, "confidence"] and len(table) > 20
    for row, values in zip(table, column_titles(wanted), strict=True):
        assert [row[name] for name in wanted] == list(values)
    features = json.loads((tmp_path / "c.geojson").read_text())["features"]
    assert [one["properties"]["name"] for one in features] == [row["label"] for row in table]
