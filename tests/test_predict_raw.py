"""`cytoshift segment --raw`: what the network drew, as HDF5 that CySGAN's usage page can read."""

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from cytoshift import bcd_watershed
from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import image_source, open_volumes
from cytoshift.data.write import write_image
from cytoshift.labels.ids import relabel
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict import pipeline
from cytoshift.predict.outputs import Outputs
from cytoshift.predict.raw import round_to_eight_bits
from cytoshift.represent import BCD, Ternary
from predicting import nuclei, segmenter, volume

HALF = Voxel((0.5, 0.5), "um")


def segment(*words) -> str:
    result = CliRunner().invoke(app, ["segment", *map(str, words)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def read(path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["vol0"][:]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A 2D U-Net that draws foreground, contour and distance, as CySGAN ships it."""
    spec = UNetSpec.for_voxel(HALF, 1, 3, widths=(4, 8), stem=3, groups=2, plus=False, non_local=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = spec.build().eval().requires_grad_(False)
    made = segmenter(size=HALF.size, unit="um", spec=spec, network=network, representation=BCD())
    return made.save(tmp_path_factory.mktemp("run") / "model")


@pytest.fixture
def images(tmp_path):
    for n in range(3):
        write_image(tmp_path / "in" / f"field{n}.tif", nuclei((40, 56), 8, n)[0], HALF, "yx")
    return tmp_path / "in"


class Bright(nn.Module):
    """Takes what is bright for an object, what is dim for a contour and how bright it is for the distance."""

    multiple = 1

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(8.0))

    def forward(self, x):
        return torch.cat([self.gain * (x + 0.4), -self.gain * x, 3 * x], dim=1)


def hills() -> np.ndarray:
    """Two hills that meet above the threshold of the foreground and below that of seeds, and one alone; (Z, Y, X)."""
    grid = np.stack(np.meshgrid(np.arange(10), np.arange(40), np.arange(56), indexing="ij"), -1) * (2.0, 1.0, 1.0)
    hill = lambda *centre: np.exp(-((grid - centre) ** 2).sum(-1) / 60)
    return (hill(8, 13, 14) + 0.9 * hill(11, 15, 31.5) + 0.95 * hill(10, 30, 46)).astype(np.float32)


def test_what_is_written_decodes_to_the_labels_that_are_written():
    """The usage page's lines on the raw prediction of a resampled stack, exactly."""
    made = segmenter(3, (2.0, 1.5, 1.5), network=Bright(), representation=BCD(seed_voxels=8, voxels=16),
                     normalisation=Normalisation(kind="minmax"))  # fmt: skip
    found = pipeline.predict(made, volume(hills(), (2.0, 1.0, 1.0)), pipeline.Options(max_hole=0), keep=True)
    assert found.raw.names == ("image", "foreground", "contour", "distance")
    pred = found.raw.channels
    assert pred.shape == (4, 10, 40, 56) and pred.dtype == np.uint8
    again = bcd_watershed(pred[1:], seed_thres=8, thres_small=16)
    assert found.labels.max() == 3 and (relabel(again) == found.labels).all()
    assert pipeline.predict(made, volume(hills(), (2.0, 1.0, 1.0))).raw is None


def test_ranges():
    image = np.array([[-1, 0, 1]], np.float32)
    channels = np.array([[[0, 0.5, 1]], [[0, 0.2, 1]], [[-1, 0, 1]]], np.float32)
    drawn = round_to_eight_bits(image, [(-1, 1)], channels, BCD()).channels
    assert drawn.tolist() == [[[0, 128, 255]], [[0, 128, 255]], [[0, 51, 255]], [[0, 128, 255]]]
    assert round_to_eight_bits(2 * image, [(-4, 4)], channels[:1], Ternary()).channels.tolist() == [
        [[64, 128, 191]],
        [[0, 128, 255]],
    ]


def test_one_image_to_one_file(model, images, tmp_path):
    path = tmp_path / "raw" / "pred.h5"
    said = segment(model, images / "field0.tif", "-o", tmp_path / "a.tif", "--raw", path, "--precision", "32")
    assert f"raw predictions in {path}" in said
    (photograph,) = open_volumes(images / "field0.tif")
    loaded = segmenter_of(model)
    expected = pipeline.predict(loaded, photograph, pipeline.Options(precision="32"), keep=True).raw.channels
    scaled = Normalisation().measure([photograph.load()])(photograph.load())
    assert (read(path) == expected).all()
    assert np.abs(expected[0] / 127.5 - 1 - scaled).max() <= 0.51 / 127.5
    with h5py.File(path) as file:
        stored = file["vol0"]
        assert stored.chunks == (1, 40, 56) and stored.compression == "gzip"
        assert list(stored.attrs["channels"]) == ["image", "foreground", "contour", "distance"]
        assert stored.attrs["element_size_um"].tolist() == [0.5, 0.5]
    assert sorted(file.name for file in path.parent.iterdir()) == ["pred.h5"]
    with pytest.raises(UserError, match=r"pred.h5 already exists; pass --overwrite to replace it or another place"):
        segment(model, images / "field0.tif", "-o", tmp_path / "b.tif", "--raw", path)
    before = read(path)
    segment(model, images / "field1.tif", "-o", tmp_path / "a.tif", "--raw", path, "--overwrite")
    assert (read(path) != before).any()


def segmenter_of(model):
    from cytoshift.model import Segmenter

    return Segmenter.load(model)


@pytest.mark.parametrize("unit", ["um", "px"])
def test_it_is_read_back_with_axes_and_voxel_size(tmp_path, unit):
    voxel = Voxel((2.0, 0.5, 0.5), unit)
    made = segmenter(3, voxel.size, unit).save(tmp_path / "model")  # one channel, core and edge
    write_image(tmp_path / "s.tif", nuclei((6, 24, 28), 8, 0)[0], voxel, "zyx")
    words = ("--voxel", "2,0.5,0.5", "--unit", unit)
    segment(made, tmp_path / "s.tif", *words, "-o", tmp_path / "l.tif", "--raw", tmp_path / "s.h5")
    (back,) = open_volumes(image_source(f"{tmp_path / 's.h5'}::vol0", channel=1))
    assert back.axes == "zyx" and back.voxel == voxel
    assert (back.load() == read(tmp_path / "s.h5")[1]).all() and len(read(tmp_path / "s.h5")) == 2
    command = ["info", f"{tmp_path / 's.h5'}::vol0", "--channel", "1", "-o", str(tmp_path / "t.png")]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert result.exit_code == 0 and f"2 x 0.5 x 0.5 {unit}" in result.output and "6 x 24 x 28" in result.output


def test_a_folder_for_many_and_finished_is_what_has_all(model, images, tmp_path, monkeypatch):
    out, raw = tmp_path / "out", tmp_path / "raw"
    write, calls = Outputs.write, []
    monkeypatch.setattr(Outputs, "write", lambda *args: (calls.append(args), write(*args))[1])
    segment(model, images, "-o", out)
    labels = {path.name: path.read_bytes() for path in out.glob("*.tif")}
    assert "had been finished" not in segment(model, images, "-o", out, "--raw", raw)  # none has its raw file
    assert len(calls) == 6 and sorted(path.name for path in raw.iterdir()) == [f"field{n}.h5" for n in range(3)]
    assert labels == {path.name: path.read_bytes() for path in out.glob("*.tif")}
    whole = (raw / "field1.h5").read_bytes()
    (raw / "field1.h5").unlink()
    (out / "field2.tif").unlink()  # as of a call that was killed before it wrote the labels
    assert "; 1 had been finished before" in segment(model, images, "-o", out, "--raw", raw)
    assert (raw / "field1.h5").read_bytes() == whole and len(calls) == 8
    assert "; 3 had been finished before" in segment(model, images, "-o", out, "--raw", raw)
    assert "; 3 had been finished before" in segment(model, images, "-o", out) and len(calls) == 8
    with pytest.raises(UserError, match=r"field0.h5 already exists; pass --overwrite to replace it or another place"):
        segment(model, images, "-o", tmp_path / "other", "--raw", raw, "--threshold", "0.5")
    assert not (tmp_path / "other").exists()
    segment(model, images, "-o", tmp_path / "other", "--raw", raw, "--threshold", "0.5", "--overwrite")
    assert (raw / "field1.h5").read_bytes() != whole and (read(raw / "field1.h5")[0] > 0).any()


@pytest.mark.parametrize(
    ("which", "out", "raw", "sentence"),
    [
        (
            "in",
            "out",
            "x.h5",
            "raw predictions of 3 images do not fit into the one file .*x.h5; pass a folder to --raw",
        ),
        (
            "in/field0.tif",
            "a.tif",
            "x.tif",
            "raw predictions are HDF5, .*x.tif is neither .* ends in .h5 or a folder",
        ),
        (
            "in/field0.tif",
            "a.tif",
            "taken",
            "raw predictions are HDF5, .*taken is neither such a file nor a folder",
        ),
        ("in/field0.tif", "a.tif", "mine.h5", "mine.h5 already exists and holds no raw predictions; pass another"),
        ("in", "out", "out", "out is for labels only; pass another folder to --raw, such as .*raw"),
        ("in/field0.tif", "out", "out/x.h5", "out is for labels only; pass another folder"),
    ],
)
def test_wishes_that_cannot_be_met(model, images, tmp_path, which, out, raw, sentence):
    (tmp_path / "taken").write_text("")
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["vol0"] = np.ones((4, 4), np.uint8)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=sentence) as caught:
        segment(model, tmp_path / which, "-o", tmp_path / out, "--raw", tmp_path / raw, "--overwrite")
    assert "\n" not in str(caught.value) and {path.name for path in tmp_path.iterdir()} == before
