"""Blocks from the command line: single passes, versions of OME-Zarr, a halo that is too small, failed audits."""

import json

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_image
from cytoshift.predict.blockwise import run as blockwise
from cytoshift.predict.blockwise.audit import FIELDS, Audit
from cytoshift.represent import Ternary
from predicting import nuclei, segmenter

SIZE = Voxel((1.0, 0.5, 0.5), "um")


def segment(*words, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["segment", *map(str, words)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A model of objects of known size, and a stack."""
    folder = tmp_path_factory.mktemp("scene")
    made = segmenter(3, size=SIZE.size, unit="um", representation=Ternary(smallest=2.0))
    return made.save(folder / "model"), write_image(folder / "a.tif", nuclei((20, 40, 44), 25, 1)[0], SIZE, "zyx")


BLOCKS = ("--precision", "32", "--block", "10,24,24", "--tile", "16,24,24")


def test_passes_one_by_one_end_in_the_labels_of_all_at_once(scene, tmp_path):
    segment(*scene, "-o", tmp_path / "whole.ome.zarr", *BLOCKS)
    out = tmp_path / "parts.ome.zarr"
    with pytest.raises(UserError, match=r"\(3\) link cannot start, \(1\) predict is finished for only 0 of \d+ blocks"):
        segment(*scene, "-o", out, *BLOCKS, "--only", "link")
    for name in ("predict", "decode", "link", "merge"):
        said = segment(*scene, "-o", out, *BLOCKS, "--only", name)
        assert f"{name} is finished, in " in said and not out.exists()
    segment(*scene, "-o", out, *BLOCKS, "--only", "write")
    one, other = (open_labels(tmp_path / f"{name}.ome.zarr")[0].load() for name in ("whole", "parts"))
    assert np.array_equal(one, other) and one.max() > 0
    assert json.loads((tmp_path / "parts.seams.json").read_text())["verdict"] == "passed"


@pytest.mark.filterwarnings("ignore")  # of the readers
@pytest.mark.parametrize("ngff", ["0.4", "0.5"])
def test_labels_of_both_versions_are_valid_to_readers_that_are_not_ours(scene, tmp_path, ngff):
    models = pytest.importorskip("ome_zarr_models")
    out = tmp_path / "a.ome.zarr"
    segment(*scene, "-o", out, *BLOCKS, "--ngff", ngff)
    group = zarr.open_group(out, mode="r")
    told = models.open_ome_zarr(group)
    assert type(told).__name__ == "ImageLabel" and f"v{ngff.replace('.', '')}" in type(told).__module__
    assert group.metadata.zarr_format == {"0.4": 2, "0.5": 3}[ngff]
    said = group.attrs.asdict()
    image = (said if ngff == "0.4" else said["ome"])["multiscales"][0]
    assert [axis["name"] for axis in image["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in image["axes"]} == {"micrometer"}
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == list(SIZE.size)
    reader, parse = pytest.importorskip("ome_zarr.reader"), pytest.importorskip("ome_zarr.io").parse_url
    (node, *_) = reader.Reader(parse(str(out)))()
    assert np.array_equal(np.asarray(node.data[0]), open_labels(out)[0].load())


def test_a_halo_below_the_objects_is_a_warning_with_its_cure(scene, tmp_path):
    said = segment(*scene, "-o", tmp_path / "a.ome.zarr", *BLOCKS, "--halo", "4,4,4", "--quiet")
    words = "warning: the halo 4 x 4 x 4 is smaller than the objects, about 8 x 16 x 16 voxels, and those at block"
    assert words in said and "pass --halo 12,20,20" in said
    assert "smaller than the objects" not in segment(*scene, "-o", tmp_path / "b.ome.zarr", *BLOCKS)


def test_a_failed_audit_ends_with_3_and_keeps_the_labels(scene, tmp_path, monkeypatch):
    none = dict.fromkeys(FIELDS, 0.0) | {"sections": 90.0, "cut": 30.0}
    seam = Audit(none, none | {"cut": 0.0}, {"cut": 0.3, "lost": 0.0, "growth": 0.0}, {"cut": 9.0}, ("objects cut",))
    monkeypatch.setattr(blockwise, "judge_seams", lambda _: seam)
    out = tmp_path / "a.ome.zarr"
    said = segment(*scene, "-o", out, *BLOCKS, code=3)
    assert "seam audit: FAILED (objects cut at faces)" in said and "cut 33.33 %" in said
    assert "the seam audit has failed; labels are kept, pass a larger --halo" in said
    assert open_labels(out)[0].load().max() > 0
    told = json.loads((tmp_path / "a.seams.json").read_text())
    assert told["verdict"] == "failed" and told["classes"]["objects"]["seams"] == ["objects cut"]
    assert "objects cut" in (tmp_path / "a.report.html").read_text()
