import numpy as np
import pytest
import tifffile

from cytoshift.cli.synth import synth
from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.channel_tiff import write_stack
from cytoshift.data.volumes import ImageSource, open_labels, open_volumes
from cytoshift.synth import CLASSES, STACKS, count_pairs, stack
from cytoshift.synth.stacks import colours


@pytest.mark.parametrize("name", STACKS)
def test_every_preset_is_a_stack_of_two_channels(name):
    shape = (32, 80, 88) if name == "retina" else (48, 96, 96)
    image, labels, voxel = stack(name, 1, shape)
    assert image.shape == labels.shape == (2, *shape) and voxel == STACKS[name].voxel
    assert image.dtype == np.uint8 and labels.dtype == np.int32
    assert len(count_pairs(labels)) >= 1
    for channel, mask in zip(image, labels):
        assert np.median(channel[mask > 0]) > 1.5 * np.median(channel[mask == 0])
        assert (channel == 255).mean() < 0.02
    again = stack(name, 1, shape)
    assert (again[0] == image).all() and (again[1] == labels).all()
    assert (stack(name, 1, shape, index=1)[1] != labels).any() and (stack(name, 2, shape)[1] != labels).any()


def test_light_bleeds_from_one_channel_into_the_other():
    from dataclasses import replace

    labels = np.zeros((2, 12, 40, 40), np.int32)
    labels[1, 4:8, 10:30, 10:30] = 1
    seen = []
    for bleed in ((0.0, 0.0), (0.5, 0.0)):
        rngs = [np.random.default_rng(i) for i in range(2)]
        seen.append(colours(labels, replace(STACKS["retina"], bleed=bleed), rngs).astype(int))
    more = seen[1] - seen[0]
    assert (more[1] == 0).all()
    assert more[0][labels[1] > 0].mean() > 10 > 8 > more[0][:, :4, :4].mean()


def test_a_stack_comes_back_as_it_was_written(tmp_path):
    image = np.random.default_rng(0).integers(0, 4000, (2, 5, 8, 9)).astype(np.uint16)
    voxel = Voxel((2.0, 0.5, 0.25), "um")
    path = write_stack(tmp_path / "a.tif", image, voxel, "zyx", CLASSES)
    for k in range(2):
        (volume,) = open_volumes(ImageSource(paths=str(path), channel=k))
        assert (volume.load() == image[k]).all() and volume.voxel == voxel and volume.axes == "zyx"
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "CZYX"
        assert all(f'Name="{name}"' in file.ome_metadata for name in CLASSES)
    with pytest.raises(UserError, match=r"written as \.tif"):
        write_stack(tmp_path / "a.png", image, voxel, "zyx", CLASSES)
    with pytest.raises(UserError, match="one name per channel"):
        write_stack(tmp_path / "a.tif", image, voxel, "zyx", ("golgi",))


def test_wrong_wishes_name_the_cure():
    with pytest.raises(UserError, match="there is no preset 'brain'; there are retina"):
        stack("brain", 0)
    with pytest.raises(UserError, match="give 3 sizes of at least 8"):
        stack("retina", 0, (64, 64))


def test_the_verb_writes_channels_and_classes(tmp_path, capsys):
    synth("retina", tmp_path, number=2, seed=3, shape="16x72x64")
    name = "retina_001.tif"
    image, labels, voxel = stack("retina", 3, (16, 72, 64), index=1)
    assert (tifffile.imread(tmp_path / "images" / name) == image).all()
    for channel, mask in zip(CLASSES, labels):
        assert [path.name for path in sorted((tmp_path / "labels" / channel).iterdir())] == ["retina_000.tif", name]
        (volume,) = open_labels(tmp_path / "labels" / channel / name)
        assert (volume.load() == mask).all() and volume.voxel == voxel
    assert (tmp_path / "contact.png").exists() and "labels of each class" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"there are sparse-2d, .*retina-paper"):
        synth("hela", tmp_path)
