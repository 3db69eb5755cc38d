"""The network that segments, the same for all methods that borrow labels, so that a table compares methods alone."""

from pydantic import field_validator

from ..core.settings import Settings
from ..core.voxel import Voxel
from ..nets.unet import UNetSpec


class Backbone(Settings):
    """Settings of the U-Net; its kernels and strides follow from the voxel size. Defaults: CySGAN's generator.

    widths: per level, finest first. stem: kernel of the first and last convolution. plus, non_local, flat: see
    nets.unet.UNetSpec; attention costs the square of the voxels at the bottleneck.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128, 160)
    stem: int = 5
    plus: bool = True
    non_local: bool = True
    flat: bool = False

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
            residual_image=residual_image,
        )  # fmt: skip


LEAN = {"stem": 3, "plus": False, "non_local": False}  # for two cores
