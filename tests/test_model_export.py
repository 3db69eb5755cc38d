"""Exported models give what `cytoshift` gives in 32 bits, and a package passes the zoo's own checks."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from typer.testing import CliRunner

from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.json_files import read_json
from cytoshift.core.normalise import Normalisation, Scale, Scales, measure
from cytoshift.labels.overlap import overlap
from cytoshift.methods import METHODS
from cytoshift.methods.coral import CORAL
from cytoshift.metrics.matching import match
from cytoshift.model import Segmenter
from cytoshift.model.export import TOLERANCE, save_onnx
from cytoshift.model.zoo import citations, save_zoo
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict.network import Tiling, probabilities
from cytoshift.report.citations import keys_of
from cytoshift.represent import BC, BCD, Affinity, Classes, Part, RepresentationSettings, Semantic, Ternary
from predicting import nuclei, segmenter

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the zoo's libraries

EXACT = Tiling(precision="32")


def unet(ndim: int, channels: int = 1, out: int = 3, **changes) -> Segmenter:
    kernels, strides = ((3,) * ndim,) * 2, ((1,) * ndim, (2,) * ndim)
    spec = UNetSpec(ndim=ndim, channels=channels, out=out, widths=(8, 8), kernels=kernels, strides=strides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = spec.build().eval().requires_grad_(False)
    return segmenter(ndim, **{"spec": spec, "network": network, "representation": BCD()} | changes)


TWO = (Normalisation(gamma=0.5), Normalisation(gamma=0.7))
MODELS = {
    "percentile": unet(2, size=(0.5, 0.25), unit="um", card={"method": "cysgan", "example": "/home/ada/secret.tif"}),
    "range in 3d": unet(3, normalisation=Normalisation(kind="range", low=100, high=2000, invert=True)),
    "sigmas": segmenter(2, normalisation=Normalisation(kind="zscore", invert=True)),
    "data set": segmenter(
        2, normalisation=Normalisation(per="dataset", gamma=0.5), scale=Scale(900.0, 1 / 700, (-1.0, 1.0), 0.5)
    ),
    "extremes": unet(2, normalisation=Normalisation(kind="minmax", invert=True, gamma=2.0)),
    "two channels": unet(
        2, channels=2, out=2, normalisation=TWO, representation=Classes(classes={"a": Semantic(), "b": Semantic()})
    ),
    "two channels of a data set": unet(
        2, channels=2, out=1, normalisation=Normalisation(per="dataset"), representation=Semantic(),
        scale=Scales((Scale(900.0, 1 / 700, (-1.0, 1.0)), Scale(800.0, 1 / 900, (-1.0, 1.0)))),
    ),
}  # fmt: skip


def raw(made: Segmenter) -> np.ndarray:
    """(C, *S) uint16."""
    shape = (48, 64) if made.spec.ndim == 2 else (16, 24, 32)
    return np.stack([nuclei(shape, 20, seed)[0] for seed in range(made.spec.channels)])


def expected(made: Segmenter, image: np.ndarray) -> np.ndarray:
    scale = made.scale or measure(made.normalisation, [image])
    one = made.spec.channels == 1
    return probabilities(made, scale(image[0] if one else image), EXACT)


def from_onnx(path: Path, image: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Channels (K, *S) by onnxruntime and what the file says alone, and what it says."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    scale = json.loads(about["scale"])
    normal = []
    for i, recipe in enumerate(map(Normalisation.model_validate, json.loads(about["normalisation"]))):
        offset, gain, *clip = (
            scale[i] if scale else vars(recipe.model_copy(update={"gamma": 1.0}).measure([image[i]])).values()
        )
        clip = clip[0] if isinstance(clip[0], tuple) else clip
        normal.append(np.clip((image[i] - np.float32(offset)) * np.float32(gain), *clip[:2]))
    return session.run(None, {"image": np.stack(normal).astype(np.float32)[None]})[0][0], about


@pytest.mark.parametrize("name", MODELS)
def test_onnx_gives_the_channels_that_are_decoded(tmp_path, name):
    made = MODELS[name]
    image = raw(made)
    found, about = from_onnx(save_onnx(made, tmp_path / "a.onnx"), image)
    assert json.loads(about["voxel"])["size"] == list(made.voxel.size)
    assert json.loads(about["representation"])["kind"] == made.representation.kind
    np.testing.assert_allclose(found, expected(made, image), atol=TOLERANCE)
    assert found.shape[0] == len(json.loads(about["channels"]))


FACES = {2: ((1, 0), (0, 1)), 3: ((1, 0, 0), (0, 1, 0), (0, 0, 1))}
KINDS = ("semantic", "ternary", "bc", "bcd", "affinity", "classes")
EVERY = [(kind, ndim) for kind in KINDS for ndim in (2, 3)]


def of_kind(kind: str, ndim: int) -> Segmenter:
    """A model of one representation."""
    few = {"voxels": 4, "seed_voxels": 1}
    represent = {
        "semantic": Semantic(), "ternary": Ternary(), "bc": BC(**few), "bcd": BCD(**few),
        "affinity": Affinity(offsets=FACES[ndim], **few),
        "classes": Classes(classes={"a": Semantic(), "b": BCD(**few)}),
    }[kind]  # fmt: skip
    return unet(ndim, out=len(represent.channels), representation=represent)


def labels_of(represent, channels: np.ndarray, voxel) -> list[np.ndarray]:
    """Of each class."""
    parts = represent.parts() if isinstance(represent, Classes) else [Part("", represent, slice(None))]
    return [part.represent.decode(channels[part.channels], voxel) for part in parts]


def same_labels(made: Segmenter, described: str, found: np.ndarray, wanted: np.ndarray) -> None:
    """Decoded by what a file says of the representation, the objects are those of the model itself."""
    again = TypeAdapter(RepresentationSettings).validate_json(described)
    assert again == made.representation
    for one, other in zip(labels_of(again, found, made.voxel), labels_of(made.representation, wanted, made.voxel)):
        assert one.max() == other.max() == 0 or match(overlap(other, one), 0.9).f1 >= 0.99


@pytest.mark.parametrize(("kind", "ndim"), EVERY)
def test_every_representation_comes_back_from_onnx_with_its_labels(tmp_path, kind, ndim):
    made = of_kind(kind, ndim)
    image = raw(made)
    found, about = from_onnx(save_onnx(made, tmp_path / "a.onnx"), image)
    wanted = expected(made, image)
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE)
    same_labels(made, about["representation"], found, wanted)


@pytest.mark.slow  # the zoo's libraries take seconds for each
@pytest.mark.parametrize(("kind", "ndim"), EVERY)
def test_every_representation_comes_back_from_the_zoo_with_its_labels(tmp_path, kind, ndim):
    core, spec = pytest.importorskip("bioimageio.core"), pytest.importorskip("bioimageio.spec")
    made = of_kind(kind, ndim)
    image = raw(made)
    about = spec.load_description(save_zoo(made, tmp_path / "package", "Nuclei", [], "MIT"), perform_io_checks=True)
    assert about.validation_summary.status == "valid-format", about.validation_summary.format()
    found = core.predict(model=about, inputs={"image": image[None].astype(np.float32)}).members["channels"].data.values
    wanted = expected(made, image)
    np.testing.assert_allclose(found[0], wanted, atol=TOLERANCE)
    told = json.loads((tmp_path / "package" / "cytoshift.json").read_text())
    same_labels(made, json.dumps(told["representation"]), found[0], wanted)


@pytest.mark.slow  # the zoo's own test runs a model at many sizes
@pytest.mark.parametrize("name", MODELS)
def test_every_package_passes_the_test_of_the_zoo(tmp_path, name):
    core = pytest.importorskip("bioimageio.core")
    package = save_zoo(MODELS[name], tmp_path / "package", "Nuclei", [], "MIT")
    assert core.test_model(package).status == "passed"


@pytest.mark.parametrize("name", ["percentile", "range in 3d", "sigmas", "data set", "two channels"])
def test_a_package_passes_the_checks_of_the_zoo_and_does_the_same(tmp_path, name):
    core, spec = pytest.importorskip("bioimageio.core"), pytest.importorskip("bioimageio.spec")
    made = MODELS[name]
    target = tmp_path / ("package.zip" if made.spec.ndim == 3 else "package")
    save_zoo(made, target, "Nuclei", ["Ada Example"], "CC-BY-4.0")
    about = spec.load_description(target, perform_io_checks=True)
    assert about.validation_summary.status == "valid-format", about.validation_summary.format()
    assert about.license == "CC-BY-4.0" and about.cite and about.authors[0].name == "Ada Example"
    space = [axis for axis in about.inputs[0].axes if axis.type == "space"]
    assert tuple(axis.scale for axis in space) == made.voxel.size
    image = raw(made)
    found = core.predict(model=about, inputs={"image": image[None].astype(np.float32)}).members["channels"].data.values
    np.testing.assert_allclose(found[0], expected(made, image), atol=TOLERANCE)
    if target.is_dir():
        text = "".join(path.read_text() for path in target.iterdir() if path.suffix in (".md", ".yaml", ".json"))
        assert "secret" not in text
        (again := tmp_path / "model").mkdir()
        for file in ("model.json", "weights.safetensors"):
            (again / file).write_bytes((target / file).read_bytes())
        assert Segmenter.load(again).representation == made.representation


def run(*words) -> str:
    result = CliRunner().invoke(app, ["export", *map(str, words)])
    if isinstance(result.exception, UserError):
        return str(result.exception)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_verb_says_what_it_wrote_and_what_does_not_fit(tmp_path):
    folder = MODELS["percentile"].save(tmp_path / "model")
    out = tmp_path / "nuclei.onnx"
    said = run(folder, "--to", "onnx", "-o", out)
    assert "images 'yx' of 0.5 x 0.25 um per voxel, from 8 x 8 voxels on in steps of 2, 2" in said and out.is_file()
    assert "exists; choose another -o or pass --overwrite" in run(folder, "--to", "onnx", "-o", out)
    assert "nuclei.onnx" in run(folder, "--to", "onnx", "-o", out, "--overwrite")
    assert "the name of an ONNX file ends in .onnx" in run(folder, "--to", "onnx", "-o", tmp_path / "nuclei.zip")
    assert "the name of a package ends in .zip, or has no ending" in run(
        folder, "--to", "bioimageio", "-o", tmp_path / "nuclei.rdf"
    )


def test_what_is_not_installed_is_named_in_one_sentence(tmp_path, monkeypatch):
    folder = MODELS["percentile"].save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = run(folder, "--to", "onnx", "-o", tmp_path / "a.onnx")
    assert said == "this export needs onnx, which is not installed; pip install 'cytoshift[export]'"
    assert not (tmp_path / "a.onnx").exists()


def test_licences_and_channels_that_the_zoo_has_no_words_for(tmp_path):
    pytest.importorskip("bioimageio.core")
    with pytest.raises(UserError, match=r"bioimageio\.spec refuses 'license"):
        save_zoo(MODELS["percentile"], tmp_path / "a", "Nuclei", [], "none at all")
    mixed = unet(2, channels=2, out=3, normalisation=(Normalisation(), Normalisation(high=99.0)))
    with pytest.raises(UserError, match="export it with `to=onnx`"):
        save_zoo(mixed, tmp_path / "b", "Nuclei", [], "MIT")
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_package_cites_the_papers_of_every_method(method):
    """Seven methods of twelve were exported without theirs."""
    spec = pytest.importorskip("bioimageio.spec.model.v0_5")
    cited = citations({"papers": list(method.papers)})
    assert len(cited) == len(method.papers) + 1
    for one in cited:
        spec.CiteEntry(**one)


def test_a_model_of_the_first_version_is_cited_by_its_method(tmp_path):
    pytest.importorskip("bioimageio.core")
    unet(2, card={"method": CORAL.name}).save(tmp_path / "model")
    assert keys_of(read_json(tmp_path / "model" / "model.json")["card"]) == CORAL.papers
    out = tmp_path / "package"
    done = CliRunner().invoke(app, ["export", str(tmp_path / "model"), "--to", "bioimageio", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "Sun and Saenko, 2016" in (out / "rdf.yaml").read_text()
