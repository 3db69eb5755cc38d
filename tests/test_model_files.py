"""A model folder: what is written is read, by anyone, and nothing in it is executed."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cytoshift.core.errors import UserError
from cytoshift.core.normalise import Normalisation, Scale
from cytoshift.model import Segmenter, fingerprint
from cytoshift.represent import Semantic, Ternary
from predicting import segmenter

GONE = "gone"


def edited(folder, **changes):
    """model.json with top-level keys replaced; GONE takes a key out."""
    path = folder / "model.json"
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value != GONE}))
    return folder


@pytest.mark.parametrize("ndim", [2, 3])
def test_what_is_saved_is_loaded(tmp_path, ndim):
    made = segmenter(
        ndim,
        size=(0.5, 0.25, 0.25)[-ndim:],
        unit="um",
        normalisation=Normalisation(kind="zscore", per="dataset", invert=True),
        scale=Scale(101.25, 1 / 3, (-5.0, 5.0)),
        representation=Ternary(edge=0.7, smallest=3.3),
        card={"method": "adgan", "images": 3, "settings": {"seed": 1}},
    )
    back = Segmenter.load(made.save(tmp_path / "model"))
    for name in ("spec", "normalisation", "scale", "voxel", "axes", "representation", "card"):
        assert getattr(back, name) == getattr(made, name)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, *(16,) * ndim)).astype(np.float32))
    assert torch.equal(back.network(x), made.network(x))
    assert not back.network.training and not any(p.requires_grad for p in back.network.parameters())


def test_the_json_says_everything_in_words(tmp_path):
    data = json.loads((segmenter().save(tmp_path / "model") / "model.json").read_text())
    assert list(data) == [
        "format", "cytoshift", "axes", "voxel", "normalisation", "scale", "network", "representation", "card",
    ]  # fmt: skip
    assert data["format"] == 1 and data["voxel"] == {"size": [1.0, 1.0], "unit": "px"}
    assert data["network"]["kind"] == "translator" and data["representation"]["kind"] == "ternary"


def test_saving_replaces_and_leaves_nothing_behind(tmp_path):
    folder = segmenter().save(tmp_path / "model")
    before = fingerprint(folder)
    assert fingerprint(segmenter().save(folder)) == before
    assert fingerprint(segmenter(representation=Semantic()).save(folder)) != before
    assert fingerprint(segmenter(card={"scores": "better"}).save(folder)) == before  # a card decides no instance
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]


def test_who_may_read_other_new_files_may_read_a_model(tmp_path):
    (tmp_path / "new").touch()
    folder = segmenter().save(tmp_path / "model")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "new", *folder.iterdir())}
    assert len(modes) == 1


def test_a_model_loads_where_no_method_can_be_imported(tmp_path):
    folder = segmenter().save(tmp_path / "model")
    code = (
        "import sys; sys.modules['cytoshift.methods'] = sys.modules['cytoshift.losses'] = None\n"
        f"from cytoshift.model import Segmenter; print(Segmenter.load({str(folder)!r}).axes)\n"
        "assert 'cytoshift.train' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "yx\n"


def test_a_damaged_size_asks_for_no_memory(tmp_path):
    folder = segmenter().save(tmp_path / "model")
    network = json.loads((folder / "model.json").read_text())["network"] | {"width": 16_000}
    with pytest.raises(UserError, match=r"has the shape .*, the network needs \(16000, "):
        Segmenter.load(edited(folder, network=network))


def says(folder, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        Segmenter.load(folder)
    assert "\n" not in str(caught.value)


def test_what_is_missing_or_damaged_is_said_in_one_sentence(tmp_path):
    says(tmp_path / "nowhere", "model folder .* does not exist; pass the folder 'model' of a run")
    run = tmp_path / "run"
    folder = segmenter().save(run / "model")
    says(run, "holds no model.json; pass .*run/model")
    text, weights = (folder / "model.json").read_text(), (folder / "weights.safetensors").read_bytes()

    (folder / "model.json").write_text(text[:-20])
    says(folder, "is damaged, it is no JSON")
    (folder / "model.json").write_bytes(b"\xff\xfe")
    says(folder, "is damaged, it is no JSON")
    (folder / "model.json").write_text("[1]")
    says(folder, "holds no mapping")
    (folder / "model.json").write_text(text)

    (folder / "weights.safetensors").write_bytes(weights[:-100])
    says(folder, "weights.safetensors is damaged")
    (folder / "weights.safetensors").write_bytes(b"\x80\x04pickle")
    says(folder, "weights.safetensors is damaged")
    (folder / "weights.safetensors").unlink()
    says(folder, "weights.safetensors is missing")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "has the format 2, but cytoshift .* reads 1; install the version that wrote it"),
        ({"format": GONE}, "has the format None"),
        ({"network": {"kind": "oracle"}}, "network.*'oracle'"),
        ({"representation": {"kind": "oracle"}}, "representation"),
        ({"representation": {"kind": "ternary", "colour": 1}}, "'representation.ternary.colour' is not a setting"),
        ({"voxel": {"size": [1, 1], "unit": "px", "shape": 3}}, "'voxel.shape' is not a setting"),
        ({"voxel": {"size": [1, -1], "unit": "px"}}, "voxel size"),
        ({"voxel": {"size": [1, 1], "unit": "ell"}}, "voxel unit 'ell'"),
        ({"voxel": {"size": [1, 1, 1], "unit": "px"}}, "contradicts itself: a 2D network, axes 'yx'"),
        ({"axes": "zyx"}, "contradicts itself"),
        ({"axes": "tyx"}, "axes = 'tyx'"),
        ({"card": GONE}, "'card' is missing"),
        ({"hook": "os.system"}, "'hook' is not a setting"),
        ({"scale": {"offset": 1, "gain": 1, "clip": [0, 1]}}, "contradicts itself: normalised per image, with"),
    ],
)
def test_json_that_does_not_fit_is_refused(tmp_path, changes, sentence):
    folder = edited(segmenter().save(tmp_path / "model"), **changes)
    says(folder, sentence)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    folder = segmenter().save(tmp_path / "model")
    path = folder / "weights.safetensors"
    weights = load_file(path)
    first, *rest = weights
    save_file({name: weights[name].clone() for name in rest}, path)
    says(folder, f"needs the weight '{first}', which is not there")
    save_file({name: value.clone() for name, value in weights.items()} | {"extra": torch.zeros(1)}, path)
    says(folder, "weight 'extra' belongs to no part")
    save_file({name: value.clone() for name, value in weights.items()} | {first: torch.zeros(1, 2)}, path)
    says(folder, rf"weight '{first}' has the shape \(1, 2\)")
    whole = {name: value.clone() for name, value in weights.items()} | {first: weights[first].to(torch.int32)}
    save_file(whole, path)
    says(folder, rf"weight '{first}' holds torch.int32")
