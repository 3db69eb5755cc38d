"""`cytoshift segment` and `evaluate` with a model of two classes: labels and rows of each, pairs and their counts."""

import csv

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation, Scale, Scales
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import open_labels
from cytoshift.data.write import write_labels
from cytoshift.model import Segmenter
from cytoshift.nets.network_spec import UNetSpec
from cytoshift.represent import Classes, Semantic

HALF = Voxel((0.5, 0.5), "um")
PAIR = Classes(
    classes={"golgi": Semantic(smallest=1.0), "nuclei": Semantic(smallest=2.0)}, belongs={"golgi": "nuclei"}, reach=2.0
)


def copying() -> tuple[UNetSpec, torch.nn.Module]:
    """A network whose logits are its two channels, eight times as large."""
    spec = UNetSpec(ndim=2, channels=2, out=2, widths=(8,), kernels=((1, 1),), strides=((1, 1),), stem=1, blocks=1)
    return spec, spec.build().eval().requires_grad_(False)


class Copy(torch.nn.Module):
    """Stands in for the network: what it draws is what it sees."""

    multiple = (1, 1)

    def __init__(self, inside: torch.nn.Module):
        super().__init__()
        self.inside = inside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 8 * x


def made(**changes) -> Segmenter:
    spec, network = copying()
    parts = {
        "spec": spec, "network": network, "normalisation": Normalisation(kind="minmax"), "scale": None, "voxel": HALF,
        "axes": "yx", "representation": PAIR, "card": {},
    }  # fmt: skip
    return Segmenter(**(parts | changes))


