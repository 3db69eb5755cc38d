"""What the named preset of a method, or of a recipe of two stages, fixes."""

from typing import Any

from ..core.errors import UserError
from ..core.settings import parse
from ..methods import KNOWN, METHODS, TWO_STAGES
from ..train.run_settings import Train

PRESET_KEYS = ("options", "train", "patch")
EVEN = 0.5  # threshold of masks that labels have taught (SS-Seg, section III, and the supervised networks beside it)


def presets(method: str, name: str, far: bool = False) -> dict[str, Any]:
    """What the named preset fixes: options, train and, where it says so, patch.

    Of a recipe of two stages the options of both networks, and `translator_train`: what the preset of the first one
    has otherwise, for as many steps. far: the modalities are far apart.
    """
    changed = modality_gap_settings(method, name) if far else {}
    recipe = TWO_STAGES.get(method)
    found = choose_preset(method if recipe is None else recipe.segmenter.name, name)
    if recipe is None:
        return found | {"options": found["options"] | changed}
    if recipe.translator is None:
        return found | {"options": {"translate": {}, "segment": found["options"]}}
    own = choose_preset(recipe.translator.name, name.replace("paper", recipe.paper))
    second, first = (parse(Train, one["train"], "a preset").model_dump(mode="json") for one in (found, own))
    differs = {key: value for key, value in first.items() if key != "steps" and value != second[key]}
    options = {"translate": own["options"] | changed, "segment": found["options"]}
    return found | {"options": options, "translator_train": differs}


def modality_gap_settings(method: str, name: str) -> dict[str, Any]:
    """What changes in a preset where the modalities are far apart; nothing in methods that translate no image."""
    known = TWO_STAGES[method].translator if method in TWO_STAGES else METHODS.get(method)
    return known.modality_gap.get(name, {}) if known else {}


def choose_preset(method: str, name: str) -> dict[str, Any]:
    """The named preset; "tuned" is CySGAN's alone, its rivals then take the paper's."""
    if method not in METHODS:
        raise UserError(f"there is no method '{method}', there are {', '.join(KNOWN)}; pass one of them")
    known = METHODS[method].presets
    found = known.get(name) or known.get(name.replace("tuned", "paper"))
    if found is None:
        raise UserError(f"{method} has no preset '{name}', it has {', '.join(known)}; pass one of them as `preset`")
    return {key: dict(found[key]) if key != "patch" else found[key] for key in PRESET_KEYS if key in found}


def fixed_settings(method: str, name: str) -> dict[str, Any]:
    """What a preset fixes; of a recipe of two stages that of both its networks, and what patches the first one sees."""
    recipe = TWO_STAGES.get(method)
    if recipe is None:
        return METHODS[method].presets[name]
    assert recipe.translator is not None, "it draws"
    first = recipe.translator.presets[name.replace("paper", recipe.paper)]
    seen = {key: first[key] for key in ("normalise", "augment", "patch") if key in first}
    return presets(method, name) | seen | {"threshold": EVEN}
