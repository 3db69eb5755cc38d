"""Labels <-> channels: encode, activate, loss and decode of one representation stand side by side."""

from typing import Annotated

from pydantic import Field

from .affinity import Affinity
from .base import Representation
from .bcd import BC, BCD
from .semantic import Semantic
from .ternary import Ternary

# One more representation is one more name here; a settings file tells them apart by `kind`.
RepresentationSettings = Annotated[Semantic | Ternary | BC | BCD | Affinity, Field(discriminator="kind")]

__all__ = ["BC", "BCD", "Affinity", "Representation", "RepresentationSettings", "Semantic", "Ternary"]
