"""Networks with folded norms give what the trained ones give, for every network that is shipped."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cytoshift.core.voxel import Voxel
from cytoshift.nets.chain import ChainSpec, LookupSpec
from cytoshift.nets.folded import (
    Head,
    fold,
    has_frozen_norms,
    is_supported,
    pad_border,
    round_transposed_weights,
    round_weights,
)
from cytoshift.nets.nd import LAST, conv, upsample_linear
from cytoshift.nets.network_spec import TranslatorSpec
from cytoshift.nets.norms import MeasuredNorms, with_statistics
from cytoshift.nets.resnet import ResNetSpec
from cytoshift.nets.unet import UNetSpec

FLAT = {"kernels": ((1, 3, 3), (3, 3, 3)), "strides": ((1, 1, 1), (1, 2, 2))}
CUBE = {"kernels": ((3, 3, 3), (3, 3, 3)), "strides": ((1, 1, 1), (2, 2, 2))}
SQUARE = {"kernels": ((3, 3),) * 3, "strides": ((1, 1), (2, 2), (2, 2))}


def unet(**rest) -> UNetSpec:
    return UNetSpec(**{"ndim": 2, "out": 3, "widths": (8, 8, 16), "groups": 4} | SQUARE | rest)


def resnet(**rest) -> ResNetSpec:
    return ResNetSpec(**{"ndim": 2, "width": 4, "blocks": 1} | SQUARE | rest)


def translator(**rest) -> TranslatorSpec:
    return TranslatorSpec(**{"ndim": 2, "width": 8, "blocks": 1, "stem": 3, "hidden": 8} | rest)


SPECS = {
    "unet": unet(),
    "unet with all it can have": unet(plus=True, non_local=True, transformer=2, residual_image=True, stem=3, blocks=2),
    "unet without gates, zeros around": unet(se=0, padding="zeros", channels=2),
    "transunet 3d": unet(ndim=3, widths=(8, 64), transformer=2, norm="instance", **CUBE),
    "unet 3d": unet(ndim=3, widths=(8, 8), **CUBE),
    "unet anisotropic": unet(ndim=3, widths=(8, 16), flat=True, plus=True, out=1, **FLAT),
    "translator": translator(frozen=True),
    "translator that learns": translator(adaptive_encoder=False, up=4),
    "translator of styles": translator(adaptive_encoder=False, style=8, frozen=True),
    "translator 3d": translator(ndim=3, frozen=True),
    "resnet": resnet(frozen=True, residual_image=True),
    "resnet of a mask": resnet(mask=True, up="linear"),
    "resnet 3d": ResNetSpec.for_voxel(Voxel((2.0, 1.0, 1.0)), width=4, blocks=1, up=4),
    "chain": ChainSpec(first=resnet(), segment=unet()),
    "chain of a table": ChainSpec(
        first=LookupSpec(ndim=2, knots_in=(-1.0, 0.0, 1.0), knots_out=(-1.0, 0.5, 1.0)), segment=unet()
    ),
}  # fmt: skip


def trained(spec) -> nn.Module:
    """With weights, affine numbers and statistics that are those of no fresh network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = spec.build()
        for name, value in network.state_dict().items():
            if name.endswith(("norm.weight", ".var", "running_var")):
                value.uniform_(0.5, 1.5)
            elif name.endswith(("norm.bias", ".mean", "running_mean")):
                value.normal_(0, 0.3)
    return network.eval().requires_grad_(False)


def image(spec) -> torch.Tensor:
    side = (16, 24) if spec.ndim == 2 else (8, 12, 16)
    return torch.randn(2, spec.channels, *side, generator=torch.Generator().manual_seed(1)).clamp(-0.9, 0.9)