def run(*words) -> str:
    result = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def rows(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def copied(monkeypatch):
    load = Segmenter.load.__func__

    def loaded(cls, folder, device="cpu"):
        found = load(cls, folder, device)
        return Segmenter(**{**vars(found), "network": Copy(found.network)})

    monkeypatch.setattr(Segmenter, "load", classmethod(loaded))


@pytest.fixture
def field(tmp_path):
    """Three nuclei; a Golgi in the first, one beside the second, one far from all."""
    golgi, nuclei = np.zeros((2, 48, 64), np.uint8)
    nuclei[4:16, 4:16], nuclei[20:32, 20:32], nuclei[30:44, 44:60] = 1, 2, 3
    golgi[6:10, 6:10], golgi[24:28, 34:38], golgi[4:8, 50:54] = 1, 2, 3
    image = np.stack([100 + 900 * (nuclei > 0), 50 + 400 * (golgi > 0)]).astype(np.uint16)
    (tmp_path / "in").mkdir()
    for name in "ab":
        metadata = {"axes": "CYX", "unit": "micron"}
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", image, imagej=True, resolution=(2, 2), metadata=metadata)
        for kind, labels in (("golgi", golgi), ("nuclei", nuclei)):
            write_labels(tmp_path / "truth" / kind / f"{name}.tif", labels, HALF, "yx")
    return tmp_path


def test_a_folder_gets_labels_of_each_class_tables_and_pairs(field, copied):
    model = made().save(field / "model")
    words = ("segment", model, field / "in", "-o", field / "out", "--channel", "1,0", "--precision", "32")
    said = run(*words)
    assert sorted(path.name for path in (field / "out").iterdir()) == ["golgi", "nuclei", "report"]
    for kind in ("golgi", "nuclei"):
        assert [volume.name for volume in open_labels(field / "out" / kind)] == ["a", "b"]
        scores = run("evaluate", field / "truth" / kind, field / "out" / kind)
        assert "6 true, 6 predicted" in scores and "1.0000" in scores
    table, pairs = rows(field / "out" / "report" / "objects.csv"), rows(field / "out" / "report" / "pairs.csv")
    assert [row["class"] for row in table[:6]] == ["golgi"] * 3 + ["nuclei"] * 3 and len(table) == 12
    found = {(row["image"], row["id"]): (row["other_id"], row["distance_um"]) for row in pairs}
    nuclei = open_labels(field / "out" / "nuclei")[0].load()
    golgi = open_labels(field / "out" / "golgi")[0].load()
    first, second, far = (str(golgi[place]) for place in ((7, 7), (25, 35), (5, 51)))
    assert found["a", first] == (str(nuclei[5, 5]), "0")
    assert found["a", second] == (str(nuclei[25, 25]), "1")  # two empty pixels of half a micrometre
    assert found["a", far][0] == "0"
    assert "4 of 6 golgi belong to one of 6 nuclei: 2 nuclei with none, 4 with one, 0 with more" in said
    assert "golgi: 6 objects" in said and "nuclei: 6 objects" in said
    assert (field / "out" / "report" / "overview.png").exists()
    again = run(*words)
    assert "2 had been finished before" in again
    (field / "out" / "golgi" / "b.tif").unlink()
    assert "1 had been finished before" in run(*words)
    assert "2 of 6 golgi belong" in run(*words, "--reach", "0.5", "--overwrite")


def test_one_file_gets_a_name_for_each_class(field, copied):
    model = made().save(field / "model")
    words = ("segment", model, field / "in" / "a.tif", "--channel", "1,0", "-o")
    run(*words, field / "one" / "cells.tif")
    names = {path.name for path in (field / "one").iterdir()}
    assert names == {f"cells.{rest}" for rest in (
        "golgi.tif", "nuclei.tif", "objects.csv", "pairs.csv", "overview.png", "report", "report.html")}  # fmt: skip
    with pytest.raises(UserError, match=r"cells.golgi.tif already exists"):
        run(*words, field / "one" / "cells.tif")
    run(*words, field / "two" / "cells.ome.tif")
    assert (field / "two" / "cells.nuclei.ome.tif").exists()


def test_a_model_of_one_class_writes_as_before(field, copied):
    spec = UNetSpec(ndim=2, out=1, widths=(8,), kernels=((1, 1),), strides=((1, 1),), stem=1)
    one = made(spec=spec, network=spec.build(), representation=Semantic(smallest=2.0)).save(field / "model")
    run("segment", one, field / "in" / "a.tif", "--channel", "0", "-o", field / "out")
    assert sorted(path.name for path in (field / "out").iterdir()) == ["a.tif", "report"]
    assert "class" not in rows(field / "out" / "report" / "objects.csv")[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("--channel", "0"),
            r"takes images of 2 channels, a was opened with 1; pass --channel with 2 numbers .* as 0,1",
        ),
        (("--channel", "0,1,2"), "has no channel 2"),
        ((), "needs 2 channels, but none are named; .* as --channel 0,1"),
    ],
)
def test_wrong_channels_are_one_sentence(field, copied, words, sentence):
    model = made().save(field / "model")
    with pytest.raises(UserError, match=sentence):
        run("segment", model, field / "in" / "a.tif", "-o", field / "out", *words)


def test_reach_needs_classes_of_which_one_belongs_to_another(field, copied):
    apart = PAIR.model_copy(update={"belongs": {}})
    model = made(representation=apart).save(field / "model")
    with pytest.raises(UserError, match="no objects of this model belong to others"):
        run("segment", model, field / "in" / "a.tif", "-o", field / "o", "--channel", "1,0", "--reach", "1")
    run("segment", model, field / "in" / "a.tif", "-o", field / "o", "--channel", "1,0")
    assert not (field / "o" / "report" / "pairs.csv").exists()


def test_numbers_of_a_data_set_are_kept_for_each_channel(tmp_path):
    scale = Scales((Scale(1.0, 2.0, (-1.0, 1.0)), Scale(3.0, 0.5, (-1.0, 1.0), gamma=0.5)))
    per = (Normalisation(low=95, high=99.8, per="dataset"), Normalisation(low=95, high=98, per="dataset"))
    loaded = Segmenter.load(made(normalisation=per, scale=scale).save(tmp_path / "model"))
    assert loaded.scale == scale and loaded.normalisation == per and loaded.representation == PAIR
