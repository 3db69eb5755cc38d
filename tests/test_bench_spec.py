"""What a spec may say, and the sentence for what it may not; the specs of the project."""

from pathlib import Path

import pytest

from cytoshift.bench.dataset_spec import Files, Phantoms
from cytoshift.bench.method_spec import ClassicalBaseline, TrainedMethod
from cytoshift.bench.spec import Spec, choose, read_spec
from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse

SPECS = sorted((Path(__file__).parents[1] / "benchmarks" / "specs").glob("*.yaml"))
GOOD = {
    "title": "A test",
    "datasets": [{"name": "a", "images": "i", "labels": "l"}, {"name": "b", "preset": "sparse-2d"}],
    "methods": [{"name": "floor", "kind": "classical"}, {"name": "gan", "kind": "train", "settings": {"seed": 3}}],
}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_specs_of_the_project_are_specs_and_name_no_machine(path):
    spec = read_spec(path)
    assert "--page" not in path.read_text() or any(isinstance(method, ClassicalBaseline) for method in spec.methods)
    for dataset in spec.datasets:
        for paths in (dataset.images, dataset.labels, dataset.train) if isinstance(dataset, Files) else ():
            for one in [paths] if isinstance(paths, str) else paths or []:
                assert not Path(one).is_absolute() and ".." not in Path(one).parts


def test_a_spec_takes_from_another_what_it_does_not_say():
    one, other = (read_spec(path) for path in SPECS if path.stem in ("mito", "mito-reverse"))
    assert {method.name for method in one.methods} == {method.name for method in other.methods}
    assert one.title != other.title and one.datasets != other.datasets


def test_entries_are_told_apart_by_what_they_say():
    spec = parse(Spec, GOOD)
    assert [type(entry) for entry in (*spec.datasets, *spec.methods)] == [
        Files,
        Phantoms,
        ClassicalBaseline,
        TrainedMethod,
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"datasets": [{"name": "a", "images": "i", "labels": "l", "chanel": 1}]},
            "'datasets.0.files.chanel' is not a",
        ),
        ({"datasets": [{"name": "a", "images": "i"}]}, "'datasets.0.files.labels' is missing; set"),
        ({"datasets": []}, "datasets = []: list should have at least 1 item"),
        ({"methods": [{"name": "c"}]}, "'methods.0' does not say its kind; set methods.0.kind=..."),
        ({"methods": [{"name": "c", "kind": "classical", "sgma": 1}]}, "there are kind, name, saddle, sigma, smallest"),
        ({"methods": [{"name": "a", "kind": "classical"}]}, "the name 'a' is used twice"),
        ({"methods": [{"name": "../a", "kind": "classical"}]}, "a name becomes a folder"),
        ({"methods": [{"name": "c", "kind": "train", "method": "unet"}]}, "there are adgan, cysgan"),
    ],
)
def test_a_wrong_spec_is_one_sentence(change, sentence):
    with pytest.raises(UserError, match=r"^spec\.yaml: ") as caught:
        parse(Spec, GOOD | change, "spec.yaml")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("only", "left"),
    [([], "ab floor gan"), (["a"], "a floor gan"), (["gan", "b"], "b gan"), (["floor"], "ab floor")],
)
def test_only_keeps_what_it_names(only, left):
    datasets, methods = choose(parse(Spec, GOOD), only)
    assert f"{''.join(d.name for d in datasets)} {' '.join(m.name for m in methods)}" == left


def test_only_does_not_swallow_a_slip():
    with pytest.raises(UserError, match=r"`only=flor` is not in the spec, which has a, b, floor, gan"):
        choose(parse(Spec, GOOD), ["flor"])


def test_a_factor_of_the_density_is_in_the_settings_of_its_row_and_of_no_other():
    from cytoshift.bench.cell import with_density
    from cytoshift.synth import PRIORS
    from cytoshift.train.run_settings import Run

    plain, dense = ({"name": "a", "kind": "train"} | more for more in ({}, {"density_factor": 2.0}))
    one, other = (parse(TrainedMethod, row) for row in (plain, dense))
    assert "density_factor" not in one.model_dump() and other.model_dump()["density_factor"] == 2.0
    prior = PRIORS["hacat"].model_copy(update={"density": (0.001, 0.002)})
    settings = {"method": "adgan", "data": {"images": {"paths": "a"}}, "patch": (64, 64)}
    run = parse(Run, settings | {"represent": {"kind": "semantic"}}).model_copy(update={"prior": prior})
    assert with_density(run, one) is run
    assert with_density(run, other).prior.density == (0.002, 0.004)
    with pytest.raises(UserError, match="'a' has a density_factor, but adgan draws no masks of one class"):
        with_density(run.model_copy(update={"prior": None}), other)
