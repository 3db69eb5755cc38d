"""AD-GAN run backwards: from masks to images, through the styles in between."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cytoshift.cli.translate import translate
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import Volume, open_volumes
from cytoshift.data.write import write_labels
from cytoshift.model import Segmenter
from cytoshift.nets.network_spec import TranslatorSpec
from cytoshift.predict.translate import draw_styles
from cytoshift.represent import Ternary


def segmenter(ndim, size=1.0):
    torch.manual_seed(0)
    spec = TranslatorSpec(ndim=ndim, width=4, blocks=1, stem=3, hidden=8)
    voxel = Voxel((size,) * ndim, "px")
    axes = "zyx"[-ndim:]
    return Segmenter(spec, spec.build().eval(), Normalisation(), None, voxel, axes, Ternary())


def squares(ndim, n=21):
    labels = np.zeros((n,) * ndim, np.int32)
    labels[(slice(2, 9),) * ndim] = 1
    labels[(slice(9, 17),) * ndim] = 2
    return labels


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("size", [1.0, 1.5])
def test_styles_move_from_the_mask_to_the_image_on_the_labels_own_grid(ndim, size):
    labels = squares(ndim)
    volume = Volume("a", labels, "zyx"[-ndim:], Voxel((1.0,) * ndim, "px"), "made")
    series = draw_styles(segmenter(ndim, size), volume, 3)
    assert [image.shape for image in series] == [labels.shape] * 3
    assert all(np.abs(image).max() <= 1 for image in series)
    first, middle, last = series
    # the code is linear, the drawing is not; but half way is nearer to either end than the ends are to each other
    apart = np.abs(first - last).mean()
    assert apart > 0
    assert max(np.abs(first - middle).mean(), np.abs(middle - last).mean()) < apart


def test_a_model_that_draws_no_images_leaves_no_folder(tmp_path):
    write_labels(tmp_path / "a.tif", squares(2), Voxel((1.0, 1.0), "px"), "yx")
    with pytest.raises(UserError, match="draws no images from masks"):
        translate(Path("nuclei-2d"), str(tmp_path / "a.tif"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_writes_images_and_a_sheet(tmp_path):
    segmenter(2).save(tmp_path / "model")
    write_labels(tmp_path / "a.tif", squares(2), Voxel((1.0, 1.0), "px"), "yx")
    translate(tmp_path / "model", str(tmp_path / "a.tif"), tmp_path / "out", steps=3)
    (image,) = open_volumes(tmp_path / "out" / "a.tif")
    assert image.load().shape == (21, 21)
    assert (tmp_path / "out" / "styles.png").stat().st_size > 0
    with pytest.raises(UserError, match="a series has at least a beginning and an end; pass 2 or more"):
        translate(tmp_path / "model", str(tmp_path / "a.tif"), tmp_path / "out", steps=1)
