import numpy as np
import pytest

from cytoshift.core.voxel import Voxel
from cytoshift.draw import colour_labels, image_grid, outline, plane, save_png, stack_pictures, thumbnail
from cytoshift.draw.caption import wrap_text
from cytoshift.draw.paint import AGREED, PREDICTED, TRUE, label_colour, outline_mask


def test_plane_cuts_the_middle_or_projects() -> None:
    volume = np.arange(24).reshape(2, 3, 4)
    assert (plane(volume, "middle") == volume[1]).all()
    assert (plane(volume[:1], "max") == volume[0]).all()
    assert plane(volume, "max", axis=2).tolist() == [[3, 7, 11], [15, 19, 23]]
    assert plane(volume[0]) is not None and (plane(volume[0]) == volume[0]).all()
    with pytest.raises(ValueError, match="shape"):
        plane(np.zeros(3))


def test_thumbnail_stretches_any_dtype() -> None:
    ramp = np.tile(np.linspace(1000, 3000, 64), (64, 1))
    for image in (ramp.astype(np.uint16), ramp.astype(np.float64), (ramp / 20).astype(np.uint8)):
        picture = thumbnail(image, size=64)
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
        assert picture[:, 0].max() <= 4 and picture[:, -1].min() >= 251
    assert thumbnail(np.full((9, 9), 5), size=9).max() == 0  # a constant image has no contrast
    with_hole = ramp.copy()
    with_hole[0, 0] = np.nan
    assert thumbnail(with_hole, limits=(1000, 3000), size=64)[0, 0].max() == 0


def test_thumbnail_of_a_volume_has_square_pixels_and_a_scale_bar() -> None:
    volume = np.zeros((3, 100, 50), np.uint16)
    picture = thumbnail(volume, Voxel((4.0, 1.0, 2.0), "um"), size=100)
    assert picture.shape == (100, 100, 3)
    bar = picture[-6:-4]
    assert (bar == 255).all(axis=(0, 2)).sum() == 20  # a fifth of 100 um
    assert thumbnail(volume, Voxel((4.0, 1.0, 2.0)), size=100).max() == 0  # no bar in pixels


def test_rims_are_inside_the_object_and_not_on_the_frame() -> None:
    labels = np.zeros((5, 5), int)
    labels[1:4, 0:3] = 1
    assert outline_mask(labels).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_outline_has_a_colour_for_each_side() -> None:
    image = np.zeros((16, 16), np.uint8)
    mine, truth = np.zeros((2, 16, 16), np.int32)
    mine[2:10, 2:10] = 1
    truth[2:10, 4:12] = 1
    picture = outline(image, mine, truth, size=16)
    assert tuple(picture[5, 2]) == PREDICTED
    assert tuple(picture[5, 11]) == TRUE
    assert tuple(picture[2, 6]) == AGREED
    assert tuple(outline(image, mine, size=16)[2, 6]) == PREDICTED


def test_colours_depend_on_the_id_alone() -> None:
    labels = np.array([[0, 5], [900_000, 5]])
    picture = colour_labels(labels, size=2)
    assert picture[0, 0].max() == 0
    assert tuple(picture[1, 1]) == label_colour(5) and tuple(picture[1, 0]) == label_colour(900_000)
    assert len({label_colour(i) for i in range(1, 200)}) == 199


def test_sheet_holds_every_cell_and_caption() -> None:
    red = np.full((20, 30, 3), (255, 0, 0), np.uint8)
    blue = np.full((10, 40, 3), (0, 0, 255), np.uint8)
    page = image_grid([[red, None], [blue, red]], ["left", "right"], ["a caption", ["one", "two"]], heading="heading")
    assert (page == (255, 0, 0)).all(axis=2).sum() == 2 * 600
    assert (page == (0, 0, 255)).all(axis=2).sum() == 400
    assert (page.max(axis=2) < 80).sum() > 50  # dark letters
    bare = image_grid([[red]])
    assert bare.shape == (20 + 8 + 8 + 4, 30 + 16, 3)
    with pytest.raises(ValueError, match="picture"):
        image_grid([[None]])
    with pytest.raises(ValueError, match="captions"):
        image_grid([[red]], captions=["a", "b"])


def test_stacked_pictures_stand_on_paper_as_wide_as_the_widest() -> None:
    stack = stack_pictures([np.zeros((2, 5, 3), np.uint8), np.zeros((3, 4, 3), np.uint8)])
    assert stack.shape == (5, 5, 3) and (stack[2:, 4] == 255).all() and not stack[:, :4].any()


def test_long_captions_wrap() -> None:
    lines = wrap_text("three nuclei in a row that do not fit", 100, 14)
    assert len(lines) > 1 and " ".join(lines) == "three nuclei in a row that do not fit"
    assert wrap_text("a\nb", 100, 14) == ["a", "b"]


def test_save_png_is_read_back(tmp_path) -> None:
    from PIL import Image

    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    path = save_png(tmp_path / "new" / "a.png", picture)
    with Image.open(path) as image:
        assert (np.asarray(image) == picture).all()
    assert save_png(tmp_path / "b", picture).name == "b.png"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.png", "new"]
