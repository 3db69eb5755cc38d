"""`cytoshift stitch`: 2D labels of sections, of any program, to objects of the stack."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_labels
from cytoshift.labels.stitching import stitch_sections

STACK, SECTION = Voxel((2.0, 0.5, 0.5), "um"), Voxel((0.5, 0.5), "um")


def run(*words):
    result = CliRunner().invoke(app, ["stitch", *(str(word) for word in words)])
    return result.exit_code, result.output + str(result.exception or "")


@pytest.fixture
def sections():
    """Ten sections of a ball and of a rod that begins later; numbers have no meaning from section to section."""
    z, y, x = np.indices((10, 40, 40))
    ball = (4 * (z - 4)) ** 2 + (y - 12) ** 2 + (x - 12) ** 2 < 100
    rod = (z > 4) & (abs(y - 30) < 4) & (abs(x - 30) < 6)
    return np.where(ball, 1 + z % 2, np.where(rod, 2 - z % 2, 0)).astype(np.uint16)


def test_a_stack_and_its_files_give_the_same_objects(sections, tmp_path):
    write_labels(tmp_path / "stack.tif", sections, STACK, "zyx")
    for number, section in enumerate(sections):
        write_labels(tmp_path / "flat" / f"a_z{number}.tif", section, SECTION, "yx")
    code, said = run(tmp_path / "stack.tif", "-o", tmp_path / "one.tif", "--json")
    assert code == 0, said
    assert json.loads(next(line for line in said.splitlines() if line.startswith("{")))["objects"] == 2
    (found,) = open_labels(str(tmp_path / "one.tif"))
    assert found.voxel == STACK and np.array_equal(found.load(), np.stack(list(stitch_sections(sections))))
    flags = ("--axes", "zyx", "--voxel", "2,0.5,0.5", "--unit", "um")
    for way in (tmp_path / "flat", tmp_path / "flat" / "a_z*.tif"):
        assert run(way, *flags, "-o", tmp_path / "two.tif", "--overwrite")[0] == 0
        assert np.array_equal(open_labels(str(tmp_path / "two.tif"))[0].load(), found.load())


def test_the_same_command_has_nothing_to_do_and_another_is_refused(sections, tmp_path):
    write_labels(tmp_path / "in" / "a.tif", sections, STACK, "zyx")
    write_labels(tmp_path / "in" / "b.tif", sections[::-1], STACK, "zyx")
    assert run(tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    before = (tmp_path / "out" / "a.tif").stat().st_mtime_ns
    assert run(tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "a.tif").stat().st_mtime_ns == before
    code, said = run(tmp_path / "in", "-o", tmp_path / "out", "--least-iou", "0.5")
    assert code and "another request" in said


@pytest.mark.parametrize(
    ("more", "sentence"),
    [((), "is 2D"), (("--least-iou", "0"), "above 0"), (("--least-iou", "1.5"), "less than or equal to 1")],
)
def test_bad_wishes_end_in_a_sentence(sections, tmp_path, more, sentence):
    write_labels(tmp_path / "flat.tif", sections[4], SECTION, "yx")
    code, said = run(tmp_path / "flat.tif", "-o", tmp_path / "out.tif", *more)
    assert code and sentence in said and not (tmp_path / "out.tif").exists()


def test_input_is_not_written_to(sections, tmp_path):
    write_labels(tmp_path / "a.tif", sections, STACK, "zyx")
    code, said = run(tmp_path / "a.tif", "-o", tmp_path / "a.tif", "--overwrite")
    assert code and "a.tif" in said and np.array_equal(open_labels(str(tmp_path / "a.tif"))[0].load(), sections)
