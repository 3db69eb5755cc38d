"""Every method by name. A new method is one file and one line here."""

from .adgan import ADGAN
from .base import Method, Task
from .cyclegan import CycleGAN
from .cysgan import CySGAN
from .feature import Feature
from .supervised import Supervised

METHODS: dict[str, type[Method]] = {
    "adgan": ADGAN,
    "cysgan": CySGAN,
    "supervised": Supervised,
    "cyclegan": CycleGAN,
    "feature": Feature,
}

__all__ = ["METHODS", "Method", "Task"]
