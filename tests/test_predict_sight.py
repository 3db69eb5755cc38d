"""Blockwise agrees with whole for every kind of network: pooled norms, the margin that is measured, and 8 bits."""

import numpy as np
import pytest
import torch

from cytoshift.core.normalise import Normalisation
from cytoshift.core.voxel import Voxel
from cytoshift.data.resample import resample, working_shape
from cytoshift.data.volumes import Volume
from cytoshift.nets.chain import ChainSpec
from cytoshift.nets.resnet import ResNetSpec
from cytoshift.nets.spec import TranslatorSpec
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict.blockwise import segment_blockwise
from cytoshift.predict.engine import Serial
from cytoshift.predict.network import multiple, pad
from cytoshift.predict.plan import Wishes
from cytoshift.predict.run import Options, inferred
from cytoshift.predict.sight import felt
from cytoshift.predict.working import Working
from cytoshift.represent import Ternary
from predicting import TINY, nuclei, segmenter

DIFFERENCE = 0.01  # the stated tolerance: mean absolute difference of the channels, of blocks against one piece
PIXELS = Voxel((1.0, 1.0))
UNET = {"groups": 4, "stem": 3}


def spec_of(kind: str):
    unet = UNetSpec.for_voxel(PIXELS, 1, 1, (8, 16), **UNET)
    resnet = ResNetSpec.for_voxel(PIXELS, 1, 1, width=8, blocks=2, stem=3, mask=True)
    return {
        "translator": TranslatorSpec(ndim=2, **TINY), "unet": unet, "resnet": resnet,
        "chain": ChainSpec(first=resnet.model_copy(update={"mask": False}), segment=unet),
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["translator", "unet", "resnet", "chain"])
def test_channels_of_blocks_are_those_of_one_piece(kind, tmp_path):
    torch.manual_seed(1)
    spec = spec_of(kind)
    made = segmenter(2, spec=spec, network=spec.build().eval().requires_grad_(False), representation=Ternary())
    image = nuclei((120, 150), 60, 2, empty=0.4)[0]
    volume, options = Volume("cells", image, "yx", PIXELS, "made up"), Options(precision="32")
    job = segment_blockwise(made, volume, {"": tmp_path / "a.ome.zarr"}, tmp_path / "work", Serial(),
                            Wishes(block=(60, 64), halo=(12, 12)), options, only="predict")  # fmt: skip
    whole = inferred(made, Normalisation().measure([image])(image), PIXELS, options, None)
    blocks = np.asarray(job.channels[:]) / 255
    assert len(job.grid) == 6 and np.abs(blocks - whole).mean() <= DIFFERENCE


@pytest.mark.parametrize("size", [(0.7, 0.7), (1.0, 1.0), (1.6, 1.3)])
def test_boxes_of_the_working_grid_are_those_of_the_whole(size):
    """Resampled, normalised and padded box by box, with channels brought back, as the whole is."""
    image = nuclei((61, 83), 30, 3)[0]
    made = segmenter(2)
    volume = Volume("cells", image, "yx", Voxel(size), "made up")
    scale = Normalisation().measure([image])
    working = Working(volume, scale, made.voxel, multiple(made))
    whole = pad(resample(scale(image), working_shape(image.shape, volume.voxel, made.voxel))[None], multiple(made))
    assert working.shape == whole.shape
    for region in ((slice(0, 20), slice(16, 52)), (slice(8, whole.shape[1]), slice(4, whole.shape[2]))):
        box = (slice(0, 1), *region)
        assert np.abs(working[box] - whole[box]).mean() <= 2e-3, "the outermost half voxel is interpolated otherwise"
    own = (slice(17, 40), slice(60, 83))
    room = working.needed(own)
    inner = whole[(slice(None), *room)]
    back = resample(whole[0, : working.inside[0], : working.inside[1]], image.shape)
    assert np.abs(working.back(inner, room, own)[0] - back[own]).mean() <= 2e-3


def test_how_deep_a_cut_is_felt():
    change = np.zeros((1, 10, 40), np.float32)
    change[0, 7] = 0.5
    change[0, 2, 0] = 0.02  # too little
    assert felt(change, 1, backwards=False) == 8 and felt(change, 1, backwards=True) == 3
    assert felt(np.zeros((1, 4, 4)), 2, backwards=False) == 0
