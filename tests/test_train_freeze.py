"""Shipped networks carry the statistics of all images: what one image is made of no longer moves its neighbours."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from cytoshift.nets.network_spec import TranslatorSpec
from cytoshift.nets.translator import MASK
from cytoshift.train.ship import freeze


def build(ndim):
    torch.manual_seed(0)
    spec = TranslatorSpec(ndim=ndim, width=4, blocks=1, stem=3, hidden=8)
    return spec, spec.build().eval()


def shapes(ndim):
    return (3, 1, 32, 32) if ndim == 2 else (3, 1, 16, 16, 16)


@pytest.mark.parametrize("ndim", [2, 3])
def test_one_image_repeated_freezes_to_its_own_statistics(ndim):
    """Measured on copies of one image, the frozen norm is instance norm, as far as that image goes."""
    spec, network = build(ndim)
    x = np.repeat(np.random.default_rng(0).normal(size=shapes(ndim))[:1].astype(np.float32), 3, 0)
    frozen_spec, frozen = freeze(spec, network, x, nullcontext)
    assert frozen_spec.frozen and not spec.frozen
    with torch.no_grad():
        assert torch.allclose(frozen(torch.from_numpy(x)), network(torch.from_numpy(x)), atol=1e-3)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_crop_is_drawn_as_in_the_whole(ndim):
    spec, network = build(ndim)
    rng = np.random.default_rng(0)
    x = rng.normal(size=shapes(ndim)).astype(np.float32)
    _, frozen = freeze(spec, network, x, nullcontext)
    whole = np.concatenate([rng.normal(size=(1, 1, *[64] * ndim)), np.zeros((1, 1, *[64] * ndim))], axis=-1)
    image = torch.from_numpy(whole.astype(np.float32))
    middle = (..., *[slice(24, 40)] * ndim)  # further from the border of the crop than the network sees
    with torch.no_grad():
        crop = image[..., :64]
        apart = (frozen(image)[middle] - frozen(crop)[middle]).abs().max()
        before = (network(image)[middle] - network(crop)[middle]).abs().max()
    assert apart < 1e-4 < before


def test_translation_keeps_the_statistics_of_each_image():
    spec, network = build(2)
    x = torch.rand(shapes(2)) * 2 - 1
    _, frozen = freeze(spec, network, x.numpy(), nullcontext)
    code = torch.tensor([[1.0, 0.0]]).repeat(3, 1)
    with torch.no_grad():
        assert torch.equal(frozen.translate(x, MASK, code), network.translate(x, MASK, code))
