"""Labels <-> channels: encode, activate, loss and decode of one representation stand side by side."""

from typing import Annotated

from pydantic import Field

from .affinity import Affinity
from .base import Pair, Part, Representation
from .bcd import BC, BCD
from .classes import Classes, Single
from .semantic import Semantic
from .ternary import Ternary

# One more representation is one more name here, and in `Single`; a settings file tells them apart by `kind`.
RepresentationSettings = Annotated[Semantic | Ternary | BC | BCD | Affinity | Classes, Field(discriminator="kind")]

__all__ = [
    "BC", "BCD", "Affinity", "Classes", "Pair", "Part", "Representation", "RepresentationSettings", "Semantic",
    "Single", "Ternary",
]  # fmt: skip
