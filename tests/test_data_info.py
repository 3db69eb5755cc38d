"""`cytoshift info`: what was understood is said, and shown."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.write import write_image, write_labels


def info(*words) -> str:
    result = CliRunner().invoke(app, ["info", *map(str, words)], env={"COLUMNS": "200"})
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_one_volume(tmp_path):
    image = np.zeros((8, 20, 30), np.uint16)
    image[4, 5:15, 5:25] = 900
    path = write_image(tmp_path / "cells.ome.tif", image, Voxel((2.0, 0.5, 0.5), "um"), "zyx")
    said = info(path, "-o", tmp_path / "t.png")
    for words in ("cells", "zyx, 8 x 20 x 30 voxels", "2 x 0.5 x 0.5 um, all of it 16 x 10 x 15 um",
                  "uint16, 0 to 900 in the middle plane"):  # fmt: skip
        assert words in said
    shown = np.asarray(Image.open(tmp_path / "t.png"))
    assert shown.shape == (341, 512, 3)
    assert shown[170, 256].min() > 200 and shown[20, 20].max() < 50  # the object is bright, the corner dark


def test_a_long_folder_is_listed_in_part(tmp_path):
    (tmp_path / "in").mkdir()
    for n in range(15):
        tifffile.imwrite(tmp_path / "in" / f"{n}.tif", np.full((9, 8), n, np.uint8))
    said = info(tmp_path / "in", "-o", tmp_path / "t.png")
    assert "15 images in" in said and "11.tif" in said and "12.tif" not in said and "and 3 more" in said
    assert (tmp_path / "t.png").exists()


def test_labels_are_coloured(tmp_path):
    labels = np.zeros((20, 20), int)
    labels[2:8, 2:8], labels[10:18, 10:18] = 1, 2
    write_labels(tmp_path / "l.tif", labels, Voxel((1.0, 1.0)), "yx")
    info(tmp_path / "l.tif", "--labels", "-o", tmp_path / "t.png")
    shown = np.asarray(Image.open(tmp_path / "t.png"))
    colours = {tuple(shown[at, at]) for at in (5, 120, 370)}
    assert len(colours) == 3 and (0, 0, 0) in colours


def test_what_is_ambiguous_names_its_flag(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 9, 8), np.uint8), photometric="minisblack")
    with pytest.raises(UserError, match="pass --axes zyx"):
        info(tmp_path / "a.tif", "-o", tmp_path / "t.png")
    said = info(tmp_path / "a.tif", "--axes", "zyx", "--voxel", "2,1,1", "--unit", "px", "-o", tmp_path / "t.png")
    assert "2 x 1 x 1 px" in said
