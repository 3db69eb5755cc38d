"""Every method by name. A new method is one file and one line here."""

from .adgan import ADGAN
from .base import Method, Task
from .coral import CORAL
from .cyclegan import CycleGAN
from .cysgan import CySGAN
from .da_isc import DAISC
from .dann import DANN
from .feature import Feature
from .mask_cyclegan import MaskCycleGAN
from .mean_teacher import MeanTeacher
from .mmd import MMD
from .munit import MUNIT
from .randomised import Randomised
from .selftrain import SelfTrain
from .spcyclegan import SpCycleGAN
from .supervised import Supervised
from .two_stages import TWO_STAGES, TwoStages
from .udct import UDCT
from .ufdn import UFDN
from .vox2vox import Vox2Vox
from .ynet import YNet

METHODS: dict[str, type[Method]] = {
    kind.name: kind
    for kind in (
        ADGAN, CySGAN, Supervised, Randomised, CycleGAN, Feature, MMD, CORAL, DANN, YNet, MeanTeacher, MaskCycleGAN,
        DAISC, Vox2Vox, SelfTrain, UDCT, SpCycleGAN, MUNIT, UFDN,
    )
}  # fmt: skip
KNOWN: dict[str, type[Method] | TwoStages] = {**METHODS, **TWO_STAGES}  # what settings may name

__all__ = [
    "ADGAN", "KNOWN", "METHODS", "TWO_STAGES", "CySGAN", "CycleGAN", "MaskCycleGAN", "Method", "Supervised", "Task",
    "TwoStages",
]  # fmt: skip
