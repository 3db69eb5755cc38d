"""First weights of adversarial networks, as the authors of the papers draw them; for `module.apply`."""

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def initialise_normal(module: nn.Module) -> None:
    """N(0, 0.02) for every convolution (CycleGAN's code, and the discriminators of AD-GAN's and MUNIT's)."""
    if isinstance(module, CONVOLUTIONS):
        nn.init.normal_(module.weight, 0.0, 0.02)
        zero_bias(module.bias)


def initialise_kaiming(module: nn.Module) -> None:
    """Kaiming over the fan-in (encoders and decoders of AD-GAN's and MUNIT's code)."""
    if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in")
        zero_bias(module.bias)


def start_smooth(module: nn.Module) -> None:
    """Even kernels start as linear interpolation of a pointwise layer, so that no checkerboard is there to unlearn."""
    if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
        taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
        ndim = module.weight.ndim - 2
        kernel = torch.einsum("a,b->ab", taps, taps) if ndim == 2 else torch.einsum("a,b,c->abc", taps, taps, taps)
        nn.init.normal_(module.weight, 0.0, (2 / module.in_channels) ** 0.5)
        with torch.no_grad():
            point = module.weight.flatten(2)[:, :, 0].view(*module.weight.shape[:2], *[1] * ndim)
            module.weight.copy_(point * kernel)


def zero_output(module: nn.Module) -> None:
    """The last layer of a residual translator: it starts at no change."""
    for weight in module.parameters(recurse=False):
        nn.init.zeros_(weight)


def zero_bias(bias: Tensor | None) -> None:
    if bias is not None:
        nn.init.zeros_(bias)
