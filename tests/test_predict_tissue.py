"""Slides: tissue is found on a coarse copy, its labels are those of the whole slide, and the rest is left out."""

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.data.volumes import ImageSource, open_labels, open_volumes
from cytoshift.predict.blockwise.tissue import Tissue, coarse_copy, find_tissue
from cytoshift.predict.calibration import expected_extent
from predicting import nuclei, segmenter, volume

SIDE, WIDE = 512, 140  # pixels of a slide, and of the square of tissue in its corner


def slide(dark: bool = False) -> np.ndarray:
    """Dim stroma with nuclei in a corner, an empty glass elsewhere."""
    rng = np.random.default_rng(0)
    image = rng.normal(40, 4, (SIDE, SIDE))
    image[:WIDE, :WIDE] = 400 + nuclei((WIDE, WIDE), 40, 0)[0]
    return (4000 - image if dark else image).clip(0, 65535).astype(np.uint16)


def write(path, image) -> None:
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(image, subifds=1, tile=(64, 64), photometric="minisblack", metadata=metadata)
        file.write(image[::2, ::2], subfiletype=1, tile=(64, 64), photometric="minisblack")


@pytest.mark.parametrize("dark", [False, True])
def test_tissue_is_what_stands_out_with_a_margin(dark):
    made = segmenter(normalisation=Normalisation(invert=dark))
    objects, _ = expected_extent(made, volume(slide(dark)).voxel)
    found = find_tissue(volume(slide(dark)), None, made.normalisation, objects)
    assert found.mask[:WIDE, :WIDE].all() and found.share < 0.3
    corner, far = (slice(0, 64), slice(0, 64)), (slice(400, 512), slice(300, 400))
    assert found.meets(corner, (SIDE, SIDE)) and not found.meets(far, (SIDE, SIDE))
    assert found.meets((slice(0, 4), slice(0, 4)), (32, 32))  # of a coarser grid over the same slide
    assert not found.meets((slice(31, 32), slice(30, 32)), (32, 32))
    with pytest.raises(UserError, match="shows no tissue"):
        find_tissue(volume(np.full((64, 64), 7)), None, made.normalisation, objects)


def test_a_coarse_level_is_looked_at_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr("cytoshift.predict.blockwise.tissue.LOOKED_AT", SIDE * SIDE // 4)
    write(tmp_path / "a.ome.tif", slide())
    source = ImageSource(paths=str(tmp_path / "a.ome.tif"))
    (one,) = open_volumes(source)
    assert (coarse_copy(one, source) == slide()[::2, ::2]).all() and (coarse_copy(one, None) == slide()[::2, ::2]).all()
    monkeypatch.setattr("cytoshift.predict.blockwise.tissue.LOOKED_AT", SIDE * SIDE // 16)
    assert (coarse_copy(one, source) == slide()[::4, ::4]).all()


def test_labels_in_tissue_are_those_of_the_whole_slide(tmp_path):
    write(tmp_path / "a.ome.tif", slide())
    segmenter(size=(0.5, 0.5), unit="um").save(tmp_path / "model")
    found = []
    for name, flags in (("whole", []), ("tissue", ["--tissue"])):
        words = ["segment", tmp_path / "model", tmp_path / "a.ome.tif", "-o", tmp_path / f"{name}.ome.zarr",
                 "--block", "128,128", "--halo", "24,24", "--tile", "96,96", *flags]  # fmt: skip
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exit_code in (0, 3), result.output
        assert ("tiles are left out" in result.output) == bool(flags)
        found.append(open_labels(tmp_path / f"{name}.ome.zarr")[0].load())
    whole, tissue = (labels[:WIDE, :WIDE] != 0 for labels in found)
    assert whole.any() and (whole == tissue).all()
    assert not found[1][300:, 300:].any()


def test_a_mask_is_kept(tmp_path):
    Tissue(np.eye(4, dtype=bool)).save(tmp_path)
    assert (Tissue.load(tmp_path).mask == np.eye(4)).all() and Tissue.load(tmp_path).share == 0.25
