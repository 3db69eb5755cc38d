"""Networks: their sizes are those of the papers, their geometry is that of the image, their specs are all they need."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter, ValidationError
from torch import nn

from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.model import Segmenter
from cytoshift.nets.adain import AdaIN
from cytoshift.nets.discriminator import DiscriminatorSpec
from cytoshift.nets.nd import CONV, Pad, PadBorder, add_residual_image, conv, upsample_linear
from cytoshift.nets.network_spec import NetSpec, TranslatorSpec, UNetSpec, stages
from cytoshift.nets.resnet import ResNetSpec
from cytoshift.predict.pipeline import segment
from cytoshift.represent import Ternary
from paper_networks import cysgan_discriminator, cysgan_generator, patchgan
from predicting import nuclei, volume

EXPANSION = Voxel((2.5, 0.325, 0.325), "um")
FLAT, SLAB = Voxel((1.0, 1.0)), Voxel((2.0, 1.0, 1.0))


def unet(voxel=FLAT, channels=1, out=2, widths=(4, 8, 8), **rest):
    torch.manual_seed(0)
    return UNetSpec.for_voxel(voxel, channels, out, widths, **{"groups": 2, "stem": 3} | rest).build()


def resnet(voxel=FLAT, **rest):
    torch.manual_seed(0)
    return ResNetSpec.for_voxel(voxel, **{"width": 4, "blocks": 1, "stem": 3} | rest).build()


def parameters(net):
    return sum(weight.numel() for weight in net.parameters())


def picture(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


# --- the papers' numbers


def test_the_stages_of_the_papers_voxel_are_those_that_its_configuration_sets():
    flat, cube, half = (1, 3, 3), (3, 3, 3), (1, 2, 2)
    kernels, strides = stages(EXPANSION, 5)
    assert kernels == (flat, flat, flat, cube, cube)
    assert strides == ((1, 1, 1), half, half, (2, 2, 2), (2, 2, 2))


@pytest.mark.parametrize(
    ("size", "strides"),
    [
        ((1.0, 1.0), [(1, 1), (2, 2), (2, 2)]),
        ((1.9, 1.0, 1.0), [(1, 1, 1), (2, 2, 2), (2, 2, 2)]),
        ((0.6, 0.3, 0.3), [(1, 1, 1), (1, 2, 2), (2, 2, 2)]),  # twice as long waits, whatever the last bits say
        ((0.5, 2.6, 2.6), [(1, 1, 1), (2, 1, 1), (2, 1, 1)]),
    ],
)
def test_an_axis_waits_until_the_others_have_caught_up(size, strides):
    kernels, got = stages(Voxel(size), 3)
    assert list(got) == strides
    assert [tuple(3 if s == 2 else 1 for s in level) for level in got[1:]] == list(kernels[1:])


def test_the_sizes_are_those_of_the_reference():
    with torch.device("meta"):
        assert parameters(cysgan_generator(EXPANSION, flat=True).build()) == 3_649_012
        # At the two coarse levels the blocks convolve along z too: three of the nine, with two convolutions each.
        more = sum(2 * 2 * 9 * width**2 for width in (128, 160, 128))
        assert more == 5_750_260 - 3_649_012
        assert parameters(cysgan_generator(EXPANSION).build()) == 5_750_260
        assert parameters(cysgan_discriminator().build()) == 1_446_209
        assert parameters(cysgan_discriminator(3).build()) == 1_449_409
        # CycleGAN's generator has 11.37 M with biases before its norms, which do nothing.
        assert parameters(ResNetSpec.for_voxel(FLAT).build()) == 11_360_385


def test_discriminators_score_as_many_patches_as_the_papers():
    narrow = cysgan_discriminator().model_copy(update={"widths": (2,) * 5})
    assert narrow.build()(picture(1, 1, 17, 129, 129)).shape == (1, 1, 9, 9, 9)
    assert patchgan(2, width=2).build()(picture(1, 1, 256, 256)).shape == (1, 1, 30, 30)


def test_a_score_of_patchgan_sees_seventy_pixels():
    discriminator = patchgan(2, width=2).build()
    linear = nn.Sequential(
        *[layer for layer in (*discriminator.body, discriminator.score) if isinstance(layer, nn.Conv2d)]
    )
    x = torch.zeros(1, 1, 128, 128, requires_grad=True)
    linear(x)[0, 0, 7, 7].backward()
    assert [int((x.grad[0, 0] != 0).any(axis).sum()) for axis in (0, 1)] == [70, 70]


# --- geometry


@pytest.mark.parametrize("ndim", [2, 3])
def test_finer_is_interpolation_with_aligned_corners(ndim):
    stride = (1, 2, 2)[-ndim:]
    coarse = picture(2, 3, *(4, 5, 3)[-ndim:])
    odd = (4, 9, 5)[-ndim:]
    mode = {2: "bilinear", 3: "trilinear"}[ndim]
    torch.testing.assert_close(
        upsample_linear(coarse, stride, odd), F.interpolate(coarse, size=odd, mode=mode, align_corners=True)
    )
    even = upsample_linear(coarse, stride, (4, 10, 6)[-ndim:])
    torch.testing.assert_close(even[..., :-1, :-1], upsample_linear(coarse, stride, odd))
    assert torch.equal(even[..., -1], even[..., -2])


def test_features_do_not_move_on_the_way_down_and_up():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16).contiguous()
    down = conv(1, 1, (3, 3), (2, 2))
    with torch.no_grad():
        down[1].weight.zero_()[0, 0, 1, 1] = 1
        back = upsample_linear(down(ramp), (2, 2), (16, 16))
    assert torch.equal(back[..., :-1], ramp[..., :-1])


@pytest.mark.parametrize("mode", ["replicate", "reflect"])
def test_padding_is_torchs_and_so_is_its_gradient(mode):
    x = picture(2, 1, 5, 6, 4).double().requires_grad_()
    pads = (0, 0, 2, 2, 1, 1)
    assert torch.equal(PadBorder.apply(x, (1, 2, 0), mode), F.pad(x, pads, mode=mode))
    weight = picture(2, 1, 7, 10, 4).double()
    ours, theirs = (
        torch.autograd.grad((padded * weight).sum(), x)[0]
        for padded in (PadBorder.apply(x, (1, 2, 0), mode), F.pad(x, pads, mode=mode))
    )
    torch.testing.assert_close(ours, theirs)
    small = picture(1, 1, 3, 3).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda t: PadBorder.apply(t, (1, 1), mode) ** 3, small)


def test_padding_stays_in_the_number_format_that_comes_in():
    with torch.autocast("cpu", torch.bfloat16):
        assert Pad((3, 3), "replicate")(picture(1, 1, 4, 4).bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (unet(), (8, 12)),
        (unet(SLAB, plus=True, non_local=True), (4, 8, 12)),
        (unet(Voxel((1.0,) * 3), padding="zeros", se=0, blocks=2), (8, 8, 8)),
        (unet(widths=(4,), plus=True), (5, 7)),
        (resnet(up=3), (16, 12)),
        (resnet(SLAB, up=4), (4, 16, 12)),
        (resnet(SLAB, up="linear", blocks=2), (4, 16, 12)),
    ],
)
def test_a_network_gives_the_size_it_gets_in_both_precisions(net, shape):
    assert len(net.multiple) == len(shape) and not any(n % m for n, m in zip(shape, net.multiple))
    for half in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            out = net(picture(2, 1, *shape))
        assert out.shape == (2, net.spec.out, *shape)
        out.float().square().sum().backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in net.parameters())


def test_a_unet_takes_any_size():
    assert unet(SLAB)(picture(1, 1, 3, 9, 17)).shape == (1, 2, 3, 9, 17)


@pytest.mark.parametrize(("flat", "cubes"), [(False, 4), (True, 2)])  # into and out of level 2, and its block
def test_blocks_convolve_along_z_where_their_level_does(flat, cubes):
    kernels = [layer.kernel_size for layer in unet(SLAB, flat=flat).modules() if isinstance(layer, nn.Conv3d)]
    assert kernels.count((3, 3, 3)) == cubes


def test_flat_slices_see_each_other_only_where_the_voxel_lets_them():
    far = unet(Voxel((9.0, 1.0, 1.0)), se=0)
    x = picture(1, 1, 4, 8, 8).requires_grad_()
    far.stem.conv(x)[0, :, 1].sum().backward()
    assert [bool(s.any()) for s in x.grad[0, 0]] == [False, True, False, False]
    assert far.multiple == (1, 4, 4)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_discriminator_follows_the_voxel_and_scores_in_32_bits(ndim):
    voxel = (FLAT, SLAB)[ndim - 2]
    discriminator = DiscriminatorSpec.for_voxel(voxel, 2, (4, 8, 8)).build()
    assert discriminator.spec.strides == {
        2: ((2, 2), (2, 2), (1, 1)), 3: ((1, 2, 2), (2, 2, 2), (1, 1, 1)),
    }[ndim]  # fmt: skip
    with torch.autocast("cpu", torch.bfloat16):
        score = discriminator(picture(2, 2, *(4, 16, 16)[-ndim:]))
    assert score.dtype == torch.float32 and score.shape == (2, 1, *(2, 4, 4)[-ndim:])
    norms = [sum(isinstance(m, nn.modules.instancenorm._InstanceNorm) for m in discriminator.modules())]
    first = DiscriminatorSpec.for_voxel(voxel, 2, (4, 8, 8), norm_first=True).build()
    norms += [sum(isinstance(m, nn.modules.instancenorm._InstanceNorm) for m in first.modules())]
    assert norms == [2, 3]


# --- translation that starts at the identity


@pytest.mark.parametrize("make", [unet, resnet])
@pytest.mark.parametrize("voxel", [FLAT, SLAB])
@pytest.mark.parametrize("half", [False, True])
def test_a_residual_image_starts_as_the_image(make, voxel, half):
    net = make(voxel, out=2, residual_image=True)
    x = picture(1, 1, *(4, 16, 16)[-voxel.ndim :]) * 1.2
    x = x.clamp(-1, 1)  # black and white too
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = net(x)
    assert out.shape[1] == 2 and (out[:, :1].tanh() - x).abs().max() < 2e-3
    assert out[:, 1:].std() > 0


def test_a_change_moves_black_and_white_as_much_as_gray():
    image = torch.tensor([-1.0, -0.5, 0.0, 1.0]).view(1, 1, 1, 4)
    for change, slopes in ((0.25, [1, 1, 1, 0]), (-0.25, [0, 1, 1, 1])):
        delta = torch.full((1, 1, 1, 4), change, requires_grad=True)
        drawn = add_residual_image(image, delta).tanh()
        torch.testing.assert_close(drawn, (image + change).clamp(-0.999, 0.999), atol=1e-5, rtol=0)
        # A gradient that leads further out is dropped, one that leads inside passes.
        (-np.sign(change) * drawn).sum().backward()
        torch.testing.assert_close(delta.grad.flatten().abs(), torch.tensor(slopes).float(), atol=1e-3, rtol=0)
    delta = torch.full((1, 1, 1, 4), 0.25, requires_grad=True)
    add_residual_image(image, delta).tanh().sum().backward()
    assert delta.grad.flatten()[3] == pytest.approx(1, abs=1e-3)  # too white, and wished darker


# --- features and parts


def test_forward_is_decode_of_encode():
    net = unet(SLAB, plus=True)
    x = picture(2, 1, 4, 8, 12)
    features = net.encode(x)
    assert [f.shape[1:] for f in features] == [(4, 4, 8, 12), (8, 4, 4, 6), (8, 2, 2, 3)]
    last, out = net.decode(features)
    assert last.shape == (2, 4, 4, 8, 12)
    assert torch.equal(out, net(x)) and torch.equal(out, net.head(last))


def test_only_some_channels_are_the_same_channels():
    net = unet(SLAB, out=4, residual_image=True)
    x = picture(1, 1, 4, 8, 8)
    segment = net.keep_channels([1, 2, 3])
    torch.testing.assert_close(segment(x), net(x)[:, 1:])
    assert segment.spec == UNetSpec.model_validate(net.spec.model_dump() | {"out": 3, "residual_image": False})
    torch.testing.assert_close(net.keep_channels((0, 3))(x), net(x)[:, [0, 3]])
    with pytest.raises(ValueError, match="needs to stay first"):
        net.keep_channels([1, 0])
    with torch.no_grad():
        for weight in segment.parameters():
            weight.zero_()
    assert net.stem.conv[1].weight.any()  # a network of its own


def test_attention_is_nothing_at_first():
    net = unet(SLAB, non_local=True)
    x = picture(1, 1, 4, 8, 8)
    with_attention = net(x)
    net.non_local = nn.Identity()
    assert torch.equal(with_attention, net(x))


# --- specs


@pytest.mark.parametrize(
    "spec",
    [
        cysgan_generator(EXPANSION, residual_image=True),
        ResNetSpec.for_voxel(FLAT, up="linear"),
        TranslatorSpec(ndim=2),
    ],
)
def test_specs_come_back_from_json_told_apart_by_kind(spec):
    assert TypeAdapter(NetSpec).validate_python(json.loads(spec.model_dump_json())) == spec


def test_a_discriminator_comes_back_from_json():
    spec = patchgan(3)
    assert DiscriminatorSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"widths": (4, 8)}, "each of 2 levels"),
        ({"strides": ((2, 2), (2, 2), (2, 2))}, "start with 1"),
        ({"kernels": ((3, 3), (3, 3), (3, 4))}, "to be 1 or 3"),
        ({"kernels": ((3,), (3,), (3,))}, r"one number per axis \(2\)"),
        ({"groups": 3}, "multiples of the 3 groups"),
        ({"stem": 4}, "needs to be odd"),
        ({"channels": 2, "residual_image": True}, "an image of one channel"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(change, sentence):
    with pytest.raises(ValidationError, match=sentence):
        UNetSpec.model_validate(unet().spec.model_dump() | change)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_unet_is_saved_loaded_and_run(tmp_path, ndim):
    size = (2.0, 1.0, 1.0)[-ndim:]
    net = unet(Voxel(size)).eval().requires_grad_(False)
    made = Segmenter(
        spec=net.spec, network=net, normalisation=Normalisation(), scale=None, voxel=Voxel(size), axes="zyx"[-ndim:],
        representation=Ternary(),
    )  # fmt: skip
    back = Segmenter.load(made.save(tmp_path / "model"))
    assert back.spec == net.spec and back.network.multiple == (2, 4, 4)[-ndim:]
    image, _ = nuclei((7, 30, 41)[-ndim:], 5, 0)
    labels = segment(back, volume(image, size), precision="32")
    assert labels.shape == image.shape
    x = picture(1, 1, *(4, 8, 8)[-ndim:])
    assert torch.equal(back.network(x), net(x))


@pytest.mark.parametrize(("kernel", "shape"), [(4, (3, 6, 6)), (3, (2, 4, 4)), (4, (4, 8, 8))])
@pytest.mark.parametrize("channels", [(16, 32), (8, 8), (32, 1), (1, 8)])
def test_shallow_volumes_have_weight_gradients_in_bfloat16(kernel, shape, channels):
    """oneDNN leaves them unwritten where a padded convolution is as deep as its kernel less one."""
    torch.manual_seed(0)
    layer, x = CONV[3](*channels, kernel, 1, 1), torch.randn(2, channels[0], *shape)
    gradients = []
    for half in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            layer(x).float().square().mean().backward()
        gradients.append(layer.weight.grad.clone())
    exact, rough = gradients
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (2, 3, 4, 5, 6)])
def test_adain_of_a_training_is_that_of_a_model(shape):
    """In one kernel or in two: the same numbers, and the same gradients."""
    generator = torch.Generator().manual_seed(0)
    x, affine = torch.randn(shape, generator=generator), torch.randn(2, 6, generator=generator)
    results = []
    for training in (True, False):
        inputs = x.clone().requires_grad_(), affine.clone().requires_grad_()
        out = AdaIN(3).train(training)(*inputs)
        (out**2).sum().backward()
        results.append((out, inputs[0].grad, inputs[1].grad))
    for ours, other in zip(*results):
        assert torch.allclose(ours, other, atol=1e-4)
