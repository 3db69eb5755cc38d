import pytest
import yaml
from pydantic import TypeAdapter

from cytoshift.core.errors import UserError
from cytoshift.core.settings import parse
from cytoshift.synth import PRIORS, RESIZE, Count, Eccentricity, Elastic, Fibres, Lognormal, Prior, SemiMajor

GOOD = {"diameter": [8, 12], "density": [0.001, 0.002]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"diameter": [0, 5]}, "diameter"),
        ({"diameter": [9, 5]}, "low <= high"),
        ({"diameter": 9}, "semi_major"),
        ({"diameter": {"mean": 3}}, "semi_major"),
        ({"diameter": {"median": -1}}, "greater than 0"),
        ({"diameter": {"median": 9, "clip": [1.5, 2]}}, "multiples of the median"),
        ({"diameter": {"semi_major": [0, 4]}}, "low <= high"),
        ({"diameter": ["a", 4]}, "number"),
        ({"density": [-1, 1]}, "low <= high"),
        ({"density": "many"}, "objects"),
        ({"density": {"objects": [3, 2], "patch": [9, 9]}}, "low <= high"),
        ({"density": {"objects": [1, 2]}}, "patch"),
        ({"elongation": [0.5, 1]}, "long axis / short axis"),
        ({"elongation": {"eccentricity": [0.2, 1.0]}}, "< 1"),
        ({"irregularity": 0.5}, "less than or equal"),
        ({"clustering": 1.5}, "less than or equal"),
        ({"border": "wrap"}, "window"),
        ({"elastic": {"amplitude": 3, "wavelength": 9}}, "folds"),
        ({"tries": 0}, "greater than or equal"),
        ({"colour": "red"}, "not a setting"),
    ],
)
def test_wrong_settings_are_one_sentence(change, words):
    with pytest.raises(UserError, match=words) as error:
        parse(Prior, GOOD | change, "prior")
    assert str(error.value).startswith("prior: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "prior",
    [
        *PRIORS.values(),
        Prior(diameter=Lognormal(median=9, sigma=0.1), density=(0.1, 0.2), elastic=Elastic(amplitude=1, wavelength=9)),
        Prior(
            diameter=(3, 4), density=Count(objects=(0, 4), patch=(9, 9)), fibres=Fibres(spacing=20, spread=2), unit="um"
        ),
        Prior(diameter=SemiMajor(semi_major=(3, 4)), density=(0, 1), elongation=Eccentricity()),
    ],
)
def test_a_prior_survives_yaml_and_json(prior):
    assert parse(Prior, yaml.safe_load(yaml.safe_dump(prior.model_dump(mode="json")))) == prior
    assert Prior.model_validate_json(prior.model_dump_json()) == prior


def test_a_prior_has_a_json_schema():
    schema = TypeAdapter(Prior).json_schema()
    assert {"Lognormal", "SemiMajor", "Count", "Eccentricity"} <= set(schema["$defs"])


def test_table_9_is_complete():
    assert len(PRIORS) == 10 and set(RESIZE) == set(PRIORS)
    assert PRIORS["hacat"].diameter == SemiMajor(semi_major=(20, 30))
    assert PRIORS["fluo-n2dl-hela-ins"].density.objects == (10, 40)
    assert PRIORS["scaffold-a549"].density == Count(objects=(50, 100), patch=(64, 128, 128))
    assert {name for name, ratio in RESIZE.items() if ratio == 0.5} == {
        "scaffold-a549",
        "fluo-n3dh-ce",
        "fluo-n3dh-sim",
    }
