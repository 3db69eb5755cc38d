"""Forward and backward pass of the laptop's networks, in 32 bits and in bfloat16, on one thread:

    pytest benchmarks/bench_nets.py --benchmark-only

"torch" is the same U-Net with torch's own interpolation and padding, which under autocast go through 32 bits.
"""

import pytest
import torch
import torch.nn.functional as F

from cytoshift.core.voxel import Voxel
from cytoshift.nets import nd, unet
from cytoshift.nets.discriminator import DiscriminatorSpec
from cytoshift.nets.resnet import ResNetSpec

SHAPES = {"2d": (2, 1, 128, 128), "3d": (1, 1, 32, 64, 64)}
NETS = {
    "unet": lambda voxel: unet.UNetSpec.for_voxel(voxel, 1, 4, (16, 32, 64), stem=3),
    "resnet": lambda voxel: ResNetSpec.for_voxel(voxel, width=16, blocks=6),
    "discriminator": lambda voxel: DiscriminatorSpec.for_voxel(voxel, 1, (16, 32, 64)),
}


def plain_pad(self: nd.Pad, x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, [w for width in reversed(self.widths) for w in (width, width)], mode=self.mode)


def plain_finer(x: torch.Tensor, stride: nd.Axes, shape: tuple[int, ...]) -> torch.Tensor:
    mode = {2: "bilinear", 3: "trilinear"}[len(shape)]
    return F.interpolate(x, size=tuple(shape), mode=mode, align_corners=True)


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("dims", SHAPES)
@pytest.mark.parametrize("name", [*NETS, "unet, torch"])
def bench_forward_and_backward(benchmark, monkeypatch, name: str, dims: str, precision: str) -> None:
    if name == "unet, torch":
        monkeypatch.setattr(nd.Pad, "forward", plain_pad)
        monkeypatch.setattr(unet, "upsample_linear", plain_finer)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = SHAPES[dims]
    net = NETS[name.partition(",")[0]](Voxel((1.0,) * (len(shape) - 2))).build()
    x = torch.rand(shape) * 2 - 1

    def step() -> None:
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = net(x)
        out.float().square().mean().backward()

    benchmark.pedantic(step, rounds=5, warmup_rounds=1)
