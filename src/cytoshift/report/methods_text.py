"""A methods paragraph to paste into a paper. All numbers are those of the run; unknown facts are left out."""

from collections.abc import Callable, Mapping
from typing import Any

from ..core.papers import cite
from .citations import REPRESENTATION, keys_of, title_of
from .training_sizes import TrainingSizes, drop_unreadable, training_sizes

Told = Mapping[str, Any]


def training_text(card: Told, settings: Told, facts: Told, sizes: Mapping[str, TrainingSizes], steps: int) -> str:
    """How a model was trained.

    card: as in model.json, as far as there is one. settings: as in run.yaml. facts: as in facts.json. sizes: that it
    learnt from. steps: as far as it came.
    """
    represent = settings.get("represent", {})
    version = facts.get("versions", {}).get("cytoshift", "")
    sentences = [
        f"A model was trained with {title_of(card)}{cite(keys_of(card, represent))} as implemented in Cytoshift"
        f"{f' {version}' if version else ''}.",
        sentence_or_nothing(images_text, facts.get("images", {})),
        sentence_or_nothing(normalisation_text, settings_group(settings, "data").get("normalise", {})),
        sentence_or_nothing(working_grid_text, facts.get("working", {}), settings.get("patch", ())),
        sentence_or_nothing(training_objects_text, settings, sizes),
        sentence_or_nothing(representation_text, represent),
        sentence_or_nothing(networks_text, facts),
        sentence_or_nothing(
            optimiser_text,
            settings.get("train", {}),
            steps,
            settings.get("seed"),
            settings_group(facts, "computed").get("precision", ""),
        ),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def segmentation_text(facts: Told) -> str:
    """How images were segmented, with the model and what it was trained on."""
    model = facts.get("model", {})
    card = drop_unreadable(model.get("card", {}))
    settings = card.get("settings", {})
    version = facts.get("versions", {}).get("cytoshift", "")
    trained = f" for {count_text(card['step'], 'step')}" if "step" in card else ""
    on = f" on {count_text(card['images'], 'image')}" if "images" in card else ""
    sentences = [
        sentence_or_nothing(images_text, facts.get("images", {})),
        f"They were segmented in Cytoshift{f' {version}' if version else ''} by a network of "
        f"{model.get('parameters', 0):,} parameters that had been trained with {title_of(card)}"
        f"{cite(keys_of(card, model.get('representation')))}{on}{trained}.",
        sentence_or_nothing(normalisation_text, model.get("normalisation", {})),
        f"The network works at a voxel size of {size_text(model.get('voxel', ()), model.get('unit', ''))}."
        if model.get("voxel")
        else "",
        sentence_or_nothing(training_objects_text, settings, training_sizes(card)),
        sentence_or_nothing(
            representation_text, model.get("representation", {}), facts.get("options", {}).get("min_size")
        ),
        sentence_or_nothing(options_text, facts.get("options", {})),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def sentence_or_nothing(sentence: Callable[..., str], *told: Any) -> str:
    """A sentence, or none where what it is made of is not what Cytoshift writes: the page does without it."""
    try:
        return sentence(*told)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
        return ""


def settings_group(tree: Told, group: str) -> Told:
    """A group of settings; empty where something else stands there."""
    inside = tree.get(group)
    return inside if isinstance(inside, Mapping) else {}


def images_text(understood: Told) -> str:
    each = understood.get("each", [])
    if not each:
        return ""
    shapes = {tuple(one["shape"]) for one in each}
    first = each[0]
    extent = f" of {' × '.join(map(str, first['shape']))} voxels" if len(shapes) == 1 else ""
    voxels = {(tuple(one["voxel"]), one["unit"]) for one in each}
    spacing = ""
    if len(voxels) == 1:
        spacing = f" at a voxel size of {size_text(first['voxel'], first['unit'])} ({', '.join(first['axes'])})"
    kind = "3D stack" if "z" in first["axes"] else "2D image"
    channels = f" with {first['channels']} channels" if first.get("channels", 1) > 1 else ""
    number = f"one {kind}" if understood["count"] == 1 else count_text(understood["count"], kind)
    return f"The data are {number}{channels}{extent}{spacing}."


def normalisation_text(recipe: Any) -> str:
    """How intensities were brought to the range of the networks."""
    one = recipe[0] if isinstance(recipe, list) and recipe else recipe
    if not isinstance(one, dict) or "kind" not in one:
        return ""
    over = "each image" if one.get("per", "image") == "image" else "the whole data set"
    low, high = one.get("low"), one.get("high")
    ways = {
        "percentile": f"the percentiles {low} and {high} of {over} became -1 and 1",
        "minmax": f"the least and the largest value of {over} became -1 and 1",
        "range": f"the intensities {low} and {high} became -1 and 1",
        "zscore": f"mean and standard deviation of {over} became 0 and 1",
    }
    if one["kind"] not in ways:
        return ""
    gamma = f", with a gamma of {one['gamma']:g}" if one.get("gamma", 1) != 1 else ""
    inverted = ", and were inverted, as objects are dark" if one.get("invert") else ""
    each = " (here of the first channel)" if isinstance(recipe, list) and len(recipe) > 1 else ""
    return f"Intensities were scaled such that {ways[one['kind']]}{gamma}{inverted}{each}."


def working_grid_text(grid: Told, patch: Any) -> str:
    if not grid:
        return ""
    cut = f" and see patches of {' × '.join(map(str, patch))} voxels in training" if patch else ""
    return f"Networks work at a voxel size of {size_text(grid.get('voxel', ()), grid.get('unit', ''))}{cut}."


def training_objects_text(settings: Told, sizes: Mapping[str, TrainingSizes]) -> str:
    """Whose objects taught the network."""
    sentences = []
    for name, one in sizes.items():
        low, middle, high = (f"{one.quantile(part):.3g}" for part in (0.05, 0.5, 0.95))
        whose = f"{one.of} of {name}" if name else one.of
        sentences.append(
            f"Objects of {whose} have a median equivalent diameter of {middle} {one.unit} (90 % within {low} to {high} "
            f"{one.unit})."
        )
    source = settings.get("source")
    if isinstance(source, dict):
        fraction = source["part"] if "part" in source else source.get("fraction", 1.0)  # old name
        some = f" {100 * fraction:g} % of" if fraction < 1 else ""
        sentences.insert(
            0, f"Labels were borrowed from{some} another set of images; those of the target were not used."
        )
    elif settings.get("method"):
        sentences.insert(0, "No annotation was used.")
    return " ".join(sentences)


def representation_text(represent: Told, min_size: float | None = None) -> str:
    """How instances were represented and decoded, with the thresholds; min_size: of a call of segment, for the
    model's own."""
    sentences = []
    for part in REPRESENTATION.validate_python(represent).parts():
        text = part.represent.describe()
        if text and min_size is None and part.represent.smallest_object:
            text += f"; objects with an equivalent diameter below {part.represent.smallest_object:.3g} were left out"
        sentences.append(f"{part.name.capitalize()}: {text}." if part.name and text else f"{text}." if text else "")
    return " ".join(sentences)


def options_text(options: Told) -> str:
    """What a call of segment asked for besides the model's own."""
    words = []
    if options.get("min_size") is not None:
        words.append(f"objects smaller than {options['min_size']:g} (in the unit of the voxel size) were left out")
    if options.get("tile"):
        words.append(
            f"images went through the network in tiles of at most {' × '.join(map(str, options['tile']))} voxels that "
            f"overlap by {options.get('overlap', 0)} voxels"
        )
    if options.get("mirror"):
        words.append("predictions were averaged over mirrored views")
    text = "; ".join(words)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def networks_text(facts: Told) -> str:
    players = facts.get("players", {})
    if not players:
        return ""
    each = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in players.items())
    return f"Trained parameters: {each}; the shipped network has {facts.get('network', 0):,}."


def optimiser_text(train: Told, steps: int, seed: Any, used: str) -> str:
    """used: the precision that was computed in, where that is known."""
    if not train:
        return ""
    name = {"adam": "Adam", "adamw": "AdamW"}.get(str(train.get("optimizer", "adam")), "Adam")
    betas = ", ".join(f"{b:g}" for b in train.get("betas", ()))
    fall = (
        f", falling from {100 * train['decay_from']:g} % of the training on" if train.get("decay_from", 1) < 1 else ""
    )
    mean = f"; the shipped weights are their running mean (decay {train['ema']:g})" if train.get("ema") else ""
    precision = {"bf16-mixed": " in bfloat16 mixed precision"}.get(used or str(train.get("precision")), "")
    return (
        f"Training took {count_text(steps, 'step')} with batches of {train.get('batch', 1)}{precision}, using {name} "
        f"(β = {betas}) with a learning rate of {train.get('lr', 0):g}{fall}{mean}; the seed was {seed}."
    )


def size_text(extents: Any, unit: str) -> str:
    """Extents of a voxel as "0.5 × 0.2 × 0.2 µm"."""
    return f"{' × '.join(f'{e:g}' for e in extents)} {unit.replace('um', 'µm')}"


def count_text(number: int, thing: str) -> str:
    """
    >>> count_text(1, "image"), count_text(1200, "step")
    ('1 image', '1,200 steps')
    """
    return f"{number:,} {thing}{'s' * (number != 1)}"
