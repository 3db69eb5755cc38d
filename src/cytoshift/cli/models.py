"""cytoshift models: the models of the package, and how far to trust each."""

from typing import Annotated, Any

import typer

from . import inputs
from .console import conclude


def models(
    name: Annotated[str | None, typer.Argument(help="One of them; default: all.")] = None, as_json: inputs.Json = False
) -> None:
    """List the models of the package: training data, scores, and where they fail."""
    from ..core.errors import UserError
    from ..model.segmenter import read_model_file
    from ..model.shipped import FOLDER, model_names

    if name is not None and name not in model_names():
        raise UserError(
            f"there is no model '{name}' in the package, there are {', '.join(model_names())}; pass one of them"
        )
    cards: dict[str, Any] = {}
    for one in [name] if name else model_names():
        content = read_model_file(FOLDER / one)
        cards[one] = {"axes": content.axes, "diameter": content.diameter} | content.card
    words = "\n\n".join(card_text(one, card) for one, card in cards.items())
    conclude(as_json, words, verb="models", models=cards)


def card_text(name: str, card: dict[str, Any]) -> str:
    """A card as text."""
    lines = [f"{name}: {card.get('summary', '')}"]
    for key in ("learnt from", "training", "size"):
        if key in card:
            lines.append(f"  {key}: {card[key]}")
    for key, value in card.get("scores", {}).items():
        lines.append(f"  {key}: {', '.join(f'{what} {number:.3f}' for what, number in value.items())}")
    lines += [f"  fails: {sentence}" for sentence in card.get("failures", [])]
    lines.append(f"  next: cytoshift segment {name} IMAGES -o labels")
    return "\n".join(lines)
