"""Parts of images: boxes, ranges of frames, sections in pairs with those of a mask, a portion of what is labelled."""

import numpy as np
import pytest
import tifffile

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.data.label_pairs import connected_objects, match_names, take_portion
from cytoshift.data.volumes import ImageSource, image_source, open_labels, open_volumes


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """raw.tif and mask.tif, 6 sections of 8 x 10, without metadata."""
    folder = tmp_path_factory.mktemp("stack")
    raw = np.arange(480, dtype=np.uint16).reshape(6, 8, 10)
    tifffile.imwrite(folder / "raw.tif", raw)
    mask = np.zeros(raw.shape, np.uint8)
    mask[:, 1:3, 1:3] = mask[:, 5:7, 6:9] = 1
    tifffile.imwrite(folder / "mask.tif", mask)
    return folder, raw


def source(path, **wish):
    return parse(ImageSource, {"paths": str(path), "axes": "tyx", "voxel": (5, 5), "unit": "nm"} | wish, "images")


def test_a_crop_is_the_box_between_parts_of_the_extent(stack):
    folder, raw = stack
    crop = {"x": [0.67, 1], "y": [0, 0.5]}
    volume = open_volumes(source(folder / "raw.tif", crop=crop, frames=[2]))[0]
    assert volume.shape == (4, 3) and np.array_equal(volume.load(), raw[2, :4, 7:])
    assert np.array_equal(volume.array[1:3, ::2], raw[2, 1:3, 7::2])
    assert volume.array[3, -1] == raw[2, 3, 9] and volume.origin.endswith("y 0 to 4, x 7 to 10")
    left = open_volumes(source(folder / "raw.tif", crop={"x": [0, 0.67]}, frames=[2]))[0]
    assert left.shape[1] + volume.shape[1] == 10  # two parts that meet share nothing
    deep = ImageSource(paths=str(folder / "raw.tif"), axes="zyx", voxel=(50, 5, 5), unit="nm", crop={"z": (0.5, 1)})
    assert np.array_equal(open_volumes(deep)[0].load(), raw[3:])


def test_frames_may_be_ranges(stack):
    folder, raw = stack
    volumes = open_volumes(source(folder / "raw.tif", frames="0-1,4"))
    assert [v.name for v in volumes] == ["raw_t0", "raw_t1", "raw_t4"]
    assert np.array_equal(volumes[2].load(), raw[4])
    assert image_source("x", frames="3-5").frames == (3, 4, 5)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"frames": "0-"}, "whole numbers and ranges of them"),
        ({"frames": "a"}, "whole numbers and ranges of them"),
        ({"crop": {"x": [0.5, 0.5]}}, "x goes from 0.5 to 0.5; write parts of the extent"),
        ({"crop": {"t": [0, 1]}}, "'z', 'y' or 'x'"),
    ],
)
def test_what_is_no_part_is_one_sentence(wish, sentence):
    with pytest.raises(UserError, match=sentence):
        source("x", **wish)


def test_a_crop_along_an_axis_that_is_not_there_is_refused(stack):
    with pytest.raises(UserError, match=r"cannot crop along z, .* has the axes yx"):
        open_volumes(source(stack[0] / "raw.tif", crop={"z": [0, 0.5]}))


def test_frames_of_one_file_belong_to_those_of_another(stack):
    folder, _ = stack
    images = open_volumes(source(folder / "raw.tif", frames="3-4"))
    pairs = match_names(images, open_labels(source(folder / "mask.tif")), "a test")
    assert [(a.name, b.name) for a, b in pairs] == [("raw_t3", "mask_t3"), ("raw_t4", "mask_t4")]
    with pytest.raises(UserError, match="image 'raw_t3' has no labels of its name"):
        match_names(images, open_labels(source(folder / "mask.tif", frames="0-1")), "a test")


def test_a_mask_becomes_its_parts(stack):
    mask = open_labels(source(stack[0] / "mask.tif", frames=[0]))[0]
    assert mask.load().max() == 1 and connected_objects(mask, None) is mask
    found = connected_objects(mask, 0).load()
    assert found.max() == 2 and (found == 1).sum() == 4 and (found == 2).sum() == 6


@pytest.mark.parametrize(
    ("part", "shapes"),
    [
        (1.0, [(8, 10)] * 6),
        (0.5, [(8, 10)] * 3),
        (0.25, [(8, 10), (8, 5)]),
        (0.05, [(8, 3)]),
        (1e-6, [(8, 1)]),
    ],
)
def test_a_portion_is_whole_images_and_a_piece(stack, part, shapes):
    folder, _ = stack
    pairs = match_names(open_volumes(source(folder / "raw.tif")), open_labels(source(folder / "mask.tif")), "a test")
    taken = take_portion(pairs, part)
    assert [image.shape for image, _ in taken] == [truth.shape for _, truth in taken] == shapes
    names = [image.name for image, _ in taken]
    assert names == sorted(set(names)) and names == [image.name for image, _ in take_portion(pairs, part)]
