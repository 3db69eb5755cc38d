"""Networks as papers and their authors' code have them, for comparison."""

from cytoshift.nets.discriminator import DiscriminatorSpec
from cytoshift.nets.unet import UNetSpec


def cysgan_generator(voxel, **rest):
    """At 2.5 x 0.325 x 0.325 um with the strides of its configuration."""
    return UNetSpec.for_voxel(voxel, 1, 4, (32, 64, 96, 128, 160), **{"plus": True, "non_local": True} | rest)


def cysgan_discriminator(channels=1):
    """In 3D for slices further apart than their pixels: five layers, a norm in each."""
    flat, cube, unit = (1, 3, 3), (3, 3, 3), (1, 1, 1)
    return DiscriminatorSpec(
        ndim=3, channels=channels, widths=(64, 64, 128, 128, 256), kernels=((1, 5, 5), flat, flat, cube, cube),
        strides=((1, 2, 2), (1, 2, 2), (1, 2, 2), (2, 2, 2), unit), last=cube, norm_first=True,
    )  # fmt: skip


def patchgan(ndim, width=64):
    """CycleGAN's, whose scores see 70 pixels: kernels of 4, strides 2 2 2 1, zeros around, no norm at first."""
    four, two, unit = (4,) * ndim, (2,) * ndim, (1,) * ndim
    return DiscriminatorSpec(
        ndim=ndim, channels=1, widths=tuple(width * 2**i for i in range(4)), kernels=(four,) * 4,
        strides=(two, two, two, unit), last=four, padding="zeros",
    )  # fmt: skip
