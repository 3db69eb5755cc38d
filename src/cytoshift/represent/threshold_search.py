"""The thresholds of a decoder, one after the other to the value that some score likes best."""

from collections.abc import Callable
from typing import Any

from ..core.errors import UserError
from ..core.settings import parse

SEARCH_ROUNDS = 2  # over all thresholds; the second finds next to nothing
LEAST_GAIN = 1e-3  # of the score, or a threshold stays


def search_thresholds(here: Any, score: Callable[[Any], float], better: float = LEAST_GAIN) -> tuple[Any, float]:
    """Each tunable threshold of a representation in turn to its best value, and the score that is reached.

    better: what a change has to gain.
    """
    reached = score(here)
    for _ in range(SEARCH_ROUNDS):
        for name, values in here.tunable_thresholds.items():
            for value in values:
                candidate = with_value(here, name, value)
                if candidate is not None and (found := score(candidate)) > reached + better:
                    here, reached = candidate, found
    return here, reached


def with_value(represent: Any, name: str, value: float) -> Any | None:
    """None where the value is the one it has, or does not fit the others."""
    settings = settings_of(represent)
    if settings[name] == value:
        return None
    try:
        return parse(type(represent), settings | {name: value}, name)
    except UserError:
        return None


def settings_of(represent: Any) -> dict[str, Any]:
    return dict(represent.model_dump())
