"""The network that segments, the same for all methods that borrow labels, so that a table compares methods alone."""

from typing import Any, ClassVar

from pydantic import Field, field_validator
from torch import Tensor, nn

from ..core.settings import Settings
from ..core.voxel import Voxel
from ..nets.unet import NormKind, UNetSpec
from .base import Method, Task, channels_picture, logits_picture


class Backbone(Settings):
    """Settings of the U-Net; its kernels and strides follow from the voxel size. Defaults: CySGAN's generator.

    widths: per level, finest first. stem: kernel of the first and last convolution. plus, non_local, flat: see
    nets.unet.UNetSpec; attention costs the square of the voxels at the bottleneck.
    transformer: layers of a vision transformer at the bottleneck, which makes a TransUNet of it; 0: none.
    norm: "group", "instance", or "batch". Batch norm takes the statistics of source and of target apart, each from its
    own patches, and a model is shipped with statistics that were measured anew over unlabelled images of the target.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128, 160)
    stem: int = 5
    plus: bool = True
    non_local: bool = True
    transformer: int = Field(0, ge=0, le=64)
    flat: bool = False
    norm: NormKind = "group"

    @field_validator("widths")
    @classmethod
    def in_groups(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if not widths or any(width < 8 or width % 8 for width in widths):
            raise ValueError(f"widths {widths} need to be multiples of 8, the groups of the norm")
        return widths

    def unet(self, voxel: Voxel, out: int, residual_image: bool = False, channels: int = 1) -> UNetSpec:
        """Image (B, channels, *S) -> (B, out, *S)."""
        return UNetSpec.for_voxel(
            voxel, channels, out, self.widths, stem=self.stem, plus=self.plus, non_local=self.non_local, flat=self.flat,
            transformer=self.transformer,
            residual_image=residual_image, norm=self.norm,
        )  # fmt: skip


LEAN = {"stem": 3, "plus": False, "non_local": False}  # for two cores

# CySGAN's training (its section III-E; 1e5 steps are the code's, the paper's 1e6 would take months there). All methods
# with labels share it, so that a table compares methods and not optimisers. What their own papers take: NucMM's
# supervised recipe SGD (0.02), the authors of Y-Net, MMD, CORAL and DANN Adam (1e-3).
PAPER = {
    "optimizer": "adamw", "lr": 2e-3, "betas": (0.9, 0.999), "weight_decay": 1e-4, "steps": 100_000, "warm_up": 1000,
    "decay_from": 0.0, "schedule": "cosine", "batch": 8, "precision": "32", "ema": 0.0,
}  # fmt: skip


class UNetMethod(Method):
    """A method that trains one U-Net `net` and ships it; a subclass adds its step, and what else learns.

    Parameters
    ----------
    options
        A `Backbone`, or settings that extend it.
    """

    least_depth: ClassVar = 2  # sections of a stack: no level of the U-Net needs more

    def __init__(self, task: Task, options: Any, seed: int = 0):
        super().__init__(task, options, seed)
        self.options, self.represent = options, task.represent
        self.net = self.exported_spec().build()

    def exported_spec(self) -> UNetSpec:
        spec: UNetSpec = self.options.unet(self.task.voxel, len(self.represent.channels), channels=self.task.channels)
        return spec

    def players(self) -> dict[str, nn.Module]:
        return {"net": self.net}

    def network(self) -> nn.Module:
        return self.net

    def labelled_pictures(self, name: str, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        """An image of that name, its segmentation and its truth, for the sheets; what is not known looks empty."""
        return {
            name: x, f"{name} segmented": logits_picture(self.represent, self.net(x)),
            f"{name} truth": channels_picture(self.represent, target.nan_to_num(nan=0.0)),
        }  # fmt: skip
