"""Every method by name. A new method is one file and one line here."""

from .adgan import ADGAN
from .base import Method, Task
from .coral import CORAL
from .cyclegan import CycleGAN
from .cysgan import CySGAN
from .dann import DANN
from .feature import Feature
from .mask_cyclegan import MaskCycleGAN
from .mean_teacher import MeanTeacher
from .mmd import MMD
from .randomised import Randomised
from .supervised import Supervised
from .vox2vox import Vox2Vox
from .ynet import YNet

METHODS: dict[str, type[Method]] = {
    "adgan": ADGAN,
    "cysgan": CySGAN,
    "supervised": Supervised,
    "randomised": Randomised,
    "cyclegan": CycleGAN,
    "feature": Feature,
    "mmd": MMD,
    "coral": CORAL,
    "dann": DANN,
    "ynet": YNet,
    "mean_teacher": MeanTeacher,
    "mask_cyclegan": MaskCycleGAN,
    "vox2vox": Vox2Vox,
}

__all__ = ["METHODS", "Method", "Task"]
