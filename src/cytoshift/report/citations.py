"""What a model's card, or the facts of a training, say of the method: its title, and the papers to cite."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..core.papers import library
from ..represent import Representation, RepresentationSettings

REPRESENTATION: TypeAdapter[Representation] = TypeAdapter(RepresentationSettings)


def title_of(card: Mapping[str, Any]) -> str:
    """Of the method, for a sentence; "" where none is named."""
    return str(complete_card(card).get("title", card.get("method", "")))


def keys_of(card: Mapping[str, Any], represent: Any = None) -> tuple[str, ...]:
    """BibTeX keys of all papers to cite, those of the representation (as in model.json) included."""
    found = complete_card(card).get("papers", ())
    keys = [key for key in found if isinstance(key, str)] if isinstance(found, list | tuple) else []
    with suppress(ValidationError):  # of another version, or none
        keys += REPRESENTATION.validate_python(represent).papers
    return tuple(key for key in dict.fromkeys(keys) if key in library())


def complete_card(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """With title and papers. Cards of version 0.1 name the method alone, and only for these torch is loaded."""
    method = card.get("method")
    if "papers" in card or not isinstance(method, str):
        return card
    from ..methods import KNOWN

    known = KNOWN.get(method)
    return card if known is None else {**card, "title": known.title, "papers": known.papers}
