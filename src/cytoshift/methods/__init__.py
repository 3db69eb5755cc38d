"""Every method by name. A new method is one file and one line here."""

from .adgan import ADGAN
from .base import Method

METHODS: dict[str, type[Method]] = {"adgan": ADGAN}

__all__ = ["METHODS", "Method"]
