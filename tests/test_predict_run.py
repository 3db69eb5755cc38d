"""A raw volume to its instances: units, axes, sizes and wishes."""

import numpy as np
import pytest
import torch

from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation, Scale
from cytoshift.core.voxel import Voxel
from cytoshift.model import Segmenter
from cytoshift.predict.pipeline import Options, predict, segment
from cytoshift.represent import Semantic
from predicting import nuclei, segmenter, volume


class Record(list):
    """What a network has seen; copies of the network write into the same list."""

    def __deepcopy__(self, memo):
        return self


class Bright(torch.nn.Module):
    """A network by eye: what is brighter than the middle of the range is an object. Remembers what it saw."""

    multiple = 1

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(20.0), requires_grad=False)
        self.seen = Record()

    def forward(self, x):
        self.seen.append(x)
        return self.gain * x


def by_eye(ndim: int = 2, size: tuple[float, ...] | None = None, unit: str = "px", **changes) -> Segmenter:
    parts = {"network": Bright(), "representation": Semantic(threshold=0.5)} | changes
    return segmenter(ndim, size, unit, **parts)


def squares() -> np.ndarray:
    image = np.full((30, 40), 100, np.uint16)
    image[4:14, 4:14] = 60_000
    image[20:23, 30:33] = 60_000
    return image


def test_objects_come_out_on_the_grid_of_the_image():
    image = squares()
    labels = segment(by_eye(), volume(image))
    assert labels.dtype == np.int32 and ((labels > 0) == (image > 1000)).all()
    assert labels[5, 5] == 1 and labels[21, 31] == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_any_dtype_and_dark_objects(dtype):
    image = (squares() // 500).astype(dtype)
    assert segment(by_eye(), volume(image)).max() == 2
    dark = by_eye(normalisation=Normalisation(invert=True))
    assert ((segment(dark, volume(image.max() - image)) > 0) == (squares() > 1000)).all()


def test_the_network_sees_its_own_voxel_size():
    made = by_eye(size=(1.0, 1.0), unit="um")
    image = np.kron(squares(), np.ones((2, 4), np.uint16))  # pixels of 0.5 x 0.25 um
    labels = segment(made, volume(image, (0.5, 0.25), "um"))
    assert made.network.seen[0].shape[2:] == (30, 40)
    assert labels.shape == image.shape and labels.max() == 2
    assert ((labels > 0) == (image > 1000)).mean() > 0.99


def test_normalised_once_per_volume_and_not_per_tile():
    made = by_eye()
    image = np.linspace(0, 1000, 64 * 64).reshape(64, 64).astype(np.uint16)
    predict(made, volume(image), Options(tile=(16, 64), overlap=0))
    tiles = sorted(made.network.seen[-4:], key=torch.max)  # they may be predicted at the same time
    assert tiles[0].min() == -1 and tiles[0].max() < -0.4 and tiles[-1].max() == 1


def test_the_numbers_of_a_data_set_are_those_of_the_model():
    made = by_eye(normalisation=Normalisation(per="dataset"), scale=Scale(30_000.0, 1 / 30_000, (-1.0, 1.0)))
    assert segment(made, volume(squares() // 4)).max() == 0  # 15 000 is dark in that data set
    assert segment(made, volume(squares())).max() == 2


def test_small_ones_and_holes_in_physical_units():
    image = squares()
    image[8, 8] = 100
    of = lambda made, **wishes: segment(made, volume(image, (0.5, 0.5), "um"), **wishes)
    plain = by_eye(size=(0.5, 0.5), unit="um")
    assert of(plain).max() == 2 and of(plain)[8, 8] == 1
    assert of(plain, max_hole=0)[8, 8] == 0 and of(plain, max_hole=0.24)[8, 8] == 0 and of(plain, max_hole=0.25)[8, 8]
    assert of(plain, min_size=2.25).max() == 2 and of(plain, min_size=2.26).max() == 1  # 9 pixels are 2.25 um2
    sized = by_eye(size=(0.5, 0.5), unit="um", representation=Semantic(threshold=0.5, smallest=2.0))
    assert of(sized).max() == 1 and of(sized, min_size=0).max() == 2  # less than a disc of 2 um


def test_a_threshold_is_a_wish():
    image = np.full((20, 20), 100, np.uint16)
    image[5:15, 5:15] = 1000
    image[5:15, 15:] = 600
    made = by_eye(network=Bright(), representation=Semantic(threshold=0.3, split="components"))
    made.network.gain.fill_(1.0)
    assert (segment(made, volume(image)) > 0).sum() == 150
    assert (segment(made, volume(image), threshold=0.7) > 0).sum() == 100
    with pytest.raises(UserError, match="threshold"):
        segment(made, volume(image), threshold=1.5)
    with pytest.raises(UserError, match="'treshold' is not a setting"):
        segment(made, volume(image), treshold=0.5)


def test_the_table_and_how_sure():
    found = predict(by_eye(size=(0.5, 0.5), unit="um"), volume(squares(), (0.5, 0.5), "um"))
    assert found.table.size.tolist() == [25.0, 2.25] and found.table.voxel == Voxel((0.5, 0.5), "um")
    np.testing.assert_allclose(found.confidence, 1, atol=1e-3)
    assert set(found.seconds) == {"read", "network", "decode"}


def test_three_dimensions_are_the_same_path():
    image, truth = nuclei((24, 40, 40), 12, 1)
    found = predict(by_eye(3), volume(image, (1.0, 1.0, 1.0)), Options(tile=(16, 24, 24)))
    assert found.labels.shape == image.shape and found.table.columns().keys() >= {
        "area",
        "centroid-2",
        "surface_area",
        "intensity_mean",
    }
    assert ((found.labels > 0) == (truth > 0)).mean() > 0.9


@pytest.mark.parametrize("value", [0, 7])
def test_an_image_of_one_value_has_no_objects(value):
    assert segment(segmenter(), volume(np.full((20, 30), value, np.uint8))).max() == 0


def test_images_that_do_not_fit_the_model_are_refused():
    flat, deep = np.zeros((20, 20), np.uint8), np.zeros((8, 20, 20), np.uint8)
    with pytest.raises(UserError, match="works on 'yx' images, but cells has the axes 'zyx'; segment its sections"):
        segment(by_eye(2), volume(deep))
    with pytest.raises(UserError, match="works on 'zyx' images, but cells has the axes 'yx'; pass `axes`"):
        segment(by_eye(3), volume(flat))
    with pytest.raises(UserError, match="pass `voxel` 1,1 `unit` px"):
        segment(by_eye(2), volume(flat, (0.3, 0.3), "um"))
    with pytest.raises(UserError, match="pass its voxel size, as in `voxel` 1,1 `unit=um`"):
        segment(by_eye(2, (0.5, 0.5), "um"), volume(flat))
    spotted = flat.astype(np.float32)
    spotted[3, 3] = np.inf
    with pytest.raises(UserError, match="cells holds infinite values"):
        segment(by_eye(), volume(spotted))
    two = by_eye()
    two = by_eye(spec=two.spec.model_copy(update={"channels": 2}))
    with pytest.raises(UserError, match="images of 2 channels"):
        segment(two, volume(flat))


def test_a_network_without_numbers_is_noticed():
    made = by_eye()
    made.network.gain.fill_(float("nan"))
    with pytest.raises(UserError, match="NaN or infinite values; try `precision=32`"):
        segment(made, volume(squares()))