@pytest.mark.parametrize("name", SPECS)
def test_folded_norms_give_what_the_network_gives(name):
    spec = SPECS[name]
    network, x = trained(spec), image(spec)
    measured = MeasuredNorms(network)
    with torch.inference_mode():
        measured.network(x.flip(-1) * 0.8)  # statistics of another image
        known = with_statistics(network, measured.statistics)
        wanted = known(x)
        assert is_supported(network) and has_frozen_norms(network) == (not measured.statistics)
        folded = fold(network, torch.float32, measured.statistics)(x)
        assert folded.is_contiguous() and folded.dtype == torch.float32
        torch.testing.assert_close(folded, wanted, atol=2e-4, rtol=2e-4)
        with torch.autocast("cpu", torch.bfloat16):
            cast = known(x).float()
        short = fold(network, torch.bfloat16, measured.statistics)(x)
        error = (short.sigmoid() - wanted.sigmoid()).abs().mean()
        assert error < 1.2 * (cast.sigmoid() - wanted.sigmoid()).abs().mean() + 1e-3


def test_statistics_of_another_network_are_refused():
    network = trained(unet())
    some = {"stem.norm": (torch.zeros(4), torch.ones(4))}
    with pytest.raises(ValueError, match=r"statistics of 1 norms, down.0.0.norm is not among both"):
        fold(network, torch.float32, some)
    with pytest.raises(ValueError, match=r"statistics of 1 norms, stem.norm is not among both"):
        fold(trained(translator(frozen=True)), torch.float32, some)
    with pytest.raises(TypeError, match="Linear is not a network of a model folder"):
        fold(nn.Linear(1, 1), torch.float32)


@pytest.mark.parametrize("mode", ["replicate", "reflect"])
@pytest.mark.parametrize("widths", [(1, 2), (0, 1), (0, 2, 1), (2, 2, 2)])
def test_longer_as_torch_pads(mode, widths):
    x = torch.randn(2, 3, *(5, 4, 6)[: len(widths)])
    wanted = F.pad(x, [w for width in reversed(widths) for w in (width, width)], mode=mode)
    assert torch.equal(pad_border(x, widths, mode), wanted)


def test_finer_as_between_the_levels_of_a_network():
    for stride in ((1, 2, 2), (2, 2, 2), (2, 1, 2), (2, 2)):
        for odd in (0, 1):
            x = torch.randn(2, 3, *(4, 6, 5)[: len(stride)])
            shape = tuple(n * s - odd * (s > 1) for n, s in zip(x.shape[2:], stride))
            wanted = upsample_linear(x, stride, shape)
            with torch.inference_mode():  # another way for channels that lie side by side
                found = upsample_linear(x.contiguous(memory_format=LAST[len(stride)]), stride, shape)
            assert torch.equal(found, wanted)


@pytest.mark.parametrize("out", [1, 3])
@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
@pytest.mark.parametrize("kernel", [(3, 3, 5), (5, 7), (3, 1)])
def test_the_last_layer_is_the_convolution(out, padding, kernel):
    """With one output its taps along x are outputs, added up afterwards."""
    layer = conv(8, out, kernel, padding=padding, bias=True)
    space = torch.channels_last_3d if len(kernel) == 3 else torch.channels_last
    x = torch.randn(2, 8, *(6, 7, 14)[-len(kernel) :], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for dtype, limit in ((torch.float32, 1e-5), (torch.bfloat16, 3e-2)):
            made = Head(layer)
            made.settle(dtype)
            assert made.taps == (kernel[-1] if out == 1 else 1)
            found = made(x.to(dtype, memory_format=space))
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, layer(x), atol=limit, rtol=limit)


def test_rounding_keeps_the_sums_over_the_taps():
    weight = torch.randn(5, 3, 27, generator=torch.Generator().manual_seed(0))
    made = round_weights(weight)
    assert torch.equal(made, made.bfloat16().float())
    nearest = weight.bfloat16().float()
    lost = lambda found: (found - weight).sum(-1).abs().mean()
    assert lost(made) < 0.1 * lost(nearest)
    assert (made - weight).abs().max() < 3 * (nearest - weight).abs().max()


def test_taps_of_a_transposed_convolution_are_rounded_voxel_by_voxel():
    weight = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    made = round_transposed_weights(weight, (2, 2))
    lost = lambda found: F.conv_transpose2d(torch.ones(1, 4, 8, 8), found - weight, stride=2, padding=1)[
        ..., 2:-2, 2:-2
    ]
    assert lost(made).abs().mean() < 0.2 * lost(weight.bfloat16().float()).abs().mean()
    assert torch.equal(round_transposed_weights(weight[..., :3, :3], (2, 2)), weight[..., :3, :3].bfloat16().float())
